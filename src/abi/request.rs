//! The binary-protocol request that `unknown_command` gets.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::bindings::protocol_binary_request_header;
use super::handle::bytes_of;
use super::rules;
use crate::host::Request;

/// A request in the host's read buffer, or `None` when its lengths contradict each other.
///
/// # Safety
/// `request` is NULL or points to a header as received, at any alignment, followed by its body.
pub(super) unsafe fn parse<'call>(
    request: *const protocol_binary_request_header,
) -> Option<Request<'call>> {
    let at = NonNull::new(request.cast_mut())?.cast::<[u8; rules::REQUEST_HEADER_BYTES]>();
    // SAFETY: a header, says the caller; bytes need no alignment.
    let header = unsafe { at.read() };
    let [
        _,
        opcode,
        k0,
        k1,
        extras,
        _,
        v0,
        v1,
        b0,
        b1,
        b2,
        b3,
        _,
        _,
        _,
        _,
        cas @ ..,
    ] = header;
    let lengths = (
        extras,
        u16::from_be_bytes([k0, k1]),
        u32::from_be_bytes([b0, b1, b2, b3]),
    );
    let (extras, key, value) = rules::request_lengths(lengths.0, lengths.1, lengths.2)?;
    let body = at.as_ptr().wrapping_add(1).cast_const().cast::<c_void>();
    // SAFETY: the host grows its buffer to the announced size before it calls.
    let body = unsafe { bytes_of(body, value.end) }?;
    Some(Request {
        opcode,
        vbucket: u16::from_be_bytes([v0, v1]),
        cas: u64::from_be_bytes(cas),
        extras: body.get(extras)?,
        key: body.get(key)?,
        value: body.get(value)?,
    })
}

/// The same of bytes that were received, for fuzzers; `None` also if the body is not all there.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn parse_bytes(packet: &[u8]) -> Option<Request<'_>> {
    let body = packet.get(8..12)?.try_into().map(u32::from_be_bytes).ok()?;
    let needed = rules::REQUEST_HEADER_BYTES.checked_add(usize::try_from(body).ok()?)?;
    if packet.len() < needed {
        return None;
    }
    // SAFETY: header and body are there.
    unsafe { parse(packet.as_ptr().cast()) }
}
