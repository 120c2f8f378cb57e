//! The group `timings`: a line for every bin in use, `NAME_FROM,TO`, in microseconds.

use crate::engine::Engine;
use crate::host::StatSink;
use crate::metrics::Histogram;

/// All histograms.
pub(super) fn all(engine: &Engine, sink: &mut dyn StatSink) {
    let timings = &engine.shared().metrics.timings;
    // Those with bins of seconds.
    for (name, histogram) in [
        ("disk_commit", &timings.commit),
        ("storage_age", &timings.age),
        ("data_age", &timings.age),
    ] {
        bins(name, histogram, sink);
    }
    for (name, histogram) in [
        ("bg_tap_wait", &timings.tap_wait),
        ("bg_tap_load", &timings.tap_load),
        ("tap_mutation", &timings.tap_mutation),
        ("tap_vb_set", &timings.tap_state),
        ("tap_vb_reset", &timings.tap_reset),
        ("bg_wait", &timings.fetch_wait),
        ("bg_load", &timings.fetch_load),
        ("pending_ops", &timings.pending_ops),
        ("get_vb_cmd", &timings.get_vbucket),
        ("set_vb_cmd", &timings.set_vbucket),
        ("del_vb_cmd", &timings.delete_vbucket),
        ("online_update_revert", &timings.revert),
    ] {
        bins(name, histogram, sink);
    }
}

fn bins<const SLOW: bool>(name: &str, histogram: &Histogram<SLOW>, sink: &mut dyn StatSink) {
    for (from, to, count) in histogram.bins() {
        sink.add(&format!("{name}_{from},{to}"), &count);
    }
}
