//! One attempt to enter a channel: find its host, prove who is who, say where to go on.

use common::entry::{Checkpoint, Position};
use common::id::Subject;
use common::link::{CloseReason, Inbox, Link, RequestError};
use common::pass::SignedPass;
use common::proto::channel::{Connect, Connected};
use common::proto::directory::{ChannelRecord, Locate};
use common::proto::moving::{Hosting, was_handed_over};
use common::proto::session::Purpose;
use common::proto::status::{Code, Refusal};
use common::shutdown::Shutdown;
use common::signed::Signed;
use common::transport::{Connection, DialError, Expected, Transport, memory_pair};

use super::archive::CatchUp;
use super::resume;
use crate::listener::{self, Hosts};
use crate::tracker_link::{TrackerHandle, hello_for};

/// How many bytes may be under way between a host and its own user's client.
const IN_PROCESS_BYTES: usize = 64 * 1024;

/// A log that is said to be longer than this is a lie: no host stores so much, and numbers stay exact everywhere.
pub(crate) const LONGEST_LOG: u64 = 1 << 53;

/// What is needed to get into a channel.
#[derive(Clone)]
pub struct Way {
    /// How to dial.
    pub transport: Transport,
    /// Who knows where the host is.
    pub tracker: TrackerHandle,
    /// The channels this very peer hosts.
    pub hosts: Hosts,
    /// Ends what is served in process.
    pub shutdown: Shutdown,
}

/// Who asks to be let in.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// Says who.
    pub pass: SignedPass,
    /// Whether others are not to see it.
    pub invisible: bool,
    /// The newest that the host has signed.
    pub proof: Option<Signed<Checkpoint>>,
}

/// From where on entries are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Resume {
    /// The newest entry that is here.
    pub have: Option<Position>,
    /// Whether entries may be left out for now when there are very many.
    pub may_skip: bool,
    /// How many are very many.
    pub catch_up: CatchUp,
}

impl Resume {
    /// What CONNECT says is here, as far as the log is known to be at `head`: nothing, when so much is missing that the
    /// newest entries are to come first.
    pub fn have_for(&self, head: &Position) -> Option<Position> {
        self.have.filter(|_| !self.is_far_from(head))
    }

    /// Whether the newest entries are to come first after all, over another connection: the log is at `head`, and
    /// `have` was said.
    pub fn is_to_skip(&self, have: Option<Position>, head: &Position) -> bool {
        have.is_some() && self.is_far_from(head)
    }

    /// What is to be said instead, over another connection: nothing, when the newest entries are to come first; all that
    /// is here, when the host has lost entries.
    pub fn instead(&self, have: Option<Position>, connected: &Connected) -> Option<Option<Position>> {
        if connected.behind {
            let mine = self.have.filter(|mine| mine.epoch == connected.head.epoch && have.is_none());
            return mine.map(Some);
        }
        self.is_to_skip(have, &connected.head).then_some(None)
    }

    fn is_far_from(&self, head: &Position) -> bool {
        let behind = self.have.filter(|have| have.epoch == head.epoch);
        behind.is_some_and(|have| head.seq.saturating_sub(have.seq) > self.catch_up.far_behind)
            && self.may_skip
    }
}

/// Why a channel was not entered.
#[derive(Debug)]
pub enum NotEntered {
    /// For this reason.
    Refused(Refusal),
    /// It is hosted elsewhere now, or has moved and is back, and that can be trusted: it is to be entered there, once all is
    /// ready for that.
    Moved(Box<ChannelRecord>),
}

impl From<Refusal> for NotEntered {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A channel that was entered.
pub struct Entered {
    /// The connection to its host.
    pub link: Link,
    /// Its reading side: the stream of entries comes next.
    pub inbox: Inbox,
    /// What the host said.
    pub connected: Connected,
    /// What is known of the channel now.
    pub record: ChannelRecord,
    /// Whether this very peer hosts it, so that its log is on the same disk.
    pub at_home: bool,
    /// How many messages may be unanswered there.
    pub window: usize,
}

impl Way {
    /// Enters the channel. Who is far behind gets the newest entries first: how far shows only in the answer, unless
    /// the channel's record shows it already, and is then asked for anew over another connection.
    ///
    /// # Errors
    /// What keeps the client out, and what to do.
    pub async fn enter(
        &self,
        record: ChannelRecord,
        Ticket { pass, invisible, proof }: Ticket,
        resume: Resume,
    ) -> Result<Entered, NotEntered> {
        let have = resume.have_for(&record.head);
        let connect = Connect {
            channel: record.id,
            pass,
            have,
            tail: resume.catch_up.tail,
            invisible,
            proof,
            moved: None,
        };
        let entered = self.enter_at(record, connect.clone()).await?;
        let Some(have) = resume.instead(have, &entered.connected) else { return Ok(entered) };
        // The host lets go of this connection when the next one of the same key comes.
        entered.link.close();
        self.enter_at(entered.record, Connect { have, ..connect }).await
    }

