//! Who is asked in which order. Pure.

/// The orders in which to ask those who are left, best first: each alone, so that who is wrong is known; all together,
/// where each has a part; and all but one, where one of those who each have a part is wrong.
pub fn orders(left: &[usize]) -> Vec<Vec<usize>> {
    let alone = left.iter().map(|one| vec![*one]);
    if left.len() < 2 {
        return alone.collect();
    }
    let without = |one: &usize| left.iter().copied().filter(|other| other != one).collect::<Vec<_>>();
    let all_but_one = left.iter().map(without).filter(|rest| rest.len() > 1);
    alone.chain([left.to_vec()]).chain(all_but_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_asked_alone_then_all_then_all_but_one() {
        for (left, expected) in [
            (vec![], vec![]),
            (vec![3], vec![vec![3]]),
            (vec![0, 1], vec![vec![0], vec![1], vec![0, 1]]),
            (
                vec![0, 1, 2],
                vec![vec![0], vec![1], vec![2], vec![0, 1, 2], vec![1, 2], vec![0, 2], vec![0, 1]],
            ),
        ] {
            assert_eq!(orders(&left), expected);
        }
    }
}
