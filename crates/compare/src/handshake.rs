//! The SYNs of both machines: each has its own sequence number, so they are matched by everything else.

use colo_packet::Tcp;

use crate::event::Difference;
use crate::mismatch::Mismatch;
use crate::pair::Trouble;

/// How far the beginning of a connection is agreed.
#[derive(Debug, Default)]
pub(crate) struct Handshake {
    /// (sequence, acknowledgement) of the PVM's SYN; `None`: the connection is older than we are.
    begun: Option<(u32, u32)>,
    /// The PVM sent it in an epoch before its current one.
    before_cut: bool,
    agreed: bool,
    /// Sequence number and window of the SVM's SYN, once it is agreed.
    twin: Option<(u32, u16)>,
    /// A SYN of the SVM for a connection that the PVM has not begun.
    early: Option<Vec<u8>>,
}

impl Handshake {
    /// The connection of this sequence number is the one that is known.
    pub(crate) fn is_of(&self, isn: u32) -> bool {
        self.begun.is_some_and(|(known, _)| known == isn)
    }

    /// The PVM has sent its SYN, the SVM has not.
    pub(crate) const fn is_waiting(&self) -> bool {
        self.begun.is_some() && !self.agreed
    }

    pub(crate) const fn is_agreed(&self) -> bool {
        self.agreed
    }

    /// The SVM is in a connection that the PVM has not begun.
    pub(crate) const fn is_ahead(&self) -> bool {
        self.early.is_some()
    }

    /// The PVM begins a connection; returns the SVM's SYN that may belong to it.
    pub(crate) fn begin(&mut self, syn: &Tcp<'_>) -> Option<Vec<u8>> {
        self.begun = Some((syn.seq, syn.ack));
        (self.agreed, self.before_cut, self.twin) = (false, false, None);
        self.early.take()
    }

    /// A SYN of the SVM is one it has sent before; `over`: the connection that is known has ended.
    pub(crate) fn is_repeated(&self, syn: &Tcp<'_>, over: bool) -> bool {
        let twin = self.twin.map(|(isn, _)| isn);
        match self.begun {
            // With simultaneous open a SYN-ACK follows the SYN (RFC 9293 section 3.5).
            Some((isn, _)) if syn.seq == isn || Some(syn.seq) == twin => true,
            Some((_, ack)) if syn.ack_flag() => syn.ack == ack,
            Some(_) => !over,
            None => false,
        }
    }

    /// The window of the SVM's SYN.
    pub(crate) fn window(&self) -> Option<u16> {
        self.twin.map(|(_, window)| window)
    }

    /// Bytes kept.
    pub(crate) fn kept(&self) -> usize {
        self.early.as_ref().map_or(0, Vec::len)
    }

    pub(crate) fn keep_early(&mut self, frame: &[u8]) {
        self.early = Some(frame.to_vec());
    }

    /// Compares the SYNs of both.
    pub(crate) fn meet(&mut self, primary: &Tcp<'_>, secondary: &Tcp<'_>) -> Result<(), Trouble> {
        let flags = primary.flags == secondary.flags;
        let ack = !primary.ack_flag() || primary.ack == secondary.ack;
        let options = primary.syn_options_equal(secondary);
        self.agreed = flags && ack && options;
        if self.agreed {
            self.twin = Some((secondary.seq, secondary.window));
            return Ok(());
        }
        let detail = format!(
            "flags {:02x} and {:02x}, ack {} and {}, options {}",
            primary.flags,
            secondary.flags,
            primary.ack,
            secondary.ack,
            if options { "equal" } else { "different" }
        );
        Err(Trouble::Differs(Mismatch::told(Difference::Handshake, detail)))
    }

    /// The PVM begins an epoch: what the SVM did alone will be overwritten.
    pub(crate) fn cut(&mut self) {
        self.before_cut = self.begun.is_some();
        self.early = None;
    }

    /// The SVM starts from the PVM's state at the cut.
    pub(crate) fn restart(&mut self) {
        self.agreed |= self.before_cut;
    }
}
