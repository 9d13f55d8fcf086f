use super::*;

#[test]
fn what_somebody_wrote_is_told_from_what_the_server_said() {
    let said = |line| said(line).map(|said| (said.nick.to_owned(), said.text));
    assert_eq!(said("[04:35] <b0ef> CarlFK: hi"), Some(("b0ef".into(), "CarlFK: hi".into())));
    assert_eq!(said("[23:59:58] <a|b> <x> [y]"), Some(("a|b".into(), "<x> [y]".into())));
    assert_eq!(said("[04:35]  * ken waves"), Some(("ken".into(), "* ken waves".into())));
    for nothing in [
        "=== Versed  has joined #ubuntu",
        "",
        "[04:35] <ken>",
        "[04:35] <> hi",
        "[04:35] <a b> hi",
        "[24:35] <ken> hi",
        "[4] <ken> hi",
        "[04:35] * waves",
        "<ken> hi",
        "[04:35",
    ] {
        assert_eq!(said(nothing), None, "{nothing}");
    }
}

#[test]
fn a_clock_that_goes_back_has_passed_midnight() {
    let mut clock = Clock { day: "2007-02-15".parse().unwrap(), last: Time::midnight() };
    let moments = ["20:41", "23:59", "00:01", "00:00"]
        .map(|at| clock.moment(said(&format!("[{at}] <ken> hi")).unwrap().at).as_millis() / 60_000);
    let evening = moments[0];
    assert_eq!(moments.map(|moment| moment - evening), [0, 198, 200, 199]);
    assert_eq!(crate::api::format_utc(Timestamp::from_millis(evening * 60_000)), "2007-02-15T20:41:00.000Z");
}

#[test]
fn a_name_says_the_day() {
    for name in ["2007-02-15.log", "2007-02-15-#ubuntu.txt"] {
        assert!(is_log(Path::new(name)), "{name}");
    }
    for name in ["2007-02-30.log", "ubuntu.log", "2007-02-15.jsonl", "2007-02-15", ""] {
        assert!(!is_log(Path::new(name)), "{name}");
    }
}

#[test]
fn a_nick_is_the_same_guest_everywhere_and_nobody_has_its_key() {
    assert_eq!(author("ken").subject, author("ken").subject);
    assert_ne!(author("ken").subject, author("ben").subject);
}
