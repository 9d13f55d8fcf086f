//! Whether a log has all back that it had lost. Pure.

use common::entry::Position;

/// What a log is by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All that is known to have been in it is there.
    Whole,
    /// Entries up to this number are missing.
    Missing(u64),
    /// It has other entries than it once had, from this number on at the latest.
    Diverged(u64),
    /// All that was signed is there, and somebody has more that fits behind it: those numbers may have been given out.
    Unproven,
    /// That it was longer is known, and not how long.
    Unknown,
}

/// Judges a log that ends at `end`. `reached` are the positions that it is known to have had, `found` says what it has at
/// a number now.
pub fn judge(
    end: Position,
    reached: &[Position],
    unproven: u64,
    found: impl Fn(u64) -> Option<Position>,
) -> Verdict {
    let mine = || reached.iter().filter(|position| position.epoch == end.epoch);
    let there = mine().filter(|position| position.seq <= end.seq);
    if let Some(other) =
        there.filter(|position| found(position.seq) != Some(**position)).map(|at| at.seq).min()
    {
        return Verdict::Diverged(other);
    }
    match mine().map(|position| position.seq).max() {
        Some(last) if last > end.seq => Verdict::Missing(last),
        None => Verdict::Unknown,
        Some(_) if unproven > 0 => Verdict::Unproven,
        Some(_) => Verdict::Whole,
    }
}

#[cfg(test)]
mod tests {
    use common::entry::Hash;
    use common::id::Epoch;

    use super::*;

    #[test]
    fn a_log_is_whole_when_it_has_all_that_it_is_known_to_have_had() {
        let (epoch, other) = (Epoch::new(), Epoch::new());
        let at = |seq: u64| Position { epoch, seq, hash: Hash::of(&seq.to_be_bytes()) };
        let changed = |seq| Position { hash: Hash::of(b"other"), ..at(seq) };
        let elsewhere = Position { epoch: other, ..at(900) };
        for (reached, unproven, expected) in [
            (vec![at(50)], 0, Verdict::Whole),
            (vec![at(50), at(100)], 0, Verdict::Whole),
            (vec![at(50), elsewhere], 0, Verdict::Whole),
            (vec![at(50), at(120)], 0, Verdict::Missing(120)),
            (vec![at(120)], 7, Verdict::Missing(120)),
            (vec![at(100)], 7, Verdict::Unproven),
            (vec![changed(80), at(120)], 0, Verdict::Diverged(80)),
            (vec![changed(100)], 0, Verdict::Diverged(100)),
            (vec![elsewhere], 0, Verdict::Unknown),
            (vec![], 3, Verdict::Unknown),
        ] {
            assert_eq!(judge(at(100), &reached, unproven, |seq| Some(at(seq))), expected, "{reached:?}");
        }
    }
}
