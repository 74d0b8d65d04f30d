//! A comparison with a clock, and segments of one connection in few words.

use colo_compare::{Compare, Difference, Event, Limits};
use colo_packet::build::{self, Route, Segment};
use colo_packet::{Direction, Frame, Item, Offload, Tcp, classify, flag};

pub const MS: u64 = 1_000_000;
pub const HOLD: u64 = 100 * MS;
pub const MSS: [u8; 4] = [2, 4, 5, 180];
/// Streams wrap soon after it.
pub const ISN: u32 = 0xffff_fff0;

pub struct World {
    pub compare: Compare,
    pub now: u64,
    /// What the SVM's frames are labelled with.
    pub label: u64,
}

pub fn limits() -> Limits {
    Limits {
        hold_ns: HOLD,
        held_bytes: 1 << 20,
        flows: 1000,
        pending_bytes: 1 << 16,
    }
}

pub fn route() -> Route {
    Route::new("10.0.0.2:80".parse().unwrap(), "10.0.0.9:4312".parse().unwrap())
}

pub fn segment(flags: u8, seq: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
    with_options(flags, seq, ack, payload, &[])
}

pub fn with_options(flags: u8, seq: u32, ack: u32, payload: &[u8], options: &[u8]) -> Vec<u8> {
    let flags = if flags == flag::SYN {
        flags
    } else {
        flags | flag::ACK
    };
    build::tcp(
        route(),
        &Segment {
            seq,
            ack,
            flags,
            window: 500,
            options,
            payload,
        },
    )
}

/// Data at an offset of the stream after [`ISN`].
pub fn data(offset: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
    segment(flag::PSH, at(offset), ack, payload)
}

pub fn fin(offset: u32, payload: &[u8]) -> Vec<u8> {
    segment(flag::FIN, at(offset), 100, payload)
}

pub fn pure_ack(offset: u32, ack: u32) -> Vec<u8> {
    segment(0, at(offset), ack, &[])
}

pub fn syn_ack(isn: u32, ack: u32) -> Vec<u8> {
    with_options(flag::SYN | flag::ACK, isn, ack, &[], &MSS)
}

/// A frame with what its card is to do to it.
pub fn offloaded(header: [u8; Offload::LEN], frame: &[u8]) -> Frame {
    let mut bytes = [&header, frame].concat();
    let (offload, _) = Offload::split(&mut bytes).unwrap();
    Frame {
        bytes: frame.to_vec(),
        offload,
    }
}

pub fn at(offset: u32) -> u32 {
    ISN.wrapping_add(1).wrapping_add(offset)
}

pub fn tcp(frame: &[u8]) -> Tcp<'_> {
    match classify(frame, Direction::Outgoing) {
        Item::Tcp(tcp) => tcp,
        other => panic!("not TCP: {other:?}"),
    }
}

impl World {
    pub fn new(limits: Limits) -> Self {
        Self {
            compare: Compare::new(limits),
            now: 1000 * MS,
            label: 1,
        }
    }

    /// With the connection's SYN-ACKs exchanged.
    pub fn connected() -> Self {
        let mut world = Self::new(limits());
        world.p(syn_ack(ISN, 100));
        world.s(&syn_ack(ISN, 100));
        assert_eq!(world.released().len(), 1);
        assert!(matches!(world.event(), Some(Event::Isn { isn: ISN, .. })));
        world
    }

    /// In mid-stream: the PVM has sent offset 0 to 4 in epoch 1, checkpoint 1 is committed and loaded.
    pub fn in_epoch_2() -> Self {
        let mut world = Self::connected();
        world.p(data(0, 100, b"head"));
        world.cut(1);
        world.commit(1);
        world.load(1);
        world.released();
        world
    }

    pub fn p(&mut self, frame: Vec<u8>) {
        self.compare.primary(0, frame, self.now);
    }

    pub fn s(&mut self, frame: &[u8]) {
        self.compare.secondary(0, self.label, frame, self.now);
    }

    pub fn cut(&mut self, checkpoint: u64) {
        self.compare.cut(checkpoint, self.now);
    }

    pub fn commit(&mut self, checkpoint: u64) {
        self.compare.commit(checkpoint, self.now);
    }

    pub fn load(&mut self, checkpoint: u64) {
        self.compare.loaded(checkpoint, self.now);
        self.label = checkpoint + 1;
    }

    pub fn after(&mut self, ns: u64) {
        self.now += ns;
        self.compare.on_time(self.now);
    }

    pub fn released(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.compare.pop_release().map(|(_, frame)| frame.bytes)).collect()
    }

    /// Payloads of what was released.
    pub fn payloads(&mut self) -> Vec<Vec<u8>> {
        self.released()
            .iter()
            .map(|frame| tcp(frame).payload.to_vec())
            .collect()
    }

    /// Acknowledgements of what was released.
    pub fn acks(&mut self) -> Vec<u32> {
        self.released().iter().map(|frame| tcp(frame).ack).collect()
    }

    pub fn event(&mut self) -> Option<Event> {
        self.compare.pop_event()
    }

    /// The next event is a divergence; what differs and how it is told.
    pub fn divergence(&mut self) -> (Difference, String) {
        match self.event() {
            Some(Event::Divergence { kind, detail, .. }) => (kind, detail),
            other => panic!("no divergence: {other:?}"),
        }
    }
}
