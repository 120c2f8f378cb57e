//! How long work goes on beside clients: it steps aside again and again.
//!
//! A thread that wakes up takes the processor at once from one of the background ([`make_way`]),
//! but only if it had less of it lately than its share. Otherwise it waits until the next tick of
//! the scheduler, 4 ms in most kernels, and everything that came due meanwhile with it: one such
//! wait in a REVERT of 300 ms is its p99. So whoever works for long gives the processor away by
//! itself every few microseconds, when it holds no lock that a client may need. Where nobody waits
//! for it, that is a look at the clock and a short system call.
//!
//! Threads: each for itself. On one that is not of the background nothing is done.
//!
//! [`make_way`]: crate::ffi::scheduling::make_way

#![expect(
    clippy::disallowed_methods,
    reason = "how long this thread had the processor, which no test turns"
)]

use std::cell::Cell;
use std::cmp::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread works at a stretch.
const STRETCH: Duration = Duration::from_micros(25);
/// How many times longer than it works a thread waits of its own accord: beside threads that never
/// rest it has a third of the time that it had otherwise.
const WAIT_SHARE: u32 = 2;
/// After that much work what was before counts half.
const MEMORY: Duration = Duration::from_millis(20);

/// Things that are met at a stretch: each lies somewhere in memory.
const MET: usize = 32;
/// Comparisons that are made at a stretch.
const COMPARED: u32 = 1_024;

/// What a thread has worked and waited lately.
#[derive(Clone, Copy, Debug, Default)]
struct Turns {
    worked: Duration,
    waited: Duration,
}

impl Turns {
    /// It has worked that long; whether it may wait now.
    fn worked(&mut self, time: Duration) -> bool {
        self.worked += time;
        if self.worked > MEMORY {
            self.worked /= 2;
            self.waited /= 2;
        }
        self.waited <= self.worked * WAIT_SHARE
    }

    fn waited(&mut self, time: Duration) {
        self.waited += time;
    }
}

thread_local! {
    /// Of a background thread, and when its stretch began.
    static TURNS: Cell<Option<(Turns, Instant)>> = const { Cell::new(None) };
}

/// The calling thread is one of the background from now on.
pub(crate) fn begin() {
    TURNS.set(Some((Turns::default(), Instant::now())));
}

/// Lets threads pass that wait for this processor, when it is time. To be called every few
/// microseconds of work, with no lock held that a client may need.
pub(crate) fn step_aside() {
    let Some((mut turns, since)) = TURNS.get() else {
        return;
    };
    let now = Instant::now();
    let worked = now.saturating_duration_since(since);
    if worked < STRETCH {
        return;
    }
    let mut then = now;
    if turns.worked(worked) {
        thread::yield_now();
        then = Instant::now();
        turns.waited(then.saturating_duration_since(now));
    }
    TURNS.set(Some((turns, then)));
}

/// Hands many things on.
pub(crate) fn aside<T>(things: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
    let things = things.into_iter().enumerate();
    things.map(|(index, thing)| {
        if index % MET == 0 {
            step_aside();
        }
        thing
    })
}

/// Sorts many things. Of equal ones any may come first.
pub(crate) fn sort_aside<T>(things: &mut [T], mut compare: impl FnMut(&T, &T) -> Ordering) {
    let mut compared = 0_u32;
    things.sort_unstable_by(|left, right| {
        compared = compared.wrapping_add(1);
        if compared.is_multiple_of(COMPARED) {
            step_aside();
        }
        compare(left, right)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works for a second, in stretches; how long all of it takes when each wait is `wait` long.
    fn takes(wait: Duration) -> Duration {
        let mut turns = Turns::default();
        let mut all = Duration::ZERO;
        for _ in 0..40_000 {
            all += STRETCH;
            if turns.worked(STRETCH) {
                turns.waited(wait);
                all += wait;
            }
        }
        all
    }

    #[test]
    fn who_waits_long_works_on_and_who_waits_shortly_steps_aside_each_time() {
        let second = Duration::from_secs(1);
        assert_eq!(takes(Duration::ZERO), second);
        assert_eq!(takes(STRETCH), second * 2);
        // However long the others take: it waits for about twice as long as it works.
        for wait in [100, 1_000, 8_000, 30_000] {
            let all = takes(Duration::from_micros(wait));
            assert!(all > second * 2 && all < second * 9 / 2, "{wait}: {all:?}");
        }
    }

    #[test]
    fn only_threads_of_the_background_step_aside() {
        step_aside();
        assert!(TURNS.get().is_none());
        begin();
        let began = TURNS.get().map(|(_, since)| since);
        while TURNS.get().map(|(_, since)| since) == began {
            step_aside();
        }
        assert!(
            TURNS
                .get()
                .is_some_and(|(turns, _)| turns.worked >= STRETCH)
        );
    }

    #[test]
    fn what_is_sorted_is_in_order() {
        let number = |number: u32| number.wrapping_mul(0x9e37_79b9);
        let mut numbers: Vec<u32> = (0..10_000).map(number).collect();
        sort_aside(&mut numbers, Ord::cmp);
        assert!(numbers.is_sorted());
    }
}
