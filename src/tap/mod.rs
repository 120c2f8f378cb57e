//! TAP, the sending side: streams that give replicas what happens in the vbuckets
//! (docs/replication.md; docs/online-update.md, "TAP and replicas").
//!
//! A stream reads each vbucket's log by a cursor that has its name, and moves the cursor up to what
//! its client has acknowledged: so a client that comes back goes on from there. A client that
//! cannot begin in the log is given the state before it first (a backfill).
//!
//! Order: before and after whatever is not a change of one key (the begin and end of a checkpoint,
//! a mark of online update, a flush) a stream waits until its client has acknowledged all that it
//! was sent of the vbucket. A change that the client refused is sent again before anything that
//! follows it, a mark above all.
//!
//! Modules: [`connect`] reads a request, [`begin`] begins a stream, [`filter`] changes which
//! vbuckets it is of, [`part`] is one vbucket of a
//! stream, [`control`] what it says besides changes, [`told`] of deadlines, [`producer`] a stream,
//! [`watches`] what it knows of its parts, [`answer`] what its client says, [`streams`] all of them
//! with the thread that wakes them, [`wakes`] whom it wakes, [`away`] those whose clients are away,
//! [`backfill`] another thread, [`laps`] when a takeover ends, [`claims`] which one of two does,
//! [`backlog`] what is still to be sent, [`weighed`] a queue, [`pace`] the configuration,
//! [`report`] what is told of a stream.
//!
//! Cost: a stream looks at a vbucket when that has news, which it sees without a lock, and only the
//! streams for which there are some are woken. What streams keep in memory is bounded: there are
//! `tap_streams_max` of them, and their cursors take a share of the quota.
//!
//! Locks, in order: the right to begin a stream, the map of streams, one stream, then those of
//! `vbucket`. The host is called with none held.

use crate::item::Item;

mod answer;
mod away;
mod backfill;
mod backlog;
mod begin;
mod claims;
mod connect;
mod control;
mod draft;
mod filter;
mod laps;
mod pace;
mod part;
mod producer;
mod report;
mod streams;
mod told;
mod wakes;
mod watches;
mod weighed;

pub(crate) use backfill::run as fill;
pub(crate) use begin::Refused;
pub(crate) use connect::Request;
pub(crate) use report::Report;
pub(crate) use streams::{Given, StreamId, Streams, Turn, run};

/// Prefix of a stream's name in statistics.
pub(crate) const NAME_PREFIX: &str = "eq_tapq:";

/// Codes of OPAQUE messages besides those of online update.
pub(crate) mod code {
    /// The receiver is to answer failures also where no answer was asked for.
    pub(crate) const ENABLE_NACK: u32 = 0;
    /// A backfill begins: the receiver forgets what it has of the vbucket.
    pub(crate) const BACKFILL_BEGINS: u32 = 1;
    /// Checkpoint messages follow.
    pub(crate) const ENABLE_CHECKPOINTS: u32 = 2;
    /// A client that wants closed checkpoints only has all of them.
    pub(crate) const OPEN_CHECKPOINT: u32 = 3;
    /// START.
    pub(crate) const UPDATE_START: u32 =
        crate::constants::CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_START;
    /// COMPLETE.
    pub(crate) const UPDATE_END: u32 =
        crate::constants::CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_END;
    /// REVERT.
    pub(crate) const UPDATE_REVERT: u32 =
        crate::constants::CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_REVERT;
    /// How long a window has left.
    pub(crate) const UPDATE_DEADLINE: u32 =
        crate::constants::CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_DEADLINE;
    /// All that a dump gives of the vbucket was sent.
    pub(crate) const DUMP_ENDS: u32 = 7;
    /// The backfill has ended.
    pub(crate) const BACKFILL_ENDS: u32 = 8;
}

/// Engine-specific bytes of a FLUSH that is about the vbucket of its header only. Older engines
/// send none and mean the whole node.
pub(crate) const FLUSH_ONE_VBUCKET: [u8; 4] = [0, 0, 0, 1];

/// What a message says of a window without a deadline instead of the seconds that it has left.
pub(crate) const NO_DEADLINE: u32 = u32::MAX;

/// The receiver is to answer.
pub(crate) const FLAG_ACK: u16 = 1;
/// The message is without the value.
pub(crate) const FLAG_NO_VALUE: u16 = 2;

/// What a host is to do next for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Send a key's new version.
    Mutation,
    /// Send that a key is gone.
    Deletion,
    /// Send that all keys are gone.
    Flush,
    /// Send a message between engines.
    Opaque,
    /// Send a state for the vbucket.
    VbucketSet,
    /// Send that a checkpoint begins; the id is the item's value.
    CheckpointStart,
    /// Send that it ends.
    CheckpointEnd,
    /// Send a sign of life.
    Noop,
    /// Nothing now; the stream will be woken.
    Pause,
    /// Close the connection.
    Disconnect,
}

/// Bytes for the receiving engine; 16 at most, far below what overruns a host's buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Specific {
    bytes: [u8; 16],
    length: u16,
}

impl Specific {
    fn of(parts: &[&[u8]]) -> Self {
        let mut specific = Self::default();
        let all = parts.iter().copied().flatten();
        for (to, byte) in specific.bytes.iter_mut().zip(all) {
            *to = *byte;
            specific.length += 1;
        }
        specific
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }
}

/// One step of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// What to do.
    pub(crate) event: Event,
    /// The item of a change or checkpoint.
    pub(crate) item: Option<Item>,
    /// For the receiving engine.
    pub(crate) specific: Specific,
    /// [`FLAG_ACK`], [`FLAG_NO_VALUE`].
    pub(crate) flags: u16,
    /// Number of the message, which the answer repeats.
    pub(crate) seqno: u32,
    /// About which vbucket.
    pub(crate) vbucket: u16,
}

impl Message {
    /// A step that sends nothing about a vbucket.
    pub(crate) fn bare(event: Event) -> Self {
        Self {
            event,
            item: None,
            specific: Specific::default(),
            flags: 0,
            seqno: 0,
            vbucket: 0,
        }
    }
}
