//! What was counted.

/// Counters since the start; those marked (now) are what is the case at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames of the PVM.
    pub primary_frames: u64,
    /// Frames of the SVM.
    pub secondary_frames: u64,
    /// Released because both machines produced the same.
    pub released_agreed: u64,
    /// Released because the secondary holds a later checkpoint.
    pub released_commit: u64,
    /// Released uncompared: link chores, or no secondary there.
    pub released_passed: u64,
    /// Agreed frames whose acknowledgement was lowered to what the SVM has acknowledged too.
    pub clamped_acks: u64,
    /// Agreed frames whose window was lowered to what the SVM offers too.
    pub clamped_windows: u64,
    /// Acknowledgements made for the client when the SVM had caught up with what the PVM had said before.
    pub made_acks: u64,
    /// Long segments of which a front went alone.
    pub divided: u64,
    /// Held acknowledgements that a newer segment made needless.
    pub replaced_acks: u64,
    /// Flows that were found different.
    pub divergences: u64,
    /// Frames that waited too long and were reported.
    pub hold_limits: u64,
    /// Times a queue was at its limit and this was reported.
    pub queue_limits: u64,
    /// Frames of the SVM from an epoch that is over.
    pub late_secondary: u64,
    /// Frames of the SVM from an epoch that the PVM has not begun: never valid.
    pub early_secondary: u64,
    /// Messages of the SVM that nothing of the PVM matched and that were forgotten.
    pub unmatched_secondary: u64,
    /// Frames held (now).
    pub held_frames: u64,
    /// Their bytes (now).
    pub held_bytes: u64,
    /// Bytes and messages of the SVM or the PVM kept until the other one produces them too, over all flows (now).
    pub pending_bytes: u64,
    /// Flows known (now).
    pub flows: u64,
    /// Nanoseconds that a flow may be silent (now).
    pub hold_limit_ns: u64,
    /// 99 of 100 frames that agreed had waited no longer, in nanoseconds; 0 while none has (now).
    pub lag_p99_ns: u64,
}
