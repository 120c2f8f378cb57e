//! The file of a backup as blocks, each with its checksum: docs/backup.md, "The file".
//!
//! What a block says of its lengths is believed within bounds only, and nothing is unpacked before
//! its checksum is right. Compression: `lz4_flex`, in its checked form, which costs the node's
//! machine next to nothing. Checksum: XXH3, which the engine's library has for its store already.

use std::io::Read;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::record::Bytes;

/// What a file begins with: no text, and not what survives a transfer as text.
pub(crate) const MAGIC: [u8; 8] = *b"\x89CEB\r\n\x1a\n";
/// The version of the format, behind that.
pub(crate) const VERSION: u32 = 1;
/// Bytes of both.
pub(crate) const PREFIX_BYTES: usize = 12;
/// What ep-engine's backups begin with.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Bytes before each block.
pub(crate) const HEADER_BYTES: usize = 24;
/// Most bytes of a block, packed or not: a record of the longest value (1 GiB) and some more.
pub(crate) const BLOCK_BYTES_MAX: usize = (1 << 30) + (2 << 20);
/// Most bytes that one packed byte stands for: a length goes on by 255 for each.
const LZ4_RATIO_MAX: usize = 255;
/// A block of records is ended when it has so many bytes.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What the backup is; the first one.
    Begin = 1,
    /// Records.
    Records = 2,
    /// What it held in all; the last one.
    End = 3,
}

const AS_IS: u8 = 0;
const LZ4: u8 = 1;

/// Why a file is no whole backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// It cannot be read.
    Io(String),
    /// It is none of ours.
    Foreign(&'static str),
    /// It ends where it should not.
    Truncated,
    /// A block is not what was written.
    Block(u32, &'static str),
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(text) => f.write_str(text),
            Self::Foreign(text) => f.write_str(text),
            Self::Truncated => f.write_str("truncated: the end of the backup is missing"),
            Self::Block(number, text) => write!(f, "damaged in block {number}: {text}"),
        }
    }
}

/// The number of a block, and what its checksum is seeded with: a block of another file, or at
/// another place, is a damaged one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) number: u32,
    pub(crate) seed: u64,
}

/// A block as it is written.
pub(crate) fn encode(kind: Kind, place: Place, plain: &[u8]) -> Vec<u8> {
    let packed = lz4_flex::block::compress(plain);
    let (codec, stored) = if packed.len() < plain.len() {
        (LZ4, &*packed)
    } else {
        (AS_IS, plain)
    };
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = Vec::with_capacity(HEADER_BYTES + stored.len());
    bytes.extend([kind as u8, codec, 0, 0]);
    bytes.extend(length(stored));
    bytes.extend(length(plain));
    bytes.extend(place.number.to_be_bytes());
    let sum = checksum(&bytes, stored, place.seed);
    bytes.extend(sum.to_be_bytes());
    bytes.extend(stored);
    bytes
}

fn checksum(head: &[u8], stored: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(stored, xxh3_64_with_seed(head, seed))
}

/// Reads what a file begins with.
///
/// # Errors
/// It is no backup of this program, or of a later version of it.
pub(crate) fn read_prefix(from: &mut impl Read) -> Result<(), Damage> {
    let mut found = Vec::new();
    let most = SQLITE.len() as u64;
    // Both beginnings fit; what follows on the shorter one is read again by whoever goes on.
    fill(from, PREFIX_BYTES as u64, &mut found)?;
    if SQLITE.starts_with(&found) && found.len() == PREFIX_BYTES {
        fill(from, most - PREFIX_BYTES as u64, &mut found)?;
        if found == SQLITE {
            return Err(Damage::Foreign(
                "a backup of ep-engine (SQLite), which only ep-engine can read: restore it there, \
                 and carry the data over by TAP (engine-replicate)",
            ));
        }
    }
    let Some((magic, version)) = found.split_first_chunk::<8>() else {
        return Err(if MAGIC.starts_with(&found) && !found.is_empty() {
            Damage::Truncated
        } else {
            Damage::Foreign("no backup of engine-backup")
        });
    };
    if *magic != MAGIC {
        return Err(Damage::Foreign("no backup of engine-backup"));
    }
    match <[u8; 4]>::try_from(version).map(u32::from_be_bytes) {
        Ok(VERSION) => Ok(()),
        Ok(_) => Err(Damage::Foreign(
            "of a version that this engine-backup does not know: use a newer one",
        )),
        Err(_) => Err(Damage::Truncated),
    }
}

