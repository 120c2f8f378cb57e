//! What a host does of its own accord after a refused SET: it deletes the key, on the same thread,
//! with the same bytes as the key, before anything else, and heeds no answer (section 5.1). So
//! memcached keeps no value that its client believes to be replaced. But who is refused for the
//! time being has replaced nothing, and loses nothing.
//!
//! A client's DELETE is told from that by where its key stands. Hosts read a request into a buffer
//! from its beginning, and DELETE's key stands 24 bytes (binary) or 7 (text) behind that. So do
//! those of APPEND and PREPEND, or nearly: no `remove` follows them, and so a refusal whose key
//! stands there never makes one needless.
//!
//! Threads: each knows of its own calls only.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Error;

thread_local! {
    static LATEST: Cell<Option<Refused>> = const { Cell::new(None) };
}

/// Threads that have a `LATEST`. While there are none nobody need look for his own, which every get
/// and set would do: in a library that is loaded later that is a call. Each thread sees its own
/// part of the count, and no other concerns it.
static NOTED: AtomicUsize = AtomicUsize::new(0);

/// Takes note of a thread's latest refusal, or that there is none any more. Returns what was noted
/// before.
fn note(latest: Option<Refused>) -> Option<Refused> {
    if latest.is_none() && NOTED.load(Ordering::Relaxed) == 0 {
        return None;
    }
    let before = LATEST.replace(latest);
    match (before, latest) {
        (None, Some(_)) => drop(NOTED.fetch_add(1, Ordering::Relaxed)),
        (Some(_), None) => drop(NOTED.fetch_sub(1, Ordering::Relaxed)),
        _ => {}
    }
    before
}

/// What malloc's blocks are aligned to.
const BLOCK: usize = 16;
/// Where the key of a DELETE stands in a buffer, in the text protocol and the binary one.
const DELETES: [usize; 2] = [7, 24 % BLOCK];

/// Another call has come: what follows is no consequence of a refusal.
pub(super) fn forget() {
    note(None);
}

/// A call of `allocate` that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refused {
    call: Call,
    keeps: bool,
}

/// Whose call, and about which key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    cookie: usize,
    key: usize,
    nkey: usize,
}

/// What a `remove` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// A client's DELETE.
    Asked,
    /// The host's own, after a value that will never be taken.
    Unheeded,
    /// The host's own, after a value that was refused for the time being: nothing is to go.
    Needless,
}

impl Call {
    pub(super) fn new(cookie: *const c_void, key: *const c_void, nkey: usize) -> Self {
        Self {
            cookie: cookie.addr(),
            key: key.addr(),
            nkey,
        }
    }

    /// Notes how `allocate` ended.
    pub(super) fn allocated(self, refusal: Option<Error>) {
        // Buffers are blocks of malloc.
        let may_be_deleted_next = DELETES.contains(&(self.key % BLOCK));
        note(refusal.map(|error| Refused {
            call: self,
            keeps: matches!(error, Error::Temporary | Error::NoMemory) && !may_be_deleted_next,
        }));
    }

    /// What a `remove` is that comes now.
    pub(super) fn removal(self) -> Removal {
        match note(None) {
            Some(refused) if refused.call == self && refused.keeps => Removal::Needless,
            Some(refused) if refused.call == self => Removal::Unheeded,
            _ => Removal::Asked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(cookie: usize, key: &[u8]) -> Call {
        let cookie = std::ptr::without_provenance(cookie);
        Call::new(cookie, key.as_ptr().cast(), key.len())
    }

    /// A buffer as hosts have them.
    #[repr(align(16))]
    struct Buffer([u8; 64]);

    #[test]
    fn only_the_removal_right_behind_a_refusal_is_the_hosts_own() {
        let (buffer, other) = (Buffer([b'k'; 64]), Buffer([b'k'; 64]));
        // SET in the text protocol and the binary one.
        for at in [4, 32] {
            let set = call(1, &buffer.0[at..=at]);
            for (error, own) in [
                (Error::Temporary, Removal::Needless),
                (Error::NoMemory, Removal::Needless),
                (Error::TooBig, Removal::Unheeded),
            ] {
                set.allocated(Some(error));
                assert_eq!(set.removal(), own);
                assert_eq!(set.removal(), Removal::Asked, "once");
                for asked in [
                    call(2, &buffer.0[at..=at]),
                    call(1, &other.0[at..=at]),
                    call(1, &buffer.0[at..at + 2]),
                ] {
                    set.allocated(Some(error));
                    assert_eq!(asked.removal(), Removal::Asked);
                    assert_eq!(set.removal(), Removal::Asked, "another one came first");
                }
                set.allocated(Some(error));
                set.allocated(None);
                assert_eq!(set.removal(), Removal::Asked);
                set.allocated(Some(error));
                forget();
                assert_eq!(set.removal(), Removal::Asked);
            }
        }
    }

    #[test]
    fn a_deletion_behind_an_append_that_was_refused_is_one() {
        let buffer = Buffer([b'k'; 64]);
        for at in [7, 24] {
            let call = call(1, &buffer.0[at..=at]);
            call.allocated(Some(Error::Temporary));
            assert_ne!(call.removal(), Removal::Needless);
        }
    }
}
