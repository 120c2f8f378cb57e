//! The table of these hosts: the members that other kinds do not have, or have otherwise.

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use libc::time_t;

use super::tap;
use super::{Classic, codes};
use crate::abi::bindings::{
    ENGINE_HANDLE, ENGINE_HANDLE_V1, TAP_ITERATOR, item, item_info, rel_time_t, tap_event_t,
};
use crate::abi::convert::Code;
use crate::abi::handle::{bytes_of, give, look};
use crate::abi::instance::{self, enter, enter_code};
use crate::abi::load::INTERFACE;
use crate::abi::members::{self, allocate_item, cookie_of, count};
use crate::abi::rules::Entry;
use crate::engine::TapMessage;
use crate::error::Error;
use crate::item::Item;
use crate::tap::{Event, Message};
use crate::types::{Arithmetic, KEY_BYTES_MAX, RelTime, UnixTime};

type Instance = instance::Instance<Classic>;

/// The table, filled.
pub(super) fn table() -> ENGINE_HANDLE_V1 {
    ENGINE_HANDLE_V1 {
        interface: ENGINE_HANDLE {
            interface: INTERFACE,
        },
        get_info: Some(members::get_info::<Classic>),
        initialize: Some(members::initialize::<Classic>),
        destroy: Some(destroy),
        allocate: Some(allocate),
        remove: Some(members::remove::<Classic>),
        release: Some(members::release::<Classic>),
        get: Some(members::get::<Classic>),
        store: Some(members::store::<Classic>),
        arithmetic: Some(arithmetic),
        flush: Some(flush),
        get_stats: Some(members::get_stats::<Classic>),
        reset_stats: Some(members::reset_stats::<Classic>),
        // Set, it would be called for almost every command.
        get_stats_struct: None,
        aggregate_stats: None,
        unknown_command: Some(members::unknown_command::<Classic>),
        tap_notify: Some(tap_notify),
        get_tap_iterator: Some(get_tap_iterator),
        item_set_cas: Some(item_set_cas),
        get_item_info: Some(get_item_info),
        errinfo: Some(members::errinfo),
    }
}

unsafe extern "C" fn destroy(handle: *mut ENGINE_HANDLE, _force: bool) {
    // SAFETY: contracts 1 and 4.
    unsafe { members::stop::<Classic>(handle) };
}

unsafe extern "C" fn allocate(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    out: *mut *mut item,
    key: *const c_void,
    nkey: usize,
    nbytes: usize,
    flags: c_int,
    exptime: rel_time_t,
) -> Code {
    let body = |instance: &Instance| {
        // SAFETY: contract 2.
        let made = unsafe { allocate_item(instance, cookie, (key, nkey), nbytes, flags, exptime) }?;
        if out.is_null() {
            return Err(Error::Invalid);
        }
        // SAFETY: contract 2, and not NULL.
        unsafe { give(made, out) };
        Ok(())
    };
    // SAFETY: contract 1.
    unsafe { enter_code(handle, Entry::Allocate, body) }
}

unsafe extern "C" fn arithmetic(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    key: *const c_void,
    nkey: c_int,
    increment: bool,
    create: bool,
    delta: u64,
    initial: u64,
    exptime: rel_time_t,
    cas: *mut u64,
    result: *mut u64,
    vbucket: u16,
) -> Code {
    let entry = codes::caller(create, exptime);
    let by = Arithmetic {
        increment,
        create,
        delta,
        initial,
        flags: 0,
        exptime,
    };
    let body = |instance: &Instance| {
        let (of, out) = ((entry, cookie), (cas, result));
        // SAFETY: contract 2.
        unsafe { count(instance, of, (key, nkey), &by, out, vbucket) }
    };
    // SAFETY: contract 1.
    unsafe { enter_code(handle, entry, body) }
}

unsafe extern "C" fn flush(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    when: time_t,
) -> Code {
    let body = |instance: &Instance| instance.engine()?.flush(cookie_of(cookie), when);
    // SAFETY: contract 1.
    unsafe { enter_code(handle, Entry::Flush, body) }
}

/// A message of a peer, or the answer of a client to one of its stream's.
unsafe extern "C" fn tap_notify(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    engine_specific: *mut c_void,
    nengine: u16,
    _ttl: u8,
    tap_flags: u16,
    event: tap_event_t,
    tap_seqno: u32,
    key: *const c_void,
    nkey: usize,
    flags: u32,
    expiry: u32,
    cas: u64,
    data: *const c_void,
    ndata: usize,
    vbucket: u16,
) -> Code {
    let arguments = tap::Arguments {
        event,
        engine_specific,
        nengine,
        key,
        nkey,
        data,
        ndata,
    };
    let cookie = cookie_of(cookie);
    let body = |instance: &Instance| {
        let engine = instance.engine()?;
        if event == tap_event_t::TAP_ACK {
            return engine.tap_answered(cookie, tap_seqno, tap_flags);
        }
        // SAFETY: contract 2.
        let message = unsafe { tap::check(&arguments) }?;
        let message = TapMessage {
            event: message.event,
            specific: message.engine_specific,
            key: message.key,
            data: message.data,
            tap_flags,
            flags,
            expiry,
            cas,
            vbucket,
        };
        engine.tap_receive(cookie, &message)
    };
    // SAFETY: contract 1.
    unsafe { enter_code(handle, Entry::TapNotify, body) }
}

