//! The agent's own view of a VM's RAM.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::fstat;
use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Result};
use crate::mapping::Mapping;
use crate::{PAGE, ZERO_PAGE};

/// Guest RAM: a shared mapping of the file behind QEMU's `memory-backend-file,share=on`. Clones are the same RAM.
///
/// The file must not shrink while it is mapped: touching what is gone kills the agent with SIGBUS.
#[derive(Clone)]
pub struct GuestRam {
    inner: Arc<Inner>,
}

struct Inner {
    file: OwnedFd,
    memory: Mapping,
}

/// What names the RAM file in `/proc/PID/maps`, where its path is of no use once it is unlinked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) inode: u64,
}

impl GuestRam {
    /// Maps `size` bytes (a multiple of 4096) of the RAM file. The descriptor is duplicated.
    ///
    /// # Errors
    /// When the size is no whole number of pages, the file is smaller, or the kernel refuses.
    pub fn new(fd: BorrowedFd<'_>, size: u64) -> Result<Self> {
        check_page_size()?;
        let len = usize::try_from(size).map_err(|_| Error::Size(size))?;
        if len == 0 || len % PAGE != 0 || isize::try_from(len).is_err() {
            return Err(Error::Size(size));
        }
        let file = fd
            .try_clone_to_owned()
            .map_err(Error::io("dup of the RAM file"))?;
        let have = u64::try_from(fstat(&file).map_err(Error::io("fstat of the RAM file"))?.st_size);
        match have {
            Ok(have) if have >= size => {}
            have => {
                return Err(Error::FileSize {
                    have: have.unwrap_or(0),
                    want: size,
                });
            }
        }
        let memory = Mapping::shared(file.as_fd(), len)?;
        Ok(Self {
            inner: Arc::new(Inner { file, memory }),
        })
    }

    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.memory().len() as u64
    }

    /// Size in pages of 4096 bytes.
    #[must_use]
    pub fn pages(&self) -> u64 {
        (self.memory().len() / PAGE) as u64
    }

    /// `st_blocks` of the RAM file, in 512 bytes; grows as pages are touched. A drop means that a hole was punched, which
    /// reads as zero but is not reported by trackers: everything must be copied again. Touching as many pages for the
    /// first time hides the drop.
    ///
    /// # Errors
    /// When fstat fails.
    pub fn blocks(&self) -> Result<u64> {
        let stat = fstat(&self.inner.file).map_err(Error::io("fstat of the RAM file"))?;
        Ok(u64::try_from(stat.st_blocks).unwrap_or(0))
    }

    /// xxh3-64 of all of it; of use when the VM is stopped. Untouched pages count as zeros and stay untouched.
    ///
    /// # Errors
    /// When the kernel does not tell which pages are used.
    pub fn hash(&self) -> Result<u64> {
        let used = self.used()?;
        let (mut hasher, mut page) = (Xxh3::new(), [0; PAGE]);
        for index in 0..self.pages() {
            if used.contains(index) {
                self.read_page(index, &mut page)?;
                hasher.update(&page);
            } else {
                hasher.update(&ZERO_PAGE);
            }
        }
        Ok(hasher.digest())
    }

    /// Copies page `index` out.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn read_page(&self, index: u64, out: &mut [u8; PAGE]) -> Result<()> {
        self.memory().read(page_offset(index)?, out)
    }

    /// Overwrites page `index`. Trackers of the VM's process do not see it.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn write_page(&self, index: u64, page: &[u8; PAGE]) -> Result<()> {
        self.memory().write(page_offset(index)?, page)
    }

    pub(crate) fn memory(&self) -> &Mapping {
        &self.inner.memory
    }

    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.inner.file.as_fd()
    }

    pub(crate) fn file_id(&self) -> Result<FileId> {
        let stat = fstat(&self.inner.file).map_err(Error::io("fstat of the RAM file"))?;
        Ok(FileId {
            major: rustix::fs::major(stat.st_dev),
            minor: rustix::fs::minor(stat.st_dev),
            inode: stat.st_ino,
        })
    }
}

/// First byte of a page.
pub(crate) fn page_offset(index: u64) -> Result<usize> {
    let offset = index
        .checked_mul(PAGE as u64)
        .and_then(|offset| usize::try_from(offset).ok());
    offset.ok_or(Error::OutOfRange {
        offset: index,
        len: PAGE as u64,
        size: 0,
    })
}

fn check_page_size() -> Result<()> {
    // SAFETY: sysconf only reads.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    if size == PAGE as i64 {
        Ok(())
    } else {
        Err(Error::PageSize(size))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, ftruncate, memfd_create};

    pub(crate) fn ram_file(pages: u64) -> OwnedFd {
        let file = memfd_create("ram", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, pages * PAGE as u64).unwrap();
        file
    }

    pub(crate) fn ram(pages: u64) -> GuestRam {
        GuestRam::new(ram_file(pages).as_fd(), pages * PAGE as u64).unwrap()
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let file = ram_file(2);
        for size in [0, 1, 4095, 3 * 4096, u64::MAX, u64::MAX - 4095] {
            assert!(GuestRam::new(file.as_fd(), size).is_err(), "{size}");
        }
        assert_eq!(GuestRam::new(file.as_fd(), 8192).unwrap().pages(), 2);
    }

    #[test]
    fn a_punched_hole_shows_in_the_blocks() {
        let file = ram_file(64);
        fallocate(&file, FallocateFlags::empty(), 0, 64 * 4096).unwrap();
        let ram = GuestRam::new(file.as_fd(), 64 * 4096).unwrap();
        assert_eq!(ram.blocks().unwrap(), 64 * 8);
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&file, hole, 4096, 2 * 4096).unwrap();
        assert_eq!(ram.blocks().unwrap(), 62 * 8);
    }

    #[test]
    fn pages_outside_are_errors() {
        let ram = ram(2);
        let mut page = [0; PAGE];
        for index in [2, u64::MAX, u64::MAX / 4096] {
            assert!(ram.read_page(index, &mut page).is_err());
            assert!(ram.write_page(index, &page).is_err());
        }
    }

    #[test]
    fn the_hash_tells_contents_apart() {
        let (a, b) = (ram(100), ram(100));
        assert_eq!(a.hash().unwrap(), b.hash().unwrap());
        a.write_page(99, &[1; PAGE]).unwrap();
        assert_ne!(a.hash().unwrap(), b.hash().unwrap());
    }
}
