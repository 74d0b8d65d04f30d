//! userfaultfd in asynchronous write-protect mode, and PAGEMAP_SCAN: the two halves of seeing a page written.
//!
//! Kernel documents: `admin-guide/mm/userfaultfd.rst`, `admin-guide/mm/pagemap.rst`; Linux >= 6.7.
//! These ioctls act on the address space of the process that created the userfaultfd, whoever calls them.

use std::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use crate::error::{Error, Result};

const UFFD_API: u64 = 0xAA;
const UFFDIO_API: u64 = iowr(0xAA, 0x3F, size_of::<Api>());
const UFFDIO_REGISTER: u64 = iowr(0xAA, 0x00, size_of::<Register>());
const UFFDIO_WRITEPROTECT: u64 = iowr(0xAA, 0x06, size_of::<WriteProtect>());
const PAGEMAP_SCAN: u64 = iowr(b'f' as u64, 16, size_of::<Scan>());

/// `PAGEFAULT_FLAG_WP`, `WP_HUGETLBFS_SHMEM`, `WP_UNPOPULATED`, `WP_ASYNC`.
const FEATURES: u64 = (1 << 0) | (1 << 12) | (1 << 13) | (1 << 15);
const REGISTER_MODE_WP: u64 = 1 << 1;
const WRITEPROTECT_MODE_WP: u64 = 1 << 0;

const PM_SCAN_WP_MATCHING: u64 = 1 << 0;
const PM_SCAN_CHECK_WPASYNC: u64 = 1 << 1;
const PAGE_IS_WRITTEN: u64 = 1 << 1;

const fn iowr(kind: u64, number: u64, size: usize) -> u64 {
    (3 << 30) | ((size as u64) << 16) | (kind << 8) | number
}

#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct Register {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

#[repr(C)]
struct WriteProtect {
    start: u64,
    len: u64,
    mode: u64,
}

/// `struct pm_scan_arg`.
#[repr(C)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region`: addresses in the scanned process.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Region {
    pub(crate) start: u64,
    pub(crate) end: u64,
    categories: u64,
}

/// Whether a scan protects what it reports, in one step that no write can fall through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protect {
    Yes,
    No,
}

/// Asks for the features that tracking needs. A descriptor that had its handshake answers EINVAL, as does a kernel
/// without the features: only a scan tells them apart.
pub(crate) fn handshake(uffd: BorrowedFd<'_>) -> Result<()> {
    let mut api = Api {
        api: UFFD_API,
        features: FEATURES,
        ioctls: 0,
    };
    match ioctl(uffd, UFFDIO_API, &raw mut api) {
        Ok(_) | Err(Errno::INVAL) => Ok(()),
        Err(errno) => Err(Error::io("UFFDIO_API")(errno)),
    }
}

/// Registers a range of the creator's address space for write-protection.
pub(crate) fn register(uffd: BorrowedFd<'_>, start: u64, len: u64) -> Result<()> {
    let mut register = Register {
        start,
        len,
        mode: REGISTER_MODE_WP,
        ioctls: 0,
    };
    match ioctl(uffd, UFFDIO_REGISTER, &raw mut register) {
        Ok(_) => Ok(()),
        // What the kernel says when the creator's address space is no more.
        Err(Errno::NOMEM | Errno::SRCH) => Err(Error::Tracker {
            kind: "pagemap-scan",
            why: "the program that handed over the userfaultfd has ended or run another one in its place \
                  (is the VM's binary a wrapper script?)",
        }),
        Err(errno) => Err(Error::io("UFFDIO_REGISTER")(errno)),
    }
}

/// Protects a registered range: nothing in it counts as written any more.
pub(crate) fn protect(uffd: BorrowedFd<'_>, start: u64, len: u64) -> Result<()> {
    let mut range = WriteProtect {
        start,
        len,
        mode: WRITEPROTECT_MODE_WP,
    };
    ioctl(uffd, UFFDIO_WRITEPROTECT, &raw mut range).map_err(Error::io("UFFDIO_WRITEPROTECT"))?;
    Ok(())
}

/// Fills `regions` with ranges of `start..end` that were written; returns how many, and the address up to which the
/// walk came.
///
/// The masks must be exactly these: every other combination takes a path through the kernel that can lose pages (6.12).
pub(crate) fn scan(
    pagemap: BorrowedFd<'_>,
    start: u64,
    end: u64,
    protect: Protect,
    regions: &mut [Region],
) -> Result<(usize, u64)> {
    let protecting = if protect == Protect::Yes {
        PM_SCAN_WP_MATCHING
    } else {
        0
    };
    let mut scan = Scan {
        size: size_of::<Scan>() as u64,
        flags: PM_SCAN_CHECK_WPASYNC | protecting,
        start,
        end,
        walk_end: 0,
        vec: regions.as_mut_ptr() as u64,
        vec_len: regions.len() as u64,
        max_pages: 0,
        category_inverted: 0,
        category_mask: PAGE_IS_WRITTEN,
        category_anyof_mask: 0,
        return_mask: PAGE_IS_WRITTEN,
    };
    match ioctl(pagemap, PAGEMAP_SCAN, &raw mut scan) {
        Ok(found) if scan.walk_end > start => Ok((found, scan.walk_end)),
        Ok(_) => Err(Error::TrackingLost("PAGEMAP_SCAN stands still".into())),
        Err(Errno::PERM) => Err(Error::TrackingLost(
            "the VM's RAM is not, or no longer, write-protected asynchronously".into(),
        )),
        Err(Errno::SRCH) => Err(Error::TrackingLost("the VM's process has ended".into())),
        Err(errno) => Err(Error::io("PAGEMAP_SCAN")(errno)),
    }
}

fn ioctl<T>(fd: BorrowedFd<'_>, request: u64, argument: *mut T) -> rustix::io::Result<usize> {
    // SAFETY: each request above is called with the structure that its number and size name, alive for the call;
    // PAGEMAP_SCAN writes at most `vec_len` regions to `vec`, both taken from one exclusively borrowed slice.
    let result: c_int = unsafe { libc::ioctl(fd.as_raw_fd(), request as _, argument.cast::<c_void>()) };
    match usize::try_from(result) {
        Ok(result) => Ok(result),
        Err(_) => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}
