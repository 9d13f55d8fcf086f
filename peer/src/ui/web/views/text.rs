//! A message's text: only ever as text, with code set apart and links that open safely.

use linkify::{LinkFinder, LinkKind};
use maud::{Markup, Render, html};

/// A part of a text, as its author set it apart.
#[derive(Debug, PartialEq, Eq)]
enum Block<'a> {
    Plain(&'a str),
    /// What stood between two lines of three backticks.
    Code(&'a str),
}

/// A part of a line.
#[derive(Debug, PartialEq, Eq)]
enum Span<'a> {
    Text(&'a str),
    Code(&'a str),
    Link { shown: &'a str, target: String },
}

/// The text of a message.
pub(in crate::ui::web) fn message_text(text: &str) -> Markup {
    html! {
        @for block in blocks(text) {
            @match block {
                Block::Plain(text) => p dir="auto" { @for span in spans(text) { (span) } },
                Block::Code(code) => pre { code { (code) } },
            }
        }
    }
}

impl Render for Span<'_> {
    fn render(&self) -> Markup {
        html! {
            @match self {
                Self::Text(text) => (text),
                Self::Code(code) => code { (code) },
                Self::Link { shown, target } => {
                    a href=(target) target="_blank" rel="noopener noreferrer nofollow" { (shown) }
                }
            }
        }
    }
}

/// Code stands between fences of its own lines; a fence that is never closed is text.
fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((before, code, after)) = first_code(rest) {
        push_plain(&mut blocks, before);
        blocks.push(Block::Code(code));
        rest = after;
    }
    push_plain(&mut blocks, rest);
    blocks
}

fn push_plain<'a>(blocks: &mut Vec<Block<'a>>, text: &'a str) {
    if !text.is_empty() {
        blocks.push(Block::Plain(text));
    }
}

fn first_code(text: &str) -> Option<(&str, &str, &str)> {
    let mut fences = fences(text);
    let (opens, begins) = fences.next()?;
    let (ends, closes) =
        fences.find(|(at, end)| text.get(*at..*end).is_some_and(|line| line.trim() == "```"))?;
    let before = text.get(..opens)?;
    let code = text.get(begins..ends)?;
    let before = before.strip_suffix('\n').unwrap_or(before);
    Some((before, code.strip_suffix('\n').unwrap_or(code), text.get(closes..)?))
}

/// Where lines begin that are a fence, and where the next one does.
fn fences(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let begins = at;
        at += line.len();
        let word = line.trim_end().strip_prefix("```")?;
        (!word.contains('`')).then_some((begins, at))
    })
}

fn spans(text: &str) -> Vec<Span<'_>> {
    let mut spans = Vec::new();
    let mut rest = text;
    while let Some((before, code, after)) = first_inline_code(rest) {
        push_links(&mut spans, before);
        spans.push(Span::Code(code));
        rest = after;
    }
    push_links(&mut spans, rest);
    spans
}

/// Code in a line stands between two single backticks; where there are more together they are text.
fn first_inline_code(text: &str) -> Option<(&str, &str, &str)> {
    let mut opens = None;
    for (at, end) in backticks(text) {
        opens = match opens.filter(|opens| !text.get(*opens..at).unwrap_or_default().contains('\n')) {
            _ if end - at > 1 => None,
            None => Some(at),
            Some(opens) => return Some((text.get(..opens)?, text.get(opens + 1..at)?, text.get(end..)?)),
        };
    }
    None
}

/// Where backticks stand together.
fn backticks(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + text.get(from..)?.find('`')?;
        let rest = text.get(at..)?;
        from = at + rest.find(|c| c != '`').unwrap_or(rest.len());
        Some((at, from))
    })
}

fn push_links<'a>(spans: &mut Vec<Span<'a>>, text: &'a str) {
    let mut finder = LinkFinder::new();
    finder.url_must_have_scheme(true);
    for part in finder.spans(text) {
        let shown = part.as_str();
        let target = part.kind().and_then(|kind| safe_target(kind, shown));
        spans.push(match target {
            Some(target) => Span::Link { shown, target },
            None => Span::Text(shown),
        });
    }
}

