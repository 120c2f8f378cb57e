//! The outcomes of an engine operation other than success. One small enum: every variant is a
//! thing that a client or an operator can be told. Status codes of the ABI and of the wire appear
//! in `abi` only.

use std::fmt;

/// Why an operation did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// No such key.
    NotFound,
    /// The key exists, or its CAS differs, or it is locked.
    Exists,
    /// The condition of ADD, REPLACE, APPEND or PREPEND does not hold.
    NotStored,
    /// The value is not a decimal number.
    NotNumeric,
    /// The caller's cookie will be notified; then the same call is to be made again.
    WouldBlock,
    /// The vbucket does not exist here or does not serve this operation.
    NotMyVbucket,
    /// Key or value too long.
    TooBig,
    /// The memory quota is exhausted and nothing can be evicted.
    NoMemory,
    /// Cannot be done now; trying again later is worth while.
    Temporary,
    /// The request makes no sense.
    Invalid,
    /// Not in this state, or not a thing this engine does.
    Unsupported,
    /// No honest answer can be given: the connection has to be closed.
    Disconnect,
    /// The engine met a defect of its own; it was logged.
    Internal,
}

/// Result of an engine operation.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "no such key",
            Self::Exists => "the key exists with another CAS or is locked",
            Self::NotStored => "the condition of the command does not hold",
            Self::NotNumeric => "the stored value is not a decimal number",
            Self::WouldBlock => "waiting for the disk",
            Self::NotMyVbucket => "this node does not serve that vbucket",
            Self::TooBig => "key or value too long",
            Self::NoMemory => "the memory quota is exhausted",
            Self::Temporary => "temporary failure, try again",
            Self::Invalid => "invalid arguments",
            Self::Unsupported => "not supported in this state",
            Self::Disconnect => "the connection has to be closed",
            Self::Internal => "internal error, see the log",
        })
    }
}

impl std::error::Error for Error {}
