//! What the store is told of a REVERT, and what its client is told of the store.

use super::Core;
use super::update::{Outcome, UpdateError};
use crate::host::LogLevel;

impl Core {
    /// Has the store note a REVERT before its client is told.
    pub(super) fn note_revert(&self) -> Outcome {
        let noted = self.persister.round();
        if self.persister.is_undecided() {
            // A COMPLETE of this window failed, and nobody knows yet whether it did.
            let text = "the REVERT is done in memory, but the store cannot be reached since \
                        COMPLETE failed, and a crash may bring the update back: remove the cause \
                        (see the log) and look again when the log says that the store can be \
                        written; until then do not rely on this REVERT";
            self.host.log(LogLevel::Warning, text);
            return Err(UpdateError::Failed(text.to_owned()));
        }
        if let Err(error) = noted {
            // The flusher tries again. Until it can, a crash would be told as "lost at restart".
            let text = format!("cannot note the REVERT in the store yet: {error}");
            self.host.log(LogLevel::Warning, &text);
        }
        Ok(())
    }
}
