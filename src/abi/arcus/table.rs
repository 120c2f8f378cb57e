//! The table of these hosts: the members that other kinds do not have, or have otherwise.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr::{self, NonNull};

use super::bindings::{
    ARCUS_ATTR_EXPIRETIME, ARCUS_ATTR_FLAGS, ARCUS_ATTR_TYPE, ARCUS_COLLECTION_MEMBERS,
    ARCUS_ENGINE_HANDLE_V1, ARCUS_ITEM_TYPE_KV, arcus_item_attr, arcus_item_info,
};
use super::{Arcus, Times, codes, tail};
use crate::abi::bindings::{ENGINE_HANDLE, item, rel_time_t, token_t};
use crate::abi::convert::Code;
use crate::abi::handle::{bytes_of, give, key_of, look};
use crate::abi::instance::{self, enter, enter_code};
use crate::abi::kind::Kind as _;
use crate::abi::load::INTERFACE;
use crate::abi::members::{self, allocate_item, cookie_of, count};
use crate::abi::rules::Entry;
use crate::error::{Error, Result};
use crate::settings::Family;
use crate::types::Arithmetic;

type Instance = instance::Instance<Arcus>;

/// The type of a plain value.
const PLAIN: u8 = ARCUS_ITEM_TYPE_KV.to_le_bytes()[0];

/// Words behind the table that are NULL: a version that is not known may look at more members than
/// there are before `initialize` refuses it.
const WORDS_BEHIND: usize = 64;

/// The table, and room behind it.
#[repr(C)]
pub(in crate::abi) struct Table {
    members: ARCUS_ENGINE_HANDLE_V1,
    behind: [usize; WORDS_BEHIND],
}

/// The table, filled.
pub(super) fn table() -> Table {
    Table {
        members: members(),
        behind: [0; WORDS_BEHIND],
    }
}

fn members() -> ARCUS_ENGINE_HANDLE_V1 {
    ARCUS_ENGINE_HANDLE_V1 {
        interface: ENGINE_HANDLE {
            interface: INTERFACE,
        },
        get_info: Some(members::get_info::<Arcus>),
        initialize: Some(members::initialize::<Arcus>),
        destroy: Some(destroy),
        prefix_release: None,
        allocate: Some(allocate),
        remove: Some(members::remove::<Arcus>),
        release: Some(members::release::<Arcus>),
        get: Some(members::get::<Arcus>),
        store: Some(members::store::<Arcus>),
        arithmetic: Some(arithmetic),
        flush: Some(flush),
        collections: [Some(refused); ARCUS_COLLECTION_MEMBERS as usize],
        getattr: Some(getattr),
        setattr: Some(setattr),
        get_stats: Some(members::get_stats::<Arcus>),
        reset_stats: Some(members::reset_stats::<Arcus>),
        // The host refuses to start with either.
        get_stats_struct: None,
        aggregate_stats: None,
        prefix_dump_stats: Some(prefix_dump_stats),
        prefix_count: Some(prefix_count),
        set_config: Some(set_config),
        get_config: Some(get_config),
        cachedump: Some(cachedump),
        dump: Some(refused),
        prefixscan: Some(refused),
        keyscan: Some(refused),
        unknown_command: Some(members::unknown_command::<Arcus>),
        scrub_stale: None,
        get_prefix_info: None,
        get_item_info: Some(get_item_info),
        get_elem_info: None,
        errinfo: Some(members::errinfo),
    }
}

/// Collections, scans and dumps. Members that return nothing are among them: what a register holds
/// then means nothing.
unsafe extern "C" fn refused(_first: *const c_void, _second: *const c_void) -> Code {
    Code::ENGINE_ENOTSUP
}

unsafe extern "C" fn destroy(handle: *mut ENGINE_HANDLE) {
    // SAFETY: contracts 1 and 4.
    unsafe { members::stop::<Arcus>(handle) };
}

