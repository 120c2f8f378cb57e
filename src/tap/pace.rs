//! How streams keep time and order, from the configuration.

use std::time::Duration;

use crate::config::Config;

/// Most that a stream keeps in memory of its own, in bytes.
const BYTES_MAX: usize = 32 << 20;
/// The same as a share of the quota: one part in so many.
const BYTES_SHARE: u64 = 32;

/// How streams keep time and order, from the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Messages that may be unacknowledged.
    pub(crate) window: usize,
    /// Messages between two requests to acknowledge.
    pub(crate) interval: u32,
    /// A client that does not acknowledge for so long is given up.
    pub(crate) grace: Duration,
    /// Pause after a temporary failure.
    pub(crate) backoff: Duration,
    /// Time between two signs of life.
    pub(crate) noop: Option<Duration>,
    /// The first number.
    pub(crate) first_seqno: u32,
    /// Values that a backfill reads from the store before another stream has its turn.
    pub(crate) reads: u64,
    /// Items of backfills that one stream may have queued.
    pub(crate) backlog: usize,
    /// Bytes that one stream may keep in memory as a backfill's items, and as many again as
    /// messages that are not acknowledged. One message is always taken.
    pub(crate) bytes: usize,
}

impl Pace {
    pub(crate) fn new(config: &Config) -> Self {
        let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
        let noop = config
            .tap_idle_timeout
            .map_or(config.tap_noop_interval, |timeout| timeout / 3);
        let interval = config.tap_ack_interval;
        let window = u64::from(interval) * u64::from(config.tap_ack_window_size);
        Self {
            window: usize::try_from(window).unwrap_or(usize::MAX),
            interval,
            grace: seconds(config.tap_ack_grace_period),
            backoff: Duration::from_secs_f64(config.tap_backoff_period),
            noop: (noop != 0).then(|| seconds(noop)),
            first_seqno: config.tap_ack_initial_sequence_number,
            reads: config.tap_bg_max_pending as u64,
            backlog: config.tap_backlog_limit,
            bytes: usize::try_from(config.max_size / BYTES_SHARE)
                .map_or(BYTES_MAX, |share| share.min(BYTES_MAX)),
        }
    }
}
