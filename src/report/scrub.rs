//! The group on SCRUB.

use crate::engine::Engine;
use crate::host::StatSink;

/// The group `scrub`.
pub(super) fn all(engine: &Engine, sink: &mut dyn StatSink) {
    let report = engine.scrub_report();
    let status = if report.is_running {
        "running"
    } else {
        "stopped"
    };
    sink.add("scrubber:status", &status);
    sink.add("scrubber:last_run", &report.took.as_secs());
    sink.add("scrubber:visited", &report.visited);
    sink.add("scrubber:cleaned", &report.cleaned);
}
