//! The general group and `memory`.

use super::machine;
use crate::announced;
use crate::checkpoint::Queue;
use crate::config::UNLIMITED;
use crate::engine::{Engine, UpdateState};
use crate::ffi::alloc::used_bytes;
use crate::host::StatSink;
use crate::types::VbucketState;
use crate::vbucket::{Figures, Shape, Vbucket};

/// All of the general group.
pub(super) fn all(engine: &Engine, sink: &mut dyn StatSink) {
    let totals = Totals::new(engine);
    node(engine, sink);
    classic(engine, &totals, sink);
    queue(engine, &totals, sink);
    items(&totals, sink);
    by_state(&totals, sink);
    quota(engine, &totals, sink);
    counters(engine, sink);
    flushing(engine, sink);
    deletions(engine, sink);
    reads(engine, sink);
    clients(engine, sink);
    update(engine, sink);
}

/// What ep-engine counted and what is the same at all times here: tools look for it. There is one
/// database; no read waits for the flusher; what is about to expire is written; who reads and who
/// writes is fixed.
const CONSTANT: [(&str, u64); 6] = [
    ("ep_dbshards", 1),
    ("ep_flush_preempts", 0),
    ("ep_item_flush_expired", 0),
    ("ep_store_max_concurrency", 3),
    ("ep_store_max_readers", 2),
    ("ep_store_max_readwrite", 1),
];

/// What the vbuckets of one state hold together.
#[derive(Debug, Default)]
struct Total {
    vbuckets: usize,
    table: Figures,
    /// What is ahead of the persistence cursor.
    queue: Queue,
    /// Bytes that the logs have besides the tables.
    log_bytes: usize,
    /// Rows that were new, that took the place of others, deleted; changes in failed commits;
    /// values that left memory.
    writes: [u64; 5],
    /// Changes that were ever logged.
    logged: u64,
    /// How many of them stored an item.
    stored: u64,
    shape: Shape,
}

impl Total {
    fn add(&mut self, vbucket: &Vbucket) {
        self.vbuckets += 1;
        self.table.add(vbucket.figures());
        self.queue.add(vbucket.queue());
        let (log_bytes, logged, stored) =
            vbucket.with_log(|log| (log.own_bytes(), log.logged(), log.stored()));
        self.log_bytes += log_bytes;
        let writes = vbucket.writes();
        let counters = [
            &writes.created,
            &writes.updated,
            &writes.deleted,
            &writes.rejected,
            &writes.ejected,
        ];
        for (sum, counter) in self.writes.iter_mut().zip(counters) {
            *sum += counter.get();
        }
        self.logged += logged;
        self.stored += stored;
        self.shape.add(vbucket.shape());
    }
}

impl Total {
    /// Share of the keys whose value is in memory, in whole percent; of none, all.
    fn percent_resident(&self) -> usize {
        let resident = self.table.items.saturating_sub(self.table.evicted);
        (resident * 100)
            .checked_div(self.table.items)
            .unwrap_or(100)
    }
}

#[derive(Debug, Default)]
struct Totals {
    active: Total,
    replica: Total,
    pending: Total,
    dead: Total,
}

impl Totals {
    fn new(engine: &Engine) -> Self {
        let mut totals = Self::default();
        for vbucket in engine.vbuckets() {
            let total = match vbucket.state() {
                Some(VbucketState::Active) => &mut totals.active,
                Some(VbucketState::Replica) => &mut totals.replica,
                Some(VbucketState::Pending) => &mut totals.pending,
                Some(VbucketState::Dead) => &mut totals.dead,
                None => continue,
            };
            total.add(vbucket);
        }
        totals
    }

    /// The states that serve or will, with their names.
    fn living(&self) -> [(VbucketState, &Total); 3] {
        [
            (VbucketState::Active, &self.active),
            (VbucketState::Replica, &self.replica),
            (VbucketState::Pending, &self.pending),
        ]
    }

    fn queue(&self) -> Queue {
        let mut queue = self.dead.queue;
        for (_, total) in self.living() {
            queue.add(total.queue);
        }
        queue
    }

    fn logged(&self) -> u64 {
        let living: u64 = self.living().iter().map(|(_, total)| total.logged).sum();
        living + self.dead.logged
    }

    fn stored(&self) -> u64 {
        let living: u64 = self.living().iter().map(|(_, total)| total.stored).sum();
        living + self.dead.stored
    }
}

