//! A host for tests: a clock that stands still unless it is turned, a log that can be read, and an
//! account of which clients wait and which were notified.
//!
//! What a real host would suffer from is noted as a violation, and [`FakeHost::check`] fails with
//! all of them: a notification from inside an engine call, or one that nobody is owed.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::{BlockedCookie, Cookie, Host, LogLevel};
use crate::error::{Error, Result};

/// Unix seconds at the host's start.
pub(crate) const STARTED: i64 = 1_700_000_000;
/// Relative times up to this one are relative; the others are absolute.
const MONTH: i64 = 60 * 60 * 24 * 30;
/// How often a condition is looked at while nothing tells that it may have changed.
const LOOK: Duration = Duration::from_millis(1);
/// Looks at a condition before the test fails: about 30 s.
const LOOKS_MAX: usize = 30_000;
/// Looks because something changed that count as one that was waited for.
const EARLY_LOOKS: usize = 20;
/// How often a call may be answered with "would block" before something is wrong.
const BLOCKS_MAX: usize = 1_000;

thread_local! {
    /// Whether the thread is inside an engine call.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// What one client is owed.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// Calls in progress.
    inside: usize,
    /// Calls that were answered with "would block".
    owed: usize,
    /// Notifications.
    given: usize,
}

#[derive(Default)]
struct State {
    accounts: HashMap<Cookie, Account>,
    violations: Vec<String>,
    logs: Vec<(LogLevel, String)>,
    /// To be run once, when the engine asks for the time the next time.
    on_clock: Option<Box<dyn FnOnce() + Send>>,
    /// To be run once, inside the next notification.
    on_notify: Option<Box<dyn FnOnce() + Send>>,
    /// Answers that were held back and have gone out, and whether with success.
    answered: HashMap<Cookie, bool>,
    /// Connections that the engine keeps.
    reserved: HashSet<Cookie>,
    /// How often streams were woken.
    woken: HashMap<Cookie, usize>,
    /// TAP peers whose errors are answered.
    answers_errors: HashSet<Cookie>,
    /// What the wall clock shows if it does not follow the other ones.
    wall: Option<u64>,
}

