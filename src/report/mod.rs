//! Statistics, by group. Names and units are those of ep-engine 1.7 where
//! it has them; `docs/statistics.md` lists them all.
//!
//! Threads: host threads only. Nothing is counted here: everything is read from the engine. No
//! group walks the keys (`onlineupdate-keys` looks at a bounded number of them, in steps); locks
//! are held for a few loads at a time. A group that waits for the disk writes nothing before it
//! returns `WouldBlock` (docs/hosts.md, "Rules", 10).
//!
//! # What ep-engine has and this engine does not
//! | statistics | why not |
//! |---|---|
//! | `ep_dbshards`, `ep_db_strategy`, `ep_store_max_*` | describe SQLite |
//! | `ep_dbinit` | not measured: what takes long is in `ep_warmup_time` |
//! | `ep_total_new_items`, `vb_X_ops_create`, `_update` | a row is written without a look at it |
//! | `vb_X_ops_delete`, `vb_X_ops_reject` | counted for the whole node, failures by batch |
//! | `ep_flush_preempts` | reads do not wait for the flusher |
//! | `ep_value_size` | keys and values are one allocation: `ep_kv_size` |
//! | `vb_X_queue_*` but `_size`; `ep_diskqueue_memory`, `_pending` | counted for the whole node |
//! | `vb_X_eject` | counted for the whole node: `ep_num_value_ejects` |
//! | `ep_num_eject_replicas` | what holds for active vbuckets holds for replicas |
//! | `ep_db_cleaner_status` | no read sees a void row, however late it goes |
//! | `ep_warmup_dups`, `ep_warmup_oom` | no row stands twice; no key is left out |
//! | `ep_latency_*`, `get_cmd`, `store_cmd`, `arith_cmd` | would cost every operation a clock |
//! | `disk_*` of `timings` but `disk_commit` | what is timed is a whole commit |
//! | `key_dirtied`, `key_data_age`, `key_last_...` | would cost every item a time |
//! | `*_depth`, `histo_*`, `mem_size_counted` of `hash` | no chains; no group walks the keys |
//! | group `dispatcher` | no dispatcher |
//! | `ep_tap_bg_num_samples`, `_wait_*`, `_load_*` of `tap` | values are read many at a time |

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::host::{Cookie, StatSink};

mod general;
mod keys;
mod machine;
mod restore;
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
        ["memory"] => general::memory(engine, sink),
        ["vbucket"] => vbuckets::states(engine, sink),
        ["prev-vbucket"] => vbuckets::previous_states(engine, sink),
        ["checkpoint"] => vbuckets::checkpoints(engine, sink),
        ["hash"] => vbuckets::tables(engine, sink),
        ["timings"] => timings::all(engine, sink),
        ["onlineupdate"] => update::node(engine, sink),
        ["onlineupdate-vb"] => update::by_vbucket(engine, sink),
        ["restore"] => restore::all(engine, sink),
        ["lacking"] => update::lacking(engine, sink),
        ["tap"] => tap::all(engine, sink),
        ["tapagg", separator] => tap::aggregated(engine, separator, sink),
        ["key", ref which @ ..] => return keys::key(engine, which, sink),
        ["vkey", ref which @ ..] => return keys::vkey(engine, cookie, which, sink),
        _ => return Err(Error::NotFound),
    }
    Ok(())
}
