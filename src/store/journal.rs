//! Reads fjall's journal files without changing them, before fjall does.
//!
//! fjall 3.1 cuts a journal off at the first byte that it cannot read, wherever that is. After a
//! crash that is right: the last batch was not written to its end. For a file that was damaged it
//! would throw away every batch behind the damage without a word. So this file looks first and
//! tells the two apart; `FORMAT.md` has the layout and the rules, and what cannot be told apart.
//!
//! Behind an unreadable byte nothing says where a batch begins, and keys and values hold whatever
//! clients choose. So only the sealed number at the end of a batch counts there: clients cannot
//! write one, wherever it is looked for, and the search reads every byte once.
//!
//! Memory: one buffer, whatever the size of the files. Not for concurrent use with a writer.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::check::Refusal;
use super::codec::{self, BatchMark, Seal};

/// Number that fjall gives the keyspace that batch marks are in.
pub(crate) const META_KEYSPACE: u64 = 2;

const TAG_START: u8 = 1;
const TAG_ITEM: u8 = 2;
const TAG_END: u8 = 3;
/// Last bytes of every batch.
const MAGIC: [u8; 4] = *b"FJL\x03";
/// Tag, checksum and magic.
const END_BYTES: usize = 1 + 8 + 4;
/// What stands before the value of an entry for the number of a batch, without the sizes of the
/// value: tag, kind, compression, keyspace, size of the key.
const MARK_HEAD: [u8; 13] = [TAG_ITEM, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0];
/// Unit in which a disk writes: a batch that misses one was not written to its end.
const SECTOR_BYTES: u64 = 512;
/// Bytes that are searched at once.
const CHUNK_BYTES: usize = 1 << 20;

/// What the journals of a database hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Number of the first batch, if there is a batch.
    pub(crate) first: Option<u64>,
    /// Number of the last batch, if there is a batch.
    pub(crate) last: Option<u64>,
    /// A batch that was not finished, or not wanted: the file has to end here.
    pub(crate) cut: Option<(PathBuf, u64)>,
    /// Bytes of all journal files together.
    pub(crate) bytes: u64,
    /// How the store was left, if it was closed in order.
    pub(crate) closed: Option<Closed>,
}

/// How a store was left that was closed in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// Number of its last batch.
    pub(crate) last: u64,
    /// Bytes of all its journal files together.
    pub(crate) bytes: u64,
}

impl Contents {
    /// Takes note of how the store was left. If in order, nothing can be unfinished or missing.
    ///
    /// # Errors
    /// When something is.
    pub(crate) fn expect_end(mut self, closed: Option<Closed>) -> Result<Self, Refusal> {
        self.closed = closed;
        let Some(Closed { last, bytes }) = closed else {
            return Ok(self);
        };
        if self.cut.is_some() {
            return Err(Refusal::damaged(
                "its journal is unreadable towards its end",
            ));
        }
        if self.bytes != bytes || self.last.is_some_and(|found| found != last) {
            return Err(Refusal::damaged(format!(
                "its journal has {} bytes and ends with batch {}, where there were {bytes} bytes \
                 and batch {last}",
                self.bytes,
                self.last.unwrap_or_default()
            )));
        }
        Ok(self)
    }

    /// Removes the unwanted end. fjall would do the same to most, and refuse to open others.
    pub(crate) fn cut_tail(&self) -> io::Result<()> {
        let Some((path, bytes)) = &self.cut else {
            return Ok(());
        };
        let file = File::options().write(true).open(path)?;
        file.set_len(*bytes)?;
        file.sync_all()
    }
}

