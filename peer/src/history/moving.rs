//! A channel taken along to another machine: its log, and what its host signs when it hands it over.

use std::path::PathBuf;

use common::clock::Timestamp;
use common::entry::{Checkpoint, Position};
use common::id::{ChannelId, Epoch, Subject};
use common::identity::PeerKey;
use common::name::ChannelName;
use common::proto::directory::{ChannelRecord, Policy};
use common::proto::moving::HandOver;
use common::proto::status::{Code, Refusal};
use common::signed::Signed;

use super::taking::{self, Source};
use super::{Historian, blocking, check, file};
use crate::api::{BranchOf, Checked, Exported};
use crate::branch;
use crate::client::chat_message;
use crate::host::log::Log;
use crate::host::{Behind, Disclosed, HostRecord};

/// A log that was brought along, and is on disk. It is nobody's until it is [kept](Historian::keep_brought).
#[derive(Clone, Debug)]
pub struct Brought {
    /// The channel, as it will be hosted.
    pub record: HostRecord,
    /// Where the log ends.
    pub head: Position,
    /// Whether it begins anew.
    pub new_log: bool,
    /// What the host before has signed, if it was there.
    pub hand_over: Option<Signed<HandOver>>,
}

impl Historian {
    /// Exports a channel that is hosted here no more, for the key that is to host it.
    ///
    /// # Errors
    /// What is wrong with the file or the log.
    pub async fn hand_over(
        &self,
        record: HostRecord,
        (to, owner): (PeerKey, Subject),
        path: PathBuf,
    ) -> Result<Exported, Refusal> {
        let internal = |error: common::signed::BadSignature| Refusal::new(Code::Internal, error.to_string());
        let head = Log::new(self.store.clone(), record.id, record.epoch).head().await?;
        let (channel, time) = (record.id, Timestamp::now());
        let hand_over = HandOver { channel, term: record.term, to, owner, head, time };
        let hand_over = Signed::sign(&hand_over, &self.identity).map_err(internal)?;
        let signed = Signed::sign(&Checkpoint { channel, position: head, time }, &self.identity);
        let of = Disclosed { record, head, signed: signed.map_err(internal)? };
        self.export_log(self.hosted(of).await?, Some(hand_over), path).await
    }

    /// Takes the log of a channel out of an export, as far as it is proven, and has it on disk.
    ///
    /// # Errors
    /// `not_owner`, `bad_export`, `foreign_export`, `file_failed`, `log_behind` when it does not reach what the tracker
    /// knows.
    pub async fn bring(&self, found: &ChannelRecord, me: Subject, path: PathBuf) -> Result<Brought, Refusal> {
        taking::clear_left_overs(&self.store).await?;
        let (reading, known) = (path.clone(), found.head);
        let mut at = Position::start(found.id, known.epoch);
        let look = move || {
            let (head, looked) = file::read(&reading, |_, header, entry| {
                if at.seq < known.seq {
                    at = Position { seq: header.seq, hash: at.hash.next(&entry.header), ..at };
                }
                Ok(())
            })?;
            Ok((head, looked, at))
        };
        let (head, looked, at) = blocking(look).await?;
        let given = head.hand_over.as_ref().and_then(|given| given.verify(&found.host_key).ok());
        if found.owner.subject != me && given.is_none_or(|given| given.owner != me) {
            return Err(Code::NotOwner.into());
        }
        // What a crash has cut short is the tracker's word already, and its head says which log it is.
        if found.host_key != self.identity.key() {
            check::check_key(looked.host_key, Some(found.host_key), None)?;
        }
        check_origin(found, &looked, head.epoch)?;
        // Before anything of it is taken: what it erases would be gone.
        if at.seq == known.seq && at != known {
            return Err(taking::another_log());
        }
        let is_own = head.sealed_by == self.identity.key();
        let upto = proven(found, &looked, is_own)?;
        let policy = head.policy.filter(|_| looked.by_host).unwrap_or_default();
        let mut record = hosted(found, head.epoch, head.created, policy);
        if looked.by_host {
            (record.forks, record.parent) = (head.forks, head.parent);
        }
        let source = Source { path, looked: Some(looked), upto, known: Some(found.head) };
        let end = taking::append(self, &record, source).await?;
        Ok(Brought { record, head: end, new_log: false, hand_over: head.hand_over })
    }

