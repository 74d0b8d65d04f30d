//! The bytes of two machines side by side.
//!
//! Both rings begin where agreement ends, and at most one of them has a run: what both have is compared as it comes
//! and forgotten. A retransmission of agreed bytes is therefore not compared again; one of pending bytes is, with
//! what the same machine said before.

mod ends;

use colo_packet::seq;

use crate::event::Difference;
use crate::mismatch::Mismatch;
use crate::ring::Ring;
use crate::spare::Spare;

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaker {
    Primary,
    Secondary,
}

/// Why a stream can make no progress by agreement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Differs(Mismatch),
    /// One side has more unanswered bytes than are kept.
    Full,
}

/// What a side may take.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    /// Bytes kept of a side.
    pub limit: usize,
    pub spare: &'a mut Spare<u8>,
}

#[derive(Debug)]
struct Side {
    ring: Ring,
    fin: Option<u32>,
}

impl Side {
    const fn new(start: u32) -> Self {
        Self {
            ring: Ring::new(start),
            fin: None,
        }
    }
}

/// A segment's place, bytes and end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    pub seq: u32,
    pub payload: &'a [u8],
    pub fin: bool,
}

impl Piece<'_> {
    /// The position after the payload: the FIN's, if there is one.
    pub(crate) const fn last(&self) -> u32 {
        self.seq.wrapping_add(self.payload.len() as u32)
    }

    /// The position after everything.
    pub(crate) const fn end(&self) -> u32 {
        self.last().wrapping_add(self.fin as u32)
    }
}

/// Pending bytes of both.
#[derive(Debug)]
pub(crate) struct Pair {
    /// Shown as offset 0.
    origin: u32,
    primary: Side,
    secondary: Side,
}

impl Pair {
    pub(crate) const fn new(start: u32) -> Self {
        Self {
            origin: start,
            primary: Side::new(start),
            secondary: Side::new(start),
        }
    }

    /// Everything before is agreed.
    pub(crate) const fn agreed(&self) -> u32 {
        self.primary.ring.start()
    }

    /// Bytes of one machine that wait for the other.
    pub(crate) fn kept(&self, who: Speaker) -> usize {
        match who {
            Speaker::Primary => self.primary.ring.kept(),
            Speaker::Secondary => self.secondary.ring.kept(),
        }
    }

    /// The PVM has sent its FIN.
    pub(crate) const fn ended(&self) -> bool {
        self.primary.fin.is_some()
    }

    /// The PVM's stream ends at `fin`; not compared.
    pub(crate) fn note_end(&mut self, fin: u32) {
        self.primary.fin = self.primary.fin.or(Some(fin));
    }

    /// The PVM's first bytes are at `start`; the SVM's from there on are kept.
    pub(crate) fn place(&mut self, start: u32) {
        self.primary.ring.clear(start);
        self.secondary.ring.begin_at(start);
        self.origin = start;
    }

    /// Forgets what is pending; the SVM's end too, unless it is before `cut`.
    pub(crate) fn forget_secondary(&mut self, cut: Option<u32>) {
        self.secondary.ring.clear(self.agreed());
        self.secondary.fin = self.secondary.fin.filter(|fin| is_before(*fin, cut));
    }

    /// The SVM has the PVM's state of `cut`; `None`: the PVM had sent nothing then.
    pub(crate) fn restart(&mut self, cut: Option<u32>) {
        if let Some(cut) = cut {
            self.primary.ring.begin_at(cut);
        }
        self.secondary.ring.clear(self.agreed());
        self.secondary.fin = self.primary.fin.filter(|fin| is_before(*fin, cut));
    }

    /// Forgets what is pending on either side.
    pub(crate) fn drop_pending(&mut self) {
        let agreed = self.agreed();
        self.primary.ring.clear(agreed);
        self.secondary.ring.clear(agreed);
    }

