//! Room on the file system of a directory.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// What a directory's file system says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Bytes that this process may still write.
    pub(crate) free: u64,
    /// Bytes that it holds in all.
    pub(crate) size: u64,
    /// Whether it may write at all.
    pub(crate) writable: bool,
}

/// Asks the file system; `None` if it does not say. Reads no block of the disk.
pub(crate) fn of(directory: &Path) -> Option<Disk> {
    let path = CString::new(directory.as_os_str().as_bytes()).ok()?;
    let mut found = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a NUL; the structure is of the call's own type.
    if unsafe { libc::statvfs(path.as_ptr(), found.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call has returned 0, and so has written all of it.
    let found = unsafe { found.assume_init() };
    // SAFETY: the path ends with a NUL; nothing is written.
    let writable = unsafe { libc::access(path.as_ptr(), libc::W_OK) } == 0;
    Some(Disk {
        free: found.f_bavail.saturating_mul(found.f_frsize),
        size: found.f_blocks.saturating_mul(found.f_frsize),
        writable: writable && found.f_flag & libc::ST_RDONLY == 0,
    })
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_room_and_none_has_none() {
        let disk = of(&std::env::temp_dir()).unwrap();
        assert!(disk.writable && disk.free > 0);
        assert_eq!(of(Path::new("/does/not/exist")), None);
        assert_eq!(of(Path::new("with\0nul")), None);
        assert_eq!(of(Path::new("/proc")).map(|disk| disk.free), Some(0));
    }
}
