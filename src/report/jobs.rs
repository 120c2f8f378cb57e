//! The group `dispatcher`: what the engine's threads do, by the names of ep-engine's three queues.

use crate::engine::Engine;
use crate::host::StatSink;
use crate::metrics::{Job, Queue};

/// All of it.
pub(super) fn all(engine: &Engine, sink: &mut dyn StatSink) {
    let jobs = &engine.shared().metrics.jobs;
    for (name, queue) in [
        ("dispatcher", &jobs.writes),
        ("ro_dispatcher", &jobs.reads),
        ("nio_dispatcher", &jobs.others),
    ] {
        one(engine, name, queue, sink);
    }
}

fn one(engine: &Engine, name: &str, queue: &Queue, sink: &mut dyn StatSink) {
    let host = &engine.shared().host;
    let now = host.monotonic();
    sink.add(&format!("{name}:state"), &"dispatcher_running");
    match queue.running() {
        Some((task, begun)) => {
            sink.add(&format!("{name}:status"), &"running");
            sink.add(&format!("{name}:task"), &task);
            let micros = now.saturating_sub(begun).as_micros();
            sink.add(&format!("{name}:runtime"), &micros);
        }
        None => sink.add(&format!("{name}:status"), &"idle"),
    }
    for (list, jobs) in ["log", "slow"].iter().zip(queue.ended()) {
        for (index, job) in jobs.iter().enumerate() {
            let Job { task, begun, took } = job;
            let ago = i64::try_from(now.saturating_sub(*begun).as_secs()).unwrap_or(i64::MAX);
            let prefix = format!("{name}:{list}:{index}");
            sink.add(&format!("{prefix}:task"), task);
            sink.add(
                &format!("{prefix}:starttime"),
                &host.unix().saturating_sub(ago),
            );
            sink.add(&format!("{prefix}:runtime"), &took.as_micros());
        }
    }
}
