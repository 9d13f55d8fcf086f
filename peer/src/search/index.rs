//! The index on disk: tantivy's, in a folder of its own. Everything in it comes from archives and logs, so it may be thrown
//! away at any time.
//!
//! How far it goes is written with each commit, as one: after a crash it says exactly what is in it.

use std::ops::{Bound, RangeInclusive};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use common::id::{ChannelId, Epoch, MessageId};
use serde::{Deserialize, Serialize};
use tantivy::collector::{Count, TopDocs};
use tantivy::directory::MmapDirectory;
use tantivy::query::{
    AllQuery, BooleanQuery, Occur, PhrasePrefixQuery, PhraseQuery, Query, RangeQuery, TermQuery,
};
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{PreTokenizedString, Token};
use tantivy::{
    DocId, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, SegmentReader, TantivyDocument,
    TantivyError, Term,
};

use super::query::Clause;
use super::ranges::Ranges;
use super::words::words;
use super::{Cursor, Hit, Wanted};
use crate::direct::book::ContactId;

/// Raised when what is indexed, or how, is another way than before.
const VERSION: u32 = 2;
/// How much memory what is not committed may take.
const WRITER_BYTES: usize = 32 * 1024 * 1024;
/// A part of a word is looked for in so many words at most.
const MAX_EXPANSIONS: u32 = 1000;
/// So many bits of a key are the number of an entry; those above say of which log.
const SEQ_BITS: u32 = 40;
const MAX_SEQ: u64 = (1 << SEQ_BITS) - 1;
/// What is found by `has:link`.
const LINK: &str = "link";

/// What is numbered: a life of a channel's log, or a private conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogId {
    /// Entries by `seq`.
    Channel(ChannelId, Epoch),
    /// Messages by when they came.
    Direct(ContactId),
}

/// A message as it is indexed.
#[derive(Clone, Debug)]
pub struct Text {
    /// Its number.
    pub seq: u64,
    /// When it was stored, or sent where no host stores it, in milliseconds.
    pub time: u64,
    /// The author's name, folded.
    pub author: String,
    /// What it says.
    pub text: String,
}

/// How far the index goes, as it is written with it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Kept {
    version: u32,
    /// By place: a log keeps the place it was given.
    logs: Vec<KeptLog>,
}

/// How far one log is indexed.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptLog {
    log: LogId,
    indexed: Ranges,
    /// Up to here its texts were dropped because of their age.
    forgotten: u64,
    /// The last of what is indexed, and which message it was: another one there means that the log was cut.
    last: Option<(u64, Option<MessageId>)>,
}

