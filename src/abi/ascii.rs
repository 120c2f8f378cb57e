//! Our ASCII command as it crosses: what the descriptors of all kinds of hosts do, which differ in
//! their shape alone.

use std::ffi::{CStr, c_char, c_int, c_void};

use super::bindings::{ENGINE_HANDLE, token_t};
use super::handle::bytes_of;
use super::instance::{Instance, enter};
use super::kind::Kind;
use super::members::cookie_of;
use crate::console;

/// Most words of a line that are looked at; hosts have 28 at most.
const WORDS_MAX: usize = 32;

/// The name of the extension.
pub(super) unsafe extern "C" fn name(_own: *const c_void) -> *const c_char {
    const NAME: &CStr = c"checkpoint-engine: online_update";
    NAME.as_ptr()
}

/// Nothing is read behind a line, so nothing is given up.
pub(super) unsafe extern "C" fn abort(_own: *const c_void, _cookie: *const c_void) {}

/// Whether a line begins with the name of our command.
///
/// # Safety
/// Contract 2.
pub(super) unsafe fn is_ours((count, tokens): (c_int, *const token_t)) -> bool {
    // SAFETY: contract 2.
    let words = unsafe { words(count, tokens) };
    words.first() == Some(&console::NAME.as_bytes())
}

/// Carries out a line that was accepted, and hands the lines of the answer to `respond`, which says
/// whether the host took it. Returns that, and false for an engine that is not there any more.
///
/// # Safety
/// Contracts 1 and 2, for the arguments of `execute` on a host of that kind.
pub(super) unsafe fn execute<K: Kind>(
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
    (count, tokens): (c_int, *const token_t),
    respond: impl FnOnce(c_int, *const c_char) -> bool,
) -> bool {
    let body = |instance: &Instance<K>| {
        let engine = instance.engine().ok()?;
        // SAFETY: contract 2.
        let words = unsafe { words(count, tokens) };
        Some(console::execute(engine, cookie_of(cookie), &words))
    };
    // SAFETY: contract 1.
    let answer = unsafe { enter(handle, "an ASCII command", None, body) };
    answer.is_some_and(|answer| {
        c_int::try_from(answer.len()).is_ok_and(|length| respond(length, answer.as_ptr().cast()))
    })
}

/// The words of a line; the empty one that ends it on some hosts is none.
///
/// # Safety
/// `tokens` is NULL or has `count` words, which do not change during the call.
pub(super) unsafe fn words<'call>(count: c_int, tokens: *const token_t) -> Vec<&'call [u8]> {
    let count = usize::try_from(count).unwrap_or(0).min(WORDS_MAX);
    if tokens.is_null() {
        return Vec::new();
    }
    // SAFETY: not NULL, and so many, says the caller.
    let tokens = unsafe { std::slice::from_raw_parts(tokens, count) };
    let words = tokens.iter().filter_map(|token| {
        // SAFETY: as above.
        unsafe { bytes_of(token.value.cast_const().cast(), token.length) }
    });
    words.filter(|word| !word.is_empty()).collect()
}
