//! What one place may do in a while, and how fast passwords may be guessed from it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::admission;
use common::clock::Timestamp;
use common::id::{AccountId, ChannelId, Subject};
use common::identity::PeerKey;
use common::meter::{Meter, Rate};
use common::name::UserName;
use common::proto::session;
use common::proto::status::{Code, Refusal};
use common::transport::Origin;

use crate::attempts::{self, Attempts, Verdict};
use crate::limits::{
    ANNOUNCEMENTS, BROADCASTS, GUEST_BROADCASTS, GUEST_KNOCKS, GUESTS, KNOCKS, LISTS, NAMES, RENEWALS,
    REVOCATIONS, SIGNUPS, TRANSFERS, TURNS_INVISIBLE,
};

/// How much in a while, for each place. An operator may change it.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Guests that enter.
    pub guests: Rate,
    /// Accounts that are made.
    pub signups: Rate,
    /// Names that are taken for new channels, or found taken.
    pub names: Rate,
    /// Conversations that one user asks for.
    pub knocks: Rate,
    /// Conversations that the guests of one place ask for.
    pub guest_knocks: Rate,
    /// Pages of the list of channels.
    pub lists: Rate,
    /// What is said of one channel.
    pub announcements: Rate,
    /// Passes that one key asks for.
    pub renewals: Rate,
    /// Turns of one account to invisible and back.
    pub turns_invisible: Rate,
    /// Wrong passwords.
    pub attempts: attempts::Limits,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            guests: GUESTS,
            signups: SIGNUPS,
            names: NAMES,
            knocks: KNOCKS,
            guest_knocks: GUEST_KNOCKS,
            lists: LISTS,
            announcements: ANNOUNCEMENTS,
            renewals: RENEWALS,
            turns_invisible: TURNS_INVISIBLE,
            attempts: attempts::Limits::default(),
        }
    }
}

/// Counts what each user does, from wherever; and guests by where they come from as well, since it costs nothing to be
/// another one.
#[derive(Debug)]
struct OfUsers {
    of_user: Meter<Subject>,
    of_guests: Meter<Origin>,
}

impl OfUsers {
    fn new(of_user: Rate, of_guests: Rate) -> Self {
        Self { of_user: Meter::new(of_user), of_guests: Meter::new(of_guests) }
    }
}

/// Counts what is done. Clones are the same.
#[derive(Clone, Debug)]
pub struct Quotas(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rates: Rates,
    admission: admission::Limits,
    guests: Meter<Origin>,
    signups: Meter<Origin>,
    names: Meter<Origin>,
    lists: Meter<Origin>,
    announcements: Meter<ChannelId>,
    renewals: Meter<PeerKey>,
    turns: Meter<AccountId>,
    revocations: Meter<AccountId>,
    transfers: Meter<Subject>,
    broadcasts: OfUsers,
    knocks: OfUsers,
    attempts: Mutex<Attempts>,
}

impl Quotas {
    /// Nobody has done anything. Who is exempt says `admission`.
    pub fn new(rates: Rates, admission: admission::Limits) -> Self {
        Self(Arc::new(Inner {
            rates,
            admission,
            guests: Meter::new(rates.guests),
            signups: Meter::new(rates.signups),
            names: Meter::new(rates.names),
            lists: Meter::new(rates.lists),
            announcements: Meter::new(rates.announcements),
            renewals: Meter::new(rates.renewals),
            turns: Meter::new(rates.turns_invisible),
            revocations: Meter::new(REVOCATIONS),
            transfers: Meter::new(TRANSFERS),
            broadcasts: OfUsers::new(BROADCASTS, GUEST_BROADCASTS),
            knocks: OfUsers::new(rates.knocks, rates.guest_knocks),
            attempts: Mutex::new(Attempts::new(rates.attempts)),
        }))
    }

    /// The bounds as HELLO tells them to whoever comes from there.
    pub fn advertised(&self, origin: Origin) -> session::Limits {
        let Inner { rates, admission, .. } = &*self.0;
        if admission.is_exempt(origin) {
            return session::Limits::default();
        }
        session::Limits {
            connections: Some(admission.connections_of_origin),
            guests: Some(rates.guests),
            signups: Some(rates.signups),
            names: Some(rates.names),
            ..session::Limits::default()
        }
    }

    /// A guest wants to enter.
    ///
    /// # Errors
    /// `too_many_requests`, with when to come back.
    pub fn guest(&self, origin: Origin) -> Result<(), Refusal> {
        self.check(&self.0.guests, origin, "too many guests came from your address")
    }

    /// Somebody wants to make an account.
    ///
    /// # Errors
    /// `too_many_requests`, with when to come back.
    pub fn signup(&self, origin: Origin) -> Result<(), Refusal> {
        self.check(&self.0.signups, origin, "too many accounts were made from your address")
    }

    /// Somebody wants a name for a new channel.
    ///
    /// # Errors
    /// `too_many_requests`, with when to come back.
    pub fn name(&self, origin: Origin) -> Result<(), Refusal> {
        self.check(&self.0.names, origin, "too many names of channels were asked for from your address")
    }

