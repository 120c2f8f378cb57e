//! What a host does of its own accord after a refused SET: it deletes the key, on the same thread,
//! with the same bytes as the key, before anything else, and heeds no answer (section 5.1). So
//! memcached keeps no value that its client believes to be replaced. But who is refused for the
//! time being has replaced nothing, and loses nothing.
//!
//! A client's DELETE is told from that by where its key stands: one that follows a refused value in
//! the same buffer has it elsewhere.
//!
//! Threads: each knows of its own calls only.

use std::cell::Cell;
use std::ffi::c_void;

use crate::error::Error;

thread_local! {
    static LATEST: Cell<Option<Refused>> = const { Cell::new(None) };
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
        LATEST.set(refusal.map(|error| Refused {
            call: self,
            keeps: matches!(error, Error::Temporary | Error::NoMemory),
        }));
    }

    /// What a `remove` is that comes now.
    pub(super) fn removal(self) -> Removal {
        match LATEST.take() {
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

    #[test]
    fn only_the_removal_right_behind_a_refusal_is_the_hosts_own() {
        let (line, other) = (*b"set k v", *b"delete k");
        let set = call(1, &line[4..5]);
        for (error, own) in [
            (Error::Temporary, Removal::Needless),
            (Error::NoMemory, Removal::Needless),
            (Error::TooBig, Removal::Unheeded),
        ] {
            set.allocated(Some(error));
            assert_eq!(set.removal(), own);
            assert_eq!(set.removal(), Removal::Asked, "once");
            for asked in [
                call(2, &line[4..5]),
                call(1, &other[7..]),
                call(1, &line[4..]),
            ] {
                set.allocated(Some(error));
                assert_eq!(asked.removal(), Removal::Asked);
                assert_eq!(set.removal(), Removal::Asked, "another one came first");
            }
            set.allocated(Some(error));
            set.allocated(None);
            assert_eq!(set.removal(), Removal::Asked);
        }
    }
}