    async fn enter_at(&self, record: ChannelRecord, connect: Connect) -> Result<Entered, NotEntered> {
        let at_home = self.hosts.get(record.id).is_some();
        let (connection, record) = self.reach(record, at_home).await?;
        let (link, mut inbox) = Link::open(connection);
        let hello = hello_for(Purpose::Channel);
        let welcome = inbox.ask(&link, &hello).await.map_err(RequestError::into_refusal)?;
        let window = welcome.limits.window();
        let connected = match inbox.ask(&link, &connect).await.map_err(host_refusal) {
            Ok(connected) => connected,
            Err(refusal) if refusal.code == Code::NoSuchChannel => return Err(self.not_there(&record).await),
            Err(refusal) if refusal.code == Code::Superseded => {
                return Err(self.moved_on(&record, refusal).await);
            }
            Err(refusal) => return Err(refusal.into()),
        };
        check(&connected, &record, connect.have)?;
        link.keep_alive();
        Ok(Entered { link, inbox, connected, record, at_home, window })
    }

    /// Reaches the host where it was last, else where the tracker says it is now.
    async fn reach(
        &self,
        record: ChannelRecord,
        at_home: bool,
    ) -> Result<(Connection, ChannelRecord), NotEntered> {
        if at_home {
            let (ours, theirs) = memory_pair(self.transport.key(), self.transport.key(), IN_PROCESS_BYTES);
            tokio::spawn(listener::serve(theirs, self.hosts.clone(), self.shutdown.clone()));
            return Ok((ours, record));
        }
        match self.dial(&record).await {
            Ok(connection) => Ok((connection, record)),
            Err(error) => {
                let located = self.tracker.request(&Locate::Id(record.id)).await;
                let fresh = match located {
                    Ok(fresh) => follow(&record, fresh)?,
                    Err(refusal) if refusal.code == Code::NoSuchChannel => return Err(gone(&record).into()),
                    Err(_) => return Err(away(&record, &error).into()),
                };
                if fresh.host_key != record.host_key || fresh.term > record.term {
                    return Err(NotEntered::Moved(Box::new(fresh)));
                }
                if fresh.addresses == record.addresses {
                    return Err(away(&record, &error).into());
                }
                let connection = self.dial(&fresh).await.map_err(|error| away(&fresh, &error))?;
                Ok((connection, fresh))
            }
        }
    }

    /// What a host means that is up and says there is no such channel. Of two reasons one passes by itself: it may not
    /// have opened it yet. The tracker knows which.
    async fn not_there(&self, record: &ChannelRecord) -> NotEntered {
        let away = || Refusal::new(Code::HostAway, format!("{}: nobody hosts it at the moment", record.name));
        match self.tracker.request(&Locate::Id(record.id)).await {
            Err(refusal) if refusal.code == Code::NoSuchChannel => gone(record).into(),
            Ok(fresh) if fresh.host_key != record.host_key => match follow(record, fresh) {
                Ok(fresh) => NotEntered::Moved(Box::new(fresh)),
                Err(refusal) => refusal.into(),
            },
            _ => away().into(),
        }
    }

    /// What a host means that says that the channel has moved: the tracker knows where, or that it is back here.
    async fn moved_on(&self, record: &ChannelRecord, refusal: Refusal) -> NotEntered {
        let located = self.tracker.request(&Locate::Id(record.id)).await.ok();
        let fresh = located.filter(|fresh| fresh.term > record.term);
        match fresh.and_then(|fresh| follow(record, fresh).ok()) {
            Some(fresh) => NotEntered::Moved(Box::new(fresh)),
            None => refusal.into(),
        }
    }

