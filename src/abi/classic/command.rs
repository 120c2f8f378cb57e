//! The descriptor of our ASCII command, as these hosts want it.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use super::Classic;
use crate::abi::ascii;
use crate::abi::bindings::{ENGINE_HANDLE, EXTENSION_ASCII_PROTOCOL_DESCRIPTOR, token_t};
use crate::abi::convert::Code;

type Response = Option<unsafe extern "C" fn(*const c_void, c_int, *const c_char) -> Code>;

/// Makes one for a handle; it lives as long as the process.
pub(super) fn descriptor(handle: *mut ENGINE_HANDLE) -> *mut c_void {
    let descriptor = EXTENSION_ASCII_PROTOCOL_DESCRIPTOR {
        get_name: Some(ascii::name),
        accept: Some(ascii::accept),
        execute: Some(execute),
        abort: Some(ascii::abort),
        cookie: handle.cast_const().cast(),
        next: ptr::null_mut(),
    };
    Box::into_raw(Box::new(descriptor)).cast()
}

unsafe extern "C" fn execute(
    own: *const c_void,
    cookie: *const c_void,
    count: c_int,
    tokens: *mut token_t,
    response: Response,
) -> Code {
    let respond = |length, text| {
        // SAFETY: contract 6; the text is readable for that length, and copied.
        response.is_some_and(|it| unsafe { it(cookie, length, text) } == Code::ENGINE_SUCCESS)
    };
    // SAFETY: contract 2.
    if unsafe { ascii::execute::<Classic>(own, cookie, (count, tokens), respond) } {
        Code::ENGINE_SUCCESS
    } else {
        Code::ENGINE_DISCONNECT
    }
}
