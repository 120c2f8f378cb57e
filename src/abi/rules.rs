//! What keeps hosts alive, as far as it is the same for every kind: the rules of docs/hosts.md, as
//! far as they can be enforced where calls cross. Hosts abort the process, close connections or
//! answer another client with left-over bytes when an engine breaks one of them, so nothing leaves
//! this module that a host cannot cope with, whatever the engine answered.
//!
//! | rule | where |
//! |---|---|
//! | 1, 2, 3 | `codes` of each kind |
//! | 4 | [`super::guard::inside`], asserted in `classic::server` |
//! | 5 | no lock of this module is held while a host is called |
//! | 6, 7, 8 | `host::BlockedCookie` by type; notified with success, never NULL |
//! | 9 | `members`: the callback may come at any time, any number of times |
//! | 10 | [`after_output`] |
//! | 11 | `item_info` of each kind |
//! | 12 | [`REQUEST_HEADER_BYTES`], [`request_lengths`], [`KEY_BYTES`], [`VALUE_BYTES_MAX`] |
//! | 13, 14 | `classic::tap` |
//! | 15, 16 | `members`, `instance` |
//! | 17 | `clock` |

use std::ops::{Range, RangeInclusive};

use super::convert::Code;
use crate::config::ITEM_BYTES_MAX;
use crate::types::KEY_BYTES_MAX;

/// Legal lengths of a key.
pub(super) const KEY_BYTES: RangeInclusive<usize> = 1..=KEY_BYTES_MAX;

/// Longest value that `allocate` and `tap_notify` pass on; hosts ask for up to 2^64-1 bytes (rule
/// 12).
pub(super) const VALUE_BYTES_MAX: usize = ITEM_BYTES_MAX;

/// Length of a request's header.
pub(super) const REQUEST_HEADER_BYTES: usize = 24;

/// The functions of the tables that return a code.
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
    /// `arithmetic`, called for the binary protocol, or where that is not known.
    ArithmeticBinary,
    /// `flush`.
    Flush,
    /// `get_stats`.
    GetStats,
    /// `unknown_command`.
    UnknownCommand,
    /// `tap_notify`.
    TapNotify,
    /// `getattr` and `setattr`.
    Attributes,
    /// `set_config`.
    SetConfig,
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
            Self::Attributes => "getattr or setattr",
            Self::SetConfig => "set_config",
        }
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
