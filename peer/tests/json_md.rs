//! The examples of `docs/JSON.md` are what the program says: every one is JSON, and a run of real peers gives nothing of
//! another form.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use std::collections::{BTreeMap, BTreeSet};

use peer::ui::command::specs;
use process_support::PASSWORD;
use process_support::peer::{Peer, bare};
use process_support::tracker::Tracker;
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../docs/JSON.md");

/// What may be absent though every example has it, or present though none has, by what the text around the examples
/// says.
const OPTIONAL: &[&str] = &[
    "subject",
    "next",
    "listen",
    "reason",
    "code",
    "text",
    "tag",
    "key",
    "retry_after_ms",
    "name",
    "why",
    "state",
    "invisible",
    "imported",
];

/// The form of a value: what all examples of it have in common, and what only some have.
#[derive(Debug, Default)]
struct Form {
    kinds: BTreeSet<&'static str>,
    fields: BTreeMap<String, (Form, usize)>,
    items: Option<Box<Form>>,
    examples: usize,
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

impl Form {
    fn add(&mut self, example: &Value) {
        self.examples += 1;
        self.kinds.insert(kind(example));
        match example {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let (form, count) = self.fields.entry(name.clone()).or_default();
                    form.add(value);
                    *count += 1;
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.items.get_or_insert_default().add(item)),
            _ => {}
        }
    }

    /// Everything about a value that is not as documented.
    fn differences(&self, value: &Value, at: &str, found: &mut Vec<String>) {
        if !self.kinds.contains(kind(value)) {
            found.push(format!("{at} is a {}, not one of {:?}", kind(value), self.kinds));
        }
        match value {
            Value::Object(fields) => self.field_differences(fields, at, found),
            Value::Array(items) => {
                for item in items {
                    match &self.items {
                        Some(form) => form.differences(item, &format!("{at}[]"), found),
                        None => found.push(format!("{at} has items, of which there is no example")),
                    }
                }
            }
            _ => {}
        }
    }

    fn field_differences(&self, fields: &serde_json::Map<String, Value>, at: &str, found: &mut Vec<String>) {
        for (name, value) in fields {
            match self.fields.get(name) {
                Some((form, _)) => form.differences(value, &format!("{at}.{name}"), found),
                None if OPTIONAL.contains(&name.as_str()) => {}
                None => found.push(format!("{at}.{name} is not documented")),
            }
        }
        for (name, (_, count)) in &self.fields {
            let is_needed = *count == self.examples && !OPTIONAL.contains(&name.as_str());
            if is_needed && !fields.contains_key(name) {
                found.push(format!("{at}.{name} is missing"));
            }
        }
    }
}

/// Under which heading an event is documented; results of commands that answer alike are one.
fn heading(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    match text("event") {
        "result" if event["ok"] == false => "a refusal".to_owned(),
        "result" => {
            let command = match text("command") {
                "signup" | "signin" | "guest" | "signout" => "whoami",
                "passwd" | "broadcast" | "unhost" | "quit" | "disconnect" | "exit" => "leave",
                "debug" if event["body"]["program"].is_string() => "client",
                "deauthorize" | "author" => "authorize",
                "refresh" => "history",
                "search" if event["body"]["entries"].is_u64() => "search --rebuild",
                "reject" | "close" | "block" | "unblock" => "leave",
                "chat" => "msg",
                "history" if event["body"]["user"].is_string() => "history @",
                "unwatch" => "watch",
                "sendfile" => "files",
                "files reject" | "files pause" | "files resume" | "files cancel" => "files accept",
                other => other,
            };
            format!("the result of {command}")
        }
        other => other.to_owned(),
    }
}

fn examples() -> impl Iterator<Item = Value> {
    let mut is_json = false;
    let lines = DOCUMENT.lines().filter(move |line| {
        if let Some(info) = line.strip_prefix("```") {
            is_json = info == "json";
            return false;
        }
        is_json && !line.is_empty()
    });
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
}

fn documented() -> BTreeMap<String, Form> {
    let mut forms = BTreeMap::<String, Form>::new();
    for example in examples() {
        assert!(example["event"].is_string(), "{example}");
        forms.entry(heading(&example)).or_default().add(&example);
    }
    forms
}

