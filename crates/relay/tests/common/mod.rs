//! Two relays on one machine: sockets instead of VMs and taps, real TLS over loopback in between.
#![allow(dead_code, unused_imports, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests"
)]

mod peer;

pub use peer::FakePeer;

use colo_link::testing::TestCa;
use colo_packet::build::{Route, udp};
use colo_ram::{GuestRam, Replica, Tally};
use colo_relay::{Config, Event, Relay, UplinkKind, boottime_ns};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const PATIENCE: Duration = Duration::from_secs(5);
/// Long enough for anything that would wrongly happen to happen.
pub const QUIET: Duration = Duration::from_millis(50);
pub const RAM_PAGES: u64 = 512;

pub fn config() -> Config {
    Config {
        nics: 1,
        offloads: 0,
        hold_ms: 60_000,
        held_bytes: 16 << 20,
        heartbeat_ms: 20,
        peer_timeout_ms: 400,
        stall_timeout_ms: 60_000,
    }
}

/// A relay with what is around it.
pub struct Side {
    pub relay: Relay,
    pub vm: UnixStream,
    pub uplink: UnixStream,
    seen: RefCell<VecDeque<Event>>,
}

impl Side {
    pub fn new(config: Config) -> Self {
        let relay = Relay::start(config).unwrap();
        let (vm, vm_end) = UnixStream::pair().unwrap();
        let (uplink, uplink_end) = UnixStream::pair().unwrap();
        relay.attach_vm(0, vm_end.as_fd()).unwrap();
        relay
            .attach_uplink(0, uplink_end.as_fd(), UplinkKind::Stream)
            .unwrap();
        Self {
            relay,
            vm,
            uplink,
            seen: RefCell::default(),
        }
    }

    /// Without offloads, its uplink a tap. A socket that keeps frames apart stands for it.
    pub fn on_a_tap() -> Self {
        let side = Self::new(config());
        let (uplink, uplink_end) = cable();
        side.relay
            .attach_uplink(0, uplink_end.as_fd(), UplinkKind::Tap)
            .unwrap();
        Self { uplink, ..side }
    }

    /// With offloads. Sockets that keep frames apart stand for the taps: what is read and written is one frame, with
    /// virtio's header.
    pub fn with_offloads() -> Self {
        let relay = Relay::start(Config {
            offloads: 1,
            ..config()
        })
        .unwrap();
        let [(vm, far), (uplink, uplink_end)] = [cable(), cable()];
        relay.attach_vm_tap(0, far.as_fd(), vm.as_fd()).unwrap();
        relay
            .attach_uplink(0, uplink_end.as_fd(), UplinkKind::Tap)
            .unwrap();
        Self {
            relay,
            vm,
            uplink,
            seen: RefCell::default(),
        }
    }

    pub fn open_gate(&self) {
        self.relay.gate(boottime_ns() + 600_000_000_000);
    }

    /// The first event that `wanted` accepts; others before it stay for later.
    pub fn event<T>(&self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            self.seen.borrow_mut().extend(self.relay.events());
            let found = self
                .seen
                .borrow()
                .iter()
                .enumerate()
                .find_map(|(at, event)| Some((at, wanted(event)?)));
            if let Some((at, value)) = found {
                self.seen.borrow_mut().remove(at);
                return value;
            }
            assert!(
                Instant::now() < until,
                "only these happened: {:.2000}",
                format!("{:?}", self.seen.borrow())
            );
            readable(&self.relay.event_fd(), Duration::from_millis(100));
        }
    }

    pub fn has_event(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.seen.borrow_mut().extend(self.relay.events());
        self.seen.borrow().iter().any(wanted)
    }

    pub fn link_down(&self) -> String {
        self.event(|event| match event {
            Event::LinkDown { reason } => Some(reason.clone()),
            _ => None,
        })
    }

    /// How a transfer went out.
    pub fn sent(&self, checkpoint: u64) -> Tally {
        self.event(|event| match event {
            Event::Sent {
                checkpoint: which,
                tally,
            } if *which == checkpoint => Some(*tally),
            _ => None,
        })
    }

    pub fn control(&self) -> Vec<u8> {
        self.event(|event| match event {
            Event::Control(payload) => Some(payload.clone()),
            _ => None,
        })
    }

    pub fn await_stat(&self, name: &str, wanted: impl Fn(u64) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !wanted(self.stat(name)) {
            assert!(Instant::now() < until, "{name} is {}", self.stat(name));
        }
    }

    pub fn stat(&self, name: &str) -> u64 {
        let stats = self.relay.stats().unwrap();
        stats.iter().find(|(key, _)| *key == name).expect(name).1
    }
}

pub struct Pair {
    pub ca: TestCa,
    pub p: Side,
    pub s: Side,
    pub ram: GuestRam,
    pub replica: Arc<Replica>,
}

