//! CR LF behind values. ARCUS counts it to the value, receives it with the value and sends it from
//! where `get_item_info` says. Values are stored without: it is a piece of its own. Items that were
//! stored share one; what a client is just sending is checked by the host, so each connection has
//! one of its own to receive into.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::bindings::arcus_value_item;

/// Length of the tail.
pub(super) const BYTES: u32 = 2;

/// A piece, and the list of pieces that it is alone in.
#[repr(C)]
struct Tail {
    piece: arcus_value_item,
    list: [*const arcus_value_item; 1],
}

/// The tail of values that are stored.
struct Shared(Tail);

// SAFETY: nobody writes to it.
unsafe impl Sync for Shared {}

static PIECE: arcus_value_item = crlf();
static SHARED: Shared = Shared(Tail {
    piece: crlf(),
    list: [&raw const PIECE],
});

const fn crlf() -> arcus_value_item {
    arcus_value_item {
        len: BYTES,
        ptr: [b'\r'.cast_signed(), b'\n'.cast_signed(), 0, 0],
    }
}

/// The list for an item that is stored.
pub(super) fn shared() -> *mut *mut arcus_value_item {
    // The host reads it only.
    (&raw const SHARED.0.list).cast_mut().cast()
}

/// Makes a tail for one connection; [`free`] ends it.
pub(super) fn make() -> NonNull<c_void> {
    let tail = Box::new(Tail {
        piece: crlf(),
        list: [std::ptr::null()],
    });
    let tail = Box::into_raw(tail);
    // SAFETY: made just now.
    let piece = unsafe { &raw const (*tail).piece };
    // SAFETY: as above.
    unsafe { (*tail).list = [piece] };
    // SAFETY: a box is not NULL.
    unsafe { NonNull::new_unchecked(tail) }.cast()
}

/// The list for an item that the connection of this tail is receiving.
pub(super) fn list(tail: NonNull<c_void>) -> *mut *mut arcus_value_item {
    let tail = tail.cast::<Tail>().as_ptr();
    // SAFETY: made by `make`, and the connection lives.
    unsafe { &raw mut (*tail).list }.cast()
}

/// Ends a tail.
///
/// # Safety
/// Made by [`make`], and nobody uses it any more.
pub(super) unsafe fn free(tail: NonNull<c_void>) {
    // SAFETY: says the caller.
    drop(unsafe { Box::from_raw(tail.cast::<Tail>().as_ptr()) });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(list: *mut *mut arcus_value_item) -> Vec<u8> {
        // SAFETY: a list of one.
        let piece = unsafe { list.read() };
        // SAFETY: a piece.
        let piece = unsafe { piece.read() };
        let bytes = piece.ptr.map(std::ffi::c_char::cast_unsigned);
        bytes[..piece.len as usize].to_vec()
    }

    #[test]
    fn tails_are_cr_lf_and_those_of_connections_are_apart() {
        let [one, other] = [make(), make()];
        for at in [shared(), list(one), list(other)] {
            assert_eq!(text(at), b"\r\n");
        }
        // SAFETY: a list of one.
        let piece = unsafe { list(one).read() };
        // SAFETY: the connection's own to write to.
        unsafe { (*piece).ptr[0] = b'x'.cast_signed() };
        assert_eq!(text(list(one)), b"x\n");
        assert_eq!(
            (text(list(other)), text(shared())),
            (b"\r\n".to_vec(), b"\r\n".to_vec())
        );
        for tail in [one, other] {
            // SAFETY: made above.
            unsafe { free(tail) };
        }
    }
}
