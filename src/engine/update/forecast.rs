//! What would become of a COMPLETE now, and of writes in the window: for `stats onlineupdate`. A
//! forecast: it looks at what can be seen without writing anything.

use super::{Core, DEAD, Kind, NO_IDS, NO_WINDOW, RUNNING};
use crate::checkpoint::{Log, WindowReport};
use crate::ffi::disk;
use crate::vbucket::Figures;

const STOPPED: &str = "persistence is stopped; send START_PERSISTENCE (0x81)";
const FAILING: &str = "the store cannot be written at present; see the log and remove the cause";
const NO_DIRECTORY: &str = "the directory of the database (dbname) cannot be written; mend its \
                            permissions, or mount its file system for writing";
const NO_ROOM: &str = "the disk of the database (dbname) is too full for what the window has \
                       written; make room on it";

/// A commit writes a journal, and tables later.
const COPIES: u64 = 2;
const ROOM_BYTES: u64 = 1 << 20;
/// About what a key keeps in memory when its value has gone.
const KEY_BYTES: usize = 96;

impl Core {
    /// Why a COMPLETE could not commit now; `None` if it could.
    pub(super) fn hindrance(&self, running: Option<Kind>, window: &WindowReport) -> Option<&str> {
        let open = self.open();
        if running.is_some() {
            return Some(RUNNING);
        }
        if open.is_empty() {
            return Some(NO_WINDOW);
        }
        if self.updates.gate.lock().dead || self.persister.is_dead() {
            return Some(DEAD);
        }
        if self.persister.is_stopped() {
            return Some(STOPPED);
        }
        if !self.persister.keeps_values() {
            return None;
        }
        if self.persister.is_failing() {
            return Some(FAILING);
        }
        if !open
            .iter()
            .all(|vbucket| vbucket.with_log(Log::may_complete))
        {
            return Some(NO_IDS);
        }
        let disk = self.config.dbname.as_deref().map(disk::of)?;
        let Some(disk) = disk.filter(|disk| disk.writable) else {
            return Some(NO_DIRECTORY);
        };
        let need = (window.bytes as u64).saturating_mul(COPIES);
        let fits = disk.free >= need.saturating_add(ROOM_BYTES);
        (!fits).then_some(NO_ROOM)
    }

    /// About how many bytes more a window may take until writes are refused; `None` without a
    /// quota. What eviction can take away counts as free: without a store nothing, in a window.
    pub(super) fn bytes_left(&self, window: &WindowReport) -> Option<u64> {
        if !self.persister.keeps_values() {
            return self.evictor.room_with(0);
        }
        let mut held = Figures::default();
        for vbucket in self.vbuckets.iter() {
            held.add(vbucket.figures());
        }
        let stays = window.bytes + held.items.saturating_mul(KEY_BYTES);
        self.evictor.room_with(held.bytes.saturating_sub(stays))
    }
}
