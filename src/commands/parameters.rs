//! SET_FLUSH_PARAM and SET_TAP_PARAM: what an operator changes at run time.

use super::answer;
use crate::engine::Engine;
use crate::error::Result;
use crate::host::{Reply, Request, Status};
use crate::settings::{Family, SetError};

/// Names from this length on are refused, as ep-engine does.
const NAME_BYTES: usize = 32;
/// Values likewise.
const VALUE_BYTES: usize = 512;

/// Sets the parameter that the key names to the number in the value.
pub(super) fn set(
    engine: &Engine,
    family: Family,
    request: &Request<'_>,
    reply: &mut dyn Reply,
) -> Result<()> {
    let (status, body): (_, &[u8]) = match try_set(engine, family, request) {
        // What tools for ep-engine expect of each.
        Ok(()) if family == Family::Flush => (Status::SUCCESS, b"Updated"),
        Ok(()) => (Status::SUCCESS, b""),
        Err((status, text)) => (status, text.as_bytes()),
    };
    answer(reply, status, body)
}

fn try_set(
    engine: &Engine,
    family: Family,
    request: &Request<'_>,
) -> std::result::Result<(), (Status, &'static str)> {
    const UNKNOWN: (Status, &str) = (Status::KEY_ENOENT, "Unknown config param");
    const OUT_OF_RANGE: (Status, &str) = (Status::EINVAL, "Value out of range.");
    if !request.extras.is_empty() {
        let text = "A parameter takes no extras: send its name as the key, a number as the value.";
        return Err((Status::EINVAL, text));
    }
    if request.key.len() >= NAME_BYTES {
        return Err((Status::EINVAL, "Key is too large."));
    }
    if request.value.len() >= VALUE_BYTES {
        return Err((Status::EINVAL, "Value is too large."));
    }
    let name = std::str::from_utf8(request.key).map_err(|_| UNKNOWN)?;
    // What is no text is no number either, but an unknown name goes before it.
    let value = std::str::from_utf8(request.value).unwrap_or_default();
    engine
        .set_parameter(family, name, value)
        .map_err(|error| match error {
            SetError::Unknown => UNKNOWN,
            SetError::OutOfRange => OUT_OF_RANGE,
        })
}
