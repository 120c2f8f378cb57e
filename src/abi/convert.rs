//! Enums and codes that cross the boundary on every kind of host. Toward C the matches are
//! exhaustive without a wildcard; from C everything is an integer that may be anything.

use super::bindings::{ENGINE_ERROR_CODE, ENGINE_STORE_OPERATION, EXTENSION_LOG_LEVEL};
use crate::error::Error;
use crate::host::{LogLevel, Status};
use crate::types::StoreOp;

/// Shorter, because it stands everywhere in this module.
pub(super) type Code = ENGINE_ERROR_CODE;

/// The code that says what the error says. `codes` of each kind decides where it may be returned.
pub(super) const fn code(error: Error) -> Code {
    match error {
        Error::NotFound => Code::ENGINE_KEY_ENOENT,
        Error::Exists => Code::ENGINE_KEY_EEXISTS,
        Error::NotStored => Code::ENGINE_NOT_STORED,
        Error::NotNumeric | Error::Invalid => Code::ENGINE_EINVAL,
        Error::WouldBlock => Code::ENGINE_EWOULDBLOCK,
        Error::NotMyVbucket => Code::ENGINE_NOT_MY_VBUCKET,
        Error::TooBig => Code::ENGINE_E2BIG,
        Error::NoMemory => Code::ENGINE_ENOMEM,
        Error::Temporary => Code::ENGINE_TMPFAIL,
        Error::Unsupported => Code::ENGINE_ENOTSUP,
        Error::Disconnect => Code::ENGINE_DISCONNECT,
        Error::Internal => Code::ENGINE_FAILED,
    }
}

/// The status of a response packet that says what the error says; `None` where the answer is not a
/// packet.
pub(super) const fn status(error: Error) -> Option<Status> {
    match error {
        Error::NotFound => Some(Status::KEY_ENOENT),
        Error::Exists => Some(Status::KEY_EEXISTS),
        Error::NotStored => Some(Status::NOT_STORED),
        Error::NotNumeric => Some(Status::DELTA_BADVAL),
        Error::NotMyVbucket => Some(Status::NOT_MY_VBUCKET),
        Error::TooBig => Some(Status::E2BIG),
        Error::NoMemory => Some(Status::ENOMEM),
        Error::Temporary => Some(Status::ETMPFAIL),
        Error::Invalid => Some(Status::EINVAL),
        Error::Unsupported => Some(Status::NOT_SUPPORTED),
        Error::Internal => Some(Status::EINTERNAL),
        Error::WouldBlock | Error::Disconnect => None,
    }
}

/// What `store` is asked to do.
pub(super) const fn store_op(operation: ENGINE_STORE_OPERATION) -> Option<StoreOp> {
    match operation {
        ENGINE_STORE_OPERATION::OPERATION_ADD => Some(StoreOp::Add),
        ENGINE_STORE_OPERATION::OPERATION_SET => Some(StoreOp::Set),
        ENGINE_STORE_OPERATION::OPERATION_REPLACE => Some(StoreOp::Replace),
        ENGINE_STORE_OPERATION::OPERATION_APPEND => Some(StoreOp::Append),
        ENGINE_STORE_OPERATION::OPERATION_PREPEND => Some(StoreOp::Prepend),
        ENGINE_STORE_OPERATION::OPERATION_CAS => Some(StoreOp::Cas),
        _ => None,
    }
}

/// Severity of a log line.
pub(super) const fn severity(level: LogLevel) -> EXTENSION_LOG_LEVEL {
    match level {
        LogLevel::Info => EXTENSION_LOG_LEVEL::EXTENSION_LOG_INFO,
        LogLevel::Warning => EXTENSION_LOG_LEVEL::EXTENSION_LOG_WARNING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::bindings::protocol_binary_response_status as Wire;

    #[test]
    fn every_operation_is_known_and_other_integers_are_none() {
        let known = [
            StoreOp::Add,
            StoreOp::Set,
            StoreOp::Replace,
            StoreOp::Append,
            StoreOp::Prepend,
            StoreOp::Cas,
        ];
        for (number, op) in (1..).zip(known) {
            assert_eq!(store_op(ENGINE_STORE_OPERATION(number)), Some(op));
        }
        for number in [0, 7, 0x8000_0000, u32::MAX] {
            assert_eq!(store_op(ENGINE_STORE_OPERATION(number)), None);
        }
    }

    #[test]
    fn statuses_are_those_of_the_header() {
        for (ours, wire) in [
            (Status::SUCCESS, Wire::PROTOCOL_BINARY_RESPONSE_SUCCESS),
            (
                Status::KEY_ENOENT,
                Wire::PROTOCOL_BINARY_RESPONSE_KEY_ENOENT,
            ),
            (
                Status::KEY_EEXISTS,
                Wire::PROTOCOL_BINARY_RESPONSE_KEY_EEXISTS,
            ),
            (Status::E2BIG, Wire::PROTOCOL_BINARY_RESPONSE_E2BIG),
            (Status::EINVAL, Wire::PROTOCOL_BINARY_RESPONSE_EINVAL),
            (
                Status::NOT_STORED,
                Wire::PROTOCOL_BINARY_RESPONSE_NOT_STORED,
            ),
            (
                Status::DELTA_BADVAL,
                Wire::PROTOCOL_BINARY_RESPONSE_DELTA_BADVAL,
            ),
            (
                Status::NOT_MY_VBUCKET,
                Wire::PROTOCOL_BINARY_RESPONSE_NOT_MY_VBUCKET,
            ),
            (
                Status::UNKNOWN_COMMAND,
                Wire::PROTOCOL_BINARY_RESPONSE_UNKNOWN_COMMAND,
            ),
            (Status::ENOMEM, Wire::PROTOCOL_BINARY_RESPONSE_ENOMEM),
            (
                Status::NOT_SUPPORTED,
                Wire::PROTOCOL_BINARY_RESPONSE_NOT_SUPPORTED,
            ),
            (Status::EINTERNAL, Wire::PROTOCOL_BINARY_RESPONSE_EINTERNAL),
            (Status::ETMPFAIL, Wire::PROTOCOL_BINARY_RESPONSE_ETMPFAIL),
        ] {
            assert_eq!(u32::from(ours.0), wire.0);
        }
    }

    #[test]
    fn severities_keep_their_order() {
        let levels = [LogLevel::Info, LogLevel::Warning];
        assert_eq!(levels.map(|level| severity(level).0), [2, 3]);
    }
}
