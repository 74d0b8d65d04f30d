//! What was sent, and how.

use std::ops::AddAssign;

/// Counted over a transfer, or over many. Page counts are of guest RAM; device state is counted in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pages of zeros, sent as a mark.
    pub zero: u64,
    /// Pages that the secondary has already: not sent.
    pub equal: u64,
    /// Pages sent as what changed.
    pub delta: u64,
    /// Pages sent as the number of another one.
    pub twin: u64,
    /// Pages sent compressed.
    pub lz4: u64,
    /// Pages sent as they are.
    pub raw: u64,
    /// Bytes of device state.
    pub device_bytes: u64,
    /// Bytes of payload that were sent, of all kinds.
    pub sent_bytes: u64,
    /// Of these for device state.
    pub sent_device_bytes: u64,
    /// Nanoseconds of reading, encoding and summing up, compression included.
    pub encode_ns: u64,
    /// Nanoseconds of compression, successful or not.
    pub lz4_ns: u64,
    /// Bytes that compression saved in that time.
    pub lz4_saved: u64,
}

impl Tally {
    /// Names and values, in the order of the documentation.
    #[must_use]
    pub fn entries(&self) -> [(&'static str, u64); 12] {
        [
            ("zero", self.zero),
            ("equal", self.equal),
            ("delta", self.delta),
            ("twin", self.twin),
            ("lz4", self.lz4),
            ("raw", self.raw),
            ("device_bytes", self.device_bytes),
            ("sent_bytes", self.sent_bytes),
            ("sent_device_bytes", self.sent_device_bytes),
            ("encode_ns", self.encode_ns),
            ("lz4_ns", self.lz4_ns),
            ("lz4_saved", self.lz4_saved),
        ]
    }

    /// Pages of guest RAM, sent or equal.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.zero + self.equal + self.delta + self.twin + self.lz4 + self.raw
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.zero += other.zero;
        self.equal += other.equal;
        self.delta += other.delta;
        self.twin += other.twin;
        self.lz4 += other.lz4;
        self.raw += other.raw;
        self.device_bytes += other.device_bytes;
        self.sent_bytes += other.sent_bytes;
        self.sent_device_bytes += other.sent_device_bytes;
        self.encode_ns += other.encode_ns;
        self.lz4_ns += other.lz4_ns;
        self.lz4_saved += other.lz4_saved;
    }
}
