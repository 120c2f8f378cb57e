//! What a host does of its own accord after a refused SET: it deletes the key, on the same thread,
//! with the same bytes as the key, before anything else, and heeds no answer (section 5.1). So
//! memcached keeps no value that its client believes to be replaced. But who is refused for the
//! time being has replaced nothing, and loses nothing.
//!
//! ADD, REPLACE, CAS, APPEND and PREPEND are refused as well, and no `remove` of the host's follows
//! them; nothing that a call is given says which of them it is for. So a client's DELETE of that
//! key may come next. Its key stands elsewhere in the host's buffer, unless the host has read into
//! that anew; and it reads when it turns to a connection only, which it tells (ON_SWITCH_CONN).
//! What stands before a key would tell them apart too, but is not ours to read: a key is as many
//! bytes as the call says.
//!
//! What remains: a binary request that does not fit behind others is moved to the beginning of the
//! buffer. An APPEND or PREPEND that stood there and was refused, then requests that no engine
//! hears of (NOOP) to the end of the buffer, then a DELETE of that key, all sent at once: it is
//! taken for the host's own. The test applications of hosts tell nothing of turns.
//!
//! Threads: each knows of its own calls only.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::bindings::ENGINE_EVENT_TYPE;
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

/// Another call has come: what follows is no consequence of a refusal.
pub(super) fn forget() {
    note(None);
}

/// The host turns to a connection: its callback. Before each time that it reads from one, so it is
/// kept short.
pub(super) unsafe extern "C" fn on_turn(
    _cookie: *const c_void,
    _event: ENGINE_EVENT_TYPE,
    _event_data: *const c_void,
    _own: *const c_void,
) {
    forget();
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
        note(refusal.map(|error| Refused {
            call: self,
            keeps: matches!(error, Error::Temporary | Error::NoMemory),
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

    #[test]
    fn only_the_removal_right_behind_a_refusal_is_the_hosts_own() {
        let (buffer, other) = ([b'k'; 64], [b'k'; 64]);
        // Wherever a key stands behind other requests.
        for at in 0..32 {
            let set = call(1, &buffer[at..=at]);
            for (error, own) in [
                (Error::Temporary, Removal::Needless),
                (Error::NoMemory, Removal::Needless),
                (Error::TooBig, Removal::Unheeded),
            ] {
                set.allocated(Some(error));
                assert_eq!(set.removal(), own, "{at}");
                assert_eq!(set.removal(), Removal::Asked, "once");
                for asked in [
                    call(2, &buffer[at..=at]),
                    call(1, &other[at..=at]),
                    call(1, &buffer[at..at + 2]),
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
}
