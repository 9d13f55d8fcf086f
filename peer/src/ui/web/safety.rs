//! Who may use the page: pure decisions over what a browser says, and the keys that were given out.
//!
//! A program of this machine's user is trusted, another web page in the same browser is not. So the page answers only to
//! its own names (no other site can point its name here), takes changes only from itself, and asks for a key that
//! is in nobody's hand but the browser's.

use std::net::{IpAddr, SocketAddr};

use common::clock::Timestamp;
use getrandom::Error as NoRandom;

/// How many links may wait to be opened; the oldest goes.
const MAX_LINKS: usize = 8;
/// How many browsers may be let in; the one that was let in first goes.
pub(super) const MAX_BROWSERS: usize = 16;
/// How long a browser stays let in.
const BROWSER_DAYS: u64 = 90;

/// A secret's hash: what is kept of it. Compared in constant time.
pub(super) type Hash = blake3::Hash;

/// What opens the page once, or again and again.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Of links that nobody has opened yet.
    links: Vec<Hash>,
    browsers: Vec<Browser>,
}

/// A browser that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Browser {
    /// Of its cookie.
    pub hash: Hash,
    /// When it was let in.
    pub since: Timestamp,
}

impl Keys {
    /// With the browsers that were let in before.
    pub fn new(browsers: Vec<Browser>) -> Self {
        Self { links: Vec::new(), browsers }
    }

    /// What stands behind the `#` of a link that can be opened once.
    pub fn new_link(&mut self) -> Result<String, NoRandom> {
        let token = secret()?;
        if self.links.len() >= MAX_LINKS {
            self.links.remove(0);
        }
        self.links.push(hash(&token));
        Ok(token)
    }

    /// The cookie for whoever opens a link first; `None` for all others.
    pub fn open(&mut self, token: &str, now: Timestamp) -> Result<Option<String>, NoRandom> {
        let token = hash(token);
        let Some(place) = self.links.iter().position(|link| *link == token) else { return Ok(None) };
        let cookie = secret()?;
        self.links.remove(place);
        if self.browsers.len() >= MAX_BROWSERS {
            self.browsers.remove(0);
        }
        self.browsers.push(Browser { hash: hash(&cookie), since: now });
        Ok(Some(cookie))
    }

    /// Whether a browser with this cookie was let in.
    pub fn knows(&self, cookie: &str, now: Timestamp) -> bool {
        let cookie = hash(cookie);
        let lasts = std::time::Duration::from_secs(BROWSER_DAYS * 24 * 60 * 60);
        self.browsers.iter().any(|browser| browser.hash == cookie && now.since(browser.since) < lasts)
    }

    /// Whoever has this cookie has to open a new link.
    pub fn forget(&mut self, cookie: &str) {
        let cookie = hash(cookie);
        self.browsers.retain(|browser| browser.hash != cookie);
    }

    /// The browsers that were let in, for the next start.
    pub fn browsers(&self) -> &[Browser] {
        &self.browsers
    }
}

/// How long a browser keeps its cookie, in days.
pub(super) const fn cookie_days() -> i64 {
    BROWSER_DAYS as i64
}

/// What a page of this browser sends back with each change: it follows from the cookie, which no script can read.
pub(super) fn csrf_token(cookie: &str) -> String {
    hex::encode(blake3::derive_key("natter 2026 page: token against forged requests", cookie.as_bytes()))
}

/// Whether what a change brings along is this browser's token.
pub(super) fn is_csrf_token(cookie: &str, token: &str) -> bool {
    hash(&csrf_token(cookie)) == hash(token)
}

/// The cookie's name: cookies know no ports, and two peers on a machine need one each.
pub(super) fn cookie_name(port: u16) -> String {
    format!("natter-{port}")
}

/// Whether a request is meant for this page by the name that it calls it: a name that a stranger's domain server has
/// pointed here is none of ours.
pub(super) fn is_own_host(host: &str, bound: SocketAddr) -> bool {
    let Some((name, port)) = split_host(host) else { return false };
    if port != bound.port() {
        return false;
    }
    if name.eq_ignore_ascii_case("localhost") {
        return bound.ip().is_loopback() || bound.ip().is_unspecified();
    }
    let Ok(ip) = name.parse::<IpAddr>() else { return false };
    match bound.ip() {
        own if own.is_loopback() => ip.is_loopback(),
        own => own.is_unspecified() || ip == own,
    }
}

fn split_host(host: &str) -> Option<(&str, u16)> {
    const HTTP: u16 = 80;
    if let Some(rest) = host.strip_prefix('[') {
        let (name, port) = rest.split_once(']')?;
        let port = port.strip_prefix(':').map_or((port.is_empty()).then_some(HTTP), |port| port.parse().ok());
        return Some((name, port?));
    }
    match host.split_once(':') {
        Some((name, port)) => Some((name, port.parse().ok()?)),
        None => Some((host, HTTP)),
    }
}