/// Reads every journal in `folder`. Batches with numbers above `keep` are to be cut off. `seal` is
/// on the numbers of batches, if the store is of a version that seals them.
///
/// # Errors
/// When a journal is damaged, missing or cannot be read.
pub(crate) fn examine(
    folder: &Path,
    keep: Option<u64>,
    seal: Option<&Seal>,
) -> Result<Contents, Refusal> {
    let paths = list(folder)?;
    if paths.is_empty() {
        return Err(Refusal::damaged("its journal is missing"));
    }
    let mut contents = Contents {
        bytes: size(folder)?,
        ..Contents::default()
    };
    for path in paths {
        let name = path.file_name().unwrap_or_default().display().to_string();
        let mut journal = Journal::open(&path)?;
        while let Some(batch) = journal.next_batch()? {
            if contents.cut.is_some() {
                // A journal is synced before the next one is begun.
                return Err(Refusal::damaged(format!(
                    "{name} goes on behind an unreadable batch of an older journal"
                )));
            }
            if contents
                .last
                .is_some_and(|last| last + 1 != batch.mark.number)
            {
                return Err(Refusal::damaged(format!(
                    "batches are missing before batch {} in {name}",
                    batch.mark.number
                )));
            }
            if keep.is_some_and(|keep| batch.mark.number > keep) {
                contents.cut = Some((path.clone(), batch.begin));
                break;
            }
            contents.first.get_or_insert(batch.mark.number);
            contents.last = Some(batch.mark.number);
        }
        if contents.cut.is_none() && journal.has_torn_tail(contents.last, seal, &name)? {
            contents.cut = Some((path, journal.position));
        }
    }
    Ok(contents)
}

/// Bytes of all journal files in `folder` together.
///
/// # Errors
/// When they cannot be found out.
pub(crate) fn size(folder: &Path) -> Result<u64, Refusal> {
    let mut bytes = 0;
    for path in list(folder)? {
        bytes += path.metadata()?.len();
    }
    Ok(bytes)
}

/// Empties the journals of a database that is closed and has everything in tables. One file stays:
/// fjall would number what it writes from 0 again if there was none.
///
/// # Errors
/// When a file cannot be removed or cut off. What is left is right.
pub(crate) fn empty(folder: &Path) -> io::Result<()> {
    let mut paths = list(folder).map_err(|refusal| match refusal {
        Refusal::Io(error) => error,
        Refusal::Damaged(cause) => io::Error::other(cause),
    })?;
    let newest = paths.pop();
    // The oldest go first, so that no batch is ever missing between two.
    for path in paths {
        std::fs::remove_file(path)?;
    }
    if let Some(path) = newest {
        let file = File::options().write(true).open(path)?;
        file.set_len(0)?;
        file.sync_all()?;
    }
    File::open(folder)?.sync_all()
}

/// The journals in the order in which they were written.
fn list(folder: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let mut journals = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "jnl") {
            continue;
        }
        let number = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        match number {
            Some(number) if path.is_file() => journals.push((number, path)),
            _ => {
                return Err(Refusal::damaged(format!(
                    "{} is not the name of a journal",
                    path.display()
                )));
            }
        }
    }
    journals.sort();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

/// A batch that was read to its end and whose checksum is right.
struct FoundBatch {
    /// Where it begins in its file.
    begin: u64,
    mark: BatchMark,
}

/// One file.
struct Journal {
    reader: BufReader<File>,
    /// Where the next batch is expected. Everything before was read.
    position: u64,
}

impl Journal {
    fn open(path: &Path) -> Result<Self, Refusal> {
        Ok(Self {
            reader: BufReader::with_capacity(64 << 10, File::open(path)?),
            position: 0,
        })
    }

    /// The next batch, or `None` where no valid one begins.
    fn next_batch(&mut self) -> io::Result<Option<FoundBatch>> {
        let begin = self.position;
        let found = self.batch_at(begin)?;
        if let Some((_, end)) = &found {
            self.position = *end;
        }
        Ok(found.map(|(mark, _)| FoundBatch { begin, mark }))
    }

