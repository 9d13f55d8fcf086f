//! What can be measured, one file each.

pub mod directory;
pub mod fanout;
pub mod files;
pub mod growth;
pub mod history;
pub mod paced;
pub mod presence;
pub mod search;
pub mod stalled;
pub mod stored;
pub mod storm;
