//! Commands of the group `account`.

use common::name::UserName;
use common::proto::device::{Device, DeviceList, Devices, Revoke};
use common::proto::directory::Password;
use common::proto::status::{Code, Refusal};
use common::secret::Secret;

use super::NodeHandle;
use crate::api::{DeviceRow, DevicesCommand, DevicesOf, Outcome, Reply};
use crate::tracker_link::Entry;

impl NodeHandle {
    pub(super) async fn signup(&self, name: Option<UserName>, password: Secret) -> Outcome {
        // One that cannot be is not sent anywhere.
        password.check_password_length()?;
        let name = self.or_own(name);
        self.enter(Entry::Signup { name, password }).await
    }

    pub(super) async fn signin(&self, name: Option<UserName>, password: Secret) -> Outcome {
        let name = self.or_own(name);
        self.enter(Entry::Signin { name, password }).await
    }

    pub(super) async fn signout(&self) -> Outcome {
        self.enter(Entry::Signout).await
    }

    pub(super) async fn guest(&self, name: Option<UserName>) -> Outcome {
        let name = self.or_own(name);
        self.enter(Entry::Guest { name }).await
    }

    pub(super) async fn passwd(&self, old: Secret, new: Secret) -> Outcome {
        self.tracker.check_confirmed()?;
        new.check_password_length()?;
        self.tracker.request(&Password { old, new }).await?;
        Ok(Reply::Done {})
    }

    pub(super) async fn devices(&self, asked: DevicesCommand) -> Outcome {
        match asked {
            DevicesCommand::List => self.device_rows().await.map(Reply::Devices),
            DevicesCommand::Revoke { key } => self.revoke(&key).await,
        }
    }

    /// Signs out a device of this account, by the first digits of its key.
    async fn revoke(&self, digits: &str) -> Outcome {
        let DevicesOf { devices } = self.device_rows().await?;
        let digits = digits.to_ascii_lowercase();
        let found: Vec<_> =
            devices.into_iter().filter(|device| device.key.to_string().starts_with(&digits)).collect();
        let [device] = found.as_slice() else {
            let reason = match found.len() {
                0 => {
                    format!("no device of this account has a key that begins with {digits:?}; type: devices")
                }
                many => format!("{many} keys begin so: type more of the key"),
            };
            let code = if found.is_empty() { Code::NoSuchDevice } else { Code::Usage };
            return Err(Refusal::new(code, reason));
        };
        self.tracker.request(&Revoke { key: device.key }).await?;
        Ok(Reply::SignedOut(device.clone()))
    }

    async fn device_rows(&self) -> Result<DevicesOf, Refusal> {
        let own = self.session.borrow().key;
        let DeviceList { devices } = self.tracker.request(&Devices {}).await?;
        let row = |Device { key, since, seen, online, pass_until }| {
            let this = key == own;
            DeviceRow { key, since, seen, online, pass_until, this }
        };
        Ok(DevicesOf { devices: devices.into_iter().map(row).collect() })
    }

    async fn enter(&self, entry: Entry) -> Outcome {
        self.tracker.enter(entry).await.map(Reply::Identity)
    }

    fn or_own(&self, name: Option<UserName>) -> UserName {
        name.unwrap_or_else(|| self.session.borrow().username.clone())
    }
}
