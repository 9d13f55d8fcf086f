use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn key(number: u8) -> PeerKey {
    PeerKey::from_bytes([number; 32])
}

fn stamp(clock: u64, device: u8, number: u64) -> Stamp {
    Stamp { clock, key: key(device), number }
}

#[test]
fn a_device_goes_on_after_all_that_it_has_seen() {
    let mut clocks = Clocks::default();
    assert_eq!(clocks.next(key(1)), Ok(stamp(1, 1, 1)));
    clocks.add(stamp(1, 1, 1));
    clocks.add(stamp(7, 2, 3));
    assert_eq!(clocks.next(key(1)), Ok(stamp(8, 1, 2)));
    assert_eq!((clocks.have(key(1)), clocks.have(key(2)), clocks.have(key(3))), (1, 3, 0));
}

#[test]
fn only_what_stands_before_another_is_late() {
    let mut clocks = Clocks::default();
    clocks.add(stamp(5, 2, 1));
    assert_eq!(clocks.take(stamp(6, 1, 1)), Ok(Taken::New { late: false }));
    assert_eq!(clocks.take(stamp(5, 3, 1)), Ok(Taken::New { late: false }));
    assert_eq!(clocks.take(stamp(5, 1, 1)), Ok(Taken::New { late: true }));
    assert_eq!(clocks.take(stamp(4, 3, 1)), Ok(Taken::New { late: true }));
}

#[test]
fn what_no_device_would_stamp_is_refused() {
    let mut clocks = Clocks::default();
    clocks.add(stamp(5, 2, 3));
    assert_eq!(clocks.take(stamp(5, 2, 3)), Ok(Taken::Known));
    assert_eq!(clocks.take(stamp(9, 2, 2)), Ok(Taken::Known));
    for bad in [
        stamp(5, 2, 4),
        stamp(0, 1, 1),
        stamp(1, 1, 0),
        stamp(MAX_CHAT_NUMBER + 1, 1, 1),
        stamp(6, 1, MAX_CHAT_NUMBER + 1),
        stamp(6 + MAX_CLOCK_JUMP, 1, 1),
    ] {
        assert_eq!(clocks.take(bad).unwrap_err().code, Code::BadRequest, "{bad:?}");
    }
    assert_eq!(clocks.take(stamp(5 + MAX_CLOCK_JUMP, 1, 1)), Ok(Taken::New { late: false }));
}

#[test]
fn the_end_of_the_clock_is_told_and_not_wrapped_around() {
    let mut clocks = Clocks::default();
    clocks.add(stamp(MAX_CHAT_NUMBER, 2, 1));
    assert_eq!(clocks.next(key(1)).unwrap_err().code, Code::Internal);
}

#[test]
fn after_an_older_copy_was_put_back_no_number_is_used_twice() {
    let mut clocks = Clocks::default();
    clocks.add(stamp(1, 1, 1));
    clocks.catch_up(key(1), 40);
    assert_eq!(clocks.next(key(1)).unwrap().number, 41);
    clocks.catch_up(key(1), 7);
    clocks.catch_up(key(1), u64::MAX);
    assert_eq!(clocks.next(key(1)).unwrap().number, 41);
}

/// One device: what it has, in which order it got it, and what it showed as late.
#[derive(Default)]
struct Device {
    clocks: Clocks,
    shown: Vec<Stamp>,
    late: BTreeSet<Stamp>,
}

impl Device {
    fn get(&mut self, stamp: Stamp, own: bool) {
        match if own { Ok(Taken::New { late: false }) } else { self.clocks.take(stamp) } {
            Ok(Taken::New { late }) => {
                self.clocks.add(stamp);
                self.shown.push(stamp);
                if late {
                    self.late.insert(stamp);
                }
            }
            Ok(Taken::Known) => {}
            Err(refusal) => panic!("{stamp:?}: {refusal}"),
        }
    }

    /// As the archive has it.
    fn order(&self) -> Vec<Stamp> {
        let mut keys: Vec<_> = self.shown.iter().map(|stamp| (stamp.to_key(), *stamp)).collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, stamp)| stamp).collect()
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Write(usize),
    /// This many of what the one has of a third is handed on to the other, repeats included.
    Bring {
        from: usize,
        to: usize,
        upto: usize,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_usize).prop_map(Step::Write),
        (0..4_usize, 0..4_usize, 1..6_usize).prop_map(|(from, to, upto)| Step::Bring { from, to, upto }),
    ]
}

proptest! {
    #[test]
    fn devices_with_the_same_messages_show_the_same_order(steps in prop::collection::vec(any_step(), 0..120)) {
        let mut devices: Vec<Device> = (0..4).map(|_| Device::default()).collect();
        let mut written: Vec<Vec<Stamp>> = vec![Vec::new(); 4];
        // How far each has what each wrote, so that a device's messages come in order, with repeats.
        let mut reach = [[0_usize; 4]; 4];
        for step in steps {
            match step {
                Step::Write(device) => {
                    let stamp = devices[device].clocks.next(key(device as u8)).unwrap();
                    devices[device].get(stamp, true);
                    written[device].push(stamp);
                }
                Step::Bring { from, to, upto } if from != to => {
                    let begin = reach[from][to].saturating_sub(1);
                    let end = (begin + upto).min(written[from].len());
                    for stamp in &written[from][begin..end] {
                        devices[to].get(*stamp, false);
                    }
                    reach[from][to] = reach[from][to].max(end);
                }
                Step::Bring { .. } => {}
            }
        }
        for device in &devices {
            let order = device.order();
            // Late is exactly what was shown behind something that stands after it.
            for (place, stamp) in device.shown.iter().enumerate() {
                let is_behind = device.shown[..place].iter().any(|before| before > stamp);
                prop_assert_eq!(device.late.contains(stamp), is_behind);
            }
            prop_assert!(order.is_sorted());
        }
        // Everything reaches everybody in the end, in whatever way each got it.
        for (from, written) in written.iter().enumerate() {
            for (to, device) in devices.iter_mut().enumerate() {
                if from != to {
                    written.iter().for_each(|stamp| device.get(*stamp, false));
                }
            }
        }
        let whole: Vec<Stamp> = written.concat();
        for device in &devices {
            prop_assert_eq!(device.order(), devices[0].order());
            prop_assert_eq!(device.shown.len(), whole.len(), "each once");
        }
        for (at, own) in written.iter().enumerate() {
            let mine: Vec<Stamp> = devices[0].order().into_iter().filter(|s| s.key == key(at as u8)).collect();
            prop_assert_eq!(&mine, own, "what one device wrote keeps its order");
        }
    }

    #[test]
    fn keys_of_the_store_are_in_the_order_of_the_stamps(
        a in (any::<u64>(), any::<[u8; 32]>(), any::<u64>()), b in (any::<u64>(), any::<[u8; 32]>(), any::<u64>()),
    ) {
        let stamp = |(clock, key, number)| Stamp { clock, key: PeerKey::from_bytes(key), number };
        let (a, b) = (stamp(a), stamp(b));
        prop_assert_eq!(a.cmp(&b), a.to_key().cmp(&b.to_key()));
    }
}
