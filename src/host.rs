//! Ports: what the engine asks of the process that loaded it, as traits without a C type. `abi`
//! implements them over the server API; tests implement them in a few lines.
//!
//! Threads: every method may be called from any thread, except where a method says otherwise.

use std::fmt;
use std::time::Duration;

use crate::constants;
use crate::error::Result;

/// A connection's identity, opaque. Addresses are reused at once after a disconnect, so a cookie
/// may be kept only while its request is blocked (the host cannot close the connection then).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cookie(usize);

impl Cookie {
    /// Wraps the address that the host passed.
    pub(crate) const fn new(address: usize) -> Self {
        Self(address)
    }

    /// The address again.
    pub(crate) const fn address(self) -> usize {
        self.0
    }
}

/// A request that was (or is about to be) answered with [`crate::error::Error::WouldBlock`] and is
/// owed exactly one notification. Not `Clone`; [`Host::notify`] consumes it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BlockedCookie(Cookie);

impl BlockedCookie {
    /// To be made only by code that returns `WouldBlock` for this cookie.
    pub(crate) const fn new(cookie: Cookie) -> Self {
        Self(cookie)
    }

    /// Which connection waits.
    pub(crate) const fn cookie(&self) -> Cookie {
        self.0
    }
}

/// Severity of a log line, as the hosts know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    /// What an operator likes to know.
    Info,
    /// What an operator must know; hosts print it by default.
    Warning,
}

/// What the engine needs of its host.
pub(crate) trait Host: Send + Sync {
    /// Unix seconds by the host's clock, which tests can turn, and which may be set back at any
    /// time: what is said in Unix seconds follows it.
    fn unix(&self) -> i64;

    /// Unix seconds of a client's time that is not 0: up to 30 days count from now, more from 1970;
    /// negative ones are in the past. The host's own rule decides the border.
    fn absolute(&self, time: i64) -> i64;

    /// Nanoseconds since 1970 by the wall clock: seeds CAS values.
    fn unix_nanos(&self) -> u64;

    /// A clock that never goes back, for durations; the origin means nothing.
    fn monotonic(&self) -> Duration;

    /// The same, but that it follows a host's clock that a test turns forward: for durations that a
    /// client was promised, and ages. (A wall clock that is set back may look like that: what lasts
    /// by this clock may end too early then, never too late.)
    fn lasting(&self) -> Duration;

    /// Writes one line to the host's log. Never called with a lock held that an operation takes.
    fn log(&self, level: LogLevel, message: &str);

    /// Whether a blocked request is made again after its notification, however long that takes.
    /// Where not, it waits on its thread, for a short time only: for the disk perhaps, and never
    /// for what an operator or another client has to do first.
    fn calls_again(&self) -> bool {
        true
    }

    /// Sends the answer of an operation that has succeeded and was held back; if it was not kept
    /// after all, its connection is ended instead. For hosts that hold answers back, from any
    /// thread.
    fn answer_held(&self, cookie: BlockedCookie, kept: bool) {
        let _ = (cookie, kept);
    }

    /// Resumes a blocked request; the host calls the same function again.
    ///
    /// Only from a thread of the engine, with no lock held: the host's worker mutex is taken
    /// (docs/hosts.md, rules 4 and 5). The status given is always success (rule 6).
    fn notify(&self, cookie: BlockedCookie);

    /// Has the host ask a paused TAP stream again. From a thread of the engine, with no lock held,
    /// and only while the connection is reserved.
    fn wake_stream(&self, cookie: Cookie);

    /// Keeps a connection's identity from being used for another one, until [`Host::release`].
    fn reserve(&self, cookie: Cookie);

    /// Undoes [`Host::reserve`]: from a thread of the engine, with no lock held; the cookie is void
    /// from then on.
    fn release(&self, cookie: Cookie);

    /// Has errors answered to a TAP peer also where it asked for no answer. From within
    /// `tap_notify`.
    fn answer_tap_errors(&self, cookie: Cookie);
}

