//! Which threads of the host still run that hold answers back.
//!
//! ARCUS tells a worker that an answer may go out by a byte in the worker's pipe. When it ends it
//! joins its workers and closes their pipes before it destroys the engine, which may still be
//! writing what is waited for: the byte would go to whatever file has the pipe's number by then, a
//! file of the store. So nothing is told to a worker that has ended, and no worker ends while it is
//! told: its thread's last act waits for that, and the host for its thread.
//!
//! Threads: `hold` on the worker itself, `tell` on any other.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::host::Cookie;

/// A thread of the host.
#[derive(Debug, Default)]
struct Worker {
    // Guards whether it has ended, and the host's notification of it while it has not. Lock order:
    // after `held`; the host takes its own lock of that worker under it, which no thread has that
    // ends.
    has_ended: Mutex<bool>,
}

/// The present thread, as long as it runs.
#[derive(Default)]
struct Present(Arc<Worker>);

impl Drop for Present {
    fn drop(&mut self) {
        *self.0.has_ended.lock() = true;
    }
}

thread_local! {
    static PRESENT: Present = Present::default();
}

/// By connection the workers that hold an answer back.
#[derive(Debug, Default)]
pub(super) struct Workers {
    // Guards the map. Lock order: last but for a worker's own.
    held: Mutex<HashMap<Cookie, Arc<Worker>>>,
}

impl Workers {
    /// The present thread holds the answer of a connection back.
    pub(super) fn hold(&self, cookie: Cookie) {
        let worker = PRESENT.with(|present| Arc::clone(&present.0));
        self.held.lock().insert(cookie, worker);
    }

    /// Calls `tell`, which says that the answer may go out, unless nobody is there any more to send
    /// it.
    pub(super) fn tell(&self, cookie: Cookie, tell: impl FnOnce()) {
        let Some(worker) = self.held.lock().remove(&cookie) else {
            return;
        };
        let has_ended = worker.has_ended.lock();
        if !*has_ended {
            tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const CLIENT: Cookie = Cookie::new(0x1000);

    #[test]
    fn a_worker_that_has_ended_is_told_nothing() {
        let workers = Workers::default();
        std::thread::scope(|scope| {
            scope.spawn(|| workers.hold(CLIENT)).join().unwrap();
        });
        workers.tell(CLIENT, || panic!("its pipe is closed"));
    }

    #[test]
    fn a_worker_does_not_end_while_it_is_told() {
        let workers = Workers::default();
        let (ready, is_ready) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let (has_ended, mut told) = (AtomicBool::new(false), 0);
        std::thread::scope(|scope| {
            let workers = &workers;
            let worker = scope.spawn(move || {
                workers.hold(CLIENT);
                ready.send(()).unwrap();
                ends.recv().unwrap();
            });
            is_ready.recv().unwrap();
            workers.tell(CLIENT, || {
                end.send(()).unwrap();
                scope.spawn(|| {
                    worker.join().unwrap();
                    has_ended.store(true, Ordering::Release);
                });
                // Time in which it would end, if nothing kept it.
                std::thread::sleep(Duration::from_millis(50));
                assert!(!has_ended.load(Ordering::Acquire));
                told += 1;
            });
        });
        assert_eq!(told, 1);
        workers.tell(CLIENT, || panic!("once"));
    }
}