/// What memcached's own engine reports too, under its names: monitors ask any server for these, and
/// divide by the limit.
fn classic(engine: &Engine, totals: &Totals, sink: &mut dyn StatSink) {
    let shared = engine.shared();
    let limit = match shared.settings.max_size.get() {
        UNLIMITED => machine::memory_bytes(),
        max_size => max_size,
    };
    let living = totals.living().map(|(_, total)| total.table.bytes);
    let bytes = living.iter().sum::<usize>() + totals.dead.table.bytes;
    sink.add("bytes", &bytes);
    sink.add("engine_maxbytes", &limit);
    let stored = totals.stored() + shared.metrics.stored_by_deleted.get();
    sink.add("total_items", &stored);
    sink.add("reclaimed", &shared.metrics.expired.get());
}

fn node(engine: &Engine, sink: &mut dyn StatSink) {
    let config = engine.config();
    let settings = &engine.shared().settings;
    sink.add("ep_version", &env!("CARGO_PKG_VERSION"));
    sink.add("ep_storage_type", &"featured");
    let dbname = config
        .dbname
        .as_deref()
        .map(|path| path.display().to_string());
    sink.add("ep_dbname", &dbname.as_deref().unwrap_or_default());
    sink.add("ep_dbinit", &engine.shared().metrics.open_seconds.get());
    sink.add("ep_db_strategy", &"singleDB");
    for (name, value) in CONSTANT {
        sink.add(name, &value);
    }
    sink.add("ep_warmup", &config.warmup);
    if config.warmup {
        warmup(engine, sink);
    }
    for (name, setting) in [
        ("ep_exp_pager_stime", &settings.exp_pager_stime),
        ("ep_max_txn_size", &settings.max_txn_size),
        ("ep_min_data_age", &settings.min_data_age),
        ("ep_queue_age_cap", &settings.queue_age_cap),
        ("ep_tap_keepalive", &settings.tap_keepalive),
    ] {
        sink.add(name, &setting.get());
    }
    super::tap::reads(engine, sink);
}

/// How the database was loaded; nothing where it is not, as ep-engine has it. Its rows have no key
/// twice, and no key is left out for want of memory.
fn warmup(engine: &Engine, sink: &mut dyn StatSink) {
    let metrics = &engine.shared().metrics;
    let running = metrics.warming_up.get() != 0;
    let state = match (running, metrics.warmup_failed.get()) {
        (true, _) => "running",
        (false, 0) => "complete",
        (false, _) => "failed",
    };
    sink.add("ep_warmup_thread", &state);
    sink.add("ep_warmed_up", &metrics.warmed_up.get());
    sink.add("ep_warmed_up_values", &metrics.warmed_values.get());
    sink.add("ep_warmup_dups", &0);
    sink.add("ep_warmup_oom", &0);
    if !running {
        sink.add("ep_warmup_time", &metrics.warmup_micros.get());
    }
}

fn queue(engine: &Engine, totals: &Totals, sink: &mut dyn StatSink) {
    let metrics = &engine.shared().metrics;
    let todo = metrics.flusher_todo.get();
    let queue = totals.queue();
    let queued = queue.changes as u64;
    sink.add("ep_queue_size", &queued.saturating_sub(todo));
    sink.add("ep_flusher_todo", &todo);
    // What the flusher has taken is one transaction.
    sink.add("ep_uncommitted_items", &todo);
    sink.add("ep_diskqueue_items", &queued);
    sink.add("ep_diskqueue_memory", &queue.memory());
    sink.add("ep_diskqueue_pending", &queue.bytes);
    sink.add("ep_flusher_state", &engine.flusher_state().name());
    let enqueued = totals.logged() + metrics.enqueued_by_deleted.get();
    sink.add("ep_total_enqueued", &enqueued);
    sink.add("ep_diskqueue_fill", &enqueued);
    sink.add("ep_diskqueue_drain", &metrics.persisted.get());
}

fn items(totals: &Totals, sink: &mut dyn StatSink) {
    let living = totals.living();
    let total = |count: fn(&Total) -> usize| -> usize {
        living.iter().map(|(_, total)| count(total)).sum()
    };
    sink.add("curr_items", &totals.active.table.items);
    sink.add("curr_items_tot", &total(|total| total.table.items));
    let evicted = total(|total| total.table.evicted);
    sink.add("ep_num_non_resident", &evicted);
    let evicted = totals.active.table.evicted;
    sink.add("ep_num_active_non_resident", &evicted);
    let vbuckets = total(|total| total.vbuckets) + totals.dead.vbuckets;
    sink.add("ep_vb_total", &vbuckets);
    sink.add("vb_dead_num", &totals.dead.vbuckets);
}

