//! Results of work that an engine thread did for a client: kept from the notification until the
//! client calls again.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::host::Cookie;

/// Results by client.
#[derive(Debug)]
pub(super) struct Answers<T>(
    // Guards the results. Lock order: last.
    Mutex<HashMap<Cookie, T>>,
);

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Answers<T> {
    /// Keeps a result; to be called before the client is notified.
    pub(super) fn put(&self, cookie: Cookie, result: T) {
        self.0.lock().insert(cookie, result);
    }

    /// The result for a client that calls again.
    pub(super) fn take(&self, cookie: Cookie) -> Option<T> {
        self.0.lock().remove(&cookie)
    }
}
