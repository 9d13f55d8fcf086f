//! What the tracker keeps on disk: the [`schema`], the [`directory`] that reads and changes it, and who has which name
//! ([`names`]), and what operators did ([`audit`]).

pub mod audit;
pub mod directory;
pub mod names;
pub mod schema;
