//! The framing of `-netdev stream`: a 4-byte big-endian length before each frame (QEMU net/stream.c).

mod reader;
mod writer;

pub use reader::{BadLength, Fill, FrameReader};
pub use writer::FrameWriter;

/// Bytes of a length.
const HEADER: usize = 4;