/// Where a link leads, when it is of a kind that cannot run anything.
fn safe_target(kind: &LinkKind, shown: &str) -> Option<String> {
    match kind {
        LinkKind::Email => Some(format!("mailto:{shown}")),
        LinkKind::Url => {
            let scheme = shown.split(':').next().unwrap_or_default().to_ascii_lowercase();
            ["http", "https"].contains(&scheme.as_str()).then(|| shown.to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        message_text(text).into_string()
    }

    #[test]
    fn text_stays_text() {
        let written = "<script>alert(1)</script> <img src=x onerror=alert(1)> & \"'";
        let html = shown(written);
        assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
        assert!(html.contains("&lt;script&gt;") && html.contains("&quot;"), "{html}");
        let html = shown("```\n<script>\n```\n`<b>` http://a.example/<script>");
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
    }

    #[test]
    fn only_links_that_cannot_run_anything_are_links() {
        for (text, target) in [
            ("see https://a.example/x?y=1&z.", "https://a.example/x?y=1&amp;z"),
            ("(http://a.example)", "http://a.example"),
            ("HTTPS://a.example", "HTTPS://a.example"),
            ("write to ken@a.example!", "mailto:ken@a.example"),
        ] {
            let html = shown(text);
            let expected =
                format!(r#"<a href="{target}" target="_blank" rel="noopener noreferrer nofollow">"#);
            assert!(html.contains(&expected), "{html}");
        }
        for text in [
            "javascript:alert(1)",
            "javascript://a.example/%0aalert(1)",
            "data:text/html,<script>alert(1)</script>",
            "vbscript://x.example",
            "file:///etc/passwd",
            "ftp://a.example/x",
            "www.a.example",
            "\" onmouseover=\"alert(1)",
        ] {
            assert!(!shown(text).contains("<a "), "{text}");
        }
        let html = shown("https://a.example/\"onmouseover=\"alert(1)");
        assert!(!html.contains("\"onmouseover"), "{html}");
    }

    #[test]
    fn code_is_set_apart() {
        let table: &[(&str, &[Block<'_>])] = &[
            ("a", &[Block::Plain("a")]),
            ("```\nx = 1\n```", &[Block::Code("x = 1")]),
            ("a\n```rust\nx\n\ny\n```\nb", &[Block::Plain("a"), Block::Code("x\n\ny"), Block::Plain("b")]),
            ("```\nnever closed", &[Block::Plain("```\nnever closed")]),
            ("```\n```", &[Block::Code("")]),
            ("``` a ``` b", &[Block::Plain("``` a ``` b")]),
        ];
        for (text, expected) in table {
            assert_eq!(blocks(text), *expected, "{text}");
        }
        assert_eq!(spans("a `b` c"), [Span::Text("a "), Span::Code("b"), Span::Text(" c")]);
        assert_eq!(spans("a ` b"), [Span::Text("a ` b")]);
        assert_eq!(spans("``"), [Span::Text("``")]);
        assert_eq!(spans("``` a ``` `b` ``"), [Span::Text("``` a ``` "), Span::Code("b"), Span::Text(" ``")]);
        assert_eq!(spans("`a\nb `c`"), [Span::Text("`a\nb "), Span::Code("c")]);
        assert_eq!(spans("a `b\nc` d"), [Span::Text("a `b\nc` d")]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_put_in(text in "[a`<>&\"' \\n./:h@tp-]{0,60}") {
            let all = spans(&text).iter().map(|span| match span {
                Span::Text(text) | Span::Link { shown: text, .. } => (*text).to_owned(),
                Span::Code(code) => format!("`{code}`"),
            }).collect::<String>();
            prop_assert_eq!(all, text.clone());
            let html = shown(&text);
            let tags = html.matches('<').count();
            let ours = ["<p dir", "</p>", "<pre>", "</pre>", "<code>", "</code>", "<a href", "</a>"];
            prop_assert_eq!(ours.iter().map(|tag| html.matches(tag).count()).sum::<usize>(), tags);
        }

        #[test]
        fn any_text_can_be_shown(text in any::<String>()) {
            shown(&text);
        }
    }
}
