//! Two who have agreed to talk, and files between them.

use std::fs;
use std::path::{Path, PathBuf};

use common::id::FileId;
use common::proto::status::Code;
use peer::api::{
    Command, DirectCommand, Event, FileChange, FileCommand, FileRow, FileState, FileTo, LinkState, Reply,
};

use crate::support::{Person, World};

pub struct Scene {
    pub world: World,
    pub ken: Person,
    pub charlie: Person,
}

impl Scene {
    pub async fn new() -> Self {
        let world = World::new().await;
        let (mut ken, mut charlie) = (world.guest("ken").await, world.guest("charlie").await);
        meet(&mut ken, &mut charlie).await;
        Self { world, ken, charlie }
    }

    /// A file or folder of the user ken, made by `make`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.world.folder().join(name)
    }

    /// A file with these bytes, offered by ken, and charlie has heard of it.
    pub async fn offered(&mut self, name: &str, bytes: &[u8]) -> FileId {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        self.offer(&path).await
    }

    pub async fn offer(&mut self, path: &Path) -> FileId {
        let row = offer(&self.ken, "charlie", path).await;
        expect(&mut self.charlie, row.id, FileState::Offered).await;
        row.id
    }

    /// Charlie accepts, and it arrives.
    pub async fn fetched(&mut self, id: FileId) -> PathBuf {
        change(&self.charlie, id, FileChange::Accept).await;
        self.arrives(id).await
    }

    pub async fn arrives(&mut self, id: FileId) -> PathBuf {
        let row = expect(&mut self.charlie, id, FileState::Done).await;
        assert_eq!(row.have, row.size);
        row.path.unwrap().into()
    }

    /// What there is in charlie's folder for downloads.
    pub fn downloads(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.charlie.config.downloads) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub async fn meet(asks: &mut Person, agrees: &mut Person) {
    let (name, other) = (asks.name().to_owned(), agrees.name().to_owned());
    let direct = |command| Command::Direct(command);
    asks.done(direct(DirectCommand::Start { user: other.parse().unwrap() })).await;
    agrees.expect("request", |event| matches!(event, Event::ChatRequest(_)).then_some(())).await;
    agrees.done(direct(DirectCommand::Accept { user: name.parse().unwrap(), key: None })).await;
    asks.expect_connection(&format!("@{other}"), LinkState::Up).await;
    agrees.expect_connection(&format!("@{name}"), LinkState::Up).await;
}

pub async fn offer(person: &Person, user: &str, path: &Path) -> FileRow {
    let send = FileCommand::Send { to: FileTo::User(user.parse().unwrap()), paths: vec![path.to_owned()] };
    let Reply::Files(list) = person.done(Command::Files(send)).await else { unreachable!() };
    list.files.into_iter().next().unwrap()
}

pub async fn refused_offer(person: &Person, user: &str, path: &Path) -> Code {
    let send = FileCommand::Send { to: FileTo::User(user.parse().unwrap()), paths: vec![path.to_owned()] };
    person.refused(Command::Files(send)).await
}

fn changing(id: FileId, change: FileChange) -> Command {
    Command::Files(FileCommand::Change { id: id.to_string(), change })
}

pub async fn change(person: &Person, id: FileId, to: FileChange) {
    person.done(changing(id, to)).await;
}

pub async fn refused_change(person: &Person, id: FileId, to: FileChange) -> Code {
    person.refused(changing(id, to)).await
}

pub async fn files(person: &Person) -> Vec<FileRow> {
    let Reply::Files(list) = person.done(Command::Files(FileCommand::List)).await else { unreachable!() };
    list.files
}

pub async fn state_of(person: &Person, id: FileId) -> FileState {
    files(person).await.into_iter().find(|row| row.id == id).expect("it is listed").state
}

pub async fn expect(person: &mut Person, id: FileId, state: FileState) -> FileRow {
    let what = format!("the file to be {state:?}");
    person
        .expect(&what, |event| match event {
            Event::File(row) if row.id == id && row.state == state => Some((**row).clone()),
            _ => None,
        })
        .await
}

/// Bytes that are different everywhere.
pub fn bytes(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}