/// Receives statistics as text. The implementation copies at once.
pub(crate) trait StatSink {
    /// One statistic. An empty key is ignored.
    fn add(&mut self, key: &str, value: &dyn fmt::Display);
}

/// Status of a binary-protocol response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u16);

impl Status {
    pub(crate) const SUCCESS: Self = Self(constants::CHECKPOINT_ENGINE_STATUS_SUCCESS);
    pub(crate) const KEY_ENOENT: Self = Self(constants::CHECKPOINT_ENGINE_STATUS_KEY_ENOENT);
    pub(crate) const KEY_EEXISTS: Self = Self(constants::CHECKPOINT_ENGINE_STATUS_KEY_EEXISTS);
    pub(crate) const E2BIG: Self = Self(constants::CHECKPOINT_ENGINE_STATUS_E2BIG);
    pub(crate) const EINVAL: Self = Self(constants::CHECKPOINT_ENGINE_STATUS_EINVAL);
    pub(crate) const NOT_STORED: Self = Self(constants::CHECKPOINT_ENGINE_STATUS_NOT_STORED);
    pub(crate) const DELTA_BADVAL: Self = Self(constants::CHECKPOINT_ENGINE_STATUS_DELTA_BADVAL);
    pub(crate) const NOT_MY_VBUCKET: Self =
        Self(constants::CHECKPOINT_ENGINE_STATUS_NOT_MY_VBUCKET);
    pub(crate) const UNKNOWN_COMMAND: Self =
        Self(constants::CHECKPOINT_ENGINE_STATUS_UNKNOWN_COMMAND);
    pub(crate) const ENOMEM: Self = Self(constants::CHECKPOINT_ENGINE_STATUS_ENOMEM);
    pub(crate) const NOT_SUPPORTED: Self = Self(constants::CHECKPOINT_ENGINE_STATUS_NOT_SUPPORTED);
    pub(crate) const EINTERNAL: Self = Self(constants::CHECKPOINT_ENGINE_STATUS_EINTERNAL);
    pub(crate) const EBUSY: Self = Self(constants::CHECKPOINT_ENGINE_STATUS_EBUSY);
    pub(crate) const ETMPFAIL: Self = Self(constants::CHECKPOINT_ENGINE_STATUS_ETMPFAIL);
}

/// One response packet; opcode and opaque are the request's.
#[derive(Debug)]
pub(crate) struct Response<'a> {
    /// Outcome.
    pub(crate) status: Status,
    /// Extras, at most 255 bytes.
    pub(crate) extras: &'a [u8],
    /// Key, at most 250 bytes.
    pub(crate) key: &'a [u8],
    /// Value or error text.
    pub(crate) body: &'a [u8],
    /// CAS of the item, 0 if none.
    pub(crate) cas: u64,
}

/// Sends response packets for one request. Used only on the host's thread, during the call.
pub(crate) trait Reply {
    /// Queues one packet; the bytes are copied.
    ///
    /// # Errors
    /// [`crate::error::Error::NoMemory`] when the host could not queue it.
    fn send(&mut self, response: &Response<'_>) -> Result<()>;
}

/// A binary-protocol request that reached `unknown_command`, already checked: extras, key and
/// value lie inside the packet (`extras + key <= body`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// Command.
    pub(crate) opcode: u8,
    /// Vbucket of the header, not yet checked.
    pub(crate) vbucket: u16,
    /// CAS of the header.
    pub(crate) cas: u64,
    /// Extras.
    pub(crate) extras: &'a [u8],
    /// Key.
    pub(crate) key: &'a [u8],
    /// What follows the key.
    pub(crate) value: &'a [u8],
}

#[cfg(any(test, feature = "fuzzing"))]
#[cfg_attr(not(test), allow(dead_code, reason = "tests do more with it"))]
#[allow(clippy::unwrap_used, reason = "for tests")]
pub(crate) mod fake;
mod rate;

pub(crate) use rate::RateLimit;
