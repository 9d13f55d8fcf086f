//! What is done about files.

use common::name::{ChannelName, UserName};
use common::proto::status::{Code, Refusal};

use super::NodeHandle;
use crate::api::{FileCommand, FileTo, Outcome};
use crate::client::ClientHandle;
use crate::files::To;

impl NodeHandle {
    pub(super) async fn files(&self, asked: FileCommand) -> Outcome {
        match asked {
            FileCommand::Send { to, paths } => {
                let to = match to {
                    FileTo::User(user) => self.contact(user).await?,
                    FileTo::Channel(channel) => self.channel(self.known(&channel).await?).await?,
                    FileTo::Named(name) => self.named(&name).await?,
                };
                self.files.offer(to, paths).await
            }
            asked => self.files.perform(asked).await,
        }
    }

    async fn contact(&self, user: UserName) -> Result<To, Refusal> {
        let (contact, name) = self.direct.contact_named(user).await?;
        Ok(To::Contact(contact, name))
    }

    /// Whoever accepts wants to reach this peer.
    async fn channel(&self, client: ClientHandle) -> Result<To, Refusal> {
        if !client.status().await?.joined {
            let name = client.name();
            return Err(Refusal::new(Code::NotJoined, format!("{name} is not joined; type: join {name}")));
        }
        if self.session.borrow().invisible {
            let reason = "you are invisible, and nobody could fetch it from you; type: invisible off";
            return Err(Refusal::new(Code::Invisible, reason));
        }
        let place = self.hosting.place().await?;
        Ok(To::Channel(client.id(), client.name().clone(), place.addresses))
    }

    /// What a bare name means: never one of two.
    async fn named(&self, name: &str) -> Result<To, Refusal> {
        let joined = match name.parse::<ChannelName>() {
            Ok(channel) => self.find(&channel).await?,
            Err(_) => None,
        };
        let user = name.parse::<UserName>();
        let contact = match &user {
            Ok(user) => self.direct.contact_named(user.clone()).await,
            Err(error) => Err(Refusal::new(Code::BadName, format!("{name:?} is no name: {error}"))),
        };
        match (contact, joined) {
            (Ok(_), Some(_)) => {
                let reason = format!("there are a contact and a channel {name}; type @{name} or #{name}");
                Err(Refusal::new(Code::Usage, reason))
            }
            (Ok((contact, name)), None) => Ok(To::Contact(contact, name)),
            (Err(refusal), Some(client)) if refusal.code != Code::Invisible => self.channel(client).await,
            (Err(refusal), _) => Err(refusal),
        }
    }
}
