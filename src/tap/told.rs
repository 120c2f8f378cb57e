//! What a client is told of the deadline of a window.
//!
//! It is what the window has left when the message is sent, also when it is sent again. It precedes
//! the mark that begins the window, so the client has both at once, and comes again when the
//! deadline is moved.

use std::time::Duration;

use super::Specific;
use super::code::UPDATE_DEADLINE;
use super::control::{Control, opaque};
use crate::checkpoint::{Change, Op};
use crate::types::CheckpointId;
use crate::vbucket::Vbucket;

/// The window that the client was told to be in, and its deadline as it was told.
#[derive(Debug, Default)]
pub(super) struct Told(Option<(CheckpointId, Option<Duration>)>);

impl Told {
    /// A window is about to begin for the client. Returns what comes before.
    pub(super) fn enter(&mut self, vbucket: &Vbucket, window: CheckpointId) -> Option<Control> {
        let ends = vbucket.undecided_window(window).and_then(|it| it.deadline);
        self.0 = Some((window, ends));
        ends.map(|_| deadline(window))
    }

    /// The client is about to be told what an entry of the log says.
    pub(super) fn pass(&mut self, change: &Change, vbucket: &Vbucket) -> Option<Control> {
        match change.op {
            Op::UpdateStart => return self.enter(vbucket, change.checkpoint),
            Op::UpdateEnd | Op::UpdateRevert => self.0 = None,
            _ => {}
        }
        None
    }

    /// What is to be said if the deadline was moved since.
    pub(super) fn news(&mut self, vbucket: &Vbucket) -> Option<Control> {
        let (window, told) = self.0.as_mut()?;
        let now = vbucket.undecided_window(*window)?.deadline;
        let moved = *told != now;
        *told = now;
        moved.then(|| deadline(*window))
    }
}

impl Control {
    /// The message as it is to be sent now; `None` if there is nothing to be said any more.
    pub(super) fn into_present(self, vbucket: &Vbucket) -> Option<Self> {
        let Some(window) = self.tells else {
            return Some(self);
        };
        let left = vbucket.seconds_left(window)?;
        let parts: [&[u8]; 3] = [
            &UPDATE_DEADLINE.to_be_bytes(),
            &window.get().to_be_bytes(),
            &left.to_be_bytes(),
        ];
        Some(Self {
            specific: Specific::of(&parts),
            ..self
        })
    }
}

/// How long a window has left.
fn deadline(window: CheckpointId) -> Control {
    Control {
        tells: Some(window),
        ..opaque(UPDATE_DEADLINE)
    }
}
