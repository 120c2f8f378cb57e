//! What calls may return on these hosts: rules 1 to 3 of docs/hosts.md.

use crate::abi::convert::{self, Code};
use crate::abi::rules::Entry;
use crate::error::Error;

/// The code that this entry may return and that comes nearest to the error.
pub(in crate::abi) const fn code(entry: Entry, error: Error) -> Code {
    match entry {
        Entry::Get => get(error),
        Entry::ArithmeticAscii => arithmetic(error, true),
        Entry::ArithmeticBinary => arithmetic(error, false),
        Entry::Store => store(error),
        Entry::Allocate | Entry::Flush => unblocked(error),
        Entry::Remove => remove(error),
        Entry::UnknownCommand => command(error),
        Entry::Initialize
        | Entry::GetStats
        | Entry::TapNotify
        | Entry::Attributes
        | Entry::SetConfig => convert::code(error),
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
pub(in crate::abi) const fn caller(create: bool, exptime: u32) -> Entry {
    if !create && exptime == 0 {
        Entry::ArithmeticAscii
    } else {
        Entry::ArithmeticBinary
    }
}
