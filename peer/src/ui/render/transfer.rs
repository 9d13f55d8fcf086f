//! Channels that are offered.

use common::clock::Timestamp;
use common::text::one_line;

use super::Renderer;
use super::table::table;
use crate::api::OfferRow;
use crate::ui::parse::quoted;

impl Renderer {
    pub(super) fn offered(&self, offer: &OfferRow, ended: bool) -> String {
        let (from, to) = (one_line(offer.from.as_str()), one_line(offer.to.as_str()));
        let (channel, typed) = (offer.channel.as_str(), quoted(offer.channel.as_str()));
        self.notice(&match (ended, offer.yours) {
            (true, _) => {
                format!("{from} does not offer #{channel} to {to} any more, or {to} has turned it down")
            }
            (false, true) => {
                format!("#{channel} is offered to {to}; to take that back, type: transfer {typed} --withdraw")
            }
            (false, false) => format!(
                "{from} offers you the channel #{channel}; type: transfer {typed} --accept, or --decline"
            ),
        })
    }

    pub(super) fn offers(&self, offers: &[OfferRow], now: Timestamp) -> String {
        if offers.is_empty() {
            return self.notice("no channels are offered to you, or by you");
        }
        let row = |offer: &OfferRow| {
            let typed = quoted(offer.channel.as_str());
            let end = if offer.yours { "--withdraw" } else { "--accept or --decline" };
            let what = format!("transfer {typed} {end}");
            [
                offer.channel.to_string(),
                offer.from.to_string(),
                offer.to.to_string(),
                self.time(offer.until, now),
                what,
            ]
        };
        let rows = offers.iter().map(row).collect::<Vec<_>>();
        table(self.style, ["channel", "from", "to", "until", "type"], &rows)
    }
}
