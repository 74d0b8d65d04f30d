//! Frames and bytes per second through real sockets and TLS on this machine:
//! `cargo run --release -p colo-relay --example throughput`.
#![allow(clippy::unwrap_used, reason = "a measurement, not a program")]

use colo_link::testing::TestCa;
use colo_packet::build::{Route, udp};
use colo_ram::{Encoder, GuestRam, LivePages, Lz4, PageSet, Replica};
use colo_relay::{Config, Event, Relay, UplinkKind, boottime_ns};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const FRAMES: usize = 200_000;
const BURST: usize = 64;
/// Bytes that a source may be ahead of the slowest sink.
const AHEAD: usize = 256 << 10;
const RAM: u64 = 512 << 20;

struct Side {
    relay: Relay,
    vm: UnixStream,
    uplink: UnixStream,
}

impl Side {
    fn new() -> Self {
        let relay = Relay::start(Config {
            nics: 1,
            offloads: 0,
            hold_ms: 60_000,
            held_bytes: 64 << 20,
            heartbeat_ms: 100,
            peer_timeout_ms: 60_000,
            stall_timeout_ms: 60_000,
        })
        .unwrap();
        let ((vm, vm_end), (uplink, uplink_end)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        relay.attach_vm(0, vm_end.as_fd()).unwrap();
        relay
            .attach_uplink(0, uplink_end.as_fd(), UplinkKind::Stream)
            .unwrap();
        relay.gate(boottime_ns() + 3_600_000_000_000);
        Self { relay, vm, uplink }
    }

    fn wait(&self, wanted: impl Fn(&Event) -> bool) {
        while !self.relay.events().iter().any(&wanted) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn main() {
    let (p, s) = (Side::new(), Side::new());
    p.relay.alone().unwrap();
    let wire = frames();
    measure("alone, from the VM to the uplink", || {
        carry(&[&p.vm], &[&p.uplink], &wire)
    });
    measure("alone, from the uplink to the VM", || {
        carry(&[&p.uplink], &[&p.vm], &wire)
    });

    link(&p, &s);
    let ram = ram();
    let replica = Replica::new(&ram, 1 << 20).unwrap();
    s.relay.begin_secondary(Arc::new(replica)).unwrap();
    let began = Instant::now();
    let (all, encoder) = (PageSet::all(RAM / 4096), Encoder::new(&ram, false).unwrap());
    p.relay
        .send_bulk(LivePages::new(ram, &all, &encoder, Lz4::Never))
        .unwrap();
    p.wait(|event| matches!(event, Event::Sent { .. }));
    let rate = RAM as f64 / began.elapsed().as_secs_f64() / f64::from(1 << 20);
    println!("pre-copy over TLS into the cache: {rate:.0} MiB/s");

    p.relay.cut(1).unwrap();
    p.relay.send(b"cut".to_vec()).unwrap();
    s.wait(|event| matches!(event, Event::Control(_)));
    p.relay.commit(1).unwrap();
    s.relay.enter_epoch(2).unwrap();
    s.relay.deliver().unwrap();
    p.relay.loaded(1).unwrap();
    measure("lock-step, in to both VMs", || {
        carry(&[&p.uplink], &[&p.vm, &s.vm], &wire)
    });
    measure("lock-step, out by agreement", || {
        carry(&[&p.vm, &s.vm], &[&p.uplink], &wire)
    });
}

fn measure(what: &str, run: impl FnOnce()) {
    let began = Instant::now();
    run();
    println!(
        "{what}: {:.0} frames/s of 1460 bytes",
        FRAMES as f64 / began.elapsed().as_secs_f64()
    );
}

/// Writes the same frames into all sources and reads them whole from all sinks. No source runs further ahead than
/// all queues keep: what a network card would drop, or the comparison forget, is not what is measured.
fn carry(sources: &[&UnixStream], sinks: &[&UnixStream], burst: &[u8]) {
    let bursts = FRAMES / BURST;
    let read: Vec<_> = sinks.iter().map(|_| AtomicUsize::new(0)).collect();
    let slowest = || {
        read.iter()
            .map(|count| count.load(Ordering::Relaxed))
            .min()
            .unwrap_or(0)
    };
    thread::scope(|scope| {
        for mut source in sources.iter().copied() {
            let slowest = &slowest;
            scope.spawn(move || {
                for number in 1..=bursts {
                    while number * burst.len() > slowest() + AHEAD {
                        thread::sleep(Duration::from_micros(50));
                    }
                    source.write_all(burst).unwrap();
                }
            });
        }
        for (mut sink, count) in sinks.iter().copied().zip(&read) {
            scope.spawn(move || {
                let mut buffer = vec![0; 1 << 20];
                while count.load(Ordering::Relaxed) < bursts * burst.len() {
                    count.fetch_add(sink.read(&mut buffer).unwrap(), Ordering::Relaxed);
                }
            });
        }
    });
}

fn frames() -> Vec<u8> {
    let route = Route::new("10.0.0.2:80".parse().unwrap(), "10.0.0.9:4312".parse().unwrap());
    let frame = udp(route, &[7; 1418]);
    let mut framed = (frame.len() as u32).to_be_bytes().to_vec();
    framed.extend_from_slice(&frame);
    framed.repeat(BURST)
}

fn link(p: &Side, s: &Side) {
    let ca = TestCa::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to_s = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let to_p = listener.accept().unwrap().0;
    p.relay
        .attach_link(to_s.as_fd(), &ca.node("alpha").unwrap(), "beta", false)
        .unwrap();
    s.relay
        .attach_link(to_p.as_fd(), &ca.node("beta").unwrap(), "alpha", true)
        .unwrap();
    p.wait(|event| matches!(event, Event::LinkUp { .. }));
}

fn ram() -> GuestRam {
    let file = memfd_create("ram", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&file, RAM).unwrap();
    let ram = GuestRam::new(file.as_fd(), RAM).unwrap();
    (0..RAM / 4096).for_each(|page| ram.write_page(page, &[page as u8 | 1; 4096]).unwrap());
    ram
}
