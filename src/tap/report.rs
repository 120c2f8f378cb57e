//! What reports show of a stream.

use std::sync::Arc;

use crate::types::VbucketId;

/// Figures of a stream.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the wire or in statistics"
)]
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// Its name, as clients know it.
    pub(crate) name: Arc<[u8]>,
    /// Its flags in words.
    pub(crate) flags: String,
    /// The vbuckets that the client listed.
    pub(crate) filter: Option<Vec<VbucketId>>,
    /// When it was made, by the clock of ages, in seconds.
    pub(crate) created: u64,
    /// Whether there is a connection.
    pub(crate) connected: bool,
    /// Whether the client acknowledges.
    pub(crate) acks: bool,
    /// Changes that are still to be sent.
    pub(crate) backlog: usize,
    /// Items of backfills that are queued.
    pub(crate) queued: usize,
    /// Messages about changes so far.
    pub(crate) sent: u64,
    /// Whether it waits to be woken.
    pub(crate) paused: bool,
    /// Whether it pauses after a temporary failure.
    pub(crate) suspended: bool,
    /// Whether a backfill is under way.
    pub(crate) filling: bool,
    /// Whether everything was sent and acknowledged.
    pub(crate) idle: bool,
    /// The last number given.
    pub(crate) seqno: u32,
    /// The last number acknowledged.
    pub(crate) acked: u32,
    /// Messages that are not acknowledged.
    pub(crate) unacked: usize,
    /// Whether as many are unacknowledged as may be.
    pub(crate) window_full: bool,
    /// Times that the client refused something for now.
    pub(crate) backoffs: u64,
    /// Times that it refused anything.
    pub(crate) nacks: u64,
    /// Messages that were sent again.
    pub(crate) resent: u64,
    /// Signs of life.
    pub(crate) noops: u64,
    /// Since when everything was a wait for the client, in seconds.
    pub(crate) backfill_since: u64,
    /// Whether the client hands over.
    pub(crate) takeover: bool,
    /// Whether its cursors outlive the connection.
    pub(crate) registered: bool,
    /// Messages about no change that wait to be sent.
    pub(crate) urgent: usize,
    /// Those of them that make a vbucket the client's.
    pub(crate) handing_over: usize,
    /// Whether changes have been read that wait to be sent.
    pub(crate) has_item: bool,
    /// Bytes of those changes and of the backfill's items.
    pub(crate) bytes: usize,
    /// Values that its backfills read from the store.
    pub(crate) read: u64,
    /// Times that a client came again under its name.
    pub(crate) reconnects: u64,
    /// When it is given up, by the clock of ages in seconds, unless its client acknowledges.
    pub(crate) expires: u64,
}
