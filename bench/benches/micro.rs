//! How long the hot paths take, by the clock: `cargo bench -p bench --bench micro`.

mod workloads;

use bytes::{Bytes, BytesMut};
use common::codec::LineCodec;
use common::link::Outgoing;
use divan::Bencher;
use divan::counter::ItemsCount;
use workloads::{APPENDED, LogAppend};

fn main() {
    divan::main();
}

#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let (line, mut codec, mut buffer) = (workloads::message_line(), LineCodec::default(), BytesMut::new());
    bencher.bench_local(|| workloads::decode(&line, &mut codec, &mut buffer));
}

#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let (mut head, mut lines) = (workloads::start_of_log(), BytesMut::new());
    bencher.bench_local(|| workloads::encode(&mut head, &mut lines));
}

#[divan::bench]
fn permission() {
    workloads::permission();
}

#[divan::bench]
fn outgoing(bencher: Bencher<'_, '_>) {
    let (queue, line) = (Outgoing::default(), Bytes::from(workloads::message_line()));
    bencher.bench_local(|| workloads::outgoing(&queue, &line));
}

#[divan::bench(sample_count = 20)]
fn log_append(bencher: Bencher<'_, '_>) {
    let mut log = LogAppend::new();
    bencher.counter(ItemsCount::new(APPENDED)).bench_local(|| log.append());
}
