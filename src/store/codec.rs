//! Bytes of keys and records. `FORMAT.md` is the reference; this file is the only code that knows
//! the layout. Pure: no I/O, no clock, no database library.
//!
//! Integers are big-endian, so that keys sort by vbucket. The exception is `flags`: a [`Record`]
//! holds the four bytes of the wire in memory order, and they are stored in that order.

use std::hash::{BuildHasher, RandomState};

use xxhash_rust::xxh3::Xxh3;

use super::{Record, VbucketRecord, WindowRecord};
use crate::types::{CheckpointId, UnixTime, VbucketId, VbucketState};

/// Version of the whole store: layout of the directory, keyspaces and keys. A program opens this
/// version and every older one, never a newer one.
pub(crate) const FORMAT_VERSION: u32 = 4;
/// The version from which batches are sealed.
pub(crate) const SEALED_VERSION: u32 = 3;

/// First byte of most values: version of that one record's layout.
const RECORD_VERSION: u8 = 1;
/// The same of a vbucket's record. Version 1 had no reserved ids, version 2 no delayed flush.
const VBUCKET_VERSION: u8 = 3;
/// The same of a load's record. Version 1 had no number.
const LOAD_VERSION: u8 = 2;
/// The same of a batch's number. Version 1 had no seal.
const BATCH_VERSION: u8 = 2;

/// How many ids above the durable one a program of format version 1 may have given: it kept no
/// account of them, and left this distance after a crash in a window.
const UNRECORDED_IDS: u64 = 1024;

/// Bytes before the client's value in an item's record: version, flags, expiry, CAS.
pub(crate) const ITEM_HEADER_BYTES: usize = 1 + 4 + 4 + 8;

/// Bytes of a seal.
const SEAL_BYTES: usize = 16;
/// Bytes of the record of a batch's number: version, number, synced, seal.
pub(crate) const BATCH_VALUE_BYTES: usize = BATCH_VALUE_1_BYTES + SEAL_BYTES;
/// The same before batches were sealed.
pub(crate) const BATCH_VALUE_1_BYTES: usize = 1 + 8 + 8;

/// Key of the format version in the meta keyspace.
pub(crate) const META_FORMAT: &[u8] = b"f";
/// Key of the window record in the meta keyspace.
pub(crate) const META_WINDOW: &[u8] = b"w";
/// Key of the time of a delayed flush in the meta keyspace, up to format version 2: one for all
/// vbuckets.
pub(crate) const META_FLUSH_DUE: &[u8] = b"d";
/// Key of the batch number in the meta keyspace.
pub(crate) const META_BATCH: [u8; 1] = *b"b";
/// First byte of the keys of vbucket records in the meta keyspace.
pub(crate) const META_VBUCKET: u8 = b'v';
/// First byte of the keys of generations in the meta keyspace.
pub(crate) const META_GENERATION: u8 = b'g';

/// Key of the number of the last load whose changes were made, in the meta keyspace.
pub(crate) const META_LOADED: &[u8] = b"l";

/// Key of the latest load in the keyspace of the items: its number, and what it changes in the meta
/// keyspace. Shorter than the key of any item, and before all of them. Every load writes it and
/// nothing deletes it: fjall repeats of a journal what is newer than all rows in tables, so there
/// has to be a row of the latest load, which is in no journal; if that only deletes, a merge may
/// leave no other.
pub(crate) const ITEMS_LOAD: &[u8] = &[0];

/// Why bytes do not decode, as the end of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Defect(pub(crate) &'static str);

/// Which rows of a vbucket count: every key carries the generation in which it was written, and a
/// `clear` begins the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Generation {
    /// The one that counts.
    pub(crate) current: u32,
    /// Rows of earlier ones may still be there.
    pub(crate) has_old: bool,
}

/// Position in the order of commits, written with every batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BatchMark {
    /// Number of the batch: one more than that of the batch before it.
    pub(crate) number: u64,
    /// Every batch up to this number was synced to the disk before this one was begun.
    pub(crate) synced: u64,
}

/// Writes the key of an item into `buffer`, whose old contents go.
pub(crate) fn item_key(buffer: &mut Vec<u8>, vbucket: VbucketId, generation: u32, key: &[u8]) {
    buffer.clear();
    buffer.extend_from_slice(&item_prefix(vbucket, generation));
    buffer.extend_from_slice(key);
}

/// Bits of the prefix that hold the generation; the vbucket stands above them.
const GENERATION_BITS: u32 = 22;
/// Highest generation; the one after it is 0 again.
pub(crate) const GENERATION_MAX: u32 = (1 << GENERATION_BITS) - 1;

