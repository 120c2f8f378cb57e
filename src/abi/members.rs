//! The members that the tables of all kinds have in common, and the parts of others that are the
//! same. A member converts, calls the engine once and converts back; what may go back is decided by
//! the kind ([`Kind::code`]), and what holds for all of them stands in [`super`]. Each `unsafe`
//! block names the contract it rests on.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::{self, NonNull};

use super::bindings::{
    ADD_RESPONSE, ADD_STAT, ENGINE_EVENT_TYPE, ENGINE_HANDLE, ENGINE_STORE_OPERATION, engine_info,
    item, protocol_binary_request_header,
};
use super::convert::{self, Code};
use super::handle::{bytes_of, give, key_of, look, take_back};
use super::instance::{Instance, enter, enter_code};
use super::kind::Kind;
use super::output::{Packets, Statistics};
use super::ports::Connections as _;
use super::refused::{self, Call, Removal};
use super::request;
use super::rules::{self, Entry};
use crate::commands;
use crate::error::{Error, Result};
use crate::host::{Cookie, StatSink};
use crate::item::Item;
use crate::report;
use crate::types::Arithmetic;

/// The identity of a connection.
pub(super) fn cookie_of(cookie: *const c_void) -> Cookie {
    Cookie::new(cookie.expose_provenance())
}

/// `get_info`.
pub(super) unsafe extern "C" fn get_info<K: Kind>(
    handle: *mut ENGINE_HANDLE,
) -> *const engine_info {
    // SAFETY: contract 1.
    unsafe { enter::<K, _>(handle, "get_info", ptr::null(), Instance::info) }
}

/// `initialize`. Rule 15: the host exits with status 0 when this fails, so the reason must be told
/// here.
pub(super) unsafe extern "C" fn initialize<K: Kind>(
    handle: *mut ENGINE_HANDLE,
    config: *const c_char,
) -> Code {
    let body = |instance: &Instance<K>| {
        // SAFETY: contract 2.
        unsafe { instance.start(handle, config, Some(on_disconnect::<K>)) }.map_err(|reason| {
            instance.warn(&format!("cannot start: {reason}"));
            Error::Internal
        })
    };
    // SAFETY: contract 1.
    unsafe { enter_code(handle, Entry::Initialize, body) }
}

/// Rule 9: comes once or more often per connection, also for connections that never sent anything,
/// and the host's list may still hold it after `destroy`.
unsafe extern "C" fn on_disconnect<K: Kind>(
    cookie: *const c_void,
    _event: ENGINE_EVENT_TYPE,
    _event_data: *const c_void,
    handle: *const c_void,
) {
    let body = |instance: &Instance<K>| {
        if let Some(running) = instance.running() {
            running.engine.disconnected(cookie_of(cookie));
            running.host.connections.ended(cookie_of(cookie));
        }
    };
    // SAFETY: registered with the handle as its data.
    unsafe { enter(handle.cast_mut().cast(), "on_disconnect", (), body) };
}

/// The end, for `destroy`, which not all kinds give the same arguments.
///
/// # Safety
/// Contracts 1 and 4.
pub(super) unsafe fn stop<K: Kind>(handle: *mut ENGINE_HANDLE) {
    // SAFETY: contract 4.
    let body = |instance: &Instance<K>| unsafe { instance.stop() };
    // SAFETY: contract 1.
    unsafe { enter(handle, "destroy", (), body) };
}

/// What every `allocate` does. `exptime` is a client's, as [`Engine::allocate`] takes it. A refusal
/// is noted, because the host may call `remove` for it.
///
/// # Errors
/// Those of [`Engine::allocate`].
///
/// # Safety
/// Contract 2.
///
/// [`Engine::allocate`]: crate::engine::Engine::allocate
pub(super) unsafe fn allocate_item<K: Kind>(
    instance: &Instance<K>,
    cookie: *const c_void,
    (key, nkey): (*const c_void, usize),
    nbytes: usize,
    flags: c_int,
    exptime: u32,
) -> Result<Item> {
    let call = Call::new(cookie, key, nkey);
    let allocate = || {
        // SAFETY: contract 2.
        let key = unsafe { key_of(key, nkey) }.ok_or(Error::Invalid)?;
        if nbytes > rules::VALUE_BYTES_MAX {
            return Err(Error::TooBig);
        }
        // The flags are 32 bits that the host passes in a signed type.
        let engine = instance.engine()?;
        engine.allocate(key, nbytes, flags.cast_unsigned(), exptime)
    };
    let made = allocate();
    call.allocated(made.as_ref().err().copied());
    made
}

