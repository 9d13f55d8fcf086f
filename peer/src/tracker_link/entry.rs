//! The ways of entering at the tracker, and what its pass makes of the session.

use common::clock::Timestamp;
use common::link::{Inbox, Link, RequestError};
use common::name::UserName;
use common::pass::PassRules;
use common::proto::directory::{Entered, Guest, Renew, Signin, Signout, Signup};
use common::proto::status::{Code, Refusal};
use common::secret::Secret;

use crate::session::{HeldPass, Session};

/// A way of entering, or of leaving, that the user chose.
#[derive(Clone, Debug)]
pub enum Entry {
    /// Make an account.
    Signup {
        /// Its name.
        name: UserName,
        /// Its password.
        password: Secret,
    },
    /// Bind this peer to an account.
    Signin {
        /// Its name.
        name: UserName,
        /// Its password.
        password: Secret,
    },
    /// Enter without an account.
    Guest {
        /// The wanted name.
        name: UserName,
    },
    /// Unbind this peer from its account.
    Signout,
    /// Get a new pass for who this peer is.
    Renew,
}

impl Entry {
    /// Whether a password goes to the tracker, so that its key has to be confirmed first.
    pub fn needs_trust(&self) -> bool {
        matches!(self, Self::Signup { .. } | Self::Signin { .. })
    }

    /// Asks the tracker; `None` when nobody is entered any more.
    ///
    /// # Errors
    /// Its refusal, or why there is no answer.
    pub async fn ask(self, link: &Link) -> Result<Option<Entered>, RequestError> {
        match self {
            Self::Signup { name, password } => link.request(&Signup { name, password }).await.map(Some),
            Self::Signin { name, password } => link.request(&Signin { name, password }).await.map(Some),
            Self::Guest { name } => link.request(&Guest { name }).await.map(Some),
            Self::Renew => link.request(&Renew {}).await.map(Some),
            Self::Signout => link.request(&Signout {}).await.map(|_| None),
        }
    }
}

/// Enters on a fresh connection: as who this peer is known to be, else as a guest under its name. A name that
/// `is_wanted` by its user comes first, where no account stands against it: the tracker may know this peer by an older one.
///
/// # Errors
/// Why the tracker lets nobody in.
pub async fn enter_silently(
    link: &Link,
    inbox: &mut Inbox,
    name: &UserName,
    is_wanted: bool,
) -> Result<Entered, Refusal> {
    let guest = Guest { name: name.clone() };
    if is_wanted {
        match inbox.ask(link, &guest).await.map_err(RequestError::into_refusal) {
            Err(refusal) if refusal.code == Code::AlreadySignedIn => {}
            entered => return entered,
        }
    }
    match inbox.ask(link, &Renew {}).await.map_err(RequestError::into_refusal) {
        Err(refusal) if refusal.code == Code::NotSignedIn => {
            inbox.ask(link, &guest).await.map_err(RequestError::into_refusal)
        }
        renewed => renewed,
    }
}

/// Makes the session that of a new pass, or of nobody.
///
/// # Errors
/// When the pass would not count at any host.
pub fn adopt(session: &mut Session, entered: Option<Entered>, now: Timestamp) -> Result<(), Refusal> {
    let Some(entered) = entered else {
        session.held = None;
        session.invisible = false;
        session.entered = false;
        return Ok(());
    };
    let Some(directory) = &session.directory else {
        return Err(Refusal::new(Code::BadPass, "the tracker gave a pass before it said of which directory"));
    };
    let rules = PassRules {
        trusted: &directory.signing_keys,
        directory: directory.id,
        holder: session.key,
        now,
        grace: std::time::Duration::ZERO,
    };
    let claims = entered.pass.verify(&rules).map_err(|error| {
        Refusal::new(Code::BadPass, format!("the tracker's pass does not count: {error}"))
    })?;
    let name = claims.name.parse().map_err(|error: common::name::NameError| {
        Refusal::new(Code::BadPass, format!("the tracker's pass has a name that is none: {error}"))
    })?;
    session.username = name;
    session.held = Some(HeldPass { signed: entered.pass, claims });
    session.invisible = entered.invisible;
    session.entered = true;
    Ok(())
}
