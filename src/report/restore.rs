//! The group on a restore.

use crate::engine::Engine;
use crate::host::StatSink;

/// The group `restore`; empty outside of restore mode.
pub(super) fn all(engine: &Engine, sink: &mut dyn StatSink) {
    let Some(report) = engine.restore_report() else {
        return;
    };
    let state = if report.running {
        "running"
    } else {
        "initialized"
    };
    sink.add("ep_restore:engine", &"checkpoint-engine");
    sink.add("ep_restore:state", &state);
    sink.add("ep_restore:last_error", &report.last_error);
    sink.add("ep_restore:file", &report.name.escape_ascii());
    sink.add("ep_restore:number_busy", &report.busy);
    sink.add("ep_restore:number_skipped", &report.skipped);
    sink.add("ep_restore:number_restored", &report.restored);
    sink.add("ep_restore:number_expired", &report.expired);
    sink.add("ep_restore:number_wrong_vbucket", &report.wrong_vbucket);
    sink.add("ep_restore:terminate", &report.aborted);
    sink.add("ep_restore:seconds_silent", &report.silent.as_secs());
    sink.add("ep_restore:number_noted", &report.noted);
    sink.add("ep_restore:noted_bytes", &report.noted_bytes);
}
