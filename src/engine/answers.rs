//! Results of work that an engine thread did for a client: kept from the notification until the
//! client calls again. A client that has gone meanwhile does not, and the next one may have its
//! cookie: nothing is kept for that.
//!
//! A host may make a client call again too early: its connection carries a stream too, which was
//! woken, or a notification came for a call whose answer the host did not heed. It waits on. One
//! look under the lock says which of the three it is: the result may come at any moment.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::host::{BlockedCookie, Cookie};
use crate::latch::Latch;

/// Results by client; none while it waits.
#[derive(Debug)]
pub(super) struct Answers<T>(
    // Guards the results. Lock order: last.
    Latch<HashMap<Cookie, Option<T>>>,
);

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self(Latch::default())
    }
}

impl<T> Answers<T> {
    /// A client is about to be told that it has to wait.
    pub(super) fn expect(&self, cookie: Cookie) -> BlockedCookie {
        self.0.lock().insert(cookie, None);
        BlockedCookie::new(cookie)
    }

    /// Whether it waits still: a host may repeat a call, and what it asks for is done once.
    pub(super) fn is_under_way(&self, cookie: Cookie) -> bool {
        matches!(self.0.lock().get(&cookie), Some(None))
    }

    /// Keeps a result for a client that has not gone; to be called before it is notified.
    pub(super) fn put(&self, cookie: Cookie, result: T) {
        if let Some(place) = self.0.lock().get_mut(&cookie) {
            *place = Some(result);
        }
    }

    /// The result for a client that calls again; `None` for one that calls for the first time.
    ///
    /// # Errors
    /// `WouldBlock` for one that calls too early: it is owed no further notification.
    pub(super) fn take(&self, cookie: Cookie) -> Result<Option<T>> {
        let mut results = self.0.lock();
        match results.get(&cookie) {
            Some(None) => Err(Error::WouldBlock),
            Some(Some(_)) => Ok(results.remove(&cookie).flatten()),
            None => Ok(None),
        }
    }

    /// A client has gone.
    pub(super) fn forget(&self, cookie: Cookie) {
        self.0.lock().remove(&cookie);
    }
}
