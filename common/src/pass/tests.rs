use super::*;
use crate::id::AccountId;
use crate::signed::MAX_SIGNED_BYTES;

const ISSUED: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const SECOND: Duration = Duration::from_secs(1);

struct Scene {
    tracker: Identity,
    trusted: Vec<PeerKey>,
    pass: Pass,
}

impl Scene {
    fn new() -> Self {
        let tracker = Identity::generate().unwrap();
        let pass = Pass {
            version: PASS_VERSION,
            signing_key: tracker.key(),
            directory: DirectoryId::new(),
            subject: Subject::Account(AccountId::new()),
            name: "zoë".to_owned(),
            kind: IdentityKind::Account,
            peer_key: Identity::generate().unwrap().key(),
            serial: 7,
            issued: ISSUED,
            expires: ISSUED.plus(PASS_LIFETIME),
        };
        Self { trusted: vec![Identity::generate().unwrap().key(), tracker.key()], tracker, pass }
    }

    fn rules(&self) -> PassRules<'_> {
        PassRules {
            trusted: &self.trusted,
            directory: self.pass.directory,
            holder: self.pass.peer_key,
            now: ISSUED.plus(SECOND),
            grace: Duration::ZERO,
        }
    }

    fn signed(&self) -> SignedPass {
        SignedPass::sign(&self.pass, &self.tracker).unwrap()
    }

    /// Signs what [`SignedPass::sign`] would refuse.
    fn forced(&self, payload: &[u8]) -> SignedPass {
        SignedPass(Signed::sign_payload(payload, &self.tracker).unwrap())
    }
}

#[test]
fn a_sound_pass_says_what_was_signed() {
    let mut scene = Scene::new();
    assert_eq!(scene.signed().verify(&scene.rules()).unwrap(), scene.pass);
    scene.pass.subject = Subject::Guest(scene.pass.peer_key);
    scene.pass.kind = IdentityKind::Guest;
    assert_eq!(scene.signed().verify(&scene.rules()).unwrap(), scene.pass);
}

#[test]
fn the_received_bytes_count_whatever_their_spelling() {
    let scene = Scene::new();
    let mut value = serde_json::to_value(&scene.pass).unwrap();
    value["later_field"] = "ignored".into();
    let spaced = serde_json::to_vec_pretty(&value).unwrap();
    assert_eq!(scene.forced(&spaced).verify(&scene.rules()).unwrap(), scene.pass);
}

#[test]
fn it_travels_as_one_string() {
    let signed = Scene::new().signed();
    let json = serde_json::to_string(&signed).unwrap();
    assert_eq!(json, format!("\"{}\"", signed.as_str()));
    assert_eq!(serde_json::from_str::<SignedPass>(&json).unwrap(), signed);
}

impl Scene {
    /// Checks the pass under each of the rules.
    fn assert_refusals<'a>(&self, table: impl IntoIterator<Item = (PassRules<'a>, Option<PassError>)>) {
        let signed = self.signed();
        for (rules, refusal) in table {
            assert_eq!(signed.verify(&rules).err(), refusal, "{rules:?}");
        }
    }
}

#[test]
fn it_counts_for_one_tracker_and_one_peer() {
    let scene = Scene::new();
    let rules = scene.rules();
    let stranger = Identity::generate().unwrap().key();
    let unknown = || Some(PassError::UnknownSigningKey { key: scene.tracker.key() });
    let other_directory = PassError::OtherDirectory { found: scene.pass.directory };
    let other_peer = PassError::OtherPeer { found: scene.pass.peer_key };
    let (nobody, only_stranger): ([PeerKey; 0], _) = ([], [stranger]);
    scene.assert_refusals([
        (PassRules { trusted: &nobody, ..rules }, unknown()),
        (PassRules { trusted: &only_stranger, ..rules }, unknown()),
        (PassRules { directory: DirectoryId::new(), ..rules }, Some(other_directory)),
        (PassRules { holder: stranger, ..rules }, Some(other_peer)),
    ]);
}

