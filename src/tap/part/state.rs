//! What a part gives before it follows the log: the state of its vbucket.
//!
//! The backfill gives the state at the cursor's place and leaves to the log what was changed later.
//! Of a window that COMPLETE has ended meanwhile the state before START is there no more, so the
//! client must not come to have that window: it could not take it back. What the log has up to the
//! end of such a window is given to it as a part of the state, and of the window it hears nothing.

use super::{Part, Stage, is_void};
use crate::checkpoint::Op;
use crate::tap::code::BACKFILL_ENDS;
use crate::tap::control::{controls, opaque};
use crate::tap::draft::{Again, Draft, Next, version};
use crate::tap::{Request, Specific};
use crate::vbucket::Vbucket;

impl Part {
    /// The next message of the state, or what follows on the last one; `None` to look again.
    pub(super) fn next_of_state(
        &mut self,
        vbucket: &Vbucket,
        name: &[u8],
        request: &Request,
        waits: bool,
    ) -> Option<Next> {
        if self.stage == Stage::Fill {
            return self.next_of_backfill(vbucket, name, request, waits);
        }
        let unread = self.changes.is_empty() && self.read_to < self.begun;
        let known = !unread || self.read_on(vbucket, name, request);
        // What follows says whether an answer is wanted.
        if !known || self.changes.len() == 1 && !self.read(vbucket, name, request) {
            return Some(Next::Lost);
        }
        let begun = self.begun;
        let Some(change) = self.changes.pop_front_if(|change| change.seqno <= begun) else {
            if waits {
                return Some(Next::Unacked);
            }
            self.stage = Stage::Log;
            self.controls.push_back(opaque(BACKFILL_ENDS));
            return None;
        };
        if is_void(&change, vbucket) {
            return None;
        }
        if change.op.is_mutation() {
            let draft = self.draft(change, vbucket, request);
            return Some(draft.map_or(Next::Lost, |draft| Next::Send(Box::new(draft))));
        }
        if change.op == Op::Flush {
            self.controls.extend(controls(&change, request.checkpoints));
        }
        None
    }

    fn next_of_backfill(
        &mut self,
        vbucket: &Vbucket,
        name: &[u8],
        request: &Request,
        waits: bool,
    ) -> Option<Next> {
        if let Some(item) = self.queue.pop_front() {
            let Some((event, version, flags)) = version(&item, false, vbucket, request) else {
                return Some(Next::Lost);
            };
            return Some(Next::Send(Box::new(Draft {
                event,
                specific: Specific::default(),
                flags,
                ack: self.queue.is_empty(),
                again: Again::Item(item),
                item: Some(version),
                upto: None,
            })));
        }
        // A COMPLETE that is in force took the state before START from the store.
        if !self.filled || self.misses && vbucket.is_completing() {
            return Some(Next::Nothing);
        }
        if waits {
            return Some(Next::Unacked);
        }
        if request.dump && !request.goes_on() {
            self.stage = Stage::Ended;
        } else {
            // Without its cursor what was left to the log may be there no more.
            let begun = vbucket.with_log(|log| {
                let kept = log.cursor(name).is_some();
                kept.then(|| log.completed_behind(self.begun))
            });
            let Some(begun) = begun else {
                return Some(Next::Lost);
            };
            self.begun = begun;
            self.stage = Stage::Rest;
        }
        None
    }
}