/// `remove`. Also called by the host on its own after a failed `allocate`: that must not block, and
/// takes nothing away if the value was refused for the time being only.
pub(super) unsafe extern "C" fn remove<K: Kind>(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    key: *const c_void,
    nkey: usize,
    cas: u64,
    vbucket: u16,
) -> Code {
    let body = |instance: &Instance<K>| {
        let removal = Call::new(cookie, key, nkey).removal();
        // SAFETY: contract 2.
        let key = unsafe { key_of(key, nkey) }.ok_or(Error::NotFound)?;
        let (running, cookie) = (instance.alive()?, cookie_of(cookie));
        match removal {
            Removal::Asked => {}
            Removal::Unheeded => {
                running.engine.discard(key, cas, vbucket)?;
                return K::written(running, cookie, vbucket);
            }
            Removal::Needless => return Ok(()),
        }
        K::finish(running, Entry::Remove, cookie, || {
            running.engine.remove(cookie, key, cas, vbucket)
        })?;
        K::written(running, cookie, vbucket)
    };
    // SAFETY: contract 1.
    unsafe { enter_code(handle, Entry::Remove, body) }
}

/// `release`. Needs no engine: may come after `destroy`.
pub(super) unsafe extern "C" fn release<K: Kind>(
    handle: *mut ENGINE_HANDLE,
    _cookie: *const c_void,
    item: *mut item,
) {
    // SAFETY: contract 3.
    let body = |_: &Instance<K>| unsafe { take_back(item) };
    // SAFETY: contract 1.
    unsafe { enter(handle, "release", (), body) };
}

/// `get`.
pub(super) unsafe extern "C" fn get<K: Kind>(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    out: *mut *mut item,
    key: *const c_void,
    nkey: c_int,
    vbucket: u16,
) -> Code {
    let body = |instance: &Instance<K>| {
        if out.is_null() {
            return Err(Error::Internal);
        }
        // SAFETY: contract 2, and not NULL. Suites check that a miss leaves NULL.
        unsafe { out.write(ptr::null_mut()) };
        refused::forget();
        let nkey = usize::try_from(nkey).unwrap_or(0);
        // SAFETY: contract 2.
        let key = unsafe { key_of(key, nkey) }.ok_or(Error::NotFound)?;
        let (running, cookie) = (instance.alive()?, cookie_of(cookie));
        let found = K::finish(running, Entry::Get, cookie, || {
            running.engine.get(cookie, key, vbucket)
        })?;
        // SAFETY: contract 2, and not NULL.
        unsafe { give(found, out) };
        Ok(())
    };
    // SAFETY: contract 1.
    unsafe { enter_code(handle, Entry::Get, body) }
}

/// `store`.
pub(super) unsafe extern "C" fn store<K: Kind>(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    item: *mut item,
    cas: *mut u64,
    operation: ENGINE_STORE_OPERATION,
    vbucket: u16,
) -> Code {
    let body = |instance: &Instance<K>| {
        refused::forget();
        let operation = convert::store_op(operation).ok_or(Error::Invalid)?;
        // SAFETY: contract 3; the reference lives beyond this call.
        let item = unsafe { look(item) }.ok_or(Error::Invalid)?;
        let (running, cookie) = (instance.alive()?, cookie_of(cookie));
        let new = K::finish(running, Entry::Store, cookie, || {
            running.engine.store(cookie, &item, operation, vbucket)
        })?;
        if let Some(cas) = NonNull::new(cas) {
            // SAFETY: contract 2.
            unsafe { cas.write(new) };
        }
        K::written(running, cookie, vbucket)
    };
    // SAFETY: contract 1.
    unsafe { enter_code(handle, Entry::Store, body) }
}

