//! Gives back the memory of what a start repeats.

use std::time::Duration;

use super::database::{Changes, Db};
use super::fjall::{FjallStore, SETTLE_BYTES};
use crate::config::Durability;

impl FjallStore {
    /// Writes out what opening repeated of the journal, which is as large as what was written last,
    /// not as what lives, and gives its memory back. What fails here fails again at a write.
    pub(super) fn let_go_of_the_journal(&self) {
        let wait = |db: &Db| {
            while db.database.outstanding_flushes() > 0 {
                db.check_writable()?;
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        };
        let written = self.with_db(|db| {
            let sealed = [&db.items, &db.meta].map(::fjall::Keyspace::sealed_memtable_count);
            let rotated = db.rotate(SETTLE_BYTES)?;
            wait(db)?;
            Ok(rotated || sealed != [0, 0])
        });
        if !written.as_ref().is_ok_and(|written| *written) {
            return;
        }
        // fjall lets go of a written memtable when the next one is rotated.
        let released = self.commit(Changes::default(), Durability::None);
        let _ = released.and_then(|()| {
            self.with_db(|db| {
                db.meta.rotate_memtable()?;
                wait(db)
            })
        });
    }
}
