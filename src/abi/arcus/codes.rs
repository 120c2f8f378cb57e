//! What calls may return to ARCUS: other codes abort the host, lose the place in the connection, or
//! mean something else there. TMPFAIL does not exist: 0x0d is a duplicate of a collection.

use super::bindings::{ARCUS_EBADATTR, ARCUS_PREFIX_ENOENT};
use crate::abi::bindings::ENGINE_ERROR_CODE;
use crate::abi::convert::Code;
use crate::abi::rules::Entry;
use crate::error::Error;

/// "No such attribute."
pub(super) const EBADATTR: Code = ENGINE_ERROR_CODE(ARCUS_EBADATTR);
/// "No such prefix."
pub(super) const PREFIX_ENOENT: Code = ENGINE_ERROR_CODE(ARCUS_PREFIX_ENOENT);

/// The code that this entry may return and that comes nearest to the error.
pub(super) const fn code(entry: Entry, error: Error) -> Code {
    match entry {
        Entry::Get => get(error),
        Entry::Allocate => allocate(error),
        Entry::Remove => remove(error),
        Entry::ArithmeticAscii | Entry::ArithmeticBinary => arithmetic(error),
        Entry::Store => store(error),
        Entry::UnknownCommand => command(error),
        Entry::Flush
        | Entry::Attributes
        | Entry::GetStats
        | Entry::SetConfig
        | Entry::Initialize
        | Entry::TapNotify => plain(error),
    }
}

/// Whether what this entry returns for the error ends the connection.
pub(super) fn closes(entry: Entry, error: Error) -> bool {
    code(entry, error) == Code::ENGINE_DISCONNECT
}

/// Where every code is understood.
const fn plain(error: Error) -> Code {
    match error {
        Error::NotFound => Code::ENGINE_KEY_ENOENT,
        Error::Exists => Code::ENGINE_KEY_EEXISTS,
        Error::NotStored => Code::ENGINE_NOT_STORED,
        Error::NotNumeric | Error::Invalid => Code::ENGINE_EINVAL,
        Error::WouldBlock => Code::ENGINE_EWOULDBLOCK,
        Error::NotMyVbucket => Code::ENGINE_NOT_MY_VBUCKET,
        Error::TooBig => Code::ENGINE_E2BIG,
        Error::NoMemory | Error::Temporary => Code::ENGINE_ENOMEM,
        Error::Unsupported => Code::ENGINE_ENOTSUP,
        Error::Disconnect => Code::ENGINE_DISCONNECT,
        Error::Internal => Code::ENGINE_FAILED,
    }
}

/// The binary protocol aborts the host for all but these, and for EWOULDBLOCK too. For the text
/// protocol each of them is a miss: who has to close the connection does it by the socket.
const fn get(error: Error) -> Code {
    match error {
        Error::NotFound | Error::Invalid | Error::TooBig => Code::ENGINE_KEY_ENOENT,
        Error::NotMyVbucket => Code::ENGINE_NOT_MY_VBUCKET,
        _ => Code::ENGINE_DISCONNECT,
    }
}

/// ENOTSUP loses the place in a binary connection, DISCONNECT aborts for a text `noreply`, and
/// nothing here may wait. Keys that are too long come here: the host allows 16,000 bytes.
const fn allocate(error: Error) -> Code {
    match error {
        Error::TooBig | Error::Invalid => Code::ENGINE_E2BIG,
        Error::NoMemory | Error::Temporary => Code::ENGINE_ENOMEM,
        _ => Code::ENGINE_FAILED,
    }
}

const fn remove(error: Error) -> Code {
    match error {
        Error::Invalid | Error::TooBig => Code::ENGINE_KEY_ENOENT,
        Error::Unsupported => Code::ENGINE_FAILED,
        other => plain(other),
    }
}

/// A value that is no number, and nothing else, is EINVAL; ENOTSUP, E2BIG and FAILED abort.
const fn arithmetic(error: Error) -> Code {
    match error {
        Error::Invalid => Code::ENGINE_KEY_ENOENT,
        Error::TooBig => Code::ENGINE_NOT_STORED,
        Error::Unsupported | Error::Internal => Code::ENGINE_DISCONNECT,
        other => plain(other),
    }
}

/// The binary protocol would answer FAILED to an ADD with "exists".
const fn store(error: Error) -> Code {
    match error {
        Error::Internal => Code::ENGINE_DISCONNECT,
        other => plain(other),
    }
}

/// Every error is a packet; this remains when it could not be queued. Any code closes.
const fn command(_error: Error) -> Code {
    Code::ENGINE_DISCONNECT
}
