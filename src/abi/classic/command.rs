//! The descriptor of our ASCII command, as these hosts want it.
//!
//! A host that has no such commands answers `ERROR` to a line that it does not know, and to one
//! that lacks arguments. One that has some asks them all, and then says so in more words, which
//! clients of the time do not expect. So where ours is the only one it takes those lines too, and
//! answers what the host would.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use super::Classic;
use crate::abi::ascii;
use crate::abi::bindings::{ENGINE_HANDLE, EXTENSION_ASCII_PROTOCOL_DESCRIPTOR, token_t};
use crate::abi::convert::Code;

type Response = Option<unsafe extern "C" fn(*const c_void, c_int, *const c_char) -> Code>;

/// What a host without commands of others answers.
const UNKNOWN: &str = "ERROR\r\n";

/// What is registered. Hosts know the first member; its own word leads back here.
#[repr(C)]
struct Command {
    descriptor: EXTENSION_ASCII_PROTOCOL_DESCRIPTOR,
    handle: *mut ENGINE_HANDLE,
    /// Whether no other command came before it.
    is_first: bool,
}

/// Makes one for a handle; it lives as long as the process.
pub(super) fn descriptor(handle: *mut ENGINE_HANDLE, is_first: bool) -> *mut c_void {
    let command = Box::into_raw(Box::new(Command {
        descriptor: EXTENSION_ASCII_PROTOCOL_DESCRIPTOR {
            get_name: Some(ascii::name),
            accept: Some(accept),
            execute: Some(execute),
            abort: Some(ascii::abort),
            cookie: ptr::null(),
            next: ptr::null_mut(),
        },
        handle,
        is_first,
    }));
    // SAFETY: made just now.
    unsafe { (*command).descriptor.cookie = command.cast_const().cast() };
    command.cast()
}

unsafe extern "C" fn accept(
    own: *const c_void,
    _cookie: *mut c_void,
    count: c_int,
    tokens: *mut token_t,
    _ndata: *mut usize,
    _data: *mut *mut c_char,
) -> bool {
    let command = own.cast::<Command>();
    // SAFETY: the word of a descriptor that was made above, and is never freed.
    let is_first = unsafe { (*command).is_first };
    // SAFETY: as above. The host changes it from `initialize` of an engine only.
    let next = unsafe { (*command).descriptor.next };
    let is_alone = is_first && next.is_null();
    // SAFETY: contract 2.
    is_alone || unsafe { ascii::is_ours((count, tokens)) }
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
    // SAFETY: as in `accept`.
    let handle = unsafe { (*own.cast::<Command>()).handle };
    // SAFETY: contract 2.
    let goes_on = if unsafe { ascii::is_ours((count, tokens)) } {
        // SAFETY: contract 2.
        unsafe { ascii::execute::<Classic>(handle, cookie, (count, tokens), respond) }
    } else {
        c_int::try_from(UNKNOWN.len()).is_ok_and(|length| respond(length, UNKNOWN.as_ptr().cast()))
    };
    if goes_on {
        Code::ENGINE_SUCCESS
    } else {
        Code::ENGINE_DISCONNECT
    }
}
