//! The named cursors of a vbucket's log, for streams to replicas.
//!
//! A stream registers its cursor, reads behind the last position that it was given, and moves the
//! cursor up to what its replica has acknowledged. Whatever it finds no cursor for is lost to it:
//! the vbucket was deleted, or the cursor was dropped because it held back too much memory. It then
//! registers again and gives its replica the whole state (a backfill).
//!
//! Threads: any. Nothing here waits for the disk or calls the host.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Vbucket;
use crate::checkpoint::{Begin, Begun, Change, ReadEnd, View};
use crate::types::Seqno;

impl Vbucket {
    /// A number that changes before anybody is told of news in the log for a stream.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Makes a stream's cursor, or moves the one of that name; `None` when the vbucket does not
    /// exist.
    pub(crate) fn register_cursor(&self, name: impl Into<Arc<[u8]>>, from: Begin) -> Option<Begun> {
        let (begun, free) = {
            let mut ordered = self.log();
            self.state()?;
            let begun = ordered.log.register(name, from);
            (begun, ordered.log.free())
        };
        self.release(free);
        Some(begun)
    }

    /// Reads on for a stream behind `after`, or behind its cursor if that is further; see
    /// [`Log::read`](crate::checkpoint::Log::read). `None` when the cursor is lost.
    pub(crate) fn read_cursor(
        &self,
        name: &[u8],
        after: Seqno,
        limit: usize,
        out: &mut Vec<Change>,
    ) -> Option<ReadEnd> {
        let ordered = self.log();
        let after = ordered.log.cursor(name)?.max(after);
        Some(ordered.log.read(View::Stream, after, limit, out))
    }

    /// Changes that a stream is still to be given behind `after`, or about `most` if there are
    /// more; `None` when the cursor is lost.
    pub(crate) fn cursor_remaining_to(
        &self,
        name: &[u8],
        after: Seqno,
        most: usize,
    ) -> Option<usize> {
        let ordered = self.log();
        let after = ordered.log.cursor(name)?.max(after);
        Some(ordered.log.remaining_to(after, most))
    }

    /// Moves a cursor forward: its stream needs nothing up to there any more.
    pub(crate) fn move_cursor(&self, name: &[u8], to: Seqno) {
        let free = self.log().log.move_cursor(name, to);
        self.release(free);
    }

    /// Drops a stream's cursor.
    pub(crate) fn drop_cursor(&self, name: &[u8]) {
        let free = self.log().log.drop_cursor(name);
        self.release(free);
    }

    /// Its client refused for good what it was sent, and may be `out_of_step`: the next stream of
    /// that name begins with the whole state then, whatever its client says.
    pub(crate) fn refused_by(&self, name: &Arc<[u8]>, out_of_step: bool) {
        let free = {
            let mut ordered = self.log();
            if out_of_step {
                ordered.log.refused_by(name);
            }
            ordered.log.drop_cursor(name)
        };
        self.release(free);
    }
}