/// The host.
pub(crate) struct FakeHost {
    /// Seconds since the start.
    seconds: AtomicU64,
    /// Seconds by which the wall clock was set back.
    back: AtomicU64,
    /// Seconds by which a test has turned the host's clock forward.
    turned: AtomicU64,
    /// Times that the wall clock was read: no two readings are equal.
    readings: AtomicU64,
    /// It makes no call again that had to wait.
    calls_once: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

impl FakeHost {
    pub(crate) fn new() -> Self {
        Self {
            seconds: AtomicU64::new(100),
            back: AtomicU64::new(0),
            turned: AtomicU64::new(0),
            readings: AtomicU64::new(0),
            calls_once: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Another host whose clocks show the same.
    pub(crate) fn fork(&self) -> Self {
        let other = Self::new();
        other
            .seconds
            .store(self.seconds.load(Ordering::SeqCst), Ordering::SeqCst);
        other
            .back
            .store(self.back.load(Ordering::SeqCst), Ordering::SeqCst);
        other
            .readings
            .store(self.readings.load(Ordering::SeqCst), Ordering::SeqCst);
        other
    }

    /// From now on it makes no call again: a client may go that is to be notified still.
    pub(crate) fn calls_once(&self) {
        self.calls_once.store(true, Ordering::SeqCst);
    }

    /// Turns every clock on.
    pub(crate) fn advance(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Turns the host's clock on, as the test applications of hosts do; no time passes.
    pub(crate) fn turn(&self, seconds: u64) {
        self.turned.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Unix seconds.
    pub(crate) fn unix(&self) -> u32 {
        u32::try_from(Host::unix(self)).unwrap()
    }

    /// Sets the wall clock back; the other one goes on.
    pub(crate) fn set_back(&self, seconds: u64) {
        self.back.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Stops the wall clock at a reading, as a clock that is set back does for a while.
    pub(crate) fn stop_wall(&self, nanos: u64) {
        self.state.lock().wall = Some(nanos);
    }

    /// Has `act` run once, when the engine asks for the time the next time.
    pub(crate) fn at_next_look_at_the_clock(&self, act: impl FnOnce() + Send + 'static) {
        self.state.lock().on_clock = Some(Box::new(act));
    }

    /// Has `act` run once, inside the next notification.
    pub(crate) fn at_next_notification(&self, act: impl FnOnce() + Send + 'static) {
        self.state.lock().on_notify = Some(Box::new(act));
    }

    fn look_at_the_clock(&self) {
        let act = self.state.lock().on_clock.take();
        if let Some(act) = act {
            act();
        }
    }

    /// Calls the engine for a client, and keeps the account of what it is owed.
    pub(crate) fn call<T>(&self, cookie: Cookie, call: impl FnOnce() -> Result<T>) -> Result<T> {
        let waits = {
            let mut state = self.state.lock();
            let account = state.accounts.entry(cookie).or_default();
            account.inside += 1;
            account.owed > account.given
        };
        let before = INSIDE.replace(true);
        let result = call();
        INSIDE.set(before);
        let mut state = self.state.lock();
        let account = state.accounts.entry(cookie).or_default();
        account.inside -= 1;
        // Who calls again before the notification waits once all the same.
        if matches!(result, Err(Error::WouldBlock)) && !waits {
            account.owed += 1;
        }
        result
    }

    /// The same as a real host does it: a call that blocks is made again after the notification.
    pub(crate) fn finish<T>(
        &self,
        cookie: Cookie,
        mut call: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        for _ in 0..BLOCKS_MAX {
            match self.call(cookie, &mut call) {
                Err(Error::WouldBlock) => self.wait(cookie),
                other => return other,
            }
        }
        panic!("{cookie:?} blocks again and again");
    }

    /// Whether a client is owed nothing.
    pub(crate) fn is_notified(&self, cookie: Cookie) -> bool {
        let state = self.state.lock();
        let account = state.accounts.get(&cookie).copied().unwrap_or_default();
        account.given >= account.owed
    }

    /// Notifications that a client has got.
    pub(crate) fn notifications(&self, cookie: Cookie) -> usize {
        let state = self.state.lock();
        state
            .accounts
            .get(&cookie)
            .map_or(0, |account| account.given)
    }

    /// Waits until a client has got what it is owed.
    pub(crate) fn wait(&self, cookie: Cookie) {
        self.until(&format!("{cookie:?} is notified"), || {
            self.is_notified(cookie)
        });
    }

    /// Whether a condition comes true within so many looks, a millisecond apart at most.
    pub(crate) fn within(&self, looks: usize, mut is_so: impl FnMut() -> bool) -> bool {
        (0..looks).any(|_| {
            is_so() || {
                let mut state = self.state.lock();
                self.changed.wait_for(&mut state, LOOK);
                false
            }
        })
    }

    /// Waits for a condition.
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        // Where much happens most looks come early, because something changed: those cost little.
        let mut left = LOOKS_MAX * EARLY_LOOKS;
        while left > 0 {
            if is_so() {
                return;
            }
            let mut state = self.state.lock();
            let late = self.changed.wait_for(&mut state, LOOK).timed_out();
            left = left.saturating_sub(if late { EARLY_LOOKS } else { 1 });
        }
        panic!("waited too long until {what}");
    }

    /// How often the host was told to ask a stream for its next message.
    pub(crate) fn woken(&self, cookie: Cookie) -> usize {
        self.state.lock().woken.get(&cookie).copied().unwrap_or(0)
    }

    /// The answer that was held back for a client, if it has gone out: whether with success.
    pub(crate) fn answered(&self, cookie: Cookie) -> Option<bool> {
        self.state.lock().answered.get(&cookie).copied()
    }

    /// Whether the engine keeps a connection.
    pub(crate) fn is_reserved(&self, cookie: Cookie) -> bool {
        self.state.lock().reserved.contains(&cookie)
    }

    /// Whether errors of a TAP peer's messages are answered.
    pub(crate) fn answers_errors(&self, cookie: Cookie) -> bool {
        self.state.lock().answers_errors.contains(&cookie)
    }

    /// Whether a line that contains `text` was logged.
    pub(crate) fn has_logged(&self, level: LogLevel, text: &str) -> bool {
        let state = self.state.lock();
        state
            .logs
            .iter()
            .any(|(at, line)| *at == level && line.contains(text))
    }

    /// The answer of a write that was held back, once; whether the write was kept.
    pub(crate) fn take_answered(&self, cookie: Cookie) -> Option<bool> {
        self.state.lock().answered.remove(&cookie)
    }

    /// Fails if the engine, which has been shut down, did to this host what it must not do.
    pub(crate) fn check(&self) {
        let state = self.state.lock();
        let mut violations = state.violations.clone();
        let kept = state.reserved.iter();
        violations.extend(kept.map(|cookie| format!("{cookie:?} was never released")));
        for (cookie, account) in &state.accounts {
            if account.given != account.owed {
                violations.push(format!("{cookie:?}: {account:?}"));
            }
        }
        drop(state);
        assert!(violations.is_empty(), "{violations:#?}");
    }
}

impl Host for FakeHost {
    fn unix(&self) -> i64 {
        self.look_at_the_clock();
        let (seconds, back) = (&self.seconds, &self.back);
        let [seconds, back] = [seconds, back].map(|it| it.load(Ordering::SeqCst).cast_signed());
        STARTED + seconds - back + self.turned.load(Ordering::SeqCst).cast_signed()
    }

    fn absolute(&self, time: i64) -> i64 {
        match time {
            ..=0 => 1,
            1..=MONTH => Host::unix(self) + time,
            _ => time,
        }
    }

    fn unix_nanos(&self) -> u64 {
        let nanos = u64::try_from(STARTED).unwrap() + self.seconds.load(Ordering::SeqCst)
            - self.back.load(Ordering::SeqCst);
        let reading = self.readings.fetch_add(1, Ordering::SeqCst);
        self.state
            .lock()
            .wall
            .unwrap_or(nanos * 1_000_000_000 + reading)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.seconds.load(Ordering::SeqCst))
    }

    fn lasting(&self) -> Duration {
        self.monotonic() + Duration::from_secs(self.turned.load(Ordering::SeqCst))
    }

    fn log(&self, level: LogLevel, message: &str) {
        self.state.lock().logs.push((level, message.to_owned()));
        self.changed.notify_all();
    }

    fn calls_again(&self) -> bool {
        !self.calls_once.load(Ordering::SeqCst)
    }

    fn notify(&self, cookie: BlockedCookie) {
        let cookie = cookie.cookie();
        let act = self.state.lock().on_notify.take();
        if let Some(act) = act {
            act();
        }
        let mut state = self.state.lock();
        if INSIDE.get() {
            state
                .violations
                .push(format!("{cookie:?} notified inside an engine call"));
        }
        let account = state.accounts.entry(cookie).or_default();
        account.given += 1;
        if account.given > account.owed + account.inside {
            state
                .violations
                .push(format!("{cookie:?} notified without being owed it"));
        }
        self.changed.notify_all();
    }

    fn answer_held(&self, cookie: BlockedCookie, kept: bool) {
        let mut state = self.state.lock();
        if state.answered.insert(cookie.cookie(), kept).is_some() {
            let text = format!("{cookie:?} answered twice");
            state.violations.push(text);
        }
        self.changed.notify_all();
    }

    fn wake_stream(&self, cookie: Cookie) {
        let mut state = self.state.lock();
        if INSIDE.get() || !state.reserved.contains(&cookie) {
            state.violations.push(format!(
                "stream {cookie:?} woken inside a call or unreserved"
            ));
        }
        *state.woken.entry(cookie).or_default() += 1;
        self.changed.notify_all();
    }

    fn reserve(&self, cookie: Cookie) {
        let mut state = self.state.lock();
        if !state.reserved.insert(cookie) {
            state.violations.push(format!("{cookie:?} reserved twice"));
        }
    }

    fn release(&self, cookie: Cookie) {
        let mut state = self.state.lock();
        if INSIDE.get() || !state.reserved.remove(&cookie) {
            state
                .violations
                .push(format!("{cookie:?} released inside a call or unreserved"));
        }
        self.changed.notify_all();
    }

    fn answer_tap_errors(&self, cookie: Cookie) {
        self.state.lock().answers_errors.insert(cookie);
    }
}
