//! Which bytes of one datagram have come.

use colo_packet::Fragment;

/// Fragments of one datagram. With the usual MTU 45 are enough for 64 KiB, with the smallest of IPv6 54.
pub(crate) const PIECES: usize = 128;

/// No IP packet is longer.
const LONGEST: usize = 0xffff;

/// What is known of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Something is missing.
    Open,
    Whole,
    /// What has come makes no datagram, whatever will come.
    Spoiled,
    /// As spoiled: too many pieces.
    Full,
}

impl State {
    /// It can be whole, or already is.
    pub(super) const fn is_useful(self) -> bool {
        matches!(self, Self::Open | Self::Whole)
    }
}

/// A piece that has come; `serial` names its frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub serial: u64,
    pub at: usize,
    pub start: usize,
    pub len: usize,
}

impl Place {
    const fn end(&self) -> usize {
        self.start + self.len
    }
}

/// A datagram that is not whole yet.
#[derive(Debug)]
pub(super) struct Datagram {
    pub id: u32,
    /// When its first piece came.
    pub since: u64,
    pub places: Vec<Place>,
    spoiled: bool,
    /// Bytes that have come, each counted once.
    come: usize,
    total: Option<usize>,
}

impl Datagram {
    pub(super) const fn new(id: u32, since: u64) -> Self {
        Self {
            id,
            since,
            places: Vec::new(),
            spoiled: false,
            come: 0,
            total: None,
        }
    }

    /// Takes in a piece; `repeats`: it has the same bytes as one that came before.
    ///
    /// Pieces that overlap make no datagram: receivers do not agree about what they say (RFC 5722, RFC 8200 section
    /// 4.5). The same piece again is no harm.
    pub(super) fn add(
        &mut self,
        piece: &Fragment,
        serial: u64,
        repeats: impl FnOnce(&Place) -> bool,
    ) -> State {
        let place = Place {
            serial,
            at: piece.at,
            start: piece.start,
            len: piece.len,
        };
        let state = self.state_with(&place, piece.more, repeats);
        match state {
            State::Spoiled | State::Full => self.spoiled = true,
            State::Open | State::Whole => self.places.push(place),
        }
        state
    }

    /// Nothing makes it whole any more.
    pub(super) const fn spoil(&mut self) {
        self.spoiled = true;
    }

    fn state_with(&mut self, place: &Place, more: bool, repeats: impl FnOnce(&Place) -> bool) -> State {
        if self.spoiled || !is_sound(place, more) {
            return State::Spoiled;
        }
        if self.places.len() >= PIECES {
            return State::Full;
        }
        let end = place.end();
        let mut others = self.places.iter();
        if let Some(other) = others.find(|other| other.start < end && place.start < other.end()) {
            let ends = self.total == Some(end);
            let again = other.start == place.start && other.len == place.len && ends != more;
            return if again && repeats(other) {
                State::Open
            } else {
                State::Spoiled
            };
        }
        if !more {
            self.total = Some(self.total.unwrap_or(end).min(end));
        }
        let reach = self.places.iter().map(Place::end).fold(end, usize::max);
        if self.total.is_some_and(|total| reach > total) {
            return State::Spoiled;
        }
        self.come += place.len;
        if self.total == Some(self.come) {
            State::Whole
        } else {
            State::Open
        }
    }

    /// Where the piece with the datagram's header is, and how long the datagram is.
    pub(super) fn whole(&self) -> Option<(Place, usize)> {
        let first = self.places.iter().find(|place| place.start == 0)?;
        Some((*first, self.total.filter(|total| *total == self.come)?))
    }
}

/// Bytes in units of 8, but for the last piece, and all within what a packet can hold.
const fn is_sound(place: &Place, more: bool) -> bool {
    place.len > 0 && place.end() <= LONGEST && (!more || place.len.is_multiple_of(8))
}
