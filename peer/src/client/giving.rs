//! What the host asks of this client: it has lost entries, and this peer has received them.

use actix::{AsyncContext, Context, WrapFuture};
use common::id::Epoch;
use common::link::Link;
use common::proto::limits::MAX_GIVING;
use common::proto::recovery::{Fetch, MemberRequest};
use common::proto::status::{Code, Refusal};
use common::proto::{Empty, Request};
use serde::Serialize;

use super::Client;
use super::archive::ArchiveError;
use super::archive::intervals::Intervals;

impl Client {
    /// Answers a request of the host. It gets nothing but what it has given out itself.
    pub(super) fn asked(&mut self, request: &Request, ctx: &mut Context<Self>) {
        let Some(link) = self.link.clone() else { return };
        let id = request.id;
        let archive = self.archive.clone();
        let asked = MemberRequest::parse(&request.command, &request.body);
        let giving = self.giving.begin();
        if !matches!(asked, Ok(MemberRequest::Ping(_)) | Err(_)) && self.giving.count() > MAX_GIVING {
            return answer::<Empty>(&link, id, Err(Code::TooManyRequests.into()));
        }
        match asked {
            Ok(MemberRequest::Fetch(asked)) => {
                let intervals = self.intervals_of(asked);
                let given = async move {
                    let _giving = giving;
                    let given = match intervals {
                        Ok(intervals) => archive.give(&intervals, asked).await,
                        Err(error) => Err(error),
                    };
                    answer(&link, id, given.map_err(Refusal::from));
                };
                ctx.spawn(given.into_actor(self));
            }
            Ok(MemberRequest::Proofs(asked)) => {
                let proven = async move {
                    let _giving = giving;
                    let proven = archive.prove(asked).await;
                    answer(
                        &link,
                        id,
                        proven.map_err(|error| Refusal::new(Code::StorageFailed, error.to_string())),
                    );
                };
                ctx.spawn(proven.into_actor(self));
            }
            Ok(MemberRequest::Ping(_)) | Err(_) => {
                // A link that has ended says so by its stream.
                let _ = link.answer_unexpected(request);
            }
        }
    }

    /// Which entries of the asked life of the log are here.
    fn intervals_of(&self, Fetch { epoch, .. }: Fetch) -> Result<Intervals, ArchiveError> {
        if self.state.is_other(epoch) {
            self.other_intervals(epoch)
        } else {
            Ok(self.state.keeper().intervals().clone())
        }
    }

    fn other_intervals(&self, epoch: Epoch) -> Result<Intervals, ArchiveError> {
        Ok(self.archive.intervals(epoch)?)
    }
}

fn answer<R: Serialize>(link: &Link, id: common::id::RequestId, outcome: Result<R, Refusal>) {
    // A link that has ended says so by its stream.
    let _ = link.answer(id, &outcome);
}
