//! The thread that has the store give space back while little is written.
//!
//! It sleeps while nothing is committed. What it does takes time; the flusher goes on beside it.

use std::time::Duration;

use super::Persister;
use crate::host::LogLevel;
use crate::store::{Live, StoreError, Tidied};
use crate::vbucket::Vbucket;
use crate::worker::{Signal, Wake};

/// How long little must have been written.
const QUIET: Duration = Duration::from_secs(5);
/// What is little in that time.
const QUIET_CHANGES: u64 = 2_000;
const QUIET_BYTES: u64 = 1 << 20;
/// A look at all keys is followed by a pause so many times as long, up to a limit.
const SHARE: u32 = 50;
const PAUSE_MAX: Duration = Duration::from_secs(40);

/// The thread, where a store keeps values.
pub(crate) fn run_tidy(persister: &Persister, signal: &Signal) {
    // What an earlier process left.
    signal.wake();
    let now = || persister.shared.host.monotonic();
    let mut complaint = String::new();
    let mut not_before = now();
    while signal.wait(None) != Wake::Stop {
        loop {
            let before = persister.written();
            if signal.nap(QUIET) {
                return;
            }
            let begun = now();
            if begun < not_before || !persister.is_quiet(before) {
                continue;
            }
            match persister.tidy() {
                Ok(Tidied::Later) => continue,
                Ok(_) => complaint.clear(),
                Err(error) => persister.tell(&mut complaint, &error),
            }
            let ended = now();
            let pause = ended.saturating_sub(begun) * SHARE;
            not_before = ended + pause.min(PAUSE_MAX);
            break;
        }
    }
}

impl Persister {
    /// Changes and bytes committed so far. (The bytes can be reset.)
    fn written(&self) -> (u64, u64) {
        let metrics = &self.shared.metrics;
        (metrics.persisted.get(), metrics.written_bytes.get())
    }

    fn is_quiet(&self, (changes, bytes): (u64, u64)) -> bool {
        let now = self.written();
        now.0 - changes < QUIET_CHANGES && now.1.saturating_sub(bytes) < QUIET_BYTES
    }

    /// Has the store give space back if it takes much more than it needs.
    ///
    /// # Errors
    /// When the store cannot be read or written; nothing is lost by that.
    pub(crate) fn tidy(&self) -> Result<Tidied, StoreError> {
        // What lives is known when all is loaded. Whoever stopped persistence may be copying files.
        if self.is_stopped() || self.vbuckets.iter().any(Vbucket::is_loading) {
            return Ok(Tidied::Later);
        }
        let live = || {
            self.vbuckets
                .iter()
                .map(Vbucket::live)
                .fold(Live::default(), |sum, live| Live {
                    rows: sum.rows + live.rows,
                    bytes: sum.bytes + live.bytes,
                })
        };
        let tidied = self.store.tidy(&live);
        if matches!(tidied, Ok(Tidied::Done)) {
            self.shared.metrics.tidied.add(1);
        }
        tidied
    }

    fn tell(&self, complaint: &mut String, error: &StoreError) {
        let text = format!("cannot give space on the disk back: {error}");
        if text != *complaint {
            self.shared.host.log(LogLevel::Warning, &text);
            *complaint = text;
        }
    }
}
