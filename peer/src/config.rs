//! What the command line and the environment say, and what follows from saying nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use common::admission::parse_trusted;
use common::files::write_private_file;
use common::identity::PeerKey;
use common::name::{ChannelName, UserName, guest_name};
use common::proto::limits::TRACKER_PORT;
use common::transport::Address;
use etcetera::BaseStrategy;
use ipnet::IpNet;

use crate::client::{CatchUp, Fill};
use crate::direct::{Accept, DirectSettings};
use crate::host::quota;
use crate::hosting::ListenConfig;
use crate::tracker_link::TrackerAddress;

/// Where the page is unless told otherwise.
const WEB_ADDRESS: &str = "127.0.0.1:8822";

const EXAMPLES: &str = "\
Examples:
  peer --username charlie
      talk through the tracker on this machine
  peer --tracker chat.example:22236 --host-channel first --username ken
      host the channel `first`, and be in it
  peer --tracker chat.example:22236#KEY --json < commands
      take commands one a line, and print what happens as JSON, one object a line
  peer --web
      serve a page for the browser on this machine, and print its address
  peer verify-export first.jsonl
      check an export, with neither tracker nor host
  peer doctor --username ken
      look at everything that the peer of ken keeps, while it does not run
  peer --expire 24h
      give up on a message that could not be sent for a day, and say so

The tracker prints the form HOST:PORT#KEY at its start. With it, its key need not be compared by eye.
Inside, type `help`.";

/// A peer of Natter: hosts channels, joins channels, talks to people.
#[derive(Clone, Debug, Parser)]
#[command(name = "peer", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub struct Args {
    /// The tracker, with or without its key
    #[arg(long, value_name = "HOST:PORT[#KEY]", env = "NATTER_TRACKER", value_parser = parse_tracker)]
    tracker: Option<TypedTracker>,
    /// The tracker's host name or IP, instead of --tracker
    #[arg(long, value_name = "HOST", env = "NATTER_TRACKER_IP", conflicts_with = "tracker")]
    tracker_ip: Option<String>,
    /// The tracker's port, instead of --tracker
    #[arg(long, value_name = "PORT", env = "NATTER_TRACKER_PORT", conflicts_with = "tracker")]
    tracker_port: Option<u16>,
    /// The key the tracker has to have: 64 hex digits
    #[arg(long, value_name = "KEY", env = "NATTER_TRACKER_KEY")]
    tracker_key: Option<PeerKey>,
    /// Take the key that an unknown tracker shows for its own without comparing it
    #[arg(long, env = "NATTER_TRUST_FIRST")]
    trust_first: bool,
    /// The name to go by; the last one used on this machine if not given
    #[arg(long, value_name = "NAME", env = "NATTER_USERNAME", global = true)]
    username: Option<UserName>,
    /// The folder for this peer's key, logs and outbox
    #[arg(long, value_name = "DIR", env = "NATTER_PEER_DATA", global = true)]
    data: Option<PathBuf>,
    /// A channel to host; may be given several times
    #[arg(
        long = "host-channel",
        visible_alias = "channel-name",
        value_name = "NAME",
        env = "NATTER_HOST_CHANNEL",
        value_delimiter = None
    )]
    host_channels: Vec<ChannelName>,
    /// The IP to listen on for members
    #[arg(long, value_name = "IP", env = "NATTER_PEER_HOST_IP", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    peer_host_ip: IpAddr,
    /// The port to listen on for members; 0 takes a free one and keeps it
    #[arg(long, value_name = "PORT", env = "NATTER_PEER_HOST_PORT", default_value_t = 0)]
    peer_host_port: u16,
    /// An address to hand out to members, such as tcp:HOST:PORT, instead of the one that the tracker sees
    #[arg(long, value_name = "ADDR", env = "NATTER_ADVERTISE", value_parser = parse_advertise)]
    advertise: Vec<Address>,
    /// A network whose members are not counted, such as 192.0.2.0/24: neither how many connect from one address there nor
    /// how much each sends; may be given several times
    #[arg(long, value_name = "NET", env = "NATTER_TRUSTED_PREFIX", value_delimiter = ',', value_parser = parse_trusted)]
    trusted_prefix: Vec<IpNet>,
    /// Serve the peer's page for a browser: on this machine, at port 8822 when not given
    #[arg(
        long,
        value_name = "IP:PORT",
        env = "NATTER_WEB",
        num_args = 0..=1,
        default_missing_value = WEB_ADDRESS
    )]
    web: Option<SocketAddr>,
    /// Serve the page beyond this machine too, although nothing is encrypted on its way to the browser
    #[arg(long, env = "NATTER_WEB_INSECURE", requires = "web")]
    web_insecure: bool,
    /// Read commands from standard input and print JSON, also on a terminal
    #[arg(long, env = "NATTER_JSON", global = true)]
    pub json: bool,
    /// A message that could not be sent for so long is not sent any more, but kept and shown as refused
    #[arg(long, value_name = "DURATION", env = "NATTER_EXPIRE", value_parser = parse_span)]
    expire: Option<Duration>,
    /// Who may begin a private conversation: contacts (requests of others are not even shown), everyone (without being
    /// asked), or ask
    #[arg(long, value_name = "WHO", env = "NATTER_ACCEPT", default_value = "ask", value_parser = parse_accept)]
    accept: Accept,
    /// Do not tell others which of their private messages were read
    #[arg(long, env = "NATTER_NO_READ_RECEIPTS")]
    no_read_receipts: bool,
    /// The folder for files that others send; `downloads` in the data folder if not given
    #[arg(long, value_name = "DIR", env = "NATTER_DOWNLOADS")]
    downloads: Option<PathBuf>,
    /// Whether what was said before you joined is fetched by itself, or when you ask for it
    #[arg(long, value_enum, env = "NATTER_FILL", default_value_t)]
    fill: Fill,
    /// Do this one thing, and end
    #[command(subcommand)]
    pub tool: Option<Tool>,
    /// How long what is under way may take after the end of the input, in milliseconds
    #[arg(long, value_name = "MS", env = "NATTER_DRAIN_MS", default_value_t = 2000)]
    drain_ms: u64,
}