/// NULL refuses the stream; the host answers "not supported" and closes the connection.
unsafe extern "C" fn get_tap_iterator(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    client: *const c_void,
    nclient: usize,
    flags: u32,
    userdata: *const c_void,
    nuserdata: usize,
) -> TAP_ITERATOR {
    let body = |instance: &Instance| -> TAP_ITERATOR {
        if nclient > KEY_BYTES_MAX || nuserdata > tap::USERDATA_BYTES_MAX {
            return None;
        }
        // SAFETY: contract 2, for lengths that can be true.
        let name = unsafe { bytes_of(client, nclient) }?;
        // SAFETY: as above.
        let data = unsafe { bytes_of(userdata, nuserdata) }?;
        let engine = instance.engine().ok()?;
        // The engine says why not.
        let connected = engine.tap_connect(cookie_of(cookie), name, flags, data);
        connected.is_ok().then_some(tap_iterator)
    };
    // SAFETY: contract 1.
    unsafe { enter(handle, "get_tap_iterator", None, body) }
}

/// Rule 13: every out parameter is set on every call.
unsafe extern "C" fn tap_iterator(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    item: *mut *mut item,
    engine_specific: *mut *mut c_void,
    nengine: *mut u16,
    ttl: *mut u8,
    flags: *mut u16,
    seqno: *mut u32,
    vbucket: *mut u16,
) -> tap_event_t {
    let out = tap::Out {
        item,
        engine_specific,
        nengine,
        ttl,
        flags,
        seqno,
        vbucket,
    };
    let body = |instance: &Instance| {
        let message = match instance.engine() {
            Ok(engine) => engine.tap_next(cookie_of(cookie)),
            Err(_) => Message::bare(Event::Disconnect),
        };
        // SAFETY: contract 2.
        unsafe { tap::write(message, &out) }
    };
    let fallback = tap_event_t::TAP_DISCONNECT;
    // SAFETY: contract 1.
    unsafe { enter(handle, "tap_iterator", fallback, body) }
}

unsafe extern "C" fn item_set_cas(
    handle: *mut ENGINE_HANDLE,
    _cookie: *const c_void,
    item: *mut item,
    cas: u64,
) {
    let body = |_: &Instance| {
        // SAFETY: contract 3.
        if let Some(item) = unsafe { look(item) } {
            item.set_cas(cas);
        }
    };
    // SAFETY: contract 1.
    unsafe { enter(handle, "item_set_cas", (), body) };
}

/// Rule 11: never fails for an item. Needs no engine.
unsafe extern "C" fn get_item_info(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    item: *const item,
    info: *mut item_info,
) -> bool {
    let body = |instance: &Instance| {
        // SAFETY: contract 3.
        let (Some(item), Some(info)) = (unsafe { look(item) }, NonNull::new(info)) else {
            return false;
        };
        // SAFETY: contract 2: room for one value at least, which is what the struct has.
        unsafe {
            info.write(describe(&item, |expiry| match instance.running() {
                // Peers expect Unix seconds.
                Some(running) if running.engine.has_stream(cookie_of(cookie)) => expiry,
                Some(running) => running.host.clock.relative(expiry),
                None => expiry,
            }));
        }
        true
    };
    // SAFETY: contract 1.
    unsafe { enter(handle, "get_item_info", false, body) }
}

/// Fills what the host wants to know of an item (rule 11): one contiguous value that is as long as
/// it says. An item whose value is not in memory describes itself as empty; `get` returns none.
/// `relative` converts Unix seconds to the host's relative time.
fn describe(of: &Item, relative: impl FnOnce(UnixTime) -> RelTime) -> item_info {
    let nbytes = if of.is_resident() { of.nbytes() } else { 0 };
    // The key stands before the value, with a NUL between that hosts may read too: so the pointer
    // comes from the item, not from the slice of its key.
    let key = of.value_ptr().wrapping_sub(of.key().len() + 1);
    item_info {
        cas: of.cas(),
        exptime: if of.expiry() == 0 {
            0
        } else {
            relative(of.expiry())
        },
        // Both fit: an item's lengths are stored in fields of these sizes or smaller.
        nbytes: u32::try_from(nbytes).unwrap_or(0),
        flags: of.flags(),
        // Index into an array of the host that has 201 entries.
        clsid: 0,
        nkey: u16::try_from(of.key().len()).unwrap_or(0),
        nvalue: 1,
        key: key.cast_const().cast(),
        value: [libc::iovec {
            iov_base: of.value_ptr().cast(),
            iov_len: nbytes,
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::Meta;

    #[test]
    fn an_item_without_its_value_describes_itself_as_empty() {
        let meta = Meta {
            hash: 1,
            flags: 2,
            expiry: 1003,
            cas: 4,
        };
        let evicted = Item::key_only_with(b"k", 100, meta).unwrap();
        let info = describe(&evicted, |expiry| expiry - 1000);
        assert_eq!((info.nbytes, info.value[0].iov_len, info.nvalue), (0, 0, 1));
        assert_eq!(
            (info.cas, info.flags, info.exptime, info.nkey),
            (4, 2, 3, 1)
        );
        let eternal = Item::with_value(b"k", &[b"v"], Meta { expiry: 0, ..meta }).unwrap();
        assert_eq!(describe(&eternal, |_| 77).exptime, 0);
    }
}
