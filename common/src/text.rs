//! The terminal filter: all text from elsewhere goes through it before a terminal shows it.
//!
//! It sees to it that text cannot command the terminal, run backwards, hide, spill over the lines around it
//! or pass for another message, and that what people write in the scripts of the world still reads as written.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

use unicode_normalization::char::is_combining_mark;

/// The marks that a character may carry; the words of living languages need no more, "zalgo" does.
pub const MAX_MARKS: usize = 4;

/// What stands for a character that must not reach the terminal and has no picture of its own.
const REPLACEMENT: char = '\u{fffd}';

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// The text of a message as a terminal may show it.
///
/// * A line break of any kind (`\n`, `\r\n`, NEL, U+2028, U+2029) becomes `\n` and `indent` spaces (columns),
///   so that no line of it starts where a message starts. A tab becomes four spaces.
/// * Control characters become visible: ESC is `␛`, those from U+0080 on are U+FFFD, as are the characters
///   that embed, override or isolate a direction of writing.
/// * Invisible characters are dropped, unless they are at work: joiners within an emoji or between letters
///   of the scripts that need them (Arabic, Indic and later), and one variation selector after a character.
///   Flags of regions, spelled with invisible tags, are shown as the plain flag.
/// * The marks on a character are dropped beyond [`MAX_MARKS`]; one without a character gets a dotted circle.
///
/// Unassigned and private-use characters are left alone. Text that needs no change is lent, not copied.
pub fn for_terminal(text: &str, indent: usize) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let line_break = format!("\n{}", " ".repeat(indent));
    Cow::Owned(Filter::new(text, &line_break).run())
}

/// The same for what belongs on one line, such as a name or a reason: a line break is shown as `␤`.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(Filter::new(text, "␤").run())
}

/// Whether Unicode has the character shown as nothing: its property Default_Ignorable_Code_Point.
pub(crate) fn is_default_ignorable(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether the character passes the filter as it is, whatever stands around it.
fn is_plain(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' => false,
        _ => !c.is_control() && !is_default_ignorable(c) && !is_combining_mark(c),
    }
}

/// One pass over a text.
struct Filter<'a> {
    rest: Peekable<Chars<'a>>,
    line_break: &'a str,
    shown: String,
    /// The last character shown of this line.
    last: Option<char>,
    /// The marks shown since the last character that is not a mark.
    marks: usize,
}

impl<'a> Filter<'a> {
    fn new(text: &'a str, line_break: &'a str) -> Self {
        let shown = String::with_capacity(text.len() + text.len() / 8);
        Self { rest: text.chars().peekable(), line_break, shown, last: None, marks: 0 }
    }

    fn run(mut self) -> String {
        while let Some(c) = self.rest.next() {
            self.take(c);
        }
        self.shown
    }

    fn take(&mut self, c: char) {
        match c {
            '\r' if self.rest.peek() == Some(&'\n') => {}
            '\n' | '\u{85}' | '\u{2028}' | '\u{2029}' => self.break_line(),
            '\t' => (0..4).for_each(|_| self.show(' ')),
            '\0'..='\x1f' => self.show(char::from_u32(0x2400 + u32::from(c)).unwrap_or(REPLACEMENT)),
            '\x7f' => self.show('␡'),
            '\u{80}'..='\u{9f}' | '\u{fff9}'..='\u{fffb}' => self.show(REPLACEMENT),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => self.show(REPLACEMENT),
            ZERO_WIDTH_JOINER | ZERO_WIDTH_NON_JOINER if self.joins() => self.show(c),
            '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' if self.varies() => self.show(c),
            _ if is_default_ignorable(c) => {}
            _ if is_combining_mark(c) => self.mark(c),
            _ => {
                self.marks = 0;
                self.show(c);
            }
        }
    }

    fn show(&mut self, c: char) {
        self.shown.push(c);
        self.last = Some(c);
    }

    fn break_line(&mut self) {
        self.shown.push_str(self.line_break);
        self.last = None;
    }

    fn mark(&mut self, c: char) {
        if self.last.is_none() {
            // It would sit on what the program itself has written in front of the text.
            self.show('◌');
            self.marks = 0;
        }
        if self.marks < MAX_MARKS {
            self.marks += 1;
            self.show(c);
        }
    }

    /// Whether a joiner at this place joins, or keeps apart, what stands on both sides of it.
    fn joins(&mut self) -> bool {
        let before = self.last.is_some_and(|c| takes_joiner(c) || is_late_mark(c) || is_selector(c));
        before && self.rest.peek().copied().is_some_and(takes_joiner)
    }

    /// Whether a variation selector at this place has a character to choose the form of.
    fn varies(&self) -> bool {
        self.last.is_some_and(|c| {
            let has_forms = c.is_ascii_digit() || c == '#' || c == '*' || !c.is_ascii();
            has_forms && !is_combining_mark(c) && !is_default_ignorable(c)
        })
    }
}

fn takes_joiner(c: char) -> bool {
    let symbol = matches!(c, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}');
    // The scripts before Arabic do not join their letters.
    symbol || c >= '\u{600}' && c.is_alphabetic() && !is_combining_mark(c) && !is_default_ignorable(c)
}

