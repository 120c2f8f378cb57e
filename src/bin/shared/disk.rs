//! Files that do not take what is written, and why.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::flag;

/// From now on a limit of file sizes (`ulimit -f`) is an error of the write that meets it. By
/// default the system ends the process then.
///
/// # Errors
/// The system does not give what it takes.
pub(crate) fn survive_file_limit() -> io::Result<()> {
    let noted = Arc::new(AtomicBool::new(false));
    flag::register(libc::SIGXFSZ, noted).map(drop)
}

/// Which file, what is wrong with it, and what to do.
pub(crate) fn failed(path: &Path, error: &io::Error) -> String {
    let cure = match error.kind() {
        ErrorKind::FileTooLarge => "raise the limit of file sizes of this process (ulimit -f)",
        ErrorKind::StorageFull => "make room there, or give a name on another disk",
        ErrorKind::QuotaExceeded => "raise the quota, or give a name on another disk",
        ErrorKind::ReadOnlyFilesystem => "give a name on another disk",
        _ => return format!("{}: {error}", path.display()),
    };
    format!("{}: {error}; {cure}", path.display())
}
