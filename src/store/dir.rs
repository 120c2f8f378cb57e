//! The directory of a store: is it ours, may we use it, which format is it. Knows the two files
//! that are ours (`STORE`, `LOCK`), nothing of the database library.
//!
//! Rule: a directory that cannot be used is left as it was, byte for byte.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::cause::Cause;
use super::codec::{FORMAT_VERSION, SEALED_VERSION, Seal};
use super::journal::Closed;
use super::{StoreError, plain};

/// Says what the directory is: see [`Marker`].
pub(super) const MARKER: &str = "STORE";
/// The next marker, before it is renamed.
pub(super) const MARKER_NEXT: &str = "STORE.next";
/// Locked while a process uses the store. Holds a note: its pid, or how it left.
pub(super) const LOCK: &str = "LOCK";
/// Longer than any note.
const NOTE_BYTES_MAX: u64 = 256;
/// Folder of the database library.
pub(super) const DATABASE: &str = "db";
/// First line of the marker.
const TITLE: &str = "checkpoint-engine store";

/// What the marker file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marker {
    /// There is none: the directory was never used.
    Absent,
    /// A process died while it created the store. Nothing was ever committed.
    Creating,
    /// A store of this format version, and its secret if batches of that version are sealed.
    Ready(u32, Option<Seal>),
}

/// A directory that this process holds the lock of. Dropping it releases the lock.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    marker: Marker,
    lock: File,
    closed: Option<Closed>,
}

impl Home {
    /// Takes the directory: creates it when it is missing, refuses what is not a store, locks.
    ///
    /// # Errors
    /// With a sentence for the operator. Nothing was changed then.
    pub(crate) fn enter(path: &Path) -> Result<Self, StoreError> {
        create_directory(path)?;
        refuse_foreign(path)?;
        plain::refuse_others(path)?;
        read_marker(path)?;
        let mut lock = take_lock(path)?;
        let mut note = String::new();
        // Whatever is not a note of ours says nothing.
        if (&mut lock)
            .take(NOTE_BYTES_MAX)
            .read_to_string(&mut note)
            .is_err()
        {
            note.clear();
        }
        if let Some(cause) = note.trim().strip_prefix("damaged ") {
            return Err(damaged(
                path,
                &format!("an earlier start found that {cause}"),
            ));
        }
        // Again: another process may have finished with it meanwhile.
        let marker = read_marker(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            marker,
            lock,
            closed: parse_closed(&note),
        })
    }

    /// The format version of the store, if there is a complete one already.
    pub(crate) fn version(&self) -> Option<u32> {
        match self.marker {
            Marker::Ready(version, _) => Some(version),
            Marker::Absent | Marker::Creating => None,
        }
    }

    /// The secret that seals its batches; none yet in a store of an earlier version.
    pub(crate) fn seal(&self) -> Option<Seal> {
        match self.marker {
            Marker::Ready(_, seal) => seal,
            Marker::Absent | Marker::Creating => None,
        }
    }

    /// How the last process that used the store left it, if in order.
    pub(crate) fn closed(&self) -> Option<Closed> {
        self.closed
    }

    /// Folder of the database library.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Prepares for creating the database: from now on a crash leaves a directory that is known to
    /// be unfinished, and what an earlier crash left is removed.
    pub(crate) fn begin_create(&mut self) -> Result<(), StoreError> {
        // Whoever made the directory: a start that failed since, or the operator.
        sync_name(&self.path).map_err(|error| unusable(&self.path, "create", &explain(&error)))?;
        self.write_marker("creating")?;
        self.marker = Marker::Creating;
        match fs::remove_dir_all(self.database()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(unusable(&self.path, "clear", &explain(&error)));
            }
            _ => {}
        }
        // The library would make it, and what is in it, as the umask of the host says.
        DirBuilder::new()
            .mode(0o700)
            .create(self.database())
            .map_err(|error| unusable(&self.path, "write to", &explain(&error)))
    }

    /// Declares the store to be one of the current format: a new one that is complete, or an older
    /// one that is about to be upgraded and is closed to older programs from now on. Its batches
    /// are sealed with `seal`.
    pub(crate) fn declare(&mut self, seal: Seal) -> Result<(), StoreError> {
        self.write_marker(&format!("format {FORMAT_VERSION}\nseal {}", seal.text()))?;
        self.marker = Marker::Ready(FORMAT_VERSION, Some(seal));
        Ok(())
    }

    /// Leaves this process's id in the lock file, for the message that another one prints. It is on
    /// the disk before anything else is written: what the last process left there, that it closed
    /// the store in order, must not come back when power is lost.
    pub(crate) fn sign(&mut self) -> Result<(), StoreError> {
        self.note(&format!("process {}", std::process::id()))
            // And what was found is: a process may have been killed before it had synced that.
            .and_then(|()| sync_folder(&self.path))
            .map_err(|error| unusable(&self.path, "write to", &explain(&error)))
    }

    /// Leaves instead how the store was left. When that fails it looks as after a crash, no worse.
    pub(crate) fn sign_off(&mut self, closed: Closed) {
        if self
            .note(&format!("closed {} {}", closed.last, closed.bytes))
            .is_err()
        {
            let _ = self.lock.set_len(0).and_then(|()| self.lock.sync_all());
        }
    }

    /// The error for a database that could not be opened.
    pub(crate) fn refuse(&mut self, cause: &Cause, is_late: bool) -> StoreError {
        if !cause.is_damage {
            return unusable(&self.path, "open files in", &cause.explained(&self.path));
        }
        let words = &cause.words;
        // What was found late may not be found again: the next start has to know. Were it not
        // for that, nothing would have been changed.
        if is_late && self.note(&format!("damaged {words}")).is_err() {
            return unusable(&self.path, "write to", words);
        }
        damaged(&self.path, words)
    }

    fn note(&mut self, text: &str) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.rewind()?;
        // With its end in one piece: without it a note says nothing.
        self.lock.write_all(format!("{text}\n").as_bytes())?;
        self.lock.sync_all()
    }

    fn write_marker(&self, status: &str) -> Result<(), StoreError> {
        let next = self.path.join(MARKER_NEXT);
        (|| {
            plain::remove_if_there(&next)?;
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&next)?;
            write!(file, "{TITLE}\n{status}\n")?;
            file.sync_all()?;
            fs::rename(&next, self.path.join(MARKER))?;
            sync_folder(&self.path)
        })()
        .map_err(|error| unusable(&self.path, "write to", &explain(&error)))
    }
}

