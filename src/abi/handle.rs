//! Item pointers and keys as they cross. The C `item *` is the counted item itself
//! ([`crate::item`]): what goes out carries one reference, and `release` takes it back.

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::bindings::item;
use super::rules;
use crate::item::Item;

/// Gives one reference to the host.
///
/// # Safety
/// `to` is writable (contract 2).
pub(super) unsafe fn give(found: Item, to: *mut *mut item) {
    // SAFETY: writable, says the caller.
    unsafe { to.write(found.into_raw()) };
}

/// Looks at an item of the host.
///
/// # Safety
/// Contract 3, and the host keeps its reference while the result lives.
pub(super) unsafe fn look(raw: *const item) -> Option<ManuallyDrop<Item>> {
    let raw = NonNull::new(raw.cast_mut())?;
    // SAFETY: came from `give` and its reference is the host's still, says the caller.
    Some(unsafe { Item::borrow_raw(raw) })
}

/// Takes the host's reference back.
///
/// # Safety
/// Contract 3; the host does not use the pointer again.
pub(super) unsafe fn take_back(raw: *mut item) {
    if let Some(raw) = NonNull::new(raw) {
        // SAFETY: came from `give`, and this ends the reference that went out there.
        drop(unsafe { Item::from_raw(raw) });
    }
}

/// The key of a call, or `None` when it has a length that no key has (rule 12).
///
/// # Safety
/// Contract 2: `key` is NULL or has `nkey` readable bytes, if that is a legal length.
pub(super) unsafe fn key_of<'call>(key: *const c_void, nkey: usize) -> Option<&'call [u8]> {
    if !rules::KEY_BYTES.contains(&nkey) {
        return None;
    }
    // SAFETY: the length is legal, so the caller's promise holds.
    unsafe { bytes_of(key, nkey) }
}

/// Bytes of a call; an empty slice for length 0, `None` for NULL.
///
/// # Safety
/// `at` is NULL or has `length` readable bytes that do not change during the call.
pub(super) unsafe fn bytes_of<'call>(at: *const c_void, length: usize) -> Option<&'call [u8]> {
    if length == 0 {
        return Some(&[]);
    }
    let at = NonNull::new(at.cast_mut())?;
    // SAFETY: not NULL and readable for that length, says the caller.
    Some(unsafe { std::slice::from_raw_parts(at.cast::<u8>().as_ptr(), length) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_no_key_has_are_refused_without_a_look() {
        let dangling = std::ptr::without_provenance::<c_void>(8);
        for nkey in [0, 251, usize::MAX] {
            // SAFETY: no legal length, so the pointer is not touched.
            assert!(unsafe { key_of(dangling, nkey) }.is_none());
        }
        // SAFETY: NULL is allowed.
        assert!(unsafe { key_of(std::ptr::null(), 5) }.is_none());
        // SAFETY: three readable bytes behind the pointer.
        let key = unsafe { key_of(b"abc".as_ptr().cast(), 3) };
        assert_eq!(key, Some(&b"abc"[..]));
        // SAFETY: length 0 touches nothing.
        assert_eq!(unsafe { bytes_of(std::ptr::null(), 0) }, Some(&b""[..]));
    }
}
