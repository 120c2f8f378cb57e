//! Groups on the online update, and on the keys that a replica lacks.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use super::machine;
use crate::checkpoint::{Phase, WindowReport};
use crate::config::OnlineUpdateUndo;
use crate::engine::{Engine, UpdateState};
use crate::ffi::alloc::used_bytes;
use crate::host::StatSink;
use crate::types::Seqno;
use crate::vbucket::Vbucket;

/// Keys that a sample shows.
const SAMPLE_KEYS: usize = 100;
/// Entries of windows that are looked at for one sample: bounds the time of a host thread.
const SAMPLE_LOOKS: usize = 1 << 14;

/// The group `onlineupdate`.
pub(super) fn node(engine: &Engine, sink: &mut dyn StatSink) {
    let report = engine.update_report();
    let undo = match engine.config().online_update_undo {
        OnlineUpdateUndo::Disk => "disk",
        OnlineUpdateUndo::Memory => "memory",
    };
    sink.add("state", &report.state.name());
    let runs = !matches!(report.state, UpdateState::None | UpdateState::Open);
    let times = (report.open_for, report.left);
    window(&report.window, times, runs, &mut |name, value| {
        sink.add(name, value);
    });
    match engine.window_room() {
        Some(bytes) => sink.add("bytes_left", &bytes),
        None => sink.add(
            "bytes_left",
            &machine::memory_bytes().saturating_sub(used_bytes() as u64),
        ),
    }
    match engine.complete_hindrance() {
        None => sink.add("can_complete", &"yes"),
        Some(cause) => sink.add("can_complete", &format_args!("no: {cause}")),
    }
    sink.add("rewarming", &report.rewarming);
    let rewarmed = &engine.shared().metrics.rewarmed;
    sink.add("rewarmed_values", &rewarmed.get());
    sink.add("undo", &undo);
    sink.add("last_outcome", &report.last_outcome);
    match report.ended_for {
        Some(time) => sink.add("last_outcome_seconds", &time.as_secs()),
        None => sink.add("last_outcome_seconds", &"none"),
    }
}

/// The group `onlineupdate-vb`.
pub(super) fn by_vbucket(engine: &Engine, sink: &mut dyn StatSink) {
    let now = engine.shared().host.monotonic();
    for vbucket in engine.vbuckets() {
        let phase = vbucket.window_phase();
        let found = vbucket.window_report();
        let report = found.unwrap_or_default();
        let open_for = found.map_or(Duration::ZERO, |it| now.saturating_sub(it.opened));
        let left = report.deadline.map(|deadline| deadline.saturating_sub(now));
        let runs = phase.is_some_and(|phase| phase != Phase::Open);
        let mut add = |name: &str, value: &dyn Display| {
            sink.add(&format!("vb_{}:{name}", vbucket.id()), value);
        };
        add("state", &phase.map_or("none", |phase| phase.name()));
        window(&report, (open_for, left), runs, &mut add);
    }
}

/// What the node and each vbucket say of a window; `runs` means that it is being ended.
fn window(
    report: &WindowReport,
    (open_for, left): (Duration, Option<Duration>),
    runs: bool,
    add: &mut dyn FnMut(&str, &dyn Display),
) {
    add("seconds_open", &open_for.as_secs());
    let left = left.map(|left| left.as_millis().div_ceil(1_000).to_string());
    add("seconds_left", &left.as_deref().unwrap_or("none"));
    add("touched_keys", &report.touched);
    add("added_keys", &report.keys.added);
    add("updated_keys", &report.keys.updated);
    add("deleted_keys", &report.keys.deleted);
    add("vanished_keys", &report.keys.vanished);
    add("flushed", &report.flushed);
    add("window_bytes", &report.bytes);
    add("unsaved_pre_images", &report.unsaved);
    add("progress_done", &report.done);
    add("progress_total", &if runs { report.touched } else { 0 });
}

/// The prefix that a request for the group `onlineupdate-keys` asks for; `None` for another group.
pub(super) fn keys_prefix(group: &[u8]) -> Option<&[u8]> {
    let rest = group.strip_prefix(b"onlineupdate-keys")?;
    let prefix = rest.trim_ascii();
    (rest.is_empty() || rest.len() > prefix.len()).then_some(prefix)
}

/// The group `onlineupdate-keys`: a sample of the touched keys whose printed form begins with
/// `prefix`, the same number of each vbucket as far as there are so many.
pub(super) fn keys(engine: &Engine, prefix: &[u8], sink: &mut dyn StatSink) {
    let windows: Vec<&Vbucket> = engine
        .vbuckets()
        .filter(|vbucket| vbucket.window_phase().is_some())
        .collect();
    let (mut keys, mut looks) = (SAMPLE_KEYS, SAMPLE_LOOKS);
    for (vbucket, ahead) in windows.iter().zip((1..=windows.len()).rev()) {
        let share = (keys.div_ceil(ahead), looks.div_ceil(ahead));
        let (shown, looked) = sample(vbucket, prefix, share, sink);
        keys = keys.saturating_sub(shown);
        looks = looks.saturating_sub(looked);
    }
}

/// Shows some keys of one vbucket. Returns how many, and how many it looked at.
fn sample(
    vbucket: &Vbucket,
    prefix: &[u8],
    (keys_max, looks_max): (usize, usize),
    sink: &mut dyn StatSink,
) -> (usize, usize) {
    let (mut shown, mut looked) = (0, 0);
    let mut touched = Vec::new();
    let mut name = String::new();
    let mut after = Some(Seqno::ZERO);
    while let Some(from) = after.filter(|_| shown < keys_max && looked < looks_max) {
        touched.clear();
        after = vbucket.read_touched(from, &mut touched);
        looked += touched.len().max(1);
        for key in &touched {
            print_bytes(key.item.key(), &mut name);
            if shown < keys_max && name.as_bytes().starts_with(prefix) {
                let (old, new) = (length(key.old), length(key.length()));
                let value = format!("{} {old} {new}", key.touch.name());
                sink.add(&format!("vb_{}:{name}", vbucket.id()), &value);
                shown += 1;
            }
        }
    }
    (shown, looked)
}

/// The group `lacking`: keys of masters whose values can never be kept here.
pub(super) fn lacking(engine: &Engine, sink: &mut dyn StatSink) {
    let mut name = String::new();
    for (vbucket, key, bytes) in engine.lacking() {
        print_bytes(&key, &mut name);
        sink.add(&format!("vb_{vbucket}:{name}"), &bytes);
    }
}

fn length(length: Option<usize>) -> String {
    length.map_or_else(|| "-".to_owned(), |length| length.to_string())
}

/// Bytes of a client as a part of a statistic's name, which ends at a space in the text protocol:
/// spaces, backslashes and what is not printable as `\\xNN`.
pub(super) fn print_bytes(bytes: &[u8], name: &mut String) {
    name.clear();
    for &byte in bytes {
        if byte.is_ascii_graphic() && byte != b'\\' {
            name.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(name, "\\x{byte:02x}");
        }
    }
}
