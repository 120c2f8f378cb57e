//! The table that the host calls. A shim converts, calls the engine once and converts back; what
//! may go back is decided in [`super::rules`], and what holds for all of them stands in
//! [`super`]. Each `unsafe` block names the contract it rests on.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::{self, NonNull};

use libc::time_t;

use super::bindings::{
    ADD_RESPONSE, ADD_STAT, ENGINE_ERROR_CODE, ENGINE_EVENT_TYPE, ENGINE_HANDLE, ENGINE_HANDLE_V1,
    ENGINE_STORE_OPERATION, GET_SERVER_API, TAP_ITERATOR, engine_info, item, item_info,
    protocol_binary_request_header, rel_time_t, tap_event_t,
};
use super::convert::{self, Code};
use super::guard::Guard;
use super::handle::{bytes_of, describe, give, key_of, look, take_back};
use super::host_api::{INTERFACE, Log, Server};
use super::instance::{Handle, Instance, enter, enter_code};
use super::output::{Packets, Statistics};
use super::request;
use super::rules::{self, Entry};
use super::tap;
use crate::commands;
use crate::engine::TapMessage;
use crate::error::Error;
use crate::ffi::alloc::prepare;
use crate::host::{Cookie, LogLevel, StatSink};
use crate::report;
use crate::tap::{Event, Message};
use crate::types::{Arithmetic, KEY_BYTES_MAX};

/// The symbol that hosts look up: makes an engine that `initialize` will start.
///
/// Returns `ENGINE_ENOTSUP` for another interface than 1, `ENGINE_EINVAL` for a NULL handle and
/// `ENGINE_FAILED` for a host whose tables lack something; the reason goes to the log or to
/// stderr.
///
/// # Safety
/// `handle` is NULL or writable; `get_server_api` returns the server table of interface 1, which
/// lives as long as the process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn create_instance(
    interface: u64,
    get_server_api: GET_SERVER_API,
    handle: *mut *mut ENGINE_HANDLE,
) -> ENGINE_ERROR_CODE {
    prepare();
    let guard = Guard::default();
    let report = |line: &str| Log::STDERR.write(LogLevel::Warning, line);
    guard.run("create_instance", report, Code::ENGINE_FAILED, || {
        if interface != INTERFACE {
            return Code::ENGINE_ENOTSUP;
        }
        if handle.is_null() {
            return Code::ENGINE_EINVAL;
        }
        // SAFETY: the caller promises contract 5.
        let server = match unsafe { Server::read(get_server_api) } {
            Ok(server) => server,
            Err(reason) => {
                report(&format!("checkpoint-engine: cannot start: {reason}"));
                return Code::ENGINE_FAILED;
            }
        };
        let made = Handle::leak(table(), get_server_api, &server);
        // SAFETY: writable, says the caller, and not NULL.
        unsafe { handle.write(made) };
        Code::ENGINE_SUCCESS
    })
}

fn table() -> ENGINE_HANDLE_V1 {
    ENGINE_HANDLE_V1 {
        interface: ENGINE_HANDLE {
            interface: INTERFACE,
        },
        get_info: Some(get_info),
        initialize: Some(initialize),
        destroy: Some(destroy),
        allocate: Some(allocate),
        remove: Some(remove),
        release: Some(release),
        get: Some(get),
        store: Some(store),
        arithmetic: Some(arithmetic),
        flush: Some(flush),
        get_stats: Some(get_stats),
        reset_stats: Some(reset_stats),
        // Set, it would be called for almost every command.
        get_stats_struct: None,
        aggregate_stats: None,
        unknown_command: Some(unknown_command),
        tap_notify: Some(tap_notify),
        get_tap_iterator: Some(get_tap_iterator),
        item_set_cas: Some(item_set_cas),
        get_item_info: Some(get_item_info),
        errinfo: Some(errinfo),
    }
}

fn cookie_of(cookie: *const c_void) -> Cookie {
    Cookie::new(cookie.expose_provenance())
}

unsafe extern "C" fn get_info(handle: *mut ENGINE_HANDLE) -> *const engine_info {
    // SAFETY: contract 1.
    unsafe { enter(handle, "get_info", ptr::null(), Instance::info) }
}

/// Rule 15: the host exits with status 0 when this fails, so the reason must be told here.
unsafe extern "C" fn initialize(handle: *mut ENGINE_HANDLE, config: *const c_char) -> Code {
    let body = |instance: &Instance| {
        // SAFETY: contract 2.
        unsafe { instance.start(handle, config, Some(on_disconnect)) }.map_err(|reason| {
            instance.warn(&format!("cannot start: {reason}"));
            Error::Internal
        })
    };
    // SAFETY: contract 1.
    unsafe { enter_code(handle, Entry::Initialize, body) }
}