    /// Takes in a segment.
    pub(crate) fn say(&mut self, who: Speaker, piece: Piece<'_>, room: &mut Room<'_>) -> Result<(), Trouble> {
        self.check_end(piece.last())?;
        self.add(who, piece.seq, piece.payload, room)?;
        while let Some((start, bytes)) = self.sides(who).0.ring.unpark() {
            self.add(who, start, &bytes, room)?;
        }
        if piece.fin {
            self.end(who, piece.last())?;
        }
        self.pass_end();
        Ok(())
    }

    /// Who speaks, and the other one.
    fn sides(&mut self, who: Speaker) -> (&mut Side, &mut Side) {
        match who {
            Speaker::Primary => (&mut self.primary, &mut self.secondary),
            Speaker::Secondary => (&mut self.secondary, &mut self.primary),
        }
    }

    fn add(&mut self, who: Speaker, start: u32, payload: &[u8], room: &mut Room<'_>) -> Result<(), Trouble> {
        let (mine, _) = self.sides(who);
        let end = mine.ring.end();
        if seq::gt(start, end) {
            let fits = mine.ring.kept() + payload.len() <= room.limit;
            return if fits && mine.ring.park(start, payload) {
                Ok(())
            } else {
                Err(Trouble::Full)
            };
        }
        let mut fresh = payload;
        if start != end {
            self.repeat(who, start, payload)?;
            fresh = payload
                .get(seq::distance(start, end) as usize..)
                .unwrap_or_default();
        }
        self.extend(who, end, fresh, room)
    }

    /// What one machine says twice must be the same.
    fn repeat(&mut self, who: Speaker, start: u32, payload: &[u8]) -> Result<(), Trouble> {
        let (mine, _) = self.sides(who);
        if mine.ring.len() == 0 {
            return Ok(());
        }
        let from = seq::max(start, mine.ring.start());
        let again = payload
            .get(seq::distance(start, from) as usize..)
            .unwrap_or_default();
        let known = (seq::distance(from, mine.ring.end()) as usize).min(again.len());
        let again = again.get(..known).unwrap_or_default();
        let same = mine.ring.common(from, again);
        if same == again.len() {
            return Ok(());
        }
        let before = mine.ring.peek(from.wrapping_add(same as u32));
        let offset = self.offset(from.wrapping_add(same as u32));
        let now = again.get(same..).unwrap_or_default();
        Err(Trouble::Differs(Mismatch::repeated(who, offset, &before, now)))
    }

    /// Bytes that follow the run: compared with what the other side has waiting, the rest waits itself.
    fn extend(&mut self, who: Speaker, end: u32, fresh: &[u8], room: &mut Room<'_>) -> Result<(), Trouble> {
        let (mine, other) = self.sides(who);
        let mut rest = fresh;
        if mine.ring.len() == 0 {
            let both = fresh.len().min(other.ring.len());
            let (head, tail) = fresh.split_at(both);
            let same = other.ring.common(end, head);
            other.ring.consume(same, room.spare);
            mine.ring.skip(same);
            if same < both {
                let position = end.wrapping_add(same as u32);
                let theirs = other.ring.peek(position);
                return Err(self.differs(who, position, fresh.get(same..), &theirs));
            }
            rest = tail;
        }
        let (mine, _) = self.sides(who);
        if mine.ring.kept() + rest.len() > room.limit {
            return Err(Trouble::Full);
        }
        mine.ring.push(rest, room.spare);
        Ok(())
    }

    fn differs(&self, who: Speaker, position: u32, said: Option<&[u8]>, other: &[u8]) -> Trouble {
        let said = said.unwrap_or_default();
        let (primary, secondary) = match who {
            Speaker::Primary => (said, other),
            Speaker::Secondary => (other, said),
        };
        Trouble::Differs(Mismatch::bytes(
            Difference::Stream,
            self.offset(position),
            primary,
            secondary,
        ))
    }

    /// A position as people are told it: counted from the first byte compared.
    pub(crate) fn offset(&self, position: u32) -> u64 {
        seq::distance(self.origin, position).into()
    }
}

/// `cut` is known and after `position`.
pub(crate) fn is_before(position: u32, cut: Option<u32>) -> bool {
    cut.is_some_and(|cut| seq::lt(position, cut))
}
