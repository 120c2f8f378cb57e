//! Groups on one key: `key KEY [VBUCKET]` and `vkey KEY [VBUCKET]`.

use crate::engine::{Engine, Validity};
use crate::error::{Error, Result};
use crate::host::{Cookie, StatSink};
use crate::types::VbucketState;
use crate::vbucket::{Found, Vbucket};

/// What is known of a key in memory.
pub(super) fn key(
    engine: &Engine,
    key: Option<&str>,
    id: Option<&str>,
    sink: &mut dyn StatSink,
) -> Result<()> {
    let (key, id) = parse(key, id)?;
    let active = |vbucket: &&Vbucket| vbucket.state() == Some(VbucketState::Active);
    let vbucket = engine.vbucket(id).filter(active).ok_or(Error::NotFound)?;
    report(engine, vbucket, key, sink)
}

/// The same, and how it compares with the store.
pub(super) fn vkey(
    engine: &Engine,
    cookie: Cookie,
    key: Option<&str>,
    id: Option<&str>,
    sink: &mut dyn StatSink,
) -> Result<()> {
    let (key, id) = parse(key, id)?;
    let validity = engine.verify(cookie, key.as_bytes(), id)?;
    let vbucket = engine.vbucket(id).ok_or(Error::NotMyVbucket)?;
    let gone = report(engine, vbucket, key, sink).is_err();
    let validity = if gone { Validity::Deleted } else { validity };
    sink.add("key_valid", &validity.name());
    Ok(())
}

fn parse<'a>(key: Option<&'a str>, id: Option<&str>) -> Result<(&'a str, u16)> {
    let key = key.filter(|key| !key.is_empty()).ok_or(Error::Invalid)?;
    let id = id.map_or(Ok(0), str::parse).map_err(|_| Error::Invalid)?;
    Ok((key, id))
}

fn report(engine: &Engine, vbucket: &Vbucket, key: &str, sink: &mut dyn StatSink) -> Result<()> {
    let hash = engine.hash(key.as_bytes());
    let (Found::Hit(item) | Found::NotResident(item)) = vbucket.get(hash, key.as_bytes()) else {
        return Err(Error::NotFound);
    };
    sink.add("key_is_dirty", &u8::from(vbucket.is_dirty(&item)));
    sink.add("key_exptime", &item.expiry());
    // As a number, in the order of the bytes that the client sent.
    sink.add("key_flags", &u32::from_be(item.flags()));
    sink.add("key_cas", &item.cas());
    sink.add("key_is_resident", &u8::from(item.is_resident()));
    Ok(())
}
