//! The TAP members of the table. This engine neither sends nor receives TAP streams yet; what a
//! peer may send is checked as it will have to be, because any client can send it
//! (`facts/engine-abi.md`, section 7.5).

use std::ffi::c_void;
use std::ptr::NonNull;

use super::convert::{self, TapEvent};
use super::handle;
use super::rules::{ENGINE_SPECIFIC_BYTES_MAX, KEY_BYTES};
use crate::error::{Error, Result};

/// Rule 14: for events with item extras the host's pointer to the engine-specific bytes is this
/// much too low.
const ITEM_EXTRAS_BYTES: usize = 8;

/// The arguments of `tap_notify` that describe memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arguments {
    /// What kind of message.
    pub(super) event: super::bindings::tap_event_t,
    /// Where the host says the engine-specific bytes are.
    pub(super) engine_specific: *const c_void,
    /// How many there are.
    pub(super) nengine: u16,
    /// Key.
    pub(super) key: *const c_void,
    /// Its length, which the host did not check.
    pub(super) nkey: usize,
    /// Value.
    pub(super) data: *const c_void,
    /// Its length, which the host did not check.
    pub(super) ndata: usize,
}

/// A message whose lengths were checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message<'call> {
    /// What kind.
    pub(super) event: TapEvent,
    /// Engine-specific bytes.
    pub(super) engine_specific: &'call [u8],
    /// Key; empty where the event has none.
    pub(super) key: &'call [u8],
    /// Value.
    pub(super) data: &'call [u8],
}

/// Checks what can be checked, before any pointer is touched.
///
/// # Errors
/// `Disconnect` for an acknowledgement: there is no stream that it could belong to, and any other
/// answer would make the host treat the connection as one. `Invalid` and `TooBig` for lengths that
/// cannot be true.
///
/// # Safety
/// Contract 2: the pointers lie in the packet. A contradiction between its lengths that leaves all
/// of them plausible cannot be seen here.
pub(super) unsafe fn check<'call>(
    arguments: &Arguments,
    value_max: usize,
) -> Result<Message<'call>> {
    let Arguments {
        engine_specific,
        nengine,
        key,
        nkey,
        data,
        ndata,
        ..
    } = *arguments;
    let event = convert::tap_event(arguments.event).ok_or(Error::Invalid)?;
    let nengine = usize::from(nengine);
    if event == TapEvent::Ack {
        return Err(Error::Disconnect);
    }
    if ndata > value_max {
        return Err(Error::TooBig);
    }
    let (keys, shift) = match event {
        TapEvent::Mutation => (KEY_BYTES, ITEM_EXTRAS_BYTES),
        TapEvent::CheckpointStart | TapEvent::CheckpointEnd => {
            (0..=*KEY_BYTES.end(), ITEM_EXTRAS_BYTES)
        }
        TapEvent::Deletion => (KEY_BYTES, 0),
        TapEvent::Flush | TapEvent::Opaque | TapEvent::VbucketSet | TapEvent::Ack => (0..=0, 0),
    };
    if !keys.contains(&nkey) || nengine > ENGINE_SPECIFIC_BYTES_MAX {
        return Err(Error::Invalid);
    }
    let engine_specific = match NonNull::new(engine_specific.cast_mut()) {
        Some(at) => at.as_ptr().cast_const().wrapping_byte_add(shift),
        None => std::ptr::null(),
    };
    // SAFETY: inside the packet, says the caller, at the place that rule 14 gives.
    let engine_specific = unsafe { handle::bytes_of(engine_specific, nengine) };
    // SAFETY: inside the packet, says the caller.
    let key = unsafe { handle::bytes_of(key, nkey) };
    // SAFETY: inside the packet, says the caller.
    let data = unsafe { handle::bytes_of(data, ndata) };
    Ok(Message {
        event,
        engine_specific: engine_specific.ok_or(Error::Invalid)?,
        key: key.ok_or(Error::Invalid)?,
        data: data.ok_or(Error::Invalid)?,
    })
}

/// Answers a message of a peer.
///
/// # Errors
/// `Unsupported`, always, for now.
pub(super) fn receive(_message: &Message<'_>) -> Result<()> {
    Err(Error::Unsupported)
}