/// The prefix that all keys of a generation of a vbucket share. Four bytes for both: fjall keeps
/// keys of up to 20 bytes in place, and so those of up to 16 bytes of a client.
pub(crate) fn item_prefix(vbucket: VbucketId, generation: u32) -> [u8; 4] {
    (u32::from(vbucket.get()) << GENERATION_BITS | generation & GENERATION_MAX).to_be_bytes()
}

/// Splits the key of an item into vbucket, generation and client's key.
pub(crate) fn parse_item_key(bytes: &[u8]) -> Result<(VbucketId, u32, &[u8]), Defect> {
    let (prefix, key) = bytes
        .split_first_chunk::<4>()
        .ok_or(Defect("a key is shorter than 4 bytes"))?;
    let prefix = u32::from_be_bytes(*prefix);
    let id = u16::try_from(prefix >> GENERATION_BITS)
        .ok()
        .and_then(VbucketId::new);
    let id = id.ok_or(Defect("a key names a vbucket out of range"))?;
    Ok((id, prefix & GENERATION_MAX, key))
}

/// Writes the record of an item into `buffer`, whose old contents go.
pub(crate) fn item_value(buffer: &mut Vec<u8>, record: &Record<'_>) {
    buffer.clear();
    buffer.reserve(ITEM_HEADER_BYTES + record.value.len());
    buffer.push(RECORD_VERSION);
    buffer.extend_from_slice(&record.flags.to_ne_bytes());
    buffer.extend_from_slice(&record.expiry.to_be_bytes());
    buffer.extend_from_slice(&record.cas.to_be_bytes());
    buffer.extend_from_slice(record.value);
}

/// Reads the record of an item.
pub(crate) fn parse_item_value(bytes: &[u8]) -> Result<Record<'_>, Defect> {
    const SHORT: Defect = Defect("an item's record is too short");
    let rest = record_body(bytes)?;
    let (flags, rest) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
    let (expiry, rest) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
    let (cas, value) = rest.split_first_chunk::<8>().ok_or(SHORT)?;
    Ok(Record {
        flags: u32::from_ne_bytes(*flags),
        expiry: u32::from_be_bytes(*expiry),
        cas: u64::from_be_bytes(*cas),
        value,
    })
}

/// Key of a vbucket's record ([`META_VBUCKET`]) or generation ([`META_GENERATION`]).
pub(crate) fn meta_key(kind: u8, vbucket: VbucketId) -> [u8; 3] {
    let [high, low] = vbucket.get().to_be_bytes();
    [kind, high, low]
}