fn check(forms: &BTreeMap<String, Form>, said: &[Value]) {
    let mut found = BTreeSet::new();
    for event in said {
        let heading = heading(event);
        let mut differences = Vec::new();
        match forms.get(&heading) {
            Some(form) => form.differences(event, &heading, &mut differences),
            None => differences.push(format!("{heading} is not documented: {event}")),
        }
        found.extend(differences);
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Everything that two peers say in the course of a life with all commands.
fn life() -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let start = |name: &str, more: &[&str]| {
        let mut command = bare(&folder.path().join(name));
        command.args(["--username", name, "--tracker", &tracker.address.to_string(), "--trust-first"]);
        command.args(more);
        Peer::start(command)
    };
    let mut ken = start("ken", &["--host-channel", "first"]);
    ken.hosting();
    let mut charlie = start("charlie", &[]);
    for line in [
        "list",
        "list fir*",
        "join first",
        "whoami",
        "connected",
        "status",
        "client",
        "debug",
        "help",
        "help send",
    ] {
        charlie.done(line);
    }
    charlie.send("first", "hello");
    watched(&mut ken);
    ken.wait("charlie", |event| event["event"] == "joined" && event["members"][0]["name"] == "charlie");
    for line in [
        "debug first",
        "members first",
        "info first",
        "status",
        "history first 5",
        "refresh first --before 2",
    ] {
        ken.done(line);
    }
    for line in ["members first", "info first", "history first", "verify first"] {
        charlie.done(line);
    }
    searched(&mut charlie);
    taken_along(&mut ken, folder.path());
    let other = "another horse battery";
    for line in
        [&format!("signup\n{PASSWORD}"), &format!("passwd\n{PASSWORD}\n{other}"), "signout", "guest visitor"]
    {
        charlie.done(line);
    }
    charlie.refused("broadcast hello");
    charlie.done(&format!("signin charlie\n{other}"));
    charlie.done("broadcast hello");
    ken.wait("charlie's word", |event| event["event"] == "broadcast" && event["from"]["name"] == "charlie");
    unwatched(&mut ken);
    for line in ["invisible on", "whoami", "invisible off"] {
        charlie.done(line);
    }
    for line in
        ["join nowhere", "sned", "send first", "talk first", "members", "signin ken\nwrong horse battery"]
    {
        charlie.refused(line);
    }
    moderated(&mut ken, &mut charlie);
    ken.done("unhost first");
    charlie.wait_connection("first", "retrying");
    waiting(&mut charlie);
    private_life(&mut ken, &mut charlie);
    charlie.done("outbox first");
    kicked(&mut ken, &mut charlie);
    let key = charlie.done("whoami")["key"].clone();
    given_away(&mut ken, &mut charlie, key.as_str().unwrap(), folder.path());
    charlie.done("devices");
    charlie.done(&format!("devices revoke {}", &key.as_str().unwrap()[..8]));
    charlie.done("quit");
    ken.done("unhost first --release");
    // Nobody can be let in under a name that is in use.
    let mut double = bare(&folder.path().join("double"));
    double.args(["--web", "127.0.0.1:0", "--username", "ken", "--tracker", &tracker.shared()]);
    let mut double = Peer::start(double);
    double.wait("a session", |event| event["event"] == "session");
    [ken.said, charlie.said, double.said].concat()
}

/// A channel for charlie.
fn given_away(ken: &mut Peer, charlie: &mut Peer, key: &str, folder: &std::path::Path) {
    ken.done("host gift");
    ken.done("transfer gift charlie");
    charlie.wait("an offer", |event| event["event"] == "offered");
    charlie.done("transfer");
    charlie.done("transfer gift --decline");
    ken.wait("the end of an offer", |event| event["event"] == "offered" && event["ended"] == true);
    ken.done("transfer gift charlie");
    charlie.done("transfer gift --accept");
    ken.done("host another");
    ken.done(&format!("transfer another charlie {} --to {key}", folder.join("another.jsonl").display()));
}

/// What was said, looked for here and at the host.
fn searched(charlie: &mut Peer) {
    for line in [
        "search hello",
        "search HEL* in first from charlie --context 1 --limit 1",
        "search hello in first --host",
        "search --rebuild",
    ] {
        charlie.done(line);
    }
    for line in ["search", "search hello before noon", "search hello in nowhere"] {
        charlie.refused(line);
    }
}

/// The channel in a file, a log of IRC as a channel, and what is no export.
fn taken_along(ken: &mut Peer, folder: &std::path::Path) {
    let (file, irc) = (folder.join("first.jsonl"), folder.join("2007-02-15.log"));
    std::fs::write(&irc, "[20:41] <ben> hello\n").unwrap();
    ken.done(&format!("export first {}", file.display()));
    ken.done(&format!("import {} again", file.display()));
    ken.done("recover again --fork");
    ken.done(&format!("import {} ubuntu", irc.display()));
    ken.done("history ubuntu");
    ken.refused(&format!("import {} nothing", folder.join("nowhere").display()));
    ken.done(&format!("backup {}", folder.join("copy").display()));
    let mut checking = bare(folder);
    checking.arg("verify-export").arg(&file);
    let checked = checking.output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    ken.said.push(serde_json::from_slice(&checked.stdout).unwrap());
    ken.done("unhost again --release");
    ken.done("unhost ubuntu --release");
}

/// What becomes of a message while the host is away.
fn waiting(charlie: &mut Peer) {
    let waiting = charlie.done("send first later")["id"].clone();
    charlie.wait_outgoing(&waiting, "queued");
    for line in ["status", "connected", "outbox", "outbox retry first"] {
        charlie.done(line);
    }
    let end = waiting.as_str().unwrap()[28..].to_owned();
    let new = charlie.done(&format!("outbox edit {end} much later"))["becomes"].clone();
    charlie.wait_outgoing(&new, "queued");
    charlie.done(&format!("outbox cancel {}", new.as_str().unwrap()));
    charlie.wait_outgoing(&new, "cancelled");
}

/// Somebody who is watched is there, and is somebody else later.
fn watched(ken: &mut Peer) {
    for line in ["watch charlie", "users", "watch"] {
        ken.done(line);
    }
    ken.wait("charlie to be there", |event| {
        event["event"] == "online" && event["users"][0]["name"] == "charlie"
    });
}

/// The guest who was watched is an account for good by now; the name is the last that was seen.
fn unwatched(ken: &mut Peer) {
    ken.wait("the guest to be gone", |event| event["event"] == "offline");
    ken.done("users");
    let name = ken.done("watch")["watched"][0]["name"].as_str().unwrap().to_owned();
    ken.done(&format!("unwatch {name}"));
    ken.refused("unwatch nobody");
}

/// What an owner does to a channel, and to an account that is in it.
fn moderated(ken: &mut Peer, charlie: &mut Peer) {
    charlie.done("leave first");
    ken.wait("charlie", |event| event["event"] == "left");
    charlie.done("join first");
    for line in [
        "authorize first charlie moderator",
        "author first charlie 1",
        "view first 0",
        "view first public",
        "post first authorized",
        "members first --authorized",
        "deauthorize first charlie",
        "post first everyone",
        "retention first 90d",
        "retention first forever",
        "erase first 1 said in the wrong room",
        "audit first",
        "ban first charlie spam",
        "bans first",
        "unban first charlie",
    ] {
        ken.done(line);
    }
    charlie.wait("being banned", |event| event["event"] == "kicked" && event["banned"] == true);
    charlie.done("join first");
    for line in [
        "kick first nobody-here",
        "erase first 99999",
        "retention first soon",
        "view first maybe",
        "authorize first ken",
    ] {
        ken.refused(line);
    }
}

/// A kick, after which the channel is not joined any more.
fn kicked(ken: &mut Peer, charlie: &mut Peer) {
    ken.done("host first");
    // What is stored again shows that he is in.
    charlie.send("first", "back again");
    ken.done("kick first charlie please read the rules");
    charlie.wait("being kicked", |event| event["event"] == "kicked" && event["banned"] == false);
    charlie.refused("join first");
}

/// A private conversation of the two.
fn private_life(ken: &mut Peer, charlie: &mut Peer) {
    let request = |peer: &mut Peer, user: &str| {
        peer.wait("a request", |event| event["event"] == "chat_request" && event["user"] == *user);
    };
    for line in ["msg ken too early", "accept ken", "start charlie"] {
        charlie.refused(line);
    }
    charlie.done("start ken");
    request(ken, "charlie");
    for line in ["contacts", "accept charlie", "contacts"] {
        ken.done(line);
    }
    charlie.wait_connection("@ken", "up");
    let id = charlie.done("msg ken just the two of us")["id"].clone();
    for state in ["delivered", "read"] {
        charlie.wait("what became of it", |event| event["id"] == id && event["state"] == state);
    }
    files(ken, charlie);
    ken.done("chat charlie hello");
    for line in
        ["search two in @charlie", "history @charlie", "history @charlie 1 --before 2", "close charlie"]
    {
        ken.done(line);
    }
    charlie.wait("the end", |event| event["event"] == "chat" && event["state"] == "left");
    charlie.done("history @ken");
    charlie.done("start nobody");
    for line in ["block charlie", "contacts", "unblock charlie"] {
        ken.done(line);
    }
}

/// A file, and a folder that is not wanted.
fn files(ken: &mut Peer, charlie: &mut Peer) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.txt");
    std::fs::write(&file, "all is well").unwrap();
    let id = ken.done(&format!("sendfile charlie {}", file.display()))["files"][0]["id"].clone();
    let is = |id: &Value, state: &'static str| {
        let id = id.clone();
        move |event: &Value| event["event"] == "file" && event["id"] == id && event["state"] == state
    };
    charlie.wait("an offer", is(&id, "offered"));
    charlie.done("files");
    charlie.done(&format!("files accept {}", &id.as_str().unwrap()[26..]));
    charlie.wait("the file", is(&id, "done"));
    ken.wait("the end", is(&id, "done"));
    let id = ken.done(&format!("sendfile charlie {}", folder.path().display()))["files"][0]["id"].clone();
    charlie.wait("an offer", is(&id, "offered"));
    charlie.done(&format!("files reject {}", id.as_str().unwrap()));
    ken.wait("the end", is(&id, "rejected"));
    ken.done("files");
    ken.refused("files accept abcdef");
}

