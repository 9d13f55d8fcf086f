//! What LIST looks for in the names of channels.

use common::name::fold;

use crate::limits::MAX_PATTERN_CHARS;

/// A pattern, case folded. Pure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    folded: Vec<char>,
    whole: bool,
}

/// A pattern longer than [`MAX_PATTERN_CHARS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pattern has at most {MAX_PATTERN_CHARS} characters")]
pub struct PatternTooLong;

impl Pattern {
    /// Text to be found anywhere in a name; with a `*`, which stands for any run of characters, the whole name counts.
    ///
    /// # Errors
    /// When it is too long to be looked for.
    pub fn new(text: &str) -> Result<Self, PatternTooLong> {
        if text.chars().nth(MAX_PATTERN_CHARS).is_some() {
            return Err(PatternTooLong);
        }
        Ok(Self { folded: fold(text).chars().collect(), whole: text.contains('*') })
    }

    /// Whether a folded name matches.
    pub fn matches(&self, folded_name: &str) -> bool {
        let name: Vec<char> = folded_name.chars().collect();
        if self.whole { glob(&self.folded, &name) } else { contains(&name, &self.folded) }
    }
}

fn contains(name: &[char], part: &[char]) -> bool {
    part.is_empty() || name.windows(part.len()).any(|window| window == part)
}

/// Goes back only to the last star, so that no pattern takes more than length × length steps.
fn glob(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                last_star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match last_star {
                Some((star, from)) => {
                    p = star + 1;
                    n = from + 1;
                    last_star = Some((star, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(&fold(name))
    }

    #[test]
    fn without_a_star_any_part_of_the_name_counts() {
        for (pattern, name, expected) in [
            ("", "first", true),
            ("irs", "first", true),
            ("FIRST", "First", true),
            ("straße", "STRASSE 7", true),
            ("second", "first", false),
            ("first!", "first", false),
            ("?", "first", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern:?} in {name:?}");
        }
    }

    #[test]
    fn with_a_star_the_whole_name_counts() {
        for (pattern, name, expected) in [
            ("*", "x", true),
            ("f*t", "first", true),
            ("f*", "first", true),
            ("*st", "first", true),
            ("f*x", "first", false),
            ("irs*", "first", false),
            ("a*b*c", "aXXbYYbZZc", true),
            ("**a**", "bab", true),
            ("*ab", "aab", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern:?} on {name:?}");
        }
    }

    #[test]
    fn a_wicked_pattern_takes_no_time() {
        let pattern = "*a".repeat(MAX_PATTERN_CHARS / 2);
        assert!(!Pattern::new(&pattern).unwrap().matches(&format!("{}b", "a".repeat(96))));
        assert_eq!(Pattern::new(&"x".repeat(MAX_PATTERN_CHARS + 1)), Err(PatternTooLong));
    }
}
