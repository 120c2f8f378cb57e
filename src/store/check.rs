//! Looks at the files of a database before fjall opens it, and changes nothing.
//!
//! fjall 3.1 repairs by deleting: a keyspace whose manifest is missing, tables that a damaged
//! manifest does not name, everything in a journal behind the first unreadable byte. Each is right
//! after a crash in the middle of creating something and wrong when a file was lost. A store of
//! ours is complete once its marker says so (see `dir`), so here every one of these is refused.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::codec::Seal;
use super::journal::{self, Contents};

/// Numbers that fjall gave the keyspaces: its own, the items', the meta keyspace.
const KEYSPACES: [&str; 3] = ["0", "1", "2"];
/// The keyspace of the items, the only one of any size.
const ITEMS_KEYSPACE: &str = "1";
/// What fjall writes into the file `version`.
const FJALL_VERSION: &[u8] = b"FJL\x03";
/// Bytes of one entry of a manifest's list of tables.
const TABLE_ENTRY_BYTES: usize = 8 + 1 + 16 + 8;

/// Why a database is not opened.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Its files are not as they were written: the end of a sentence says in what.
    Damaged(String),
    /// They could not be read.
    Io(io::Error),
}

impl Refusal {
    /// From the end of a sentence.
    pub(crate) fn damaged(cause: impl Into<String>) -> Self {
        Self::Damaged(cause.into())
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::damaged("a file is shorter than it was"),
            ErrorKind::NotFound => Self::damaged("a file is missing"),
            _ => Self::Io(error),
        }
    }
}

/// Looks at a whole database. Tables of items are read only up to `verify_bytes` in total: what is
/// damaged in the others is found when it is read. Batches in the journal with numbers above `keep`
/// are to be cut off; `seal` is on those of a store that seals them.
///
/// # Errors
/// When it is not as it was written.
pub(crate) fn examine(
    folder: &Path,
    verify_bytes: u64,
    keep: Option<u64>,
    seal: Option<&Seal>,
) -> Result<Contents, Refusal> {
    if read(folder, "version")? != FJALL_VERSION {
        return Err(Refusal::damaged(
            "the file db/version does not name fjall's format 3",
        ));
    }
    read(folder, "lock")?;
    let keyspaces = folder.join("keyspaces");
    for entry in fs::read_dir(&keyspaces)? {
        let name = entry?.file_name();
        if !KEYSPACES.iter().any(|known| name == *known) {
            return Err(Refusal::damaged(format!(
                "db/keyspaces/{} does not belong to it",
                name.display()
            )));
        }
    }
    for keyspace in KEYSPACES {
        let is_small = keyspace != ITEMS_KEYSPACE;
        examine_keyspace(
            &keyspaces,
            keyspace,
            if is_small { u64::MAX } else { verify_bytes },
        )?;
    }
    journal::examine(folder, keep, seal)
}

/// One table as its manifest names it.
struct Table {
    number: u64,
    path: PathBuf,
    name: String,
    sum: u128,
}

/// What a failed read means: a file that is not there is damage.
fn lost(error: io::Error, missing: Refusal) -> Refusal {
    match error.kind() {
        ErrorKind::NotFound => missing,
        _ => Refusal::from(error),
    }
}

/// Numbers of the tables of items that the manifest in force names.
///
/// # Errors
/// When that cannot be found out.
pub(crate) fn item_tables(folder: &Path) -> Result<Vec<u64>, Refusal> {
    let tables = read_tables(&folder.join("keyspaces"), ITEMS_KEYSPACE)?;
    Ok(tables.iter().map(|table| table.number).collect())
}

fn wrong(keyspace: &str, file: &str, what: &str) -> Refusal {
    Refusal::damaged(format!("the file db/keyspaces/{keyspace}/{file} {what}"))
}

/// The tables that the manifest in force of a keyspace names.
fn read_tables(keyspaces: &Path, name: &str) -> Result<Vec<Table>, Refusal> {
    let folder = keyspaces.join(name);
    let wrong = |file: &str, what: &str| wrong(name, file, what);
    let current = fs::read(folder.join("current"))
        .map_err(|error| lost(error, wrong("current", "is missing")))?;
    let Some((version, sum)) = parse_current(&current) else {
        return Err(wrong("current", "is damaged"));
    };
    let manifest_name = format!("v{version}");
    let manifest = fs::read(folder.join(&manifest_name))
        .map_err(|error| lost(error, wrong(&manifest_name, "is missing")))?;
    if xxh3_128(&manifest) != sum {
        return Err(wrong(
            &manifest_name,
            "is damaged: its checksum does not match",
        ));
    }
    parse_manifest(&manifest, &folder)
        .ok_or_else(|| wrong(&manifest_name, "is not in the expected form"))
}

