//! A running tracker.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::{Ended, Program, command, tracker_program};

pub struct Tracker {
    pub program: Program,
    pub address: SocketAddr,
    pub key: String,
    data: PathBuf,
}

impl Tracker {
    /// On a free port of this machine.
    pub fn start(data: &Path) -> Self {
        Self::start_at(data, "127.0.0.1:0")
    }

    pub fn start_at(data: &Path, listen: &str) -> Self {
        let mut command = command(&tracker_program(), data);
        command.args(["--listen", listen]).arg("--data").arg(data);
        let mut program = Program::start(command);
        let line = program.line().unwrap_or_else(|| panic!("the tracker did not start: {}", program.log()));
        let rest = line.strip_prefix("tracker ready listen=");
        let (address, key) =
            rest.and_then(|rest| rest.split_once(" key=")).unwrap_or_else(|| panic!("{line:?}"));
        Self { program, address: address.parse().unwrap(), key: key.to_owned(), data: data.to_owned() }
    }

    /// The form to share: `HOST:PORT#KEY`.
    pub fn shared(&self) -> String {
        format!("{}#{}", self.address, self.key)
    }

    /// Asks it to end, and waits.
    pub fn stop(self) -> Ended {
        self.program.signal(Signal::TERM);
        self.program.ended()
    }

    /// The same tracker anew, once it has ended.
    pub fn restart(self) -> Self {
        let (data, address) = (self.data.clone(), self.address.to_string());
        let ended = self.stop();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        Self::start_at(&data, &address)
    }
}
