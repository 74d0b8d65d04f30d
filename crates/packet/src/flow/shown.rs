//! A flow as people read it.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddrV6};

use super::{FlowKey, Network};
use crate::ip::protocol;

/// `tcp 10.0.0.2:80 > 10.0.0.9:4312`, guest first; VLANs follow as ` vlan 5`.
impl fmt::Display for FlowKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.network {
            Network::Ethernet => self.ethernet(out)?,
            Network::FragmentsV4 => {
                write!(out, "fragments of protocol {} ", self.protocol)?;
                self.hosts(out)?;
            }
            Network::FragmentsV6 => {
                out.write_str("fragments ")?;
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
