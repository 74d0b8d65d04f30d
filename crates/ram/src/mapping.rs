//! Mapped memory, touched by raw copies only.
//!
//! A guest writes its RAM while the agent reads it, so no reference to it may ever exist: a `&[u8]` whose bytes
//! change is undefined behaviour. Bytes are copied between a mapping and buffers that the agent owns, and a copy
//! that races with the guest may be torn; whoever copies from a running VM copies again what the tracker reports.

use std::{ops::Range, os::fd::BorrowedFd, ptr, ptr::NonNull};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

use crate::error::{Error, Result};

const POPULATED_AT_ONCE: usize = 2 << 20;

/// A mapping of fixed size, unmapped on drop.
///
/// Writing needs only `&self`, as the guest cannot be locked out anyhow. The private ones (cache, staging,
/// shadow) are kept behind a lock or a unique reference by their owners.
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to no thread; `base` is only used for raw copies within `len`.
unsafe impl Send for Mapping {}
// SAFETY: as above; races between copies can tear bytes, never memory safety, as no reference is ever made.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of a file, shared with everyone who maps it.
    pub(crate) fn shared(fd: BorrowedFd<'_>, len: usize) -> Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing that exists.
        let base = unsafe { mmap(ptr::null_mut(), len, access, MapFlags::SHARED, fd, 0) };
        Self::finish(base.map_err(Error::io("mmap of the RAM file"))?, len)
    }

    /// Zeroed memory of our own; physical memory comes with the first touch, in huge pages where the kernel has them,
    /// which saves page faults.
    pub(crate) fn private(len: usize) -> Result<Self> {
        Self::anonymous(len, Advice::LinuxHugepage)
    }

    /// Zeroed memory of our own; each page of it gets physical memory by itself, when it is first written.
    pub(crate) fn sparse(len: usize) -> Result<Self> {
        Self::anonymous(len, Advice::LinuxNoHugepage)
    }

    fn anonymous(len: usize, huge_pages: Advice) -> Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: as in `shared`.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), len, access, flags) };
        let mapping = Self::finish(base.map_err(Error::io("mmap of private memory"))?, len)?;
        // A kernel that refuses has no huge pages, whatever was wanted.
        // SAFETY: advice of this kind does not change what the memory holds.
        let _ = unsafe { madvise(mapping.base.as_ptr().cast(), len, huge_pages) };
        Ok(mapping)
    }

    /// Has the kernel find memory for these bytes now rather than at the first touch, which may take long (huge pages
    /// are zeroed and may have to be compacted first). Before Linux 5.14 it stays with the first touch.
    pub(crate) fn populate(&self, bytes: Range<usize>) {
        let end = bytes.end.min(self.len);
        // In pieces: for each the kernel locks the address space, and every other thread that allocates waits.
        for start in (bytes.start..end).step_by(POPULATED_AT_ONCE) {
            let piece = POPULATED_AT_ONCE.min(end - start);
            // SAFETY: `start` + `piece` <= `len` of the mapping; populating does not change what the memory holds.
            let _ = unsafe {
                madvise(
                    self.base.as_ptr().add(start).cast(),
                    piece,
                    Advice::LinuxPopulateWrite,
                )
            };
        }
    }

    fn finish(base: *mut std::ffi::c_void, len: usize) -> Result<Self> {
        let base = NonNull::new(base.cast()).ok_or(Error::Size(len as u64))?;
        let mapping = Self { base, len };
        // Guest memory has no place in a core dump of the agent.
        // SAFETY: advice of this kind does not change what the memory holds.
        unsafe { madvise(mapping.base.as_ptr().cast(), len, Advice::LinuxDontDump) }
            .map_err(Error::io("madvise"))?;
        Ok(mapping)
    }

    /// Its size in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Copies bytes out.
    pub(crate) fn read(&self, offset: usize, out: &mut [u8]) -> Result<()> {
        let from = self.at(offset, out.len())?;
        // SAFETY: `at` checked the range; `out` is ours alone and thus does not overlap.
        unsafe { ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len()) };
        Ok(())
    }

    /// Copies bytes in.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        let to = self.at(offset, bytes.len())?;
        // SAFETY: `at` checked the range; no reference into the mapping exists, so `bytes` lies elsewhere.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    /// Fills with zero bytes.
    pub(crate) fn zero(&self, offset: usize, len: usize) -> Result<()> {
        let to = self.at(offset, len)?;
        // SAFETY: `at` checked the range.
        unsafe { ptr::write_bytes(to, 0, len) };
        Ok(())
    }

    /// Copies bytes to another mapping.
    pub(crate) fn copy_to(&self, offset: usize, target: &Mapping, at: usize, len: usize) -> Result<()> {
        let (from, to) = (self.at(offset, len)?, target.at(at, len)?);
        // SAFETY: `at` checked both ranges; `ptr::copy` allows them to overlap (a mapping copied onto itself).
        unsafe { ptr::copy(from, to, len) };
        Ok(())
    }

    fn at(&self, offset: usize, len: usize) -> Result<*mut u8> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(Error::OutOfRange {
                offset: offset as u64,
                len: len as u64,
                size: self.len as u64,
            });
        }
        // SAFETY: `offset` <= `len` of a live mapping, which no address space allows beyond isize::MAX.
        Ok(unsafe { self.base.as_ptr().add(offset) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: base and len are those of mmap, and nobody holds a reference into the mapping.
        // An error would mean that these are wrong, which nothing here can mend.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PAGE;

    impl Mapping {
        /// Pages that have memory.
        pub(crate) fn resident(&self) -> Vec<u64> {
            let mut flags = vec![0; self.len.div_ceil(PAGE)];
            // SAFETY: there is a flag for each page of the mapping.
            let outcome = unsafe { libc::mincore(self.base.as_ptr().cast(), self.len, flags.as_mut_ptr()) };
            assert_eq!(outcome, 0);
            (0..)
                .zip(flags)
                .filter(|(_, flag)| flag & 1 == 1)
                .map(|(index, _)| index)
                .collect()
        }
    }

    #[test]
    fn bytes_come_back_and_ranges_are_checked() {
        let memory = Mapping::private(8192).unwrap();
        memory.write(4095, b"ab").unwrap();
        let mut out = [0; 4];
        memory.read(4094, &mut out).unwrap();
        assert_eq!(&out, b"\0ab\0");
        memory.zero(4095, 1).unwrap();
        memory.read(4094, &mut out).unwrap();
        assert_eq!(&out, b"\0\0b\0");
        for (offset, len) in [(8190, 3), (8193, 0), (usize::MAX, 2), (0, 8193)] {
            assert!(matches!(memory.zero(offset, len), Err(Error::OutOfRange { .. })));
        }
    }

    #[test]
    fn copies_go_from_mapping_to_mapping() {
        let (a, b) = (Mapping::private(4096).unwrap(), Mapping::private(4096).unwrap());
        a.write(10, b"state").unwrap();
        a.copy_to(10, &b, 4091, 5).unwrap();
        let mut out = [0; 5];
        b.read(4091, &mut out).unwrap();
        assert_eq!(&out, b"state");
        assert!(a.copy_to(10, &b, 4092, 5).is_err());
    }
}
