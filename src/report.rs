//! Statistics, by group. Names are those of ep-engine 1.7 (ep-engine-1.7.md, section 7) where it
//! has them.
//!
//! Threads: host threads only. Nothing is counted here: everything is read from the engine.

use std::fmt::Display;

use crate::checkpoint::Log;
use crate::config::{Config, OnlineUpdateUndo};
use crate::engine::{Engine, UpdateState};
use crate::error::{Error, Result};
use crate::ffi::alloc::used_bytes;
use crate::host::{Cookie, StatSink};
use crate::types::VbucketState;
use crate::vbucket::{Found, Vbucket};

/// Writes a group of statistics; the empty group is the general one.
///
/// # Errors
/// `NotFound` for a group that does not exist, and for a key that does not.
pub(crate) fn stats(
    engine: &Engine,
    _cookie: Cookie,
    group: &[u8],
    sink: &mut dyn StatSink,
) -> Result<()> {
    let group = std::str::from_utf8(group).map_err(|_| Error::NotFound)?;
    let mut words = group.split(' ');
    match words.next().unwrap_or_default() {
        "" => general(engine, sink),
        "memory" => memory(engine.config(), sink),
        "vbucket" => vbuckets(engine, sink),
        "checkpoint" => checkpoints(engine, sink),
        "onlineupdate" => online_update(engine, sink),
        "onlineupdate-vb" => online_update_by_vbucket(engine, sink),
        "key" => return key(engine, words.next(), words.next(), sink),
        _ => return Err(Error::NotFound),
    }
    Ok(())
}

fn general(engine: &Engine, sink: &mut dyn StatSink) {
    let config = engine.config();
    let metrics = &engine.shared().metrics;
    sink.add("ep_version", &env!("CARGO_PKG_VERSION"));
    sink.add("ep_storage_type", &"featured");
    let dbname = config
        .dbname
        .as_deref()
        .map(|path| path.display().to_string());
    sink.add("ep_dbname", &dbname.as_deref().unwrap_or_default());
    let queued: usize = engine
        .vbuckets()
        .map(|vb| vb.with_log(Log::unpersisted))
        .sum();
    let todo = metrics.flusher_todo.get();
    sink.add("ep_queue_size", &(queued as u64).saturating_sub(todo));
    sink.add("ep_flusher_todo", &todo);
    let state = if engine.is_persisting() {
        "running"
    } else {
        "paused"
    };
    sink.add("ep_flusher_state", &state);
    sink.add("ep_max_txn_size", &config.max_txn_size);
    items(engine, sink);
    memory(config, sink);
    for (name, counter) in [
        ("ep_total_persisted", &metrics.persisted),
        ("ep_commit_num", &metrics.commits),
        ("ep_item_commit_failed", &metrics.commit_failures),
        ("ep_expired", &metrics.expired),
        ("ep_bg_fetched", &metrics.fetched),
        ("ep_bg_fetch_failed", &metrics.fetch_failures),
        ("ep_num_not_my_vbuckets", &metrics.not_my_vbucket),
        ("ep_tmp_oom_errors", &metrics.memory_refusals),
        ("ep_flush_all", &metrics.flush_alls),
        ("ep_warmed_up", &metrics.warmed_up),
        ("ep_warmup_time", &metrics.warmup_micros),
        ("ep_defects", &metrics.defects),
        ("evictions", &metrics.evictions),
        ("ep_onlineupdate_revert_add", &metrics.revert_add),
        ("ep_onlineupdate_revert_delete", &metrics.revert_delete),
        ("ep_onlineupdate_revert_update", &metrics.revert_update),
    ] {
        sink.add(name, &counter.get());
    }
    sink.add("ep_warmup", &config.warmup);
    let warmup = match metrics.warming_up.get() {
        0 => "complete",
        _ => "running",
    };
    sink.add("ep_warmup_thread", &warmup);
    let report = engine.update_report();
    sink.add("ep_onlineupdate", &(report.state != UpdateState::None));
    sink.add("ep_onlineupdate_last_outcome", &report.last_outcome);
}

