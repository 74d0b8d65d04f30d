//! Changing numbers of a segment in its frame; the checksum is mended (RFC 1624), so what was wrong stays wrong.
//!
//! A [`TcpAt`] of another frame changes nothing where it points past the end.

use crate::tcp::{ACK, CHECKSUM, HEADER, SEQ, TcpAt, WINDOW};
use crate::{checksum, field, options};

/// Sets the acknowledgement number.
pub fn set_ack(frame: &mut [u8], at: TcpAt, ack: u32) {
    replace(frame, at, ACK, ack.to_be_bytes());
}

/// Sets the sequence number.
pub fn set_seq(frame: &mut [u8], at: TcpAt, seq: u32) {
    replace(frame, at, SEQ, seq.to_be_bytes());
}

/// Sets the window field, which the connection's scale applies to.
pub fn set_window(frame: &mut [u8], at: TcpAt, window: u16) {
    replace(frame, at, WINDOW, window.to_be_bytes());
}

/// Adds `delta` (modulo 2^32) to both edges of every SACK block.
pub fn shift_sack(frame: &mut [u8], at: TcpAt, delta: u32) {
    // At most 40 bytes of options: a copy is cheaper than care about two borrows.
    let mut copy = [0; 40];
    let start = at.offset + HEADER;
    let Some((options, original)) = copy
        .get_mut(..at.options)
        .zip(frame.get(start..start + at.options))
    else {
        return;
    };
    options.copy_from_slice(original);
    for block in options::sack_offsets(options) {
        if let Some((left, right)) = options::sack_block(options, block) {
            replace(frame, at, HEADER + block, left.wrapping_add(delta).to_be_bytes());
            replace(
                frame,
                at,
                HEADER + block + 4,
                right.wrapping_add(delta).to_be_bytes(),
            );
        }
    }
}

/// Puts a number at `offset` of the segment, which can be odd among options.
fn replace<const N: usize>(frame: &mut [u8], at: TcpAt, offset: usize, new: [u8; N]) {
    let Some(segment) = frame.get_mut(at.offset..) else {
        return;
    };
    let Some(old) = field::bytes::<N>(segment, offset) else {
        return;
    };
    let Some(sum) = field::u16(segment, CHECKSUM) else {
        return;
    };
    let sum = checksum::mend(sum, &old, &new, offset % 2 == 1);
    field::put(segment, offset, new);
    field::put(segment, CHECKSUM, sum.to_be_bytes());
}
