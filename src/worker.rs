//! Threads of the engine. The only place that spawns one; every worker can be woken, stopped and
//! joined, and sleeps without using the processor.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::aside;
use crate::ffi::scheduling::make_way;
use crate::latch::{Latch, LatchGuard};

/// Why a worker's sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// There may be work.
    Work,
    /// The time was over.
    Timeout,
    /// The worker is to finish.
    Stop,
}

#[derive(Debug, Default)]
struct State {
    work: bool,
    hurry: bool,
    stop: bool,
}

/// How a worker is told that there is work. Cheap to call again and again: only the first call
/// after the worker began to look costs more than a load.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    /// Set while a wake-up is on its way that the worker has not taken yet.
    raised: AtomicBool,
    // Guards the flags in it. Last in the lock order: nothing is locked under it.
    state: Latch<State>,
    changed: Condvar, // Goes with `state`, which it guards the changes of.
}

impl Signal {
    /// A signal that nobody waits for yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Tells the worker that there is work. Any thread, any lock held. What the worker is to find
    /// has to be guarded by a lock that it takes as well: of two that pass each other, one sees
    /// what the other did. For a lone atomic word there is [`Self::call`].
    pub(crate) fn wake(&self) {
        if self.raised.load(Ordering::Relaxed) || self.raised.swap(true, Ordering::AcqRel) {
            return;
        }
        self.state.lock().work = true;
        self.changed.notify_one();
    }

    /// The same for whatever the caller changed: the worker looks again after this, also when a
    /// wake-up is on its way to it that it has taken already and not yet looked.
    pub(crate) fn call(&self) {
        self.state.lock().work = true;
        self.changed.notify_one();
    }

    /// Sleeps until something is so, or the time is over.
    fn sleep(&self, time: Option<Duration>, is_so: fn(&State) -> bool) -> LatchGuard<'_, State> {
        let (state, changed) = (self.state.lock(), &self.changed);
        let goes_on = |state: &mut State| !is_so(state);
        match time {
            None => changed.wait_while(state, goes_on),
            Some(time) => changed
                .wait_timeout_while(state, time, goes_on)
                .map(|(state, _)| state)
                .map_err(|error| PoisonError::new(error.into_inner().0)),
        }
        .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until there is work, the worker is to stop, or the time is over.
    pub(crate) fn wait(&self, time: Option<Duration>) -> Wake {
        let mut state = self.sleep(time, |state| state.work || state.stop);
        // Before the worker looks for work: what comes after this raises the signal again.
        if std::mem::take(&mut state.work) {
            self.raised.store(false, Ordering::Release);
            return if state.stop { Wake::Stop } else { Wake::Work };
        }
        if state.stop {
            Wake::Stop
        } else {
            Wake::Timeout
        }
    }

    /// Sleeps for the time whatever work comes; true when the worker is to stop.
    pub(crate) fn nap(&self, time: Duration) -> bool {
        self.sleep(Some(time), |state| state.stop).stop
    }

    /// Sleeps for the time whatever work comes, and less when the worker is hurried; true when it
    /// is to stop.
    pub(crate) fn linger(&self, time: Duration) -> bool {
        let mut state = self.sleep(Some(time), |state| state.stop || state.hurry);
        state.hurry = false;
        state.stop
    }

    /// Ends a [`Self::linger`], or the next one.
    pub(crate) fn hurry(&self) {
        self.state.lock().hurry = true;
        self.changed.notify_all();
    }

    /// Whether the worker is to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state.lock().stop
    }

    /// Tells the worker to finish.
    pub(crate) fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_all();
    }
}

/// Whom a thread works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A client waits, or will when it does not get on.
    Serving,
    /// Nobody, or an operator: it makes way for host threads. It may hold a lock that they need for
    /// as long as one key takes, because while they wait the processor is free for it.
    Background,
}

/// A running thread.
#[derive(Debug)]
pub(crate) struct Worker {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a thread that runs `body` until it returns, which it has to when `signal` says stop.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(crate) fn spawn(
        name: &str,
        signal: &Arc<Signal>,
        class: Class,
        body: impl FnOnce(&Signal) + Send + 'static,
    ) -> io::Result<Self> {
        let own = Arc::clone(signal);
        let thread = Builder::new().name(format!("ce-{name}")).spawn(move || {
            if class == Class::Background {
                make_way();
                aside::begin();
            }
            body(&own);
        })?;
        Ok(Self {
            signal: Arc::clone(signal),
            thread: Some(thread),
        })
    }

    /// Tells the thread to finish and waits for it. Returns false when it had panicked.
    pub(crate) fn stop(&mut self) -> bool {
        self.signal.stop();
        self.thread
            .take()
            .is_none_or(|thread| thread.join().is_ok())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn a_wake_up_is_never_lost() {
        let signal = Signal::new();
        let (work, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (todo, finished) = (Arc::clone(&work), Arc::clone(&done));
        let mut worker = Worker::spawn("test", &signal, Class::Background, move |signal| {
            while signal.wait(None) != Wake::Stop {
                finished.fetch_add(todo.swap(0, Ordering::AcqRel), Ordering::AcqRel);
            }
        })
        .unwrap();
        for round in 1..=20_000 {
            work.fetch_add(1, Ordering::AcqRel);
            signal.wake();
            if round % 100 == 0 {
                while done.load(Ordering::Acquire) != round {
                    std::thread::yield_now();
                }
            }
        }
        assert!(worker.stop());
    }

    #[test]
    fn stop_ends_a_nap_and_a_wait() {
        let signal = Signal::new();
        let mut worker = Worker::spawn("test", &signal, Class::Serving, |signal| {
            assert!(signal.nap(Duration::from_hours(1)));
            assert_eq!(signal.wait(None), Wake::Stop);
        })
        .unwrap();
        assert!(worker.stop());
    }
}