/// Why the index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It cannot be read or written.
    #[error(transparent)]
    Index(#[from] TantivyError),
    /// It is of another release, or not whole.
    #[error("the search index is {0}")]
    Unfit(&'static str),
    /// Its folder cannot be made.
    #[error("the search index cannot be made: {0}")]
    Folder(#[from] std::io::Error),
}

#[derive(Clone, Copy)]
struct Fields {
    words: Field,
    author: Field,
    has: Field,
    log: Field,
    key: Field,
    time: Field,
}

/// The index, for the one thread that writes it.
pub struct Index {
    index: tantivy::Index,
    fields: Fields,
    reader: IndexReader,
    writer: Option<IndexWriter>,
    kept: Kept,
    logs: Arc<RwLock<Vec<LogId>>>,
}

/// The index, for those who look for something. Cheap to clone.
#[derive(Clone)]
pub struct Finder {
    reader: IndexReader,
    fields: Fields,
    logs: Arc<RwLock<Vec<LogId>>>,
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let text = |option| {
        let indexing = TextFieldIndexing::default().set_tokenizer("raw").set_index_option(option);
        TextOptions::default().set_indexing_options(indexing.set_fieldnorms(false))
    };
    let fields = Fields {
        words: schema.add_text_field("words", text(IndexRecordOption::WithFreqsAndPositions)),
        author: schema.add_text_field("author", text(IndexRecordOption::Basic)),
        has: schema.add_text_field("has", text(IndexRecordOption::Basic)),
        log: schema.add_u64_field("log", NumericOptions::from(INDEXED)),
        key: schema.add_u64_field("key", NumericOptions::from(FAST)),
        time: schema.add_u64_field("time", NumericOptions::from(FAST)),
    };
    (schema.build(), fields)
}

impl Index {
    /// Opens what is there.
    ///
    /// # Errors
    /// When there is none, or it is of no use any more.
    pub fn open(folder: &Path) -> Result<Self, IndexError> {
        let index = tantivy::Index::open(MmapDirectory::open(folder).map_err(TantivyError::from)?)?;
        let (schema, fields) = schema();
        if index.schema() != schema {
            return Err(IndexError::Unfit("of another release"));
        }
        let payload = index.load_metas()?.payload;
        let kept =
            payload.and_then(|payload| serde_json::from_str::<Kept>(&payload).ok()).unwrap_or_default();
        if kept.version != VERSION {
            return Err(IndexError::Unfit("of another release"));
        }
        Self::with(index, fields, kept)
    }

    /// Makes an empty one, in place of whatever is there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(folder: &Path) -> Result<Self, IndexError> {
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        common::files::create_private_folder(folder)?;
        let directory = MmapDirectory::open(folder).map_err(TantivyError::from)?;
        let (schema, fields) = schema();
        let index = tantivy::Index::create(directory, schema, IndexSettings::default())?;
        let mut index = Self::with(index, fields, Kept { version: VERSION, logs: Vec::new() })?;
        index.commit()?;
        Ok(index)
    }

    fn with(index: tantivy::Index, fields: Fields, kept: Kept) -> Result<Self, IndexError> {
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let logs = Arc::new(RwLock::new(kept.logs.iter().map(|kept| kept.log).collect()));
        Ok(Self { index, fields, reader, writer: None, kept, logs })
    }

    /// Whether what is on disk is what was written. Reads all of it.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self) -> Result<(), IndexError> {
        match self.index.validate_checksum()?.is_empty() {
            true => Ok(()),
            false => Err(IndexError::Unfit("damaged")),
        }
    }

    /// For those who look for something.
    pub fn finder(&self) -> Finder {
        Finder { reader: self.reader.clone(), fields: self.fields, logs: self.logs.clone() }
    }

    /// Which entries of a log are in it.
    pub fn indexed(&self, log: LogId) -> Ranges {
        self.kept(log).map(|kept| kept.indexed.clone()).unwrap_or_default()
    }

    /// The last of a log that is in it, and which message that was.
    pub fn last(&self, log: LogId) -> Option<(u64, Option<MessageId>)> {
        self.kept(log)?.last
    }

    fn kept(&self, log: LogId) -> Option<&KeptLog> {
        self.kept.logs.iter().find(|kept| kept.log == log)
    }

    /// The logs of which it has, or had, something.
    pub fn logs(&self) -> Vec<LogId> {
        self.kept.logs.iter().map(|kept| kept.log).collect()
    }

    /// Takes the texts among the entries after `after`, up to `upto`. It counts with the next commit.
    ///
    /// # Errors
    /// When it is not taken; what was taken before the last commit is as it was.
    pub fn add(&mut self, log: LogId, after: u64, upto: u64, texts: Vec<Text>) -> Result<(), IndexError> {
        let place = self.place(log);
        let fields = self.fields;
        let writer = self.writer()?;
        for Text { seq, time, author, text } in texts {
            let mut document = TantivyDocument::default();
            document.add_pre_tokenized_text(fields.words, tokens(&text));
            document.add_text(fields.author, author);
            if linkify::LinkFinder::new().links(&text).next().is_some() {
                document.add_text(fields.has, LINK);
            }
            document.add_u64(fields.log, place as u64);
            document.add_u64(fields.key, key(place, seq));
            document.add_u64(fields.time, time);
            writer.add_document(document)?;
        }
        self.kept.logs[place].indexed.add(after, upto);
        Ok(())
    }

    /// Notes which message is at `seq`, if nothing behind it is indexed.
    pub fn note_last(&mut self, log: LogId, seq: u64, message: Option<MessageId>) {
        let place = self.place(log);
        let last = &mut self.kept.logs[place].last;
        if last.is_none_or(|(known, _)| known <= seq) {
            *last = Some((seq, message));
        }
    }

    /// Takes all of a log out; it is indexed anew, as far as it is there.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn remove_all(&mut self, log: LogId) -> Result<(), IndexError> {
        self.remove(log, 0..=MAX_SEQ, false)?;
        let place = self.place(log);
        let kept = &mut self.kept.logs[place];
        (kept.forgotten, kept.last) = (0, None);
        Ok(())
    }

    /// Whether something that was taken out is on the disk still.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn is_torn(&self) -> Result<bool, IndexError> {
        Ok(self.index.searchable_segment_metas()?.iter().any(|meta| meta.has_deletes()))
    }

    /// Takes entries out; they are not indexed again while `stays` is set, as if they had no text.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn remove(&mut self, log: LogId, seqs: RangeInclusive<u64>, stays: bool) -> Result<(), IndexError> {
        let (first, last) = (*seqs.start(), *seqs.end());
        let place = self.place(log);
        let range = self.range(self.fields.key, key(place, first), key(place, last));
        self.writer()?.delete_query(range)?;
        if !stays {
            self.kept.logs[place].indexed.remove(first.saturating_sub(1), last);
        }
        Ok(())
    }

    /// Takes out what is indexed up to `upto`, since its texts were dropped by age. Whether there was something new in that.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn forget_upto(&mut self, log: LogId, upto: u64) -> Result<bool, IndexError> {
        let place = self.place(log);
        let done = self.kept.logs[place].forgotten;
        if upto <= done {
            return Ok(false);
        }
        self.remove(log, done + 1..=upto, true)?;
        self.kept.logs[place].forgotten = upto;
        Ok(true)
    }

    /// Puts what was taken and taken out on disk, and before the eyes of those who look for something.
    ///
    /// # Errors
    /// When that cannot be done: then it is as after the last commit, once it is opened again.
    pub fn commit(&mut self) -> Result<(), IndexError> {
        let payload = serde_json::to_string(&self.kept).map_err(|_| IndexError::Unfit("of no form"))?;
        let writer = self.writer()?;
        let mut prepared = writer.prepare_commit()?;
        prepared.set_payload(&payload);
        prepared.commit()?;
        let known = self.kept.logs.iter().map(|kept| kept.log).collect();
        *self.logs.write().unwrap_or_else(PoisonError::into_inner) = known;
        self.reader.reload()?;
        Ok(())
    }

    /// Writes anew those parts of which something was taken out, so that it is gone from the disk too.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn purge(&mut self) -> Result<(), IndexError> {
        let metas = self.index.searchable_segment_metas()?.into_iter();
        // What is known of a part keeps its files: no longer than here.
        let torn = metas.filter(|meta| meta.has_deletes()).map(|meta| meta.id()).collect::<Vec<_>>();
        let mut failed = None;
        for id in torn {
            // One that is being put together with others is written anew by that.
            failed = self.writer()?.merge(&[id]).wait().err().or(failed);
        }
        // What somebody still looks through goes the next time.
        self.reader.reload()?;
        self.writer()?.garbage_collect_files().wait()?;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// How many bytes it has on disk.
    pub fn bytes(&self) -> u64 {
        let usage = self.reader.searcher().space_usage();
        usage.map_or(0, |usage| usage.total().get_bytes())
    }

    fn writer(&mut self) -> Result<&mut IndexWriter, IndexError> {
        if self.writer.is_none() {
            self.writer = Some(self.index.writer_with_num_threads(1, WRITER_BYTES)?);
        }
        self.writer.as_mut().ok_or(IndexError::Unfit("not open"))
    }

    fn place(&mut self, log: LogId) -> usize {
        let known = self.kept.logs.iter().position(|kept| kept.log == log);
        known.unwrap_or_else(|| {
            self.kept.logs.push(KeptLog { log, indexed: Ranges::default(), forgotten: 0, last: None });
            self.kept.logs.len() - 1
        })
    }

    fn range(&self, field: Field, first: u64, last: u64) -> Box<dyn Query> {
        range(field, Bound::Included(first), Bound::Included(last))
    }
}

