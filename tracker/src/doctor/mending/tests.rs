use common::clock::Timestamp;
use common::doctor::State;
use common::identity::PeerKey;
use common::storage::Abort;

use super::*;
use crate::store::schema::{Account, BoundKey, SCHEMA};
use crate::tracker::testing::{guest, row};

/// A directory with an account, its key and its channel, as they are kept; and what says so.
async fn scene() -> (tempfile::TempDir, Store, Account, ChannelId) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), SCHEMA).unwrap();
    let key = PeerKey::from_bytes([9; 32]);
    let keys = vec![BoundKey { key, since: Timestamp::from_millis(1) }];
    let account = Account {
        id: AccountId::new(),
        name: "ken".parse().unwrap(),
        password: "hash".to_owned(),
        created: Timestamp::from_millis(1),
        keys,
        left: Vec::new(),
        suspended: None,
    };
    let channel = row("first", &guest(1));
    let directory = Directory::new(store.clone());
    let mut change = directory.change();
    change.put(ACCOUNTS, account.id.0.as_bytes(), &account).unwrap();
    change.put(CHANNELS, channel.id.0.as_bytes(), &channel).unwrap();
    change.put(INVISIBLE, account.id.0.as_bytes(), &InvisibleRow { account: account.id }).unwrap();
    commit(change).await.unwrap();
    // What follows from them is there from the first repair on.
    Derived::look(&store).unwrap().mend(&directory).await.unwrap();
    (folder, store, account, channel.id)
}

async fn write<T: 'static>(store: &Store, rows: Rows<T>, key: &[u8], value: Option<&'static [u8]>) {
    let (table, key) = (rows.table(), key.to_vec());
    let write = store.write(move |transaction| {
        match value {
            Some(value) => transaction.put(table, key, value.to_vec()),
            None => transaction.delete(table, key),
        }
        Ok::<_, Abort>(())
    });
    write.await.unwrap();
}

fn states(store: &Store) -> Vec<State> {
    Derived::look(store).unwrap().checks().iter().map(|check| check.state).collect()
}

#[tokio::test]
async fn who_has_which_name_and_key_is_made_anew_from_accounts_and_channels() {
    let (_folder, store, account, channel) = scene().await;
    assert_eq!(states(&store), [State::Sound; 4]);
    let key = account.keys[0].key;
    let (user, first) = (
        "ken".parse::<common::name::UserName>().unwrap(),
        "first".parse::<common::name::ChannelName>().unwrap(),
    );
    let user = user.skeleton();
    let channel_look = first.skeletons().into_iter().next().unwrap();
    write(&store, USER_NAMES, user.as_bytes(), Some(b"nothing")).await;
    write(&store, USER_NAMES, b"somebody", Some(b"nothing")).await;
    write(&store, KEYS, key.as_bytes(), None).await;
    write(&store, CHANNEL_NAMES, channel_look.as_bytes(), None).await;
    write(&store, INVISIBLE, account.id.0.as_bytes(), Some(b"nothing")).await;
    assert_eq!(states(&store), [State::Repairable; 4]);
    let directory = Directory::new(store.clone());
    Derived::look(&store).unwrap().mend(&directory).await.unwrap();
    assert_eq!(states(&store), [State::Sound; 4]);
    let claim = directory.get(USER_NAMES, user.as_bytes()).await.unwrap().unwrap().value;
    assert_eq!(claim.holder, Subject::Account(account.id));
    let bound = directory.get(KEYS, key.as_bytes()).await.unwrap().unwrap().value;
    assert_eq!(bound.account, Some(account.id));
    let named = directory.get(CHANNEL_NAMES, channel_look.as_bytes()).await.unwrap().unwrap().value;
    assert_eq!(named, channel);
    assert!(directory.get(USER_NAMES, b"somebody").await.unwrap().is_none());
}

#[tokio::test]
async fn no_name_is_given_away_while_an_account_or_a_channel_cannot_be_read() {
    let (_folder, store, account, channel) = scene().await;
    write(&store, ACCOUNTS, b"another account", Some(b"nothing")).await;
    write(&store, CHANNELS, b"another channel", Some(b"nothing")).await;
    for (rows, key) in [(USER_NAMES.table(), &b"a"[..]), (CHANNEL_NAMES.table(), b"b")] {
        let (table, key) = (rows, key.to_vec());
        let put = store.write(move |transaction| {
            transaction.put(table, key, b"nothing".to_vec());
            Ok::<_, Abort>(())
        });
        put.await.unwrap();
    }
    assert_eq!(states(&store), [State::Broken, State::Sound, State::Broken, State::Sound]);
    let directory = Directory::new(store.clone());
    Derived::look(&store).unwrap().mend(&directory).await.unwrap();
    assert_eq!(states(&store), [State::Broken, State::Sound, State::Broken, State::Sound]);
    assert!(directory.get(ACCOUNTS, account.id.0.as_bytes()).await.unwrap().is_some());
    assert!(directory.get(CHANNELS, channel.0.as_bytes()).await.unwrap().is_some());
}

#[tokio::test]
async fn what_the_tracker_can_go_without_is_put_aside() {
    let (folder, store, ..) = scene().await;
    write(&store, KNOCKS, b"somebody", Some(b"nothing")).await;
    write(&store, OFFERS, b"somebody", Some(b"nothing")).await;
    write(&store, AUDIT, b"0", Some(b"nothing")).await;
    let states = || check_dispensable(&store).unwrap().iter().map(|check| check.state).collect::<Vec<_>>();
    assert_eq!(states(), [State::Repairable; 3]);
    drop_dispensable(&store, folder.path()).await.unwrap();
    assert_eq!(states(), [State::Sound; 3]);
    let aside = std::fs::read_to_string(folder.path().join("quarantine.jsonl")).unwrap();
    assert_eq!(aside.lines().count(), 3, "{aside}");
}