/// A refusal because of damage, in the words that every such refusal uses.
pub(crate) fn damaged(path: &Path, cause: &str) -> StoreError {
    StoreError::new(format!(
        "the store at {} is damaged: {cause}; nothing was overwritten; restore a backup or move \
         the directory away",
        path.display()
    ))
}

/// A failure of the system that has nothing to do with the contents.
pub(crate) fn unusable(path: &Path, verb: &str, cause: &str) -> StoreError {
    StoreError::new(format!(
        "cannot {verb} the store directory {}: {cause}",
        path.display()
    ))
}

/// What the system said, and what to do about it.
pub(crate) fn explain(error: &io::Error) -> String {
    format!("{error}; {}", cure(error))
}

/// The number of an error of the system. fjall makes files with a library (tempfile) that wraps it
/// with their paths, so that only the words have it.
fn number(error: &io::Error) -> Option<i32> {
    error.raw_os_error().or_else(|| {
        let words = error.to_string();
        let (_, rest) = words.split_once("(os error ")?;
        rest.split_once(')')?.0.parse().ok()
    })
}

/// What to do about an error of the system.
fn cure(error: &io::Error) -> &'static str {
    match number(error) {
        Some(libc::EMFILE) => {
            "this process has too many files open: raise its limit (ulimit -n, LimitNOFILE)"
        }
        Some(libc::ENFILE) => "the system has too many files open: raise fs.file-max",
        Some(libc::EACCES | libc::EPERM) => {
            "give the user of this process the right to read and write it and what is in it"
        }
        Some(libc::ENOSPC) => "make space on its disk",
        Some(libc::EDQUOT) => "raise the disk quota of the user of this process, or make space",
        Some(libc::EFBIG) => "raise the limit of file sizes of this process (ulimit -f)",
        Some(libc::EROFS) => {
            "its file system is read-only: mount it for writing, or give another path"
        }
        Some(libc::ENOTDIR) => "a part of the path is a file: correct the path",
        Some(libc::ENOENT) => "create what is missing, or correct the path",
        Some(libc::ELOOP | libc::ENAMETOOLONG) => "correct the path",
        Some(libc::ENOMEM) => "the system is short of memory: free some",
        Some(libc::ENOLCK | libc::ENOSYS | libc::EOPNOTSUPP) => {
            "its file system lacks what a store needs: use a local one"
        }
        Some(libc::EIO) => "its disk fails: see the system's log, and restore a backup if need be",
        _ => "check the path, its owner and its disk",
    }
}

