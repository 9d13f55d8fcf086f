//! The words of a text, as they are indexed and looked for: the same for messages and for what is typed. Pure.
//!
//! A word is a run of letters and digits, in lower case and without accents. Scripts that put no spaces between words are
//! taken letter by letter: what is looked for is then found as letters that follow each other. So is each emoji.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// A longer word is cut off there, in what is indexed as in what is looked for.
pub const MAX_WORD_BYTES: usize = 96;

/// A word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// As it is indexed.
    pub folded: String,
    /// Where it begins in the text, in bytes.
    pub from: usize,
    /// Where it ends.
    pub to: usize,
}

/// What a character is to the words around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It continues a word, or begins one.
    Letter,
    /// It is a word by itself.
    Alone,
    /// It belongs to what stands before it.
    Mark,
    /// It is as if it were not there.
    Nothing,
    /// It ends a word.
    Between,
}

/// The words of a text, in order.
pub fn words(text: &str) -> impl Iterator<Item = Word> + '_ {
    let mut chars = text.char_indices().peekable();
    let all = std::iter::from_fn(move || {
        let (from, first) = chars.find(|(_, c)| matches!(part(*c), Part::Letter | Part::Alone))?;
        let begun = part(first);
        let mut word = Word { folded: String::new(), from, to: from + first.len_utf8() };
        fold_into(&mut word.folded, first);
        while let Some((at, next)) = chars.next_if(|(_, c)| match part(*c) {
            Part::Letter => begun == Part::Letter,
            Part::Mark | Part::Nothing => true,
            Part::Alone | Part::Between => false,
        }) {
            if part(next) != Part::Nothing {
                fold_into(&mut word.folded, next);
                word.to = at + next.len_utf8();
            }
        }
        Some(word)
    });
    all.filter(|word| !word.folded.is_empty())
}

fn part(c: char) -> Part {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => Part::Letter,
        '\0'..='\u{7f}' => Part::Between,
        // Soft hyphens and joiners, how an emoji is drawn, and which skin it has.
        '\u{ad}'
        | '\u{200c}'
        | '\u{200d}'
        | '\u{640}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{1f3fb}'..='\u{1f3ff}' => Part::Nothing,
        '\u{ff9e}' | '\u{ff9f}' => Part::Mark,
        _ if is_combining_mark(c) => Part::Mark,
        _ if is_spaceless(c) || is_emoji(c) => Part::Alone,
        _ if c.is_alphanumeric() => Part::Letter,
        _ => Part::Between,
    }
}

/// Whether a letter is of a script that is written without spaces, or with spaces that no search can rely on.
fn is_spaceless(c: char) -> bool {
    let ranges = [
        // Thai, Lao; Myanmar; Khmer; kana and the rest of what stands before the Han characters; those, Yi, and Hangul;
        // compatibility forms, narrow kana; Han characters of later planes.
        '\u{e00}'..='\u{eff}',
        '\u{1000}'..='\u{109f}',
        '\u{1780}'..='\u{17ff}',
        '\u{3005}'..='\u{3007}',
        '\u{3040}'..='\u{31ff}',
        '\u{3400}'..='\u{4dbf}',
        '\u{4e00}'..='\u{9fff}',
        '\u{a000}'..='\u{a4cf}',
        '\u{ac00}'..='\u{d7a3}',
        '\u{f900}'..='\u{faff}',
        '\u{ff66}'..='\u{ff9f}',
        '\u{20000}'..='\u{3ffff}',
    ];
    c.is_alphanumeric() && ranges.iter().any(|range| range.contains(&c))
}

fn is_emoji(c: char) -> bool {
    matches!(c, '\u{203c}' | '\u{2049}' | '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1fbff}')
}

/// Appends a character in its folded form, as far as there is room.
fn fold_into(word: &mut String, c: char) {
    let folded = std::iter::once(c).nfkd().filter(|c| !is_accent(*c)).flat_map(char::to_lowercase);
    let mut itself = [0; 4];
    for c in folded {
        let plain = match c {
            'ß' => "ss",
            'æ' => "ae",
            'œ' => "oe",
            'ø' => "o",
            'đ' => "d",
            'ł' => "l",
            'ı' => "i",
            'ς' => "σ",
            _ => &*c.encode_utf8(&mut itself),
        };
        // What lower case makes of a letter may have an accent of its own, and one character may stand for several with
        // something between them.
        let is_part = !is_accent(c) && (c.is_alphanumeric() || is_combining_mark(c) || is_emoji(c));
        if is_part && word.len() + plain.len() <= MAX_WORD_BYTES {
            word.push_str(plain);
        }
    }
}

/// Whether a mark is left out of words: accents of European scripts, vowel signs of Hebrew and Arabic. In other scripts a
/// mark makes another letter.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn folded(text: &str) -> Vec<String> {
        words(text).map(|word| word.folded).collect()
    }

    #[test]
    fn words_of_many_languages() {
        let table: [(&str, &[&str]); 19] = [
            ("Hello, World!", &["hello", "world"]),
            ("Die Größe der Übung, MÜLLER", &["die", "grosse", "der", "ubung", "muller"]),
            ("cafe\u{301} CAFÉ", &["cafe", "cafe"]),
            ("Ёлка и Йод", &["елка", "и", "иод"]),
            ("ΟΔΟΣ οδός", &["οδοσ", "οδοσ"]),
            ("İstanbul ılık", &["istanbul", "ilik"]),
            ("東京都", &["東", "京", "都"]),
            ("がカｶﾞ", &["か\u{3099}", "カ", "カ\u{3099}"]),
            ("안녕", &["\u{110b}\u{1161}\u{11ab}", "\u{1102}\u{1167}\u{11bc}"]),
            ("اَلسَّلَامُ عليكم", &["السلام", "عليكم"]),
            ("שָׁלוֹם", &["שלום"]),
            ("नमस्ते", &["नमस्ते"]),
            ("สวัสดี", &["ส", "วั", "ส", "ดี"]),
            ("👍🏽 ok ❤️", &["👍", "ok", "❤"]),
            ("https://example.org/a_b?x=1", &["https", "example", "org", "a", "b", "x", "1"]),
            ("can't 3.14", &["can", "t", "3", "14"]),
            ("ﬁne Ｗｉｄｅ", &["fine", "wide"]),
            ("می\u{200c}خواهم", &["میخواهم"]),
            ("\u{202e}\u{7}<b> -- ", &["b"]),
        ];
        for (text, expected) in table {
            assert_eq!(folded(text), expected, "{text}");
        }
    }

    #[test]
    fn a_very_long_word_is_found_by_all_of_it() {
        let long = "ä".repeat(5000);
        let found = words(&long).collect::<Vec<_>>();
        assert_eq!((found.len(), found[0].folded.len(), found[0].to), (1, MAX_WORD_BYTES, long.len()));
    }

    #[test]
    fn the_naughty_strings_have_words_in_order() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/naughty-strings.txt");
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().for_each(in_order);
    }

    fn in_order(text: &str) {
        let mut end = 0;
        for word in words(text) {
            assert!(end <= word.from && word.from < word.to, "{text:?}");
            assert!(text.get(word.from..word.to).is_some() && word.folded.len() <= MAX_WORD_BYTES);
            end = word.to;
        }
    }

    proptest! {
        #[test]
        fn words_stand_in_the_text_in_order(text in any::<String>()) {
            in_order(&text);
        }

        #[test]
        fn what_is_typed_as_it_stands_there_is_found(text in "\\PC{0,40}") {
            for word in words(&text) {
                prop_assert_eq!(folded(&text[word.from..word.to]), [word.folded]);
            }
        }
    }
}
