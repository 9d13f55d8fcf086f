//! Somebody with a peer whose page is served.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use common::shutdown::Shutdown;
use peer::api::{Command, Outcome};
use peer::events::Events;
use peer::node::NodeHandle;
use peer::ui::Node;
use peer::ui::web::{self, Web, WebConfig};
use peer::{Config, Peer};

use crate::browser::{Browser, Driver};
use crate::support::{World, named, send, within};

pub struct Face {
    pub config: Config,
    running: Option<(Peer, Web)>,
    /// Where the page is, also after a restart.
    address: SocketAddr,
    pub quit: Shutdown,
}

impl Face {
    pub async fn start(config: Config) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut face = Self { config, running: None, address, quit: Shutdown::new().1 };
        face.start_again().await;
        face
    }

    /// A guest's.
    pub async fn of(world: &World, name: &str) -> Self {
        let face = Self::start(world.config(name)).await;
        within(face.node().settled()).await;
        face
    }

    pub async fn start_again(&mut self) {
        let mut peer = within(Box::pin(peer::start(self.config.clone()))).await.unwrap();
        let queue = std::mem::replace(&mut peer.events, Events::new().1);
        let (quit, quitting) = Shutdown::new();
        let config = WebConfig { address: self.address, data_dir: self.config.data.clone(), quit };
        let (web, _) = web::start(peer.node.clone(), queue, config, false).unwrap();
        self.address = web.address();
        self.quit = quitting;
        self.running = Some((peer, web));
    }

    pub async fn stop(&mut self) {
        let (peer, web) = self.running.take().expect("runs");
        within(peer.node.finish(Duration::ZERO)).await;
        within(web.stop()).await;
        within(peer.shut_down()).await.unwrap();
    }

    fn web(&self) -> &Web {
        &self.running.as_ref().expect("runs").1
    }

    pub fn node(&self) -> NodeHandle {
        self.running.as_ref().expect("runs").0.node.clone()
    }

    pub async fn perform(&self, command: Command) -> Outcome {
        within(self.node().perform(command)).await
    }

    pub async fn host(&self, channel: &str) {
        self.perform(Command::Host { channel: named(channel) }).await.unwrap();
    }

    pub async fn send(&self, channel: &str, text: &str) {
        self.perform(send(channel, text)).await.unwrap();
    }

    /// A link that opens the page once.
    pub fn link(&self) -> String {
        self.web().new_link().unwrap()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A browser in which the page is open.
    pub async fn browser(&self, driver: &Driver) -> Browser {
        let browser = driver.browser().await;
        browser.goto(&self.link()).await;
        browser.until_there("#main").await;
        browser
    }
}
