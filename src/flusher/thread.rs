//! The flusher's thread: when a batch is written, and what happens when the store cannot.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::collect::is_flood;
use super::{NOTHING_WAITS, Persister, Round};
use crate::ffi::alloc::give_back;
use crate::host::LogLevel;
use crate::worker::{Signal, Wake};

/// First and longest pause after a failed commit.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// Time without mutations after which the store gives memory back.
const SETTLE_AFTER: Duration = Duration::from_millis(500);

/// The flusher's thread. Wakes `after` when something was committed.
pub(crate) fn run(persister: &Persister, after: &Signal, signal: &Signal) {
    let mut settle_after = None;
    // What the operator was told last of a store that cannot be written.
    let mut complaint = String::new();
    loop {
        match signal.wait(settle_after.take()) {
            Wake::Stop => return,
            Wake::Timeout => {
                settle_after = persister.settle().then_some(SETTLE_AFTER);
                if settle_after.is_none() {
                    give_back();
                }
                continue;
            }
            Wake::Work => settle_after = Some(SETTLE_AFTER),
        }
        if persister.ripen(signal) {
            return;
        }
        let (host, jobs) = (
            &persister.shared.host,
            &persister.shared.metrics.jobs.writes,
        );
        let job = jobs.begin("write what has changed", host.monotonic());
        let stops = persister.flush(signal, &mut complaint);
        jobs.end(job, host.monotonic());
        if stops {
            return;
        }
        after.wake();
    }
}

impl Persister {
    /// Waits until the changes that woke the flusher are old enough. Returns whether it is to stop.
    fn ripen(&self, signal: &Signal) -> bool {
        let (settings, metrics) = (&self.shared.settings, &self.shared.metrics);
        let now = self.shared.unix_now();
        self.vbuckets
            .iter()
            .for_each(|vbucket| vbucket.note_time(now));
        let woken = self.waits_since();
        if self.gather(signal) {
            return true;
        }
        loop {
            let (wanted, cap) = (settings.min_data_age.get(), settings.queue_age_cap.get());
            let age = self.shared.host.lasting().saturating_sub(woken);
            let left = Duration::from_secs(wanted.min(cap)).saturating_sub(age);
            if self.pressed.swap(false, Ordering::AcqRel) || left.is_zero() {
                if wanted > cap && left.is_zero() {
                    metrics.too_old.add(1);
                }
                return false;
            }
            // A timer does not come while this waits.
            self.sync_before_wait();
            metrics.too_young.add(1);
            if signal.linger(left) {
                return true;
            }
        }
    }

    /// Since when something waits: since now, unless something waited when persistence was stopped.
    fn waits_since(&self) -> Duration {
        let now = self.shared.host.lasting().as_millis();
        let now = u64::try_from(now).unwrap_or(NOTHING_WAITS - 1);
        let (first, order) = (NOTHING_WAITS, Ordering::Relaxed);
        let known = self.woken.compare_exchange(first, now, order, order);
        Duration::from_millis(known.err().unwrap_or(now))
    }

    /// Writes until nothing is left. Returns whether the flusher is to stop.
    fn flush(&self, signal: &Signal, complaint: &mut String) -> bool {
        let begun = self.shared.host.monotonic();
        let mut pause = RETRY_MIN;
        loop {
            let before = self.shared.metrics.persisted.get();
            // An error of the purge shows at the next commit.
            let more = match self.round() {
                Ok(round) => {
                    if !self.is_stopped() {
                        self.recovered(complaint);
                    }
                    pause = RETRY_MIN;
                    round == Round::More || self.purge().unwrap_or(false)
                }
                Err(error) => {
                    self.complain(complaint, error.to_string(), pause);
                    if signal.nap(pause) {
                        return true;
                    }
                    pause = (pause * 2).min(RETRY_MAX);
                    continue;
                }
            };
            if !more {
                let took = self.shared.host.monotonic().saturating_sub(begun);
                self.shared.metrics.flush_micros.note(took.as_micros());
                return false;
            }
            let written = self.shared.metrics.persisted.get().saturating_sub(before);
            if signal.is_stopped() || is_flood(written) && self.gather(signal) {
                return true;
            }
        }
    }

    fn complain(&self, complaint: &mut String, text: String, pause: Duration) {
        if text != *complaint {
            let told = format!("cannot persist: {text}");
            self.shared.host.log(LogLevel::Warning, &told);
            *complaint = text;
        }
        let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.shared.metrics.retry_millis.set(millis);
    }

    fn recovered(&self, complaint: &mut String) {
        if !complaint.is_empty() {
            let told = "the store can be written again";
            self.shared.host.log(LogLevel::Info, told);
            complaint.clear();
            self.shared.metrics.retry_millis.set(0);
        }
    }
}