    /// Tells the host that was known, if it can be reached, that the channel has moved. It need not agree.
    pub async fn tell_moved(&self, known: ChannelRecord, ticket: Ticket, moved: Signed<Hosting>) {
        let Ok(connection) = self.dial(&known).await else { return };
        let (link, mut inbox) = Link::open(connection);
        let Ticket { pass, invisible, .. } = ticket;
        let connect = Connect {
            channel: known.id,
            pass,
            have: None,
            tail: 0,
            invisible,
            proof: None,
            moved: Some(moved),
        };
        let told = async {
            inbox.ask(&link, &hello_for(Purpose::Channel)).await?;
            inbox.ask(&link, &connect).await.map(drop)
        };
        if let Err(error) = told.await {
            tracing::debug!(channel = %known.id, err = ?error.to_string(), "what the former host says");
        }
        link.close();
    }

    async fn dial(&self, record: &ChannelRecord) -> Result<Connection, DialError> {
        self.transport.dial(Expected::Key(record.host_key), &record.addresses).await
    }
}

/// The channel as the tracker has it now, if that is still the one that is known.
///
/// # Errors
/// `host_key_changed` when it has another key or owner, and was not handed over, or `superseded` for a hosting older than
/// one seen before.
pub fn follow(known: &ChannelRecord, fresh: ChannelRecord) -> Result<ChannelRecord, Refusal> {
    if fresh.id == known.id && fresh.host_key != known.host_key && was_handed_over(known, &fresh) {
        return Ok(fresh);
    }
    if fresh.id != known.id || !is_same_owner(known, &fresh) {
        return Err(Refusal::new(
            Code::HostKeyChanged,
            format!(
                "{} now belongs to {}, not to the known {}. If both confirm it, type: leave {0}, then join {0}",
                known.name, fresh.owner.subject, known.owner.subject
            ),
        ));
    }
    if fresh.host_key != known.host_key {
        return Err(Refusal::new(
            Code::HostKeyChanged,
            format!(
                "{} is now hosted by the key {}, not by the known {}. If its owner confirms the new one, type: leave {0}, \
                 then join {0}",
                known.name, fresh.host_key, known.host_key
            ),
        ));
    }
    if fresh.term < known.term {
        return Err(outdated(known, fresh.term));
    }
    Ok(fresh)
}

/// A guest's channel goes with its owner into the owner's account.
fn is_same_owner(known: &ChannelRecord, fresh: &ChannelRecord) -> bool {
    let was_guest = known.owner.subject == Subject::Guest(known.host_key);
    known.owner.subject == fresh.owner.subject
        || (was_guest && matches!(fresh.owner.subject, Subject::Account(_)))
}

fn outdated(known: &ChannelRecord, term: u64) -> Refusal {
    Refusal::new(
        Code::Superseded,
        format!("{}: its hosting has term {term}, but {} was seen before", known.name, known.term),
    )
}

fn check(connected: &Connected, record: &ChannelRecord, have: Option<Position>) -> Result<(), Refusal> {
    if connected.term < record.term {
        return Err(outdated(record, connected.term));
    }
    let checkpoint = connected.checkpoint.verify(&record.host_key);
    if !checkpoint.is_ok_and(|checkpoint| checkpoint.channel == record.id)
        || !resume::is_possible(&connected.after, record.id)
        || (connected.after.seq > connected.head.seq && !connected.behind)
        || connected.head.seq > LONGEST_LOG
        || connected.after.epoch != connected.head.epoch
        || have.is_some_and(|have| have.epoch == connected.head.epoch && have != connected.after)
    {
        return Err(Refusal::new(Code::BadRequest, format!("{}: its host contradicts itself", record.name)));
    }
    Ok(())
}

fn host_refusal(error: RequestError) -> Refusal {
    match error {
        // Why it hung up is what matters.
        RequestError::Lost(CloseReason::Told(refusal)) => refusal,
        error => error.into_refusal(),
    }
}

fn gone(record: &ChannelRecord) -> Refusal {
    let reason = format!("{} is gone, closed, or not for you; what is to be sent there is kept", record.name);
    Refusal::new(Code::NoSuchChannel, reason)
}

fn away(record: &ChannelRecord, error: &DialError) -> Refusal {
    Refusal::new(Code::HostAway, format!("the host of {} is away: {error}", record.name))
}