fn by_state(totals: &Totals, sink: &mut dyn StatSink) {
    for (state, total) in totals.living() {
        for (name, value) in [
            ("num", total.vbuckets),
            ("curr_items", total.table.items),
            ("num_non_resident", total.table.evicted),
            ("perc_mem_resident", total.percent_resident()),
            ("queue_size", total.queue.changes),
            ("queue_memory", total.queue.memory()),
            ("queue_pending", total.queue.bytes),
            ("ht_memory", total.shape.bytes),
            ("itm_memory", total.table.bytes),
        ] {
            sink.add(&format!("vb_{}_{name}", state.name()), &value);
        }
        let [created, updated, deleted, rejected, ejected] = total.writes;
        for (name, value) in [
            ("queue_age", total.queue.age * 1000),
            ("queue_fill", total.logged),
            ("queue_drain", created + updated + deleted),
            ("ops_create", created),
            ("ops_update", updated),
            ("ops_delete", deleted),
            ("ops_reject", rejected),
            ("eject", ejected),
        ] {
            sink.add(&format!("vb_{}_{name}", state.name()), &value);
        }
    }
}

/// The group `memory`, which the general group contains.
pub(super) fn memory(engine: &Engine, sink: &mut dyn StatSink) {
    quota(engine, &Totals::new(engine), sink);
}

fn quota(engine: &Engine, totals: &Totals, sink: &mut dyn StatSink) {
    let settings = &engine.shared().settings;
    let used = used_bytes();
    let bytes = totals
        .living()
        .map(|(_, total)| total.table.bytes + total.log_bytes);
    let items: usize = bytes.iter().sum();
    sink.add("mem_used", &used);
    sink.add("ep_announced_bytes", &announced::bytes());
    sink.add("ep_kv_size", &items);
    let dead = totals.dead.table.bytes + totals.dead.log_bytes;
    sink.add("ep_total_cache_size", &(items + dead));
    sink.add("ep_overhead", &used.saturating_sub(items));
    sink.add("ep_max_data_size", &settings.max_size.get());
    sink.add("ep_mem_low_wat", &settings.mem_low_wat.get());
    sink.add("ep_mem_high_wat", &settings.mem_high_wat.get());
    let metrics = &engine.shared().metrics;
    for (name, counter) in [
        ("ep_oom_errors", &metrics.memory_exhausted),
        ("ep_tmp_oom_errors", &metrics.memory_refusals),
        ("ep_too_big_errors", &metrics.too_big),
        ("ep_announced_refusals", &metrics.announcements_refused),
        ("ep_num_pager_runs", &metrics.pager_runs),
        ("ep_num_value_ejects", &metrics.value_ejects),
        ("ep_num_eject_replicas", &metrics.replica_ejects),
        ("ep_num_eject_failures", &metrics.eject_failures),
        ("ep_num_expiry_pager_runs", &metrics.expiry_pager_runs),
    ] {
        sink.add(name, &counter.get());
    }
}

fn counters(engine: &Engine, sink: &mut dyn StatSink) {
    let metrics = &engine.shared().metrics;
    for (name, counter) in [
        ("ep_total_persisted", &metrics.persisted),
        ("ep_total_new_items", &metrics.rows_created),
        ("ep_commit_num", &metrics.commits),
        ("ep_store_tidied", &metrics.tidied),
        ("ep_item_commit_failed", &metrics.commit_failures),
        ("ep_flush_all", &metrics.flush_alls),
        ("ep_expired", &metrics.expired),
        ("evictions", &metrics.evictions),
        ("ep_num_not_my_vbuckets", &metrics.not_my_vbucket),
        ("ep_bg_fetched", &metrics.fetched),
        ("ep_bg_fetch_failed", &metrics.fetch_failures),
        ("ep_io_num_read", &metrics.reads),
        ("ep_io_read_bytes", &metrics.read_bytes),
        ("ep_io_num_write", &metrics.writes),
        ("ep_io_write_bytes", &metrics.written_bytes),
        ("ep_num_checkpoint_remover_runs", &metrics.remover_runs),
        (
            "ep_items_rm_from_checkpoints",
            &metrics.checkpoint_items_removed,
        ),
        ("ep_cursors_dropped", &metrics.cursors_dropped),
        ("ep_defects", &metrics.defects),
    ] {
        sink.add(name, &counter.get());
    }
}