/// The vbucket of a key that [`meta_key`] made.
pub(crate) fn parse_meta_key(bytes: &[u8]) -> Result<VbucketId, Defect> {
    match bytes {
        [_, high, low] => VbucketId::new(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
    .ok_or(Defect("a record names no valid vbucket"))
}

/// The record of a vbucket.
pub(crate) fn vbucket_value(record: &VbucketRecord) -> Vec<u8> {
    let mut bytes = vec![VBUCKET_VERSION, record.state as u8];
    bytes.extend_from_slice(&record.checkpoint.get().to_be_bytes());
    bytes.extend_from_slice(&record.reserved.get().to_be_bytes());
    bytes.extend_from_slice(&record.due.to_be_bytes());
    bytes
}

/// Reads the record of a vbucket.
pub(crate) fn parse_vbucket_value(bytes: &[u8]) -> Result<VbucketRecord, Defect> {
    let body = versioned_body(bytes, VBUCKET_VERSION)?;
    let (body, due) = body.split_last_chunk::<4>().ok_or(VBUCKET_LENGTH)?;
    let record = parse_reserving_body(body)?;
    Ok(VbucketRecord {
        due: UnixTime::from_be_bytes(*due),
        ..record
    })
}

/// Reads the record of a vbucket of format version 2, which named no delayed flush.
pub(crate) fn parse_vbucket_value_2(bytes: &[u8]) -> Result<VbucketRecord, Defect> {
    parse_reserving_body(versioned_body(bytes, 2)?)
}

/// Reads the record of a vbucket of format version 1, which named no reserved ids.
pub(crate) fn parse_vbucket_value_1(bytes: &[u8]) -> Result<VbucketRecord, Defect> {
    parse_vbucket_body(versioned_body(bytes, 1)?)
}

const VBUCKET_LENGTH: Defect = Defect("a vbucket's record has the wrong length");

/// What the versions of a vbucket's record begin with that name reserved ids.
fn parse_reserving_body(body: &[u8]) -> Result<VbucketRecord, Defect> {
    let (body, reserved) = body.split_last_chunk::<8>().ok_or(VBUCKET_LENGTH)?;
    Ok(VbucketRecord {
        reserved: CheckpointId::new(u64::from_be_bytes(*reserved)),
        ..parse_vbucket_body(body)?
    })
}

/// What all versions of a vbucket's record begin with.
fn parse_vbucket_body(body: &[u8]) -> Result<VbucketRecord, Defect> {
    let (&state, checkpoint) = body.split_first().ok_or(VBUCKET_LENGTH)?;
    let state = VbucketState::from_wire(u32::from(state))
        .ok_or(Defect("a vbucket's record holds an unknown state"))?;
    let checkpoint = <[u8; 8]>::try_from(checkpoint).map_err(|_| VBUCKET_LENGTH)?;
    let checkpoint = u64::from_be_bytes(checkpoint);
    Ok(VbucketRecord {
        state,
        checkpoint: CheckpointId::new(checkpoint),
        reserved: CheckpointId::new(checkpoint.saturating_add(UNRECORDED_IDS)),
        due: 0,
    })
}

/// The record of the window.
pub(crate) fn window_value(window: WindowRecord) -> [u8; 2] {
    let byte = match window {
        WindowRecord::None => 0,
        WindowRecord::Open => 1,
        WindowRecord::Completed => 2,
        WindowRecord::Reverted => 3,
        WindowRecord::Lost => 4,
        WindowRecord::Expired => 5,
        WindowRecord::PartlyCompleted => 6,
    };
    [RECORD_VERSION, byte]
}

/// Reads the record of the window.
pub(crate) fn parse_window_value(bytes: &[u8]) -> Result<WindowRecord, Defect> {
    match record_body(bytes)? {
        [0] => Ok(WindowRecord::None),
        [1] => Ok(WindowRecord::Open),
        [2] => Ok(WindowRecord::Completed),
        [3] => Ok(WindowRecord::Reverted),
        [4] => Ok(WindowRecord::Lost),
        [5] => Ok(WindowRecord::Expired),
        [6] => Ok(WindowRecord::PartlyCompleted),
        _ => Err(Defect("the window's record holds an unknown state")),
    }
}

/// Reads the record of a delayed flush, of format version 2 and before.
pub(crate) fn parse_flush_due_value(bytes: &[u8]) -> Result<UnixTime, Defect> {
    let due = <[u8; 4]>::try_from(record_body(bytes)?);
    let due = due.map_err(|_| Defect("the time of a delayed flush has the wrong length"))?;
    Ok(UnixTime::from_be_bytes(due))
}

/// The record of a batch's number.
pub(crate) fn batch_value(mark: BatchMark, seal: &Seal) -> [u8; BATCH_VALUE_BYTES] {
    let mut bytes = [BATCH_VERSION; BATCH_VALUE_BYTES];
    let (_, body) = bytes.split_at_mut(1);
    let (number, body) = body.split_at_mut(8);
    let (synced, sum) = body.split_at_mut(8);
    number.copy_from_slice(&mark.number.to_be_bytes());
    synced.copy_from_slice(&mark.synced.to_be_bytes());
    sum.copy_from_slice(&seal.sum(mark));
    bytes
}

/// Reads the record of a batch's number, also one of before batches were sealed.
pub(crate) fn parse_batch_value(bytes: &[u8]) -> Result<BatchMark, Defect> {
    const LENGTH: Defect = Defect("a batch number has the wrong length");
    let (body, seal_bytes) = match bytes.first() {
        Some(&RECORD_VERSION) => (record_body(bytes)?, 0),
        _ => (versioned_body(bytes, BATCH_VERSION)?, SEAL_BYTES),
    };
    let (number, rest) = body.split_first_chunk::<8>().ok_or(LENGTH)?;
    let (synced, seal) = rest.split_first_chunk::<8>().ok_or(LENGTH)?;
    if seal.len() != seal_bytes {
        return Err(LENGTH);
    }
    Ok(BatchMark {
        number: u64::from_be_bytes(*number),
        synced: u64::from_be_bytes(*synced),
    })
}

/// The secret of a store. What it seals nobody can imitate who cannot read the store's files: a
/// client can write bytes of any form into them, but no seal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal([u8; SEAL_BYTES]);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// One that was never used before.
    pub(crate) fn random() -> Self {
        // The keys of both hashers come from the system's source of randomness.
        let half = |number: u64| RandomState::new().hash_one(number).to_be_bytes();
        let mut secret = [0; SEAL_BYTES];
        let (left, right) = secret.split_at_mut(8);
        left.copy_from_slice(&half(0));
        right.copy_from_slice(&half(1));
        Self(secret)
    }

    /// In the form of the STORE file.
    pub(crate) fn text(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }

    /// From the form of the STORE file.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let number = u128::from_str_radix(text, 16).ok()?;
        (text.len() == 2 * SEAL_BYTES).then(|| Self(number.to_be_bytes()))
    }

    /// Whether the record of a batch's number is one that this store wrote.
    pub(crate) fn is_on(&self, bytes: &[u8]) -> bool {
        parse_batch_value(bytes).is_ok_and(|mark| bytes == batch_value(mark, self))
    }

    fn sum(&self, mark: BatchMark) -> [u8; SEAL_BYTES] {
        let mut hash = Xxh3::new();
        hash.update(&self.0);
        hash.update(&mark.number.to_be_bytes());
        hash.update(&mark.synced.to_be_bytes());
        hash.digest128().to_be_bytes()
    }
}

