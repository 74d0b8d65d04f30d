//! Where another process maps the RAM file, from `/proc/PID/maps`.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek};
use std::ops::Range;

use crate::error::{Error, Result};
use crate::guest_ram::{FileId, GuestRam};

/// A process with 100,000 mappings; more text than this is not read.
const MAPS_LIMIT: u64 = 16 << 20;

/// A piece of the address space of the VM's process that shows a piece of guest RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Piece {
    /// First byte in guest RAM.
    pub(crate) offset: u64,
    /// Address of it.
    pub(crate) address: u64,
    pub(crate) len: u64,
}

/// The memory of one process. Both files belong to its address space, not to its number: after its end or exec
/// they show nothing rather than something else.
pub(crate) struct ProcessMemory {
    pid: i32,
    maps: File,
    pub(crate) pagemap: File,
    id: FileId,
    size: u64,
}

impl ProcessMemory {
    pub(crate) fn open(pid: i32, ram: &GuestRam) -> Result<Self> {
        let open = |name: &str| OpenOptions::new().read(true).open(format!("/proc/{pid}/{name}"));
        Ok(Self {
            pid,
            maps: open("maps").map_err(Error::io("/proc/PID/maps"))?,
            pagemap: open("pagemap").map_err(Error::io("/proc/PID/pagemap"))?,
            id: ram.file_id()?,
            size: ram.size(),
        })
    }

    /// The pieces that cover the RAM, ordered and joined where neighbours.
    pub(crate) fn layout(&mut self) -> Result<Vec<Piece>> {
        let mut text = Vec::new();
        self.maps.rewind().map_err(Error::io("/proc/PID/maps"))?;
        (&self.maps)
            .take(MAPS_LIMIT)
            .read_to_end(&mut text)
            .map_err(Error::io("/proc/PID/maps"))?;
        layout(&String::from_utf8_lossy(&text), self.id, self.size)
            .map_err(|why| Error::Layout { pid: self.pid, why })
    }

    /// Errors when the RAM is not mapped as it was: the process ended, ran another program or mapped it anew.
    pub(crate) fn check(&mut self, before: &[Piece]) -> Result<()> {
        match self.layout() {
            Ok(now) if now == before => Ok(()),
            Ok(_) => Err(Error::TrackingLost(format!(
                "process {} mapped its RAM anew",
                self.pid
            ))),
            Err(error) => Err(Error::TrackingLost(error.to_string())),
        }
    }
}

fn layout(maps: &str, id: FileId, size: u64) -> std::result::Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    for (piece, shared) in maps.lines().filter_map(|line| parse(line, id)) {
        if !shared {
            return Err("it is a private mapping (share=on is needed)".into());
        }
        pieces.push(piece);
    }
    pieces.sort_unstable();
    let covered = covered(&pieces);
    if covered != Some(size) {
        return Err(match covered {
            None => "it is mapped with gaps".into(),
            Some(covered) => format!("{covered} bytes of it are mapped, the RAM has {size}"),
        });
    }
    Ok(join(pieces))
}

/// How far the pieces reach from 0 on; `None` when there is a gap.
fn covered(pieces: &[Piece]) -> Option<u64> {
    pieces.iter().try_fold(0, |end: u64, piece| {
        (piece.offset <= end).then(|| end.max(piece.offset.saturating_add(piece.len)))
    })
}

/// The kernel may split or merge mappings at any time without changing what they show.
fn join(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let neighbour = joined.iter_mut().find(|left| {
            left.offset.checked_add(left.len) == Some(piece.offset)
                && left.address.checked_add(left.len) == Some(piece.address)
        });
        match neighbour {
            Some(left) => left.len = left.len.saturating_add(piece.len),
            None => joined.push(piece),
        }
    }
    joined
}

/// One line of maps, if it maps this file: the piece, and whether it is shared.
fn parse(line: &str, id: FileId) -> Option<(Piece, bool)> {
    let mut fields = line.split_ascii_whitespace();
    let range = hex_pair(fields.next()?, '-')?;
    let shared = fields.next()?.ends_with('s');
    let offset = hex(fields.next()?)?;
    let device = hex_pair(fields.next()?, ':')?;
    let inode: u64 = fields.next()?.parse().ok()?;
    let same = inode == id.inode && device == (u64::from(id.major)..u64::from(id.minor));
    let len = range.end.checked_sub(range.start)?;
    same.then_some((
        Piece {
            offset,
            address: range.start,
            len,
        },
        shared,
    ))
}

fn hex_pair(text: &str, separator: char) -> Option<Range<u64>> {
    let (left, right) = text.split_once(separator)?;
    Some(hex(left)?..hex(right)?)
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: FileId = FileId {
        major: 0,
        minor: 0x1b,
        inode: 77,
    };

    fn line(start: u64, end: u64, perms: &str, offset: u64, inode: u64) -> String {
        format!("{start:x}-{end:x} {perms} {offset:08x} 00:1b {inode}   /dev/shm/ram (deleted)\n")
    }

    #[test]
    fn pieces_are_ordered_and_neighbours_joined() {
        let maps = line(0x9000, 0xa000, "rw-s", 0x3000, 77)
            + &line(0x1000, 0x2000, "rw-s", 0, 77)
            + "00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/x\n7ffc0-7ffe0 rw-p 00000000 00:00 0\n"
            + &line(0x2000, 0x4000, "rw-s", 0x1000, 77)
            + &line(0x5000, 0x6000, "rw-s", 0, 78);
        let pieces = layout(&maps, ID, 0x4000).unwrap();
        let expected = [
            Piece {
                offset: 0,
                address: 0x1000,
                len: 0x3000,
            },
            Piece {
                offset: 0x3000,
                address: 0x9000,
                len: 0x1000,
            },
        ];
        assert_eq!(pieces, expected);
    }

    #[test]
    fn the_same_page_mapped_twice_is_two_pieces() {
        let maps = line(0x1000, 0x3000, "rw-s", 0, 77) + &line(0x5000, 0x6000, "rw-s", 0x1000, 77);
        assert_eq!(layout(&maps, ID, 0x2000).unwrap().len(), 2);
    }

    #[test]
    fn gaps_private_mappings_and_other_sizes_are_refused() {
        let first = line(0x1000, 0x2000, "rw-s", 0, 77);
        assert!(layout("", ID, 0x1000).is_err());
        assert!(layout(&first, ID, 0x2000).is_err());
        assert!(
            layout(
                &(first.clone() + &line(0x2000, 0x3000, "rw-s", 0x2000, 77)),
                ID,
                0x3000
            )
            .is_err()
        );
        assert!(
            layout(
                &(first.clone() + &line(0x2000, 0x4000, "rw-s", 0x1000, 77)),
                ID,
                0x2000
            )
            .is_err()
        );
        assert!(layout(&line(0x1000, 0x2000, "rw-p", 0, 77), ID, 0x1000).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[0-9a-f:\\- rwxsp\n]{0,200}", size: u64) {
            let _ = layout(&text, ID, size);
        }
    }
}
