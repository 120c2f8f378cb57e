//! What keeps the host alive: the rules of docs/hosts.md, as far as they can be enforced where
//! calls cross. Hosts abort the process, close connections or answer another client with left-over
//! bytes when an engine breaks one of them, so nothing leaves this module that a host cannot cope
//! with, whatever the engine answered.
//!
//! | rule | where |
//! |---|---|
//! | 1, 2, 3, 10 | [`Entry::code`], [`caller`], [`after_output`] |
//! | 4 | [`super::guard::inside`], asserted in `host_api` |
//! | 5 | no lock exists in this module |
//! | 6, 7, 8 | `host::BlockedCookie` by type; `host_api` notifies with success, never NULL |
//! | 9 | `table`: the callback may come at any time, any number of times |
//! | 11 | `handle::describe` |
//! | 12 | [`REQUEST_HEADER_BYTES`], [`request_lengths`], [`KEY_BYTES`], [`VALUE_BYTES_MAX`] |
//! | 13, 14 | [`ENGINE_SPECIFIC_BYTES_MAX`], `tap` |
//! | 15, 16 | `table` |
//! | 17 | `host_api` |

use std::ops::{Range, RangeInclusive};

use super::convert::{self, Code};
use crate::config::ITEM_BYTES_MAX;
use crate::error::Error;
use crate::types::KEY_BYTES_MAX;

/// Legal lengths of a key.
pub(super) const KEY_BYTES: RangeInclusive<usize> = 1..=KEY_BYTES_MAX;

/// Longest value that `allocate` passes on; hosts ask for up to 2^64-1 bytes (rule 12).
pub(super) const VALUE_BYTES_MAX: usize = ITEM_BYTES_MAX;

/// Length of a request's header.
pub(super) const REQUEST_HEADER_BYTES: usize = 24;

/// Longest engine-specific part of a TAP message (rule 13).
pub(super) const ENGINE_SPECIFIC_BYTES_MAX: usize = 160;

/// Longest user data of TAP_CONNECT: lists of all vbuckets take a sixth of it.
pub(super) const TAP_USERDATA_BYTES_MAX: usize = 64 << 10;

/// Messages that a host collects in one buffer, the longest header it puts before each, and the
/// size of the buffer, which it does not check.
const TAP_BATCH: (usize, usize, usize) = (10, 40, 2048);
const _: () = assert!(TAP_BATCH.0 * (TAP_BATCH.1 + ENGINE_SPECIFIC_BYTES_MAX) <= TAP_BATCH.2);

/// The functions of the table that return a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// `initialize`.
    Initialize,
    /// `allocate`.
    Allocate,
    /// `remove`.
    Remove,
    /// `get`.
    Get,
    /// `store`.
    Store,
    /// `arithmetic`, called for the text protocol.
    ArithmeticAscii,
    /// `arithmetic`, called for the binary protocol.
    ArithmeticBinary,
    /// `flush`.
    Flush,
    /// `get_stats`.
    GetStats,
    /// `unknown_command`.
    UnknownCommand,
    /// `tap_notify`.
    TapNotify,
}

impl Entry {
    /// Name of the member, for log lines.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Allocate => "allocate",
            Self::Remove => "remove",
            Self::Get => "get",
            Self::Store => "store",
            Self::ArithmeticAscii | Self::ArithmeticBinary => "arithmetic",
            Self::Flush => "flush",
            Self::GetStats => "get_stats",
            Self::UnknownCommand => "unknown_command",
            Self::TapNotify => "tap_notify",
        }
    }

    /// The code that this entry may return and that comes nearest to the error.
    pub(super) const fn code(self, error: Error) -> Code {
        match self {
            Self::Get => get(error),
            Self::ArithmeticAscii => arithmetic(error, true),
            Self::ArithmeticBinary => arithmetic(error, false),
            Self::Store => store(error),
            Self::Allocate | Self::Flush => unblocked(error),
            Self::Remove => remove(error),
            Self::UnknownCommand => command(error),
            Self::Initialize | Self::GetStats | Self::TapNotify => convert::code(error),
        }
    }

    /// The code of an outcome.
    pub(super) fn answer(self, outcome: Result<(), Error>) -> Code {
        outcome.map_or_else(|error| self.code(error), |()| Code::ENGINE_SUCCESS)
    }
}

