//! How many frames per second one core compares: bulk data over many connections, the SVM behind or ahead.
//!
//! `cargo run --release -p colo-compare --example throughput [connections] [payload bytes]`
#![allow(clippy::unwrap_used, reason = "a measurement, not a product")]

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use colo_compare::{Compare, Limits};
use colo_packet::build::{self, Route, Segment};
use colo_packet::flag;

/// Segments that one machine is ahead of the other, over all connections.
const LEAD: usize = 64;
const ROUNDS: usize = 40;
/// Segments per connection and round, at least, and of all connections.
const BURST: usize = 4;
const ROUND: usize = 4096;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().unwrap());
    let connections = arguments.next().unwrap_or(1000);
    let burst = BURST.max(ROUND / connections);
    let payload = vec![0x5a; arguments.next().unwrap_or(1460)];
    for secondary_ahead in [false, true] {
        let mut compare = Compare::new(Limits {
            hold_ns: 100_000_000,
            held_bytes: 64 << 20,
            flows: 100_000,
            pending_bytes: 1 << 20,
        });
        let (mut spent, mut pairs) = (Duration::ZERO, 0);
        for round in 0..ROUNDS {
            let frames = frames(connections, burst, round, &payload);
            pairs += frames.len();
            spent += run(&mut compare, frames, secondary_ahead);
        }
        let stats = compare.stats();
        assert_eq!((stats.released_agreed, stats.held_frames), (pairs as u64, 0));
        let who = if secondary_ahead {
            "secondary ahead"
        } else {
            "primary ahead"
        };
        let rate = pairs as f64 / spent.as_secs_f64();
        let size = payload.len();
        println!(
            "{who}: {connections} connections, {size} bytes: {:.2} M pairs/s ({:.2} M frames/s), {:.0} ns a pair, {:.1} Gbit/s to the client",
            rate / 1e6,
            rate / 5e5,
            1e9 / rate,
            rate * size as f64 * 8.0 / 1e9
        );
    }
}

/// One round of all connections, in bursts.
fn frames(connections: usize, burst: usize, round: usize, payload: &[u8]) -> Vec<Vec<u8>> {
    let frame = |connection: usize, segment: usize| {
        let guest = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 2), 80));
        let client = SocketAddr::from((
            Ipv4Addr::from(0x0a01_0000 + (connection >> 14) as u32),
            connection as u16,
        ));
        let seq = ((round * burst + segment) * payload.len()) as u32;
        let segment = Segment {
            seq,
            ack: 1,
            flags: flag::ACK,
            window: 500,
            payload,
            options: &[],
        };
        build::tcp(Route::new(guest, client), &segment)
    };
    let bursts = (0..connections).flat_map(|connection| (0..burst).map(move |segment| (connection, segment)));
    bursts
        .map(|(connection, segment)| frame(connection, segment))
        .collect()
}

/// One machine says each frame LEAD frames before the other.
fn run(compare: &mut Compare, frames: Vec<Vec<u8>>, secondary_ahead: bool) -> Duration {
    let mirror = frames.clone();
    let (mut primary, mut secondary) = (frames.into_iter(), mirror.iter());
    let begin = Instant::now();
    for step in 0..mirror.len() + LEAD {
        let now = step as u64;
        let (first, last) = (step < mirror.len(), step >= LEAD);
        let (say_primary, say_secondary) = if secondary_ahead {
            (last, first)
        } else {
            (first, last)
        };
        if let Some(frame) = say_primary.then(|| primary.next()).flatten() {
            compare.primary(0, frame, now);
        }
        if let Some(frame) = say_secondary.then(|| secondary.next()).flatten() {
            compare.secondary(0, 1, frame, now);
        }
        while let Some(released) = compare.pop_release() {
            black_box(&released);
        }
    }
    begin.elapsed()
}