#[test]
fn what_is_said_has_the_documented_form() {
    let (forms, said) = (documented(), life());
    check(&forms, &said);
    let seen: BTreeSet<String> = said.iter().map(heading).collect();
    // A warning takes a fault that this life does not have, and moving on and filling a longer life.
    let unseen = forms.keys().filter(|heading| !seen.contains(*heading));
    let unseen = unseen.filter(|heading| !["warning", "moved_on", "filled"].contains(&heading.as_str()));
    assert_eq!(unseen.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn every_command_and_every_start_of_a_line_is_documented() {
    for spec in specs() {
        let is_named = [format!("`{}", spec.word), format!(" {} ", spec.word)];
        assert!(
            is_named.iter().any(|form| DOCUMENT.contains(form.as_str())),
            "{} is not documented",
            spec.word
        );
    }
}

#[test]
fn a_form_tells_what_differs() {
    let mut form = Form::default();
    form.add(&serde_json::json!({"a": 1, "b": [{"c": null}]}));
    form.add(&serde_json::json!({"a": 1, "b": [{"c": "x"}], "sometimes": true}));
    let differences = |value: Value| {
        let mut found = Vec::new();
        form.differences(&value, "it", &mut found);
        found.len()
    };
    for (value, expected) in [
        (serde_json::json!({"a": 2, "b": []}), 0),
        (serde_json::json!({"a": 2, "b": [{"c": null}, {"c": "y"}], "sometimes": false}), 0),
        (serde_json::json!({"b": [{}]}), 2),
        (serde_json::json!({"a": "2", "b": [{"c": 7, "d": 1}]}), 3),
        (serde_json::json!([]), 1),
    ] {
        assert_eq!(differences(value.clone()), expected, "{value}");
    }
}