    /// Reads the batch that begins at `begin`: its mark and where it ends.
    fn batch_at(&mut self, begin: u64) -> io::Result<Option<(BatchMark, u64)>> {
        let here = self.reader.stream_position()?;
        if here != begin {
            self.reader.seek(SeekFrom::Start(begin))?;
        }
        let mut parser = Parser {
            reader: &mut self.reader,
            position: begin,
            hash: Xxh3::new(),
            mark: None,
        };
        match parser.batch() {
            Ok(true) => Ok(parser.mark.map(|mark| (mark, parser.position))),
            Ok(false) => Ok(None),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether an unfinished batch stands at `position`, behind which nothing was ever synced.
    /// `false` when the file ends there, or holds only the zeros that it was created with.
    fn has_torn_tail(
        &mut self,
        last: Option<u64>,
        seal: Option<&Seal>,
        name: &str,
    ) -> Result<bool, Refusal> {
        let tail = self.survey(seal)?;
        if tail.end == self.position {
            return Ok(false);
        }
        let position = self.position;
        let damaged = |what: &str| {
            Err(Refusal::damaged(format!(
                "{name} is unreadable at byte {position}{what}"
            )))
        };
        // Nothing says which batch was lost when none came before. The first number may be its own.
        let first = tail.marks.first().map(|(mark, _)| mark.number);
        let Some(first_lost) = last.map(|last| last + 1).or(first) else {
            return Ok(true);
        };
        // Was it on the disk when a later one began?
        let follows =
            |(mark, _): &&(BatchMark, u64)| mark.number > first_lost && mark.synced >= first_lost;
        if let Some((mark, end)) = tail.marks.iter().find(follows) {
            return damaged(&format!(
                ", and batch {}, which ends at byte {end}, follows",
                mark.number
            ));
        }
        let is_finished = tail.marks.last().is_some_and(|(_, end)| *end == tail.end);
        if seal.is_some() && is_finished && !tail.has_hole {
            return damaged(", in a batch that had been written to its end");
        }
        Ok(true)
    }

    /// Looks at everything from `position` on.
    fn survey(&self, seal: Option<&Seal>) -> io::Result<Tail> {
        let file = self.reader.get_ref();
        let length = file.metadata()?.len();
        let mut tail = Tail {
            end: self.position,
            marks: Vec::new(),
            has_hole: false,
        };
        let mut holes = HoleFinder::default();
        let marks = MarkFinder::new(seal);
        let mut buffer = vec![0; CHUNK_BYTES];
        // Chunks begin at sectors and overlap by one, which is more than a mark takes.
        let mut at = self.position - self.position % SECTOR_BYTES;
        while at < length {
            let want = usize::try_from(length - at)
                .unwrap_or(CHUNK_BYTES)
                .min(CHUNK_BYTES);
            let Some(chunk) = buffer.get_mut(..want) else {
                break;
            };
            file.read_exact_at(chunk, at)?;
            let known = tail.marks.last().map_or(self.position, |(_, end)| *end);
            marks.look(at, chunk, known, &mut tail.marks);
            if let Some(last) = chunk.iter().rposition(|byte| *byte != 0) {
                tail.end = tail.end.max(at + last as u64 + 1);
            }
            holes.look(at, chunk, self.position);
            if at + want as u64 == length {
                break;
            }
            at += want as u64 - SECTOR_BYTES;
        }
        tail.has_hole = holes.first.is_some_and(|hole| hole < tail.end);
        Ok(tail)
    }
}

/// What stands behind the last readable batch.
struct Tail {
    /// Behind the last byte that is not zero.
    end: u64,
    /// The numbers of batches that were written to their ends, and where those are, in order.
    marks: Vec<(BatchMark, u64)>,
    /// A whole sector in it is zero.
    has_hole: bool,
}

/// Finds numbers of batches that the store wrote: by their seals, or in a store of an earlier
/// version by their form alone, which takes no more than a refusal.
struct MarkFinder<'a> {
    seal: Option<&'a Seal>,
    /// What stands before the value.
    head: Vec<u8>,
    value_bytes: usize,
}

impl<'a> MarkFinder<'a> {
    fn new(seal: Option<&'a Seal>) -> Self {
        let value_bytes = seal.map_or(codec::BATCH_VALUE_1_BYTES, |_| codec::BATCH_VALUE_BYTES);
        let size = u32::try_from(value_bytes).unwrap_or_default().to_le_bytes();
        Self {
            seal,
            head: [&MARK_HEAD[..], &size, &size, &codec::META_BATCH].concat(),
            value_bytes,
        }
    }

    /// Looks through a chunk that stands at `at`, for marks of batches that end behind `known`.
    fn look(&self, at: u64, chunk: &[u8], known: u64, found: &mut Vec<(BatchMark, u64)>) {
        let mut known = known;
        for (index, window) in chunk.windows(self.bytes()).enumerate() {
            let end = at + (index + window.len()) as u64;
            if window.first() != Some(&TAG_ITEM) || end <= known {
                continue;
            }
            if let Some(mark) = self.parse(window) {
                known = end;
                found.push((mark, end));
            }
        }
    }

