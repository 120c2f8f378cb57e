//! The TAP members of the table: what a peer sends is checked before a pointer is touched, because
//! any client can send it (`docs/hosts.md`); what a stream sends is written to
//! where the host says.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::{self, NonNull};

use crate::abi::bindings::{item, tap_event_t};
use crate::abi::handle;
use crate::abi::rules::{KEY_BYTES, VALUE_BYTES_MAX};
use crate::engine::TapEvent;
use crate::error::{Error, Result};
use crate::item::Item;
use crate::tap;
use crate::tap::Event;

/// Longest engine-specific part of a TAP message (rule 13).
pub(super) const ENGINE_SPECIFIC_BYTES_MAX: usize = 160;

/// Longest user data of TAP_CONNECT: lists of all vbuckets take a sixth of it.
pub(super) const USERDATA_BYTES_MAX: usize = 64 << 10;

/// Messages that a host collects in one buffer, the longest header it puts before each, and the
/// size of the buffer, which it does not check.
const BATCH: (usize, usize, usize) = (10, 40, 2048);
const _: () = assert!(BATCH.0 * (BATCH.1 + ENGINE_SPECIFIC_BYTES_MAX) <= BATCH.2);

/// Rule 14: for events with item extras the host's pointer to the engine-specific bytes is this
/// much too low.
const ITEM_EXTRAS_BYTES: usize = 8;

