//! A card in which one name is typed.

use super::words::why;
use common::proto::status::Refusal;
use maud::{Markup, html};

/// One field with its button. Why what was typed was not done is said below it.
pub(super) struct NameField<'a> {
    /// What the field is called in the page.
    pub id: &'static str,
    /// What its value is sent as.
    pub sent_as: &'static str,
    /// What is written above it.
    pub label: &'static str,
    /// What the button says.
    pub button: &'static str,
    /// What was typed.
    pub typed: &'a str,
    /// Why that was not done.
    pub refusal: Option<&'a Refusal>,
}

impl NameField<'_> {
    pub fn show(&self) -> Markup {
        let Self { id, sent_as, label, button, typed, refusal } = self;
        let said = format!("{id}-said");
        html! {
            label for=(id) { (label) }
            div.together {
                input id=(id) name=(sent_as) value=(typed) required autocomplete="off" maxlength="64" aria-invalid=[refusal.map(|_| "true")] aria-describedby=(said);
                button.main { (button) }
            }
            p.error id=(said) role="alert" { @if let Some(refusal) = refusal { (why(&refusal.reason)) } }
        }
    }
}