fn items(engine: &Engine, sink: &mut dyn StatSink) {
    let (mut active, mut total) = (0, 0);
    let mut count = [0_usize; 5];
    for vbucket in engine.vbuckets() {
        let Some(state) = vbucket.state() else {
            continue;
        };
        if let Some(count) = count.get_mut(state as usize) {
            *count += 1;
        }
        if state != VbucketState::Dead {
            let items = vbucket.items();
            total += items;
            active += if state == VbucketState::Active {
                items
            } else {
                0
            };
        }
    }
    sink.add("curr_items", &active);
    sink.add("curr_items_tot", &total);
    sink.add("ep_vb_total", &count.iter().sum::<usize>());
    for state in [
        VbucketState::Active,
        VbucketState::Replica,
        VbucketState::Pending,
        VbucketState::Dead,
    ] {
        let count = count.get(state as usize).copied().unwrap_or_default();
        if state == VbucketState::Dead {
            sink.add("vb_dead_num", &count);
        } else {
            sink.add(&format!("vb_{}_num", state.name()), &count);
        }
    }
}

fn memory(config: &Config, sink: &mut dyn StatSink) {
    sink.add("mem_used", &used_bytes());
    sink.add("ep_max_data_size", &config.max_size);
    sink.add("ep_mem_low_wat", &config.mem_low_wat);
    sink.add("ep_mem_high_wat", &config.mem_high_wat);
}

fn vbuckets(engine: &Engine, sink: &mut dyn StatSink) {
    for vbucket in engine.vbuckets() {
        if let Some(state) = vbucket.state() {
            sink.add(&format!("vb_{}", vbucket.id()), &state.name());
        }
    }
}

fn checkpoints(engine: &Engine, sink: &mut dyn StatSink) {
    for vbucket in engine.vbuckets() {
        let Some(state) = vbucket.state() else {
            continue;
        };
        let (open, persisted, items, checkpoints, ahead) = vbucket.with_log(|log| {
            let open = log.open_id().get();
            (
                open,
                log.persisted_id(),
                log.entries(),
                log.checkpoints(),
                log.unpersisted(),
            )
        });
        let mut add = |name: &str, value: &dyn Display| {
            sink.add(&format!("vb_{}:{name}", vbucket.id()), value);
        };
        add("state", &state.name());
        add("open_checkpoint_id", &open);
        add("last_closed_checkpoint_id", &open.saturating_sub(1));
        add("persisted_checkpoint_id", &persisted);
        add("num_tap_cursors", &0);
        add("num_checkpoint_items", &items);
        add("num_checkpoints", &checkpoints);
        add("num_items_for_persistence", &ahead);
    }
}

fn online_update(engine: &Engine, sink: &mut dyn StatSink) {
    let report = engine.update_report();
    let undo = match engine.config().online_update_undo {
        OnlineUpdateUndo::Disk => "disk",
        OnlineUpdateUndo::Memory => "memory",
    };
    sink.add("state", &report.state.name());
    sink.add("seconds_open", &report.open_for.as_secs());
    sink.add("touched_keys", &report.touched);
    sink.add("window_bytes", &report.bytes);
    sink.add("undo", &undo);
    sink.add("last_outcome", &report.last_outcome);
}

fn online_update_by_vbucket(engine: &Engine, sink: &mut dyn StatSink) {
    for vbucket in engine.vbuckets() {
        let phase = vbucket.window_phase();
        let report = vbucket.window_report().unwrap_or_default();
        let id = vbucket.id();
        sink.add(
            &format!("vb_{id}:state"),
            &phase.map_or("none", |phase| phase.name()),
        );
        sink.add(&format!("vb_{id}:touched_keys"), &report.touched);
        sink.add(&format!("vb_{id}:window_bytes"), &report.bytes);
    }
}

/// `key KEY [VBUCKET]`.
fn key(
    engine: &Engine,
    key: Option<&str>,
    id: Option<&str>,
    sink: &mut dyn StatSink,
) -> Result<()> {
    let key = key.filter(|key| !key.is_empty()).ok_or(Error::Invalid)?;
    let id = id.map_or(Ok(0), str::parse).map_err(|_| Error::Invalid)?;
    let active = |vbucket: &&Vbucket| vbucket.state() == Some(VbucketState::Active);
    let vbucket = engine.vbucket(id).filter(active).ok_or(Error::NotFound)?;
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