fn create_directory(path: &Path) -> Result<(), StoreError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(StoreError::new(format!(
            "{} is not a directory; give the path of a directory for the store",
            path.display()
        ))),
        Err(error) if error.kind() == ErrorKind::NotFound => DirBuilder::new()
            .mode(0o700)
            .create(path)
            .map_err(|error| match (error.kind(), path.parent()) {
                // A file system that is not mounted: what is below it would fill another disk.
                (ErrorKind::NotFound, Some(parent)) => StoreError::new(format!(
                    "cannot create the store directory {}: {} does not exist; create that \
                     directory, mount its file system, or correct the path",
                    path.display(),
                    parent.display()
                )),
                _ => unusable(path, "create", &explain(&error)),
            }),
        Err(error) => Err(unusable(path, "open", &explain(&error))),
    }
}

/// Has the name of a directory on the disk: the whole store hangs on it.
fn sync_name(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    match sync_folder(parent.unwrap_or(Path::new("."))) {
        // It may not be read, or its file system keeps names without being told.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::InvalidInput
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

/// Has the names in a folder on the disk.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Refuses a directory that holds files of others and no marker of ours.
fn refuse_foreign(path: &Path) -> Result<(), StoreError> {
    let entries = fs::read_dir(path).map_err(|error| unusable(path, "read", &explain(&error)))?;
    let mut ours = false;
    let mut foreign = None;
    for entry in entries {
        let entry = entry.map_err(|error| unusable(path, "read", &explain(&error)))?;
        let name = entry.file_name();
        if name == OsStr::new(MARKER) {
            ours = true;
        } else if ![LOCK, MARKER_NEXT, "lost+found"]
            .map(OsStr::new)
            .contains(&name.as_os_str())
        {
            foreign = Some(name);
        }
    }
    match foreign {
        Some(name) if !ours => Err(StoreError::new(format!(
            "{} is not a checkpoint-engine store: it holds {} and no {MARKER} file; nothing was \
             changed; give an empty directory",
            path.display(),
            Path::new(&name).display()
        ))),
        _ => Ok(()),
    }
}

fn read_marker(path: &Path) -> Result<Marker, StoreError> {
    let mut text = String::new();
    let read = File::open(path.join(MARKER)).and_then(|file| {
        // A marker is three dozen bytes; whatever is longer is not one.
        file.take(256).read_to_string(&mut text)
    });
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Marker::Absent),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Err(damaged(path, "its STORE file holds no text"));
        }
        Err(error) => return Err(unusable(path, "read", &explain(&error))),
    }
    let mut lines = text.lines();
    let title = lines.next();
    let status = lines.next().unwrap_or_default();
    if title != Some(TITLE) {
        return Err(damaged(
            path,
            "its STORE file does not name a checkpoint-engine store",
        ));
    }
    if status == "creating" {
        return Ok(Marker::Creating);
    }
    match status
        .strip_prefix("format ")
        .and_then(|version| version.parse().ok())
    {
        Some(version) if version > FORMAT_VERSION => Err(newer(path, version)),
        Some(version @ 1..SEALED_VERSION) => Ok(Marker::Ready(version, None)),
        Some(version) if version > 0 => lines
            .next()
            .and_then(|line| Seal::parse(line.strip_prefix("seal ")?))
            .map(|seal| Marker::Ready(version, Some(seal)))
            .ok_or_else(|| damaged(path, "its STORE file names no seal")),
        _ => Err(damaged(path, "its STORE file names no format version")),
    }
}

/// A refusal because a later program wrote the store.
pub(crate) fn newer(path: &Path, version: u32) -> StoreError {
    StoreError::new(format!(
        "the store at {} has format version {version}, and this engine knows versions up to \
         {FORMAT_VERSION}; nothing was changed; use the newer engine or another directory",
        path.display()
    ))
}

fn parse_closed(note: &str) -> Option<Closed> {
    let note = note.strip_suffix('\n')?;
    let (last, bytes) = note.strip_prefix("closed ")?.split_once(' ')?;
    Some(Closed {
        last: last.parse().ok()?,
        bytes: bytes.parse().ok()?,
    })
}

fn take_lock(path: &Path) -> Result<File, StoreError> {
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path.join(LOCK))
        .map_err(|error| unusable(path, "lock", &explain(&error)))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::Error(error)) => Err(unusable(path, "lock", &explain(&error))),
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let holder = match (&mut lock).take(NOTE_BYTES_MAX).read_to_string(&mut holder) {
                Ok(_) if holder.starts_with("process ") => holder.trim().to_owned(),
                _ => "another process".to_owned(),
            };
            Err(StoreError::new(format!(
                "the store at {} is in use by {holder}; stop it or give another directory",
                path.display()
            )))
        }
    }
}
