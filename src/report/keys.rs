//! Groups on one key: `key KEY [VBUCKET]` and `vkey KEY [VBUCKET]`.

use crate::engine::{Engine, Validity};
use crate::error::{Error, Result};
use crate::host::{Cookie, StatSink};
use crate::types::VbucketState;
use crate::vbucket::Vbucket;

/// What is known of a key in memory.
pub(super) fn key(engine: &Engine, which: &[&str], sink: &mut dyn StatSink) -> Result<()> {
    let (key, id) = parse(which)?;
    let active = |vbucket: &&Vbucket| vbucket.state() == Some(VbucketState::Active);
    let vbucket = engine.vbucket_of_keys(id).filter(active);
    let vbucket = vbucket.ok_or(Error::NotFound)?;
    report(engine, vbucket, key, sink)
}

/// The same, and how it compares with the store.
pub(super) fn vkey(
    engine: &Engine,
    cookie: Cookie,
    which: &[&str],
    sink: &mut dyn StatSink,
) -> Result<()> {
    let (key, id) = parse(which)?;
    let verified = engine.verify(cookie, key.as_bytes(), id);
    let validity = verified.map_err(|error| match error {
        Error::NotMyVbucket => Error::NotFound,
        other => other,
    })?;
    let vbucket = engine.vbucket_of_keys(id).ok_or(Error::NotFound)?;
    let gone = report(engine, vbucket, key, sink).is_err();
    let validity = if gone { Validity::Deleted } else { validity };
    sink.add("key_valid", &validity.name());
    Ok(())
}

/// The key and the vbucket that is meant. Other words are no group: hosts have one answer to that,
/// and a defect's to most other errors.
fn parse<'a>(which: &[&'a str]) -> Result<(&'a str, u16)> {
    match *which {
        [key] => Ok((key, 0)),
        [key, id] => Ok((key, id.parse().map_err(|_| Error::NotFound)?)),
        _ => Err(Error::NotFound),
    }
}

fn report(engine: &Engine, vbucket: &Vbucket, key: &str, sink: &mut dyn StatSink) -> Result<()> {
    let hash = engine.hash(key.as_bytes());
    let found = vbucket.get(hash, key.as_bytes()).item();
    let item = found.ok_or(Error::NotFound)?;
    let changed = vbucket.changed(&item);
    let since = if changed.dirty { changed.at } else { 0 };
    let now = engine.shared().unix_now();
    let waits = if changed.dirty {
        now.saturating_sub(since)
    } else {
        0
    };
    sink.add("key_is_dirty", &u8::from(changed.dirty));
    sink.add("key_dirtied", &since);
    sink.add("key_data_age", &waits);
    sink.add("key_last_modification_time", &changed.at);
    sink.add("key_exptime", &item.expiry());
    // As a number, in the order of the bytes that the client sent.
    sink.add("key_flags", &u32::from_be(item.flags()));
    sink.add("key_cas", &item.cas());
    sink.add("key_is_resident", &u8::from(item.is_resident()));
    Ok(())
}
