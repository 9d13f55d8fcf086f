//! From a request to a call, and from what that returns to the answer.

use common::link::{CloseReason, Link};
use common::proto::directory::{Entered, TrackerRequest};
use common::proto::status::Code;
use common::proto::{Empty, Request};
use serde::Serialize;

use super::phase::Phase;
use super::{Session, hang_up};
use crate::error::Failure;
use crate::tracker::sessions::Identity;

impl Session {
    /// Does what is asked, and answers.
    ///
    /// # Errors
    /// When the link has ended.
    pub(super) async fn serve(&mut self, link: &Link, request: Request) -> Result<(), CloseReason> {
        let id = request.id;
        let parsed = TrackerRequest::parse(&request.command, &request.body).map_err(Failure::from);
        let admitted = parsed.and_then(|parsed| {
            self.phase.admits(&parsed)?;
            Ok(parsed)
        });
        let answer = Answer { link, id, command: &request.command };
        match admitted {
            Ok(request) => self.dispatch(request, answer).await,
            Err(failure) => answer.give::<Empty>(Err(failure)),
        }
    }

    #[expect(clippy::cognitive_complexity, reason = "a flat list, one row for each command")]
    async fn dispatch(&mut self, request: TrackerRequest, answer: Answer<'_>) -> Result<(), CloseReason> {
        let (tracker, caller) = (&self.tracker, self.caller);
        match request {
            // Not admitted after the beginning.
            TrackerRequest::Hello(_) => answer.give(Ok(Empty {})),
            TrackerRequest::Heads(asked) => answer.give(tracker.hear_heads(caller.conn, asked).await),
            TrackerRequest::Signup(signup) => {
                let entered = tracker.signup(caller, signup).await;
                self.entered(entered, answer).await
            }
            TrackerRequest::Signin(signin) => {
                let entered = tracker.signin(caller, signin).await;
                self.entered(entered, answer).await
            }
            TrackerRequest::Guest(guest) => {
                let entered = tracker.guest(caller, guest.name).await;
                self.entered(entered, answer).await
            }
            TrackerRequest::Renew(_) => {
                let entered = tracker.renew(caller).await;
                self.entered(entered, answer).await
            }
            TrackerRequest::Devices(_) => answer.give(tracker.devices(caller).await),
            TrackerRequest::Revoke(revoke) => {
                let outcome = tracker.revoke(caller, revoke).await.map(|()| Empty {});
                let is_over = outcome.is_ok() && revoke.key == caller.key;
                answer.give(outcome)?;
                if is_over { Err(hang_up(answer.link, Code::Revoked.into())) } else { Ok(()) }
            }
            TrackerRequest::Signout(_) => {
                let outcome = tracker.signout(caller.key).await;
                if outcome.is_ok() {
                    self.phase = Phase::Stranger;
                }
                answer.give(outcome.map(|()| Empty {}))
            }
            TrackerRequest::Password(change) => {
                answer.give(tracker.change_password(caller, change).await.map(|()| Empty {}))
            }
            TrackerRequest::List(list) => answer.give(self.listing(list).await),
            TrackerRequest::Locate(what) => answer.give(self.locate(what).await),
            TrackerRequest::Host(host) => answer.give(self.host(host).await),
            TrackerRequest::SetPolicy(asked) => answer.give(self.set_policy(asked).await),
            TrackerRequest::Resolve(asked) => answer.give(self.tracker.resolve(&asked.name).await),
            TrackerRequest::Unhost(unhost) => answer.give(self.unhost(unhost).await),
            TrackerRequest::Users(asked) => answer.give(tracker.users(asked).await),
            TrackerRequest::Watch(asked) => answer.give(tracker.watch(caller.conn, asked).await),
            TrackerRequest::Unwatch(asked) => {
                answer.give(tracker.unwatch(caller.conn, asked).await.map(|()| Empty {}))
            }
            TrackerRequest::Invisible(asked) => {
                answer.give(tracker.set_invisible(caller, asked).await.map(|()| Empty {}))
            }
            TrackerRequest::Knock(knock) => answer.give(self.knock(knock).await),
            TrackerRequest::Introduce(introduce) => answer.give(self.introduce(introduce).await),
            TrackerRequest::Transfer(asked) => answer.give(self.transfer(asked).await),
            TrackerRequest::SayToAll(said) => answer.give(self.say_to_all(said).await),
        }
    }

    async fn entered(
        &mut self,
        outcome: Result<(Identity, Entered), Failure>,
        answer: Answer<'_>,
    ) -> Result<(), CloseReason> {
        let (identity, mut entered) = match outcome {
            Ok(entered) => entered,
            Err(failure) => return answer.give::<Entered>(Err(failure)),
        };
        tracing::info!(conn = self.caller.conn.0, subject = %identity.subject, name = ?identity.name.as_str(), "entered");
        let is_news = !matches!(&self.phase, Phase::Entered(before) if before.subject == identity.subject);
        self.phase = Phase::Entered(identity);
        if let Some(told) = self.told {
            match self.missed(told).await {
                Ok(missed) => entered.missed = missed,
                Err(failure) => return answer.give::<Entered>(Err(failure)),
            }
        }
        answer.give(Ok(entered))?;
        if is_news {
            self.tell_knocks(answer.link).await;
        }
        Ok(())
    }
}

/// Where the answer to one request goes.
struct Answer<'a> {
    link: &'a Link,
    id: common::id::RequestId,
    command: &'a str,
}

impl Answer<'_> {
    fn give<R: Serialize>(&self, outcome: Result<R, Failure>) -> Result<(), CloseReason> {
        let outcome = outcome.map_err(Failure::into_refusal);
        let code = outcome.as_ref().err().map_or("ok", |refusal| refusal.code.as_str());
        tracing::debug!(command = ?self.command, code, "request");
        self.link.answer(self.id, &outcome)
    }
}
