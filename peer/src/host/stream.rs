//! How a member catches up: from the log, at its own pace, until the host hands it over to live.

use common::crash::{self, Point};
use common::link::Link;
use common::proto::limits::{CATCH_UP_BYTES, MAX_PAGE_ROWS};
use common::proto::status::Code;

use super::HostHandle;
use super::channel::ConnId;
use super::log::PageRange;
use super::messages::{GoLive, Handover};

/// Pushes all entries after number `after` that are on disk, and ends when the member is live or gone.
///
/// The host makes the member live in one step of its own, and only if it lacks nothing at that moment: no entry is
/// missed, and none comes twice.
pub(super) async fn catch_up(host: HostHandle, link: Link, conn: ConnId, mut after: u64) {
    loop {
        match host.addr.send(GoLive { conn, after }).await {
            Ok(Handover::ReadTo(upto)) => match push_pages(&host, &link, after, upto).await {
                Some(reached) => after = reached,
                None => return,
            },
            Ok(Handover::Live | Handover::Gone) | Err(_) => return,
        }
    }
}

/// Pushes the entries after `after` up to `upto`; `None` when the link has ended, or ends by this.
async fn push_pages(host: &HostHandle, link: &Link, mut after: u64, upto: u64) -> Option<u64> {
    while after < upto {
        link.outgoing().below(CATCH_UP_BYTES).await;
        if link.is_closed() {
            return None;
        }
        let range = PageRange { after, upto, rows: MAX_PAGE_ROWS as usize, newest: false };
        match host.shared.log.lines(range).await {
            Ok((lines, count)) => {
                link.push(lines).ok()?;
                crash::here(Point::HostStreamed);
                after += count;
            }
            Err(error) => {
                tracing::warn!(channel = %host.id(), seq = after, err = ?error.to_string(), "cannot read the log");
                // The member comes back and asks from where it is.
                link.close_because(Code::StorageFailed.into());
                return None;
            }
        }
    }
    Some(after)
}
