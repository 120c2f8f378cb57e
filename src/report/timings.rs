//! The group `timings`: a line for every bin in use, `NAME_FROM,TO`, in microseconds.

use crate::engine::Engine;
use crate::host::StatSink;

/// All histograms.
pub(super) fn all(engine: &Engine, sink: &mut dyn StatSink) {
    let timings = &engine.shared().metrics.timings;
    for (name, histogram) in [
        ("disk_commit", &timings.commit),
        ("bg_wait", &timings.fetch_wait),
        ("bg_load", &timings.fetch_load),
        ("pending_ops", &timings.pending_ops),
        ("get_vb_cmd", &timings.get_vbucket),
        ("set_vb_cmd", &timings.set_vbucket),
        ("del_vb_cmd", &timings.delete_vbucket),
        ("online_update_revert", &timings.revert),
    ] {
        for (from, to, count) in histogram.bins() {
            sink.add(&format!("{name}_{from},{to}"), &count);
        }
    }
}
