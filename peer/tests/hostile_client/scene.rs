//! A tracker, a host and a member who behaves; beside them those who do not.

use common::entry::Position;
use common::id::{ChannelId, MessageId};
use common::identity::{Identity, PeerKey};
use common::meter::Rate;
use common::proto::channel::HostRequest;
use common::proto::direct::PeerRequest;
use common::proto::directory::TrackerRequest;
use common::proto::file::FileRequest;
use common::transport::Address;
use peer::api::{Command, Reply};
use serde_json::{Value, json};
use tracker::tracker::Counts;

use super::generator::{Examples, Generator, Known};
use super::support::{Person, World, named, until};
use super::visit::{Ended, Tally, Wire};

/// How far a connection is when it begins to break rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// At the tracker, before HELLO.
    TrackerStranger,
    /// After HELLO.
    TrackerGreeted,
    /// As a guest.
    TrackerGuest,
    /// With an account.
    TrackerAccount,
    /// At the host, before HELLO.
    HostStranger,
    /// After HELLO.
    HostGreeted,
    /// In the channel.
    HostMember,
}

/// Those who are in do the most harm, and come twice as often.
pub const PHASES: [Phase; 8] = [
    Phase::TrackerStranger,
    Phase::TrackerGreeted,
    Phase::TrackerGuest,
    Phase::TrackerAccount,
    Phase::HostStranger,
    Phase::HostGreeted,
    Phase::HostMember,
    Phase::HostMember,
];

const PASSWORD: &str = "correct horse battery";

/// What there is of everything that comes and goes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Left {
    tracker: Counts,
    members: usize,
}

pub struct Scene {
    world: World,
    ken: Person,
    charlie: Person,
    channel: ChannelId,
    host: (PeerKey, Address),
    tracker: (PeerKey, Address),
    said: Vec<String>,
    before: Left,
}

impl Scene {
    pub async fn new() -> Self {
        let world = World::new().await;
        let mut config = world.config("ken");
        // They come from afar: what is sent too fast is held, if not for long.
        config.limits.admission.counts_loopback = true;
        (config.limits.messages, config.limits.catch_up) = (Rate::new(1, 6000), Rate::new(1, 1));
        let ken = world.person(config).await;
        ken.entered().await;
        let hosting = ken.host("first").await;
        let charlie = world.guest("charlie").await;
        charlie.join("first").await;
        let key = ken.whoami().await.key;
        let host = (key, Address::tcp(hosting.listen));
        let tracker = (world.key, Address::tcp(world.address));
        let before = left(&world, &ken).await;
        Self { world, ken, charlie, channel: hosting.id, host, tracker, said: Vec::new(), before }
    }

    /// Those of these seeds are hostile, while somebody talks.
    pub async fn round(
        &mut self,
        round: u64,
        seeds: impl Iterator<Item = u64>,
        examples: &Examples,
        tally: &mut Tally,
    ) {
        let (mut hostile, mut tallies) = (Vec::new(), Vec::new());
        for seed in seeds {
            hostile.push(self.visit(seed, examples));
        }
        let talk = self.talk(round);
        let (outcomes, said) =
            futures_util::future::join(futures_util::future::join_all(hostile), talk).await;
        tallies.extend(outcomes);
        self.said.push(said);
        for one in tallies {
            tally.connections += 1;
            tally.requests += one.requests;
            tally.ended += one.ended;
            for (code, count) in one.answers {
                *tally.answers.entry(code).or_default() += count;
            }
        }
    }

    /// Whoever behaves says something and everybody who behaves hears it.
    async fn talk(&self, round: u64) -> String {
        let text = format!("round {round}");
        self.charlie.send("first", &text).await;
        for person in [&self.ken, &self.charlie] {
            until(&format!("{} hears {text}", person.name()), async || person.texts("first").contains(&text))
                .await;
        }
        text
    }

    async fn visit(&self, seed: u64, examples: &Examples) -> Tally {
        let phase = PHASES[(seed % PHASES.len() as u64) as usize];
        let identity = Identity::generate().unwrap();
        let mut tally = Tally::default();
        if self.come(phase, seed, examples, &identity, &mut tally).await.is_err() {
            tally.ended += 1;
        }
        tally
    }

