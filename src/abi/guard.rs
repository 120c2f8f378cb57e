//! Nothing unwinds into the host: an unguarded panic would end the process with all its clients.
//!
//! The guard contains the panic of one call. The engine itself makes sure that what the call left
//! half done is not used again (`vbucket` poisons itself).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(debug_assertions)]
thread_local! {
    static DEPTH: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Whether the calling thread is inside a call of the host (rule 4). Known in debug builds only.
pub(super) fn inside() -> bool {
    #[cfg(debug_assertions)]
    return DEPTH.get() > 0;
    #[cfg(not(debug_assertions))]
    false
}

/// Marks the calling thread as inside a call, for debug builds.
struct Inside;

impl Inside {
    fn enter() -> Self {
        #[cfg(debug_assertions)]
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        #[cfg(debug_assertions)]
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Counts the panics of one handle.
#[derive(Debug, Default)]
pub(super) struct Guard {
    panics: AtomicU64,
}

impl Guard {
    /// Number of panics so far.
    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Runs the body of an entry point. If it panics: counts it, has `report` log the first one,
    /// and returns the fallback.
    #[inline]
    pub(super) fn run<T>(
        &self,
        entry: &'static str,
        report: impl FnOnce(&str),
        fallback: T,
        body: impl FnOnce() -> T,
    ) -> T {
        let inside = Inside::enter();
        // Asserted because the caller gets the fallback, and the engine poisons what was half done.
        let result = catch_unwind(AssertUnwindSafe(body));
        let value = match result {
            Ok(value) => value,
            Err(payload) => {
                self.panicked(entry, report, payload);
                fallback
            }
        };
        drop(inside);
        value
    }

    #[cold]
    fn panicked(&self, entry: &str, report: impl FnOnce(&str), payload: Box<dyn Any + Send>) {
        let first = self.panics.fetch_add(1, Ordering::Relaxed) == 0;
        // Neither logging nor a payload with a destructor may bring a second panic out.
        let _ = catch_unwind(AssertUnwindSafe(move || {
            if first {
                report(&format!(
                    "internal error in {entry}: {}; the call was answered with an error, please \
                     report this (further ones are counted in ep_panics, not logged)",
                    text(payload.as_ref())
                ));
            }
            drop(payload);
        }));
    }
}

/// What a panic said.
fn text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn a_panic_becomes_the_fallback_is_counted_and_logged_once() {
        let guard = Guard::default();
        let lines = RefCell::new(Vec::new());
        let report = |line: &str| lines.borrow_mut().push(line.to_owned());
        assert_eq!(guard.run("get", report, 7, || panic!("one {}", 1)), 7);
        assert_eq!(guard.run("get", report, 8, || panic!("two")), 8);
        assert_eq!(guard.run("get", report, 9, || 5), 5);
        assert_eq!(guard.panics(), 2);
        assert_eq!(lines.borrow().len(), 1);
        assert!(lines.borrow()[0].starts_with("internal error in get: one 1;"));
    }

    #[test]
    fn a_panic_while_logging_or_dropping_stays_inside() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                assert!(std::thread::panicking(), "dropped");
            }
        }
        let guard = Guard::default();
        guard.run(
            "flush",
            |_| panic!("logger"),
            (),
            || std::panic::panic_any(Bomb),
        );
        guard.run("flush", |_| (), (), || std::panic::panic_any(Bomb));
        assert_eq!(guard.panics(), 2);
        assert!(!inside());
    }

    #[test]
    #[cfg(debug_assertions)]
    fn a_thread_knows_that_it_is_inside_a_call() {
        let guard = Guard::default();
        assert!(!inside());
        let seen = guard.run(
            "get",
            |_| (),
            (false, false),
            || {
                (
                    inside(),
                    std::thread::scope(|scope| scope.spawn(inside).join().unwrap()),
                )
            },
        );
        assert_eq!(seen, (true, false));
        assert!(!inside());
    }
}
