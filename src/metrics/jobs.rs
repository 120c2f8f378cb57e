//! What threads do that work on their own, for reports: the job of the moment, the last ones, and
//! the last ones that took long.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;

/// Jobs that are kept.
const JOBS_MAX: usize = 20;
/// A job that takes longer is slow.
const SLOW: Duration = Duration::from_secs(1);

/// A job that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    /// What it did.
    pub(crate) task: &'static str,
    /// When it began, by the monotonic clock.
    pub(crate) begun: Duration,
    /// How long it took.
    pub(crate) took: Duration,
}

#[derive(Debug, Default)]
struct State {
    /// By the number of the job.
    running: Vec<(u64, &'static str, Duration)>,
    begun: u64,
    log: VecDeque<Job>,
    slow: VecDeque<Job>,
}

/// The jobs of one thread, or of several that do the same.
#[derive(Debug, Default)]
pub(crate) struct Queue(
    // Guards what is known of the jobs. Lock order: last.
    Mutex<State>,
);

impl Queue {
    /// A job begins; its number ends it.
    pub(crate) fn begin(&self, task: &'static str, now: Duration) -> u64 {
        let mut state = self.0.lock();
        state.begun += 1;
        let number = state.begun;
        state.running.push((number, task, now));
        number
    }

    /// It ends.
    pub(crate) fn end(&self, number: u64, now: Duration) {
        let mut state = self.0.lock();
        let Some(index) = state.running.iter().position(|job| job.0 == number) else {
            return;
        };
        let (_, task, begun) = state.running.swap_remove(index);
        let took = now.saturating_sub(begun);
        let job = Job { task, begun, took };
        let State { log, slow, .. } = &mut *state;
        let kept = [Some(log), (took >= SLOW).then_some(slow)];
        for list in kept.into_iter().flatten() {
            if list.len() >= JOBS_MAX {
                list.pop_front();
            }
            list.push_back(job);
        }
    }

    /// The job of the moment, and since when.
    pub(crate) fn running(&self) -> Option<(&'static str, Duration)> {
        let state = self.0.lock();
        state
            .running
            .first()
            .map(|(_, task, begun)| (*task, *begun))
    }

    /// The last ones, the latest first, and those of them that were slow.
    pub(crate) fn ended(&self) -> [Vec<Job>; 2] {
        let state = self.0.lock();
        [&state.log, &state.slow].map(|list| list.iter().rev().copied().collect())
    }
}

/// The jobs of an engine, as ep-engine had them: three queues.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    /// What writes to the store.
    pub(crate) writes: Queue,
    /// What reads from it for clients.
    pub(crate) reads: Queue,
    /// What does neither.
    pub(crate) others: Queue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_jobs_are_kept_and_the_slow_ones_longer() {
        let queue = Queue::default();
        let at = Duration::from_secs;
        let slow = queue.begin("slow", at(1));
        let other = queue.begin("other", at(2));
        assert_eq!(queue.running(), Some(("slow", at(1))));
        queue.end(slow, at(3));
        queue.end(slow, at(4));
        queue.end(other, at(2));
        for job in 0..JOBS_MAX as u64 {
            let quick = queue.begin("quick", at(10 + job));
            queue.end(quick, at(10 + job));
        }
        let [log, slow] = queue.ended();
        assert_eq!(
            (log.len(), log[0].begun, log[0].task),
            (JOBS_MAX, at(29), "quick")
        );
        assert_eq!(
            slow,
            [Job {
                task: "slow",
                begun: at(1),
                took: at(2)
            }]
        );
        assert_eq!(queue.running(), None);
    }
}
