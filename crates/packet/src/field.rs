//! Big-endian fields at an offset; `None` past the end, where nothing is changed.

pub(crate) fn bytes<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..)?.first_chunk().copied()
}

pub(crate) fn put<const N: usize>(to: &mut [u8], at: usize, value: [u8; N]) -> Option<()> {
    *to.get_mut(at..)?.first_chunk_mut()? = value;
    Some(())
}

pub(crate) fn u16(from: &[u8], at: usize) -> Option<u16> {
    bytes(from, at).map(u16::from_be_bytes)
}

pub(crate) fn u32(from: &[u8], at: usize) -> Option<u32> {
    bytes(from, at).map(u32::from_be_bytes)
}

pub(crate) fn u128(from: &[u8], at: usize) -> Option<u128> {
    bytes(from, at).map(u128::from_be_bytes)
}
