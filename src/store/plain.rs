//! What lies in a store's directory has to be plain files and folders: a link would have us write
//! where somebody else wants it, and a fifo or a device would never end. And who else may read or
//! change them.

use std::fs::{self, DirEntry, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::StoreError;
use super::dir::{DATABASE, LOCK, MARKER, MARKER_NEXT, explain, unusable};

/// Folders in folders: the database library makes three of them.
const DEPTH_MAX: usize = 8;

/// Refuses a directory in which one of the names that a store has is something else.
///
/// # Errors
/// With the name. Nothing was opened.
pub(super) fn refuse_others(path: &Path) -> Result<(), StoreError> {
    let failed = |error: io::Error| unusable(path, "read", &explain(&error));
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let is_file = [MARKER, MARKER_NEXT, LOCK].iter().any(|own| name == *own);
        if is_file && !entry.file_type().map_err(failed)?.is_file() {
            return Err(special(&entry));
        }
        if name == DATABASE {
            if !entry.file_type().map_err(failed)?.is_dir() {
                return Err(special(&entry));
            }
            refuse_in_folder(&entry.path(), DEPTH_MAX).map_err(failed)??;
        }
    }
    Ok(())
}

fn refuse_in_folder(folder: &Path, depth: usize) -> io::Result<Result<(), StoreError>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && depth > 0 {
            if let Err(refused) = refuse_in_folder(&entry.path(), depth - 1)? {
                return Ok(Err(refused));
            }
        } else if !kind.is_file() {
            return Ok(Err(special(&entry)));
        }
    }
    Ok(Ok(()))
}

fn special(entry: &DirEntry) -> StoreError {
    StoreError::new(format!(
        "{} is a link, a fifo or a device and no plain file or folder of a store; nothing was \
         opened; find out who has put it there, and remove it or give another directory",
        entry.path().display()
    ))
}

/// A sentence for the operator if users besides that of this process (and root) may read or change
/// a store.
pub(crate) fn exposed(path: &Path) -> Option<String> {
    // Its owner is the effective user.
    let own = fs::metadata("/proc/self").ok()?.uid();
    let directory = fs::metadata(path).ok()?;
    let others = [own, 0].iter().all(|user| *user != directory.uid());
    let database = fs::metadata(path.join(DATABASE)).ok();
    let mode = |metadata: &Metadata| metadata.permissions().mode() & 0o777;
    let what = if others {
        format!("belongs to user {}", directory.uid())
    } else if mode(&directory) & 0o022 != 0 {
        format!("has mode {:03o}", mode(&directory))
    } else {
        let reached = mode(&directory) & 0o011 != 0;
        let open = database.filter(|folder| reached && mode(folder) & 0o077 != 0)?;
        format!("holds the folder {DATABASE} with mode {:03o}", mode(&open))
    };
    Some(format!(
        "the store directory {} {what}: other users can read or change what is in it; give it to \
         the user of this process with mode 700",
        path.display()
    ))
}

/// Makes room for a file that is written anew: what has its name is not written through.
///
/// # Errors
/// Of the system.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
