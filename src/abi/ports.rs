//! The ports of [`crate::host`] over a host of any kind.
//!
//! Nothing here is static: what was copied of a host's tables lives in the handle, so that two
//! engines in one process do not meet. Function pointers are `Send` and `Sync`; contract 5 says
//! that they may be used so.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::clock::{self, Clock};
use super::log::Log;
use crate::host::{BlockedCookie, Cookie, Host, LogLevel, RateLimit};

/// What a kind of host can do with connections. See [`Host`] for what each is for.
pub(super) trait Connections: Send + Sync + 'static {
    /// As [`Host::calls_again`].
    fn calls_again(&self) -> bool {
        true
    }
    /// As [`Host::notify`].
    fn notify(&self, cookie: BlockedCookie);
    /// As [`Host::answer_held`].
    fn answer_held(&self, cookie: BlockedCookie, kept: bool) {
        let _ = (cookie, kept);
    }
    /// As [`Host::wake_stream`].
    fn wake_stream(&self, cookie: Cookie) {
        self.notify(BlockedCookie::new(cookie));
    }
    /// As [`Host::reserve`].
    fn reserve(&self, cookie: Cookie) {
        let _ = cookie;
    }
    /// As [`Host::release`].
    fn release(&self, cookie: Cookie) {
        let _ = cookie;
    }
    /// As [`Host::answer_tap_errors`].
    fn answer_tap_errors(&self, cookie: Cookie) {
        let _ = cookie;
    }
    /// A connection has ended.
    fn ended(&self, cookie: Cookie) {
        let _ = cookie;
    }
}

/// Log lines in [`LINES_PERIOD`], whoever brings them about: a month of them is a gigabyte.
const LINES_MAX: u32 = 1_000;
/// See [`LINES_MAX`].
const LINES_PERIOD: Duration = Duration::from_mins(10);

/// The host as the engine sees it.
#[derive(Debug)]
pub(super) struct Ports<C> {
    /// Its clocks.
    pub(super) clock: Clock,
    /// Seconds by which a test has turned them forward.
    turned: AtomicU64,
    /// Its log.
    pub(super) log: Log,
    /// How many lines it is given.
    lines: RateLimit,
    /// Its connections.
    pub(super) connections: C,
}

impl<C> Ports<C> {
    /// Over what was read of a host's tables.
    pub(super) const fn new(clock: Clock, log: Log, connections: C) -> Self {
        Self {
            clock,
            turned: AtomicU64::new(0),
            log,
            lines: RateLimit::new(LINES_MAX, LINES_PERIOD),
            connections,
        }
    }
}

/// The connection again; `None` for the NULL that the hosts' test applications pass.
pub(super) fn pointer(cookie: Cookie) -> Option<NonNull<c_void>> {
    NonNull::new(std::ptr::with_exposed_provenance_mut(cookie.address()))
}

impl<C: Connections> Host for Ports<C> {
    fn unix(&self) -> i64 {
        self.clock.unix()
    }

    fn absolute(&self, time: i64) -> i64 {
        self.clock.absolute(time)
    }

    fn unix_nanos(&self) -> u64 {
        clock::unix_nanos()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn lasting(&self) -> Duration {
        self.clock.lasting(&self.turned)
    }

    fn log(&self, level: LogLevel, message: &str) {
        let Some(left_out) = self.lines.admit(self.monotonic()) else {
            return;
        };
        if left_out > 0 {
            let text = format!(
                "{left_out} more log lines were left out: there were more than {LINES_MAX} in \
                 {} minutes",
                LINES_PERIOD.as_secs() / 60
            );
            self.log.write(LogLevel::Warning, &text);
        }
        self.log.write(level, message);
    }

    fn calls_again(&self) -> bool {
        self.connections.calls_again()
    }

    fn notify(&self, cookie: BlockedCookie) {
        self.connections.notify(cookie);
    }

    fn answer_held(&self, cookie: BlockedCookie, kept: bool) {
        self.connections.answer_held(cookie, kept);
    }

    fn wake_stream(&self, cookie: Cookie) {
        self.connections.wake_stream(cookie);
    }

    fn reserve(&self, cookie: Cookie) {
        self.connections.reserve(cookie);
    }

    fn release(&self, cookie: Cookie) {
        self.connections.release(cookie);
    }

    fn answer_tap_errors(&self, cookie: Cookie) {
        self.connections.answer_tap_errors(cookie);
    }
}
