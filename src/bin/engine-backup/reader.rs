//! Reading a backup: all of it once, to know that it is whole; then its records from the newest to
//! the oldest.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::block::{self, Damage, Kind, PREFIX_BYTES, Place};
use crate::record::{self, Bytes, Record};
use crate::writer::{Begin, End, Moment, Standing};

/// Longest name in a file, in bytes.
const NAME_BYTES_MAX: usize = 1024;

/// A backup that was read to its end and is whole.
#[derive(Clone, Debug)]
pub(crate) struct Backup {
    pub(crate) path: PathBuf,
    pub(crate) begin: Begin,
    pub(crate) end: End,
    pub(crate) bytes: u64,
    /// Where its blocks of records lie, and their numbers.
    blocks: Vec<(u64, u32)>,
}

/// Reads a backup to its end and hands its records to `see`, oldest first.
///
/// # Errors
/// Says which file it is and what is wrong with it.
pub(crate) fn read(path: &Path, see: &mut dyn FnMut(&Record<'_>)) -> Result<Backup, String> {
    read_all(path, see).map_err(|damage| format!("{}: {damage}", path.display()))
}

fn read_all(path: &Path, see: &mut dyn FnMut(&Record<'_>)) -> Result<Backup, Damage> {
    let mut file = BufReader::new(open(path)?);
    block::read_prefix(&mut file)?;
    let mut at = PREFIX_BYTES as u64;
    let mut place = Place::default();
    let mut begin = None;
    let mut blocks = Vec::new();
    let mut counts = (0, 0);
    loop {
        let wrong = |text| Damage::Block(place.number, text);
        let (kind, plain, length) = block::read(&mut file, place)?;
        match (kind, begin.take()) {
            (Kind::Begin, None) => {
                let found = parse_begin(&plain).ok_or_else(|| wrong("it is no begin"))?;
                place.seed = found.seed();
                begin = Some(found);
            }
            (Kind::Records, Some(found)) => {
                let records = record::parse(&plain).ok_or_else(|| wrong("it has no records"))?;
                for record in &records {
                    match record {
                        Record::Whole { .. } => {}
                        Record::Value { .. } => counts.0 += 1,
                        Record::Deleted { .. } => counts.1 += 1,
                    }
                    see(record);
                }
                blocks.push((at, place.number));
                begin = Some(found);
            }
            (Kind::End, Some(begin)) => {
                let end = parse_end(&plain).ok_or_else(|| wrong("it is no end"))?;
                if (end.values, end.deletions) != counts {
                    return Err(wrong("it counts other records than there are"));
                }
                at += length;
                return ends(&mut file, at).map(|()| Backup {
                    path: path.to_owned(),
                    begin,
                    end,
                    bytes: at,
                    blocks,
                });
            }
            _ => return Err(wrong("it stands at the wrong place")),
        }
        at += length;
        place.number += 1;
    }
}

fn open(path: &Path) -> Result<File, Damage> {
    let io = |error: std::io::Error| Damage::Io(error.to_string());
    let file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.is_dir() {
        return Err(Damage::Foreign("a directory, and no backup"));
    }
    Ok(file)
}

/// Nothing may stand behind the end.
fn ends(file: &mut BufReader<File>, at: u64) -> Result<(), Damage> {
    let length = file.get_ref().metadata();
    let length = length.map_err(|error| Damage::Io(error.to_string()))?.len();
    if length > at {
        return Err(Damage::Foreign("damaged: something stands behind its end"));
    }
    Ok(())
}

fn parse_begin(plain: &[u8]) -> Option<Begin> {
    let mut bytes = Bytes(plain);
    let mut begin = Begin {
        id: bytes.id()?,
        base: bytes.id()?,
        created: bytes.u64()?,
        ..Begin::default()
    };
    for text in [&mut begin.node, &mut begin.place] {
        let length = usize::from(bytes.u16()?);
        let found = bytes.take(length).filter(|_| length <= NAME_BYTES_MAX)?;
        *text = String::from_utf8(found.to_vec()).ok()?;
    }
    (bytes.0.is_empty() && begin.id != [0; 16]).then_some(begin)
}

fn parse_end(plain: &[u8]) -> Option<End> {
    let mut bytes = Bytes(plain);
    let moment = match bytes.u8()? {
        0 => Moment::EachItsOwn,
        1 => Moment::BeforeWindow,
        _ => return None,
    };
    let (values, deletions) = (bytes.u64()?, bytes.u64()?);
    let mut vbuckets = BTreeMap::new();
    while !bytes.0.is_empty() {
        let vbucket = bytes.u16()?;
        let whole = match bytes.u8()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let next = bytes.u64()?;
        vbuckets.insert(vbucket, Standing { whole, next });
    }
    Some(End {
        moment,
        values,
        deletions,
        vbuckets,
    })
}

impl Backup {
    /// Records, of all kinds that count.
    pub(crate) const fn records(&self) -> u64 {
        self.end.values + self.end.deletions
    }

    /// Hands its blocks of records to `each`, the newest first, parsed and oldest first within
    /// the block.
    ///
    /// # Errors
    /// The file has changed since it was read, or what `each` says.
    pub(crate) fn backwards(
        &self,
        each: &mut dyn FnMut(&[Record<'_>]) -> Result<(), String>,
    ) -> Result<(), String> {
        let named = |damage: &dyn std::fmt::Display| format!("{}: {damage}", self.path.display());
        let mut file = open(&self.path).map_err(|damage| named(&damage))?;
        let seed = self.begin.seed();
        for &(at, number) in self.blocks.iter().rev() {
            file.seek(SeekFrom::Start(at))
                .map_err(|error| named(&error))?;
            let read = block::read(&mut file, Place { number, seed });
            let (_, plain, _) = read.map_err(|damage| named(&damage))?;
            let records = record::parse(&plain);
            let records = records.ok_or_else(|| named(&"it has changed since it was read"))?;
            each(&records)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::writer::Writer;

    fn begin() -> Begin {
        Begin {
            id: [7; 16],
            base: [0; 16],
            created: 1_800_000_000,
            node: "node:11211".to_owned(),
            place: "place".to_owned(),
        }
    }

    fn value<'a>(key: &'a [u8], value: &'a [u8]) -> Record<'a> {
        Record::Value {
            vbucket: 1,
            key,
            value,
            flags: 1,
            expiry: 2,
            cas: 3,
        }
    }

    /// A small one with records of all kinds.
    fn write(path: &Path) -> (End, u64) {
        let mut writer = Writer::new(path, &begin()).unwrap();
        writer.put(&Record::Whole { vbucket: 1 }).unwrap();
        writer.put(&value(b"key", b"value")).unwrap();
        let deleted = Record::Deleted {
            vbucket: 1,
            key: b"gone",
        };
        writer.put(&deleted).unwrap();
        let standing = Standing {
            whole: true,
            next: 5,
        };
        let ended = writer.finish(Moment::BeforeWindow, BTreeMap::from([(1, standing)]));
        let ended = ended.unwrap();
        (ended.end, ended.bytes)
    }

    fn try_read(path: &Path) -> Result<Backup, String> {
        read(path, &mut |_| {})
    }

    #[test]
    fn what_is_written_is_read_and_nobody_else_can() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup");
        let (end, bytes) = write(&path);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let mut kinds = 0;
        let found = read(&path, &mut |_| kinds += 1).unwrap();
        assert_eq!((kinds, found.end.values, found.end.deletions), (3, 1, 1));
        assert_eq!((found.begin, found.end, found.bytes), (begin(), end, bytes));
        assert_eq!(fs::metadata(&path).unwrap().len(), bytes);
        // Never over another one.
        assert!(
            Writer::new(&path, &begin())
                .unwrap_err()
                .contains("already")
        );
    }

    #[test]
    fn cut_off_anywhere_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup");
        write(&path);
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let error = try_read(&path).unwrap_err();
            let told = error.contains("truncated") || length == 0;
            assert!(told, "{length} of {}: {error}", whole.len());
        }
        fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
        assert!(try_read(&path).unwrap_err().contains("behind its end"));
        fs::write(&path, [&whole[..], &whole[..]].concat()).unwrap();
        assert!(try_read(&path).is_err());
    }

    #[test]
    fn with_any_byte_changed_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup");
        write(&path);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            for bits in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= bits;
                fs::write(&path, &bytes).unwrap();
                assert!(try_read(&path).is_err(), "byte {at} ^ {bits:#x}");
            }
        }
        // Two blocks that have changed places.
        assert!(try_read(folder.path()).unwrap_err().contains("directory"));
    }

    #[test]
    fn records_come_back_from_the_newest_block_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup");
        let mut writer = Writer::new(&path, &begin()).unwrap();
        let long = vec![b'v'; 100_000];
        let keys: Vec<String> = (0..20).map(|key| format!("k{key:02}")).collect();
        for key in &keys {
            writer.put(&value(key.as_bytes(), &long)).unwrap();
        }
        writer.finish(Moment::EachItsOwn, BTreeMap::new()).unwrap();
        let backup = try_read(&path).unwrap();
        let (mut found, mut blocks) = (Vec::new(), 0);
        let each = &mut |records: &[Record<'_>]| {
            blocks += 1;
            for record in records.iter().rev() {
                if let Record::Value { key, .. } = record {
                    found.push(String::from_utf8(key.to_vec()).unwrap());
                }
            }
            Ok(())
        };
        backup.backwards(each).unwrap();
        assert!(blocks > 3);
        found.reverse();
        assert_eq!(found, keys);
        // One that changes meanwhile.
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(backup.backwards(&mut |_| Ok(())).is_err());
    }

    #[test]
    fn what_was_begun_and_not_ended_leaves_no_backup() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup");
        let mut writer = Writer::new(&path, &begin()).unwrap();
        writer.put(&value(b"k", b"v")).unwrap();
        let other = Writer::new(&path, &begin()).unwrap_err();
        assert!(other.contains("another backup"), "{other}");
        drop(writer);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        // What comes under its name meanwhile stays.
        let writer = Writer::new(&path, &begin()).unwrap();
        fs::write(&path, "another one's").unwrap();
        assert!(writer.finish(Moment::EachItsOwn, BTreeMap::new()).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "another one's");
        fs::remove_file(&path).unwrap();
        // What a killed one has left behind is no obstacle, and nobody else reads it.
        let partial = folder.path().join("backup.partial");
        fs::write(&partial, vec![b'x'; 10_000]).unwrap();
        fs::set_permissions(&partial, fs::Permissions::from_mode(0o644)).unwrap();
        write(&path);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(try_read(&path).is_ok());
    }
}
