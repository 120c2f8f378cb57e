//! What fjall did not like, in words.

use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::codec::Defect;
use super::dir;
use crate::ffi::disk::{self, Disk};

/// A disk is short of space with less than this of it free, a tenth ...
const SHORT_SHARE: u64 = 10;
/// ... and less than that in bytes: tables are not larger that are written or merged at a time.
const SHORT_BYTES: u64 = 4 << 30;

/// What fjall did not like.
pub(crate) struct Cause {
    /// In words, as the middle of a sentence.
    pub(crate) words: String,
    /// What the system said, if it was the system.
    error: Option<String>,
    /// A thread of fjall's has met something, which nobody is told.
    is_untold: bool,
    /// The files are not as they were written.
    pub(crate) is_damage: bool,
    /// The database was open already: its thread may have begun to tidy up.
    pub(crate) is_late: bool,
}

impl Cause {
    fn new(cause: &::fjall::Error) -> Self {
        use ::fjall::{Error, LsmError};
        let (words, is_damage) = match cause {
            Error::Io(error) | Error::Storage(LsmError::Io(error)) => (
                error.to_string(),
                matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof),
            ),
            Error::Storage(LsmError::ChecksumMismatch { .. }) => {
                ("a checksum does not match".to_owned(), true)
            }
            Error::Unrecoverable | Error::Storage(LsmError::Unrecoverable) => {
                ("files are missing or do not fit together".to_owned(), true)
            }
            Error::Poisoned => ("an earlier write failed".to_owned(), false),
            Error::Locked => ("another process has its database open".to_owned(), false),
            other => (format!("the database library says {other:?}"), true),
        };
        let error = match cause {
            Error::Io(error) | Error::Storage(LsmError::Io(error)) => Some(dir::explain(error)),
            _ => None,
        };
        Self {
            words,
            is_untold: matches!(cause, Error::Poisoned),
            error,
            is_damage,
            is_late: false,
        }
    }

    /// With what to do about it. `path` is that of the store.
    pub(crate) fn explained(&self, path: &Path) -> String {
        let other = || {
            if let Some(cause) = disk::of(path).filter(|_| self.is_untold).and_then(suspect) {
                return format!("{}, most likely with {cause}", self.words);
            }
            let cure = if self.is_damage {
                "check the disk and restore a backup"
            } else {
                "see what the log says before this, and remove the cause"
            };
            format!("{}; {cure}", self.words)
        };
        self.error.clone().unwrap_or_else(other)
    }

    /// The same, met when the database was open already.
    pub(crate) fn late(self) -> Self {
        Self {
            is_late: true,
            ..self
        }
    }

    /// Something that stands before every write.
    pub(crate) fn other(words: &str) -> Self {
        Self {
            is_damage: false,
            ..Self::damage(words)
        }
    }

    /// Files that are not as they were written.
    pub(crate) fn damage(words: &str) -> Self {
        Self {
            words: words.to_owned(),
            error: None,
            is_untold: false,
            is_damage: true,
            is_late: false,
        }
    }
}

/// What a disk is to blame for: fjall does not tell what its own threads meet.
fn suspect(disk: Disk) -> Option<String> {
    let code = if !disk.writable {
        libc::EROFS
    } else if disk.free < SHORT_BYTES && disk.free < disk.size / SHORT_SHARE {
        libc::ENOSPC
    } else {
        return None;
    };
    let error = dir::explain(&io::Error::from_raw_os_error(code));
    Some(format!(
        "\"{error}\" ({} MiB of {} are free)",
        disk.free >> 20,
        disk.size >> 20
    ))
}

impl From<Defect> for Cause {
    fn from(defect: Defect) -> Self {
        Self::damage(defect.0)
    }
}

/// Calls fjall. Its errors and panics become a [`Cause`].
pub(crate) fn guarded<T>(call: impl FnOnce() -> ::fjall::Result<T>) -> Result<T, Cause> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| Cause::new(&error)),
        Err(_) => Err(Cause::damage(
            "the database library met a condition that it does not handle",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_of_the_library_met_is_looked_for_on_the_disk() {
        assert!(Cause::new(&::fjall::Error::Poisoned).is_untold);
        assert!(!Cause::other("an earlier write failed").is_untold);
        let disk = |free, size| Disk {
            free,
            size,
            writable: true,
        };
        let told = suspect(disk(5 << 20, 100 << 20)).unwrap();
        assert!(
            told.contains("No space left") && told.contains("make space"),
            "{told}"
        );
        assert!(told.contains("(5 MiB of 100 are free)"), "{told}");
        assert_eq!(suspect(disk(20 << 20, 100 << 20)), None);
        assert_eq!(suspect(disk(SHORT_BYTES, u64::MAX)), None);
        let disk = Disk {
            writable: false,
            ..disk(20 << 20, 100 << 20)
        };
        assert!(suspect(disk).is_some_and(|told| told.contains("read-only")));
    }
}
