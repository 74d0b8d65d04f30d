//! What a relay is made of, and what follows from it.

use crate::clock::MS;
use crate::heartbeat::Timing;
use colo_compare::{Compare, Limits, Translator};
use colo_link::MAX_PAYLOAD;

/// Flows that are compared, and that are translated.
const FLOWS: usize = 16_384;
/// A table of all translations is one message.
const _: () = assert!(FLOWS * Translator::ENTRY <= MAX_PAYLOAD);

/// Bytes of one flow and side that wait to be compared.
const PENDING_BYTES: usize = 4 << 20;

/// What a relay is made of.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Network cards of the VM.
    pub nics: u8,
    /// Those with offloads, a bit for each of the first 32: virtio's header stands before each of their frames, at the
    /// VM, at the uplink and in FRAME_IN.
    pub offloads: u32,
    /// A frame held this long asks for a checkpoint.
    pub hold_ms: u64,
    /// Bytes of frames held before the VM has to wait.
    pub held_bytes: usize,
    /// Between two heartbeats.
    pub heartbeat_ms: u64,
    /// Nothing heard for this long is told as silence.
    pub peer_timeout_ms: u64,
    /// No progress for this long is told as a stall.
    pub stall_timeout_ms: u64,
}

impl Config {
    /// This card has offloads.
    pub(crate) fn has_offloads(&self, nic: u8) -> bool {
        self.offloads.checked_shr(nic.into()).unwrap_or(0) & 1 == 1
    }

    pub(crate) fn timing(&self) -> Timing {
        Timing {
            beat: self.heartbeat_ms.max(1).saturating_mul(MS),
            silent_after: self.peer_timeout_ms.saturating_mul(MS),
            stalled_after: self.stall_timeout_ms.saturating_mul(MS),
        }
    }
}

/// A comparison that lets everything pass until the first cut.
pub(crate) fn new_compare(config: Config, now: u64) -> Compare {
    let mut compare = Compare::new(Limits {
        hold_ns: config.hold_ms.saturating_mul(MS),
        held_bytes: config.held_bytes,
        flows: FLOWS,
        pending_bytes: PENDING_BYTES,
    });
    compare.alone(now);
    compare
}

pub(crate) fn new_translator() -> Translator {
    Translator::new(FLOWS)
}
