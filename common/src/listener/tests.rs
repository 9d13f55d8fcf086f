use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::identity::Identity;
use crate::link::CloseReason;
use crate::shutdown::ShutdownTrigger;
use crate::transport::{Address, Expected, Transport};

const SOON: Duration = Duration::from_secs(10);

/// A listener that serves each connection for as long as its other side is there.
struct Scene {
    address: SocketAddr,
    trigger: ShutdownTrigger,
    served: mpsc::Receiver<()>,
    listening: JoinHandle<Connections>,
}

async fn scene(limits: Limits) -> Scene {
    let transport = Transport::new(Identity::generate().unwrap()).unwrap();
    let listener = transport.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr();
    let (trigger, shutdown) = Shutdown::new();
    let (tell, served) = mpsc::channel(64);
    let serve = move |connection: Connection| {
        let tell = tell.clone();
        async move {
            tell.send(()).await.unwrap();
            let (link, mut inbox) = Link::open(connection);
            while inbox.next().await.is_ok() {}
            drop(inbox);
            link.finished().await;
        }
    };
    let listening = tokio::spawn(listen(listener, limits, shutdown, serve));
    Scene { address, trigger, served, listening }
}

impl Scene {
    async fn dial(&self) -> (Link, crate::link::Inbox) {
        let dialler = Transport::new(Identity::generate().unwrap()).unwrap();
        Link::open(dialler.dial(Expected::Any, &[Address::tcp(self.address)]).await.unwrap())
    }

    async fn enter(&mut self) -> (Link, crate::link::Inbox) {
        let entered = self.dial().await;
        timeout(SOON, self.served.recv()).await.unwrap().unwrap();
        entered
    }
}

fn limits() -> Limits {
    Limits { counts_loopback: true, ..Limits::default() }
}

#[tokio::test]
async fn who_has_too_many_connections_is_told_and_gets_a_place_when_one_is_free() {
    for limits in
        [Limits { connections_of_origin: 2, ..limits() }, Limits { connections: 2, ..Limits::default() }]
    {
        let mut scene = scene(limits).await;
        let first = scene.enter().await;
        let _second = scene.enter().await;
        let (_link, mut inbox) = scene.dial().await;
        let reason = timeout(SOON, inbox.next()).await.unwrap().unwrap_err();
        let told = Refusal::from(Code::TooManyConnections).after(CONNECT_AGAIN_AFTER);
        assert_eq!(reason, CloseReason::Told(told));
        drop(first);
        loop {
            let _again = scene.dial().await;
            if timeout(Duration::from_millis(100), scene.served.recv()).await.is_ok() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn who_has_too_many_handshakes_under_way_is_hung_up_on() {
    let scene = scene(Limits { handshakes_of_origin: 2, ..limits() }).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        waiting.push(TcpStream::connect(scene.address).await.unwrap());
    }
    let mut over = TcpStream::connect(scene.address).await.unwrap();
    let read = timeout(SOON, over.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "hung up on");
    for stream in &mut waiting {
        let more = timeout(Duration::from_millis(20), stream.read(&mut [0; 1])).await;
        assert!(more.is_err(), "the others may still shake hands");
    }
}

#[tokio::test]
async fn this_machine_is_not_bounded_by_what_one_origin_may_have() {
    let bounds = Limits { connections_of_origin: 0, handshakes_of_origin: 0, ..Limits::default() };
    let mut scene = scene(bounds).await;
    let _entered = scene.enter().await;
}

#[tokio::test]
async fn it_stops_when_asked_and_waits_for_those_who_are_served_but_not_for_ever() {
    let mut scene = scene(Limits::default()).await;
    let entered = scene.enter().await;
    let _mute = TcpStream::connect(scene.address).await.unwrap();
    scene.trigger.request();
    let connections = timeout(SOON, scene.listening).await.unwrap().unwrap();
    assert!(!connections.is_empty() && connections.len() <= 2);
    assert!(TcpStream::connect(scene.address).await.is_err(), "nobody is taken in any more");
    let finishing = tokio::spawn(connections.finish(Duration::from_millis(50)));
    timeout(SOON, finishing).await.unwrap().unwrap();
    let (_link, mut inbox) = entered;
    assert!(timeout(SOON, inbox.next()).await.unwrap().is_err(), "cut off");
}