/// The arguments of `tap_notify` that describe memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arguments {
    /// What kind of message.
    pub(super) event: tap_event_t,
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
/// `Invalid` and `TooBig` for lengths that cannot be true.
///
/// # Safety
/// Contract 2: the pointers lie in the packet. A contradiction between its lengths that leaves all
/// of them plausible cannot be seen here.
pub(super) unsafe fn check<'call>(arguments: &Arguments) -> Result<Message<'call>> {
    let Arguments {
        engine_specific,
        nengine,
        key,
        nkey,
        data,
        ndata,
        ..
    } = *arguments;
    let event = tap_event(arguments.event).ok_or(Error::Invalid)?;
    let nengine = usize::from(nengine);
    // What is only longer than this node may keep is the engine's to refuse: a replica goes on
    // without such a value.
    if ndata > VALUE_BYTES_MAX {
        return Err(Error::TooBig);
    }
    let (keys, shift) = match event {
        TapEvent::Mutation => (KEY_BYTES, ITEM_EXTRAS_BYTES),
        TapEvent::CheckpointStart | TapEvent::CheckpointEnd => {
            (0..=*KEY_BYTES.end(), ITEM_EXTRAS_BYTES)
        }
        TapEvent::Deletion => (KEY_BYTES, 0),
        TapEvent::Flush | TapEvent::Opaque | TapEvent::VbucketSet => (0..=0, 0),
    };
    if !keys.contains(&nkey) || nengine > ENGINE_SPECIFIC_BYTES_MAX {
        return Err(Error::Invalid);
    }
    let engine_specific = match NonNull::new(engine_specific.cast_mut()) {
        Some(at) => at.as_ptr().cast_const().wrapping_byte_add(shift),
        None => ptr::null(),
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

/// Where a host wants the parts of a stream's message. It reads all of them after every call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Out {
    /// The item: one reference goes to the host.
    pub(super) item: *mut *mut item,
    /// The engine-specific bytes: the host copies them before the next call.
    pub(super) engine_specific: *mut *mut c_void,
    /// How many there are.
    pub(super) nengine: *mut u16,
    /// Hops that the message may take.
    pub(super) ttl: *mut u8,
    /// TAP flags.
    pub(super) flags: *mut u16,
    /// Number of the message.
    pub(super) seqno: *mut u32,
    /// Vbucket.
    pub(super) vbucket: *mut u16,
}

thread_local! {
    /// Engine-specific bytes of the message that this thread was given last.
    static SPECIFIC: Cell<[u8; SPECIFIC_BYTES]> = const { Cell::new([0; SPECIFIC_BYTES]) };
}

/// Longest engine-specific part that a stream sends.
const SPECIFIC_BYTES: usize = 16;
const _: () = assert!(SPECIFIC_BYTES <= ENGINE_SPECIFIC_BYTES_MAX);

/// Messages pass through no chain: a receiver that counts down never meets the end.
const TTL: u8 = 255;

/// Writes a message to where the host wants it.
///
/// # Safety
/// Contract 2: every pointer is writable.
pub(super) unsafe fn write(message: tap::Message, out: &Out) -> tap_event_t {
    let bytes = message.specific.bytes();
    let mut specific = [0; SPECIFIC_BYTES];
    for (to, byte) in specific.iter_mut().zip(bytes) {
        *to = *byte;
    }
    let nengine = u16::try_from(bytes.len()).unwrap_or(0);
    SPECIFIC.set(specific);
    let at = SPECIFIC.with(Cell::as_ptr).cast::<c_void>();
    let raw = message.item.map_or(ptr::null_mut(), Item::into_raw);
    // SAFETY: writable, says the caller.
    unsafe { out.item.write(raw.cast()) };
    // SAFETY: writable, says the caller.
    unsafe { out.engine_specific.write(at) };
    // SAFETY: writable, says the caller.
    unsafe { out.nengine.write(nengine) };
    // SAFETY: writable, says the caller.
    unsafe { out.ttl.write(TTL) };
    // SAFETY: writable, says the caller.
    unsafe { out.flags.write(message.flags) };
    // SAFETY: writable, says the caller.
    unsafe { out.seqno.write(message.seqno) };
    // SAFETY: writable, says the caller.
    unsafe { out.vbucket.write(message.vbucket) };
    to_tap_event(message.event)
}

/// What a stream's iterator returns. Never `TAP_ACK`, which aborts hosts.
const fn to_tap_event(event: Event) -> tap_event_t {
    match event {
        Event::Mutation => tap_event_t::TAP_MUTATION,
        Event::Deletion => tap_event_t::TAP_DELETION,
        Event::Flush => tap_event_t::TAP_FLUSH,
        Event::Opaque => tap_event_t::TAP_OPAQUE,
        Event::VbucketSet => tap_event_t::TAP_VBUCKET_SET,
        Event::CheckpointStart => tap_event_t::TAP_CHECKPOINT_START,
        Event::CheckpointEnd => tap_event_t::TAP_CHECKPOINT_END,
        Event::Noop => tap_event_t::TAP_NOOP,
        Event::Pause => tap_event_t::TAP_PAUSE,
        Event::Disconnect => tap_event_t::TAP_DISCONNECT,
    }
}

/// What `tap_notify` is told, but for acknowledgements; events that only an iterator returns are no
/// messages.
const fn tap_event(event: tap_event_t) -> Option<TapEvent> {
    match event {
        tap_event_t::TAP_MUTATION => Some(TapEvent::Mutation),
        tap_event_t::TAP_DELETION => Some(TapEvent::Deletion),
        tap_event_t::TAP_FLUSH => Some(TapEvent::Flush),
        tap_event_t::TAP_OPAQUE => Some(TapEvent::Opaque),
        tap_event_t::TAP_VBUCKET_SET => Some(TapEvent::VbucketSet),
        tap_event_t::TAP_CHECKPOINT_START => Some(TapEvent::CheckpointStart),
        tap_event_t::TAP_CHECKPOINT_END => Some(TapEvent::CheckpointEnd),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_an_iterator_are_no_messages() {
        for number in [0, 7, 8, 9, 12, u32::MAX] {
            assert_eq!(tap_event(tap_event_t(number)), None, "{number}");
        }
        assert_eq!(tap_event(tap_event_t(6)), None);
        assert_eq!(tap_event(tap_event_t(11)), Some(TapEvent::CheckpointEnd));
    }
}
