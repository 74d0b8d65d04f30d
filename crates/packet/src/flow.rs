//! The key of a flow: what belongs together and keeps its order.

mod shown;

use std::hash::{Hash, Hasher};

use crate::field;
use crate::ip::Packet;
use crate::ipv6::FRAGMENT;

/// Which way a frame goes, as seen from the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The source is the guest.
    Outgoing,
    /// The destination is the guest.
    Incoming,
}

impl Direction {
    pub(crate) fn guest_first<T>(self, source: T, destination: T) -> (T, T) {
        match self {
            Self::Outgoing => (source, destination),
            Self::Incoming => (destination, source),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub(crate) enum Network {
    Ethernet,
    Ipv4,
    Ipv6,
    FragmentsV4,
    FragmentsV6,
}

const NETWORKS: [Network; 5] = [
    Network::Ethernet,
    Network::Ipv4,
    Network::Ipv6,
    Network::FragmentsV4,
    Network::FragmentsV6,
];

/// A flow, the guest's side first, whichever way the frame went.
///
/// TCP and UDP: addresses and ports. ICMP: the type and an echo's identifier stand where the ports would. Fragments
/// of IPv4 and other protocols: addresses and protocol; of IPv6: addresses. What is no IP: the MAC addresses and the
/// EtherType. All with VLANs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct FlowKey {
    guest: u128,
    peer: u128,
    guest_port: u16,
    peer_port: u16,
    vlans: [u16; 2],
    /// IP protocol or EtherType.
    protocol: u16,
    network: Network,
}

impl FlowKey {
    /// Bytes that [`FlowKey::encode`] adds.
    pub const ENCODED: usize = 43;

    /// A flow without ports between (guest, peer).
    pub(crate) fn new(network: Network, protocol: u16, vlans: [u16; 2], (guest, peer): (u128, u128)) -> Self {
        Self {
            guest,
            peer,
            guest_port: 0,
            peer_port: 0,
            vlans,
            protocol,
            network,
        }
    }

    pub(crate) fn of_packet(packet: &Packet<'_>, v6: bool, vlans: [u16; 2], direction: Direction) -> Self {
        let network = if v6 { Network::Ipv6 } else { Network::Ipv4 };
        let ends = direction.guest_first(packet.source, packet.destination);
        Self::new(network, packet.protocol.into(), vlans, ends)
    }

    /// Of the pieces of a packet like this one. Of IPv6 only the first piece knows the protocol (RFC 8200 section
    /// 4.5).
    pub(crate) fn of_its_fragments(self) -> Self {
        match self.network {
            Network::Ipv6 => Self {
                network: Network::FragmentsV6,
                protocol: FRAGMENT.into(),
                ..self
            },
            _ => Self {
                network: Network::FragmentsV4,
                ..self
            },
        }
    }

    /// The guest's port of TCP or UDP.
    #[must_use]
    pub const fn guest_port(&self) -> u16 {
        self.guest_port
    }

    /// The same for all ports of the guest.
    #[must_use]
    pub const fn of_any_guest_port(self) -> Self {
        Self {
            guest_port: 0,
            ..self
        }
    }

    /// With (guest, peer) ports.
    pub(crate) fn with_ports(self, (guest_port, peer_port): (u16, u16)) -> Self {
        Self {
            guest_port,
            peer_port,
            ..self
        }
    }

    /// All of it in six numbers, for hashing. The upper half of the last one is 0.
    #[must_use]
    pub const fn words(&self) -> [u64; 6] {
        let [outer, inner] = self.vlans;
        let ports = (self.guest_port as u64) << 16 | self.peer_port as u64;
        let vlans = (outer as u64) << 16 | inner as u64;
        [
            self.guest as u64,
            (self.guest >> 64) as u64,
            self.peer as u64,
            (self.peer >> 64) as u64,
            ports << 32 | vlans,
            (self.protocol as u64) << 16 | self.network as u64,
        ]
    }

    /// Appends the key as it goes over the link: [`FlowKey::ENCODED`] bytes, big-endian.
    ///
    /// Network u8, protocol u16, VLANs 2 × u16, guest and peer 16 bytes each, guest and peer port u16 each.
    pub fn encode(&self, to: &mut Vec<u8>) {
        to.push(self.network as u8);
        for number in [self.protocol].iter().chain(&self.vlans) {
            to.extend_from_slice(&number.to_be_bytes());
        }
        to.extend_from_slice(&self.guest.to_be_bytes());
        to.extend_from_slice(&self.peer.to_be_bytes());
        to.extend_from_slice(&self.guest_port.to_be_bytes());
        to.extend_from_slice(&self.peer_port.to_be_bytes());
    }

    /// The key from exactly the bytes that [`FlowKey::encode`] wrote, `None` for any other.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::ENCODED {
            return None;
        }
        Some(Self {
            network: *NETWORKS.get(usize::from(*bytes.first()?))?,
            protocol: field::u16(bytes, 1)?,
            vlans: [field::u16(bytes, 3)?, field::u16(bytes, 5)?],
            guest: field::u128(bytes, 7)?,
            peer: field::u128(bytes, 23)?,
            guest_port: field::u16(bytes, 39)?,
            peer_port: field::u16(bytes, 41)?,
        })
    }
}

impl Hash for FlowKey {
    /// In few steps: a hasher takes long for each.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.words().iter().for_each(|word| state.write_u64(*word));
    }
}
