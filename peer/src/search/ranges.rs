//! Sets of numbers of entries: which of a log are there, which are indexed. Pure.

use serde::{Deserialize, Serialize};

/// Numbers after the first of each pair, up to the second. The pairs are in order, and apart from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct Ranges(Vec<(u64, u64)>);

/// What was kept is no set of numbers.
#[derive(Debug, thiserror::Error)]
#[error("ranges overlap, or are not in order")]
pub struct Disorder;

impl TryFrom<Vec<(u64, u64)>> for Ranges {
    type Error = Disorder;

    fn try_from(pairs: Vec<(u64, u64)>) -> Result<Self, Disorder> {
        let is_whole = pairs.iter().all(|(after, upto)| after < upto)
            && pairs.windows(2).all(|pair| pair[0].1 < pair[1].0);
        is_whole.then_some(Self(pairs)).ok_or(Disorder)
    }
}

impl From<Ranges> for Vec<(u64, u64)> {
    fn from(ranges: Ranges) -> Self {
        ranges.0
    }
}

impl Ranges {
    /// Adds the numbers after `after`, up to `upto`.
    pub fn add(&mut self, after: u64, upto: u64) {
        if after >= upto {
            return;
        }
        let first = self.0.partition_point(|range| range.1 < after);
        let last = self.0.partition_point(|range| range.0 <= upto);
        let touched = &self.0[first..last];
        let after = touched.first().map_or(after, |range| range.0.min(after));
        let upto = touched.last().map_or(upto, |range| range.1.max(upto));
        self.0.splice(first..last, [(after, upto)]);
    }

    /// Takes out the numbers after `after`, up to `upto`.
    pub fn remove(&mut self, after: u64, upto: u64) {
        if after >= upto {
            return;
        }
        let left = |(from, to): &(u64, u64)| {
            let (below, above) = ((*from, (*to).min(after)), ((*from).max(upto), *to));
            [below, above].into_iter().filter(|(from, to)| from < to)
        };
        self.0 = self.0.iter().flat_map(left).collect();
    }

    /// What of these is not in the others.
    pub fn without(&self, others: &Self) -> Self {
        let mut rest = self.clone();
        others.0.iter().for_each(|(after, upto)| rest.remove(*after, *upto));
        rest
    }

    /// The highest pair.
    pub fn last(&self) -> Option<(u64, u64)> {
        self.0.last().copied()
    }

    /// The pairs, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    /// How many numbers there are.
    pub fn count(&self) -> u64 {
        self.iter().map(|(after, upto)| upto - after).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn numbers(ranges: &Ranges) -> BTreeSet<u64> {
        ranges.iter().flat_map(|(after, upto)| after + 1..=upto).collect()
    }

    #[test]
    fn what_is_kept_and_in_disorder_is_noticed() {
        let read = |text: &str| serde_json::from_str::<Ranges>(text);
        assert_eq!(read("[[0,5],[7,9]]").unwrap().count(), 7);
        for wrong in ["[[5,5]]", "[[0,5],[5,9]]", "[[7,9],[0,5]]", "[[0,5],[4,9]]"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn ranges_are_sets(steps in proptest::collection::vec((any::<bool>(), 0..60u64, 0..20u64), 0..40)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (adds, after, length) in steps {
                if adds {
                    ranges.add(after, after + length);
                    set.extend(after + 1..=after + length);
                } else {
                    ranges.remove(after, after + length);
                    set.retain(|number| *number <= after || *number > after + length);
                }
                prop_assert_eq!(numbers(&ranges), set.clone());
                prop_assert_eq!(Ranges::try_from(Vec::from(ranges.clone())).unwrap(), ranges.clone());
                prop_assert_eq!(ranges.count(), set.len() as u64);
            }
        }

        /// What is indexed and what is there become the same, in whatever portions, and whatever comes and goes meanwhile.
        #[test]
        fn what_is_missing_is_indexed_once(
            there in proptest::collection::vec((0..200u64, 1..40u64), 1..8),
            gone in proptest::collection::vec((0..200u64, 1..40u64), 0..4),
            portion in 1..30u64,
        ) {
            let (mut archive, mut indexed, mut times) = (Ranges::default(), Ranges::default(), vec![0; 300]);
            for (after, length) in there {
                archive.add(after, after + length);
                while let Some((after, upto)) = archive.without(&indexed).last() {
                    let after = after.max(upto.saturating_sub(portion));
                    (after + 1..=upto).for_each(|seq| times[seq as usize] += 1);
                    indexed.add(after, upto);
                }
            }
            for (after, length) in gone {
                archive.remove(after, after + length);
            }
            for (after, upto) in indexed.without(&archive).iter() {
                (after + 1..=upto).for_each(|seq| times[seq as usize] -= 1);
                indexed.remove(after, upto);
            }
            prop_assert_eq!(&indexed, &archive);
            let once = (0..300).filter(|seq| times[*seq as usize] != 0).collect::<BTreeSet<u64>>();
            prop_assert_eq!(once, numbers(&archive));
            prop_assert!(times.iter().all(|times| *times <= 1));
        }
    }
}
