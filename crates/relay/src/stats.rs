//! What was counted.

use colo_compare::Stats;
use colo_ram::Tally;

/// Counters of the relay itself, since its start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) frames_in: u64,
    pub(crate) frames_out: u64,
    pub(crate) vm_frames: u64,
    pub(crate) ingress_dropped: u64,
    pub(crate) repeated_in: u64,
    pub(crate) bad_headers: u64,
    pub(crate) egress_dropped: u64,
    pub(crate) deferred_dropped: u64,
    pub(crate) ignored: u64,
    pub(crate) svm_dropped: u64,
    pub(crate) stale_ingress_bytes: u64,
    pub(crate) link_bytes_in: u64,
    pub(crate) link_bytes_out: u64,
    pub(crate) bulk: Tally,
    pub(crate) control_in: u64,
    pub(crate) events_dropped: u64,
}

impl Counters {
    /// Names and values, in the order of the documentation.
    pub(crate) fn entries(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("frames_in", self.frames_in),
            ("frames_out", self.frames_out),
            ("vm_frames", self.vm_frames),
            ("ingress_dropped", self.ingress_dropped),
            ("repeated_in", self.repeated_in),
            ("bad_headers", self.bad_headers),
            ("egress_dropped", self.egress_dropped),
            ("deferred_dropped", self.deferred_dropped),
            ("ignored", self.ignored),
            ("svm_dropped", self.svm_dropped),
            ("stale_ingress_bytes", self.stale_ingress_bytes),
            ("link_bytes_in", self.link_bytes_in),
            ("link_bytes_out", self.link_bytes_out),
            ("bulk_bytes", self.bulk.sent_bytes),
            ("bulk_device_bytes", self.bulk.sent_device_bytes),
            ("device_bytes", self.bulk.device_bytes),
            ("pages_zero", self.bulk.zero),
            ("pages_equal", self.bulk.equal),
            ("pages_delta", self.bulk.delta),
            ("pages_twin", self.bulk.twin),
            ("pages_lz4", self.bulk.lz4),
            ("pages_raw", self.bulk.raw),
            ("encode_us", self.bulk.encode_ns / 1000),
            ("control_in", self.control_in),
            ("events_dropped", self.events_dropped),
        ]
    }
}

/// What the comparison counted.
pub(crate) fn compared(stats: &Stats) -> [(&'static str, u64); 22] {
    [
        ("primary_frames", stats.primary_frames),
        ("secondary_frames", stats.secondary_frames),
        ("released_agreed", stats.released_agreed),
        ("released_commit", stats.released_commit),
        ("released_passed", stats.released_passed),
        ("clamped_acks", stats.clamped_acks),
        ("clamped_windows", stats.clamped_windows),
        ("made_acks", stats.made_acks),
        ("divided", stats.divided),
        ("replaced_acks", stats.replaced_acks),
        ("divergences", stats.divergences),
        ("hold_limits", stats.hold_limits),
        ("queue_limits", stats.queue_limits),
        ("late_secondary", stats.late_secondary),
        ("early_secondary", stats.early_secondary),
        ("unmatched_secondary", stats.unmatched_secondary),
        ("held_frames", stats.held_frames),
        ("held_bytes", stats.held_bytes),
        ("pending_bytes", stats.pending_bytes),
        ("flows", stats.flows),
        ("hold_limit_us", stats.hold_limit_ns / 1000),
        ("lag_p99_us", stats.lag_p99_ns / 1000),
    ]
}
