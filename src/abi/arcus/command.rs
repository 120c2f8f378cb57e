//! The descriptor of our ASCII command, as ARCUS wants it.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use super::Arcus;
use super::bindings::ARCUS_ASCII_DESCRIPTOR;
use crate::abi::ascii;
use crate::abi::bindings::{ENGINE_HANDLE, token_t};

/// On a host that authenticates its clients an administrator only may use it.
const ADMINISTRATOR: u16 = 0x200;

type Response = Option<unsafe extern "C" fn(*const c_void, c_int, *const c_char) -> bool>;

/// Makes one for a handle; it lives as long as the process.
pub(super) fn descriptor(handle: *mut ENGINE_HANDLE) -> *mut c_void {
    let descriptor = ARCUS_ASCII_DESCRIPTOR {
        get_name: Some(ascii::name),
        get_auth_flag: Some(auth_flag),
        accept: Some(ascii::accept),
        execute: Some(execute),
        abort: Some(ascii::abort),
        cookie: handle.cast_const().cast(),
        next: ptr::null_mut(),
    };
    Box::into_raw(Box::new(descriptor)).cast()
}

unsafe extern "C" fn auth_flag() -> u16 {
    ADMINISTRATOR
}

unsafe extern "C" fn execute(
    own: *const c_void,
    cookie: *const c_void,
    count: c_int,
    tokens: *mut token_t,
    response: Response,
) -> bool {
    let respond = |length, text| {
        // SAFETY: contract 6; the text is readable for that length, and copied.
        response.is_some_and(|it| unsafe { it(cookie, length, text) })
    };
    // Its own word is the handle.
    let handle = own.cast_mut().cast();
    // SAFETY: contract 2.
    unsafe { ascii::execute::<Arcus>(handle, cookie, (count, tokens), respond) }
}
