//! One TCP connection's bytes through the epochs.
//!
//! At a cut the PVM's position is kept as the beginning of the new epoch. Until the SVM starts from there (`restart`)
//! it may still agree to bytes before it, never to bytes after it.

use colo_packet::seq;

use crate::pair::{Pair, Piece, Room, Speaker, Trouble, is_before};

/// Positions and pending bytes of one connection.
#[derive(Debug)]
pub(crate) struct Stream {
    /// The PVM's epoch, and the one the SVM's words belong to: the same or an earlier one.
    epoch: u64,
    secondary_epoch: u64,
    /// No more agreement up to and including this epoch.
    blocked: u64,
    /// The PVM's position at the beginning of `epoch`.
    begin: Option<u32>,
    /// The PVM's position now; `None`: it has sent nothing yet.
    next: Option<u32>,
    /// `pair` has a position.
    placed: bool,
    /// Bytes before were sent before anyone looked.
    floor: Option<u32>,
    pair: Pair,
}

impl Stream {
    /// A connection first seen in mid-stream: its first segment will tell the position.
    pub(crate) const fn unknown(epoch: u64) -> Self {
        Self {
            epoch,
            secondary_epoch: epoch,
            blocked: 0,
            begin: None,
            next: None,
            placed: false,
            floor: None,
            pair: Pair::new(0),
        }
    }

    /// A connection whose SYN the PVM sent.
    pub(crate) fn begun(epoch: u64, isn: u32) -> Self {
        let first = isn.wrapping_add(1);
        Self {
            next: Some(first),
            placed: true,
            pair: Pair::new(first),
            ..Self::unknown(epoch)
        }
    }

    /// The PVM's epoch.
    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The epoch the SVM's words belong to.
    pub(crate) const fn secondary_epoch(&self) -> u64 {
        self.secondary_epoch
    }

    /// Bytes of one machine that wait for the other.
    pub(crate) fn kept(&self, who: Speaker) -> usize {
        self.pair.kept(who)
    }

    /// The position up to which both have produced the same.
    pub(crate) const fn agreed(&self) -> u32 {
        self.pair.agreed()
    }

    /// The PVM has sent its FIN.
    pub(crate) const fn ended(&self) -> bool {
        self.pair.ended()
    }

    /// Both have produced everything before `end`, in the epoch of the SVM.
    pub(crate) fn agrees_to(&self, end: u32) -> bool {
        self.placed && seq::le(end, self.pair.agreed())
    }

    /// Where the bytes that the SVM has not agreed to begin in `piece`: at its start or later. `None`: unknown.
    pub(crate) fn open_from(&self, piece: &Piece<'_>) -> Option<(u64, u32)> {
        let from = seq::max(piece.seq, self.pair.agreed());
        (self.placed && seq::le(from, piece.end())).then(|| (self.pair.offset(from), from))
    }

    /// Bytes from `start` on were compared or are gone already; those of before the connection was known were not.
    pub(crate) fn was_watched(&self, start: u32) -> bool {
        self.floor.is_none_or(|floor| seq::ge(start, floor))
    }

    /// No more agreement in the PVM's epoch.
    pub(crate) fn block(&mut self) {
        self.blocked = self.epoch;
        self.pair.drop_pending();
    }

    /// The PVM is in epoch `current`; `secondary_too`: the SVM's words about earlier ones do not matter any more.
    /// `true`: the SVM now starts where the PVM was when the epoch began.
    pub(crate) fn turn(&mut self, current: u64, secondary_too: bool) -> bool {
        let mut start = secondary_too;
        if self.epoch < current {
            start |= self.blocked >= self.secondary_epoch;
            self.epoch = current;
            self.begin = self.next;
            self.placed &= self.next.is_some();
            // What the SVM said beyond the PVM's position is of a state that a checkpoint will overwrite.
            self.pair.forget_secondary(self.begin);
        }
        start &= self.secondary_epoch < current;
        if start {
            self.restart();
        }
        start
    }

    fn restart(&mut self) {
        self.secondary_epoch = self.epoch;
        if self.begin.is_some() {
            self.floor = None;
        }
        self.placed = self.next.is_some();
        self.pair.restart(self.begin);
    }

    /// The PVM's segment. After an error the caller must `block`.
    pub(crate) fn primary(&mut self, piece: Piece<'_>, mut room: Room<'_>) -> Result<(), Trouble> {
        if self.next.is_none() {
            self.place_primary(piece.seq);
        }
        self.next = Some(self.next.map_or(piece.end(), |next| seq::max(next, piece.end())));
        if self.blocked >= self.epoch {
            if piece.fin {
                self.pair.note_end(piece.last());
            }
            return Ok(());
        }
        self.pair.say(Speaker::Primary, piece, &mut room)
    }

    /// The SVM's segment, in its epoch. After an error the caller must `block`, or `turn` if the SVM is behind.
    pub(crate) fn secondary(&mut self, piece: Piece<'_>, mut room: Room<'_>) -> Result<(), Trouble> {
        let piece = if self.secondary_epoch < self.epoch {
            self.before_cut(piece)
        } else {
            piece
        };
        if self.blocked >= self.secondary_epoch || (piece.payload.is_empty() && !piece.fin) {
            return Ok(());
        }
        self.place_secondary(piece.seq);
        self.pair.say(Speaker::Secondary, piece, &mut room)
    }

    fn before_cut<'a>(&self, piece: Piece<'a>) -> Piece<'a> {
        let begin = self.begin.filter(|begin| seq::lt(piece.seq, *begin));
        let room = begin.map_or(0, |begin| seq::distance(piece.seq, begin)) as usize;
        let payload = piece.payload.get(..room).unwrap_or(piece.payload);
        Piece {
            payload,
            fin: piece.fin && is_before(piece.last(), self.begin),
            ..piece
        }
    }

    /// The PVM's first bytes say where its stream is: where it was when the epoch began, or a little before.
    fn place_primary(&mut self, start: u32) {
        match self.placed {
            true => self.pair.place(start),
            false => self.pair = Pair::new(start),
        }
        (self.placed, self.floor) = (true, Some(start));
    }

    /// Before the PVM has sent anything the SVM's lowest position counts.
    fn place_secondary(&mut self, start: u32) {
        if self.next.is_some() {
            return;
        }
        if !self.placed {
            self.pair = Pair::new(start);
            self.placed = true;
        } else if seq::lt(start, self.pair.agreed()) {
            self.pair.place(start);
        }
    }
}
