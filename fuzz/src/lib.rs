//! What the fuzz targets share: frames that are mostly well-formed, and damage to them.

use colo_packet::build::{self, Route, Segment};
use colo_packet::{Offload, flag};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use std::net::SocketAddr;

/// The longest payload made: longer ones reach no other code.
const LONGEST: usize = 2000;
/// IPv4 header fields and those of IPv6's extension headers stand behind it.
const ETHERNET: usize = 14;

/// A frame with what its card is to do to it; `None`: the header does not fit it.
#[must_use]
pub fn offloaded(header: [u8; Offload::LEN], bytes: Vec<u8>) -> Option<colo_packet::Frame> {
    let mut both = [&header[..], &bytes].concat();
    let (offload, _) = Offload::split(&mut both)?;
    Some(colo_packet::Frame { bytes, offload })
}

/// A frame in few bytes, so that a mutation changes its meaning and not only its bytes.
#[derive(Arbitrary, Debug)]
pub struct Frame<'a> {
    shape: Shape<'a>,
    /// Bytes overwritten at the end: lying lengths, unknown types.
    damage: Option<(u8, [u8; 2])>,
    /// Bytes cut off the end.
    cut: Option<u8>,
}

#[derive(Arbitrary, Debug)]
enum Shape<'a> {
    Raw(&'a [u8]),
    Tcp(Way, Tcp<'a>),
    Udp(Way, &'a [u8]),
    Echo(Way, bool, u16, &'a [u8]),
    Fragment(Way, u8, u16, u16, bool, &'a [u8]),
    /// Of a segment or datagram: pieces that can fit together.
    Piece(Way, Tcp<'a>, bool, Part),
    Packet(Way, u8, &'a [u8]),
    Arp(Way),
}

#[derive(Arbitrary, Debug)]
struct Tcp<'a> {
    /// Few numbers, so that two frames meet.
    seq: i16,
    ack: i16,
    flags: u8,
    window: u8,
    options: Options,
    payload: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Options {
    None,
    Any([u8; 12]),
    /// Edges of a block, behind one or two bytes of padding (RFC 2018): numbers at odd offsets too.
    Sack(i16, i16, bool),
}

/// In units of 8 bytes.
#[derive(Arbitrary, Debug)]
struct Part {
    id: bool,
    from: u8,
    units: u8,
}

/// Few ends, for the same reason.
#[derive(Arbitrary, Debug)]
struct Way {
    ports: u8,
    v6: bool,
    vlan: bool,
    /// From the client to the guest.
    back: bool,
}

impl Way {
    fn route(&self) -> Route {
        let (guest, client): (SocketAddr, SocketAddr) = if self.v6 {
            (
                ([0xfd, 0, 0, 0, 0, 0, 0, 2], 80).into(),
                ([0xfd, 0, 0, 0, 0, 0, 0, 9], 0).into(),
            )
        } else {
            (([10, 0, 0, 2], 80).into(), ([10, 0, 0, 9], 0).into())
        };
        let client = SocketAddr::new(client.ip(), 40_000 + u16::from(self.ports % 8));
        let route = Route::new(guest, client);
        let route = if self.vlan { route.vlan(5) } else { route };
        if self.back { route.reversed() } else { route }
    }
}

impl Frame<'_> {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut frame = self.shape.bytes();
        if let Some((at, value)) = self.damage
            && let Some(place) = frame.get_mut(ETHERNET - 2 + usize::from(at)..)
            && let Some(place) = place.first_chunk_mut()
        {
            *place = value;
        }
        if let Some(cut) = self.cut {
            frame.truncate(frame.len().saturating_sub(usize::from(cut)));
        }
        frame
    }
}

impl Shape<'_> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Raw(bytes) => bytes.to_vec(),
            Self::Tcp(way, tcp) => tcp.bytes(way.route()),
            Self::Udp(way, payload) => build::udp(way.route(), short(payload)),
            Self::Echo(way, reply, id, payload) => {
                build::icmp_echo(way.route(), *reply, *id, 1, short(payload))
            }
            Self::Fragment(way, protocol, id, offset, more, payload) => build::fragment(
                way.route(),
                *protocol,
                *id,
                offset & 0x1fff,
                *more,
                short(payload),
            ),
            Self::Piece(way, tcp, true, part) => part.of(way, &tcp.bytes(way.route())),
            Self::Piece(way, tcp, false, part) => part.of(way, &build::udp(way.route(), short(tcp.payload))),
            Self::Packet(way, protocol, payload) => build::ip(way.route(), *protocol, short(payload)),
            Self::Arp(way) => build::arp(way.route()),
        }
    }
}

impl Part {
    fn of(&self, way: &Way, whole: &[u8]) -> Vec<u8> {
        let header = ETHERNET + if way.v6 { 40 } else { 20 } + if way.vlan { 4 } else { 0 };
        let datagram = whole.get(header..).unwrap_or_default();
        let from = usize::from(self.from % 8);
        let start = (from * 8).min(datagram.len());
        let end = (start + usize::from(self.units) * 8).min(datagram.len());
        build::fragment(
            way.route(),
            whole
                .get(header - if way.v6 { 34 } else { 11 })
                .copied()
                .unwrap_or(0),
            u16::from(self.id),
            from as u16,
            end < datagram.len(),
            datagram.get(start..end).unwrap_or_default(),
        )
    }
}

impl Tcp<'_> {
    fn bytes(&self, route: Route) -> Vec<u8> {
        build::tcp(
            route,
            &Segment {
                seq: number(self.seq),
                ack: number(self.ack),
                flags: self.flags ^ flag::ACK,
                window: u16::from(self.window),
                options: &self.options.bytes(),
                payload: short(self.payload),
            },
        )
    }
}

impl Options {
    fn bytes(&self) -> Vec<u8> {
        match *self {
            Self::None => Vec::new(),
            Self::Any(bytes) => bytes.to_vec(),
            Self::Sack(left, right, odd) => {
                let mut bytes = vec![1; if odd { 1 } else { 2 }];
                bytes.extend_from_slice(&[5, 10]);
                bytes.extend_from_slice(&number(left).to_be_bytes());
                bytes.extend_from_slice(&number(right).to_be_bytes());
                bytes.resize(12, 0);
                bytes
            }
        }
    }
}

/// A sequence number near the wrap.
#[must_use]
pub fn number(offset: i16) -> u32 {
    i32::from(offset).cast_unsigned()
}

fn short(bytes: &[u8]) -> &[u8] {
    bytes.get(..LONGEST).unwrap_or(bytes)
}
