//! What stands in the files of a store.

use std::fs;

use arbitrary::{Arbitrary, Unstructured};

use crate::store::{codec, probe};

/// Keys and records: the first byte says which kind it is.
///
/// # Panics
/// When what is read and written again is another.
pub fn records(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    match kind % 10 {
        0 => {
            if let Ok((vbucket, generation, key)) = codec::parse_item_key(bytes) {
                let mut again = Vec::new();
                codec::item_key(&mut again, vbucket, generation, key);
                assert_eq!(again, bytes);
            }
        }
        1 => {
            if let Ok(record) = codec::parse_item_value(bytes) {
                let mut again = Vec::new();
                codec::item_value(&mut again, &record);
                assert_eq!(again, bytes);
            }
        }
        2 => {
            if let Ok(record) = codec::parse_vbucket_value(bytes) {
                assert_eq!(codec::vbucket_value(&record), bytes);
            }
        }
        3 => drop(codec::parse_vbucket_value_2(bytes)),
        4 => drop(codec::parse_vbucket_value_1(bytes)),
        5 => {
            if let Ok(window) = codec::parse_window_value(bytes) {
                assert_eq!(codec::window_value(window), bytes);
            }
        }
        6 => drop(codec::parse_flush_due_value(bytes)),
        7 => drop(codec::parse_batch_value(bytes)),
        8 => {
            if let Ok(generation) = codec::parse_generation_value(bytes) {
                assert_eq!(codec::generation_value(generation), bytes);
            }
        }
        _ => pending(bytes),
    }
}

/// The changes of an update that was completed.
fn pending(bytes: &[u8]) {
    let mut changes: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
    let whole = codec::parse_load_value(bytes, |key, value| {
        changes.push((key.to_vec(), value.map(<[u8]>::to_vec)));
    });
    if let Ok(number) = whole {
        let changes = changes.iter();
        let changes = changes.map(|(key, value)| (&key[..], value.as_deref()));
        let again = codec::load_value(number.unwrap_or(1), changes);
        let count = |bytes: &[u8]| {
            let mut count = 0;
            let _ = codec::parse_load_value(bytes, |_, _| count += 1);
            count
        };
        assert_eq!(count(&again), count(bytes));
    }
}

/// One change of a batch.
#[derive(Arbitrary, Debug)]
struct Change {
    in_meta: bool,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

/// What became of a journal's bytes.
#[derive(Arbitrary, Debug)]
enum Damage {
    /// They end here.
    Cut(u16),
    /// So many are something else.
    Over { at: u16, bytes: Vec<u8> },
    /// So many are zero, as a sector that was not written.
    Zero { at: u16, count: u16 },
    /// Something stands behind them.
    More(Vec<u8>),
}

/// A journal of some batches, and what became of it.
#[derive(Arbitrary, Debug)]
struct Story {
    sealed: bool,
    keep: Option<u8>,
    batches: Vec<(u8, Vec<Change>)>,
    damages: Vec<Damage>,
}

/// A journal whose batches are right, then damaged: it is refused, or read as far as it is right,
/// and never beyond what was written.
///
/// # Panics
/// When it is not.
pub fn journal(data: &[u8]) {
    let Ok(story) = Story::arbitrary(&mut Unstructured::new(data)) else {
        return;
    };
    let mut bytes = Vec::new();
    let mut last = 0;
    for (gap, changes) in &story.batches {
        // Numbers that follow each other, most of the time.
        last += 1 + u64::from(*gap == u8::MAX);
        let changes = changes
            .iter()
            .map(|it| (it.in_meta, &it.key[..], it.value.as_deref()));
        let synced = last.saturating_sub(u64::from(*gap % 3));
        bytes.extend(probe::batch(last, synced, story.sealed, changes));
    }
    let whole = story.damages.is_empty();
    for damage in story.damages {
        apply(&mut bytes, damage);
    }
    let folder = tempdir();
    fs::write(folder.path().join("0.jnl"), &bytes).unwrap();
    let keep = story.keep.map(u64::from);
    let found = probe::journal(folder.path(), keep, story.sealed);
    if let Ok((found, cut)) = found {
        assert!(found <= last || !whole, "{found} of {last}");
        assert!(cut.unwrap_or_default() <= bytes.len() as u64);
    }
}

fn apply(bytes: &mut Vec<u8>, damage: Damage) {
    match damage {
        Damage::Cut(at) => bytes.truncate(at.into()),
        Damage::Over { at, bytes: new } => {
            let room = bytes.get_mut(usize::from(at)..).unwrap_or_default();
            for (old, new) in room.iter_mut().zip(new) {
                *old = new;
            }
        }
        Damage::Zero { at, count } => {
            let room = bytes.get_mut(usize::from(at)..).unwrap_or_default();
            room.iter_mut().take(count.into()).for_each(|it| *it = 0);
        }
        Damage::More(more) => bytes.extend(more),
    }
}

/// The manifest of a keyspace, with a file `current` that is right.
///
/// # Panics
/// When it names more tables than it has room for.
pub fn manifest(data: &[u8]) {
    let folder = tempdir();
    probe::manifest(folder.path(), data);
}

/// In memory where there is such a place: a fuzzer makes thousands a second.
fn tempdir() -> tempfile::TempDir {
    let shm = std::path::Path::new("/dev/shm");
    let made = if shm.is_dir() {
        tempfile::tempdir_in(shm)
    } else {
        tempfile::tempdir()
    };
    made.unwrap()
}
