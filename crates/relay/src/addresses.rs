//! Who the VM says it is: for announcements after a failover.

use colo_packet::{Source, source};
use std::net::IpAddr;

/// A guest may claim any number of addresses; the least recently seen gives way.
const LIMIT: usize = 16;

/// Addresses seen as source of the VM's frames, most recent first.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    seen: Vec<([u8; 6], IpAddr)>,
}

impl Addresses {
    /// Looks at a frame of the VM.
    pub(crate) fn note(&mut self, frame: &[u8]) {
        let Some(Source {
            mac,
            address: Some(address),
        }) = source(frame)
        else {
            return;
        };
        let entry = (mac, address);
        if self.seen.first() == Some(&entry) {
            return;
        }
        match self.seen.iter().position(|seen| *seen == entry) {
            Some(at) => drop(self.seen.remove(at)),
            None => self.seen.truncate(LIMIT - 1),
        }
        self.seen.insert(0, entry);
    }

    /// As text: `("52:54:00:c0:10:01", "10.0.0.1")`.
    pub(crate) fn list(&self) -> Vec<(String, String)> {
        self.seen
            .iter()
            .map(|(mac, address)| (text(*mac), address.to_string()))
            .collect()
    }
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ARP request of `10.0.0.<last>`.
    fn arp(last: u8) -> Vec<u8> {
        let mut frame = vec![0xff; 6];
        frame.extend_from_slice(&[0x52, 0x54, 0, 0, 0, last]);
        frame.extend_from_slice(&[
            8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0, 0, last, 10, 0, 0, last,
        ]);
        frame.extend_from_slice(&[0; 10]);
        frame
    }

    #[test]
    fn sources_are_kept_most_recent_first_and_only_so_many() {
        let mut addresses = Addresses::default();
        addresses.note(&arp(1));
        assert_eq!(
            addresses.list(),
            [("52:54:00:00:00:01".to_owned(), "10.0.0.1".to_owned())]
        );
        (1..=40).for_each(|last| addresses.note(&arp(last)));
        addresses.note(&arp(30));
        let list = addresses.list();
        assert_eq!(list.len(), LIMIT);
        assert_eq!(list[0].1, "10.0.0.30");
        assert_eq!(list[1].1, "10.0.0.40");
    }

    #[test]
    fn what_names_no_source_is_left_out() {
        let mut addresses = Addresses::default();
        addresses.note(&[]);
        addresses.note(&[0xff; 60]);
        addresses.note(&arp(1)[..20]);
        assert!(addresses.list().is_empty());
    }
}
