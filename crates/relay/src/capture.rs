//! The last frames of both machines and of the clients, so that a divergence can be looked at afterwards.
//!
//! Off unless asked for. All memory is taken beforehand; the oldest frames give way. Once something was noticed a few
//! more frames are taken, then no more until the ring is exchanged for an empty one: what was before stays in it.

use crate::pcapng::Writer;
use std::collections::VecDeque;

/// Frames taken after something was noticed, if they fit in half of the ring.
const AFTER: usize = 512;
/// Bytes of the ring for which there is one place in its index: frames shorter than that fill the index first.
const BYTES_PER_FRAME: usize = 128;

/// Where a frame came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Pvm,
    Svm,
    Uplink,
}

impl Source {
    const ALL: [Self; 3] = [Self::Pvm, Self::Svm, Self::Uplink];

    const fn name(self) -> &'static str {
        match self {
            Self::Pvm => "pvm",
            Self::Svm => "svm",
            Self::Uplink => "uplink",
        }
    }
}

/// What is known of a frame besides its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) at: u64,
    pub(crate) source: Source,
    pub(crate) nic: u8,
    pub(crate) epoch: u64,
}

#[derive(Debug)]
struct Entry {
    origin: Origin,
    start: usize,
    length: usize,
    /// Something was noticed when this was the last frame.
    noticed: bool,
}

/// What may still be taken.
#[derive(Debug)]
struct Rest {
    frames: usize,
    bytes: usize,
}

/// A bounded number of frames in a bounded number of bytes.
#[derive(Debug)]
pub(crate) struct Ring {
    bytes: Box<[u8]>,
    entries: VecDeque<Entry>,
    most_entries: usize,
    next: usize,
    used: usize,
    /// Set once something was noticed.
    rest: Option<Rest>,
}

impl Ring {
    pub(crate) fn new(bytes: usize) -> Self {
        let most_entries = bytes / BYTES_PER_FRAME;
        Self {
            bytes: vec![0; bytes].into_boxed_slice(),
            entries: VecDeque::with_capacity(most_entries),
            most_entries,
            next: 0,
            used: 0,
            rest: None,
        }
    }

