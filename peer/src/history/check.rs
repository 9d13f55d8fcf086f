//! Whether an export is what its host has signed, and whole. Pure: line by line.

use common::entry::{Checkpoint, Hash, Header, RawEntry};
use common::identity::PeerKey;
use common::proto::status::{Code, Refusal};

use super::format::{Head, Line, MAX_LINE_BYTES, Seal, VERSION};
use crate::api::{Checked, FaultKind, Run};
use crate::client::LONGEST_LOG;
use crate::client::archive::intervals::Interval;
use crate::client::archive::proof::{Audit, Found, SignedPlaces};

/// What is wrong with an export.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadExport {
    /// Not an export at all, or of a form that is not known.
    #[error("this is no export of a channel in form {VERSION}")]
    Form,
    /// A line that cannot be read.
    #[error("line {0} cannot be read: the file was changed or damaged")]
    Line(u64),
    /// A line that has no place there.
    #[error("line {0} has no place there: the file was put together anew, or something is missing")]
    Place(u64),
    /// Something that is signed by somebody else, or is of another channel.
    #[error(
        "line {0} is of another channel or log, or is not signed by the host: something foreign was put in"
    )]
    Foreign(u64),
    /// Entries that are not in their order.
    #[error(
        "line {line} is entry {found}, where entry {expected} has to come: entries were moved, left out or doubled"
    )]
    Order {
        /// The line.
        line: u64,
        /// Which entry is due.
        expected: u64,
        /// Which is there.
        found: u64,
    },
    /// An entry that is not the one that was signed.
    #[error("entry {seq} (line {line}): {}", why(*.kind))]
    Fault {
        /// The line.
        line: u64,
        /// The entry.
        seq: u64,
        /// What is wrong.
        kind: FaultKind,
    },
    /// The end does not seal what is before it.
    #[error("the seal at the end is not of what stands before it: something was changed, added or left out")]
    Seal,
    /// There is no end.
    #[error("the file ends before its end: it was cut off")]
    Truncated,
    /// There is more behind the end.
    #[error("line {0} is behind the end: something was added")]
    Trailing(u64),
}

impl From<BadExport> for Refusal {
    fn from(error: BadExport) -> Self {
        Self::new(Code::BadExport, error.to_string())
    }
}

fn why(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Unreadable => "it cannot be read",
        FaultKind::Body => "its text is not the one that belongs to it: it was changed",
        FaultKind::Altered | FaultKind::OtherThanSigned => {
            "the chain up to here is not the one that was signed: an entry was changed or made up"
        }
        FaultKind::TwoLogs => "the host has signed two different logs",
        FaultKind::Apart => "it does not follow from the entries before: the host has lost or changed some",
    }
}

/// Where in the file the next line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    Body,
    End,
}

/// An export that is read line by line.
#[derive(Debug)]
pub struct Check {
    stage: Stage,
    head: Option<Head>,
    line: u64,
    /// What the host has signed, as long as more of it may come.
    signed: Option<SignedPlaces>,
    audit: Option<Box<Audit>>,
    hasher: blake3::Hasher,
    part: Option<Interval>,
    at: u64,
    missing: Vec<Run>,
    checked: Option<Checked>,
}

impl Default for Check {
    fn default() -> Self {
        Self {
            stage: Stage::Head,
            head: None,
            line: 0,
            signed: Some(SignedPlaces::default()),
            audit: None,
            hasher: blake3::Hasher::new(),
            part: None,
            at: 0,
            missing: Vec::new(),
            checked: None,
        }
    }
}

impl Check {
    /// The first line, once it was read.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Takes the next line, without its end. Returns the entry that is in it.
    ///
    /// # Errors
    /// When it is not what has to come there. The file is to be taken no further.
    pub fn line(&mut self, bytes: &[u8]) -> Result<Option<(Header, RawEntry)>, BadExport> {
        self.line += 1;
        let entry = match self.stage {
            Stage::Head => self.begin(bytes).map(|()| None),
            Stage::End => Err(BadExport::Trailing(self.line)),
            Stage::Body => self.go_on(bytes),
        }?;
        self.hasher.update(bytes).update(b"\n");
        Ok(entry)
    }

    fn begin(&mut self, bytes: &[u8]) -> Result<(), BadExport> {
        let head: Head = serde_json::from_slice(bytes).map_err(|_| BadExport::Form)?;
        if head.natter_export != VERSION {
            return Err(BadExport::Form);
        }
        self.head = Some(head);
        self.stage = Stage::Body;
        Ok(())
    }

    fn go_on(&mut self, bytes: &[u8]) -> Result<Option<(Header, RawEntry)>, BadExport> {
        if bytes.len() > MAX_LINE_BYTES {
            return Err(BadExport::Line(self.line));
        }
        let line = serde_json::from_slice(bytes).map_err(|_| BadExport::Line(self.line))?;
        let head = self.head.take().ok_or(BadExport::Form)?;
        let found = self.of_line(line, &head);
        self.head = Some(head);
        found
    }