/// What can be done with neither tracker nor data.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Tool {
    /// Check a file that `export` has written, and say what is in it
    VerifyExport {
        /// The file
        file: PathBuf,
        /// The key that the channel's host has to have: 64 hex digits
        #[arg(long, value_name = "KEY")]
        host_key: Option<PeerKey>,
    },
    /// Look at everything in the data folder while its peer does not run, and say what is wrong with it
    Doctor {
        /// Mend what can be mended, after a copy was made
        #[arg(long)]
        repair: bool,
    },
}

/// A tracker as it is typed.
#[derive(Clone, Debug)]
struct TypedTracker {
    address: String,
    key: Option<PeerKey>,
}

fn parse_tracker(text: &str) -> Result<TypedTracker, String> {
    let (address, key) = match text.split_once('#') {
        Some((address, key)) => {
            (address, Some(key.parse().map_err(|error| format!("behind the #: {error}"))?))
        }
        None => (text, None),
    };
    let has_port = split_port(address).is_some();
    let is_bare_v6 = address.parse::<std::net::Ipv6Addr>().is_ok();
    match (is_bare_v6, has_port) {
        (true, _) => Ok(TypedTracker { address: format!("[{address}]:{TRACKER_PORT}"), key }),
        (false, true) => Ok(TypedTracker { address: address.to_owned(), key }),
        (false, false) if !address.is_empty() && !address.contains(':') => {
            Ok(TypedTracker { address: format!("{address}:{TRACKER_PORT}"), key })
        }
        _ => Err("HOST:PORT or HOST:PORT#KEY is expected".to_owned()),
    }
}

fn parse_advertise(text: &str) -> Result<Address, String> {
    let has_port = |address: &Address| address.tcp_addr().is_some_and(|place| split_port(place).is_some());
    let known = text.parse::<Address>().ok().filter(has_port);
    known
        .or_else(|| format!("tcp:{text}").parse().ok().filter(has_port))
        .ok_or_else(|| "tcp:HOST:PORT is expected".to_owned())
}

/// A number with its unit: `90s`, `15m`, `24h`, `7d`.
fn parse_span(text: &str) -> Result<Duration, String> {
    let unit = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    let span = unit.iter().find_map(|(letter, seconds)| {
        let number = text.strip_suffix(*letter)?.parse::<u64>().ok()?;
        number.checked_mul(*seconds).filter(|seconds| *seconds > 0)
    });
    span.map(Duration::from_secs)
        .ok_or_else(|| "a number with s, m, h or d is expected, as in 15m".to_owned())
}

