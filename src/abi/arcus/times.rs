//! Times on ARCUS arrive as seconds since the process started, where other hosts pass on what the
//! client sent. The engine takes Unix seconds as well, so they become those.

use super::bindings::ARCUS_EXPTIME_STICKY;
use crate::abi::bindings::rel_time_t;
use crate::abi::clock::Clock;
use crate::types::{RelTime, UnixTime};

/// The latest time that the engine takes from a client, in the year 2072. It stands for "sticky":
/// such an item has no expiry, and says so when it is asked.
const STICKY: UnixTime = 0xbfff_ffff;

/// Conversions by one host's clock.
pub(super) struct Times<'a>(pub(super) &'a Clock);

impl Times<'_> {
    /// An expiry as the engine takes it from clients; 0 never.
    pub(super) fn expiry(&self, time: rel_time_t) -> u32 {
        match time {
            0 => 0,
            ARCUS_EXPTIME_STICKY => STICKY,
            _ => self.unix(time),
        }
    }

    /// A time that is not 0, in Unix seconds.
    fn unix(&self, time: rel_time_t) -> UnixTime {
        let unix = self.0.start().saturating_add(i64::from(time));
        UnixTime::try_from(unix.max(1)).map_or(STICKY - 1, |unix| unix.min(STICKY - 1))
    }

    /// When a flush is due, as the engine takes it: 0 for one whose time has come.
    pub(super) fn flush(&self, when: rel_time_t) -> i64 {
        if when == 0 {
            return 0;
        }
        i64::from(self.unix(when))
    }

    /// An expiry of an item, as the host wants it.
    pub(super) fn shown(&self, expiry: UnixTime) -> RelTime {
        match expiry {
            0 => 0,
            STICKY => ARCUS_EXPTIME_STICKY,
            _ => self.0.relative(expiry),
        }
    }
}
