//! What either machine has acknowledged to the client, and how much it offers to take: the client is told only what
//! both have said.
//!
//! A client may forget what it was told is acknowledged, and may send what fits into the window it was told. Windows
//! are compared by their right edge, acknowledgement + (window << scale), RFC 7323 section 2.3. Of a connection whose
//! SYN-ACK of the guest nobody saw the scale is unknown, but the same on both machines: there the smaller field counts.

use colo_packet::{Tcp, seq};

/// Duplicate acknowledgements that count at most: three already start a fast retransmit (RFC 5681).
pub(crate) const DUPLICATES: usize = 16;

/// Repetitions of the PVM that the SVM's are behind at most: more may never come.
const AHEAD: i8 = 3;

/// An acknowledgement number, and the window that was sent with it (as in the header, of a SYN as if scaled).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub ack: u32,
    pub window: u16,
}

/// The last offers of one connection.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    scale: Option<u8>,
    primary: Option<Offer>,
    /// The PVM's at the beginning of its epoch.
    begin: Option<Offer>,
    secondary: Option<Offer>,
    /// What the client has been told.
    told: Option<Offer>,
    /// How often the SVM has repeated its last offer more than the client was told the same.
    repeated: i8,
}

impl Offers {
    /// Learns the scale from the PVM's SYN. It is in use when both ends have sent one: a guest that answers has seen
    /// the client's, of a guest that asks only a refusal is certain.
    pub(crate) fn negotiated(&mut self, syn: &Tcp<'_>) {
        self.scale = match (syn.ack_flag(), syn.window_scale()) {
            (_, None) => Some(0),
            (true, scale) => scale,
            (false, Some(_)) => None,
        };
    }

    /// What a segment offers. The window of a SYN is never scaled: it is rounded down to what a scaled one could say.
    pub(crate) fn of(&self, tcp: &Tcp<'_>) -> Option<Offer> {
        let shift = if tcp.syn() { self.scale.unwrap_or(0) } else { 0 };
        (tcp.ack_flag() && !tcp.rst()).then_some(Offer {
            ack: tcp.ack,
            window: tcp.window >> shift,
        })
    }

    pub(crate) fn primary(&mut self, offer: Offer) {
        renew(&mut self.primary, offer);
    }

    /// `alone`: it came without data.
    pub(crate) fn secondary(&mut self, offer: Offer, alone: bool) {
        if self.secondary != Some(offer) {
            self.repeated = 0;
        } else if alone {
            self.repeated = (self.repeated + 1).min(DUPLICATES as i8);
        }
        renew(&mut self.secondary, offer);
    }

    pub(crate) fn told(&mut self, offer: Offer) {
        renew(&mut self.told, offer);
    }

    /// The PVM begins an epoch.
    pub(crate) fn cut(&mut self) {
        self.begin = self.primary;
    }

    /// The SVM starts where the PVM was.
    pub(crate) fn restart(&mut self) {
        (self.secondary, self.repeated) = (self.begin, 0);
    }

    /// The most that the client may be told; `None`: nothing is known.
    fn limit(&self) -> Option<Offer> {
        match (self.secondary, self.told) {
            (Some(secondary), Some(told)) => Some(match is_beyond(told, secondary) {
                true => told,
                false => secondary,
            }),
            (one, other) => one.or(other),
        }
    }

    /// Something is known of the SVM.
    pub(crate) fn is_known(&self) -> bool {
        self.limit().is_some()
    }

    /// The client may be told `ack`.
    pub(crate) fn covers(&self, ack: u32) -> bool {
        self.limit().is_some_and(|limit| seq::le(ack, limit.ack))
    }

    /// What the client may be told of an offer of the PVM.
    pub(crate) fn allowed(&self, want: Offer) -> Option<Offer> {
        let limit = self.limit()?;
        let ack = seq::min(want.ack, limit.ack);
        let Some(scale) = self.scale else {
            let window = want.window.min(limit.window);
            return Some(Offer { ack, window });
        };
        let edge = |offer: Offer| offer.ack.wrapping_add(u32::from(offer.window) << scale);
        let smaller = seq::min(edge(want), edge(limit));
        if ack == want.ack && smaller == edge(want) {
            return Some(want);
        }
        let room = if seq::gt(smaller, ack) {
            seq::distance(ack, smaller) >> scale
        } else {
            0
        };
        let window = u16::try_from(room).unwrap_or(u16::MAX);
        Some(Offer { ack, window })
    }

    /// A pure acknowledgement of the PVM may go: the SVM has acknowledged as much, and what is left of it is news, or
    /// as the PVM meant it, or the SVM has repeated itself too. Otherwise a window update without its window would look
    /// like a duplicate, which tells of a loss.
    pub(crate) fn may_go(&self, want: Offer) -> bool {
        self.covers(want.ack)
            && self
                .allowed(want)
                .is_some_and(|allowed| allowed == want || self.is_news(allowed) || self.repeated > 0)
    }

    /// The client is told this without data.
    pub(crate) fn repeats(&mut self, offer: Offer) {
        if self.told == Some(offer) {
            self.repeated = (self.repeated - 1).max(-AHEAD);
        }
    }

    fn is_news(&self, offer: Offer) -> bool {
        self.told.is_none_or(|told| is_beyond(offer, told))
    }

    /// The client misses something that it may wait for: an acknowledgement, or half of the window or more.
    pub(crate) fn owes(&self, want: Offer) -> bool {
        self.told.is_none_or(|told| {
            seq::gt(want.ack, told.ack) || (is_beyond(want, told) && want.window / 2 >= told.window)
        })
    }

    /// What the client was told last.
    pub(crate) const fn last_told(&self) -> Option<Offer> {
        self.told
    }

    /// What the SVM has said last.
    pub(crate) const fn of_secondary(&self) -> Option<Offer> {
        self.secondary
    }

    /// What the PVM wants to tell is worth a frame of its own by now: it acknowledges more, is all that the PVM wants,
    /// or at least doubles the window (small steps make small segments, RFC 9293 section 3.8.6.2.2).
    pub(crate) fn worth_telling(&self, want: Offer) -> Option<Offer> {
        let allowed = self.allowed(want).filter(|allowed| self.is_news(*allowed))?;
        let worth = self.told.is_none_or(|told| {
            allowed == want || allowed.ack != told.ack || allowed.window / 2 >= told.window
        });
        worth.then_some(allowed)
    }
}

/// `offer` tells more than `known`.
const fn is_beyond(offer: Offer, known: Offer) -> bool {
    seq::gt(offer.ack, known.ack) || (offer.ack == known.ack && offer.window > known.window)
}

/// The newest counts; an older acknowledgement is no news (RFC 9293 section 3.10.7.4, SND.WL2).
fn renew(known: &mut Option<Offer>, offer: Offer) {
    if known.is_none_or(|known| seq::ge(offer.ack, known.ack)) {
        *known = Some(offer);
    }
}
