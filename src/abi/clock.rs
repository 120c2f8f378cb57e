//! The host's clocks, of which every kind has the same ones but for how its start is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use libc::time_t;

use super::bindings::rel_time_t;
use crate::types::{RelTime, UnixTime};

/// A relative time above this is none: one host counts seconds since 1970 until `initialize` has
/// returned (rule 17). No process runs for thirty years.
const PLAUSIBLE_TIME_MAX: i64 = 1_000_000_000;

/// So far a host's clock is behind the system's that looks at it once a second.
const BEHIND_SECONDS: i64 = 2;

/// Whose clock is ahead by more than that was turned by a test.
const AHEAD_SECONDS: u64 = 1;

/// Client expiries up to this many seconds count from now, larger ones from 1970.
const RELATIVE_SECONDS_MAX: i64 = 30 * 24 * 60 * 60;

/// How a host tells when it was started.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// By what it makes of its time 0.
    Abstime(unsafe extern "C" fn(rel_time_t) -> time_t),
    /// By what it makes of a time that lies ahead.
    Realtime,
}

/// The clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    get_current_time: unsafe extern "C" fn() -> rel_time_t,
    realtime: unsafe extern "C" fn(time_t) -> rel_time_t,
    origin: Origin,
    created: Instant,
}

impl Clock {
    /// Over the functions of a host, which contract 5 is about.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that all others take"
    )]
    pub(super) fn new(
        get_current_time: unsafe extern "C" fn() -> rel_time_t,
        realtime: unsafe extern "C" fn(time_t) -> rel_time_t,
        origin: Origin,
    ) -> Self {
        Self {
            get_current_time,
            realtime,
            origin,
            created: Instant::now(),
        }
    }

    /// Unix seconds of the host's start.
    pub(super) fn start(&self) -> i64 {
        match self.origin {
            // SAFETY: contract 5.
            Origin::Abstime(abstime) => unsafe { abstime(0) },
            Origin::Realtime => {
                let ahead = system() + 2 * RELATIVE_SECONDS_MAX;
                // SAFETY: contract 5.
                ahead - i64::from(unsafe { (self.realtime)(ahead) })
            }
        }
    }

    /// Seconds since the host's start of a time in Unix seconds that is not 0; at least 1.
    pub(super) fn relative(&self, time: UnixTime) -> RelTime {
        let since = i64::from(time).saturating_sub(self.start());
        RelTime::try_from(since.max(1)).unwrap_or(RelTime::MAX)
    }

    /// Seconds since the host's start by its clock, or `None` while that has no meaning yet
    /// (rule 17).
    fn now(&self) -> Option<i64> {
        // SAFETY: contract 5.
        let now = since_start(unsafe { (self.get_current_time)() });
        (now <= PLAUSIBLE_TIME_MAX).then_some(now)
    }

    /// As `Host::unix`.
    pub(super) fn unix(&self) -> i64 {
        let system = system();
        let now = self.now().map(|now| self.start() + now);
        // A host that converts times does so by its own clock: by another one an expiry of a second
        // would have passed when it arrives.
        let converts = matches!(self.origin, Origin::Realtime);
        let is_late = |now: &i64| !converts && (1..=BEHIND_SECONDS).contains(&(system - now));
        now.filter(|now| !is_late(now)).unwrap_or(system)
    }

    /// As `Host::absolute`.
    pub(super) fn absolute(&self, time: i64) -> i64 {
        if time < 0 {
            // Before anything that a clock ever shows.
            return 1;
        }
        if time > RELATIVE_SECONDS_MAX {
            return time;
        }
        // SAFETY: contract 5.
        let relative = unsafe { (self.realtime)(time) };
        if relative == 1 && self.now().is_some_and(|now| now + time != 1) {
            // For this host it is a time of 1970.
            return time;
        }
        self.unix() + time
    }

    /// As `Host::monotonic`.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that all others take"
    )]
    pub(super) fn monotonic(&self) -> Duration {
        Instant::now().saturating_duration_since(self.created)
    }

    /// As `Host::lasting`. `turned` has the seconds by which the host's clock was turned forward,
    /// as far as that was seen.
    pub(super) fn lasting(&self, turned: &AtomicU64) -> Duration {
        let ahead = self.unix().saturating_sub(system());
        let ahead = u64::try_from(ahead).unwrap_or(0);
        let ahead = if ahead > AHEAD_SECONDS { ahead } else { 0 };
        let before = turned.fetch_max(ahead, Ordering::Relaxed);
        self.monotonic() + Duration::from_secs(before.max(ahead))
    }
}

/// As `Host::unix_nanos`.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that all others take"
)]
pub(super) fn unix_nanos() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Unix seconds by the system's clock.
fn system() -> i64 {
    i64::try_from(unix_nanos() / 1_000_000_000).unwrap_or(i64::MAX)
}

/// A host's relative time, counted in 32 bits: where its clock was set back to before its start, it
/// wraps around.
fn since_start(time: rel_time_t) -> i64 {
    i64::from(time.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    static NOW: AtomicU64 = AtomicU64::new(1000);

    unsafe extern "C" fn now() -> rel_time_t {
        rel_time_t::try_from(NOW.load(Ordering::Relaxed)).unwrap()
    }

    unsafe extern "C" fn realtime(_time: time_t) -> rel_time_t {
        0
    }

    /// A host that was started a thousand seconds ago.
    unsafe extern "C" fn abstime(time: rel_time_t) -> time_t {
        system() - 1000 + time_t::from(time)
    }

    #[test]
    fn what_lasts_follows_a_clock_that_is_turned_forward_and_never_goes_back() {
        let clock = Clock::new(now, realtime, Origin::Abstime(abstime));
        let turned = AtomicU64::new(0);
        // To within the second by which the two clocks may differ.
        let ahead = || {
            let before = clock.monotonic();
            let lasting = clock.lasting(&turned);
            let seconds = turned.load(Ordering::Relaxed);
            assert!(lasting >= before + Duration::from_secs(seconds));
            seconds.next_multiple_of(10)
        };
        assert_eq!(ahead(), 0);
        for (shown, expected) in [(1100, 100), (1050, 100), (900, 100), (1200, 200)] {
            NOW.store(shown, Ordering::Relaxed);
            assert_eq!(ahead(), expected, "{shown}");
        }
    }
}
