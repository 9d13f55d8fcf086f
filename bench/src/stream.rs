//! What files can be compared with: a bare TLS stream, and rsync.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::identity::Identity;
use common::transport::{Expected, Transport};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection, StreamOwned};

use crate::Fallible;
use crate::process::{Program, usage};

/// How much is written and read at once.
const PIECE: usize = 256 * 1024;
/// How long rsync may take to listen.
const START_LIMIT: Duration = Duration::from_secs(10);

/// What something took.
pub struct Took {
    pub seconds: f64,
    /// CPU time of both ends.
    pub cpu: f64,
}

/// Sends so many bytes over TLS from one thread to another, and nothing else: nothing is read from a disk, checked or kept.
pub fn bare(bytes: u64) -> Fallible<Took> {
    let transport = Transport::new(Identity::generate()?)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (address, config) = (listener.local_addr()?, transport.server_config());
    let before = usage(std::process::id())?.cpu;
    let reading = std::thread::spawn(move || -> std::io::Result<Instant> {
        let (socket, _) = listener.accept()?;
        let session = ServerConnection::new(config).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(session, socket);
        let (mut piece, mut left) = (vec![0; PIECE], bytes);
        while left > 0 {
            match stream.read(&mut piece)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => left -= read as u64,
            }
        }
        Ok(Instant::now())
    });
    let name = ServerName::from(std::net::IpAddr::from([0, 0, 0, 0]));
    let session = ClientConnection::new(transport.client_config(Expected::Any), name)?;
    let mut stream = StreamOwned::new(session, TcpStream::connect(address)?);
    let (piece, mut left, begun) = (vec![7; PIECE], bytes, Instant::now());
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        stream.write_all(&piece[..now])?;
        left -= now as u64;
    }
    stream.flush()?;
    let ended = reading.join().map_err(|_| "the reading end has died")??;
    let cpu = usage(std::process::id())?.cpu - before;
    Ok(Took { seconds: ended.duration_since(begun).as_secs_f64(), cpu })
}

/// Fetches with rsync from a daemon of its own over loopback: nothing is encrypted, and who asks proves nothing.
pub fn rsync(folder: &Path, what: &str) -> Fallible<f64> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let (config, there) = (folder.join("rsyncd.conf"), folder.join("there"));
    let user = if rustix::process::geteuid().is_root() { "uid = root\ngid = root\n" } else { "" };
    let module = format!("use chroot = no\n[bench]\npath = {}\n{user}", folder.display());
    fs::write(&config, module)?;
    let arguments = ["--daemon", "--no-detach", "--address=127.0.0.1"].map(str::to_owned);
    let places = [format!("--port={port}"), format!("--config={}", config.display())];
    let _daemon = Program::start(Path::new("rsync"), &[arguments.as_slice(), &places].concat())?;
    let begun = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if begun.elapsed() > START_LIMIT {
            return Err("rsync does not listen".into());
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let begun = Instant::now();
    let mut command = Command::new("rsync");
    command.args([
        "--recursive",
        "--whole-file",
        "--fsync",
        &format!("rsync://127.0.0.1:{port}/bench/{what}"),
    ]);
    let status =
        command.arg(&there).stdout(Stdio::null()).status().map_err(|error| format!("rsync: {error}"))?;
    if !status.success() {
        return Err("rsync has failed".into());
    }
    Ok(begun.elapsed().as_secs_f64())
}
