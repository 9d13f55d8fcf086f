//! What somebody says who knows the protocol and does not keep to it: valid and almost valid, in any order. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::dice::Dice;

const PROTOCOL: &str = include_str!("../../../docs/PROTOCOL.md");
/// How many lines are written at once.
const LINES: u64 = 8;
/// How many requests a flood has: their answers are more than may wait for a reader.
const FLOOD: usize = 5000;

/// All requests of the protocol's document, by their commands.
pub struct Examples {
    requests: BTreeMap<String, Vec<Value>>,
    others: Vec<Value>,
}

impl Examples {
    pub fn read() -> Self {
        let (mut requests, mut others) = (BTreeMap::<String, Vec<Value>>::new(), Vec::new());
        let lines = PROTOCOL.lines().filter(|line| line.starts_with('{'));
        for frame in lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            match frame["command"].as_str() {
                Some(command) => requests.entry(command.to_owned()).or_default().push(frame["body"].clone()),
                None => others.push(frame),
            }
        }
        Self { requests, others }
    }

    pub fn commands(&self) -> impl Iterator<Item = &str> {
        self.requests.keys().map(String::as_str)
    }
}

/// What is real where it is said, by the names of fields: without it most requests would end at the first check.
#[derive(Clone, Default)]
pub struct Known(BTreeMap<&'static str, Vec<Value>>);

impl Known {
    pub fn add(&mut self, field: &'static str, value: impl Into<Value>) {
        self.0.entry(field).or_default().push(value.into());
    }

    /// The first that was added.
    pub fn one(&self, field: &str) -> Value {
        self.0[field][0].clone()
    }
}

/// What is done next.
pub enum Step {
    /// These bytes are written; each of these ids is to be answered once.
    Say { bytes: Vec<u8>, asked: Vec<String> },
    /// The same, and nothing is read before all of it is written.
    Flood { bytes: Vec<u8> },
    /// Half a line, and then nothing any more.
    Cut(Vec<u8>),
    /// Nothing any more.
    Vanish,
}

pub struct Generator<'a> {
    dice: Dice,
    examples: &'a Examples,
    /// The commands that mean something where it is said, and those that mean something elsewhere.
    commands: [Vec<&'a str>; 2],
    pub known: Known,
    said: u64,
}

impl<'a> Generator<'a> {
    pub fn new(seed: u64, examples: &'a Examples, here: &[&'a str], known: Known) -> Self {
        let elsewhere = examples.commands().filter(|command| !here.contains(command)).collect();
        Self { dice: Dice::new(seed), examples, commands: [here.to_vec(), elsewhere], known, said: 0 }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.dice.roll(100) < percent
    }

    /// What comes next.
    pub fn step(&mut self) -> Step {
        match self.dice.roll(100) {
            0..94 => self.lines(),
            94 => Step::Flood { bytes: self.flood() },
            95..97 => Step::Vanish,
            _ => {
                let (mut line, _) = self.line();
                line.truncate(self.dice.roll(line.len() as u64) as usize);
                Step::Cut(line)
            }
        }
    }

    fn lines(&mut self) -> Step {
        let (mut bytes, mut asked) = (Vec::new(), Vec::new());
        for _ in 0..=self.dice.roll(LINES) {
            let (line, id) = self.line();
            bytes.extend(line);
            asked.extend(id);
        }
        Step::Say { bytes, asked }
    }

    fn flood(&mut self) -> Vec<u8> {
        (0..FLOOD).flat_map(|_| self.request("PING", &json!({})).0).collect()
    }

    /// An id that was not said before by this one.
    pub fn id(&mut self) -> String {
        self.said += 1;
        format!("{:08x}-0000-4000-8000-{:012x}", self.dice.roll(1 << 32), self.said)
    }

    /// A request as it should be, and its id.
    pub fn request(&mut self, command: &str, body: &Value) -> (Vec<u8>, String) {
        let id = self.id();
        let frame = json!({ "id": id, "command": command, "body": body });
        (format!("{frame}\n").into_bytes(), id)
    }

    /// A line, and the id that is to be answered when the line is a frame that may only be wrong within its body.
    fn line(&mut self) -> (Vec<u8>, Option<String>) {
        if self.chance(4) {
            let other = &self.examples.others[self.dice.roll(self.examples.others.len() as u64) as usize];
            return (format!("{other}\n").into_bytes(), None);
        }
        let elsewhere = usize::from(self.chance(10));
        let command = self.dice.one_of(&self.commands[elsewhere]);
        let mut body = self.body(command);
        if self.chance(40) {
            for _ in 0..=self.dice.roll(3) {
                self.spoil(&mut body, 0);
            }
        }
        if self.chance(12) { (self.spoiled_line(command, &body), None) } else { self.checked(command, &body) }
    }

    /// What is too long or too deep is no frame.
    fn checked(&mut self, command: &str, body: &Value) -> (Vec<u8>, Option<String>) {
        let (line, id) = self.request(command, body);
        let is_frame = line.len() < 60 * 1024 && depth(body) < 16;
        (line, is_frame.then_some(id))
    }

    fn body(&mut self, command: &str) -> Value {
        let bodies = &self.examples.requests[command];
        let mut body = bodies[self.dice.roll(bodies.len() as u64) as usize].clone();
        self.fill(&mut body);
        body
    }

    /// Puts in what is real.
    fn fill(&mut self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let known = self.known.0.get(name.as_str()).filter(|known| !known.is_empty());
                    match known.map(Vec::len) {
                        Some(count) if self.chance(85) => {
                            let choice = self.dice.roll(count as u64) as usize;
                            *value = self.known.0[name.as_str()][choice].clone();
                        }
                        _ => self.fill(value),
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.fill(value)),
            _ => {}
        }
    }

    /// Makes something else of some part of it.
    fn spoil(&mut self, value: &mut Value, depth: usize) {
        let inside = match value {
            Value::Object(fields) => !fields.is_empty(),
            Value::Array(values) => !values.is_empty(),
            _ => false,
        };
        if !inside || depth > 6 || self.chance(10) {
            *value = self.odd();
            return;
        }
        match value {
            Value::Object(fields) => self.spoil_field(fields, depth),
            Value::Array(values) => {
                let place = self.dice.roll(values.len() as u64) as usize;
                match self.dice.roll(4) {
                    0 => drop(values.remove(place)),
                    1 => values.push(values[place].clone()),
                    _ => self.spoil(&mut values[place], depth + 1),
                }
            }
            _ => {}
        }
    }

    fn spoil_field(&mut self, fields: &mut Map<String, Value>, depth: usize) {
        let place = self.dice.roll(fields.len() as u64) as usize;
        let Some(name) = fields.keys().nth(place).cloned() else { return };
        match self.dice.roll(8) {
            0 => drop(fields.remove(&name)),
            1 => drop(fields.insert(name.to_uppercase(), Value::Null)),
            2 => {
                let odd = self.odd();
                fields.insert("later".into(), odd);
            }
            _ => {
                if let Some(value) = fields.get_mut(&name) {
                    self.spoil(value, depth + 1);
                }
            }
        }
    }

    fn odd(&mut self) -> Value {
        let long = [1, 255, 256, 257, 4096, 16 * 1024, 16 * 1024 + 1, 50 * 1024, 70 * 1024];
        match self.dice.roll(22) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(0),
            4 => json!(u64::MAX),
            5 => json!(i64::MIN),
            6 => json!(1.5e308),
            7 => json!(""),
            8 => json!(" "),
            9 => json!([]),
            10 => json!({}),
            11 => json!("\u{202e}\u{200b}\u{0}\u{1b}[2J"),
            12 => json!("0000000000000000000000000000000000000000000000000000000000000000"),
            13 => json!("00000000-0000-0000-0000-000000000000"),
            14 => json!("ffffffff-ffff-ffff-ffff-ffffffffffff"),
            15 => json!("tcp:0.0.0.0:0"),
            16 => json!("aa.bb"),
            17 => json!("e\u{301}".repeat(200)),
            18 => (0..self.dice.roll(60)).fold(json!(1), |inner, _| json!([inner])),
            19 => json!(vec!["00000000-0000-7000-8000-000000000000"; self.dice.roll(2000) as usize]),
            _ => json!("x".repeat(self.dice.one_of(&long))),
        }
    }

    /// A line that is not quite a frame.
    fn spoiled_line(&mut self, command: &str, body: &Value) -> Vec<u8> {
        let (mut line, id) = self.request(command, body);
        let text = match self.dice.roll(9) {
            0 => json!({ "id": 7, "command": command, "body": body }).to_string(),
            1 => json!({ "id": "nobody", "command": command, "body": body }).to_string(),
            2 => json!({ "id": id, "command": command }).to_string(),
            3 => json!({ "id": id, "command": [command], "body": body }).to_string(),
            4 => format!("{{\"id\":\"{id}\",\"id\":\"{id}\",\"command\":\"{command}\",\"body\":{body}}}"),
            5 => json!({ "id": id, "status": "OK", "body": body }).to_string(),
            6 => json!({ "event": command, "body": body }).to_string(),
            7 => "[".repeat(100),
            _ => {
                // A byte of it is another one, a line end perhaps.
                let place = self.dice.roll(line.len() as u64 - 1) as usize;
                line[place] = self.dice.one_of(&[0, b'\n', b'"', b'{', b'}', 0xff, 0xc3, b'\\', b' ']);
                return line;
            }
        };
        format!("{text}\n").into_bytes()
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use common::proto::channel::HostRequest;
    use common::proto::direct::PeerRequest;
    use common::proto::directory::TrackerRequest;
    use common::proto::file::FileRequest;

    use super::*;

    #[test]
    fn every_command_is_said_and_a_seed_says_the_same_again() {
        let examples = Examples::read();
        let lists = [TrackerRequest::NAMES, HostRequest::NAMES, PeerRequest::NAMES, FileRequest::NAMES];
        for command in lists.into_iter().flatten() {
            assert!(examples.requests.contains_key(*command), "{command} has no example");
        }
        let say = |seed| {
            let mut generator = Generator::new(seed, &examples, TrackerRequest::NAMES, Known::default());
            (0..50).map(|_| generator.line().0).collect::<Vec<_>>()
        };
        assert_eq!(say(1), say(1));
        assert_ne!(say(1), say(2));
    }
}
