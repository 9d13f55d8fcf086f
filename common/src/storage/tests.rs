//! The store as its callers see it.

mod copying;
mod cuts;
mod faults;
mod migrating;
mod opening;
mod reading;
mod writing;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use super::*;

const SCHEMA: Schema = Schema { program: Program::Peer, version: 3 };
const LOG: Table = Table::new("log");
const HEADS: Table = Table::new("log_head");

type Outcome<T> = Result<T, Abort>;

fn open(folder: &Path) -> Store {
    Store::open(folder, SCHEMA).unwrap()
}

fn open_with_faults(folder: &Path) -> (Store, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    (Store::open_with_faults(folder, SCHEMA, Arc::clone(&faults)).unwrap(), faults)
}

async fn put(store: &Store, key: &str, value: &str) -> Result<(), StoreError> {
    let (key, value) = (key.to_owned(), value.to_owned());
    store
        .write(move |tx| {
            tx.put(LOG, key, value);
            Ok(())
        })
        .await
}

/// What a write job finds: never what a failed disk has taken back.
async fn settled(store: &Store, key: &'static str) -> Option<String> {
    let found = store.write(move |tx| -> Outcome<_> { Ok(tx.get(LOG, key)?) }).await.unwrap();
    found.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

fn count(store: &Store, table: Table) -> usize {
    store.reader().scan(table, .., usize::MAX, Direction::Forward).unwrap().len()
}

/// Keeps the committer from its work until it is dropped; returns once it does.
struct HeldUp {
    _release: mpsc::Sender<Infallible>,
}

fn hold_up(store: &Store) -> HeldUp {
    let (_release, released) = mpsc::channel::<Infallible>();
    let (say_started, started) = mpsc::channel();
    let held = store.submit(move |_| -> Outcome<()> {
        say_started.send(()).unwrap();
        let _ = released.recv();
        Ok(())
    });
    drop(held.unwrap());
    started.recv().unwrap();
    HeldUp { _release }
}
