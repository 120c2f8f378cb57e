//! The descriptors of our ASCII commands, as ARCUS wants them.
//!
//! A host that has no such commands answers `ERROR unknown command` to a line that it does not
//! know; one that has some asks them all, and then says so in other words, which clients do not
//! expect. So where ours is the only one a second one stands behind it, which takes all other
//! lines and answers what the host would. It is one of its own because a host that authenticates
//! its clients lets administrators only use the first.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use super::Arcus;
use super::bindings::ARCUS_ASCII_DESCRIPTOR;
use crate::abi::ascii::{self, words};
use crate::abi::bindings::{ENGINE_HANDLE, token_t};

/// On a host that authenticates its clients an administrator only may use it.
const ADMINISTRATOR: u16 = 0x200;
/// Nobody has to be anything.
const ANYBODY: u16 = 0;

/// What a host without commands of others answers.
const UNKNOWN: &str = "ERROR unknown command\r\n";

type Response = Option<unsafe extern "C" fn(*const c_void, c_int, *const c_char) -> bool>;

/// What is registered. Hosts know the first member; its own word leads back here.
#[repr(C)]
struct Command {
    descriptor: ARCUS_ASCII_DESCRIPTOR,
    handle: *mut ENGINE_HANDLE,
    /// Fewest words of a line that is taken. Hosts that authenticate their clients end the process
    /// when they note a line of one word that somebody may not use.
    words_min: usize,
}

/// Makes them for a handle; they live as long as the process. `authenticates` says that the host
/// may have its clients authenticate themselves.
pub(super) fn descriptors(
    handle: *mut ENGINE_HANDLE,
    is_first: bool,
    authenticates: bool,
) -> Vec<*mut c_void> {
    let descriptor = ARCUS_ASCII_DESCRIPTOR {
        get_name: Some(ascii::name),
        get_auth_flag: Some(administrator),
        accept: Some(accept),
        execute: Some(execute),
        abort: Some(ascii::abort),
        cookie: ptr::null(),
        next: ptr::null_mut(),
    };
    let rest = ARCUS_ASCII_DESCRIPTOR {
        get_name: Some(rest_name),
        get_auth_flag: Some(anybody),
        accept: Some(accept_rest),
        execute: Some(execute_rest),
        ..descriptor
    };
    let wanted = [Some(descriptor), is_first.then_some(rest)];
    let registered = wanted.into_iter().flatten().map(|descriptor| {
        let command = Box::into_raw(Box::new(Command {
            descriptor,
            handle,
            words_min: if authenticates { 2 } else { 1 },
        }));
        // SAFETY: made just now.
        unsafe { (*command).descriptor.cookie = command.cast_const().cast() };
        command.cast()
    });
    registered.collect()
}

unsafe extern "C" fn administrator() -> u16 {
    ADMINISTRATOR
}

unsafe extern "C" fn anybody() -> u16 {
    ANYBODY
}

unsafe extern "C" fn rest_name(_own: *const c_void) -> *const c_char {
    const NAME: &CStr = c"checkpoint-engine: unknown commands";
    NAME.as_ptr()
}

/// Whether a line has as many words as it has to.
///
/// # Safety
/// Contract 2; `own` is the word of a descriptor that was made above.
unsafe fn is_long_enough(own: *const c_void, (count, tokens): (c_int, *const token_t)) -> bool {
    // SAFETY: never freed.
    let words_min = unsafe { (*own.cast::<Command>()).words_min };
    // SAFETY: contract 2.
    unsafe { words(count, tokens) }.len() >= words_min
}

unsafe extern "C" fn accept(
    own: *const c_void,
    _cookie: *mut c_void,
    count: c_int,
    tokens: *mut token_t,
    _ndata: *mut usize,
    _data: *mut *mut c_char,
) -> bool {
    // SAFETY: contract 2, and a descriptor's own word.
    let is_long_enough = unsafe { is_long_enough(own, (count, tokens)) };
    // SAFETY: contract 2.
    is_long_enough && unsafe { ascii::is_ours((count, tokens)) }
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
    // SAFETY: the word of a descriptor that was made above, and is never freed.
    let handle = unsafe { (*own.cast::<Command>()).handle };
    // SAFETY: contract 2.
    unsafe { ascii::execute::<Arcus>(handle, cookie, (count, tokens), respond) }
}

unsafe extern "C" fn accept_rest(
    own: *const c_void,
    _cookie: *mut c_void,
    count: c_int,
    tokens: *mut token_t,
    _ndata: *mut usize,
    _data: *mut *mut c_char,
) -> bool {
    // SAFETY: as in `execute`. The host changes it from `initialize` of an engine only.
    let next = unsafe { (*own.cast::<Command>()).descriptor.next };
    // SAFETY: contract 2, and a descriptor's own word.
    next.is_null() && unsafe { is_long_enough(own, (count, tokens)) }
}

unsafe extern "C" fn execute_rest(
    _own: *const c_void,
    cookie: *const c_void,
    _count: c_int,
    _tokens: *mut token_t,
    response: Response,
) -> bool {
    let text = UNKNOWN.as_ptr().cast();
    // SAFETY: contract 6; the text is readable for that length, and copied.
    let respond = |length| response.is_some_and(|it| unsafe { it(cookie, length, text) });
    c_int::try_from(UNKNOWN.len()).is_ok_and(respond)
}
