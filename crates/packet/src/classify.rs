//! From a frame to what the comparison does with it.

use crate::body::Body;
use crate::ethernet::{self, Ethernet};
use crate::flow::{Direction, FlowKey, Network};
use crate::fragment::Fragment;
use crate::icmp;
use crate::ip::{Packet, protocol};
use crate::tcp::Tcp;
use crate::{dhcp, udp};

/// What a frame is to the comparison.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// Compared by stream position.
    Tcp(Tcp<'a>),
    /// A piece of one of the others.
    Fragment(Fragment),
    /// Compared as a whole: UDP, ICMP, any other.
    Message {
        /// Messages are matched within it.
        flow: FlowKey,
        /// What is compared.
        body: Body<'a>,
    },
    /// Traffic of the link, never compared: ARP, IPv6 neighbour discovery (RFC 4861), membership of multicast groups
    /// (IGMP, RFC 3376; MLD, RFC 3810), a DHCP client's requests but for giving an address back (RFC 2131, RFC 8415).
    Chore,
}

/// Reads a frame. Total: a frame that is no IP, is cut short or has a lying length is a message of an Ethernet
/// flow over the whole frame.
#[must_use]
pub fn classify(frame: &[u8], direction: Direction) -> Item<'_> {
    let Some(ethernet) = Ethernet::parse(frame) else {
        let flow = FlowKey::new(Network::Ethernet, 0, [0; 2], (0, 0));
        return message(flow, &[], frame);
    };
    match ethernet.kind {
        ethernet::ARP => return Item::Chore,
        ethernet::IPV4 | ethernet::IPV6 => {
            if let Some(item) = network(frame, &ethernet, direction) {
                return item;
            }
        }
        _ => {}
    }
    message(link_flow(&ethernet, direction), &[], frame)
}

/// The segment of a frame, or the one that a first fragment begins: then `payload` is only a part of it. `None`: no
/// TCP, a later fragment, or one so short that the TCP header goes on in the next.
#[must_use]
pub fn segment(frame: &[u8], direction: Direction) -> Option<Tcp<'_>> {
    match classify(frame, direction) {
        Item::Tcp(tcp) => Some(tcp),
        Item::Fragment(fragment) if fragment.start == 0 => {
            let ethernet = Ethernet::parse(frame)?;
            let packet = ethernet.packet(frame)?;
            let flow = FlowKey::of_packet(&packet, ethernet.is_v6(), ethernet.vlans, direction);
            (packet.protocol == protocol::TCP)
                .then(|| Tcp::parse(packet.payload, fragment.at, flow, direction))
                .flatten()
        }
        _ => None,
    }
}

fn link_flow(ethernet: &Ethernet<'_>, direction: Direction) -> FlowKey {
    let number = |mac: &[u8; 6]| mac.iter().fold(0, |number, byte| number << 8 | u128::from(*byte));
    let ends = direction.guest_first(number(ethernet.source), number(ethernet.destination));
    FlowKey::new(Network::Ethernet, ethernet.kind, ethernet.vlans, ends)
}

fn network<'a>(frame: &'a [u8], ethernet: &Ethernet<'a>, direction: Direction) -> Option<Item<'a>> {
    let v6 = ethernet.is_v6();
    let packet = ethernet.packet(frame)?;
    let flow = FlowKey::of_packet(&packet, v6, ethernet.vlans, direction);
    let offset = ethernet.header + packet.offset;
    if packet.cut.is_none() && packet.protocol == protocol::TCP {
        return Tcp::parse(packet.payload, offset, flow, direction).map(Item::Tcp);
    }
    other(&packet, flow, offset, v6, direction)
}

/// Anything but a whole TCP segment; apart from that, the usual, to keep it short.
#[inline(never)]
fn other<'a>(
    packet: &Packet<'a>,
    flow: FlowKey,
    offset: usize,
    v6: bool,
    direction: Direction,
) -> Option<Item<'a>> {
    Some(match (packet.cut, packet.protocol) {
        (Some(cut), _) => Item::Fragment(Fragment {
            flow: flow.of_its_fragments(),
            id: cut.id,
            start: cut.start,
            more: cut.more,
            at: offset,
            len: packet.payload.len(),
        }),
        (None, protocol::UDP) => datagram(packet.payload, flow, v6, direction)?,
        (None, protocol::IGMP) if !v6 => Item::Chore,
        (None, protocol::ICMP) if !v6 => control(packet.payload, flow, v6)?,
        (None, protocol::ICMPV6) if v6 => control(packet.payload, flow, v6)?,
        (None, _) => message(flow, &[], packet.payload),
    })
}

fn message<'a>(flow: FlowKey, first: &'a [u8], second: &'a [u8]) -> Item<'a> {
    Item::Message {
        flow,
        body: Body::new(first, second),
    }
}

fn datagram(bytes: &[u8], flow: FlowKey, v6: bool, direction: Direction) -> Option<Item<'_>> {
    let udp = udp::parse(bytes)?;
    if dhcp::is_chore(&udp, v6) {
        return Some(Item::Chore);
    }
    let ports = direction.guest_first(udp.source, udp.destination);
    Some(message(flow.with_ports(ports), &[], udp.payload))
}

fn control(bytes: &[u8], flow: FlowKey, v6: bool) -> Option<Item<'_>> {
    let icmp = icmp::parse(bytes, v6)?;
    if v6 && icmp::is_link_chore(icmp.kind) {
        return Some(Item::Chore);
    }
    let flow = flow.with_ports((icmp.kind.into(), icmp.id));
    Some(message(flow, icmp.type_and_code, icmp.rest))
}
