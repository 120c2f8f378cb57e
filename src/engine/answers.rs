//! Results of work that an engine thread did for a client: kept from the notification until the
//! client calls again. A client that has gone meanwhile does not, and the next one may have its
//! cookie, and wait by now for what it has asked itself: a result is kept for that call only that
//! it is of.
//!
//! A host may make a client call again too early: its connection carries a stream too, which was
//! woken, or a notification came for a call whose answer the host did not heed. It waits on. One
//! look under the lock says which of the three it is: the result may come at any moment.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::host::{BlockedCookie, Cookie};
use crate::latch::Latch;

/// A client that waits, and for which call.
#[derive(Debug)]
#[must_use]
pub(super) struct Owed {
    client: BlockedCookie,
    call: u64,
}

/// By client its call, and the result; none while it waits.
#[derive(Debug)]
struct Results<T> {
    /// The number of the latest call.
    last: u64,
    by_client: HashMap<Cookie, (u64, Option<T>)>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Answers<T>(
    // Guards the results. Lock order: last.
    Latch<Results<T>>,
);

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self(Latch::new(Results {
            last: 0,
            by_client: HashMap::new(),
        }))
    }
}

impl<T> Answers<T> {
    /// A client is about to be told that it has to wait.
    pub(super) fn expect(&self, cookie: Cookie) -> Owed {
        let mut results = self.0.lock();
        results.last += 1;
        let call = results.last;
        results.by_client.insert(cookie, (call, None));
        Owed {
            client: BlockedCookie::new(cookie),
            call,
        }
    }

    /// Whether it waits still: a host may repeat a call, and what it asks for is done once.
    pub(super) fn is_under_way(&self, cookie: Cookie) -> bool {
        matches!(self.0.lock().by_client.get(&cookie), Some((_, None)))
    }

    /// Keeps a result for a client that has not gone. Returns whom to notify now.
    pub(super) fn put(&self, owed: Owed, result: T) -> BlockedCookie {
        let Owed { client, call } = owed;
        let mut results = self.0.lock();
        let place = results.by_client.get_mut(&client.cookie());
        if let Some((_, place)) = place.filter(|(of, _)| *of == call) {
            *place = Some(result);
        }
        client
    }

    /// The result for a client that calls again; `None` for one that calls for the first time.
    ///
    /// # Errors
    /// `WouldBlock` for one that calls too early: it is owed no further notification.
    pub(super) fn take(&self, cookie: Cookie) -> Result<Option<T>> {
        let mut results = self.0.lock();
        match results.by_client.get(&cookie) {
            Some((_, None)) => Err(Error::WouldBlock),
            Some((_, Some(_))) => {
                let taken = results.by_client.remove(&cookie);
                Ok(taken.and_then(|(_, result)| result))
            }
            None => Ok(None),
        }
    }

    /// A client has gone.
    pub(super) fn forget(&self, cookie: Cookie) {
        self.0.lock().by_client.remove(&cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_result_is_not_the_next_clients_of_that_cookie() {
        let answers = Answers::default();
        let cookie = Cookie::new(7);
        let gone = answers.expect(cookie);
        answers.forget(cookie);
        let owed = answers.expect(cookie);
        assert_eq!(answers.put(gone, "of the one before").cookie(), cookie);
        assert_eq!(answers.take(cookie), Err(Error::WouldBlock));
        assert_eq!(answers.put(owed, "own").cookie(), cookie);
        assert_eq!(answers.take(cookie), Ok(Some("own")));
        assert_eq!(answers.take(cookie), Ok(None));
    }
}
