//! How far a session is, and what may be asked by then.

use common::proto::directory::TrackerRequest;
use common::proto::status::Code;

use crate::tracker::sessions::Identity;

/// How far a session is, once it has said HELLO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The key is known, and nobody has entered with it.
    Stranger,
    /// Somebody is in.
    Entered(Identity),
}

/// What a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// HELLO: only as the first request.
    Beginning,
    /// Nothing but a connection.
    Nothing,
    /// Somebody who is in.
    Identity,
}

/// What each request takes; whether the key is bound to an account is for the directory to say.
pub const fn needs(request: &TrackerRequest) -> Needs {
    match request {
        TrackerRequest::Hello(_) => Needs::Beginning,
        TrackerRequest::Heads(_)
        | TrackerRequest::Signup(_)
        | TrackerRequest::Signin(_)
        | TrackerRequest::Signout(_)
        | TrackerRequest::Password(_)
        | TrackerRequest::Guest(_)
        | TrackerRequest::Devices(_)
        | TrackerRequest::Revoke(_)
        | TrackerRequest::Renew(_) => Needs::Nothing,
        TrackerRequest::List(_)
        | TrackerRequest::Host(_)
        | TrackerRequest::Unhost(_)
        | TrackerRequest::SetPolicy(_)
        | TrackerRequest::Resolve(_)
        | TrackerRequest::Locate(_)
        | TrackerRequest::Users(_)
        | TrackerRequest::Watch(_)
        | TrackerRequest::Unwatch(_)
        | TrackerRequest::Invisible(_)
        | TrackerRequest::Knock(_)
        | TrackerRequest::Introduce(_)
        | TrackerRequest::Transfer(_)
        | TrackerRequest::SayToAll(_) => Needs::Identity,
    }
}

impl Phase {
    /// Who is in, for a request that takes somebody.
    ///
    /// # Errors
    /// `not_signed_in`.
    pub fn identity(&self) -> Result<&Identity, Code> {
        match self {
            Self::Stranger => Err(Code::NotSignedIn),
            Self::Entered(identity) => Ok(identity),
        }
    }

    /// Whether a request may be made now.
    ///
    /// # Errors
    /// `wrong_phase` or `not_signed_in`.
    pub fn admits(&self, request: &TrackerRequest) -> Result<(), Code> {
        match needs(request) {
            Needs::Beginning => Err(Code::WrongPhase),
            Needs::Nothing => Ok(()),
            Needs::Identity => self.identity().map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use common::id::Subject;
    use common::identity::PeerKey;
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn every_request_has_its_place() {
        let table = [
            ("HELLO", r#"{"protocol":1,"program":"t","purpose":"control"}"#, [false, false]),
            ("PING", "{}", [true, true]),
            ("SIGNUP", r#"{"name":"ken","password":"correct horse"}"#, [true, true]),
            ("SIGNIN", r#"{"name":"ken","password":"correct horse"}"#, [true, true]),
            ("SIGNOUT", "{}", [true, true]),
            ("PASSWORD", r#"{"old":"correct horse","new":"battery staple"}"#, [true, true]),
            ("GUEST", r#"{"name":"ken"}"#, [true, true]),
            ("RENEW", "{}", [true, true]),
            ("DEVICES", "{}", [true, true]),
            (
                "REVOKE",
                r#"{"key":"8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"}"#,
                [true, true],
            ),
            ("LIST", "{}", [false, true]),
            ("UNHOST", r#"{"id":"01890000-0000-7000-8000-000000000000"}"#, [false, true]),
            ("POLICY", r#"{"id":"01890000-0000-7000-8000-000000000000","policy":{"rev":1}}"#, [false, true]),
            ("RESOLVE", r#"{"name":"ken"}"#, [false, true]),
            ("LOCATE", r#"{"name":"first"}"#, [false, true]),
            ("USERS", "{}", [false, true]),
            ("WATCH", r#"{"subjects":[]}"#, [false, true]),
            ("UNWATCH", r#"{"subjects":[]}"#, [false, true]),
            ("INVISIBLE", r#"{"on":true}"#, [false, true]),
            ("KNOCK", r#"{"name":"charlie"}"#, [false, true]),
            ("INTRODUCE", r#"{"subject":"01890000-0000-7000-8000-000000000000","keys":[]}"#, [false, true]),
            ("TRANSFER", "{}", [false, true]),
            ("BROADCAST", r#"{"text":"hello"}"#, [false, true]),
        ];
        let key = PeerKey::from_bytes([1; 32]);
        let entered =
            Phase::Entered(Identity { subject: Subject::Guest(key), name: "ken".parse().unwrap(), key });
        for (name, body, expected) in table {
            let body = RawValue::from_string(body.into()).unwrap();
            let request = TrackerRequest::parse(name, &body).unwrap();
            let found = [&Phase::Stranger, &entered].map(|phase| phase.admits(&request).is_ok());
            assert_eq!(found, expected, "{name}");
        }
        // HOST, which has a long body, is like UNHOST; see `needs`.
        assert_eq!(table.len() + 1, TrackerRequest::NAMES.len());
    }
}
