//! One connection and its translator.

use colo_compare::translate::Translator;
use colo_packet::build::{self, Route, Segment};
use colo_packet::{Direction, FlowKey, Item, classify, flag};

pub const SECOND: u64 = 1_000_000_000;
pub const SYN_ACK: u8 = flag::SYN | flag::ACK;
pub const NIC: u8 = 1;

/// From the guest to a client.
pub fn route(port: u16) -> Route {
    Route::new(([10, 0, 0, 2], 80).into(), ([10, 0, 0, 9], port).into())
}

pub fn flow(route: Route) -> FlowKey {
    let frame = build::tcp(route, &Segment::default());
    match classify(&frame, Direction::Outgoing) {
        Item::Tcp(tcp) => tcp.flow,
        _ => unreachable!("a segment was built"),
    }
}

/// A translator and one connection through it.
pub struct World {
    pub translator: Translator,
    pub route: Route,
    pub now: u64,
}

impl World {
    pub fn new() -> Self {
        Self {
            translator: Translator::new(8),
            route: route(4312),
            now: 1 << 60,
        }
    }

    pub fn learn(&mut self, isn: u32) {
        self.translator.learn(NIC, flow(self.route), isn);
    }

    /// Asserts that the frame `sent` by the SVM comes out as `wanted`, checksum and all.
    #[track_caller]
    pub fn sends(&mut self, sent: &Segment<'_>, wanted: &Segment<'_>) {
        let mut frame = build::tcp(self.route, sent);
        self.translator.outgoing(NIC, &mut frame, self.now);
        assert_eq!(frame, build::tcp(self.route, wanted));
    }

    #[track_caller]
    pub fn receives(&mut self, sent: &Segment<'_>, wanted: &Segment<'_>) {
        let mut frame = build::tcp(self.route.reversed(), sent);
        self.translator.incoming(NIC, &mut frame, self.now);
        assert_eq!(frame, build::tcp(self.route.reversed(), wanted));
    }

    /// Whether numbers are translated now, from `secondary` to `primary`.
    pub fn translates(&mut self, secondary: u32, primary: u32) -> bool {
        let mut frame = build::tcp(self.route, &data(secondary));
        self.translator.outgoing(NIC, &mut frame, self.now);
        frame == build::tcp(self.route, &data(primary)) && secondary != primary
    }

    /// A connection that translates 1000 into 5000.
    pub fn open() -> Self {
        let mut world = Self::new();
        world.learn(5000);
        world.sends(&syn_ack(1000), &syn_ack(5000));
        world
    }
}

pub fn syn_ack(seq: u32) -> Segment<'static> {
    Segment {
        seq,
        ack: 77,
        flags: SYN_ACK,
        options: &[2, 4, 5, 180],
        ..Segment::default()
    }
}

pub fn data(seq: u32) -> Segment<'static> {
    Segment {
        seq,
        ack: 78,
        flags: flag::ACK,
        window: 512,
        payload: b"answer",
        ..Segment::default()
    }
}

/// From the client.
pub fn ack(ack: u32) -> Segment<'static> {
    Segment {
        seq: 78,
        ack,
        flags: flag::ACK,
        window: 512,
        ..Segment::default()
    }
}

pub fn with(flags: u8, segment: Segment<'static>) -> Segment<'static> {
    Segment { flags, ..segment }
}