/// Both linked and up; nothing else.
pub fn linked() -> Pair {
    linked_as(Side::new(config()), Side::new(config()))
}

/// These two.
pub fn linked_as(p: Side, s: Side) -> Pair {
    let ca = TestCa::new().unwrap();
    p.open_gate();
    let ram = guest_ram();
    let replica = Arc::new(Replica::new(&ram, 64 << 20).unwrap());
    let pair = Pair {
        ca,
        p,
        s,
        ram,
        replica,
    };
    pair.link();
    pair
}

/// Checkpoint 1 is done on both: epoch 2, lock-stepping.
pub fn protected() -> Pair {
    protected_as(linked())
}

/// These two.
pub fn protected_as(pair: Pair) -> Pair {
    pair.p.relay.alone().unwrap();
    pair.s.relay.begin_secondary(Arc::clone(&pair.replica)).unwrap();
    pair.checkpoint(1);
    pair
}

impl Pair {
    /// Connects both, and waits until they are.
    pub fn link(&self) {
        let (to_s, to_p) = tcp_pair();
        let [alpha, beta] = ["alpha", "beta"].map(|name| self.ca.node(name).unwrap());
        self.p
            .relay
            .attach_link(to_s.as_fd(), &alpha, "beta", false)
            .unwrap();
        self.s
            .relay
            .attach_link(to_p.as_fd(), &beta, "alpha", true)
            .unwrap();
        for side in [&self.p, &self.s] {
            side.event(|event| matches!(event, Event::LinkUp { .. }).then_some(()));
        }
    }

    /// A checkpoint as the agents would do it, without state.
    pub fn checkpoint(&self, number: u64) {
        self.cut(number);
        self.finish(number);
    }

    /// Up to the cut.
    pub fn cut(&self, number: u64) {
        assert!(self.p.relay.pause_ingress(PATIENCE).unwrap());
        self.p.relay.cut(number).unwrap();
        self.p.relay.resume_ingress().unwrap();
    }

    /// What follows a cut.
    pub fn finish(&self, number: u64) {
        self.p_then_s();
        self.p.relay.commit(number).unwrap();
        self.s.relay.svm_stopped().unwrap();
        self.s.relay.enter_epoch(number + 1).unwrap();
        self.s.relay.deliver().unwrap();
        self.p.relay.loaded(number).unwrap();
    }

    /// All that P has sent so far has arrived.
    pub fn p_then_s(&self) {
        self.p.relay.send(b"so far".to_vec()).unwrap();
        assert_eq!(self.s.control(), b"so far");
    }

    /// All that S has sent so far has arrived.
    pub fn s_then_p(&self) {
        self.s.relay.send(b"so far".to_vec()).unwrap();
        assert_eq!(self.p.control(), b"so far");
    }
}

fn cable() -> (UnixStream, UnixStream) {
    let (one, other) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    (one.into(), other.into())
}

pub fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

pub fn guest_ram() -> GuestRam {
    let file = memfd_create("ram", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&file, RAM_PAGES * 4096).unwrap();
    GuestRam::new(file.as_fd(), RAM_PAGES * 4096).unwrap()
}

/// From a client to the guest.
pub fn request(text: &str) -> Vec<u8> {
    udp(route().reversed(), text.as_bytes())
}

/// From the guest to a client.
pub fn answer(text: &str) -> Vec<u8> {
    udp(route(), text.as_bytes())
}

/// From the guest to a client.
pub fn route() -> Route {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    Route::new(address("10.0.0.2:80"), address("10.0.0.9:4312"))
}

pub fn put(mut socket: &UnixStream, frame: &[u8]) {
    let mut bytes = (frame.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(frame);
    socket.write_all(&bytes).unwrap();
}

/// The next frame, which must come.
pub fn get(socket: &UnixStream) -> Vec<u8> {
    get_within(socket, PATIENCE).expect("no frame came")
}

/// All frames that come until none does.
pub fn get_all(socket: &UnixStream) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| get_within(socket, QUIET)).collect()
}

pub fn quiet(socket: &UnixStream) {
    assert_eq!(get_within(socket, QUIET), None);
}

fn get_within(mut socket: &UnixStream, patience: Duration) -> Option<Vec<u8>> {
    socket.set_read_timeout(Some(patience)).unwrap();
    let mut header = [0; 4];
    match socket.read_exact(&mut header) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
        other => other.unwrap(),
    }
    let mut frame = vec![0; u32::from_be_bytes(header) as usize];
    socket.read_exact(&mut frame).unwrap();
    Some(frame)
}

pub fn readable(fd: &impl AsFd, patience: Duration) -> bool {
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(patience.subsec_nanos()),
    };
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    poll(&mut fds, Some(&timeout)).unwrap() > 0
}
