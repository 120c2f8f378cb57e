//! Clients that wait until a key is durable, replicated or changed (SYNC), as far as vbuckets know
//! of them: that there are some, and where a key and the store stand.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Garbage, Vbucket};
use crate::types::Seqno;
use crate::worker::Signal;

/// Whom to tell that something has become durable, has been acknowledged, or was changed.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    clients: AtomicUsize,
    signal: Arc<Signal>,
}

impl Awaited {
    /// Wakes the thread that looks after them.
    pub(crate) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// One more; to be called before the first look at what it waits for.
    pub(crate) fn add(&self) {
        self.clients.fetch_add(1, Ordering::SeqCst);
    }

    /// One less.
    pub(crate) fn remove(&self) {
        self.clients.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether anybody waits.
    pub(crate) fn is_any(&self) -> bool {
        self.clients.load(Ordering::Relaxed) != 0
    }

    /// Something has happened, under a lock that the thread takes when it looks. Costs a load while
    /// nobody waits.
    pub(crate) fn stir(&self) {
        if self.is_any() {
            self.signal.wake();
        }
    }
}

/// The present version of a key, and how far the store is at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Present {
    /// Tells the vbucket from a later one of its id.
    pub(crate) incarnation: u64,
    /// Its place in the log.
    pub(crate) seqno: Seqno,
    /// Its CAS.
    pub(crate) cas: u64,
    /// Windows that were reverted by then.
    pub(crate) reverts: u64,
    /// Everything up to here is durable, or was reverted.
    pub(crate) persisted: Seqno,
}

impl Vbucket {
    /// Where a key stands; `None` when there is none.
    pub(crate) fn present(&self, hash: u32, key: &[u8]) -> Option<Present> {
        let mut garbage = Garbage::default();
        let mut stripe = self.table.lock(hash);
        let mut ordered = self.log();
        self.settle(&mut stripe, &mut ordered, hash, key, &mut garbage);
        let floor = ordered.log.floor();
        let slot = stripe.find(hash, key)?;
        (!slot.is_deleted() && slot.seqno() >= floor).then(|| Present {
            incarnation: ordered.incarnation,
            seqno: slot.seqno(),
            cas: slot.item().cas(),
            reverts: ordered.log.reverts(),
            persisted: ordered.log.persisted(),
        })
    }
}
