//! A part of a message around what was looked for. Pure.

use serde::Serialize;

use super::query::Query;

/// So much of a message is shown, in characters.
pub const SNIPPET_CHARS: usize = 240;
/// So much of that stands before the first thing found.
const LEAD_CHARS: usize = 60;
/// A cut is moved so far to fall between words.
const MAX_SHIFT_CHARS: usize = 20;

/// A part of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Snippet {
    /// As it stands there, with `…` where it was cut.
    pub text: String,
    /// What was looked for: from which character on, and how many.
    pub marks: Vec<(usize, usize)>,
}

/// The part of a text around the first thing that was looked for.
pub fn snippet(text: &str, query: &Query) -> Snippet {
    let chars = text.char_indices().collect::<Vec<_>>();
    let at = |byte: usize| chars.partition_point(|(at, _)| *at < byte);
    let marks = query.marks(text).into_iter().map(|(from, to)| (at(from), at(to))).collect::<Vec<_>>();
    let (from, to) = window(&chars, marks.first().map_or(0, |mark| mark.0));
    let byte = |char: usize| chars.get(char).map_or(text.len(), |(at, _)| *at);
    let (before, after) = (if from > 0 { "…" } else { "" }, if to < chars.len() { "…" } else { "" });
    let shift = before.chars().count();
    let inside = marks.iter().filter(|(begin, end)| from <= *begin && *end <= to);
    Snippet {
        text: format!("{before}{}{after}", &text[byte(from)..byte(to)]),
        marks: inside.map(|(begin, end)| (begin - from + shift, end - begin)).collect(),
    }
}

/// Which characters are shown.
fn window(chars: &[(usize, char)], first: usize) -> (usize, usize) {
    if chars.len() <= SNIPPET_CHARS {
        return (0, chars.len());
    }
    let from = first.saturating_sub(LEAD_CHARS).min(chars.len() - SNIPPET_CHARS);
    let is_space = |at: &usize| chars[*at].1.is_whitespace();
    let begin = (from..first.min(from + MAX_SHIFT_CHARS)).find(is_space).map_or(from, |space| space + 1);
    let begin = if from == 0 { 0 } else { begin };
    let to = (begin + SNIPPET_CHARS).min(chars.len());
    let end = (to - MAX_SHIFT_CHARS..to).rev().find(is_space).filter(|_| to < chars.len());
    (begin, end.unwrap_or(to))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str, query: &str) -> Snippet {
        snippet(text, &Query::parse(query).unwrap())
    }

    fn marked(snippet: &Snippet) -> Vec<String> {
        let one = |(from, length): &(usize, usize)| snippet.text.chars().skip(*from).take(*length).collect();
        snippet.marks.iter().map(one).collect()
    }

    #[test]
    fn a_short_text_is_shown_whole_and_a_long_one_around_what_was_found() {
        let short = of("Grüße aus Köln", "koln");
        assert_eq!((short.text.as_str(), short.marks.as_slice()), ("Grüße aus Köln", [(10, 4)].as_slice()));
        let long = format!("{}the needle {}", "hay ".repeat(100), "straw ".repeat(100));
        let found = of(&long, "needle");
        assert_eq!(marked(&found), ["needle"]);
        assert!(found.text.starts_with("…hay hay") && found.text.ends_with("straw…"), "{}", found.text);
        assert!(found.text.chars().count() <= SNIPPET_CHARS + 2);
        let at_end = of(&format!("{}needle", "hay ".repeat(200)), "needle");
        assert!(at_end.text.starts_with('…') && at_end.text.ends_with(" needle"), "{at_end:?}");
        assert_eq!(of("", "x"), Snippet::default());
    }

    proptest! {
        #[test]
        fn a_snippet_is_a_part_of_the_text(text in "(\\PC| ){0,600}", query in "\\PC{1,3}") {
            let found = of(&text, &query);
            let inner = found.text.trim_start_matches('…').trim_end_matches('…');
            prop_assert!(text.contains(inner));
            let length = found.text.chars().count();
            prop_assert!(found.marks.iter().all(|(from, count)| from + count <= length));
        }
    }
}