    /// The log that this peer has hosted so far.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn own(&self, record: HostRecord) -> Result<Brought, Refusal> {
        let head = Log::new(self.store.clone(), record.id, record.epoch).head().await?;
        Ok(Brought { record, head, new_log: false, hand_over: None })
    }

    /// What is here of a log that members have the rest of: nobody can write there before that is gathered.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn begin_gathering(&self, found: &ChannelRecord) -> Result<Brought, Refusal> {
        let mut record = hosted(found, found.head.epoch, None, Policy::default());
        let head = Log::new(self.store.clone(), record.id, record.epoch).head().await?;
        let is_same_key = found.host_key == self.identity.key();
        let reached = Some(found.head).filter(|reached| reached.seq > 0);
        let signers = former_hosts(found);
        record.behind = Some(Behind { why: why_gathering(found, head.seq, is_same_key), reached, signers });
        Ok(Brought { record, head, new_log: false, hand_over: None })
    }

    /// A new log of a channel whose log before is lost.
    pub fn begin_anew(found: &ChannelRecord) -> Brought {
        let mut record = hosted(found, Epoch::new(), None, Policy::default());
        record.parent = Some(found.head);
        let head = Position::start(record.id, record.epoch);
        Brought { record, head, new_log: true, hand_over: None }
    }

    /// From now on the log that was brought along is the channel's.
    ///
    /// # Errors
    /// When that is not known to be on disk.
    pub async fn keep_brought(&self, record: HostRecord) -> Result<(), Refusal> {
        taking::keep_anew(&self.store, record).await
    }

    /// Drops what was brought along: the channel is not hosted here after all.
    ///
    /// # Errors
    /// When that is not known to be done.
    pub async fn drop_brought(&self, id: ChannelId) -> Result<(), Refusal> {
        taking::drop_brought(&self.store, id).await
    }

    /// The newest entries that were put aside when a channel moved.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn branch(
        &self,
        (id, channel): (ChannelId, ChannelName),
        count: u32,
    ) -> Result<BranchOf, Refusal> {
        let aside = branch::read(&self.store, id, None, count as usize).await?;
        let message = |it: &branch::Aside| {
            let (header, entry) = it.open().ok()?;
            Some(chat_message(&channel, it.branch.epoch, header, &entry))
        };
        let messages = aside.iter().filter_map(message).collect();
        Ok(BranchOf { channel, messages })
    }
}

fn hosted(found: &ChannelRecord, epoch: Epoch, created: Option<Timestamp>, policy: Policy) -> HostRecord {
    let record = HostRecord::new(found.name.clone(), found.owner.clone());
    HostRecord {
        id: found.id,
        created: created.unwrap_or(record.created),
        epoch,
        term: found.term,
        policy,
        ..record
    }
}

/// Whose signatures count on a log that is taken over, as far as that is known.
fn former_hosts(found: &ChannelRecord) -> Vec<PeerKey> {
    let moves = found.moved.iter().flat_map(|moved| &moved.moves);
    let handed = moves.filter_map(|step| Some(step.hand_over.as_ref()?.claimed().ok()?.to));
    let mut keys = vec![found.host_key];
    for key in handed {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

fn why_gathering(found: &ChannelRecord, here: u64, is_same_key: bool) -> String {
    let members = match is_same_key {
        true => String::new(),
        false => format!(
            ", and its members are asked whether they trust the key of this one (whoami); whoever does types: leave {0}, then \
             join {0}",
            found.name
        ),
    };
    format!("of its log only {here} entries are on this machine{members}")
}

/// Whether an export is of the log that is hosted.
fn check_origin(found: &ChannelRecord, looked: &Checked, epoch: Epoch) -> Result<(), Refusal> {
    let refuse = |reason: &str| Err(Refusal::new(Code::BadExport, reason));
    if looked.id != found.id {
        return refuse("it is of another channel; to make a channel of it, type: import FILE");
    }
    if epoch != found.head.epoch {
        return refuse(
            "it is of a log that was given up: bring a newer one along, or begin anew with --new-log",
        );
    }
    if let Some(run) = looked.missing.first() {
        let reason = format!(
            "entries {} to {} are not in it: only a whole log can be hosted; fetch them with history first, bring another \
             export along, or begin anew with --new-log",
            run.from, run.to
        );
        return Err(Refusal::new(Code::BadExport, reason));
    }
    Ok(())
}

/// Up to where a log is proven: by what its host has signed, by what the tracker knows, or because this peer itself has
/// received it from the host.
fn proven(found: &ChannelRecord, looked: &Checked, is_own: bool) -> Result<u64, Refusal> {
    if looked.last < found.head.seq {
        let reason = format!(
            "it ends at entry {}, and the tracker has seen the log reach entry {}: bring a newer one along, or begin anew \
             with --new-log",
            looked.last, found.head.seq
        );
        return Err(Refusal::new(Code::LogBehind, reason));
    }
    let signed = looked.signed.filter(|_| looked.host_key == found.host_key);
    let signed = signed.map_or(0, |signed| signed.seq).max(found.head.seq);
    Ok(if is_own { looked.last } else { signed.min(looked.last) })
}