fn parse_accept(text: &str) -> Result<Accept, String> {
    match text {
        "ask" => Ok(Accept::Ask),
        "contacts" => Ok(Accept::Contacts),
        "everyone" => Ok(Accept::Everyone),
        _ => Err("contacts, everyone or ask is expected".to_owned()),
    }
}

/// The host and the port of `HOST:PORT`; an IPv6 address stands in brackets.
fn split_port(place: &str) -> Option<(&str, u16)> {
    let (host, port) = place.rsplit_once(':')?;
    let is_host = !host.is_empty() && (host.starts_with('[') || !host.contains(':'));
    if is_host { Some((host, port.parse().ok()?)) } else { None }
}

/// What a peer is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the tracker is, and what is known of its key.
    pub tracker: TrackerAddress,
    /// The name to go by, unless the data folder knows better.
    pub username: UserName,
    /// Whether the user asked for that name.
    pub name_was_given: bool,
    /// Where state is kept.
    pub data: PathBuf,
    /// Where the name is kept for a start that gives none; nowhere when the folder was given.
    pub last_name: Option<PathBuf>,
    /// Channels to host from the start.
    pub host_channels: Vec<ChannelName>,
    /// Where members reach this peer.
    pub listen: ListenConfig,
    /// What those are held to who come here.
    pub limits: quota::Limits,
    /// How long what is under way may take at the end.
    pub drain: Duration,
    /// How long a message may wait before it is too late to send it; for ever when absent.
    pub expire: Option<Duration>,
    /// How clients catch up with what they missed.
    pub catch_up: CatchUp,
    /// How private conversations are wanted.
    pub direct: DirectSettings,
    /// Where files that others send are kept.
    pub downloads: PathBuf,
    /// Where the page for a browser is served, if it is.
    pub web: Option<SocketAddr>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no home folder to keep state in.
    #[error("there is no home folder to keep state in; give --data DIR")]
    NoHome(#[source] etcetera::HomeDirError),
    /// No random name could be made.
    #[error("no random name could be made ({0}); give --username")]
    NoName(String),
    /// The page would be open to others.
    #[error(
        "{0} can be reached from other machines, and nothing is encrypted on the page's way to the browser; give \
         --web 127.0.0.1:{port}, or --web-insecure if you mean it", port = .0.port()
    )]
    OpenPage(SocketAddr),
}

impl Config {
    /// What follows from the command line.
    ///
    /// # Errors
    /// When there is no folder to keep state in.
    pub fn from_args(mut args: Args) -> Result<Self, ConfigError> {
        let name_was_given = args.username.is_some();
        let Place { username, data, last_name } = place(args.username.take(), args.data.take())?;
        Ok(Self {
            tracker: tracker_address(&mut args),
            username,
            name_was_given,
            downloads: args.downloads.unwrap_or_else(|| data.join("downloads")),
            data,
            last_name,
            host_channels: args.host_channels,
            listen: ListenConfig {
                ip: args.peer_host_ip,
                port: args.peer_host_port,
                advertise: args.advertise,
            },
            limits: limits(args.trusted_prefix),
            drain: Duration::from_millis(args.drain_ms),
            expire: args.expire,
            catch_up: CatchUp { fill: args.fill, ..CatchUp::default() },
            direct: DirectSettings {
                accept: args.accept,
                receipts: !args.no_read_receipts,
                ..DirectSettings::default()
            },
            web: page_address(args.web, args.web_insecure)?,
        })
    }

    /// Keeps the name for the next start that gives none. Only for comfort: a start goes on without it.
    pub(crate) fn remember_name(&self) {
        let Some(file) = &self.last_name else { return };
        if let Err(error) = write_private_file(file, self.username.as_str().as_bytes()) {
            tracing::warn!(err = %error, "the name is not remembered for the next start without --username");
        }
    }
}

/// Whose peer it is, and where it keeps its state.
struct Place {
    username: UserName,
    data: PathBuf,
    last_name: Option<PathBuf>,
}

fn place(name: Option<UserName>, data: Option<PathBuf>) -> Result<Place, ConfigError> {
    let base = match data {
        Some(_) => None,
        None => Some(
            etcetera::choose_base_strategy().map_err(ConfigError::NoHome)?.data_dir().join("natter/peer"),
        ),
    };
    let last_name = base.as_ref().map(|base| base.join("last-name"));
    let username = match name.or_else(|| kept_name(last_name.as_deref()?)) {
        Some(name) => name,
        None => guest_name().map_err(|error| ConfigError::NoName(error.to_string()))?,
    };
    let data = data.unwrap_or_else(|| base.unwrap_or_default().join(username.file_stem()));
    Ok(Place { username, data, last_name })
}