    fn of_line(&mut self, line: Line, head: &Head) -> Result<Option<(Header, RawEntry)>, BadExport> {
        match line {
            Line::Checkpoint(signed) => {
                let places = self.signed.as_mut().ok_or(BadExport::Place(self.line))?;
                let checkpoint = signed.verify(&head.host_key).ok();
                let is_ours = |it: &Checkpoint| it.channel == head.channel && it.position.epoch == head.epoch;
                places.add(&checkpoint.filter(is_ours).ok_or(BadExport::Foreign(self.line))?);
                Ok(None)
            }
            Line::Part(part) => self.begin_part(part, head).map(|()| None),
            Line::Entry(entry) => self.entry(entry).map(Some),
            Line::End(seal) => {
                let sealed = seal.verify(&head.sealed_by).map_err(|_| BadExport::Seal)?;
                self.end(head, sealed).map(|()| None)
            }
        }
    }

    fn begin_part(&mut self, part: Interval, head: &Head) -> Result<(), BadExport> {
        let is_before_whole = self.part.is_none_or(|before| before.end.seq == self.at);
        let in_itself = part.after <= part.base.seq && part.base.seq <= part.end.seq;
        if !is_before_whole || !in_itself || part.after < self.at || part.end.seq > LONGEST_LOG {
            return Err(BadExport::Place(self.line));
        }
        if part.after > self.at {
            self.missing.push(Run { from: self.at + 1, to: part.after });
        }
        self.audit().begin(part, Hash::root(head.channel, head.epoch));
        (self.part, self.at) = (Some(part), part.after);
        self.check_faults()
    }

    /// What the entries are checked by; there is no further checkpoint then.
    fn audit(&mut self) -> &mut Audit {
        let signed = self.signed.take();
        self.audit.get_or_insert_with(|| Box::new(Audit::new(signed.unwrap_or_default())))
    }

    fn entry(&mut self, entry: RawEntry) -> Result<(Header, RawEntry), BadExport> {
        let (line, expected) = (self.line, self.at + 1);
        let header: Header = serde_json::from_str(entry.header.get()).map_err(|_| BadExport::Line(line))?;
        if self.part.is_none_or(|part| expected > part.end.seq) {
            return Err(BadExport::Place(line));
        }
        if header.seq != expected {
            return Err(BadExport::Order { line, expected, found: header.seq });
        }
        self.at = expected;
        let found = Found { entry: Some(entry), noted: None, is_bare: false };
        self.audit().next(&found);
        self.check_faults()?;
        let Found { entry, .. } = found;
        entry.map(|entry| (header, entry)).ok_or(BadExport::Line(line))
    }

    fn check_faults(&mut self) -> Result<(), BadExport> {
        let line = self.line;
        let fault = self.audit().first_fault();
        fault.map_or(Ok(()), |(seq, kind)| Err(BadExport::Fault { line, seq, kind }))
    }

    fn end(&mut self, head: &Head, sealed: Seal) -> Result<(), BadExport> {
        if self.part.is_some_and(|part| part.end.seq != self.at) {
            return Err(BadExport::Place(self.line));
        }
        let hash = Hash::from_bytes(*self.hasher.finalize().as_bytes());
        let audited = std::mem::take(self.audit()).end();
        self.stage = Stage::End;
        if sealed.hash != hash || sealed.channel != head.channel || sealed.entries != audited.entries {
            return Err(BadExport::Seal);
        }
        self.checked = Some(Checked {
            channel: head.name.clone(),
            id: head.channel,
            owner: head.owner.clone(),
            host_key: head.host_key,
            by_host: head.sealed_by == head.host_key,
            entries: audited.entries,
            last: self.at,
            signed: audited.proven,
            missing: std::mem::take(&mut self.missing),
            unproven: audited.unproven,
        });
        Ok(())
    }

    /// What has come of it, behind the last line.
    ///
    /// # Errors
    /// When there was no end.
    pub fn finish(self) -> Result<(Head, Checked), BadExport> {
        self.head.zip(self.checked).ok_or(if self.line == 0 { BadExport::Form } else { BadExport::Truncated })
    }
}

/// Whether a checked export can become a channel again: all of it is there, and signed.
///
/// # Errors
/// `bad_export`, and what is missing.
pub fn check_whole(checked: &Checked) -> Result<(), Refusal> {
    let refuse = |reason: String| Err(Refusal::new(Code::BadExport, reason));
    if let Some(run) = checked.missing.first() {
        return refuse(format!(
            "entries {} to {} are not in it: only a whole log can be hosted; get one from the host, or fetch the rest with \
             history first",
            run.from, run.to
        ));
    }
    let signed = checked.signed.map_or(0, |signed| signed.seq);
    if signed < checked.last {
        return refuse(format!(
            "the entries from {} on are not signed by the host; export again while the host is there",
            signed + 1
        ));
    }
    if !checked.unproven.is_empty() {
        return refuse("some of its entries are not signed by the host".to_owned());
    }
    Ok(())
}

/// Whether the key that signed an export is one that counts here.
///
/// # Errors
/// `foreign_export`, and how to take it all the same.
pub fn check_key(signed_by: PeerKey, known: Option<PeerKey>, given: Option<PeerKey>) -> Result<(), Refusal> {
    let refuse = |reason: String| Err(Refusal::new(Code::ForeignExport, reason));
    match known.or(given) {
        Some(key) if key == signed_by && given.is_none_or(|given| given == signed_by) => Ok(()),
        Some(key) => refuse(format!(
            "it is signed by the key {signed_by}, and not by {key}, which is the one of this channel's host"
        )),
        None => refuse(format!(
            "it is signed by the key {signed_by}, which is not known here; when whoever hosted the channel confirms it, say \
             so: --key {signed_by}"
        )),
    }
}

#[cfg(test)]
mod tests;
