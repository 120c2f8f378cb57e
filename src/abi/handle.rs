//! Item pointers and keys as they cross. The C `item *` is the counted item itself
//! ([`crate::item`]): what goes out carries one reference, and `release` takes it back.

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::bindings::{item, item_info};
use super::rules;
use crate::item::Item;
use crate::types::{RelTime, UnixTime};

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

/// Fills what the host wants to know of an item (rule 11): one contiguous value that is as long as
/// it says. An item whose value is not in memory describes itself as empty; `get` returns none.
/// `relative` converts Unix seconds to the host's relative time.
pub(super) fn describe(of: &Item, relative: impl FnOnce(UnixTime) -> RelTime) -> item_info {
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
    use crate::item::Meta;

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