/// What every `arithmetic` does.
///
/// # Errors
/// Those of the engine.
///
/// # Safety
/// Contract 2.
pub(super) unsafe fn count<K: Kind>(
    instance: &Instance<K>,
    (entry, cookie): (Entry, *const c_void),
    (key, nkey): (*const c_void, c_int),
    by: &Arithmetic,
    (cas, result): (*mut u64, *mut u64),
    vbucket: u16,
) -> Result<()> {
    let nkey = usize::try_from(nkey).unwrap_or(0);
    // SAFETY: contract 2.
    let key = unsafe { key_of(key, nkey) }.ok_or(Error::Invalid)?;
    let (running, cookie) = (instance.alive()?, cookie_of(cookie));
    let (value, new) = K::finish(running, entry, cookie, || {
        running.engine.arithmetic(cookie, key, by, vbucket)
    })?;
    for (out, number) in [(result, value), (cas, new)] {
        if let Some(out) = NonNull::new(out) {
            // SAFETY: contract 2.
            unsafe { out.write(number) };
        }
    }
    K::written(running, cookie, vbucket)
}

/// `get_stats`.
pub(super) unsafe extern "C" fn get_stats<K: Kind>(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    group: *const c_char,
    ngroup: c_int,
    add_stat: ADD_STAT,
) -> Code {
    // SAFETY: contract 6; dropped before this function returns.
    let mut sink = unsafe { Statistics::new(add_stat, cookie) };
    let body = |instance: &Instance<K>| {
        let ngroup = if group.is_null() {
            0
        } else {
            usize::try_from(ngroup).unwrap_or(0)
        };
        // SAFETY: contract 2.
        let group = unsafe { bytes_of(group.cast(), ngroup) }.unwrap_or(&[]);
        // ARCUS counts the NUL behind a text that came in ASCII.
        let group = group.strip_suffix(b"\0").unwrap_or(group);
        let (running, cookie) = (instance.alive()?, cookie_of(cookie));
        K::finish(running, Entry::GetStats, cookie, || {
            report::stats(&running.engine, cookie, group, &mut sink)
        })?;
        if group.is_empty() {
            sink.add("ep_panics", &instance.panics());
        }
        Ok(())
    };
    let name = Entry::GetStats.name();
    // SAFETY: contract 1.
    let outcome = unsafe { enter(handle, name, Err(Error::Internal), body) };
    sink.answer::<K>(outcome)
}

/// `reset_stats`. Binary clients make the host call this twice for one request.
pub(super) unsafe extern "C" fn reset_stats<K: Kind>(
    handle: *mut ENGINE_HANDLE,
    _cookie: *const c_void,
) {
    let body = |instance: &Instance<K>| {
        if let Ok(engine) = instance.engine() {
            engine.reset_stats();
        }
    };
    // SAFETY: contract 1.
    unsafe { enter(handle, "reset_stats", (), body) };
}

/// `unknown_command`. Rules 10 and 12: lengths are checked here, and errors become packets.
pub(super) unsafe extern "C" fn unknown_command<K: Kind>(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    request: *mut protocol_binary_request_header,
    response: ADD_RESPONSE,
) -> Code {
    // SAFETY: contract 6; dropped before this function returns.
    let mut reply = unsafe { Packets::new(response, cookie) };
    let body = |instance: &Instance<K>| {
        // SAFETY: contract 2: a header and as many bytes as its body length says.
        let request = unsafe { request::parse(request) }.ok_or(Error::Invalid)?;
        let (running, cookie) = (instance.alive()?, cookie_of(cookie));
        K::finish(running, Entry::UnknownCommand, cookie, || {
            commands::execute(&running.engine, cookie, &request, &mut reply)
        })
    };
    let name = Entry::UnknownCommand.name();
    // SAFETY: contract 1.
    let outcome = unsafe { enter(handle, name, Err(Error::Internal), body) };
    reply.answer::<K>(outcome)
}

/// `errinfo`. Adds nothing to the host's error texts, which clients must not read anyway.
pub(super) unsafe extern "C" fn errinfo(
    _handle: *mut ENGINE_HANDLE,
    _cookie: *const c_void,
    _buffer: *mut c_char,
    _buffsz: usize,
) -> usize {
    0
}
