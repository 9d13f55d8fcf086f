//! Small parts that all views share: names, pictures, times, places.

use common::clock::Timestamp;
use common::id::{IdentityKind, Subject};
use common::name::{ChannelName, UserName};
use common::text::one_line;
use jiff::tz::TimeZone;
use maud::{Markup, html};

/// How many colours there are for people without a picture.
const HUES: u8 = 12;

/// A channel's page.
pub(in crate::ui::web) fn channel_path(channel: &ChannelName) -> String {
    format!("/c/{}", in_path(channel.as_str()))
}

/// The page of a private conversation.
pub(in crate::ui::web) fn private_path(user: &UserName) -> String {
    format!("/p/{}", in_path(user.as_str()))
}

/// A name as a part of an address.
pub(super) fn in_path(name: &str) -> String {
    let name = name.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    });
    name.collect()
}

/// A name from elsewhere, on one line and unable to reorder what stands around it.
pub(super) fn name(name: &str) -> Markup {
    html! { bdi { (one_line(name)) } }
}

/// A name, and whether it is a guest's.
pub(super) fn person(who: &str, kind: IdentityKind) -> Markup {
    html! {
        (name(who))
        @if kind == IdentityKind::Guest { " " span.tag title="has no account: the name may be another's next week" { "guest" } }
    }
}

/// A round picture with the first letters of a name, in a colour that goes with the person.
pub(super) fn picture(who: &str, subject: Subject) -> Markup {
    let hue = blake3::hash(subject.to_string().as_bytes()).as_bytes()[0] % HUES;
    let class = format!("picture h{hue}");
    html! { span class=(class) aria-hidden="true" { (initials(who)) } }
}

fn initials(who: &str) -> String {
    let clean = one_line(who);
    let words = clean.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let letters = words.filter_map(|word| word.chars().next()).take(2).collect::<String>();
    if letters.is_empty() { "?".to_owned() } else { letters.to_uppercase() }
}

/// Why something was not done or is not so, without what one would type on a terminal: here are buttons.
pub(in crate::ui::web) fn why(reason: &str) -> String {
    let reason = one_line(reason);
    let typed = [
        "; type: ",
        ". To change, type: ",
        ". To take it back, type: ",
        ". To go on with it here, type: ",
        "; to move it here, type: ",
    ];
    let end = typed.iter().filter_map(|typed| reason.find(typed)).min();
    let reason = without_code(end.and_then(|end| reason.get(..end)).unwrap_or(&reason));
    reason.replace("type it again", "do the same again").replace("type: ", "")
}

/// A sentence without the code for programs at its end.
fn without_code(reason: &str) -> &str {
    let is_code = |word: &str| word.contains('_') && word.chars().all(|c| c == '_' || c.is_ascii_lowercase());
    match reason.strip_suffix(')').and_then(|reason| reason.rsplit_once(" (")) {
        Some((sentence, word)) if is_code(word) => sentence,
        _ => reason,
    }
}

/// The time of day.
pub(super) fn clock(at: Timestamp, zone: &TimeZone) -> String {
    zoned(at, zone).strftime("%H:%M").to_string()
}

/// Day and time, for who wants to know exactly.
pub(in crate::ui::web) fn day_and_time(at: Timestamp, zone: &TimeZone) -> String {
    zoned(at, zone).strftime("%A, %-d %B %Y, %H:%M:%S").to_string()
}

/// The day as people call it.
pub(super) fn day(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (at, now) = (zoned(at, zone), zoned(now, zone));
    let (date, today) = (at.date(), now.date());
    if date == today {
        return "Today".to_owned();
    }
    if date.tomorrow().is_ok_and(|next| next == today) {
        return "Yesterday".to_owned();
    }
    let form = if date.year() == today.year() { "%A, %-d %B" } else { "%A, %-d %B %Y" };
    at.strftime(form).to_string()
}

/// Whether two moments are on the same day there.
pub(super) fn same_day(one: Timestamp, other: Timestamp, zone: &TimeZone) -> bool {
    zoned(one, zone).date() == zoned(other, zone).date()
}

fn zoned(at: Timestamp, zone: &TimeZone) -> jiff::Zoned {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX).to_zoned(zone.clone())
}

/// So many of something, in words.
pub(super) fn count(number: u64, one: &str, more: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {more}") }
}

/// A number that does not take much room.
pub(super) fn badge(number: u64) -> String {
    if number > 99 { "99+".to_owned() } else { number.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channels_place_is_plain_whatever_its_name() {
        let path = |name: &str| channel_path(&name.parse().unwrap());
        assert_eq!(path("first"), "/c/first");
        assert_eq!(path("book club"), "/c/book%20club");
        assert_eq!(path("Straße"), "/c/Stra%C3%9Fe");
    }

    #[test]
    fn reasons_do_not_say_what_to_type() {
        for (reason, shown) in [
            ("the name belongs to an account; type: signin ada", "the name belongs to an account"),
            ("it has moved. To take it back, type: host x --takeover", "it has moved"),
            ("it is elsewhere; to move it here, type: host CH --takeover", "it is elsewhere"),
            ("it was there. To go on with it here, type: host x --takeover", "it was there"),
            ("type: join first", "join first"),
            ("If both confirm it, type: leave x, then join x", "If both confirm it, leave x, then join x"),
            ("to do it all the same, type it again", "to do it all the same, do the same again"),
            ("wrong password", "wrong password"),
            (
                "the connection was lost: the program is stopping (going_away)",
                "the connection was lost: the program is stopping",
            ),
            ("no answer (timed out)", "no answer (timed out)"),
        ] {
            assert_eq!(why(reason), shown);
        }
    }

    #[test]
    fn letters_of_a_name() {
        for (who, letters) in [("ken", "K"), ("book-club", "BC"), ("", "?"), ("\u{202e}", "?"), ("ß", "SS")]
        {
            assert_eq!(initials(who), letters, "{who}");
        }
    }

    #[test]
    fn days_have_names() {
        let zone = TimeZone::UTC;
        let at = |days: u64| Timestamp::from_millis(days * 86_400_000 + 1);
        let now = at(20_000);
        assert_eq!(day(at(20_000), now, &zone), "Today");
        assert_eq!(day(at(19_999), now, &zone), "Yesterday");
        assert_eq!(day(at(19_998), now, &zone), "Wednesday, 2 October");
        assert_eq!(day(at(0), now, &zone), "Thursday, 1 January 1970");
        assert!(day(Timestamp::from_millis(u64::MAX), now, &zone).contains("9999"));
        assert!(!same_day(at(1), at(2), &zone));
    }
}
