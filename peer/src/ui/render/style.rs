//! The little colour there is.

/// How a terminal wants text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Whether it knows, and its user wants, colours.
    pub colour: bool,
}

impl Style {
    /// Of no importance now.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// What the eye is to find.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What went wrong.
    pub fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