/// Rule 1: six codes. No such key has a length that no key can have. Of the failures that all hosts
/// take "not supported" is the one that is no miss and leaves the connection open: it stands for a
/// temporary one. What cannot be answered honestly closes the connection.
const fn get(error: Error) -> Code {
    match error {
        Error::NotFound
        | Error::WouldBlock
        | Error::NotMyVbucket
        | Error::Unsupported
        | Error::Disconnect => convert::code(error),
        Error::Invalid | Error::TooBig => Code::ENGINE_KEY_ENOENT,
        Error::Temporary => Code::ENGINE_ENOTSUP,
        Error::Exists
        | Error::NotStored
        | Error::NotNumeric
        | Error::NoMemory
        | Error::Internal => Code::ENGINE_DISCONNECT,
    }
}

/// Rule 2. The host's answers to EINVAL is "not a number", so nothing else may become that.
const fn arithmetic(error: Error, ascii: bool) -> Code {
    match error {
        Error::Exists if ascii => Code::ENGINE_TMPFAIL,
        Error::NotMyVbucket if ascii => Code::ENGINE_ENOTSUP,
        Error::TooBig | Error::Invalid => Code::ENGINE_NOT_STORED,
        Error::Internal => Code::ENGINE_DISCONNECT,
        Error::NotFound
        | Error::Exists
        | Error::NotStored
        | Error::NotNumeric
        | Error::WouldBlock
        | Error::NotMyVbucket
        | Error::NoMemory
        | Error::Temporary
        | Error::Unsupported
        | Error::Disconnect => convert::code(error),
    }
}

/// Rule 3. The binary protocol would answer FAILED to an ADD with "exists".
const fn store(error: Error) -> Code {
    match error {
        Error::Internal => Code::ENGINE_DISCONNECT,
        other => convert::code(other),
    }
}

/// Rule 3: `allocate` and `flush` may not block; the engine never asks for it.
const fn unblocked(error: Error) -> Code {
    match error {
        Error::WouldBlock => Code::ENGINE_TMPFAIL,
        other => convert::code(other),
    }
}

/// The text protocol answers "not found" to nearly everything; only a temporary failure is told as
/// one there, and the binary protocol answers it with EINVAL like all the rest.
const fn remove(error: Error) -> Code {
    match error {
        Error::NotFound
        | Error::Exists
        | Error::NotMyVbucket
        | Error::WouldBlock
        | Error::Temporary => convert::code(error),
        Error::Invalid | Error::TooBig => Code::ENGINE_EINVAL,
        Error::NotStored
        | Error::NotNumeric
        | Error::NoMemory
        | Error::Unsupported
        | Error::Disconnect
        | Error::Internal => Code::ENGINE_TMPFAIL,
    }
}

/// Every outcome but two is a packet, because two of the three hosts close the connection for a
/// code. This is what remains when the packet could not be queued.
const fn command(error: Error) -> Code {
    match error {
        Error::WouldBlock => Code::ENGINE_EWOULDBLOCK,
        _ => Code::ENGINE_DISCONNECT,
    }
}

/// Rule 2: which protocol calls `arithmetic`. The binary protocol leaves `create` off only
/// together with an expiry of all ones.
pub(super) const fn caller(create: bool, exptime: u32) -> Entry {
    if !create && exptime == 0 {
        Entry::ArithmeticAscii
    } else {
        Entry::ArithmeticBinary
    }
}

/// Rule 10: once a packet or a statistic was handed over, only success or blocking may follow;
/// after any other code the bytes would precede a later answer, perhaps another client's. A
/// blocked request stays blocked, because its notification is on the way.
pub(super) const fn after_output(any: bool, code: Code) -> Code {
    match code {
        Code::ENGINE_SUCCESS | Code::ENGINE_EWOULDBLOCK => code,
        _ if any => Code::ENGINE_SUCCESS,
        _ => code,
    }
}

/// Where the parts of a request's body lie: extras, key, value.
pub(super) type Parts = (Range<usize>, Range<usize>, Range<usize>);

/// Rule 12: the parts of a request that has the given lengths in its header, or `None` when extras
/// and key do not fit the body.
pub(super) fn request_lengths(extras: u8, key: u16, body: u32) -> Option<Parts> {
    let (extras, key) = (usize::from(extras), usize::from(key));
    let body = usize::try_from(body).ok()?;
    let value = extras + key;
    (value <= body).then_some((0..extras, extras..value, value..body))
}