    /// Comes as far as the phase says, and misbehaves from there.
    async fn come(
        &self,
        phase: Phase,
        seed: u64,
        examples: &Examples,
        identity: &Identity,
        tally: &mut Tally,
    ) -> Result<(), Ended> {
        let to_host = matches!(phase, Phase::HostStranger | Phase::HostGreeted | Phase::HostMember);
        let known = self.known(identity);
        let here = if to_host {
            [HostRequest::NAMES, PeerRequest::NAMES, FileRequest::NAMES].concat()
        } else {
            TrackerRequest::NAMES.to_vec()
        };
        let mut generator = Generator::new(seed, examples, &here, known);
        let mut control = Wire::dial(identity, self.tracker.0, &self.tracker.1).await;
        if phase != Phase::TrackerStranger {
            control.ask(&mut generator, "HELLO", &hello("control"), tally).await?;
        }
        let name = format!("mallory{seed}");
        let entry = match phase {
            Phase::TrackerStranger | Phase::TrackerGreeted => None,
            Phase::TrackerAccount => Some(("SIGNUP", json!({ "name": name, "password": PASSWORD }))),
            _ => Some(("GUEST", json!({ "name": name }))),
        };
        if let Some((command, body)) = entry {
            let entered = control.ask(&mut generator, command, &body, tally).await?;
            generator.known.add("pass", entered["pass"].clone());
        }
        if !to_host {
            return control.misbehave(&mut generator, tally).await;
        }
        let mut wire = Wire::dial(identity, self.host.0, &self.host.1).await;
        if phase != Phase::HostStranger {
            wire.ask(&mut generator, "HELLO", &hello("channel"), tally).await?;
        }
        if phase == Phase::HostMember {
            let pass = generator.known.one("pass");
            let connect = json!({ "channel": self.channel, "pass": pass, "tail": 5 });
            let connected = wire.ask(&mut generator, "CONNECT", &connect, tally).await?;
            generator.known.add("have", connected["head"].clone());
        }
        wire.misbehave(&mut generator, tally).await
    }

    /// What somebody can know who wants to do harm.
    fn known(&self, identity: &Identity) -> Known {
        let mut known = Known::default();
        for name in ["ken", "charlie", "first", "mallory", "MALLORY ", "nobody"] {
            known.add("name", name);
        }
        for key in [identity.key(), self.host.0, self.tracker.0] {
            known.add("key", key.to_string());
            known.add("subject", key.to_string());
        }
        known.add("channel", json!(self.channel));
        for id in [json!(self.channel), json!(ChannelId::new()), json!(MessageId::new())] {
            known.add("id", id);
        }
        for purpose in ["control", "channel", "direct", "file"] {
            known.add("purpose", purpose);
        }
        let nowhere = Position { seq: u64::MAX, ..Position::start(self.channel, common::id::Epoch::new()) };
        known.add("have", json!(nowhere));
        known.add("password", PASSWORD);
        known.add("tail", 3);
        known
    }

    /// Nothing is left of anybody who was hostile, and whoever behaves has heard everything once, in order.
    pub async fn end(mut self) {
        until("nobody is left", async || left(&self.world, &self.ken).await == self.before).await;
        for person in [&self.ken, &self.charlie] {
            person.barrier("first").await;
            let messages = person.messages("first");
            let numbers: Vec<u64> = messages.iter().map(|message| message.seq).collect();
            assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{}", person.name());
            let of_charlie = messages.into_iter().filter(|message| message.from == "charlie");
            let texts: Vec<String> = of_charlie.filter_map(|message| message.text).collect();
            assert_eq!(texts, self.said, "{}", person.name());
        }
        self.charlie.stop().await;
        self.ken.stop().await;
        self.world.stop_tracker().await;
    }
}

async fn left(world: &World, ken: &Person) -> Left {
    let tracker = world.tracker().counts().await.unwrap();
    let Reply::Debug(report) = ken.done(Command::Debug { channel: Some(named("first")) }).await else {
        unreachable!()
    };
    Left { tracker, members: report.connections.len() }
}

fn hello(purpose: &str) -> Value {
    json!({ "protocol": 1, "program": "mallory", "purpose": purpose })
}