/// Reads the next block: what it holds, and its bytes in the file.
///
/// # Errors
/// What is there is not what was written.
pub(crate) fn read(from: &mut impl Read, place: Place) -> Result<(Kind, Vec<u8>, u64), Damage> {
    let wrong = |text| Damage::Block(place.number, text);
    let mut head = Vec::new();
    fill(from, HEADER_BYTES as u64, &mut head)?;
    if head.len() < HEADER_BYTES {
        return Err(Damage::Truncated);
    }
    let (said, rest) = head.split_at(HEADER_BYTES - 8);
    let mut fields = Bytes(said);
    let header = (|| {
        let (kind, codec, zero) = (fields.u8()?, fields.u8()?, fields.u16()?);
        Some((
            kind,
            codec,
            zero,
            fields.u32()?,
            fields.u32()?,
            fields.u32()?,
        ))
    })();
    let (kind, codec, zero, stored, plain, number) = header.ok_or(Damage::Truncated)?;
    let kind = match kind {
        1 => Kind::Begin,
        2 => Kind::Records,
        3 => Kind::End,
        _ => return Err(wrong("no kind of block")),
    };
    let bounded = |length: u32| usize::try_from(length).is_ok_and(|it| it <= BLOCK_BYTES_MAX);
    if codec > LZ4 || zero != 0 || !bounded(stored) || !bounded(plain) {
        return Err(wrong("its header makes no sense"));
    }
    if number != place.number {
        return Err(wrong("it is another one"));
    }
    let mut bytes = Vec::new();
    fill(from, stored.into(), &mut bytes)?;
    if bytes.len() < stored as usize {
        return Err(Damage::Truncated);
    }
    let sum = Bytes(rest).u64().unwrap_or_default();
    if checksum(said, &bytes, place.seed) != sum {
        return Err(wrong("the checksum is wrong"));
    }
    let length = (HEADER_BYTES + bytes.len()) as u64;
    let plain = plain as usize;
    // What is unpacked gets its memory at once: never more than the bytes that came can stand for.
    if codec == LZ4 && plain > bytes.len().saturating_mul(LZ4_RATIO_MAX) {
        return Err(wrong("it cannot be unpacked"));
    }
    let unpacked = if codec == LZ4 {
        lz4_flex::block::decompress(&bytes, plain).map_err(|_| wrong("it cannot be unpacked"))?
    } else {
        bytes
    };
    if unpacked.len() != plain {
        return Err(wrong("it has another length than it says"));
    }
    Ok((kind, unpacked, length))
}

/// Reads so many bytes, or what there is. Memory grows with what arrives.
fn fill(from: &mut impl Read, length: u64, bytes: &mut Vec<u8>) -> Result<(), Damage> {
    let read = from.by_ref().take(length).read_to_end(bytes);
    read.map(drop)
        .map_err(|error| Damage::Io(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { number: 5, seed: 9 };

    #[test]
    fn a_block_is_written_and_read_back() {
        for plain in [b"".to_vec(), b"short".to_vec(), vec![b'x'; 100_000]] {
            let bytes = encode(Kind::Records, PLACE, &plain);
            let read = read(&mut &*bytes, PLACE).unwrap();
            assert_eq!(read, (Kind::Records, plain, bytes.len() as u64));
        }
        assert!(encode(Kind::Records, PLACE, &vec![b'x'; 100_000]).len() < 2_000);
        // What packs best is not taken for what cannot be.
        let even = vec![0; 8 << 20];
        let read = read(&mut &*encode(Kind::Records, PLACE, &even), PLACE).unwrap();
        assert!(read.1 == even);
    }

    #[test]
    fn a_block_of_another_place_or_file_is_refused() {
        let bytes = encode(Kind::Records, PLACE, b"records");
        for place in [Place { number: 6, ..PLACE }, Place { seed: 10, ..PLACE }] {
            assert!(matches!(read(&mut &*bytes, place), Err(Damage::Block(..))));
        }
    }

    #[test]
    fn no_length_is_believed_beyond_its_bound() {
        let mut bytes = encode(Kind::Records, PLACE, b"records");
        for at in [4, 8] {
            let mut bytes = bytes.clone();
            bytes[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
            let found = read(&mut &*bytes, PLACE);
            assert_eq!(found, Err(Damage::Block(5, "its header makes no sense")));
        }
        // Within it, only what is there is kept.
        bytes[4..8].copy_from_slice(&u32::try_from(BLOCK_BYTES_MAX).unwrap().to_be_bytes());
        assert_eq!(read(&mut &*bytes, PLACE), Err(Damage::Truncated));
        // With a checksum of its own a length is as wrong as before.
        let packed = lz4_flex::block::compress(&[b'x'; 1_000]);
        let most = u32::try_from(BLOCK_BYTES_MAX).unwrap();
        for plain in [999_u32, 1_001, most] {
            let mut bytes = vec![2, LZ4, 0, 0];
            bytes.extend(u32::try_from(packed.len()).unwrap().to_be_bytes());
            bytes.extend(plain.to_be_bytes());
            bytes.extend(5_u32.to_be_bytes());
            let sum = checksum(&bytes, &packed, 9);
            bytes.extend(sum.to_be_bytes());
            bytes.extend(&packed);
            assert!(matches!(read(&mut &*bytes, PLACE), Err(Damage::Block(..))));
        }
    }

    #[test]
    fn what_is_not_ours_is_named() {
        let named = |bytes: &[u8]| match read_prefix(&mut &*bytes) {
            Err(damage) => damage.to_string(),
            Ok(()) => "ours".to_owned(),
        };
        let whole = [&MAGIC[..], &VERSION.to_be_bytes()].concat();
        assert_eq!(named(&whole), "ours");
        assert!(named(b"SQLite format 3\0\x10\0").contains("ep-engine"));
        for other in [
            &b""[..],
            b"SQLite format 3",
            b"SQLite",
            b"{\"json\": true, 1234}",
        ] {
            assert_eq!(named(other), "no backup of engine-backup", "{other:?}");
        }
        for length in 1..whole.len() {
            assert!(named(&whole[..length]).contains("truncated"), "{length}");
        }
        let later = [&MAGIC[..], &2_u32.to_be_bytes()].concat();
        assert!(named(&later).contains("version"));
    }
}
