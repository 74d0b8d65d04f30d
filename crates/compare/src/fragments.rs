//! The fragments of a datagram that is compared as a whole, as they came.

use colo_packet::Frame;

/// A fragment, and which bytes of the datagram it has.
#[derive(Debug)]
pub(crate) struct Part {
    pub frame: Frame,
    /// Where the bytes begin in the frame, and in the datagram.
    pub at: usize,
    pub start: usize,
    pub len: usize,
}

/// All of them, in the order in which they came.
#[derive(Debug)]
pub(crate) struct Fragments {
    parts: Vec<Part>,
    /// Bytes of the datagram.
    total: usize,
}

/// A datagram that is whole.
#[derive(Debug)]
pub(crate) struct Whole {
    /// As if it had never been cut.
    pub frame: Vec<u8>,
    pub fragments: Fragments,
}

impl Fragments {
    pub(crate) const fn new(parts: Vec<Part>, total: usize) -> Self {
        Self { parts, total }
    }

    pub(crate) fn frames(&self) -> u64 {
        self.parts.len() as u64
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.frame.len() as u64).sum()
    }

    /// The frames to send. What was changed in the datagram, which stands at the end of the frame `whole`, is changed
    /// in them, whichever it falls into.
    pub(crate) fn rendered(self, whole: &[u8]) -> impl Iterator<Item = Frame> {
        let header = whole.len().saturating_sub(self.total);
        let datagram = whole.get(header..).unwrap_or_default();
        self.parts.into_iter().map(move |part| {
            let mut frame = part.frame;
            let old = frame.get_mut(part.at..part.at + part.len);
            let new = datagram.get(part.start..part.start + part.len);
            if let Some((old, new)) = old.zip(new) {
                old.copy_from_slice(new);
            }
            frame
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_goes_into_every_fragment_it_falls_into_and_nowhere_else() {
        let part = |frame: &[u8], start| Part {
            frame: frame.to_vec().into(),
            at: 2,
            start,
            len: 4,
        };
        let parts = vec![part(b"HHefghpp", 4), part(b"HHabcd", 0), part(b"HHabcd", 0)];
        let fragments = Fragments::new(parts, 8);
        assert_eq!((fragments.frames(), fragments.bytes()), (3, 20));
        let sent: Vec<Vec<u8>> = fragments
            .rendered(b"header-abcDEfgh")
            .map(|frame| frame.bytes)
            .collect();
        assert_eq!(
            sent,
            [b"HHEfghpp".to_vec(), b"HHabcD".to_vec(), b"HHabcD".to_vec()]
        );
    }
}
