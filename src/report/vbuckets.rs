//! Groups with a line or some lines for each vbucket.

use std::fmt::Display;

use crate::engine::Engine;
use crate::host::StatSink;
use crate::types::STRIPES;
use crate::types::VbucketState;
use crate::vbucket::Vbucket;

/// Adds one statistic of a vbucket, by the name behind its prefix.
type Add<'a> = dyn FnMut(&str, &dyn Display) + 'a;

fn each(engine: &Engine, sink: &mut dyn StatSink, report: impl Fn(&Vbucket, &mut Add<'_>)) {
    for vbucket in engine.vbuckets() {
        let Some(state) = vbucket.state() else {
            continue;
        };
        let id = vbucket.id();
        let mut add = |name: &str, value: &dyn Display| {
            sink.add(&format!("vb_{id}:{name}"), value);
        };
        add("state", &state.name());
        report(vbucket, &mut add);
    }
}

/// The group `vbucket`.
pub(super) fn states(engine: &Engine, sink: &mut dyn StatSink) {
    list(engine, sink, Vbucket::state);
}

/// The group `prev-vbucket`.
pub(super) fn previous_states(engine: &Engine, sink: &mut dyn StatSink) {
    list(engine, sink, |vbucket| {
        Some(engine.previous_state(vbucket.id()))
    });
}

fn list(
    engine: &Engine,
    sink: &mut dyn StatSink,
    state: impl Fn(&Vbucket) -> Option<VbucketState>,
) {
    for vbucket in engine.vbuckets() {
        if let Some(state) = state(vbucket) {
            sink.add(&format!("vb_{}", vbucket.id()), &state.name());
        }
    }
}

/// The group `checkpoint`.
pub(super) fn checkpoints(engine: &Engine, sink: &mut dyn StatSink) {
    each(engine, sink, |vbucket, add| {
        let (open, closed, persisted, cursors, items, checkpoints, ahead) =
            vbucket.with_log(|log| {
                (
                    log.open_id(),
                    log.last_closed(),
                    log.persisted_id(),
                    log.cursors(),
                    log.entries(),
                    log.checkpoints(),
                    log.unpersisted(),
                )
            });
        add("open_checkpoint_id", &open);
        add("last_closed_checkpoint_id", &closed);
        add("persisted_checkpoint_id", &persisted);
        add("num_tap_cursors", &cursors);
        add("num_checkpoint_items", &items);
        add("num_checkpoints", &checkpoints);
        add("num_items_for_persistence", &ahead);
    });
}

/// The group `hash`.
pub(super) fn tables(engine: &Engine, sink: &mut dyn StatSink) {
    each(engine, sink, |vbucket, add| {
        let shape = vbucket.shape();
        add("size", &shape.room);
        add("locks", &STRIPES);
        add("reported", &vbucket.items());
        add("counted", &shape.slots);
        add("resized", &shape.splits);
        let (least, most) = shape.depths.unwrap_or_default();
        add("min_depth", &least);
        add("max_depth", &most);
        for (bin, count) in shape
            .by_depth
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
        {
            let (from, to) = ((1_usize << bin) >> 1, 1_usize << bin);
            add(&format!("histo_{from},{to}"), count);
        }
        // Counted whenever it changes.
        let bytes = vbucket.figures().bytes;
        add("mem_size", &bytes);
        add("mem_size_counted", &bytes);
        add("table_bytes", &shape.bytes);
    });
}