#[test]
fn it_counts_from_its_beginning_to_its_end_with_skew_and_grace() {
    let scene = Scene::new();
    let start = ISSUED.minus(CLOCK_SKEW);
    let end = scene.pass.expires.plus(CLOCK_SKEW);
    let at = |now, grace| PassRules { now, grace, ..scene.rules() };
    let none = Duration::ZERO;
    let expired = || Some(PassError::Expired { at: scene.pass.expires });
    let early = PassError::NotYetValid { from: ISSUED };
    let millisecond = Duration::from_millis(1);
    scene.assert_refusals([
        (at(start, none), None),
        (at(start.minus(millisecond), none), Some(early)),
        (at(end, none), None),
        (at(end.plus(millisecond), none), expired()),
        (at(end.plus(PASS_GRACE), PASS_GRACE), None),
        (at(end.plus(PASS_GRACE).plus(millisecond), PASS_GRACE), expired()),
    ]);
}

#[test]
fn what_is_not_a_pass_is_malformed() {
    let scene = Scene::new();
    let signed = scene.signed();
    let (payload, signature) = signed.as_str().split_once('.').unwrap();
    let table = [
        String::new(),
        ".".to_owned(),
        payload.to_owned(),
        format!(".{signature}"),
        format!("{payload}."),
        format!("{payload}.{signature}.{signature}"),
        format!("{}.{signature}", &payload[1..]),
        format!("{}.{signature}", hex::encode("{}")),
        format!("{}.{signature}", hex::encode("[".repeat(1500))),
    ];
    for text in table {
        let received: SignedPass = text.clone().try_into().unwrap();
        assert_eq!(received.verify(&scene.rules()), Err(PassError::Malformed), "{text}");
    }
    // Signed by the right key, and still no pass.
    let head = serde_json::json!({ "version": PASS_VERSION, "signing_key": scene.tracker.key() });
    assert_eq!(scene.forced(head.to_string().as_bytes()).verify(&scene.rules()), Err(PassError::Malformed));
    for text in ["0".repeat(MAX_SIGNED_BYTES + 1), signed.as_str().to_uppercase(), "\u{1b}[2J".to_owned()] {
        assert_eq!(SignedPass::try_from(text), Err(PassError::Malformed));
    }
}

#[test]
fn a_changed_pass_is_a_bad_signature() {
    let scene = Scene::new();
    let signed = scene.signed();
    let (_, signature) = signed.as_str().split_once('.').unwrap();
    let raised = Pass { serial: 8, ..scene.pass.clone() };
    let raised = hex::encode(serde_json::to_vec(&raised).unwrap());
    let forged = SignedPass::try_from(format!("{raised}.{signature}")).unwrap();
    assert_eq!(forged.verify(&scene.rules()), Err(PassError::BadSignature));

    // What the same key signed for another purpose is no pass either.
    let payload = serde_json::to_vec(&scene.pass).unwrap();
    let bare = format!("{}.{}", hex::encode(&payload), scene.tracker.sign(&payload));
    assert_eq!(SignedPass::try_from(bare).unwrap().verify(&scene.rules()), Err(PassError::BadSignature));
}

#[test]
fn contradictions_and_other_forms_are_neither_signed_nor_believed() {
    let scene = Scene::new();
    let pass = &scene.pass;
    let another = Identity::generate().unwrap().key();
    let guest = IdentityKind::Guest;
    let table = [
        (Pass { kind: guest, ..pass.clone() }, PassError::Inconsistent),
        (Pass { subject: Subject::Guest(pass.peer_key), ..pass.clone() }, PassError::Inconsistent),
        (Pass { subject: Subject::Guest(another), kind: guest, ..pass.clone() }, PassError::Inconsistent),
        (Pass { expires: ISSUED.minus(SECOND), ..pass.clone() }, PassError::Inconsistent),
        (Pass { version: 2, ..pass.clone() }, PassError::OtherVersion { version: 2 }),
    ];
    for (wrong, refusal) in table {
        assert_eq!(SignedPass::sign(&wrong, &scene.tracker).as_ref(), Err(&refusal));
        let forced = scene.forced(&serde_json::to_vec(&wrong).unwrap());
        assert_eq!(forced.verify(&scene.rules()), Err(refusal));
    }
    let foreign = Pass { signing_key: another, ..pass.clone() };
    let refusal = PassError::UnknownSigningKey { key: another };
    assert_eq!(SignedPass::sign(&foreign, &scene.tracker), Err(refusal));
    let endless = Pass { name: "n".repeat(MAX_SIGNED_BYTES), ..pass.clone() };
    assert_eq!(SignedPass::sign(&endless, &scene.tracker), Err(PassError::Malformed));
}

#[test]
fn it_is_renewed_at_half_of_its_life() {
    assert_eq!(Scene::new().pass.renew_at(), ISSUED.plus(PASS_LIFETIME / 2));
}
