//! What a member reads of a channel's past and of those it knows, past the actor: that only says whether they may.

use common::id::Subject;
use common::proto::channel::{
    Audit, AuditPage, BanList, Bans, Checkpoints, History, Member, MemberList, StatusOf, StatusReport, Verify,
};
use common::proto::limits::{MAX_PAGE_BYTES, MAX_PAGE_ROWS, MAX_STATUS_IDS};
use common::proto::status::{Code, Refusal};
use common::storage::ReadError;
use serde_json::value::RawValue;

use super::HostHandle;
use super::acts::banned;
use super::log::PageRange;
use super::messages::{Asker, Attest, Consult, GrantedPage, Identify, ListGranted, Permit};

impl HostHandle {
    /// Which of a member's messages are stored. What its older connection had under way was settled before it was let
    /// in, and the log is asked behind every append before: what is not found was not stored.
    pub(super) async fn status_of(
        &self,
        by: Asker,
        StatusOf { ids }: StatusOf,
    ) -> Result<StatusReport, Refusal> {
        if ids.len() > MAX_STATUS_IDS {
            let reason = format!("STATUS_OF takes at most {MAX_STATUS_IDS} ids");
            return Err(Refusal::new(Code::BadRequest, reason));
        }
        let writer = self.ask(Identify { by }).await?;
        let stored = self.shared.log.stored(ids, writer).await.map_err(|error| {
            tracing::warn!(channel = %self.id(), err = ?error.to_string(), "cannot look up messages");
            Refusal::from(Code::StorageFailed)
        })?;
        Ok(StatusReport { stored })
    }

    /// A page of the log, put together from stored bytes.
    pub(super) async fn history(&self, by: Asker, asked: History) -> Result<Box<RawValue>, Refusal> {
        self.ask(Permit { by }).await?;
        let head = self.head();
        let upto = asked.before.map_or(head.seq, |before| before.saturating_sub(1).min(head.seq));
        let rows = asked.limit.unwrap_or(MAX_PAGE_ROWS).min(MAX_PAGE_ROWS) as usize;
        let range = PageRange { after: asked.after.unwrap_or(0), upto, rows, newest: true };
        let page = self.shared.log.page(range).await.map_err(|error| {
            tracing::warn!(channel = %self.id(), err = ?error.to_string(), "cannot read the log");
            Refusal::from(Code::StorageFailed)
        })?;
        let internal = |error: &dyn std::fmt::Display| {
            tracing::error!(channel = %self.id(), err = ?error.to_string(), "cannot make a page");
            Refusal::from(Code::Internal)
        };
        let entries: Vec<&str> = page
            .entries
            .iter()
            .map(|entry| std::str::from_utf8(entry))
            .collect::<Result<_, _>>()
            .map_err(|error| internal(&error))?;
        let head = serde_json::to_string(&head).map_err(|error| internal(&error))?;
        let body = format!(r#"{{"entries":[{}],"head":{head}}}"#, entries.join(","));
        RawValue::from_string(body).map_err(|error| internal(&error))
    }

    /// What this host has signed of its log, and its signature on where that ends now.
    pub(super) async fn verify(&self, by: Asker, Verify { after }: Verify) -> Result<Checkpoints, Refusal> {
        let head = self.ask(Attest { by }).await?;
        let checkpoints = self.shared.log.checkpoints(after.unwrap_or(0)).await.map_err(|error| {
            tracing::warn!(channel = %self.id(), err = ?error.to_string(), "cannot read the checkpoints");
            Refusal::from(Code::StorageFailed)
        })?;
        Ok(Checkpoints { head, checkpoints })
    }

    /// Those who were given something, here or not.
    pub(super) async fn granted(&self, by: Asker, after: Option<String>) -> Result<MemberList, Refusal> {
        let GrantedPage { rows, total, next } = self.ask(ListGranted { by, after }).await?;
        let unknown = rows.iter().filter(|(_, _, name)| name.is_none()).map(|(subject, ..)| *subject);
        let named = self.named(unknown.collect()).await?;
        let name_of = |subject: Subject| {
            let found = named.iter().find(|(known, _)| *known == subject);
            found.and_then(|(_, named)| named.name.clone()).unwrap_or_else(|| subject.to_string())
        };
        let row = |(subject, role, name): (Subject, _, Option<String>)| {
            let name = name.unwrap_or_else(|| name_of(subject));
            Member { subject, name, kind: subject.kind(), role }
        };
        Ok(MemberList { members: rows.into_iter().map(row).collect(), total, next })
    }

    /// Those who are banned.
    pub(super) async fn bans(&self, by: Asker, Bans { after }: Bans) -> Result<BanList, Refusal> {
        let policy = self.ask(Consult { by }).await?;
        let behind = |subject: &&Subject| after.is_none_or(|after| **subject > after);
        let rest: Vec<Subject> =
            policy.bans.iter().filter(behind).take(MAX_PAGE_ROWS as usize).copied().collect();
        let (mut bytes, mut bans) = (0, Vec::new());
        for row in self.named(rest).await?.into_iter().map(banned) {
            bytes += serde_json::to_vec(&row).map_or(0, |json| json.len() + 1);
            if bytes > MAX_PAGE_BYTES {
                break;
            }
            bans.push(row);
        }
        let last = bans.last().map(|row| row.subject);
        let has_more = last.is_some_and(|last| policy.bans.last().is_some_and(|end| *end > last));
        Ok(BanList { bans, total: policy.bans.len(), next: last.filter(|_| has_more) })
    }

    /// What owner and moderators have done.
    pub(super) async fn audit(&self, by: Asker, asked: Audit) -> Result<AuditPage, Refusal> {
        self.ask(Permit { by }).await?;
        let acts = self.shared.acts.page(asked).await.map_err(|error| self.unreadable(&error))?;
        Ok(AuditPage { acts })
    }

    async fn named(&self, subjects: Vec<Subject>) -> Result<Vec<(Subject, super::acts::Named)>, Refusal> {
        self.shared.acts.named(subjects).await.map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, error: &ReadError) -> Refusal {
        tracing::warn!(channel = %self.id(), err = ?error.to_string(), "cannot read what was done");
        Code::StorageFailed.into()
    }
}
