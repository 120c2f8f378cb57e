//! What a master tells of a window ahead of its marks: the id, and the deadline. A replica does not
//! act on a deadline: it counts when its vbucket has become active.

use std::time::Duration;

use super::Core;
use super::replica::CHECKPOINT_MAX;
use crate::error::{Error, Result};
use crate::host::Cookie;
use crate::tap::code::{UPDATE_REVERT, UPDATE_START};
use crate::tap::{NO_DEADLINE, code};
use crate::types::{CheckpointId, VbucketId};

impl Core {
    /// A window's id, ahead of the mark that it belongs to.
    pub(super) fn announce(&self, cookie: Cookie, vbucket: u16, code: u32, id: u64) -> Result<()> {
        let vbucket = VbucketId::new(vbucket).ok_or(Error::Invalid)?;
        if !(UPDATE_START..=UPDATE_REVERT).contains(&code) || id >= CHECKPOINT_MAX {
            return Err(Error::Invalid);
        }
        self.forget_announced(cookie, vbucket);
        let announced = (vbucket, code, CheckpointId::new(id));
        self.with_consumer(cookie, |consumer| consumer.announced.push(announced));
        Ok(())
    }

    /// The id that a peer has announced for a mark.
    pub(super) fn announced(
        &self,
        cookie: Cookie,
        vbucket: VbucketId,
        code: u32,
    ) -> Option<CheckpointId> {
        self.with_consumer(cookie, |consumer| {
            let mut announced = consumer.announced.iter();
            let found = announced.find(|(of, what, _)| *of == vbucket && *what == code);
            found.map(|(_, _, id)| *id)
        })
    }

    /// The mark has come.
    pub(super) fn forget_announced(&self, cookie: Cookie, vbucket: VbucketId) {
        self.with_consumer(cookie, |consumer| {
            consumer.announced.retain(|(of, ..)| *of != vbucket);
        });
    }

    /// The window and its deadline, by our clock, if the message is about one.
    pub(super) fn read_deadline(
        &self,
        specific: &[u8],
    ) -> Option<(CheckpointId, Option<Duration>)> {
        let (code, rest) = specific.split_first_chunk::<4>()?;
        let (id, seconds) = rest.split_first_chunk::<8>()?;
        let seconds = u32::from_be_bytes(seconds.try_into().ok()?);
        let left = Duration::from_secs(seconds.into());
        let deadline = (seconds != NO_DEADLINE).then(|| self.host.monotonic() + left);
        let is_one = u32::from_be_bytes(*code) == code::UPDATE_DEADLINE;
        is_one.then_some((CheckpointId::new(u64::from_be_bytes(*id)), deadline))
    }

    /// How long a window has left. It is kept for the mark that may follow, and moves the deadline
    /// of the window if that is open here.
    pub(super) fn receive_deadline(
        &self,
        cookie: Cookie,
        vbucket: u16,
        window: CheckpointId,
        deadline: Option<Duration>,
    ) -> Result<()> {
        let id = VbucketId::new(vbucket).ok_or(Error::Invalid)?;
        self.with_consumer(cookie, |consumer| {
            consumer.deadlines.retain(|(of, ..)| *of != id);
            consumer.deadlines.push((id, window, deadline));
        });
        if let Some(vbucket) = self.vbuckets.get(id) {
            self.follow_deadline(vbucket, window, deadline);
        }
        Ok(())
    }

    /// The peer begins anew, and tells a deadline again if there still is one.
    pub(super) fn forget_told_deadline(&self, cookie: Cookie, vbucket: VbucketId) {
        self.with_consumer(cookie, |consumer| {
            consumer.deadlines.retain(|(of, ..)| *of != vbucket);
        });
    }

    /// The deadline that a peer has told of a window.
    pub(super) fn told_deadline(
        &self,
        cookie: Cookie,
        vbucket: VbucketId,
        window: Option<CheckpointId>,
    ) -> Option<Duration> {
        self.with_consumer(cookie, |consumer| {
            let mut told = consumer.deadlines.iter();
            let found = told.find(|(of, id, _)| *of == vbucket && Some(*id) == window);
            found.and_then(|(.., deadline)| *deadline)
        })
    }
}