fn examine_keyspace(keyspaces: &Path, name: &str, verify_bytes: u64) -> Result<(), Refusal> {
    let tables = read_tables(keyspaces, name)?;
    let wrong = |file: &str, what: &str| wrong(name, file, what);
    let mut bytes = 0;
    for table in &tables {
        bytes += fs::metadata(&table.path)
            .map_err(|error| lost(error, wrong(&table.name, "is missing")))?
            .len();
    }
    if bytes > verify_bytes {
        return Ok(());
    }
    for table in &tables {
        if sum_of(&table.path)? != table.sum {
            return Err(wrong(
                &table.name,
                "is damaged: its checksum does not match",
            ));
        }
    }
    Ok(())
}

/// Number of the manifest that holds, and its checksum.
fn parse_current(bytes: &[u8]) -> Option<(u64, u128)> {
    let (version, rest) = bytes.split_first_chunk::<8>()?;
    let (sum, kind) = rest.split_first_chunk::<16>()?;
    (kind == [0]).then(|| (u64::from_le_bytes(*version), u128::from_le_bytes(*sum)))
}

/// The tables that a manifest names. The manifest is an archive of named sections: its trailer
/// says where the table of contents is, that says where the sections are.
fn parse_manifest(manifest: &[u8], folder: &Path) -> Option<Vec<Table>> {
    let (_, trailer) = manifest.split_last_chunk::<38>()?;
    let trailer = trailer.strip_prefix(b"SFA!\x01\x00")?;
    let (_, trailer) = trailer.split_first_chunk::<16>()?;
    let (at, _) = trailer.split_first_chunk::<8>()?;
    let contents = manifest.get(usize::try_from(u64::from_le_bytes(*at)).ok()?..)?;
    let (count, mut contents) = contents.strip_prefix(b"TOC!")?.split_first_chunk::<4>()?;
    for _ in 0..u32::from_le_bytes(*count) {
        let (at, rest) = contents.split_first_chunk::<8>()?;
        let (bytes, rest) = rest.split_first_chunk::<8>()?;
        let (name_bytes, rest) = rest.split_first_chunk::<2>()?;
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*name_bytes)))?;
        contents = rest;
        if name == b"tables" {
            let section = manifest.get(usize::try_from(u64::from_le_bytes(*at)).ok()?..)?;
            let bytes = usize::try_from(u64::from_le_bytes(*bytes)).ok()?;
            return parse_tables(section.get(..bytes)?, folder);
        }
    }
    None
}

/// Levels of runs of tables.
fn parse_tables(section: &[u8], folder: &Path) -> Option<Vec<Table>> {
    let mut tables = Vec::new();
    let (&levels, mut section) = section.split_first()?;
    for _ in 0..levels {
        let (&runs, rest) = section.split_first()?;
        section = rest;
        for _ in 0..runs {
            let (count, rest) = section.split_first_chunk::<4>()?;
            section = rest;
            for _ in 0..u32::from_le_bytes(*count) {
                let (entry, rest) = section.split_first_chunk::<TABLE_ENTRY_BYTES>()?;
                section = rest;
                let (id, entry) = entry.split_first_chunk::<8>()?;
                let (sum, _) = entry.strip_prefix(&[0])?.split_first_chunk::<16>()?;
                let number = u64::from_le_bytes(*id);
                let name = format!("tables/{number}");
                tables.push(Table {
                    number,
                    path: folder.join(&name),
                    name,
                    sum: u128::from_le_bytes(*sum),
                });
            }
        }
    }
    Some(tables)
}

/// Checksum of a whole file.
fn sum_of(path: &Path) -> io::Result<u128> {
    let mut file = fs::File::open(path)?;
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer)?;
        match buffer.get(..count) {
            Some(bytes) if count > 0 => hash.update(bytes),
            _ => return Ok(hash.digest128()),
        }
    }
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, Refusal> {
    fs::read(folder.join(name)).map_err(|error| {
        lost(
            error,
            Refusal::damaged(format!("the file db/{name} is missing")),
        )
    })
}

/// Why the store at `path` is not opened.
pub(crate) fn refused(path: &Path, refusal: Refusal) -> super::StoreError {
    match refusal {
        Refusal::Damaged(cause) => super::dir::damaged(path, &cause),
        Refusal::Io(error) => super::dir::unusable(path, "read", &super::dir::explain(&error)),
    }
}
