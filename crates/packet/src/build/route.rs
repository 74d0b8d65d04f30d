//! The ends of a frame's way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// From whom, to whom, in which VLAN. IPv6 if either end is.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Sender.
    pub source: SocketAddr,
    /// Receiver.
    pub destination: SocketAddr,
    /// 802.1Q identifier.
    pub vlan: Option<u16>,
}

impl Route {
    /// Without VLAN.
    #[must_use]
    pub const fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            source,
            destination,
            vlan: None,
        }
    }

    /// In a VLAN.
    #[must_use]
    pub const fn vlan(self, id: u16) -> Self {
        Self {
            vlan: Some(id),
            ..self
        }
    }

    /// The way back.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            vlan: self.vlan,
        }
    }

    /// (source, destination) if both are IPv4.
    pub(super) fn v4(&self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some((source, destination)),
            _ => None,
        }
    }

    pub(super) fn v6(&self) -> (Ipv6Addr, Ipv6Addr) {
        let v6 = |address: SocketAddr| match address.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        (v6(self.source), v6(self.destination))
    }
}
