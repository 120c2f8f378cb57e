//! Brings a store of an earlier format version up to the current one.
//!
//! First the `STORE` file is rewritten: from then on programs of earlier versions refuse the store.
//! Then one synced batch rewrites every record that changed, and the version in the database with
//! them. A process that dies between the two leaves a store whose `STORE` file is ahead of its
//! database: the next start goes on from there.

use ::fjall::PersistMode;

use super::StoreError;
use super::cause::{Cause, guarded};
use super::codec::{self, BatchMark};
use super::database::{Changes, Db};
use super::dir::Home;
use crate::types::VbucketState;

/// Upgrades what was just opened, if it is of an earlier version; `last` is its last batch.
///
/// # Errors
/// The database is closed again; every key is as it was, and the next start tries again.
pub(crate) fn upgrade(
    home: &mut Home,
    mut db: Db,
    last: BatchMark,
) -> Result<(Db, BatchMark), StoreError> {
    if db.format == codec::FORMAT_VERSION {
        return Ok((db, last));
    }
    let seal = db.seal;
    // Of batches without a seal, as earlier versions wrote them, a process that is killed behind
    // the declaration could lose some without a word: tables are to hold them all before it.
    let next = guarded(|| db.write_out(0))
        .map_err(|cause| home.refuse(&cause, true))
        .and_then(|()| home.declare(seal))
        .and_then(|()| convert(&db, last).map_err(|cause| home.refuse(&cause, true)));
    match next {
        Ok(mark) => {
            db.format = codec::FORMAT_VERSION;
            Ok((db, mark))
        }
        Err(error) => {
            db.close();
            Err(error)
        }
    }
}

/// Rewrites what changed. That batches are sealed since version 3 needs a seal in the `STORE` file
/// and no record; that loads have numbers since version 4 needs the changes of one without to be
/// made before, and they were.
fn convert(db: &Db, last: BatchMark) -> Result<BatchMark, Cause> {
    let mut changes = Changes::default();
    if db.format < 3 {
        convert_vbuckets(db, &mut changes)?;
    }
    changes.put_meta(
        codec::META_FORMAT,
        &codec::format_value(codec::FORMAT_VERSION),
    );
    let mark = BatchMark {
        number: last.number + 1,
        synced: last.synced,
    };
    guarded(|| db.commit(changes, mark, PersistMode::SyncAll))?;
    Ok(BatchMark {
        number: mark.number,
        synced: mark.number,
    })
}

/// A vbucket's record says which ids of checkpoints may have been given, which version 1 did not
/// know, and when a delayed flush is due, which stood in one record for all active vbuckets before
/// version 3.
fn convert_vbuckets(db: &Db, changes: &mut Changes) -> Result<(), Cause> {
    let due = match guarded(|| db.meta.get(codec::META_FLUSH_DUE))? {
        Some(value) => codec::parse_flush_due_value(&value)?,
        None => 0,
    };
    let parse = match db.format {
        1 => codec::parse_vbucket_value_1,
        _ => codec::parse_vbucket_value_2,
    };
    for entry in guarded(|| Ok(db.meta.prefix([codec::META_VBUCKET])))? {
        let (key, value) = guarded(|| entry.into_inner())?;
        codec::parse_meta_key(&key)?;
        let mut record = parse(&value)?;
        if record.state == VbucketState::Active {
            record.due = due;
        }
        changes.put_meta(&key, &codec::vbucket_value(&record));
    }
    changes.remove_meta(codec::META_FLUSH_DUE);
    Ok(())
}
