//! Statistics, by group. Names and units are those of ep-engine 1.7 where
//! it has them; `docs/statistics.md` lists them all.
//!
//! Threads: host threads only. Nothing is counted here: everything is read from the engine. No
//! group walks the keys (`onlineupdate-keys` looks at a bounded number of them, in steps); locks
//! are held for a few loads at a time. A group that waits for the disk writes nothing before it
//! returns `WouldBlock` (docs/hosts.md, "Rules", 10).
//!
//! What ep-engine has and this engine does not stands in docs/compatibility.md, which is made of
//! `tests/classic.rs`.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::host::{Cookie, StatSink};

mod general;
mod jobs;
mod keys;
mod machine;
mod restore;
mod scrub;
mod tap;
#[cfg(test)]
mod tests;
mod timings;
mod update;
mod vbuckets;

/// Writes a group of statistics; the empty group is the general one.
///
/// # Errors
/// `NotFound` for a group that does not exist, and for a key that does not; `WouldBlock` when the
/// client will be notified.
pub(crate) fn stats(
    engine: &Engine,
    cookie: Cookie,
    group: &[u8],
    sink: &mut dyn StatSink,
) -> Result<()> {
    if let Some(prefix) = update::keys_prefix(group) {
        update::keys(engine, prefix, sink);
        return Ok(());
    }
    let group = std::str::from_utf8(group).map_err(|_| Error::NotFound)?;
    let words: Vec<&str> = group.split_ascii_whitespace().collect();
    match words[..] {
        [] => general::all(engine, sink),
        // memcached's lists of slab classes: there are none, and clients wait for an end.
        ["items" | "slabs" | "sizes"] => {}
        // Hosts do not pass it on: they call `reset_stats`.
        ["reset"] => engine.reset_stats(),
        ["memory"] => general::memory(engine, sink),
        ["vbucket"] => vbuckets::states(engine, sink),
        ["prev-vbucket"] => vbuckets::previous_states(engine, sink),
        ["checkpoint"] => vbuckets::checkpoints(engine, sink),
        ["hash"] => vbuckets::tables(engine, sink),
        ["timings"] => timings::all(engine, sink),
        ["dispatcher"] => jobs::all(engine, sink),
        ["onlineupdate"] => update::node(engine, sink),
        ["onlineupdate-vb"] => update::by_vbucket(engine, sink),
        ["restore"] => restore::all(engine, sink),
        ["scrub"] => scrub::all(engine, sink),
        ["lacking"] => update::lacking(engine, sink),
        ["tap"] => tap::all(engine, sink),
        // Tools use this one.
        ["tapagg"] => tap::aggregated(engine, "_", sink),
        ["tapagg", separator] => tap::aggregated(engine, separator, sink),
        ["key", ref which @ ..] => return keys::key(engine, which, sink),
        ["vkey", ref which @ ..] => return keys::vkey(engine, cookie, which, sink),
        _ => return Err(Error::NotFound),
    }
    Ok(())
}