/// How the flusher fares.
fn flushing(engine: &Engine, sink: &mut dyn StatSink) {
    const MILLISECOND: u64 = 1000;
    const SECOND: u64 = 1_000_000;
    let metrics = &engine.shared().metrics;
    let (commit, flush, age) = (
        &metrics.commit_micros,
        &metrics.flush_micros,
        &metrics.age_seconds,
    );
    for (name, value) in [
        ("ep_commit_time", commit.last.get() / MILLISECOND),
        ("ep_commit_time_total", commit.total.get() / MILLISECOND),
        ("ep_flush_duration", flush.last.get() / SECOND),
        ("ep_flush_duration_total", flush.total.get() / SECOND),
        ("ep_flush_duration_highwat", flush.max.get() / SECOND),
        ("ep_storage_age", age.last.get()),
        ("ep_storage_age_highwat", age.max.get()),
        ("ep_data_age", age.last.get()),
        ("ep_data_age_highwat", age.max.get()),
        ("ep_too_young", metrics.too_young.get()),
        ("ep_too_old", metrics.too_old.get()),
        ("ep_total_del_items", metrics.rows_deleted.get()),
        ("ep_item_flush_failed", metrics.flush_failures.get()),
        ("ep_item_begin_failed", metrics.begin_failures.get()),
        ("ep_store_retry", metrics.retry_millis.get()),
    ] {
        sink.add(name, &value);
    }
    sink.add("ep_store_last_error", &metrics.store_error.get());
    sink.add("ep_dead_threads", &metrics.dead_threads.get());
}

fn deletions(engine: &Engine, sink: &mut dyn StatSink) {
    let metrics = &engine.shared().metrics;
    sink.add("ep_vbucket_del", &metrics.vbuckets_deleted.get());
    let refused = metrics.vbucket_deletions_refused.get();
    sink.add("ep_vbucket_del_fail", &refused);
    if metrics.vbuckets_deleted.get() > 0 {
        let status = match metrics.purging.get() {
            0 => "complete",
            _ => "running",
        };
        sink.add("ep_db_cleaner_status", &status);
    }
    if let Some(times) = metrics.timings.delete_vbucket.summary() {
        sink.add("ep_vbucket_del_max_walltime", &times.max);
        sink.add("ep_vbucket_del_total_walltime", &times.total);
        sink.add("ep_vbucket_del_avg_walltime", &times.mean);
    }
}

/// Times of background reads, after the first one.
fn reads(engine: &Engine, sink: &mut dyn StatSink) {
    let timings = &engine.shared().metrics.timings;
    let (Some(wait), Some(load)) = (timings.fetch_wait.summary(), timings.fetch_load.summary())
    else {
        return;
    };
    for (name, value) in [
        ("ep_bg_num_samples", load.count),
        ("ep_bg_min_wait", wait.min),
        ("ep_bg_max_wait", wait.max),
        ("ep_bg_wait_avg", wait.mean),
        ("ep_bg_wait", wait.total),
        ("ep_bg_min_load", load.min),
        ("ep_bg_max_load", load.max),
        ("ep_bg_load_avg", load.mean),
        ("ep_bg_load", load.total),
    ] {
        sink.add(name, &value);
    }
}

/// What masters sent and this node cannot keep; clients that wait for a pending vbucket.
fn clients(engine: &Engine, sink: &mut dyn StatSink) {
    let metrics = &engine.shared().metrics;
    sink.add("ep_tap_too_big", &metrics.tap_too_big.get());
    sink.add("ep_tap_lacking_keys", &engine.lacking().len());
    sink.add("ep_pending_ops", &engine.pending_ops());
    sink.add("ep_pending_ops_total", &metrics.pending_ops_total.get());
    sink.add("ep_pending_ops_max", &metrics.pending_ops_max.get());
    let times = metrics.timings.pending_ops.summary().unwrap_or_default();
    sink.add("ep_pending_ops_max_duration", &times.max);
}

fn update(engine: &Engine, sink: &mut dyn StatSink) {
    let metrics = &engine.shared().metrics;
    let report = engine.update_report();
    let mut others = engine.vbuckets();
    let follows =
        others.any(|vb| vb.state() != Some(VbucketState::Dead) && vb.window_phase().is_some());
    sink.add(
        "ep_onlineupdate",
        &(follows || report.state != UpdateState::None),
    );
    sink.add("ep_onlineupdate_last_outcome", &report.last_outcome);
    for (name, counter) in [
        ("ep_onlineupdate_revert_add", &metrics.revert_add),
        ("ep_onlineupdate_revert_delete", &metrics.revert_delete),
        ("ep_onlineupdate_revert_update", &metrics.revert_update),
    ] {
        sink.add(name, &counter.get());
    }
}
