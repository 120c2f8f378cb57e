//! How calls wait on ARCUS. The host never makes a call again: EWOULDBLOCK means there that it
//! succeeded and that the answer goes out later. So a call that has to wait for an engine thread
//! waits on its own thread, a worker of the host, and is then made again here. The other
//! connections of that worker wait too; that is why it ends after a time (`worker_wait_max`), and
//! its connection with it. The host goes on with the other keys of that request, and with what else
//! it has read from the connection: none of that is done any more.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};
use crate::host::Cookie;

/// Calls that wait on their threads.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    // Guards the clients that were notified and have not gone on yet. Lock order: last.
    notified: Mutex<HashSet<Cookie>>,
    changed: Condvar, // Goes with `notified`, which it guards the changes of.
    // Guards the connections that were ended, until the host has closed them. Lock order: last.
    hung_up: Mutex<HashSet<Cookie>>,
    /// How many there are, for the calls that look.
    endings: AtomicUsize,
}

impl Waiting {
    /// A client may go on. Any thread, also from within a call.
    pub(super) fn notify(&self, cookie: Cookie) {
        self.notified.lock().insert(cookie);
        self.changed.notify_all();
    }

    /// A client is gone: what comes for it now is for nobody.
    pub(super) fn forget(&self, cookie: Cookie) {
        self.notified.lock().remove(&cookie);
        if self.is_hung_up(cookie) {
            self.hung_up.lock().remove(&cookie);
            self.endings.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A connection is ended.
    pub(super) fn hang_up(&self, cookie: Cookie) {
        if self.hung_up.lock().insert(cookie) {
            self.endings.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether a connection was ended. Mostly none was.
    fn is_hung_up(&self, cookie: Cookie) -> bool {
        self.endings.load(Ordering::Relaxed) != 0 && self.hung_up.lock().contains(&cookie)
    }

    /// Makes a call as often as it is to be made again, for so long.
    ///
    /// # Errors
    /// Those of the call; `Disconnect` when it takes longer: what became of it is not known. And at
    /// once for a connection that was ended.
    pub(super) fn finish<T>(
        &self,
        cookie: Cookie,
        most: Duration,
        mut call: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        if self.is_hung_up(cookie) {
            return Err(Error::Disconnect);
        }
        let mut left = None;
        loop {
            match call() {
                Err(Error::WouldBlock) => {}
                other => return other,
            }
            let now = *left.get_or_insert(most);
            match self.wait(cookie, now) {
                Some(rest) => left = Some(rest),
                None => return Err(Error::Disconnect),
            }
        }
    }

    /// Waits until a client may go on; what is left of the time, none if it was over.
    #[expect(
        clippy::disallowed_methods,
        reason = "a time limit of a wait, which no test turns"
    )]
    fn wait(&self, cookie: Cookie, most: Duration) -> Option<Duration> {
        let until = std::time::Instant::now() + most;
        let mut notified = self.notified.lock();
        while !notified.remove(&cookie) {
            if self.changed.wait_until(&mut notified, until).timed_out()
                && !notified.remove(&cookie)
            {
                return None;
            }
        }
        Some(until.saturating_duration_since(std::time::Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn a_call_is_made_again_after_its_notification() {
        let waiting = Waiting::default();
        let cookie = Cookie::new(7);
        let calls = Cell::new(0);
        let answer = std::thread::scope(|scope| {
            waiting.finish(cookie, LONG, || {
                calls.set(calls.get() + 1);
                if calls.get() == 3 {
                    return Ok("done");
                }
                // Also one that comes before the wait begins is for it; another client's is not.
                waiting.notify(Cookie::new(8));
                let waiting = &waiting;
                scope.spawn(move || waiting.notify(cookie));
                Err(Error::WouldBlock)
            })
        });
        assert_eq!((answer, calls.get()), (Ok("done"), 3));
        assert!(waiting.notified.lock().contains(&Cookie::new(8)));
        waiting.forget(Cookie::new(8));
        assert!(waiting.notified.lock().is_empty());
    }

    #[test]
    fn for_a_connection_that_was_ended_nothing_is_done() {
        let waiting = Waiting::default();
        let cookie = Cookie::new(7);
        waiting.hang_up(cookie);
        waiting.hang_up(cookie);
        let call = |cookie| waiting.finish(cookie, LONG, || Ok("done"));
        assert_eq!(call(cookie), Err(Error::Disconnect));
        assert_eq!(call(Cookie::new(8)), Ok("done"));
        // The next one may have its cookie.
        waiting.forget(Cookie::new(8));
        waiting.forget(cookie);
        assert_eq!(call(cookie), Ok("done"));
        assert_eq!(waiting.endings.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_takes_too_long_ends_with_the_connection() {
        let waiting = Waiting::default();
        let never = || -> Result<()> { Err(Error::WouldBlock) };
        let ended = waiting.finish(Cookie::new(7), Duration::ZERO, never);
        assert_eq!(ended, Err(Error::Disconnect));
        let refused = waiting.finish(Cookie::new(7), LONG, || Err::<(), _>(Error::NotFound));
        assert_eq!(refused, Err(Error::NotFound));
    }
}