/// Rule 9: comes once or more often per connection, also for connections that never sent anything,
/// and the host's list may still hold it after `destroy`.
unsafe extern "C" fn on_disconnect(
    cookie: *const c_void,
    _event: ENGINE_EVENT_TYPE,
    _event_data: *const c_void,
    handle: *const c_void,
) {
    let body = |instance: &Instance| {
        if let Ok(engine) = instance.engine() {
            engine.disconnected(cookie_of(cookie));
        }
    };
    // SAFETY: registered with the handle as its data.
    unsafe { enter(handle.cast_mut().cast(), "on_disconnect", (), body) };
}

unsafe extern "C" fn destroy(handle: *mut ENGINE_HANDLE, _force: bool) {
    // SAFETY: contract 4.
    let body = |instance: &Instance| unsafe { instance.stop() };
    // SAFETY: contract 1.
    unsafe { enter(handle, "destroy", (), body) };
}

unsafe extern "C" fn allocate(
    handle: *mut ENGINE_HANDLE,
    _cookie: *const c_void,
    out: *mut *mut item,
    key: *const c_void,
    nkey: usize,
    nbytes: usize,
    flags: c_int,
    exptime: rel_time_t,
) -> Code {
    let body = |instance: &Instance| {
        // SAFETY: contract 2.
        let key = unsafe { key_of(key, nkey) }.ok_or(Error::Invalid)?;
        if nbytes > rules::VALUE_BYTES_MAX {
            return Err(Error::TooBig);
        }
        if out.is_null() {
            return Err(Error::Invalid);
        }
        // The flags are 32 bits that the host passes in a signed type.
        let made = instance
            .engine()?
            .allocate(key, nbytes, flags.cast_unsigned(), exptime)?;
        // SAFETY: contract 2, and not NULL.
        unsafe { give(made, out) };
        Ok(())
    };
    // SAFETY: contract 1.
    unsafe { enter_code(handle, Entry::Allocate, body) }
}

/// Also called by the host on its own after a failed `allocate`.
unsafe extern "C" fn remove(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    key: *const c_void,
    nkey: usize,
    cas: u64,
    vbucket: u16,
) -> Code {
    let body = |instance: &Instance| {
        // SAFETY: contract 2.
        let key = unsafe { key_of(key, nkey) }.ok_or(Error::NotFound)?;
        instance
            .engine()?
            .remove(cookie_of(cookie), key, cas, vbucket)
    };
    // SAFETY: contract 1.
    unsafe { enter_code(handle, Entry::Remove, body) }
}

/// Needs no engine: may come after `destroy`.
unsafe extern "C" fn release(handle: *mut ENGINE_HANDLE, _cookie: *const c_void, item: *mut item) {
    // SAFETY: contract 3.
    let body = |_: &Instance| unsafe { take_back(item) };
    // SAFETY: contract 1.
    unsafe { enter(handle, "release", (), body) };
}

unsafe extern "C" fn get(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    out: *mut *mut item,
    key: *const c_void,
    nkey: c_int,
    vbucket: u16,
) -> Code {
    let body = |instance: &Instance| {
        if out.is_null() {
            return Err(Error::Internal);
        }
        // SAFETY: contract 2, and not NULL. Suites check that a miss leaves NULL.
        unsafe { out.write(ptr::null_mut()) };
        let nkey = usize::try_from(nkey).unwrap_or(0);
        // SAFETY: contract 2.
        let key = unsafe { key_of(key, nkey) }.ok_or(Error::NotFound)?;
        let found = instance.engine()?.get(cookie_of(cookie), key, vbucket)?;
        // SAFETY: contract 2, and not NULL.
        unsafe { give(found, out) };
        Ok(())
    };
    // SAFETY: contract 1.
    unsafe { enter_code(handle, Entry::Get, body) }
}