/// The record of a vbucket's generation.
pub(crate) fn generation_value(generation: Generation) -> [u8; 6] {
    let [a, b, c, d] = generation.current.to_be_bytes();
    [RECORD_VERSION, u8::from(generation.has_old), a, b, c, d]
}

/// Reads the record of a vbucket's generation.
pub(crate) fn parse_generation_value(bytes: &[u8]) -> Result<Generation, Defect> {
    match record_body(bytes)? {
        [old @ (0 | 1), a, b, c, d] => Ok(Generation {
            current: u32::from_be_bytes([*a, *b, *c, *d]),
            has_old: *old == 1,
        }),
        _ => Err(Defect(
            "the record of a generation has the wrong length or content",
        )),
    }
}

/// The record of a load: its number, and keys and new values, or none to remove the key.
pub(crate) fn load_value<'a>(
    number: u64,
    changes: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
) -> Vec<u8> {
    let mut bytes = vec![LOAD_VERSION];
    bytes.extend_from_slice(&number.to_be_bytes());
    for (key, value) in changes {
        bytes.push(u8::from(value.is_some()));
        for part in [key, value.unwrap_or_default()] {
            let size = u32::try_from(part.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&size.to_be_bytes());
            bytes.extend_from_slice(part);
        }
    }
    bytes
}

/// Reads the record of a load, and hands each change to `visit`. Returns its number: up to format
/// version 3 there was none, and the record was deleted when its changes were made.
pub(crate) fn parse_load_value(
    bytes: &[u8],
    mut visit: impl FnMut(&[u8], Option<&[u8]>),
) -> Result<Option<u64>, Defect> {
    const SHORT: Defect = Defect("the record of an update that was completed is too short");
    let part = |bytes| -> Result<(&[u8], &[u8]), Defect> {
        let (size, rest) = <[u8]>::split_first_chunk::<4>(bytes).ok_or(SHORT)?;
        let size = usize::try_from(u32::from_be_bytes(*size)).map_err(|_| SHORT)?;
        rest.split_at_checked(size).ok_or(SHORT)
    };
    let (number, mut rest) = match bytes.split_first() {
        Some((&LOAD_VERSION, body)) => {
            let (number, rest) = <[u8]>::split_first_chunk::<8>(body).ok_or(SHORT)?;
            (Some(u64::from_be_bytes(*number)), rest)
        }
        _ => (None, record_body(bytes)?),
    };
    while let Some((&is_put, body)) = rest.split_first() {
        let (key, body) = part(body)?;
        let (value, body) = part(body)?;
        visit(key, (is_put == 1).then_some(value));
        rest = body;
    }
    Ok(number)
}

/// The record of the last load whose changes were made.
pub(crate) fn loaded_value(number: u64) -> Vec<u8> {
    let mut bytes = vec![RECORD_VERSION];
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes
}

/// Reads the record of the last load whose changes were made.
pub(crate) fn parse_loaded_value(bytes: &[u8]) -> Result<u64, Defect> {
    <[u8; 8]>::try_from(record_body(bytes)?)
        .map(u64::from_be_bytes)
        .map_err(|_| Defect("the number of the last load has the wrong length"))
}

/// The record of the format version. It has no version byte: it is one.
pub(crate) const fn format_value(version: u32) -> [u8; 4] {
    version.to_be_bytes()
}

/// Reads the record of the format version.
pub(crate) fn parse_format_value(bytes: &[u8]) -> Result<u32, Defect> {
    <[u8; 4]>::try_from(bytes)
        .map(u32::from_be_bytes)
        .map_err(|_| Defect("the format version has the wrong length"))
}

/// What follows the version byte of most records.
fn record_body(bytes: &[u8]) -> Result<&[u8], Defect> {
    versioned_body(bytes, RECORD_VERSION)
}

fn versioned_body(bytes: &[u8], version: u8) -> Result<&[u8], Defect> {
    match bytes.split_first() {
        Some((&found, rest)) if found == version => Ok(rest),
        Some(_) => Err(Defect("a record has an unknown version")),
        None => Err(Defect("a record is empty")),
    }
}