/// Whether a change, or a socket, was asked for by this page: `origin` and `site` are what the browser says of who asks.
pub(super) fn is_own_origin(origin: Option<&str>, site: Option<&str>, host: &str) -> bool {
    let is_own_site = site.is_none_or(|site| site == "same-origin");
    let own = origin.and_then(|origin| origin.strip_prefix("http://"));
    is_own_site && own.is_some_and(|own| own.eq_ignore_ascii_case(host))
}

fn secret() -> Result<String, NoRandom> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

fn hash(text: &str) -> Hash {
    blake3::hash(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_its_own_names_reach_the_page() {
        let at = |bound: &str, host: &str| is_own_host(host, bound.parse().unwrap());
        for host in ["127.0.0.1:8822", "localhost:8822", "LocalHost:8822", "[::1]:8822", "127.0.0.2:8822"] {
            assert!(at("127.0.0.1:8822", host), "{host}");
        }
        for host in [
            "",
            "127.0.0.1",
            "127.0.0.1:80",
            "evil.example:8822",
            "127.0.0.1.evil.example:8822",
            "localhost.evil.example:8822",
            "localhost:8822.evil.example",
            "192.0.2.1:8822",
            "[::1",
            "[::1]x:8822",
            "user@localhost:8822",
            "localhost:8822:8822",
        ] {
            assert!(!at("127.0.0.1:8822", host), "{host}");
        }
        assert!(at("127.0.0.1:80", "localhost"));
        assert!(at("192.0.2.1:7", "192.0.2.1:7"));
        assert!(!at("192.0.2.1:7", "192.0.2.2:7") && !at("192.0.2.1:7", "localhost:7"));
        assert!(at("0.0.0.0:7", "192.0.2.2:7") && at("0.0.0.0:7", "localhost:7"));
        assert!(!at("0.0.0.0:7", "evil.example:7"));
    }

    #[test]
    fn only_the_page_itself_changes_anything() {
        let host = "127.0.0.1:8822";
        let own = Some("http://127.0.0.1:8822");
        assert!(is_own_origin(own, None, host) && is_own_origin(own, Some("same-origin"), host));
        for (origin, site) in [
            (None, None),
            (None, Some("same-origin")),
            (Some("null"), None),
            (Some("http://127.0.0.1:8823"), None),
            (Some("http://127.0.0.1"), None),
            (Some("https://127.0.0.1:8822"), None),
            (Some("http://evil.example"), Some("cross-site")),
            (own, Some("cross-site")),
            (own, Some("same-site")),
            (own, Some("none")),
        ] {
            assert!(!is_own_origin(origin, site, host), "{origin:?} {site:?}");
        }
    }

    #[test]
    fn a_link_opens_once_and_only_what_was_given_out_does() {
        let (now, mut keys) = (Timestamp::from_millis(1), Keys::default());
        let link = keys.new_link().unwrap();
        assert_eq!(keys.open("", now).unwrap(), None);
        assert_eq!(keys.open(&link.to_uppercase(), now).unwrap(), None);
        let cookie = keys.open(&link, now).unwrap().unwrap();
        assert_eq!(keys.open(&link, now).unwrap(), None);
        assert!(keys.knows(&cookie, now) && !keys.knows(&link, now) && !keys.knows("", now));
        assert!(!keys.knows(&cookie, now.plus(Duration::from_secs(91 * 24 * 60 * 60))));
        // The next start knows it too.
        let mut later = Keys::new(keys.browsers().to_vec());
        assert!(later.knows(&cookie, now));
        later.forget(&cookie);
        assert!(!later.knows(&cookie, now));
    }

    #[test]
    fn links_and_browsers_are_bounded_and_the_newest_count() {
        let (now, mut keys) = (Timestamp::from_millis(1), Keys::default());
        let links: Vec<_> = (0..MAX_LINKS + 1).map(|_| keys.new_link().unwrap()).collect();
        assert_eq!(keys.open(&links[0], now).unwrap(), None);
        let mut cookies = Vec::new();
        for _ in 0..=MAX_BROWSERS {
            let link = keys.new_link().unwrap();
            cookies.push(keys.open(&link, now).unwrap().unwrap());
        }
        assert!(!keys.knows(&cookies[0], now) && cookies[1..].iter().all(|cookie| keys.knows(cookie, now)));
    }

    #[test]
    fn the_token_of_a_change_is_the_browsers_own() {
        let token = csrf_token("a");
        assert!(is_csrf_token("a", &token));
        assert!(!is_csrf_token("b", &token) && !is_csrf_token("a", "") && !is_csrf_token("a", "a"));
        assert_ne!(cookie_name(1), cookie_name(2));
    }
}