    /// Bytes from the entry of a batch's number to the end of the batch. (An earlier version wrote
    /// the number first: there that is what the entry takes.)
    fn bytes(&self) -> usize {
        let end = if self.seal.is_some() { END_BYTES } else { 0 };
        self.head.len() + self.value_bytes + end
    }

    fn parse(&self, bytes: &[u8]) -> Option<BatchMark> {
        let rest = bytes.strip_prefix(&self.head[..])?;
        let (value, end) = rest.split_at_checked(self.value_bytes)?;
        let genuine = self.seal.is_none_or(|seal| {
            seal.is_on(value) && end.first() == Some(&TAG_END) && end.ends_with(&MAGIC)
        });
        codec::parse_batch_value(value).ok().filter(|_| genuine)
    }
}

/// Finds the first sector behind a position that is all zero.
#[derive(Default)]
struct HoleFinder {
    first: Option<u64>,
}

impl HoleFinder {
    fn look(&mut self, at: u64, chunk: &[u8], position: u64) {
        if self.first.is_some() {
            return;
        }
        let mut begin = at;
        for sector in chunk.chunks(usize::try_from(SECTOR_BYTES).unwrap_or(chunk.len())) {
            if begin >= position && sector.iter().all(|byte| *byte == 0) {
                self.first = Some(begin);
                return;
            }
            begin += sector.len() as u64;
        }
    }
}

/// Reads one batch.
struct Parser<'a> {
    reader: &'a mut BufReader<File>,
    position: u64,
    hash: Xxh3,
    mark: Option<BatchMark>,
}

impl Parser<'_> {
    /// Whether a whole and valid batch stands here.
    fn batch(&mut self) -> io::Result<bool> {
        if self.byte()? != TAG_START {
            return Ok(false);
        }
        let count = u32::from_le_bytes(self.array()?);
        let _sequence: [u8; 8] = self.array()?;
        for _ in 0..count {
            if !self.item()? {
                return Ok(false);
            }
        }
        let sum = self.hash.digest();
        Ok(self.byte()? == TAG_END
            && u64::from_le_bytes(self.array()?) == sum
            && self.array()? == MAGIC)
    }

    fn item(&mut self) -> io::Result<bool> {
        let [tag, kind, compression] = self.hashed()?;
        // Kinds: value, tombstone. Nothing is compressed.
        if tag != TAG_ITEM || kind > 1 || compression != 0 {
            return Ok(false);
        }
        let keyspace = u64::from_le_bytes(self.hashed()?);
        let key_bytes = u16::from_le_bytes(self.hashed()?);
        let value_bytes = u32::from_le_bytes(self.hashed()?);
        if u32::from_le_bytes(self.hashed()?) != value_bytes {
            return Ok(false);
        }
        let value_bytes = value_bytes as usize;
        let is_mark = keyspace == META_KEYSPACE
            && key_bytes == 1
            && [codec::BATCH_VALUE_1_BYTES, codec::BATCH_VALUE_BYTES].contains(&value_bytes);
        if !is_mark {
            self.skip(u64::from(key_bytes) + value_bytes as u64)?;
            return Ok(true);
        }
        let key: [u8; 1] = self.hashed()?;
        let mut value = [0; codec::BATCH_VALUE_BYTES];
        let value = value.get_mut(..value_bytes).unwrap_or_default();
        self.reader.read_exact(value)?;
        self.hash.update(value);
        self.position += value_bytes as u64;
        if key == codec::META_BATCH {
            self.mark = codec::parse_batch_value(value).ok();
        }
        Ok(true)
    }

    fn hashed<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let bytes = self.array()?;
        self.hash.update(&bytes);
        Ok(bytes)
    }

    fn byte(&mut self) -> io::Result<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.position += N as u64;
        Ok(bytes)
    }

    /// Reads bytes for the checksum only.
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            let buffer = self.reader.fill_buf()?;
            let take = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let Some(bytes) = buffer.get(..take).filter(|bytes| !bytes.is_empty()) else {
                return Err(ErrorKind::UnexpectedEof.into());
            };
            self.hash.update(bytes);
            self.reader.consume(take);
            left -= take as u64;
        }
        self.position += count;
        Ok(())
    }
}
