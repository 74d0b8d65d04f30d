//! The key of a flow: what belongs together and keeps its order.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{Ipv6Addr, SocketAddrV6};

use crate::field;
use crate::ip::{Packet, protocol};

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
/// and other protocols: addresses and protocol. What is no IP: the MAC addresses and the EtherType. All with VLANs.
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
        let network = match (v6, packet.fragment) {
            (false, None) => Network::Ipv4,
            (true, None) => Network::Ipv6,
            (false, Some(_)) => Network::FragmentsV4,
            (true, Some(_)) => Network::FragmentsV6,
        };
        let ends = direction.guest_first(packet.source, packet.destination);
        Self::new(network, packet.protocol.into(), vlans, ends)
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

/// `tcp 10.0.0.2:80 > 10.0.0.9:4312`, guest first; VLANs follow as ` vlan 5`.
impl fmt::Display for FlowKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.network {
            Network::Ethernet => self.ethernet(out)?,
            Network::FragmentsV4 | Network::FragmentsV6 => {
                write!(out, "fragments of protocol {} ", self.protocol)?;
                self.hosts(out)?;
            }
            Network::Ipv4 | Network::Ipv6 => self.datagrams(out)?,
        }
        for vlan in self.vlans.iter().filter(|vlan| **vlan != 0) {
            write!(out, " vlan {vlan}")?;
        }
        Ok(())
    }
}

impl FlowKey {
    fn ethernet(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "ethernet {:04x} {} > {}",
            self.protocol,
            Mac(self.guest),
            Mac(self.peer)
        )
    }

    fn datagrams(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u8::try_from(self.protocol) {
            Ok(protocol::TCP) => self.ports(out, "tcp"),
            Ok(protocol::UDP) => self.ports(out, "udp"),
            Ok(protocol::ICMP | protocol::ICMPV6) => {
                out.write_str("icmp ")?;
                self.hosts(out)?;
                write!(out, " type {} id {}", self.guest_port, self.peer_port)
            }
            _ => {
                write!(out, "protocol {} ", self.protocol)?;
                self.hosts(out)
            }
        }
    }

    fn ports(&self, out: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        let [guest, peer] = [(self.guest, self.guest_port), (self.peer, self.peer_port)];
        write!(out, "{name} {} > {}", self.socket(guest), self.socket(peer))
    }

    fn socket(&self, (address, port): (u128, u16)) -> String {
        let address = Ipv6Addr::from(address);
        match address.to_ipv4_mapped().filter(|_| self.network == Network::Ipv4) {
            Some(v4) => format!("{v4}:{port}"),
            None => SocketAddrV6::new(address, port, 0, 0).to_string(),
        }
    }

    fn hosts(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = |address| Ipv6Addr::from(address).to_canonical();
        write!(out, "{} > {}", host(self.guest), host(self.peer))
    }
}

struct Mac(u128);

impl fmt::Display for Mac {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [.., a, b, c, d, e, f] = self.0.to_be_bytes();
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}