impl Finder {
    /// The newest of what is wanted, in order, and how much there is in all.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn find(&self, wanted: &Wanted) -> Result<(Vec<Hit>, u64), IndexError> {
        let searcher = self.reader.searcher();
        let logs = self.logs.read().unwrap_or_else(PoisonError::into_inner).clone();
        let query = self.query(wanted, &logs);
        let newest = TopDocs::with_limit(wanted.limit.max(1)).order_by(|segment: &SegmentReader| {
            let column = |name: &str| {
                segment.fast_fields().u64(name).ok().map(|column| column.first_or_default_col(0))
            };
            let (times, keys) = (column("time"), column("key"));
            move |doc: DocId| {
                let value = |column: &Option<Arc<dyn tantivy::columnar::ColumnValues<u64>>>| {
                    column.as_ref().map_or(0, |column| column.get_val(doc))
                };
                (value(&times), value(&keys))
            }
        });
        let (found, total) = searcher.search(&query, &(newest, Count))?;
        let hits = found.into_iter().filter_map(|((time, key), _)| {
            let log = *logs.get(usize::try_from(key >> SEQ_BITS).ok()?)?;
            Some(Hit { log, seq: key & MAX_SEQ, cursor: Cursor { time, key } })
        });
        Ok((hits.collect(), total as u64))
    }

    fn query(&self, wanted: &Wanted, logs: &[LogId]) -> BooleanQuery {
        let Fields { author, has, log, key, time, .. } = self.fields;
        let mut parts: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for clause in &wanted.query.clauses {
            let occur = if clause.excluded { Occur::MustNot } else { Occur::Must };
            parts.push((occur, self.clause(clause)));
        }
        if let Some(name) = &wanted.from {
            parts.push((Occur::Must, term(Term::from_field_text(author, name))));
        }
        if wanted.link {
            parts.push((Occur::Must, term(Term::from_field_text(has, LINK))));
        }
        if let Some(within) = &wanted.within {
            let places = logs.iter().enumerate().filter(|(_, log)| within.holds(**log));
            let places =
                places.map(|(place, _)| (Occur::Should, term(Term::from_field_u64(log, place as u64))));
            parts.push((Occur::Must, Box::new(BooleanQuery::new(places.collect()))));
        }
        if wanted.since.is_some() || wanted.before.is_some() {
            let from = wanted.since.map_or(Bound::Included(0), Bound::Included);
            let to = wanted.before.map_or(Bound::Unbounded, Bound::Excluded);
            parts.push((Occur::Must, range(time, from, to)));
        }
        if let Some(cursor) = wanted.older {
            let same = (Bound::Included(cursor.time), Bound::Included(cursor.time));
            let seqs = wanted.within.as_ref().and_then(|within| within.place(logs));
            // In one log an entry's number says as much, whatever place the log has.
            let of_log = |place| self::key(place, cursor.key);
            let below = range(key, Bound::Included(0), Bound::Excluded(seqs.map_or(cursor.key, of_log)));
            let tied = BooleanQuery::intersection(vec![range(time, same.0, same.1), below]);
            let older = range(time, Bound::Included(0), Bound::Excluded(cursor.time));
            parts.push((Occur::Must, Box::new(BooleanQuery::union(vec![older, Box::new(tied)]))));
        }
        if !parts.iter().any(|(occur, _)| *occur == Occur::Must) {
            parts.push((Occur::Must, Box::new(AllQuery)));
        }
        BooleanQuery::new(parts)
    }

    fn clause(&self, clause: &Clause) -> Box<dyn Query> {
        let mut terms = clause.words.iter().map(|word| Term::from_field_text(self.fields.words, word));
        if clause.begins {
            let mut prefix = PhrasePrefixQuery::new(terms.collect());
            prefix.set_max_expansions(MAX_EXPANSIONS);
            return Box::new(prefix);
        }
        match clause.words.len() {
            1 => terms.next().map_or_else(|| Box::new(AllQuery) as Box<dyn Query>, term),
            _ => Box::new(PhraseQuery::new(terms.collect())),
        }
    }
}

fn term(term: Term) -> Box<dyn Query> {
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

fn range(field: Field, from: Bound<u64>, to: Bound<u64>) -> Box<dyn Query> {
    let bound = |bound: Bound<u64>| bound.map(|value| Term::from_field_u64(field, value));
    Box::new(RangeQuery::new(bound(from), bound(to)))
}

fn key(place: usize, seq: u64) -> u64 {
    ((place as u64) << SEQ_BITS) | (seq & MAX_SEQ)
}

fn tokens(text: &str) -> PreTokenizedString {
    let tokens = words(text).enumerate().map(|(position, word)| Token {
        offset_from: word.from,
        offset_to: word.to,
        position,
        text: word.folded,
        position_length: 1,
    });
    PreTokenizedString { tokens: tokens.collect(), text: String::new() }
}
