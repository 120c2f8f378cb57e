//! Whom the thread wakes, and how many at a time.
//!
//! The thread of real hosts that serves streams takes 255 connections at a time from the list of
//! those which it was told to ask, and is told of others only while that list is empty: with more
//! of them in it, all streams of the node stand still until another one begins. So no more than
//! [`AT_A_TIME`] are woken until some of them have asked, those first that have waited longest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::streams::{Live, Streams};

/// Streams that are woken and have not asked: two rounds of them are less than what hosts take.
const AT_A_TIME: usize = 120;
/// A host has come to a stream that it was told to ask by then: one that does not ask has a client
/// that does not read.
const GRACE: Duration = Duration::from_secs(1);
/// Longest time between two looks at streams that wait for something.
const LOOK: Duration = Duration::from_secs(5);

/// The line of streams that wait to be woken.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    /// The next number.
    next: AtomicU64,
    /// Some streams have to wait until others have asked.
    held: AtomicBool,
}

/// Where one stream stands in it.
#[derive(Debug, Default)]
pub(super) struct Ticket {
    /// Since when it waits, or was woken last, as a number.
    number: u64,
    /// When it was woken, until it asks.
    woken: Option<Duration>,
}

impl Ticket {
    fn is_under_way(&self, now: Duration) -> bool {
        self.woken.is_some_and(|at| now.saturating_sub(at) < GRACE)
    }
}

impl Tickets {
    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A stream asks. Returns whether others wait for that.
    pub(super) fn asks(&self, ticket: &mut Ticket) -> bool {
        ticket.woken.take().is_some() && self.held.swap(false, Ordering::SeqCst)
    }

    /// A stream pauses.
    pub(super) fn pauses(&self, ticket: &mut Ticket) {
        ticket.number = self.number();
    }
}

impl Streams {
    /// Wakes who is to be woken; returns when the next look is due.
    pub(super) fn look(&self) -> Option<Duration> {
        let lives = self.lives();
        let now = self.now();
        // Who asks from here on may have been counted.
        self.tickets.held.store(true, Ordering::SeqCst);
        let mut due: Option<Duration> = None;
        let (mut again, mut waiting) = (Vec::new(), Vec::new());
        let mut under_way = 0;
        for live in &lives {
            let mut producer = live.producer.lock();
            let wake = producer.is_to_be_woken(&self.vbuckets, now);
            due = [due, producer.due()].into_iter().flatten().min();
            if producer.ticket.is_under_way(now) {
                under_way += 1;
                again.extend(wake.then_some(live));
            } else if wake {
                waiting.push((producer.ticket.number, live));
            }
        }
        // A host misses what it is told before it has noted the pause.
        for live in again {
            self.wake(live);
        }
        waiting.sort_unstable_by_key(|(number, _)| *number);
        let room = AT_A_TIME.saturating_sub(under_way);
        for (_, live) in waiting.iter().take(room) {
            let mut producer = live.producer.lock();
            producer.ticket = Ticket {
                number: self.tickets.number(),
                woken: producer.paused.then_some(now),
            };
            drop(producer);
            self.wake(live);
        }
        if waiting.len() <= room {
            self.tickets.held.store(false, Ordering::SeqCst);
        }
        if !waiting.is_empty() || under_way > 0 {
            due = [due, Some(now + GRACE)].into_iter().flatten().min();
        }
        {
            // Nobody has come again under its name when its cursors go.
            let _beginning = self.beginning.lock();
            for away in self.absent.expire(now) {
                self.drop_cursors_of(&away);
            }
        }
        let next = [due, self.absent.due()].into_iter().flatten().min();
        let next = next.map(|next| next.saturating_sub(now).min(LOOK));
        // An expiry that a read met, for one, is told to nobody.
        next.or((!lives.is_empty()).then_some(LOOK))
    }

    fn wake(&self, live: &Arc<Live>) {
        // This thread is the one that releases it, so it is still there.
        if !live.gone.load(Ordering::Acquire) {
            self.shared.host.wake_stream(live.cookie);
        }
    }
}
