//! Groups on TAP.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::Ordering;

use super::update::print_bytes;
use crate::engine::{Consumer, Engine};
use crate::host::StatSink;
use crate::tap::{NAME_PREFIX, Report};
use crate::types::VbucketId;

/// So much of a separator counts.
const SEPARATOR_BYTES_MAX: usize = 8;

/// The group `tap`: each stream, each peer that sends to us, and sums.
pub(super) fn all(engine: &Engine, sink: &mut dyn StatSink) {
    let reports = engine.streams().reports();
    for report in &reports {
        producer(report, sink);
    }
    let consumers = engine.consumers();
    for peer in &consumers {
        consumer(peer, sink);
    }
    sums(engine, &reports, consumers.len(), sink);
}

/// A stream reads the log and the store by itself: nothing of it ever waits in a queue of reads,
/// and every read that was begun has been done. Older programs look for these all the same.
const NO_QUEUE: [&str; 3] = ["queue_fill", "queue_itemondisk", "bg_queue_size"];

fn producer(report: &Report, sink: &mut dyn StatSink) {
    let mut name = String::new();
    print_bytes(&report.name, &mut name);
    let mut add = |key: &str, value: &dyn Display| {
        sink.add(&format!("{NAME_PREFIX}{name}:{key}"), value);
    };
    add("type", &"producer");
    for (key, value) in figures(report) {
        add(key, &value);
    }
    for key in NO_QUEUE {
        add(key, &0);
    }
    for (key, value) in switches(report) {
        add(key, &value);
    }
    let filter = report.filter.as_deref().map(ranges).unwrap_or_default();
    add("vb_filters", &report.filter.as_ref().map_or(0, Vec::len));
    add("vb_filter", &filter);
    add("flags", &report.flags);
    let disconnects = report.reconnects + u64::from(!report.connected);
    if disconnects > 0 {
        add("disconnects", &disconnects);
    }
    if report.reconnects > 0 {
        add("reconnects", &report.reconnects);
    }
    if report.backfill_since != 0 {
        add("backfill_age", &report.backfill_since);
    }
    if !report.acks {
        return;
    }
    for (key, value) in [
        ("ack_seqno", u64::from(report.seqno)),
        ("recv_ack_seqno", u64::from(report.acked)),
        ("ack_log_size", report.unacked as u64),
        ("ack_playback_size", report.unacked as u64),
        ("num_tap_nack", report.nacks),
        ("num_tap_tmpfail_survivors", report.resent),
    ] {
        add(key, &value);
    }
    add("ack_window_full", &report.window_full);
    if report.window_full {
        add("expires", &report.expires);
    }
}

fn figures(report: &Report) -> [(&'static str, u64); 19] {
    let (backlog, queued) = (report.backlog as u64, report.queued as u64);
    [
        ("created", report.created),
        ("qlen", backlog),
        ("qlen_high_pri", report.urgent as u64),
        ("qlen_low_pri", report.handing_over as u64),
        ("rec_fetched", report.sent),
        ("paused", u64::from(report.paused)),
        ("reserved", u64::from(report.connected)),
        ("bg_queued", report.read),
        ("bg_result_size", queued),
        ("bg_results", report.read),
        ("bg_jobs_issued", report.read),
        ("bg_jobs_completed", report.read),
        ("bg_backlog_size", queued),
        ("queue_memory", report.bytes as u64),
        ("queue_drain", report.sent),
        ("queue_backoff", report.backoffs),
        ("queue_backfillremaining", queued),
        ("total_backlog_size", backlog),
        ("total_noops", report.noops),
    ]
}

fn switches(report: &Report) -> [(&'static str, bool); 15] {
    [
        ("connected", report.connected),
        ("pending_disconnect", !report.connected),
        ("supports_ack", report.acks),
        ("suspended", report.suspended),
        ("pending_backfill", report.filling),
        ("pending_disk_backfill", report.filling),
        ("bg_wait_for_results", report.filling && report.queued == 0),
        ("backfill_completed", !report.filling),
        ("has_item", report.has_item),
        ("has_queued_item", report.backlog > 0),
        ("idle", report.idle),
        ("empty", report.backlog == 0),
        ("complete", !report.filling),
        ("registered", report.registered),
        ("takeover", report.takeover),
    ]
}

/// Vbuckets as `{ 1, [3,5] }`.
fn ranges(ids: &[VbucketId]) -> String {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for id in ids.iter().map(|id| id.get()) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == id => *last = id,
            _ => runs.push((id, id)),
        }
    }
    let text = |(first, last): &(u16, u16)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("[{first},{last}]"),
    };
    let texts: Vec<String> = runs.iter().map(text).collect();
    format!("{{ {} }}", texts.join(", "))
}

/// The kinds of messages, in the order of [`crate::engine::TapEvent`].
const KINDS: [&str; 7] = [
    "num_mutation",
    "num_delete",
    "num_flush",
    "num_opaque",
    "num_vbucket_set",
    "num_checkpoint_start",
    "num_checkpoint_end",
];

fn consumer(peer: &Consumer, sink: &mut dyn StatSink) {
    let mut add = |key: &str, value: &dyn Display| {
        sink.add(&format!("{NAME_PREFIX}anon_{}:{key}", peer.number), value);
    };
    add("type", &"consumer");
    add("created", &peer.created);
    add("connected", &true);
    add("pending_disconnect", &false);
    add("reserved", &0);
    add("supports_ack", &peer.nacks);
    // The host lets nothing else through.
    add("num_unknown", &0);
    for (kind, count) in KINDS.iter().zip(&peer.counts) {
        add(kind, &count.good);
        add(&format!("{kind}_failed"), &count.failed);
    }
}

