//! Writing a backup: under a name of its own until it is whole and on the disk.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{BufWriter, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::block::{self, BLOCK_BYTES, Kind, MAGIC, Place, VERSION};
use crate::disk;
use crate::record::Record;

/// Only its owner reads a backup.
const MODE: u32 = 0o600;

/// What a backup is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Begin {
    /// Tells it from all others.
    pub(crate) id: [u8; 16],
    /// The one that it goes on from; zeros for a full one.
    pub(crate) base: [u8; 16],
    /// When it was begun, Unix seconds.
    pub(crate) created: u64,
    /// The node, as it was named.
    pub(crate) node: String,
    /// The name under which the node keeps what the next one needs; empty if it does not.
    pub(crate) place: String,
}

/// Of which moment it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Each vbucket has one of its own, between begin and end.
    #[default]
    EachItsOwn = 0,
    /// All have that of START: an online update was open all the time.
    BeforeWindow = 1,
}

/// One vbucket of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// It has the whole state, and needs no older backup.
    pub(crate) whole: bool,
    /// The checkpoint that the next one goes on from; 0 if it cannot.
    pub(crate) next: u64,
}

/// What it held in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) moment: Moment,
    /// Records of values.
    pub(crate) values: u64,
    /// Records of deletions.
    pub(crate) deletions: u64,
    pub(crate) vbuckets: BTreeMap<u16, Standing>,
}

impl Begin {
    pub(crate) fn is_full(&self) -> bool {
        self.base == [0; 16]
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = [self.id, self.base].concat();
        bytes.extend(self.created.to_be_bytes());
        for text in [&self.node, &self.place] {
            let text = text.as_bytes();
            let text = text.get(..usize::from(u16::MAX)).unwrap_or(text);
            bytes.extend(u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
            bytes.extend(text);
        }
        bytes
    }

    /// What the checksums of the other blocks are seeded with.
    pub(crate) fn seed(&self) -> u64 {
        self.id
            .first_chunk()
            .map_or(0, |id| u64::from_be_bytes(*id))
    }
}

impl End {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.moment as u8];
        bytes.extend(self.values.to_be_bytes());
        bytes.extend(self.deletions.to_be_bytes());
        for (vbucket, standing) in &self.vbuckets {
            bytes.extend(vbucket.to_be_bytes());
            bytes.push(u8::from(standing.whole));
            bytes.extend(standing.next.to_be_bytes());
        }
        bytes
    }
}

/// What the system does for a backup that is whole.
#[derive(Clone, Copy, Debug)]
struct System {
    /// Gives a file another name, unless there is one of that name.
    rename: fn(&Path, &Path) -> rustix::io::Result<()>,
    /// Gives it that name besides its own, likewise.
    link: fn(&Path, &Path) -> std::io::Result<()>,
    /// Brings the names in a folder to the disk.
    sync_names: fn(&Path) -> std::io::Result<()>,
}

const SYSTEM: System = System {
    rename: |from, to| renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE),
    link: |from, to| fs::hard_link(from, to),
    sync_names: |folder| File::open(folder)?.sync_all(),
};

/// A backup that is whole and has its name.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) end: End,
    pub(crate) bytes: u64,
    /// Why its name may not outlive a loss of power.
    pub(crate) doubt: Option<String>,
}

/// Why there is no backup of that name.
#[derive(Debug)]
pub(crate) struct Unnamed {
    pub(crate) text: String,
    /// All of it is on the disk, under another name.
    pub(crate) whole: bool,
}

impl From<String> for Unnamed {
    fn from(text: String) -> Self {
        Self { text, whole: false }
    }
}

/// A backup that is being written. Gone again when it is dropped before its end.
#[derive(Debug)]
pub(crate) struct Writer {
    system: System,
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
    place: Place,
    records: Vec<u8>,
    end: End,
    bytes: u64,
    /// It is whole.
    stays: bool,
}

/// Opens what is to become a backup; what a run that was killed has left is written over.
fn open(partial: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        // No link that somebody else has put there.
        .custom_flags(libc::O_NOFOLLOW)
        .open(partial)
}

/// Makes it ours alone. Who had it until now may have ended it meanwhile: then it is a backup by
/// now, or removed.
fn claim(file: File, partial: &Path) -> Result<File, String> {
    let other = || format!("{}: another backup writes it", partial.display());
    file.try_lock().map_err(|_| other())?;
    let named = partial.symlink_metadata().map(|it| identity(&it));
    let ours = file.metadata().map(|it| identity(&it));
    match (named, ours) {
        (Ok(named), Ok(ours)) if named == ours => Ok(file),
        _ => Err(other()),
    }
}

/// A file that becomes a backup, and is nothing else.
fn take(partial: &Path) -> Result<File, String> {
    let failed = |error: std::io::Error| disk::failed(partial, &error);
    loop {
        let file = claim(open(partial).map_err(failed)?, partial)?;
        if file.metadata().map_err(failed)?.nlink() == 1 {
            return Ok(file);
        }
        // A run that was killed between the two steps of giving it its name has left a whole backup
        // under both: not to be written over under the other one.
        fs::remove_file(partial).map_err(failed)?;
    }
}

