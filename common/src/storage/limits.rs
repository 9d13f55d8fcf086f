//! Every number of the store.

use std::time::Duration;

/// Write jobs that may wait for the committer; one more is answered `Busy`, or waits with its caller.
pub const MAX_QUEUED_JOBS: usize = 1024;
/// Jobs that share one flush, at most.
pub const MAX_GROUP_JOBS: usize = 256;
/// Bytes of keys and values after which no more jobs join a group. Few, so that the next group is read and made while one is
/// written, and the first answers need not wait for the last: with 4 MiB a host stored a fifth less a second.
pub const MAX_GROUP_BYTES: usize = 512 << 10;
/// Bytes of keys and values that one job may write.
pub const MAX_JOB_BYTES: usize = 8 << 20;
/// Bytes of the longest key, without its table.
pub const MAX_KEY_BYTES: usize = 1 << 10;
/// Bytes of the largest value.
pub const MAX_VALUE_BYTES: usize = 64 << 10;
/// Bytes of the longest name of a table.
pub const MAX_TABLE_NAME_BYTES: usize = 32;
/// Free bytes on the file system below which nothing is written: sled does not survive a full disk.
pub const MIN_FREE_BYTES: u64 = 64 << 20;
/// Reads that run at once on the blocking pool; more wait with their callers.
pub const MAX_CONCURRENT_READS: usize = 16;

/// Stored with the database: never change it.
///
/// sled moves a page over a quarter of this to a file that it never syncs. A page holds up to 18 values, so
/// that the largest ones take 1.2 MiB together; with segments of 4 MiB such files were seen.
pub(super) const SEGMENT_BYTES: usize = 8 << 20;
/// What sled keeps of the database in memory: small, so that many stores fit in a process.
pub(super) const CACHE_BYTES: u64 = 8 << 20;
/// How long an opening database is tried for while sled's threads or reads under way still hold the last one.
pub(super) const REOPEN_FOR: Duration = Duration::from_secs(1);
/// How long between two of these tries.
pub(super) const REOPEN_PAUSE: Duration = Duration::from_millis(10);
