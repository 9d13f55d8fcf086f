//! What is typed to look for something: words that all have to be there, `"these in this order"`, `-not`, `begin*`. Pure.

use std::fmt;

use super::words::{Word, words};

/// A longer query is refused.
pub const MAX_QUERY_BYTES: usize = 1024;
/// How many words one may have.
pub const MAX_QUERY_WORDS: usize = 32;

/// What a text has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Each of them has to hold.
    pub clauses: Vec<Clause>,
}

/// Words that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// The words, folded.
    pub words: Vec<String>,
    /// The last of them is only the beginning of one.
    pub begins: bool,
    /// They must not be there.
    pub excluded: bool,
}

/// Why a query is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadQuery {
    /// It is too long.
    TooLong,
    /// It has too many words.
    TooMany,
}

impl fmt::Display for BadQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "what is looked for has at most {MAX_QUERY_BYTES} bytes"),
            Self::TooMany => write!(f, "what is looked for has at most {MAX_QUERY_WORDS} words"),
        }
    }
}

impl Query {
    /// Reads what was typed. What has neither letters nor digits nor emoji in it asks for nothing.
    ///
    /// # Errors
    /// When it is too long.
    pub fn parse(text: &str) -> Result<Self, BadQuery> {
        if text.len() > MAX_QUERY_BYTES {
            return Err(BadQuery::TooLong);
        }
        let mut clauses = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (excluded, after) = match rest.strip_prefix('-') {
                Some(after) if !after.starts_with(char::is_whitespace) => (true, after),
                _ => (false, rest),
            };
            let (part, is_phrase, after) = split_part(after);
            let words = words(part).map(|word| word.folded).collect::<Vec<_>>();
            if !words.is_empty() {
                let begins = !is_phrase && part.ends_with('*');
                clauses.push(Clause { words, begins, excluded });
            }
            rest = after.trim_start();
        }
        match clauses.iter().map(|clause| clause.words.len()).sum::<usize>() {
            0..=MAX_QUERY_WORDS => Ok(Self { clauses }),
            _ => Err(BadQuery::TooMany),
        }
    }

    /// Whether it says what has to be there, and not only what must not.
    pub fn says_something(&self) -> bool {
        self.clauses.iter().any(|clause| !clause.excluded)
    }

    /// Where in a text what is looked for stands, in bytes, in order.
    pub fn marks(&self, text: &str) -> Vec<(usize, usize)> {
        let all = words(text).collect::<Vec<_>>();
        let mut marks = Vec::new();
        for clause in self.clauses.iter().filter(|clause| !clause.excluded) {
            let found = all.windows(clause.words.len()).filter(|found| clause.is(found));
            marks.extend(found.flatten().map(|word| (word.from, word.to)));
        }
        marks.sort_unstable();
        marks.dedup();
        marks
    }
}

impl Clause {
    fn is(&self, found: &[Word]) -> bool {
        let last = self.words.len().saturating_sub(1);
        self.words.iter().zip(found).enumerate().all(|(at, (word, found))| match self.begins && at == last {
            true => found.folded.starts_with(word),
            false => found.folded == *word,
        })
    }
}

/// The first part of what is typed, whether it stood in quotes, and what follows it. A quote that is not closed goes to the end.
fn split_part(text: &str) -> (&str, bool, &str) {
    let is_quote = |c: char| matches!(c, '"' | '“' | '”' | '„');
    match text.strip_prefix(is_quote) {
        Some(inner) => match inner.split_once(is_quote) {
            Some((part, rest)) => (part, true, rest),
            None => (inner, true, ""),
        },
        None => {
            let (part, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
            (part, false, rest)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        let one = |clause: &Clause| {
            let (sign, star) = (if clause.excluded { "-" } else { "" }, if clause.begins { "*" } else { "" });
            format!("{sign}{}{star}", clause.words.join("+"))
        };
        Query::parse(text).unwrap().clauses.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn queries_are_read() {
        let table = [
            ("", ""),
            ("  ", ""),
            ("kernel panic", "kernel panic"),
            ("Kernel  PANIC!", "kernel panic"),
            ("\"kernel panic\" now", "kernel+panic now"),
            ("„Grüß Gott“", "gruss+gott"),
            ("\"not closed", "not+closed"),
            ("-windows linux", "-windows linux"),
            ("-\"blue screen\" x", "-blue+screen x"),
            ("- x", "x"),
            ("--x", "-x"),
            ("kern*", "kern*"),
            ("\"kern*\"", "kern"),
            ("example.org", "example+org"),
            ("exam.pl*", "exam+pl*"),
            ("don't", "don+t"),
            ("東京都 大阪", "東+京+都 大+阪"),
            ("привет Мир", "привет мир"),
            ("السَّلام", "السلام"),
            ("👍 👍🏽", "👍 👍"),
            ("* ?? -- \"\" :-)", ""),
            ("a:b OR (c)", "a+b or c"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert!(!Query::parse("-x").unwrap().says_something());
        assert_eq!(Query::parse(&"x ".repeat(MAX_QUERY_WORDS + 1)), Err(BadQuery::TooMany));
        assert_eq!(Query::parse(&"x".repeat(MAX_QUERY_BYTES + 1)), Err(BadQuery::TooLong));
    }

    #[test]
    fn what_is_found_is_marked() {
        let marked = |query: &str, text: &str| {
            let marks = Query::parse(query).unwrap().marks(text);
            marks.into_iter().map(|(from, to)| text[from..to].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(marked("panic", "No PANIC, don't panic"), ["PANIC", "panic"]);
        assert_eq!(marked("\"a b\"", "a c a b"), ["a", "b"]);
        assert_eq!(marked("京都 -東", "東京都と京都"), ["京", "都", "京", "都"]);
        assert_eq!(marked("uber*", "Überall über"), ["Überall", "über"]);
        assert_eq!(marked("x", ""), [""; 0]);
    }

    #[test]
    fn the_naughty_strings_can_be_looked_for_and_are_found() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/naughty-strings.txt");
        for text in std::fs::read_to_string(path).unwrap().lines() {
            let Ok(query) = Query::parse(text) else { continue };
            let is_plain = query.clauses.iter().all(|clause| !clause.excluded);
            let marks = query.marks(text);
            assert!(!is_plain || query.clauses.is_empty() || !marks.is_empty(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_read_and_marks_parts_of_any_text(query in any::<String>(), text in any::<String>()) {
            if let Ok(query) = Query::parse(&query) {
                for (from, to) in query.marks(&text) {
                    prop_assert!(text.get(from..to).is_some());
                }
            }
        }
    }
}
