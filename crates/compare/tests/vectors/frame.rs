//! Frames from words.

use std::net::IpAddr;

use colo_packet::checksum::Sum;

use crate::spec::{Spec, hex, number};

const MACS: [&str; 2] = ["52:54:00:c0:10:02", "52:54:00:c0:10:01"];
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const HOP_BY_HOP: u8 = 0;
const FRAGMENT: u8 = 44;

type Bytes = Result<Vec<u8>, String>;

pub fn build(spec: &Spec) -> Bytes {
    let mut frame = match spec.kind.as_str() {
        "hex" => spec.data.clone(),
        _ => ethernet(spec)?,
    };
    frame.truncate(spec.number("trim", u32::MAX)? as usize);
    let length = frame.len().max(spec.number("pad", 0)? as usize);
    frame.resize(length, 0);
    if let Some((offset, patch)) = spec.text("poke").and_then(|poke| poke.split_once(':')) {
        let (at, patch) = (number(offset)? as usize, hex(patch)?);
        frame
            .get_mut(at..at + patch.len())
            .ok_or("poke past the end")?
            .copy_from_slice(&patch);
    }
    Ok(frame)
}

fn ethernet(spec: &Spec) -> Bytes {
    let (kind, payload) = network(spec)?;
    let mut frame = mac(spec.text("to").unwrap_or(MACS[0]))?;
    frame.extend(mac(spec.text("from").unwrap_or(MACS[1]))?);
    let tags: Vec<&str> = spec
        .text("vlan")
        .map_or(Vec::new(), |tags| tags.split(',').collect());
    for (index, tag) in tags.iter().enumerate() {
        let inner = index + 1 == tags.len();
        frame.extend(if inner { [0x81, 0x00] } else { [0x88, 0xa8] });
        frame.extend((number(tag)? as u16).to_be_bytes());
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    Ok(frame)
}

fn mac(text: &str) -> Bytes {
    hex(&text.replace(':', ""))
}

/// EtherType, and what follows it.
fn network(spec: &Spec) -> Result<(u16, Vec<u8>), String> {
    match spec.kind.as_str() {
        "eth" => return Ok((spec.number("type", 0x88b5)? as u16, spec.data.clone())),
        "arp" => return Ok((ARP, arp(spec)?)),
        _ => {}
    }
    let (protocol, packet) = transport(spec)?;
    match spec.ends[0].ip() {
        IpAddr::V4(_) => Ok((IPV4, ipv4(spec, protocol, packet)?)),
        IpAddr::V6(_) => Ok((IPV6, ipv6(spec, protocol, packet)?)),
    }
}

fn arp(spec: &Spec) -> Bytes {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, 1];
    packet.extend(mac(spec.text("from").unwrap_or(MACS[1]))?);
    packet.extend(octets(spec.ends[0].ip()));
    packet.extend([0; 6]);
    packet.extend(octets(spec.ends[1].ip()));
    Ok(packet)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn addresses(spec: &Spec) -> Vec<u8> {
    [octets(spec.ends[0].ip()), octets(spec.ends[1].ip())].concat()
}

/// The bytes of a fragment, its offset, and whether more follow.
fn part(spec: &Spec, packet: &[u8]) -> Result<Option<(Vec<u8>, u16, bool)>, String> {
    let Some((from, count)) = spec.part()? else {
        return Ok(None);
    };
    let bytes = packet.iter().skip(from).take(count).copied().collect();
    Ok(Some((bytes, from as u16, from + count < packet.len())))
}

fn ipv4(spec: &Spec, protocol: u8, mut packet: Vec<u8>) -> Bytes {
    let mut fragment = 0x4000_u16;
    if let Some((bytes, from, more)) = part(spec, &packet)? {
        (packet, fragment) = (bytes, (from / 8) | (u16::from(more) << 13));
    }
    let options = spec.hex("ipopt")?;
    let length = 20 + options.len();
    let mut header = vec![0x40 | (length / 4) as u8, spec.number("tos", 0)? as u8];
    header.extend(((length + packet.len()) as u16).to_be_bytes());
    header.extend((spec.number("ipid", 0)? as u16).to_be_bytes());
    header.extend(fragment.to_be_bytes());
    header.extend([spec.number("ttl", 64)? as u8, protocol, 0, 0]);
    header.extend(addresses(spec));
    header.extend(options);
    let sum = Sum::default().over(&header).finish();
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    Ok([header, packet].concat())
}

fn ipv6(spec: &Spec, mut protocol: u8, mut packet: Vec<u8>) -> Bytes {
    if let Some((bytes, from, more)) = part(spec, &packet)? {
        let mut fragment = vec![protocol, 0];
        fragment.extend((from | u16::from(more)).to_be_bytes());
        fragment.extend(spec.number("ipid", 0)?.to_be_bytes());
        (protocol, packet) = (FRAGMENT, [fragment, bytes].concat());
    }
    let options = spec.hex("ipopt")?;
    if !options.is_empty() {
        let units = (options.len() + 2) / 8 - 1;
        packet = [vec![protocol, units as u8], options, packet].concat();
        protocol = HOP_BY_HOP;
    }
    let mut header = (6 << 28 | spec.number("tos", 0)? << 20).to_be_bytes().to_vec();
    header.extend((packet.len() as u16).to_be_bytes());
    header.extend([protocol, spec.number("ttl", 64)? as u8]);
    Ok([header, addresses(spec), packet].concat())
}

/// Protocol and packet, its checksum in place.
fn transport(spec: &Spec) -> Result<(u8, Vec<u8>), String> {
    let mut packet = match spec.kind.as_str() {
        "tcp" => tcp(spec)?,
        "udp" => udp(spec),
        "icmp" => icmp(spec)?,
        "ip" => return Ok((spec.number("proto", 255)? as u8, spec.data.clone())),
        other => return Err(format!("no such kind of frame: {other}")),
    };
    let v6 = spec.ends[0].is_ipv6();
    let (protocol, at, pseudo) = match spec.kind.as_str() {
        "tcp" => (TCP, 16, true),
        "udp" => (UDP, 6, true),
        _ if v6 => (ICMPV6, 2, true),
        _ => (ICMP, 2, false),
    };
    let mut sum = Sum::default();
    if pseudo {
        sum = sum
            .over(&addresses(spec))
            .over(&(packet.len() as u32).to_be_bytes())
            .over(&[0, protocol]);
    }
    let sum = match sum.over(&packet).finish() {
        0 if protocol == UDP => 0xffff,
        sum => sum,
    };
    packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    Ok((protocol, packet))
}

fn tcp(spec: &Spec) -> Bytes {
    let options = spec.hex("opt")?;
    let mut packet = ports(spec);
    packet.extend(spec.number("seq", 0)?.to_be_bytes());
    packet.extend(spec.number("ack", 0)?.to_be_bytes());
    packet.extend([(((20 + options.len()) / 4) << 4) as u8, spec.flags]);
    packet.extend((spec.number("win", 500)? as u16).to_be_bytes());
    packet.extend([0; 2]);
    packet.extend((spec.number("urg", 0)? as u16).to_be_bytes());
    packet.extend(options);
    packet.extend(&spec.data);
    Ok(packet)
}

fn udp(spec: &Spec) -> Vec<u8> {
    let mut packet = ports(spec);
    packet.extend((8 + spec.data.len() as u16).to_be_bytes());
    packet.extend([0; 2]);
    packet.extend(&spec.data);
    packet
}

fn icmp(spec: &Spec) -> Bytes {
    let mut packet = vec![spec.number("type", 0)? as u8, spec.number("code", 0)? as u8, 0, 0];
    packet.extend((spec.number("id", 0)? as u16).to_be_bytes());
    packet.extend((spec.number("n", 0)? as u16).to_be_bytes());
    packet.extend(&spec.data);
    Ok(packet)
}

fn ports(spec: &Spec) -> Vec<u8> {
    spec.ends
        .iter()
        .flat_map(|end| end.port().to_be_bytes())
        .collect()
}