unsafe extern "C" fn store(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    item: *mut item,
    cas: *mut u64,
    operation: ENGINE_STORE_OPERATION,
    vbucket: u16,
) -> Code {
    let body = |instance: &Instance| {
        let operation = convert::store_op(operation).ok_or(Error::Invalid)?;
        // SAFETY: contract 3; the reference lives beyond this call.
        let item = unsafe { look(item) }.ok_or(Error::Invalid)?;
        let new = instance
            .engine()?
            .store(cookie_of(cookie), &item, operation, vbucket)?;
        if let Some(cas) = NonNull::new(cas) {
            // SAFETY: contract 2.
            unsafe { cas.write(new) };
        }
        Ok(())
    };
    // SAFETY: contract 1.
    unsafe { enter_code(handle, Entry::Store, body) }
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
    let body = |instance: &Instance| {
        let nkey = usize::try_from(nkey).unwrap_or(0);
        // SAFETY: contract 2.
        let key = unsafe { key_of(key, nkey) }.ok_or(Error::Invalid)?;
        let arithmetic = Arithmetic {
            increment,
            create,
            delta,
            initial,
            exptime,
        };
        let engine = instance.engine()?;
        let (value, new) = engine.arithmetic(cookie_of(cookie), key, &arithmetic, vbucket)?;
        for (out, number) in [(result, value), (cas, new)] {
            if let Some(out) = NonNull::new(out) {
                // SAFETY: contract 2.
                unsafe { out.write(number) };
            }
        }
        Ok(())
    };
    // SAFETY: contract 1.
    unsafe { enter_code(handle, rules::caller(create, exptime), body) }
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

unsafe extern "C" fn get_stats(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    group: *const c_char,
    ngroup: c_int,
    add_stat: ADD_STAT,
) -> Code {
    // SAFETY: contract 6; dropped before this function returns.
    let mut sink = unsafe { Statistics::new(add_stat, cookie) };
    let body = |instance: &Instance| {
        let ngroup = if group.is_null() {
            0
        } else {
            usize::try_from(ngroup).unwrap_or(0)
        };
        // SAFETY: contract 2.
        let group = unsafe { bytes_of(group.cast(), ngroup) }.unwrap_or(&[]);
        report::stats(instance.engine()?, cookie_of(cookie), group, &mut sink)?;
        if group.is_empty() {
            sink.add("ep_panics", &instance.panics());
        }
        Ok(())
    };
    // SAFETY: contract 1.
    let outcome = unsafe { enter(handle, Entry::GetStats.name(), Err(Error::Internal), body) };
    sink.answer(outcome)
}

/// Binary clients make the host call this twice for one request.
unsafe extern "C" fn reset_stats(handle: *mut ENGINE_HANDLE, _cookie: *const c_void) {
    let body = |instance: &Instance| {
        if let Ok(engine) = instance.engine() {
            engine.reset_stats();
        }
    };
    // SAFETY: contract 1.
    unsafe { enter(handle, "reset_stats", (), body) };
}

/// Rules 10 and 12: lengths are checked here, and errors become packets.
unsafe extern "C" fn unknown_command(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    request: *mut protocol_binary_request_header,
    response: ADD_RESPONSE,
) -> Code {
    // SAFETY: contract 6; dropped before this function returns.
    let mut reply = unsafe { Packets::new(response, cookie) };
    let body = |instance: &Instance| {
        // SAFETY: contract 2: a header and as many bytes as its body length says.
        let request = unsafe { request::parse(request) }.ok_or(Error::Invalid)?;
        commands::execute(instance.engine()?, cookie_of(cookie), &request, &mut reply)
    };
    let name = Entry::UnknownCommand.name();
    // SAFETY: contract 1.
    let outcome = unsafe { enter(handle, name, Err(Error::Internal), body) };
    reply.answer(outcome)
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
        let value_max = instance.running().ok_or(Error::Unsupported)?.value_max;
        // SAFETY: contract 2.
        let message = unsafe { tap::check(&arguments, value_max) }?;
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
        if nclient > KEY_BYTES_MAX || nuserdata > rules::TAP_USERDATA_BYTES_MAX {
            return None;
        }
        // SAFETY: contract 2, for lengths that can be true.
        let name = unsafe { bytes_of(client, nclient) }?;
        // SAFETY: as above.
        let data = unsafe { bytes_of(userdata, nuserdata) }?;
        let engine = instance.engine().ok()?;
        match engine.tap_connect(cookie_of(cookie), name, flags, data) {
            Ok(()) => Some(tap_iterator),
            // The engine has said why.
            Err(Error::Temporary) => None,
            Err(error) => {
                instance.warn(&format!("refused a TAP stream: {error}"));
                None
            }
        }
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
            info.write(describe(&item, |expiry| {
                let engine = instance.engine();
                if engine.is_ok_and(|engine| engine.has_stream(cookie_of(cookie))) {
                    // Peers expect Unix seconds.
                    return expiry;
                }
                instance.relative(expiry)
            }));
        }
        true
    };
    // SAFETY: contract 1.
    unsafe { enter(handle, "get_item_info", false, body) }
}

/// Adds nothing to the host's error texts, which clients must not read anyway.
unsafe extern "C" fn errinfo(
    _handle: *mut ENGINE_HANDLE,
    _cookie: *const c_void,
    _buffer: *mut c_char,
    _buffsz: usize,
) -> usize {
    0
}