/// Which file it is.
fn identity(it: &Metadata) -> (u64, u64) {
    (it.dev(), it.ino())
}

impl Writer {
    /// Begins one.
    ///
    /// # Errors
    /// Says which file cannot be written and why.
    pub(crate) fn new(path: &Path, begin: &Begin) -> Result<Self, String> {
        if path.symlink_metadata().is_ok() {
            return Err(format!(
                "{} is there already: give another name, or remove it",
                path.display()
            ));
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let failed = |error: std::io::Error| disk::failed(&partial, &error);
        let file = take(&partial)?;
        file.set_len(0).map_err(failed)?;
        file.set_permissions(Permissions::from_mode(MODE))
            .map_err(failed)?;
        let mut writer = Self {
            system: SYSTEM,
            path: path.to_owned(),
            partial,
            file: BufWriter::new(file),
            place: Place::default(),
            records: Vec::new(),
            end: End::default(),
            bytes: 0,
            stays: false,
        };
        writer.write(&[&MAGIC[..], &VERSION.to_be_bytes()].concat())?;
        writer.block(Kind::Begin, &begin.encode())?;
        writer.place.seed = begin.seed();
        Ok(writer)
    }

    /// Adds a record.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(crate) fn put(&mut self, record: &Record<'_>) -> Result<(), String> {
        match record {
            Record::Whole { .. } => {}
            Record::Value { .. } => self.end.values += 1,
            Record::Deleted { .. } => self.end.deletions += 1,
        }
        record.encode(&mut self.records);
        if self.records.len() >= BLOCK_BYTES {
            self.write_records()?;
        }
        Ok(())
    }

    /// Values and deletions so far, and bytes.
    pub(crate) const fn written(&self) -> (u64, u64, u64) {
        (self.end.values, self.end.deletions, self.bytes)
    }

