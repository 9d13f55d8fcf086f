use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn user(text: &str) -> UserName {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn channel(text: &str) -> ChannelName {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn the_nicknames_of_real_channels_are_names() {
    let nicks = [
        "RoC_MasterMind",
        "Chris|",
        "lux`",
        "Greysc[a]le",
        "[linner]",
        "{X}",
        "K^Holtz",
        "s3[mn]",
        "[_FireSoul_]",
        "syntax\\",
        "|H-raf|",
        "^^Hampal^^",
        "||_Misterioso_||",
        "`petey`",
        "P3L|C4N0",
        "m`kay",
        "__qzyR`",
        "Noq^",
        "void^",
        "loca|host",
        "2",
        "a.b",
        "..a",
    ];
    for nick in nicks {
        assert_eq!(user(nick).as_str(), nick);
    }
}

#[test]
fn words_of_every_script_are_names() {
    let words = [
        "Zoë",
        "Łukasz",
        "Ωμέγα",
        "Жук",
        "नमस्ते",
        "ภาษาไทย",
        "שָׁלוֹם",
        "محمد",
        "田中さん",
        "한국어",
        "Việt",
        "٣٤",
    ];
    for word in words {
        assert_eq!(user(word).as_str(), word.nfc().collect::<String>());
    }
    assert_eq!(user("Zoe\u{308}").as_str(), "Zoë");
}

#[test]
fn hostile_names_are_refused_with_the_reason() {
    use NameError::{Character, Length, Mark, NoLetter, Space};
    let table = [
        ("", Length),
        (&"a".repeat(33), Length),
        (&"ö".repeat(1_000_000), Length),
        ("\u{1f80}\u{302a}", Mark),
        (".", NoLetter),
        ("..", NoLetter),
        ("_", NoLetter),
        ("`|^", NoLetter),
        ("../a", Character('/')),
        ("#a", Character('#')),
        ("a@b", Character('@')),
        ("a:b", Character(':')),
        ("a/b", Character('/')),
        ("a%00", Character('%')),
        ("'; DROP TABLE", Character('\'')),
        ("<script>", Character('<')),
        ("$HOME", Character('$')),
        ("a\0", Character('\0')),
        ("a\n", Character('\n')),
        ("a\tb", Character('\t')),
        ("\x1b[31mred", Character('\x1b')),
        ("a\u{85}", Character('\u{85}')),
        ("a\u{ad}b", Character('\u{ad}')),
        ("a\u{200b}b", Character('\u{200b}')),
        ("a\u{200d}b", Character('\u{200d}')),
        ("\u{202e}nimda", Character('\u{202e}')),
        ("a\u{2066}b", Character('\u{2066}')),
        ("\u{feff}a", Character('\u{feff}')),
        ("a\u{a0}b", Character('\u{a0}')),
        ("\u{3164}", Character('\u{3164}')),
        ("a\u{1160}", Character('\u{1160}')),
        ("a\u{fe0f}", Character('\u{fe0f}')),
        ("a\u{34f}", Character('\u{34f}')),
        ("a\u{20dd}", Character('\u{20dd}')),
        ("a\u{e0061}", Character('\u{e0061}')),
        ("👍", Character('👍')),
        ("🅰", Character('🅰')),
        ("Ⓐdmin", Character('Ⓐ')),
        ("a\u{fffd}", Character('\u{fffd}')),
        ("\u{301}a", Mark),
        ("1\u{301}", Mark),
        ("-\u{301}a", Mark),
        ("a\u{331}\u{332}\u{333}\u{334}\u{335}", Mark),
    ];
    for (text, error) in table {
        assert_eq!(text.parse::<UserName>().unwrap_err(), error, "{text:?}");
        assert_eq!(text.parse::<ChannelName>().unwrap_err(), error, "{text:?}");
    }
    for text in [" a", "a ", "a  b", " ", "- "] {
        assert_eq!(text.parse::<ChannelName>().unwrap_err(), Space, "{text:?}");
        assert_eq!(text.parse::<UserName>().unwrap_err(), Character(' '), "{text:?}");
    }
    assert_eq!("a b".parse::<UserName>().unwrap_err(), Character(' '));
    assert_eq!(channel("the long table").as_str(), "the long table");
}

#[test]
fn a_refusal_says_what_to_do_and_shows_nothing_raw() {
    assert_eq!(NameError::Length.to_string(), "a name has 1 to 32 characters");
    let refusal = NameError::Character('\x1b').to_string();
    assert_eq!(refusal, "a name has letters, digits and _-.|[]{}^`\\ only: leave out '\\u{1b}'");
}

#[test]
fn case_does_not_count() {
    for (one, other) in
        [("Ken", "kEN"), ("Straße", "STRASSE"), ("ΟΔΟΣ", "οδος"), ("οδοσ", "οδος"), ("ÉÑ", "éñ")]
    {
        assert_eq!(user(one), user(other));
        assert_eq!(user(one).cmp(&user(other)), Ordering::Equal);
        assert_eq!(user(one).skeleton(), user(other).skeleton());
        assert_eq!(HashSet::from([user(one), user(other)]).len(), 1);
    }
    assert_ne!(user("ken"), user("ken_"));
}

fn look_alike(one: &str, other: &str) -> bool {
    let taken = user(one).skeletons();
    user(other).skeletons().iter().any(|look| taken.contains(look))
}

#[test]
fn names_that_look_alike_share_a_skeleton() {
    let alike = [
        ("paypal", "раураl"),
        ("paypal", "РауРаl"),
        ("paypal", "paypaI"),
        ("alice", "aIice"),
        ("Ian", "lan"),
        ("ian", "Iаn"),
        ("ken", "КЕN"),
        ("bob", "b0b"),
        ("modern", "modem"),
        ("mark", "MАRK"),
        ("ken", "ｋｅｎ"),
        ("scope", "ѕсоре"),
        ("l", "1"),
        ("a|b", "alb"),
    ];
    for (one, other) in alike {
        assert!(look_alike(one, other) && look_alike(other, one), "{one} {other}");
    }
    assert_eq!(user("paypal").skeleton(), user("раураl").skeleton());
}

#[test]
fn plain_names_do_not_get_in_each_others_way() {
    let letters = ('a'..='z').chain('2'..='9').map(String::from);
    let numbered = (0..1000).map(|number| format!("user{number}"));
    let real =
        ["ali", "all", "neil", "nell", "ken", "kent", "charlie", "zoe", "zoë", "a_", "[a]"].map(String::from);
    let mut taken = HashSet::new();
    for name in letters.chain(numbered).chain(real) {
        for look in user(&name).skeletons() {
            assert!(taken.insert(look), "{name}");
        }
    }
}

#[test]
fn fold_and_skeleton_are_stable_for_every_character() {
    for c in ('\0'..=char::MAX).filter(|c| is_letter_or_digit(*c) || is_mark(*c) || c.is_ascii()) {
        let text = c.to_string();
        let folded = fold(&text);
        assert_eq!(fold(&folded), folded, "{c:?}");
        for case in [text.to_uppercase(), text.to_lowercase()] {
            assert_eq!(fold(&case), folded, "{c:?}");
        }
        let look = skeleton(&text);
        assert_eq!(skeleton(&look), look, "{c:?}");
    }
}

#[test]
fn a_file_stem_is_harmless_and_unique() {
    let table = [
        ("Ken", "ken"),
        ("..a", "%2E%2Ea"),
        ("a.b", "a%2Eb"),
        ("a\\b", "a%5Cb"),
        ("|x|", "%7Cx%7C"),
        ("é", "%C3%A9"),
        ("CON", "%63on"),
        ("nul", "%6Eul"),
        ("com1", "%63om1"),
        ("com10", "com10"),
        ("lpt9", "%6Cpt9"),
        ("con.txt", "con%2Etxt"),
        ("-rf", "-rf"),
    ];
    for (name, stem) in table {
        assert_eq!(user(name).file_stem(), stem);
    }
    assert_eq!(channel("a b").file_stem(), "a%20b");
    let (one, other) = ("田".repeat(32), "田".repeat(31) + "中");
    assert_ne!(user(&one).file_stem(), user(&other).file_stem());
    assert_eq!(user(&one).file_stem().len(), MAX_STEM_BYTES);
}

#[test]
fn a_name_is_a_string_in_json_and_checked() {
    assert_eq!(serde_json::to_string(&user("Ken\\")).unwrap(), r#""Ken\\""#);
    let escaped: UserName = serde_json::from_str(r#""Zo\u0065\u0308""#).unwrap();
    assert_eq!(escaped.as_str(), "Zoë");
    let refusal = serde_json::from_str::<UserName>(r#""a b""#).unwrap_err().to_string();
    assert!(refusal.starts_with("a name has letters"), "{refusal}");
    assert!(serde_json::from_str::<ChannelName>("7").is_err());
}

#[test]
fn guests_get_names_that_are_names() {
    for _ in 0..100 {
        let name = guest_name().unwrap();
        assert_eq!(user(name.as_str()).as_str(), name.as_str());
        assert!(name.as_str().starts_with("guest-") && name.as_str().len() == 10);
    }
}

proptest! {
    #[test]
    fn any_text_is_refused_or_a_name(text in prop_oneof![any::<String>(), r"[\w\p{M} .|\\-]{1,36}"]) {
        if let Ok(name) = text.parse::<ChannelName>() {
            let again = channel(name.as_str());
            prop_assert_eq!(again.as_str(), name.as_str());
            prop_assert_eq!(fold(name.folded()), name.folded());
            if let Ok(loud) = name.as_str().to_uppercase().parse::<ChannelName>() {
                prop_assert_eq!(&loud, &name);
            }
            prop_assert_eq!(skeleton(&name.skeleton()), name.skeleton());
            let stem = name.file_stem();
            prop_assert!(stem.len() <= MAX_STEM_BYTES && !stem.is_empty());
            let harmless = |b: u8| b.is_ascii_alphanumeric() || b"_-%~".contains(&b);
            prop_assert!(stem.bytes().all(harmless));
            let json = serde_json::to_string(&name).unwrap();
            prop_assert_eq!(serde_json::from_str::<ChannelName>(&json).unwrap(), name);
        }
    }

    #[test]
    fn the_nickname_alphabet_is_accepted(nick in r"[\[-}A-Z0-9_.-]{0,15}[A-Za-z0-9][\[-}A-Z0-9_.-]{0,16}") {
        let name = user(&nick);
        prop_assert_eq!(name.as_str(), nick);
    }
}

#[test]
fn no_channel_is_called_like_the_tracker() {
    for name in ["tracker", "Tracker", "TRACKER"] {
        assert_eq!(name.parse::<ChannelName>(), Err(NameError::Reserved));
        assert!(name.parse::<UserName>().is_ok());
    }
    assert!("trackers".parse::<ChannelName>().is_ok() && "the tracker".parse::<ChannelName>().is_ok());
}
