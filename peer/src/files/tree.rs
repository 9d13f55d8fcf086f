//! The BLAKE3 tree over what is sent: made once by whoever offers, and what every block is checked against by whoever
//! fetches, before anything is done with it.
//!
//! Between the blocks stand the hashes that lead from the root to them, in pre-order, as the `bao` format has it; what is
//! fetched from a later block on has only those that are needed for that.

use std::io::{self, Read, Write};

use bao_tree::io::BaoContentItem;
use bao_tree::io::outboard::PostOrderOutboard;
use bao_tree::io::sync::{DecodeResponseIter, ReadAt, encode_ranges_validated, outboard_post_order};
use bao_tree::{BaoTree, BlockSize, ChunkNum, ChunkRanges};
use bytes::Bytes;
use common::entry::Hash;
use common::proto::limits::FILE_BLOCK_BYTES;

const CHUNK_BYTES: u64 = 1024;
const BLOCK: BlockSize = BlockSize::from_chunk_log((FILE_BLOCK_BYTES / CHUNK_BYTES).ilog2() as u8);
/// How many bytes a pair of hashes has.
const PAIR_BYTES: u64 = 64;

fn tree_of(size: u64) -> BaoTree {
    BaoTree::new(size, BLOCK)
}

/// From this byte on. The last block is never left out: where it begins is the furthest that one can ask from.
fn from_byte(from: u64) -> ChunkRanges {
    ChunkRanges::from(ChunkNum(from / CHUNK_BYTES)..)
}

/// Hashes what `data` has, writes the hashes of the tree to `hashes`, and says the root.
///
/// # Errors
/// When the data cannot be read, or has not this size.
pub fn make(data: impl Read, size: u64, hashes: impl Write) -> io::Result<Hash> {
    let root = outboard_post_order(data, tree_of(size), hashes)?;
    Ok(Hash::from_bytes(*root.as_bytes()))
}

/// Whether one can ask from this byte on.
pub fn is_start(from: u64, size: u64) -> bool {
    from.is_multiple_of(FILE_BLOCK_BYTES) && (from < size || from == 0)
}

/// How many bytes are sent from this one on, hashes included: the tree of n blocks has n - 1 pairs of hashes, and those
/// of its whole parts before the first block sent are left out.
pub fn sent_bytes(size: u64, from: u64) -> u64 {
    let blocks = size.div_ceil(FILE_BLOCK_BYTES).max(1);
    let before = from / FILE_BLOCK_BYTES;
    let left_out = before - u64::from(before.count_ones());
    size.saturating_sub(from) + (blocks - 1).saturating_sub(left_out) * PAIR_BYTES
}

/// Writes what is sent from this byte on. What is not as it was when the tree was made is noticed before it is written.
///
/// # Errors
/// `InvalidData` when it is not as it was; else what reading or writing says.
pub fn send(
    data: impl ReadAt,
    hashes: impl ReadAt,
    root: Hash,
    size: u64,
    from: u64,
    to: impl Write,
) -> io::Result<()> {
    let outboard = PostOrderOutboard {
        root: blake3::Hash::from_bytes(*root.as_bytes()),
        tree: tree_of(size),
        data: hashes,
    };
    encode_ranges_validated(data, outboard, &from_byte(from), to).map_err(Into::into)
}

/// Reads what is sent, from this byte on, and hands over each block once it is known to be right.
///
/// # Errors
/// `InvalidData` when it is not what the root says; else what reading, or `take`, says.
pub fn receive(
    sent: impl Read,
    root: Hash,
    size: u64,
    from: u64,
    mut take: impl FnMut(&Bytes) -> io::Result<()>,
) -> io::Result<()> {
    let ranges = from_byte(from);
    let root = blake3::Hash::from_bytes(*root.as_bytes());
    for item in DecodeResponseIter::new(root, tree_of(size), sent, &ranges) {
        if let BaoContentItem::Leaf(leaf) = item.map_err(io::Error::from)? {
            take(&leaf.data)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(size: u64) -> Vec<u8> {
        (0..size).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect()
    }

    fn fetched(sent: &[u8], root: Hash, size: u64, from: u64) -> io::Result<Vec<u8>> {
        let mut got = Vec::new();
        receive(sent, root, size, from, |block| {
            got.extend_from_slice(block);
            Ok(())
        })?;
        Ok(got)
    }

    #[test]
    fn what_is_sent_from_any_block_on_arrives_and_has_the_announced_length() {
        for size in [
            0,
            1,
            1000,
            FILE_BLOCK_BYTES - 1,
            FILE_BLOCK_BYTES,
            FILE_BLOCK_BYTES + 1,
            5 * FILE_BLOCK_BYTES + 7,
        ] {
            let (data, mut hashes) = (data(size), Vec::new());
            let root = make(&data[..], size, &mut hashes).unwrap();
            assert_eq!(root, Hash::of(&data), "the root is the BLAKE3 hash");
            for from in (0..=size).step_by(FILE_BLOCK_BYTES as usize).filter(|from| is_start(*from, size)) {
                let mut sent = Vec::new();
                send(&data[..], &hashes[..], root, size, from, &mut sent).unwrap();
                assert_eq!(sent.len() as u64, sent_bytes(size, from));
                assert_eq!(fetched(&sent, root, size, from).unwrap(), data[from as usize..]);
            }
        }
    }

    #[test]
    fn nothing_that_was_changed_on_the_way_is_handed_over() {
        let size = 3 * FILE_BLOCK_BYTES + 5;
        let (data, mut hashes, mut sent) = (data(size), Vec::new(), Vec::new());
        let root = make(&data[..], size, &mut hashes).unwrap();
        send(&data[..], &hashes[..], root, size, 0, &mut sent).unwrap();
        for at in (0..sent.len()).step_by(50_021) {
            let mut bad = sent.clone();
            bad[at] ^= 1;
            let mut handed_over = 0;
            let error = receive(&bad[..], root, size, 0, |block| {
                let at = handed_over as usize;
                assert_eq!(block[..], data[at..at + block.len()]);
                handed_over += block.len() as u64;
                Ok(())
            })
            .unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{at}");
        }
        assert!(fetched(&sent[..sent.len() - 1], root, size, 0).is_err(), "cut off");
        assert!(fetched(&sent, root, size + 1, 0).is_err(), "another size");
    }

    #[test]
    fn what_has_changed_since_it_was_offered_is_not_sent() {
        let size = 2 * FILE_BLOCK_BYTES;
        let (mut data, mut hashes, mut sent) = (data(size), Vec::new(), Vec::new());
        let root = make(&data[..], size, &mut hashes).unwrap();
        data[FILE_BLOCK_BYTES as usize + 1] ^= 1;
        let error = send(&data[..], &hashes[..], root, size, 0, &mut sent).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(sent.len() as u64, FILE_BLOCK_BYTES + PAIR_BYTES);
    }
}
