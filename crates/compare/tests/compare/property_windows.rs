//! Acknowledgements and windows under arbitrary schedules.

use colo_packet::build::{self, Segment};
use colo_packet::flag;
use proptest::prelude::*;

use crate::world::{ISN, World, at, limits, route, tcp};

#[derive(Clone, Copy, Debug)]
struct Step {
    primary: bool,
    /// The machine sends so many bytes of its answer, ...
    bytes: u8,
    /// ... has read so many of the client's, ...
    received: u8,
    /// ... and makes room for so many more.
    room: u16,
}

fn step() -> impl Strategy<Value = Step> {
    let room = prop_oneof![3 => Just(0), 2 => 0..2000_u16, 1 => any::<u16>()];
    (any::<bool>(), prop_oneof![Just(0), 1..9_u8], any::<u8>(), room).prop_map(
        |(primary, bytes, received, room)| Step {
            primary,
            bytes,
            received,
            room,
        },
    )
}

/// One machine. Its right edge never goes back.
#[derive(Clone, Copy)]
struct Machine {
    sent: u32,
    ack: u32,
    edge: u32,
}

impl Machine {
    fn go(&mut self, step: Step) {
        self.ack = self.edge.min(self.ack + u32::from(step.received));
        self.edge = (self.edge + u32::from(step.room)).min(self.ack + 60_000);
    }

    const fn window(&self, scale: u8) -> u16 {
        ((self.edge - self.ack) >> scale) as u16
    }

    fn say(&mut self, bytes: u8, scale: u8) -> Vec<u8> {
        let from = self.sent;
        self.sent += u32::from(bytes);
        let payload: Vec<u8> = (from..self.sent).map(|position| position as u8).collect();
        let segment = Segment {
            seq: at(from),
            ack: self.ack,
            flags: flag::ACK,
            window: self.window(scale),
            payload: &payload,
            ..Segment::default()
        };
        build::tcp(route(), &segment)
    }
}

/// What the client knows: the last acknowledgement and window, and how far it may send.
struct Client {
    scale: u8,
    told: (u32, u16),
    bytes: u32,
}

impl Client {
    fn hear(&mut self, world: &mut World, limits: [Machine; 2]) {
        for frame in world.released() {
            let tcp = tcp(&frame);
            let edge = tcp.ack + (u32::from(tcp.window) << self.scale);
            for machine in limits {
                assert!(tcp.ack <= machine.ack, "acknowledged by one machine only");
                assert!(edge <= machine.edge, "offered by one machine only");
            }
            assert_eq!(tcp.seq.wrapping_sub(at(0)), self.bytes, "not where it is read");
            self.bytes += tcp.payload.len() as u32;
            self.told = (tcp.ack, tcp.window);
        }
    }
}

fn connected(scaled: Option<u8>) -> World {
    let mut world = World::new(limits());
    if let Some(scale) = scaled {
        let segment = Segment {
            seq: ISN,
            ack: 1000,
            flags: flag::SYN | flag::ACK,
            options: &[3, 3, scale, 0],
            ..Segment::default()
        };
        world.p(build::tcp(route(), &segment));
        world.s(&build::tcp(route(), &segment));
        assert_eq!(world.released().len(), 1);
        world.event();
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_client_is_told_what_both_offer_and_in_the_end_all_of_it(
        steps in proptest::collection::vec(step(), 1..60), scaled in prop::option::of(0..5_u8), actual in 0..5_u8,
        silent in any::<bool>(),
    ) {
        // Without a SYN the scale is unknown, which does not mean that there is none.
        let scale = scaled.unwrap_or(actual);
        let mut world = connected(scaled);
        let start = Machine { sent: 0, ack: 1000, edge: 1000 };
        let (mut primary, mut secondary) = (start, start);
        let mut client = Client { scale, told: (1000, 0), bytes: 0 };
        for step in steps {
            if step.primary {
                primary.go(step);
                world.p(primary.say(step.bytes, scale));
            } else {
                secondary.go(step);
                let room = primary.sent.saturating_sub(secondary.sent).min(u32::from(step.bytes)) as u8;
                let frame = secondary.say(room, scale);
                world.s(&frame);
            }
            client.hear(&mut world, [primary, secondary]);
        }
        // Both come to the same state, the PVM first; it is silent if it was ahead already.
        if !silent || secondary.ack > primary.ack || secondary.edge > primary.edge {
            primary.ack = primary.ack.max(secondary.ack);
            primary.edge = primary.edge.max(secondary.edge).min(primary.ack + 60_000);
            world.p(primary.say(1, scale));
        }
        (secondary.ack, secondary.edge) = (primary.ack, primary.edge);
        while secondary.sent < primary.sent {
            let frame = secondary.say(1, scale);
            world.s(&frame);
        }
        let frame = secondary.say(0, scale);
        world.s(&frame);
        client.hear(&mut world, [primary, secondary]);
        prop_assert_eq!(client.told, (primary.ack, primary.window(scale)));
        prop_assert_eq!(client.bytes, primary.sent);
        prop_assert_eq!(world.event(), None);
        prop_assert_eq!(world.compare.stats().held_frames, 0);
    }
}
