//! One hostile connection, from its first word to its end: everything is answered, or the connection ends, in time.

use std::collections::BTreeMap;

use common::identity::{Identity, PeerKey};
use common::proto::status::Code;
use common::transport::{Address, Expected, Stream, Transport};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, ReadHalf, WriteHalf, split};
use tokio::time::timeout;

use super::generator::{Generator, Step};
use super::support::{LIMIT, within};

/// How many steps somebody takes who is not hung up on.
const STEPS: usize = 24;

/// What many connections have come to.
#[derive(Debug, Default)]
pub struct Tally {
    pub connections: usize,
    pub requests: usize,
    /// By what was answered.
    pub answers: BTreeMap<String, usize>,
    /// Connections that the other side has ended.
    pub ended: usize,
}

/// The other side has hung up.
#[derive(Debug)]
pub struct Ended;

/// A connection of plain lines.
pub struct Wire {
    reading: BufReader<ReadHalf<Stream>>,
    writing: WriteHalf<Stream>,
    /// Requests by their ids, and whether they are answered.
    asked: BTreeMap<String, bool>,
}

impl Wire {
    pub async fn dial(identity: &Identity, key: PeerKey, place: &Address) -> Self {
        let transport = Transport::new(identity.clone()).unwrap();
        let connection =
            within(transport.dial(Expected::Key(key), std::slice::from_ref(place))).await.unwrap();
        let (reading, writing) = split(connection.stream);
        Self { reading: BufReader::new(reading), writing, asked: BTreeMap::new() }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        let written = async {
            self.writing.write_all(bytes).await?;
            self.writing.flush().await
        };
        within(written).await.map_err(|_| Ended)
    }

    /// Takes what comes up to the answer to `id`.
    async fn read_answer(&mut self, id: &str, tally: &mut Tally) -> Result<Value, Ended> {
        loop {
            let mut line = String::new();
            // An end without TLS's own farewell is one, too.
            let read = within(self.reading.read_line(&mut line)).await.map_err(|_| Ended)?;
            if read == 0 || !line.ends_with('\n') {
                return Err(Ended);
            }
            let frame: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if frame["event"].is_string() {
                continue;
            }
            self.check(&frame, tally);
            if frame["id"] == id {
                return Ok(frame);
            }
        }
    }

    /// Each answer is of its form, comes once, and is never a fault of the program.
    fn check(&mut self, frame: &Value, tally: &mut Tally) {
        let code = if frame["status"] == "OK" {
            "ok".to_owned()
        } else {
            let code = frame["body"]["code"].as_str().unwrap_or_else(|| panic!("{frame}")).to_owned();
            assert!(!frame["body"]["reason"].as_str().unwrap_or_default().is_empty(), "{frame}");
            let known = Code::from(code.clone());
            assert!(!matches!(known, Code::Other(_) | Code::Internal | Code::StorageFailed), "{frame}");
            code
        };
        *tally.answers.entry(code).or_default() += 1;
        if let Some(is_answered) = self.asked.get_mut(frame["id"].as_str().unwrap()) {
            assert!(!std::mem::replace(is_answered, true), "answered twice: {frame}");
        }
    }

    /// Asks for something that has to work.
    pub async fn ask(
        &mut self,
        generator: &mut Generator<'_>,
        command: &str,
        body: &Value,
        tally: &mut Tally,
    ) -> Result<Value, Ended> {
        let (line, id) = generator.request(command, body);
        self.write(&line).await?;
        let answer = self.read_answer(&id, tally).await?;
        assert_eq!(answer["status"], "OK", "{command} {body}: {answer}");
        Ok(answer["body"].clone())
    }

    /// Says what it is told to say until one side has had enough.
    pub async fn misbehave(&mut self, generator: &mut Generator<'_>, tally: &mut Tally) -> Result<(), Ended> {
        for _ in 0..STEPS {
            match generator.step() {
                Step::Say { bytes, asked } => {
                    tally.requests += asked.len();
                    self.asked.extend(asked.into_iter().map(|id| (id, false)));
                    self.write(&bytes).await?;
                }
                Step::Flood { bytes } => self.write(&bytes).await?,
                Step::Cut(bytes) => return self.write(&bytes).await,
                Step::Vanish => return Ok(()),
            }
            self.settle(generator, tally).await?;
        }
        Ok(())
    }

    /// Waits for all answers.
    async fn settle(&mut self, generator: &mut Generator<'_>, tally: &mut Tally) -> Result<(), Ended> {
        let settled = timeout(LIMIT, self.ping_until_answered(generator, tally)).await;
        settled.unwrap_or_else(|_| {
            let open: Vec<_> = self.asked.iter().filter(|(_, is_answered)| !**is_answered).collect();
            panic!("not answered: {open:?}")
        })
    }

    /// A request that is always answered comes behind the others: then theirs have come, too.
    async fn ping_until_answered(
        &mut self,
        generator: &mut Generator<'_>,
        tally: &mut Tally,
    ) -> Result<(), Ended> {
        loop {
            let (line, id) = generator.request("PING", &json!({}));
            self.write(&line).await?;
            let answer = self.read_answer(&id, tally).await?;
            assert_eq!(answer["status"], "OK", "{answer}");
            // Messages are answered when they are on disk, behind what was asked after them.
            if self.asked.values().all(|is_answered| *is_answered) {
                self.asked.clear();
                return Ok(());
            }
        }
    }
}