    /// Somebody looks through the list of channels.
    ///
    /// # Errors
    /// `too_many_requests`, with when to come back.
    pub fn list(&self, origin: Origin) -> Result<(), Refusal> {
        self.check(&self.0.lists, origin, "the list of channels was asked for too often from your address")
    }

    /// Whoever hosts a channel says something of it, from wherever.
    ///
    /// # Errors
    /// `too_many_requests`, with when to come back.
    pub fn announcement(&self, channel: ChannelId) -> Result<(), Refusal> {
        let too_often = |wait| too_many("too much was said of this channel", wait);
        self.0.announcements.check(&channel).map_err(too_often)
    }

    /// A peer wants a new pass.
    ///
    /// # Errors
    /// `too_many_requests`, with when to come back.
    pub fn renewal(&self, key: PeerKey) -> Result<(), Refusal> {
        let too_often = |wait| too_many("this peer has asked for too many passes", wait);
        self.0.renewals.check(&key).map_err(too_often)
    }

    /// An account becomes invisible, or visible again.
    ///
    /// # Errors
    /// `too_many_requests`, with when to come back.
    pub fn turn_invisible(&self, account: AccountId) -> Result<(), Refusal> {
        let too_often = |wait| too_many("the account came and went too often", wait);
        self.0.turns.check(&account).map_err(too_often)
    }

    /// An account signs out one of its devices; from wherever, since all hosts are told of it.
    ///
    /// # Errors
    /// `too_many_requests`, with when to come back.
    pub fn revocation(&self, account: AccountId) -> Result<(), Refusal> {
        let too_often = |wait| too_many("the account has signed out too many devices", wait);
        self.0.revocations.check(&account).map_err(too_often)
    }

    /// Somebody offers a channel, ends an offer, or asks which there are.
    ///
    /// # Errors
    /// `too_many_requests`, with when to come back.
    pub fn transfer(&self, who: Subject) -> Result<(), Refusal> {
        let too_often = |wait| too_many("you have offered, or asked for offers, too often", wait);
        self.0.transfers.check(&who).map_err(too_often)
    }

    /// Somebody says something to all who are there.
    ///
    /// # Errors
    /// `too_many_requests`, with when to come back.
    pub fn broadcast(&self, who: Subject, origin: Origin) -> Result<(), Refusal> {
        let what = ["too much was broadcast from your address", "you have broadcast too much"];
        self.check_user(&self.0.broadcasts, who, origin, what)
    }

    /// Somebody asks for a conversation, with whomever: there may be no such user.
    ///
    /// # Errors
    /// `too_many_requests`, with when to come back.
    pub fn knock(&self, who: Subject, origin: Origin) -> Result<(), Refusal> {
        let what = [
            "too many conversations were asked for from your address",
            "you have asked for too many conversations",
        ];
        self.check_user(&self.0.knocks, who, origin, what)
    }

    fn check_user(
        &self,
        meters: &OfUsers,
        who: Subject,
        origin: Origin,
        [of_origin, own]: [&str; 2],
    ) -> Result<(), Refusal> {
        if let Subject::Guest(_) = who {
            self.check(&meters.of_guests, origin, of_origin)?;
        }
        meters.of_user.check(&who).map_err(|wait| too_many(own, wait))
    }

    fn check(&self, meter: &Meter<Origin>, origin: Origin, what: &str) -> Result<(), Refusal> {
        if self.0.admission.is_exempt(origin) {
            return Ok(());
        }
        meter.check(&origin).map_err(|wait| too_many(what, wait))
    }

    /// Somebody tries a password on a name. What comes of it is to be told to the attempt.
    ///
    /// # Errors
    /// `too_many_requests`, with when to come back.
    pub fn attempt(&self, name: &UserName, origin: Origin, now: Timestamp) -> Result<Attempt, Refusal> {
        let origin = Some(origin).filter(|origin| !self.0.admission.is_exempt(*origin));
        let name = name.folded().to_owned();
        let begun = self.attempts().begin(&name, origin, now);
        begun.map_err(|wait| too_many("too many wrong passwords", wait))?;
        Ok(Attempt { quotas: self.clone(), name, origin, now, verdict: Verdict::Unknown })
    }

    // The attempts are whole after every call, so a panic elsewhere does not spoil them.
    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many(what: &str, wait: Duration) -> Refusal {
    Refusal::new(Code::TooManyRequests, format!("{what}; wait a little")).after(wait)
}

/// A password that is being looked at. Counted as neither right nor wrong when it is dropped before that is known.
#[derive(Debug)]
pub struct Attempt {
    quotas: Quotas,
    name: String,
    origin: Option<Origin>,
    now: Timestamp,
    verdict: Verdict,
}

impl Attempt {
    /// What came of it.
    pub fn end(mut self, is_right: bool, now: Timestamp) {
        self.verdict = if is_right { Verdict::Right } else { Verdict::Wrong };
        self.now = now;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.quotas.attempts().end(&self.name, self.origin, self.verdict, self.now);
    }
}
