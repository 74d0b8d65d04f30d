//! What a connection waits for.

use colo_packet::{Tcp, seq};

use super::begin::parse;
use super::{Connection, piece};
use crate::event::Difference;
use crate::mismatch::Mismatch;

impl Connection {
    /// Since when the first of its frames waits.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.queue.iter().find_map(|segment| segment.held.since)
    }

    /// What the SVM should have sent by now, and since when a frame waits for it.
    pub(crate) fn missing(&self) -> Option<(u64, Mismatch)> {
        let waiting = |segment: &&crate::queue::Segment| segment.held.since.is_some();
        let segment = self.queue.iter().find(waiting)?;
        let tcp = parse(&segment.held.frame)?;
        Some((segment.held.since?, self.describe(&tcp)))
    }

    fn describe(&self, tcp: &Tcp<'_>) -> Mismatch {
        if tcp.rst() {
            return sentence(Difference::End, "RST");
        }
        if tcp.syn() {
            return sentence(Difference::Missing, "SYN");
        }
        let Some((offset, from)) = self.stream.open_from(&piece(tcp)) else {
            return sentence(Difference::Missing, "segment that can be compared");
        };
        let open = tcp
            .payload
            .get(seq::distance(tcp.seq, from) as usize..)
            .unwrap_or_default();
        let (kind, what) = match (open.len(), tcp.fin()) {
            (0, true) => (Difference::End, "no FIN".to_owned()),
            (bytes, _) => (Difference::Missing, format!("not these {bytes} bytes")),
        };
        let detail = format!("offset {offset}: the secondary has sent {what}");
        Mismatch::missing(kind, Some(offset), open, detail)
    }
}

fn sentence(kind: Difference, what: &str) -> Mismatch {
    Mismatch::told(kind, format!("the secondary has sent no {what}"))
}