/// The length of a value without its tail.
fn without_tail(nbytes: usize) -> Result<usize> {
    nbytes
        .checked_sub(tail::BYTES as usize)
        .ok_or(Error::Invalid)
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
    cas: u64,
) -> Code {
    let body = |instance: &Instance| {
        let running = instance.alive()?;
        let exptime = Times(&running.host.clock).expiry(exptime);
        let nbytes = without_tail(nbytes)?;
        // SAFETY: contract 2.
        let made = unsafe { allocate_item(instance, cookie, (key, nkey), nbytes, flags, exptime) }?;
        if out.is_null() {
            return Err(Error::Invalid);
        }
        made.set_cas(cas);
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
    flags: c_int,
    exptime: rel_time_t,
    cas: *mut u64,
    result: *mut u64,
    vbucket: u16,
) -> Code {
    let entry = Entry::ArithmeticBinary;
    let body = |instance: &Instance| {
        let running = instance.alive()?;
        let by = Arithmetic {
            increment,
            create,
            delta,
            initial,
            flags: flags.cast_unsigned(),
            exptime: Times(&running.host.clock).expiry(exptime),
        };
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
    prefix: *const c_void,
    nprefix: c_int,
    when: rel_time_t,
) -> Code {
    let body = |instance: &Instance| {
        let running = instance.alive()?;
        let when = Times(&running.host.clock).flush(when);
        let cookie = cookie_of(cookie);
        match usize::try_from(nprefix) {
            Err(_) => running.engine.flush(cookie, when)?,
            Ok(length) => {
                // SAFETY: contract 2.
                let prefix = unsafe { bytes_of(prefix, length) }.ok_or(Error::Invalid)?;
                running.engine.flush_prefix(prefix, when)?;
            }
        }
        Arcus::written(running, cookie, 0)
    };
    // SAFETY: contract 1.
    match unsafe { enter_code(handle, Entry::Flush, body) } {
        // No key has that prefix.
        Code::ENGINE_KEY_ENOENT => codes::PREFIX_ENOENT,
        code => code,
    }
}

/// The attributes that a request names, if plain values have all of them.
///
/// # Safety
/// Contract 2: as many numbers as it says.
unsafe fn attributes<'call>(ids: *const c_int, count: u32) -> Option<&'call [c_int]> {
    let count = usize::try_from(count).ok()?;
    if count == 0 {
        return Some(&[]);
    }
    let ids = NonNull::new(ids.cast_mut())?;
    // SAFETY: not NULL, and as many as the caller says.
    let ids = unsafe { std::slice::from_raw_parts(ids.as_ptr(), count) };
    let is_plain = |id: &c_int| {
        u32::try_from(*id).is_ok_and(|id| {
            [ARCUS_ATTR_TYPE, ARCUS_ATTR_FLAGS, ARCUS_ATTR_EXPIRETIME].contains(&id)
        })
    };
    ids.iter().all(is_plain).then_some(ids)
}

unsafe extern "C" fn getattr(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    key: *const c_void,
    nkey: c_int,
    ids: *mut c_int,
    count: u32,
    out: *mut arcus_item_attr,
    vbucket: u16,
) -> Code {
    let mut known = true;
    let body = |instance: &Instance| {
        let nkey = usize::try_from(nkey).unwrap_or(0);
        // SAFETY: contract 2.
        let key = unsafe { key_of(key, nkey) }.ok_or(Error::NotFound)?;
        let (running, cookie) = (instance.alive()?, cookie_of(cookie));
        let item = running.engine.meta_of(cookie, key, vbucket)?;
        // SAFETY: contract 2.
        known = unsafe { attributes(ids, count) }.is_some();
        let (true, Some(out)) = (known, NonNull::new(out)) else {
            return Err(Error::Invalid);
        };
        // SAFETY: contract 2.
        unsafe {
            out.write(arcus_item_attr {
                flags: item.flags,
                exptime: Times(&running.host.clock).shown(item.expiry),
                count: 0,
                maxcount: 0,
                bkeys: [0; 96],
                type_: PLAIN,
                ovflaction: 0,
                readable: 1,
                trimmed: 0,
            });
        }
        Ok(())
    };
    // SAFETY: contract 1.
    let code = unsafe { enter_code(handle, Entry::Attributes, body) };
    if known { code } else { codes::EBADATTR }
}

/// Sets the expiry, which is all that `touch` wants, and all that can be set of a plain value.
unsafe extern "C" fn setattr(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    key: *const c_void,
    nkey: c_int,
    ids: *mut c_int,
    count: u32,
    attributes_in: *mut arcus_item_attr,
    vbucket: u16,
) -> Code {
    let mut known = true;
    let body = |instance: &Instance| {
        let nkey = usize::try_from(nkey).unwrap_or(0);
        // SAFETY: contract 2.
        let key = unsafe { key_of(key, nkey) }.ok_or(Error::NotFound)?;
        let (running, cookie) = (instance.alive()?, cookie_of(cookie));
        running.engine.meta_of(cookie, key, vbucket)?;
        // SAFETY: contract 2.
        let ids = unsafe { attributes(ids, count) }.unwrap_or_default();
        let is_expiry = |id: &c_int| u32::try_from(*id) == Ok(ARCUS_ATTR_EXPIRETIME);
        known = !ids.is_empty() && ids.iter().all(is_expiry);
        let (true, Some(wanted)) = (known, NonNull::new(attributes_in)) else {
            return Err(Error::Invalid);
        };
        // SAFETY: contract 2.
        let exptime = unsafe { &raw const (*wanted.as_ptr()).exptime };
        // SAFETY: as above.
        let exptime = Times(&running.host.clock).expiry(unsafe { exptime.read() });
        Arcus::finish(running, Entry::Attributes, cookie, || {
            running.engine.touch(cookie, key, exptime, vbucket)
        })?;
        Arcus::written(running, cookie, vbucket)
    };
    // SAFETY: contract 1.
    let code = unsafe { enter_code(handle, Entry::Attributes, body) };
    if known { code } else { codes::EBADATTR }
}

/// There are no figures by prefix.
unsafe extern "C" fn prefix_dump_stats(
    _handle: *mut ENGINE_HANDLE,
    _cookie: *const c_void,
    _tokens: *mut token_t,
    _ntokens: usize,
    length: *mut c_int,
) -> *mut c_char {
    if let Some(length) = NonNull::new(length) {
        // SAFETY: contract 2.
        unsafe { length.write(-1) };
    }
    ptr::null_mut()
}

unsafe extern "C" fn prefix_count(_handle: *mut ENGINE_HANDLE, _cookie: *const c_void) -> c_int {
    0
}

unsafe extern "C" fn cachedump(
    _handle: *mut ENGINE_HANDLE,
    _cookie: *const c_void,
    _class: c_uint,
    _limit: c_uint,
    _forward: bool,
    _sticky: bool,
    bytes: *mut c_uint,
) -> *mut c_char {
    if let Some(bytes) = NonNull::new(bytes) {
        // SAFETY: contract 2.
        unsafe { bytes.write(0) };
    }
    ptr::null_mut()
}

/// `config memlimit` is the quota. How much the host logs is its own affair.
unsafe extern "C" fn set_config(
    handle: *mut ENGINE_HANDLE,
    _cookie: *const c_void,
    key: *const c_char,
    value: *mut c_void,
) -> Code {
    let body = |instance: &Instance| {
        let (Some(key), Some(value)) = (NonNull::new(key.cast_mut()), NonNull::new(value)) else {
            return Err(Error::Invalid);
        };
        // SAFETY: contract 2: a C string.
        let key = unsafe { CStr::from_ptr(key.as_ptr()) };
        match key.to_bytes() {
            b"memlimit" => {
                // SAFETY: contract 2: for this key a size.
                let bytes = unsafe { value.cast::<usize>().read() };
                let set =
                    instance
                        .engine()?
                        .set_parameter(Family::Flush, "max_size", &bytes.to_string());
                set.map_err(|_| Error::Invalid)
            }
            b"verbosity" => Ok(()),
            _ => Err(Error::Unsupported),
        }
    };
    // SAFETY: contract 1.
    unsafe { enter_code(handle, Entry::SetConfig, body) }
}

/// Asked for limits of collections, also right after `initialize`.
unsafe extern "C" fn get_config(
    _handle: *mut ENGINE_HANDLE,
    _cookie: *const c_void,
    _key: *const c_char,
    _value: *mut c_void,
) -> Code {
    Code::ENGINE_ENOTSUP
}

/// Rule 11: never fails for an item. Fills every field: the host clears none.
unsafe extern "C" fn get_item_info(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    item: *const item,
    info: *mut arcus_item_info,
) -> bool {
    let body = |instance: &Instance| {
        // SAFETY: contract 3.
        let (Some(item), Some(info)) = (unsafe { look(item) }, NonNull::new(info)) else {
            return false;
        };
        let running = instance.running();
        // Only its own connection knows an item that is not stored yet.
        let own = running.filter(|_| item.is_pending());
        let own = own.and_then(|running| running.host.connections.tail(cookie));
        let value = if item.is_resident() { item.nbytes() } else { 0 };
        // Fits: an item's length is stored in a field of this size.
        let nvalue = u32::try_from(value).unwrap_or(0);
        // SAFETY: contract 2.
        unsafe {
            info.write(arcus_item_info {
                cas: item.cas(),
                flags: item.flags(),
                exptime: running.map_or(0, |it| Times(&it.host.clock).shown(item.expiry())),
                type_: PLAIN,
                clsid: 0,
                nkey: u16::try_from(item.key().len()).unwrap_or(0),
                nbytes: nvalue.saturating_add(tail::BYTES),
                nvalue,
                naddnl: 1,
                key: item.key().as_ptr().cast(),
                value: item.value_ptr().cast(),
                addnl: own.map_or_else(tail::shared, tail::list),
            });
        }
        true
    };
    // SAFETY: contract 1.
    unsafe { enter(handle, "get_item_info", false, body) }
}
