//! A cable is pulled between two machines: network namespaces with a pair of virtual Ethernet devices between them.
//! Without the right to make these nothing can be tested, which the test says.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![allow(clippy::print_stderr, reason = "a test that is left out says so")]
#![cfg(target_os = "linux")]

mod process_support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use process_support::peer::{Peer, texts};
use process_support::{Program, command, peer_program, tracker_program};

const HOME: &str = "10.231.17.1";
const AWAY: &str = "10.231.17.2";

/// Two machines, as far as the network goes: gone when this is dropped.
struct Cable {
    home: String,
    away: String,
}

fn ip(words: &str) -> bool {
    let ended = Command::new("ip").args(words.split(' ')).output();
    ended.is_ok_and(|ended| ended.status.success())
}

impl Cable {
    /// Nothing when the system does not let us.
    fn lay() -> Option<Self> {
        let pid = std::process::id();
        let cable = Self { home: format!("natter-h{pid}"), away: format!("natter-a{pid}") };
        let Self { home, away } = &cable;
        if !ip(&format!("netns add {home}")) {
            return None;
        }
        for step in [
            format!("netns add {away}"),
            format!("-n {home} link add cable type veth peer name cable netns {away}"),
            format!("-n {home} addr add {HOME}/24 dev cable"),
            format!("-n {away} addr add {AWAY}/24 dev cable"),
            format!("-n {home} link set lo up"),
            format!("-n {away} link set lo up"),
            format!("-n {home} link set cable up"),
            format!("-n {away} link set cable up"),
        ] {
            if !ip(&step) {
                return None;
            }
        }
        Some(cable)
    }

    fn pull(&self) {
        assert!(ip(&format!("-n {} link set cable down", self.home)));
    }

    fn plug_in(&self) {
        assert!(ip(&format!("-n {} link set cable up", self.home)));
    }

    fn run(&self, namespace: &str, program: &Path, data: &Path) -> Command {
        let mut command = command(Path::new("ip"), data);
        command.args(["netns", "exec", namespace]).arg(program).arg("--data").arg(data);
        command
    }

    fn tracker(&self, folder: &Path) -> (Program, SocketAddr, String) {
        let mut command = self.run(&self.home, &tracker_program(), &folder.join("tracker"));
        command.args(["--listen", &format!("{HOME}:0")]);
        let mut program = Program::start(command);
        let line = program.line().unwrap_or_else(|| panic!("the tracker did not start: {}", program.log()));
        let (address, key) =
            line.strip_prefix("tracker ready listen=").and_then(|rest| rest.split_once(" key=")).unwrap();
        (program, address.parse().unwrap(), key.to_owned())
    }

    fn peer(&self, at: (&str, &str), name: &str, folder: &Path, tracker: &str) -> Command {
        let (namespace, ip) = at;
        let mut command = self.run(namespace, &peer_program(), &folder.join(name));
        command.args(["--json", "--username", name, "--tracker", tracker, "--peer-host-ip", ip]);
        command
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for namespace in [&self.home, &self.away] {
            ip(&format!("netns del {namespace}"));
        }
    }
}

#[test]
fn a_pulled_cable_is_noticed_on_both_sides_and_everything_comes_back_with_it() {
    let Some(cable) = Cable::lay() else {
        return eprintln!(
            "LEFT OUT: network namespaces cannot be made here (that takes root, and the program ip)"
        );
    };
    let folder = tempfile::tempdir().unwrap();
    let (_tracker, address, key) = cable.tracker(folder.path());
    let shared = format!("{address}#{key}");
    let mut ken = cable.peer((&cable.home, HOME), "ken", folder.path(), &shared);
    ken.args(["--host-channel", "first"]);
    let mut ken = Peer::start(ken);
    ken.hosting();
    let mut charlie = Peer::start(cable.peer((&cable.away, AWAY), "charlie", folder.path(), &shared));
    charlie.wait_in();
    charlie.done("join first");
    for to in ["tracker", "first"] {
        charlie.wait_connection(to, "up");
    }
    charlie.send("first", "before");
    ken.wait("charlie comes", |event| event["event"] == "joined" && event["members"][0]["name"] == "charlie");

    cable.pull();
    ken.send("first", "of the host");
    for to in ["tracker", "first"] {
        let lost = charlie.wait_connection(to, "retrying");
        assert!(lost["reason"].as_str().unwrap().contains("nothing was heard"), "{lost}");
    }
    ken.wait("charlie goes", |event| event["event"] == "left" && event["members"][0]["name"] == "charlie");
    let id = charlie.done("send first of the member")["id"].clone();

    cable.plug_in();
    charlie.wait_connection("first", "up");
    charlie.wait_connection("tracker", "up");
    charlie.wait_outgoing(&id, "stored");
    ken.send("first", "after");
    ken.wait_message("after");
    charlie.wait_message("after");
    let expected = [(1, "before"), (2, "of the host"), (3, "of the member"), (4, "after")];
    for peer in [&charlie, &ken] {
        assert_eq!(texts(&peer.messages()), expected);
    }
}