fn kept_name(file: &Path) -> Option<UserName> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn limits(trusted: Vec<IpNet>) -> quota::Limits {
    let mut limits = quota::Limits::default();
    limits.admission.trusted = trusted;
    limits
}

fn page_address(wanted: Option<SocketAddr>, insecure: bool) -> Result<Option<SocketAddr>, ConfigError> {
    match wanted {
        Some(address) if !address.ip().is_loopback() && !insecure => Err(ConfigError::OpenPage(address)),
        wanted => Ok(wanted),
    }
}

fn tracker_address(args: &mut Args) -> TrackerAddress {
    let typed = args.tracker.take().unwrap_or_else(|| {
        let host = args.tracker_ip.take().unwrap_or_else(|| "127.0.0.1".to_owned());
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        TypedTracker { address: format!("{host}:{}", args.tracker_port.unwrap_or(TRACKER_PORT)), key: None }
    });
    let key = args.tracker_key.or(typed.key);
    TrackerAddress { address: typed.address, key, trust_first: args.trust_first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracker_is_typed_in_many_ways() {
        let key = PeerKey::from_bytes([5; 32]);
        for (typed, address, with_key) in [
            ("chat.example", "chat.example:22236", None),
            ("chat.example:1", "chat.example:1", None),
            ("::1", "[::1]:22236", None),
            ("[::1]:7", "[::1]:7", None),
            (&format!("127.0.0.1:7#{key}"), "127.0.0.1:7", Some(key)),
        ] {
            let parsed = parse_tracker(typed).unwrap();
            assert_eq!((parsed.address.as_str(), parsed.key), (address, with_key), "{typed}");
        }
        for typed in ["", ":7", "a:b", "a:99999", "a#", "a:1#xyz"] {
            assert!(parse_tracker(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn a_span_has_a_unit() {
        for (typed, seconds) in [("90s", 90), ("15m", 900), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(parse_span(typed), Ok(Duration::from_secs(seconds)), "{typed}");
        }
        for typed in ["", "15", "m", "0s", "-1m", "1.5h", "5ms", "1h30m", "99999999999999999999d"] {
            assert!(parse_span(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn an_address_to_hand_out_has_a_port() {
        for (typed, address) in [
            ("tcp:chat.example:7", "tcp:chat.example:7"),
            ("192.0.2.1:40123", "tcp:192.0.2.1:40123"),
            ("chat.example:7", "tcp:chat.example:7"),
            ("[2001:db8::1]:7", "tcp:[2001:db8::1]:7"),
        ] {
            assert_eq!(parse_advertise(typed).unwrap().as_str(), address, "{typed}");
        }
        for typed in ["", "pigeon", "tcp:chat.example", "pigeon:post", ":7", "tcp::7", "chat.example:99999"] {
            assert!(parse_advertise(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn the_page_is_for_this_machine_unless_its_user_insists() {
        let config = |flags: &str| {
            let flags = format!("peer --username ken --data /tmp/x {flags}");
            Config::from_args(Args::parse_from(flags.split_whitespace()))
        };
        let web = |flags| config(flags).unwrap().web.map(|address| address.to_string());
        assert_eq!(web(""), None);
        assert_eq!(web("--web").as_deref(), Some("127.0.0.1:8822"));
        assert_eq!(web("--web [::1]:7").as_deref(), Some("[::1]:7"));
        assert_eq!(web("--web 0.0.0.0:7 --web-insecure").as_deref(), Some("0.0.0.0:7"));
        let error = config("--web 192.0.2.1:7").unwrap_err().to_string();
        assert!(error.contains("192.0.2.1:7") && error.contains("127.0.0.1:7"), "{error}");
    }

    #[test]
    fn flags_of_earlier_systems_work() {
        let flags = "peer --tracker-ip 192.0.2.1 --tracker-port 7 --peer-host-ip 127.0.0.1 --peer-host-port 8 \
                     --channel-name first --username ken --data /tmp/x";
        let config = Config::from_args(Args::parse_from(flags.split_whitespace())).unwrap();
        assert_eq!(config.tracker.address, "192.0.2.1:7");
        assert_eq!((config.listen.ip.to_string().as_str(), config.listen.port), ("127.0.0.1", 8));
        assert_eq!(config.host_channels, ["first".parse().unwrap()]);
    }
}