/// What backfills read from the store. A read that fails ends its stream: none is tried again.
pub(super) fn reads(engine: &Engine, sink: &mut dyn StatSink) {
    let read = engine.streams().totals().read.load(Ordering::Relaxed);
    sink.add("ep_tap_bg_fetched", &read);
    sink.add("ep_tap_bg_fetch_requeued", &0);
}

/// How long those reads take, after the first one.
fn read_times(engine: &Engine, sink: &mut dyn StatSink) {
    let timings = &engine.shared().metrics.timings;
    let (Some(wait), Some(load)) = (timings.tap_wait.summary(), timings.tap_load.summary()) else {
        return;
    };
    for (name, value) in [
        ("ep_tap_bg_num_samples", load.count),
        ("ep_tap_bg_min_wait", wait.min),
        ("ep_tap_bg_max_wait", wait.max),
        ("ep_tap_bg_wait_avg", wait.mean),
        ("ep_tap_bg_min_load", load.min),
        ("ep_tap_bg_max_load", load.max),
        ("ep_tap_bg_load_avg", load.mean),
    ] {
        sink.add(name, &value);
    }
}

fn sums(engine: &Engine, reports: &[Report], consumers: usize, sink: &mut dyn StatSink) {
    let totals = engine.streams().totals();
    let pace = engine.streams().pace();
    let settings = &engine.shared().settings;
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let never = u64::from(u32::MAX);
    let backlog = sum(|report| report.backlog as u64);
    let [fetched, deletions, read] = [&totals.fetched, &totals.deletions, &totals.read];
    let [fetched, deletions, read] =
        [fetched, deletions, read].map(|total| total.load(Ordering::Relaxed));
    reads(engine, sink);
    read_times(engine, sink);
    for key in ["ep_tap_queue_fill", "ep_tap_queue_itemondisk"] {
        sink.add(key, &0);
    }
    for (key, value) in [
        ("ep_tap_total_fetched", fetched),
        ("ep_tap_fg_fetched", fetched.saturating_sub(read)),
        ("ep_tap_deletes", deletions),
        (
            "ep_tap_bg_max_pending",
            engine.config().tap_bg_max_pending as u64,
        ),
        (
            "ep_tap_throttled",
            engine.shared().metrics.tap_throttled.get(),
        ),
        ("ep_tap_keepalive", settings.tap_keepalive.get()),
        (
            "ep_tap_noop_interval",
            pace.noop.map_or(never, |noop| noop.as_secs()),
        ),
        ("ep_tap_count", (reports.len() + consumers) as u64),
        ("ep_tap_total_queue", backlog),
        ("ep_tap_queue_drain", sum(|report| report.sent)),
        ("ep_tap_queue_backoff", sum(|report| report.backoffs)),
        (
            "ep_tap_queue_backfillremaining",
            sum(|report| report.queued as u64),
        ),
        ("ep_tap_total_backlog_size", backlog),
        ("ep_tap_ack_interval", u64::from(pace.interval)),
        (
            "ep_tap_ack_window_size",
            pace.window as u64 / u64::from(pace.interval.max(1)),
        ),
        ("ep_tap_ack_grace_period", pace.grace.as_secs()),
    ] {
        sink.add(key, &value);
    }
    sink.add("ep_tap_backoff_period", &pace.backoff.as_secs_f64());
}

/// The group `tapagg SEPARATOR`: streams by the part of their name before the separator.
pub(super) fn aggregated(engine: &Engine, separator: &str, sink: &mut dyn StatSink) {
    let end = separator.floor_char_boundary(SEPARATOR_BYTES_MAX);
    let separator = separator.get(..end).unwrap_or(separator);
    let mut groups: BTreeMap<String, [u64; 8]> = BTreeMap::new();
    let mut name = String::new();
    for report in engine.streams().reports() {
        print_bytes(&report.name, &mut name);
        let figures = [
            1,
            report.backlog as u64,
            0,
            report.sent,
            report.backoffs,
            report.queued as u64,
            0,
            report.backlog as u64,
        ];
        let prefix = name.split_once(separator).map(|(prefix, _)| prefix);
        let names = [prefix.map(str::to_owned), Some(format!("{separator}total"))];
        for name in names.into_iter().flatten() {
            let group = groups.entry(name).or_default();
            for (sum, figure) in group.iter_mut().zip(figures) {
                *sum += figure;
            }
        }
    }
    let keys = [
        "count",
        "qlen",
        "fill",
        "drain",
        "backoff",
        "backfill_remaining",
        "itemondisk",
        "total_backlog_size",
    ];
    for (name, figures) in &groups {
        for (key, figure) in keys.iter().zip(figures) {
            sink.add(&format!("{name}:{key}"), figure);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_shown_with_its_ranges() {
        let ids = |ids: &[u16]| -> Vec<VbucketId> {
            ids.iter().filter_map(|&id| VbucketId::new(id)).collect()
        };
        assert_eq!(ranges(&ids(&[1, 3, 4, 5])), "{ 1, [3,5] }");
        assert_eq!(ranges(&ids(&[0, 1, 9])), "{ 0, 1, 9 }");
    }
}
