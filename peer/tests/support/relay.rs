//! A piece of network between two peers that can be made to fail.

use std::net::{Ipv4Addr, SocketAddr};

use common::transport::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the network is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Whole,
    /// What the host says does not arrive any more.
    Deaf,
    /// All connections are broken, and no new one is made.
    Cut,
}

/// Passes bytes on to a host, for as long as it is told to.
pub struct Relay {
    listener: Option<TcpListener>,
    place: SocketAddr,
    state: watch::Sender<State>,
}

impl Relay {
    pub async fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let place = listener.local_addr().unwrap();
        Self { listener: Some(listener), place, state: watch::Sender::new(State::Whole) }
    }

    /// What the host behind it has to advertise.
    pub fn address(&self) -> Address {
        Address::tcp(self.place)
    }

    /// Connects whoever comes with `host`.
    pub fn lead_to(&mut self, host: SocketAddr) {
        let listener = self.listener.take().expect("leads nowhere yet");
        let state = self.state.clone();
        actix::spawn(async move {
            while let Ok((guest, _)) = listener.accept().await {
                if *state.borrow() != State::Cut {
                    let host = TcpStream::connect(host).await.unwrap();
                    actix::spawn(pass_on(guest, host, state.subscribe()));
                }
            }
        });
    }

    /// From now on nothing that the host says arrives.
    pub fn swallow_answers(&self) {
        self.state.send_replace(State::Deaf);
    }

    /// Breaks all connections; new ones are broken at once.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Makes the network whole again.
    pub fn mend(&self) {
        self.state.send_replace(State::Whole);
    }
}

async fn pass_on(mut guest: TcpStream, mut host: TcpStream, state: watch::Receiver<State>) {
    let mut cut = state.clone();
    let (mut guest_reads, mut guest_writes) = guest.split();
    let (mut host_reads, mut host_writes) = host.split();
    let up = async { drop(tokio::io::copy(&mut guest_reads, &mut host_writes).await) };
    let down = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = host_reads.read(&mut buffer).await {
            if *state.borrow() == State::Whole && guest_writes.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
        _ = cut.wait_for(|state| *state == State::Cut) => {}
    }
}