    /// Ends it: it is on the disk, under its name.
    ///
    /// # Errors
    /// The disk does not take it, or there is something of that name.
    pub(crate) fn finish(
        mut self,
        moment: Moment,
        vbuckets: BTreeMap<u16, Standing>,
    ) -> Result<Finished, Unnamed> {
        self.write_records()?;
        let end = End {
            moment,
            vbuckets,
            ..std::mem::take(&mut self.end)
        };
        self.block(Kind::End, &end.encode())?;
        let name = self.path.clone();
        let failed = |error: std::io::Error| disk::failed(&name, &error);
        // It stays locked until it has its name, or is removed.
        self.file.flush().map_err(failed)?;
        self.file.get_ref().sync_all().map_err(failed)?;
        self.give_name()?;
        self.stays = true;
        // The name, too, is to survive a power failure.
        let folder = self.path.parent().filter(|it| !it.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let synced = (self.system.sync_names)(folder);
        Ok(Finished {
            end,
            bytes: self.bytes,
            doubt: synced.err().map(|error| disk::failed(folder, &error)),
        })
    }

    /// What has come under its name meanwhile is not ours to replace.
    fn give_name(&mut self) -> Result<(), Unnamed> {
        let (from, to) = (&self.partial, &self.path);
        let failed = |error: std::io::Error| disk::failed(to, &error);
        match (self.system.rename)(from, to) {
            // Not of this kind, says the file system (NFS), or the kernel.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            renamed => return renamed.map_err(|error| failed(error.into()).into()),
        }
        match (self.system.link)(from, to) {
            Ok(()) => {}
            // A request whose answer was lost is sent again (NFS), and then meets its own file.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if !self.has_name() {
                    return Err(failed(error).into());
                }
            }
            Err(error) => {
                self.stays = true;
                let text = format!(
                    "{}; the backup is whole, and is {}: give it another name before the next one",
                    failed(error),
                    from.display()
                );
                return Err(Unnamed { text, whole: true });
            }
        }
        // It is there under both names: nothing is lost where this fails, and the next run removes
        // the one that is left over.
        let _ = fs::remove_file(from);
        Ok(())
    }

    /// Whether what has its name is the file that is written.
    fn has_name(&self) -> bool {
        let named = self.path.symlink_metadata().map(|it| identity(&it));
        let ours = self.file.get_ref().metadata().map(|it| identity(&it));
        matches!((named, ours), (Ok(named), Ok(ours)) if named == ours)
    }

    fn write_records(&mut self) -> Result<(), String> {
        if self.records.is_empty() {
            return Ok(());
        }
        let records = std::mem::take(&mut self.records);
        self.block(Kind::Records, &records)?;
        self.records = records;
        self.records.clear();
        Ok(())
    }

    fn block(&mut self, kind: Kind, plain: &[u8]) -> Result<(), String> {
        let bytes = block::encode(kind, self.place, plain);
        self.place.number += 1;
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = self.file.write_all(bytes);
        written.map_err(|error| disk::failed(&self.partial, &error))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.stays {
            // While it is locked, so that it is nobody else's. That it stays behind harms nobody:
            // the next run writes over it.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(path: &Path) -> Result<Writer, String> {
        Writer::new(path, &Begin::default())
    }

    /// Another run has opened what the first one writes, and gets to lock it when that one is
    /// through: with its backup, or without.
    #[test]
    fn a_file_of_another_run_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let (path, partial) = (folder.path().join("b"), folder.path().join("b.partial"));
        let first = begun(&path).unwrap();
        let late = open(&partial).unwrap();
        assert!(begun(&path).unwrap_err().contains("another backup"));
        first.finish(Moment::default(), BTreeMap::new()).unwrap();
        let whole = fs::read(&path).unwrap();
        assert!(claim(late, &partial).is_err());
        assert!(begun(&path).unwrap_err().contains("already"));
        assert_eq!(fs::read(&path).unwrap(), whole);

        let path = folder.path().join("c");
        let partial = folder.path().join("c.partial");
        let first = begun(&path).unwrap();
        let late = open(&partial).unwrap();
        drop(first);
        assert!(!partial.exists());
        assert!(claim(late, &partial).is_err());
        // What a run that was killed has left is taken.
        fs::write(&partial, "left").unwrap();
        begun(&path).unwrap();
    }

    /// Until a file that gets no name is removed, it is locked.
    #[test]
    fn a_name_that_is_taken_meanwhile_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (path, partial) = (folder.path().join("b"), folder.path().join("b.partial"));
        let first = begun(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        let refused = first.finish(Moment::default(), BTreeMap::new());
        assert!(refused.unwrap_err().text.contains("exists"));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        assert!(!partial.exists());
    }

    /// A name that is given by `system`, where another file may have it.
    fn named(system: System, taken: bool) -> (Result<Finished, Unnamed>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b");
        let mut writer = begun(&path).unwrap();
        writer.system = system;
        if taken {
            fs::write(&path, "precious").unwrap();
        }
        let ended = writer.finish(Moment::default(), BTreeMap::new());
        if taken {
            assert_eq!(fs::read(&path).unwrap(), b"precious");
        }
        let names = fs::read_dir(folder.path()).unwrap();
        let names = names.map(|it| it.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        (ended, names)
    }

    /// NFS, say: it renames, but not without replacing.
    #[test]
    fn where_no_rename_is_safe_a_link_gives_the_name() {
        let system = System {
            rename: |_, _| Err(Errno::INVAL),
            ..SYSTEM
        };
        let (ended, names) = named(system, false);
        assert_eq!(ended.unwrap().doubt, None);
        assert_eq!(names, ["b"]);
        let (ended, names) = named(system, true);
        let refused = ended.unwrap_err();
        assert!(refused.text.contains("exists") && !refused.whole);
        assert_eq!(names, ["b"]);
        // Its answer was lost, and it was sent again.
        let system = System {
            link: |from, to| {
                fs::hard_link(from, to)?;
                fs::hard_link(from, to)
            },
            ..system
        };
        let (ended, names) = named(system, false);
        assert_eq!(ended.unwrap().doubt, None);
        assert_eq!(names, ["b"]);
    }

    /// The one that is whole has got another name since.
    #[test]
    fn a_backup_that_a_killed_run_left_under_two_names_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b");
        let (partial, archived) = (folder.path().join("b.partial"), folder.path().join("old"));
        let first = begun(&path).unwrap();
        first.finish(Moment::default(), BTreeMap::new()).unwrap();
        fs::rename(&path, &archived).unwrap();
        fs::hard_link(&archived, &partial).unwrap();
        let whole = fs::read(&archived).unwrap();
        let later = Begin {
            created: 1,
            ..Begin::default()
        };
        let second = Writer::new(&path, &later).unwrap();
        assert!(partial.exists());
        second.finish(Moment::default(), BTreeMap::new()).unwrap();
        assert_eq!(fs::read(&archived).unwrap(), whole);
    }

    #[test]
    fn what_cannot_get_its_name_is_not_thrown_away() {
        let system = System {
            rename: |_, _| Err(Errno::INVAL),
            link: |_, _| Err(Errno::PERM.into()),
            ..SYSTEM
        };
        let (ended, names) = named(system, false);
        let kept = ended.unwrap_err();
        assert!(kept.text.contains("is whole, and is") && kept.whole);
        assert_eq!(names, ["b.partial"]);
    }

    #[test]
    fn a_folder_that_is_not_synced_leaves_a_doubt_and_the_backup() {
        let system = System {
            sync_names: |_| Err(Errno::IO.into()),
            ..SYSTEM
        };
        let (ended, names) = named(system, false);
        assert!(ended.unwrap().doubt.is_some());
        assert_eq!(names, ["b"]);
    }
}
