//! Groups on the online update.

use crate::config::OnlineUpdateUndo;
use crate::engine::Engine;
use crate::host::StatSink;

/// The group `onlineupdate`.
pub(super) fn node(engine: &Engine, sink: &mut dyn StatSink) {
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

/// The group `onlineupdate-vb`.
pub(super) fn by_vbucket(engine: &Engine, sink: &mut dyn StatSink) {
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