    /// Bytes of frames that it holds at most.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn push(&mut self, origin: Origin, frame: &[u8]) {
        if frame.len() > self.bytes.len() || !self.may_take(frame.len()) {
            return;
        }
        while self.used + frame.len() > self.bytes.len() || self.entries.len() >= self.most_entries {
            let Some(oldest) = self.entries.pop_front() else {
                return;
            };
            self.used -= oldest.length;
        }
        self.entries.push_back(Entry {
            origin,
            start: self.next,
            length: frame.len(),
            noticed: false,
        });
        self.copy(frame);
    }

    fn may_take(&mut self, bytes: usize) -> bool {
        let Some(rest) = &mut self.rest else {
            return true;
        };
        let room = rest.frames > 0 && rest.bytes >= bytes;
        if room {
            rest.frames -= 1;
            rest.bytes -= bytes;
        } else {
            rest.frames = 0;
        }
        room
    }

    fn copy(&mut self, frame: &[u8]) {
        let (head, tail) = frame.split_at(frame.len().min(self.bytes.len() - self.next));
        for (at, part) in [(self.next, head), (0, tail)] {
            if let Some(room) = self.bytes.get_mut(at..at + part.len()) {
                room.copy_from_slice(part);
            }
        }
        self.used += frame.len();
        self.next = (self.next + frame.len()) % self.bytes.len();
    }

    /// Something worth looking at has happened now.
    pub(crate) fn notice(&mut self) {
        if self.rest.is_none() {
            self.rest = Some(Rest {
                frames: AFTER,
                bytes: self.bytes.len() / 2,
            });
            if let Some(last) = self.entries.back_mut() {
                last.noticed = true;
            }
        }
    }

    fn parts(&self, entry: &Entry) -> [&[u8]; 2] {
        let end = entry.start + entry.length;
        let wrapped = end.saturating_sub(self.bytes.len());
        let head = self.bytes.get(entry.start..end - wrapped);
        [
            head.unwrap_or_default(),
            self.bytes.get(..wrapped).unwrap_or_default(),
        ]
    }

    /// All frames as a pcapng file: an interface for each source, of each card where there are several.
    ///
    /// `since_epoch` is what turns a frame's time into nanoseconds since 1970.
    pub(crate) fn to_pcapng(&self, nics: u8, since_epoch: u64, comment: &str) -> Vec<u8> {
        let mut writer = Writer::new(comment, self.used + self.entries.len() * BYTES_PER_FRAME);
        for nic in 0..nics {
            for source in Source::ALL {
                match nics {
                    1 => writer.interface(source.name()),
                    _ => writer.interface(&format!("{}{nic}", source.name())),
                }
            }
        }
        for entry in &self.entries {
            let Origin {
                at,
                source,
                nic,
                epoch,
            } = entry.origin;
            let interface = u32::from(nic) * 3 + source as u32;
            let noticed = if entry.noticed { "; noticed here" } else { "" };
            writer.packet(
                interface,
                since_epoch.saturating_add(at),
                self.parts(entry),
                &format!("epoch {epoch}{noticed}"),
            );
        }
        writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn origin(at: u64) -> Origin {
        Origin {
            at,
            source: Source::Pvm,
            nic: 0,
            epoch: 1,
        }
    }

    fn frames(ring: &Ring) -> Vec<Vec<u8>> {
        ring.entries
            .iter()
            .map(|entry| ring.parts(entry).concat())
            .collect()
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_came_last(lengths in prop::collection::vec(0_usize..700, 0..60)) {
            let mut ring = Ring::new(1024);
            let sent: Vec<Vec<u8>> = (0..).zip(&lengths).map(|(at, length)| vec![at; *length]).collect();
            for frame in &sent {
                ring.push(origin(0), frame);
            }
            let kept = frames(&ring);
            prop_assert!(sent.ends_with(&kept));
            prop_assert!(kept.concat().len() <= 1024 && kept.len() <= 8);
            prop_assert_eq!(ring.used, kept.concat().len());
            let next = sent.len().checked_sub(kept.len() + 1).and_then(|at| sent.get(at));
            if let Some(next) = next {
                prop_assert!(kept.len() == 8 || ring.used + next.len() > 1024, "room was left");
            }
        }
    }

    #[test]
    fn after_something_was_noticed_what_was_before_stays() {
        let mut ring = Ring::new(1 << 20);
        for at in 0..100 {
            ring.push(origin(at), b"before");
        }
        ring.notice();
        for at in 100..10_000 {
            ring.push(origin(at), b"after");
            ring.notice();
        }
        let kept = frames(&ring);
        assert_eq!(kept.len(), 100 + AFTER);
        assert_eq!(kept.first(), Some(&b"before".to_vec()));
        let noticed: Vec<_> = ring.entries.iter().filter(|entry| entry.noticed).collect();
        assert_eq!(noticed.len(), 1);
        assert_eq!(noticed[0].origin.at, 99);
    }

    #[test]
    fn long_frames_after_it_leave_half_of_the_ring_alone() {
        let mut ring = Ring::new(10_000);
        for at in 0..10 {
            ring.push(origin(at), &[1; 1000]);
        }
        ring.notice();
        for at in 10..20 {
            ring.push(origin(at), &[2; 1000]);
        }
        let kept = frames(&ring).concat();
        assert_eq!(kept.iter().filter(|byte| **byte == 1).count(), 5000);
    }

    #[test]
    fn a_frame_larger_than_the_ring_is_left_out() {
        let mut ring = Ring::new(1000);
        ring.push(origin(0), &[0; 1001]);
        assert!(ring.entries.is_empty());
        Ring::new(0).push(origin(0), &[]);
    }
}