fn is_late_mark(c: char) -> bool {
    c >= '\u{600}' && is_combining_mark(c)
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe0e}' | '\u{fe0f}')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_harmless_stays_as_it_is() {
        let table = [
            "",
            "plain ASCII, ~all~ of it!",
            "Zoë, naïve, Łódź",
            "日本語 한국어 Ελληνικά",
            "שלום עולם",
            "نص عربي",
            "👍 😀 ♥ 🇩🇪 👍🏽",
            "a\u{a0}b \u{e000} \u{378}",
        ];
        for text in table {
            assert!(matches!(for_terminal(text, 7), Cow::Borrowed(same) if same == text), "{text:?}");
            assert!(matches!(one_line(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
        let needed = [
            "नमस्ते",
            "क्\u{200d}ष",
            "می\u{200c}خواهم",
            "ภาษาไทยที่",
            "שָׁלוֹם",
            "e\u{301}",
            "👨\u{200d}👩\u{200d}👧",
            "🏳\u{fe0f}\u{200d}🌈",
            "👩🏽\u{200d}🚀",
            "❤\u{fe0f}",
            "1\u{fe0f}\u{20e3}",
            "葛\u{e0100}",
        ];
        for text in needed {
            assert_eq!(for_terminal(text, 7), text);
        }
    }

    #[test]
    fn what_is_not_becomes_visible_or_goes() {
        let table = [
            ("\x1b[2Jgone", "␛[2Jgone"),
            ("\x1b]0;title\x07", "␛]0;title␇"),
            ("\u{9b}31mred", "\u{fffd}31mred"),
            ("a\rb", "a␍b"),
            ("a\x08b\x7f\0", "a␈b␡␀"),
            ("\u{202e}nimda\u{202c}", "\u{fffd}nimda\u{fffd}"),
            ("\u{2066}a\u{2069}", "\u{fffd}a\u{fffd}"),
            ("a\u{200b}\u{200c}\u{200d}\u{feff}\u{ad}\u{200e}\u{61c}\u{2060}b", "ab"),
            ("pass\u{200d}word", "password"),
            ("👍\u{200d}", "👍"),
            ("\u{200d}\u{fe0f}👍", "👍"),
            ("a\u{fe0f}b ❤\u{fe0f}\u{fe0f}\u{fe01}", "ab ❤\u{fe0f}"),
            ("🏴\u{e0067}\u{e0062}\u{e007f}", "🏴"),
            ("\u{3164}\u{115f}.", "."),
            ("\u{fff9}a\u{fffb}", "\u{fffd}a\u{fffd}"),
            ("\u{335}x", "◌\u{335}x"),
            (
                "x\u{331}\u{331}\u{331}\u{331}\u{331}\u{34f}\u{331}y\u{331}",
                "x\u{331}\u{331}\u{331}\u{331}y\u{331}",
            ),
            ("a\tb", "a    b"),
        ];
        for (text, shown) in table {
            assert_eq!(for_terminal(text, 3), shown, "{text:?}");
            assert_eq!(one_line(text), shown, "{text:?}");
        }
    }

    #[test]
    fn a_later_line_cannot_pass_for_a_message() {
        for text in
            ["hi\n<ken> ho", "hi\r\n<ken> ho", "hi\u{85}<ken> ho", "hi\u{2028}<ken> ho", "hi\u{2029}<ken> ho"]
        {
            assert_eq!(for_terminal(text, 2), "hi\n  <ken> ho");
            assert_eq!(one_line(text), "hi␤<ken> ho");
        }
        assert_eq!(for_terminal("\n\n", 1), "\n \n ");
        assert_eq!(for_terminal("a\n\u{301}", 0), "a\n◌\u{301}");
    }

    #[test]
    fn the_table_of_invisible_characters_is_that_of_unicode() {
        for c in '\0'..=char::MAX {
            let nothing = unicode_security::skeleton(c.encode_utf8(&mut [0; 4])).next().is_none();
            assert_eq!(is_default_ignorable(c), nothing, "{c:?}");
        }
    }

    fn assert_harmless(text: &str, indent: usize) {
        let shown = for_terminal(text, indent);
        for c in shown.chars() {
            assert!(c == '\n' || !c.is_control(), "{text:?}");
            assert!(!matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'), "{text:?}");
            assert!(!matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}'), "{text:?}");
        }
        for line in shown.split('\n').skip(1) {
            assert_eq!(line.chars().take_while(|c| *c == ' ').take(indent).count(), indent, "{text:?}");
        }
        let marks = shown.chars().collect::<Vec<_>>();
        let is_run = |run: &[char]| run.iter().all(|c| is_combining_mark(*c) && !is_default_ignorable(*c));
        assert!(!marks.windows(MAX_MARKS + 1).any(is_run), "{text:?}");
        let line = one_line(text);
        assert!(!line.chars().any(char::is_control), "{text:?}");
        assert_eq!(one_line(&line), line);
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            assert!(matches!(shown, Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn the_big_list_of_naughty_strings_is_harmless() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../peer/tests/data/naughty-strings.txt");
        let list = std::fs::read_to_string(path).unwrap();
        assert!(list.lines().count() > 500);
        for line in list.lines().chain([list.as_str()]) {
            assert_harmless(line, 8);
        }
    }

    fn any_text() -> impl Strategy<Value = String> {
        let breaking = "\r\n\t\x1b\u{85}\u{9b}\u{202e}\u{2028}\u{2069}";
        let joining = "\u{200b}\u{200c}\u{200d}\u{fe0f}\u{e0100}\u{301}\u{64b}اे👍❤ a1";
        let special = prop::sample::select([breaking, joining].concat().chars().collect::<Vec<_>>());
        prop::collection::vec(prop_oneof![3 => special, 1 => any::<char>()], 0..60)
            .prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn any_text_comes_out_harmless(text in any_text(), indent in 0_usize..20) {
            assert_harmless(&text, indent);
        }

        #[test]
        fn printable_ascii_is_lent(text in "[ -~]{0,80}") {
            assert_harmless(&text, 4);
        }
    }
}
