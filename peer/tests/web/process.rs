//! The real program: what it prints, how it is told to stop, and what it says when it cannot serve its page.

use rustix::process::Signal;

use crate::process_support::{Program, command, peer_program, run, tracker};

#[test]
fn a_page_alone_says_where_it_is_and_stays_until_it_is_told_to_stop() {
    let home = tempfile::TempDir::new().unwrap();
    let mut peer = command(&peer_program(), home.path());
    peer.args(["--web", "127.0.0.1:0", "--username", "ken", "--tracker", "127.0.0.1:1"]);
    let mut peer = Program::start(peer);
    let line = peer.line().expect("it says where its page is");
    let address = line.strip_prefix("page ready address=http://127.0.0.1:").expect("this form");
    let (port, token) = address.split_once("/#").unwrap();
    assert_eq!(token.len(), 64);
    // Its input ends, and it stays: the page is what is used.
    peer.close_input();
    let mut stream = std::net::TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let asked = format!("GET / HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\n\r\n");
    std::io::Write::write_all(&mut stream, asked.as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("Natter"), "{answer}");
    peer.signal(Signal::TERM);
    let ended = peer.ended();
    assert_eq!((ended.code, ended.rest), (Some(0), vec![]), "{}", ended.log);
}

#[test]
fn beside_json_the_page_is_an_event_and_both_go_on() {
    let home = tempfile::TempDir::new().unwrap();
    let tracker = tracker::Tracker::start(&home.path().join("tracker"));
    let mut peer = command(&peer_program(), home.path());
    peer.args(["--json", "--web", "127.0.0.1:0", "--username", "ken", "--tracker", &tracker.shared()]);
    let mut peer = Program::start(peer);
    let mut next = || serde_json::from_str::<serde_json::Value>(&peer.line().unwrap()).unwrap();
    assert_eq!(next()["event"], "ready");
    let page = std::iter::from_fn(|| Some(next())).take(10).find(|line| line["event"] == "page").unwrap();
    assert!(page["address"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{page}");
    peer.write(b"quit\n");
    let ended = peer.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}

#[test]
fn a_place_that_cannot_be_had_is_said() {
    let home = tempfile::TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = taken.local_addr().unwrap().to_string();
    let ended = run(command(&peer_program(), home.path()), ["--web", &place, "--username", "ken"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.log.contains(&place) && ended.log.contains("--web"), "{}", ended.log);
    let ended = run(command(&peer_program(), home.path()), ["--web", "192.0.2.1:8822", "--username", "ken"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.log.contains("--web-insecure"), "{}", ended.log);
}
