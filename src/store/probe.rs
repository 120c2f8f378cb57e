//! Files of a store for fuzzers, with checksums that are right whatever is in them.

use std::fs;
use std::path::Path;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::check::{self, Refusal};
use super::codec::{self, BatchMark, Seal};
use super::journal::{self, META_KEYSPACE};

/// A batch as fjall writes it: changes of the meta keyspace or the items' (key, value or none), and
/// its own number last.
pub(crate) fn batch<'a>(
    number: u64,
    synced: u64,
    sealed: bool,
    changes: impl Iterator<Item = (bool, &'a [u8], Option<&'a [u8]>)>,
) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut count = 0_u32;
    let mut entry = |keyspace: u64, key: &[u8], value: Option<&[u8]>| {
        let bytes = value.unwrap_or_default();
        let size = u32::try_from(bytes.len()).unwrap_or_default().to_le_bytes();
        let key = key.get(..key.len().min(250)).unwrap_or_default();
        entries.extend([2, u8::from(value.is_none()), 0]);
        entries.extend(keyspace.to_le_bytes());
        entries.extend(u16::try_from(key.len()).unwrap_or_default().to_le_bytes());
        entries.extend([size, size].concat());
        entries.extend([key, bytes].concat());
        count += 1;
    };
    for (in_meta, key, value) in changes {
        entry(if in_meta { META_KEYSPACE } else { 1 }, key, value);
    }
    let mark = codec::batch_value(BatchMark { number, synced }, &seal());
    let old = [
        &[1],
        mark.get(1..codec::BATCH_VALUE_1_BYTES).unwrap_or_default(),
    ]
    .concat();
    let mark = if sealed { &mark[..] } else { &old };
    entry(META_KEYSPACE, &codec::META_BATCH, Some(mark));
    let mut bytes = vec![1];
    bytes.extend(count.to_le_bytes());
    bytes.extend(number.to_le_bytes());
    bytes.extend(&entries);
    bytes.push(3);
    bytes.extend(xxh3_64(&entries).to_le_bytes());
    bytes.extend(b"FJL\x03");
    bytes
}

fn seal() -> Seal {
    Seal::parse(&"5".repeat(32)).unwrap_or_else(Seal::random)
}

/// Examines the journals of a folder: the number of the last batch (0 for none), and where the
/// newest file is to end if not where it does.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn journal(
    folder: &Path,
    keep: Option<u64>,
    sealed: bool,
) -> Result<(u64, Option<u64>), Refusal> {
    let seal = seal();
    let found = journal::examine(folder, keep, sealed.then_some(&seal))?;
    let cut = found.cut.as_ref().map(|(_, at)| *at);
    found.cut_tail()?;
    // What was cut off is not there the second time.
    let again = journal::examine(folder, keep, sealed.then_some(&seal))?;
    assert_eq!((again.last, again.cut), (found.last, None));
    Ok((found.last.unwrap_or_default(), cut))
}

/// Reads a manifest of items that stands in a folder made for it.
pub(crate) fn manifest(folder: &Path, bytes: &[u8]) {
    let keyspace = folder.join("keyspaces/1");
    let current = [
        &1_u64.to_le_bytes()[..],
        &xxh3_128(bytes).to_le_bytes(),
        &[0],
    ];
    let written = fs::create_dir_all(&keyspace)
        .and_then(|()| fs::write(keyspace.join("current"), current.concat()))
        .and_then(|()| fs::write(keyspace.join("v1"), bytes));
    if written.is_ok() {
        let found = check::item_tables(folder);
        assert!(found.is_err() || found.is_ok_and(|tables| tables.len() * 33 <= bytes.len()));
    }
}
