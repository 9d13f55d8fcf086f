//! What somebody tries who is not the page's user: another site in the same browser, a program on the same machine, a
//! member of a channel.

use std::net::SocketAddr;

use peer::api::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::browser::{Driver, there_is_one};
use crate::face::Face;
use crate::support::{World, join, named, within};

const PASSWORD: &str = "correct horse battery";

/// An answer, as it stands on the wire.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn cookie(&self) -> Option<String> {
        let line = self.head.lines().find(|line| line.to_lowercase().starts_with("set-cookie:"))?;
        Some(line.split_once(':')?.1.trim().split(';').next()?.to_owned())
    }
}

/// Says exactly this, and reads what comes until the connection ends.
async fn ask(at: SocketAddr, request: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut said = format!("{request} HTTP/1.1\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "connection") {
        said.push_str("connection: close\r\n");
    }
    for (name, value) in headers {
        said.push_str(&format!("{name}: {value}\r\n"));
    }
    said.push_str("\r\n");
    said.push_str(body);
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(said.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // A socket that was let in stays open: its head is enough.
    let mut part = [0; 4096];
    loop {
        let read = within(stream.read(&mut part)).await.unwrap();
        bytes.extend_from_slice(&part[..read]);
        if read == 0 || bytes.starts_with(b"HTTP/1.1 101") {
            break;
        }
    }
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// A browser that was let in, as what it sends.
struct Let {
    at: SocketAddr,
    host: String,
    origin: String,
    cookie: String,
    csrf: String,
}

impl Let {
    async fn into(face: &Face) -> Self {
        let at = face.address();
        let (host, origin) = (at.to_string(), format!("http://{at}"));
        let answer = open(face, &face.link()).await;
        let cookie = answer.cookie().expect("a link opens the page");
        let page = ask(at, "GET /find", &[("host", &host), ("cookie", &cookie)], "").await;
        assert_eq!(page.status, 200, "{}", page.body);
        let csrf = page.body.split_once("data-csrf=\"").unwrap().1.split('"').next().unwrap().to_owned();
        Self { at, host, origin, cookie, csrf }
    }

    /// A change that would be done, but for what is said otherwise.
    async fn change(&self, path: &str, body: &str, otherwise: &[(&str, &str)]) -> Answer {
        let mut headers = vec![
            ("host", self.host.as_str()),
            ("origin", &self.origin),
            ("cookie", &self.cookie),
            ("x-csrf-token", &self.csrf),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        headers.retain(|(name, _)| !otherwise.iter().any(|(other, _)| other == name));
        headers.extend(otherwise.iter().filter(|(_, value)| !value.is_empty()));
        ask(self.at, &format!("POST {path}"), &headers, body).await
    }

    async fn socket(&self, otherwise: &[(&str, &str)]) -> Answer {
        let mut headers = vec![
            ("host", self.host.as_str()),
            ("origin", &self.origin),
            ("cookie", &self.cookie),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        headers.retain(|(name, _)| !otherwise.iter().any(|(other, _)| other == name));
        headers.extend(otherwise.iter().filter(|(_, value)| !value.is_empty()));
        headers.push(("connection", "upgrade"));
        ask(self.at, "GET /live", &headers, "").await
    }
}

async fn open(face: &Face, link: &str) -> Answer {
    let at = face.address();
    let (host, origin) = (at.to_string(), format!("http://{at}"));
    let token = link.split_once('#').unwrap().1;
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let headers = [("host", host.as_str()), ("origin", &origin), kind];
    ask(at, "POST /key", &headers, &format!("token={token}")).await
}

async fn whoami(face: &Face) -> String {
    match face.perform(Command::Whoami).await.unwrap() {
        peer::api::Reply::Identity(identity) => identity.username.to_string(),
        other => panic!("{other:?}"),
    }
}

#[actix::test]
async fn a_link_opens_the_page_once_and_a_stolen_one_does_not() {
    let world = World::new().await;
    let mut face = Face::of(&world, "ken").await;
    let link = face.link();
    let first = open(&face, &link).await;
    let set = first.head.lines().find(|line| line.to_lowercase().starts_with("set-cookie:")).unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && set.contains("Path=/"), "{set}");
    // Whoever looks over a shoulder, or reads the history, comes too late.
    let second = open(&face, &link).await;
    assert_eq!((second.status, second.cookie()), (403, None));
    for token in ["", "x", &"0".repeat(64)] {
        assert_eq!(open(&face, &format!("#{token}")).await.status, 403);
    }
    face.stop().await;
}

#[actix::test]
async fn without_the_cookie_there_is_a_closed_door() {
    let world = World::new().await;
    let mut face = Face::of(&world, "ken").await;
    face.host("first").await;
    face.send("first", "a secret").await;
    let inside = Let::into(&face).await;
    let wrong = format!("natter-{}={}", face.address().port(), "0".repeat(64));
    for path in [
        "/",
        "/find",
        "/me",
        "/status",
        "/c/first",
        "/c/first?at=1:1",
        "/c/first/newest",
        "/c/first/newer?after=1:1",
        "/c/first/about",
        "/search?q=secret",
        "/search/rows?q=secret",
    ] {
        for cookie in ["", "other=1", &wrong] {
            let answer =
                ask(inside.at, &format!("GET {path}"), &[("host", &inside.host), ("cookie", cookie)], "")
                    .await;
            assert_eq!(answer.status, 401, "{path}");
            let is_told =
                ["ken", "first", "a secret", &inside.csrf].iter().any(|word| answer.body.contains(word));
            assert!(!is_told, "{path}: {}", answer.body);
        }
    }
    for cookie in ["", &wrong] {
        assert_eq!(inside.change("/account/guest", "name=mallory", &[("cookie", cookie)]).await.status, 401);
        assert_eq!(inside.socket(&[("cookie", cookie)]).await.status, 401);
    }
    assert_eq!(whoami(&face).await, "ken");
    assert_eq!(inside.socket(&[]).await.status, 101);
    face.stop().await;
}

#[actix::test]
async fn another_name_for_this_machine_is_not_answered() {
    let world = World::new().await;
    let mut face = Face::of(&world, "ken").await;
    let inside = Let::into(&face).await;
    let port = inside.at.port();
    for host in
        ["evil.example".to_owned(), format!("evil.example:{port}"), format!("127.0.0.1.evil.example:{port}")]
    {
        let answer = ask(inside.at, "GET /", &[("host", &host), ("cookie", &inside.cookie)], "").await;
        assert_eq!(answer.status, 421, "{host}");
        let origin = format!("http://{host}");
        let changed =
            inside.change("/account/guest", "name=mallory", &[("host", &host), ("origin", &origin)]).await;
        assert_eq!(changed.status, 421);
        assert_eq!(inside.socket(&[("host", &host), ("origin", &origin)]).await.status, 421);
    }
    // Two names, of which one is ours, are none of ours.
    let two = [("host", inside.host.as_str()), ("host", "evil.example"), ("cookie", &inside.cookie)];
    assert!(ask(inside.at, "GET /", &two, "").await.status >= 400);
    assert_eq!(whoami(&face).await, "ken");
    face.stop().await;
}

#[actix::test]
async fn another_site_changes_nothing_even_with_the_cookie() {
    let world = World::new().await;
    let mut face = Face::of(&world, "ken").await;
    let inside = Let::into(&face).await;
    let others = ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1"];
    for origin in others.into_iter().chain([""]) {
        let changed = inside.change("/account/guest", "name=mallory", &[("origin", origin)]).await;
        assert_eq!(changed.status, 403, "{origin}");
        assert_eq!(inside.socket(&[("origin", origin)]).await.status, 403, "{origin}");
    }
    for site in ["cross-site", "same-site", "none"] {
        let changed = inside.change("/account/guest", "name=mallory", &[("sec-fetch-site", site)]).await;
        assert_eq!(changed.status, 403, "{site}");
    }
    for token in ["", "x", &"0".repeat(64)] {
        let changed = inside.change("/account/guest", "name=mallory", &[("x-csrf-token", token)]).await;
        assert_eq!(changed.status, 403, "{token}");
    }
    // What only reads is asked with GET, and no change is.
    for path in ["/account/guest?name=mallory", "/quit", "/link", "/c/first/leave"] {
        let headers = [("host", inside.host.as_str()), ("cookie", &inside.cookie)];
        let answer = ask(inside.at, &format!("GET {path}"), &headers, "").await;
        assert!([404, 405].contains(&answer.status), "{path}: {}", answer.status);
    }
    assert_eq!(whoami(&face).await, "ken");
    assert_eq!(inside.change("/account/guest", "name=kenny", &[]).await.status, 200);
    assert_eq!(whoami(&face).await, "kenny");
    face.stop().await;
}

/// All that changes anything, as the server lists it; but for the exchange of a link's key, which has a test of its own.
const CHANGES: [&str; 19] = [
    "/join",
    "/host",
    "/account/signout",
    "/people/start",
    "/here/watch",
    "/broadcast",
    "/p/ada/upload",
    "/p/ada/path",
    "/p/ada/files/x/pause",
    "/link",
    "/lock",
    "/quit",
    "/c/first/erase",
    "/c/first/order/retention",
    "/c/first/upload",
    "/c/first/path",
    "/c/first/files/x/pause",
    "/c/first/release",
    "/c/first/outbox/x/cancel",
];

#[actix::test]
async fn no_change_at_all_is_done_for_another_site() {
    let server = include_str!("../../src/ui/web/server.rs");
    assert_eq!(server.matches("web::post()").count(), CHANGES.len() + 1, "each has a row here");
    let world = World::new().await;
    let mut face = Face::of(&world, "ken").await;
    face.host("first").await;
    face.send("first", "it stays").await;
    let inside = Let::into(&face).await;
    let body = "at=1:1&days=1&channel=first&user=ada&text=x&path=/etc/passwd";
    for path in CHANGES {
        let zeros = "0".repeat(64);
        for wrong in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", ""),
            ("sec-fetch-site", "cross-site"),
            ("x-csrf-token", ""),
            ("x-csrf-token", &zeros),
        ] {
            assert_eq!(inside.change(path, body, &[wrong]).await.status, 403, "{path} {wrong:?}");
        }
        assert_eq!(inside.change(path, body, &[("cookie", "")]).await.status, 401, "{path}");
    }
    assert!(!face.quit.is_requested());
    assert_eq!(whoami(&face).await, "ken");
    let command = Command::History { channel: named("first"), count: 9, before: None };
    let Ok(peer::api::Reply::History(history)) = face.perform(command).await else { unreachable!() };
    assert_eq!(history.messages.len(), 1);
    assert_eq!(history.messages[0].text.as_deref(), Some("it stays"));
    // Nor is what only its user's page may ask done when it makes no sense.
    for body in ["", "at=x", "at=1:1", "at=1:18446744073709551615&why=x", "why=x"] {
        let status = inside.change("/c/first/erase", body, &[]).await.status;
        assert!([204, 400].contains(&status), "{body}: {status}");
    }
    let command = Command::History { channel: named("first"), count: 9, before: None };
    let Ok(peer::api::Reply::History(history)) = face.perform(command).await else { unreachable!() };
    assert_eq!(history.messages.len(), 1);
    face.stop().await;
}

#[actix::test]
async fn every_answer_says_what_a_browser_may_do_with_it() {
    let world = World::new().await;
    let mut face = Face::of(&world, "ken").await;
    let inside = Let::into(&face).await;
    let headers = [("host", inside.host.as_str()), ("cookie", &inside.cookie)];
    let page = ask(inside.at, "GET /find", &headers, "").await;
    let script = page.body.split("src=\"").find(|part| part.contains("page.js")).unwrap();
    let script = script.split('"').next().unwrap().to_owned();
    for path in ["/find", &script, "/nowhere"] {
        for headers in [&headers[..], &headers[..1], &[("host", "evil.example")]] {
            let head = ask(inside.at, &format!("GET {path}"), headers, "").await.head.to_lowercase();
            for rule in [
                "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';",
                "frame-ancestors 'none'",
                "x-content-type-options: nosniff",
                "x-frame-options: deny",
                "referrer-policy: no-referrer",
            ] {
                assert!(head.contains(rule), "{path}: {rule} is not in {head}");
            }
            assert!(!head.contains("unsafe-inline") && !head.contains("access-control-allow"), "{head}");
        }
    }
    // Nothing that the rules forbid stands in the page.
    for forbidden in ["<style", " style=", "onclick=", "onload=", "javascript:", "http://", "https://"] {
        assert!(!page.body.contains(forbidden), "{forbidden}");
    }
    assert!(page.head.to_lowercase().contains("cache-control: no-store"));
    face.stop().await;
}

#[actix::test]
async fn too_much_is_refused_and_the_page_goes_on() {
    let world = World::new().await;
    let mut face = Face::of(&world, "ken").await;
    let inside = Let::into(&face).await;
    let long = format!("name={}", "x".repeat(100_000));
    assert_eq!(inside.change("/account/guest", &long, &[]).await.status, 413);
    for (path, body) in [
        ("/account/guest", "name=%ff%fe"),
        ("/account/guest", "nom=x"),
        ("/account/frob", "name=x"),
        ("/account/confirm", "key=zz"),
        ("/host", "channel="),
        ("/host", "channel=%00"),
        ("/join", "x"),
        ("/c/first/frob", ""),
        ("/c/%ff/leave", ""),
        ("/c/first/outbox/x/frob", ""),
        ("/c/first/outbox/x/retry", ""),
    ] {
        let answer = inside.change(path, body, &[]).await;
        assert!(answer.status < 500, "{path} {body}: {}", answer.status);
    }
    assert_eq!(whoami(&face).await, "ken");
    face.stop().await;
}

/// What would be run, if anything that others write were.
pub const SCRIPTS: [&str; 8] = [
    "<script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    "\"><svg onload=window.hit=1>",
    "<b hx-get=\"/me\" hx-trigger=\"load\" hx-on::load=\"window.hit=1\">x</b>",
    "javascript:window.hit=1",
    "</textarea></template><script>window.hit=1</script>",
    "{{constructor.constructor('window.hit=1')()}}",
    "<div hx-swap-oob=\"true\" id=\"main\">gone</div>",
];

#[actix::test]
async fn a_script_in_any_field_is_only_text() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut mallory) = (Face::of(&world, "ken").await, Face::of(&world, "mallory").await);
    ken.host("first").await;
    mallory.perform(join("first")).await.unwrap();
    for script in SCRIPTS {
        mallory.send("first", script).await;
    }
    let browser = ken.browser(&driver).await;
    browser.goto(&ken.at("/c/first")).await;
    browser.until(&format!("document.querySelectorAll('#log .message').length === {}", SCRIPTS.len())).await;
    // Live, too, and as what one writes oneself.
    for script in SCRIPTS {
        mallory.send("first", script).await;
        browser.write(script).await;
    }
    browser
        .until(&format!("document.querySelectorAll('#log .message').length === {}", 3 * SCRIPTS.len()))
        .await;
    let shown = browser.messages().await;
    for script in SCRIPTS {
        assert_eq!(shown.iter().filter(|text| *text == script).count(), 3, "{script}");
    }
    // In every field there is.
    for script in SCRIPTS {
        browser.goto(&ken.at("/me")).await;
        for field in ["guest-name", "signup-name", "signin-name"] {
            browser.js(&format!("document.getElementById('{field}').removeAttribute('maxlength')")).await;
            browser.fill(&format!("#{field}"), script).await;
        }
        for way in ["signup", "signin"] {
            browser.fill(&format!("#{way}-password"), PASSWORD).await;
        }
        browser.click("form[hx-post='/account/signup'] button").await;
        browser.until_there("#signup-name[aria-invalid]").await;
        browser.until_there("#signup-name-said:not(:empty)").await;
    }
    for script in SCRIPTS {
        browser.goto(&ken.at("/find")).await;
        browser.js("document.getElementById('host-name').removeAttribute('maxlength')").await;
        browser.fill("input[name=pattern]", script).await;
        browser.fill("#host-name", script).await;
        browser.click("#host button").await;
        browser.until_there("#host-name-said:not(:empty)").await;
        browser.until_shows("#found", "No channel is called like that").await;
    }
    browser.until("window.hit === undefined").await;
    browser.until_there("#main").await;
    browser.is_content().await;
    browser.quit().await;
    mallory.stop().await;
    ken.stop().await;
}
