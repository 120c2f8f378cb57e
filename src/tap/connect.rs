//! What a client asks for with TAP_CONNECT (docs/replication.md, "Connect"). Nothing in it is
//! trusted.

use crate::error::{Error, Result};
use crate::types::{CheckpointId, VBUCKETS_MAX, VbucketId};

const BACKFILL: u32 = 0x01;
const DUMP: u32 = 0x02;
const LIST_VBUCKETS: u32 = 0x04;
const TAKEOVER_VBUCKETS: u32 = 0x08;
const SUPPORT_ACK: u32 = 0x10;
const REQUEST_KEYS_ONLY: u32 = 0x20;
const CHECKPOINT: u32 = 0x40;
const REGISTERED_CLIENT: u32 = 0x80;

/// A request for a stream.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the wire or in statistics"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// The flags as they came.
    pub(crate) flags: u32,
    /// No backfill is wanted if this time (Unix seconds) is not in the past.
    pub(crate) since: Option<u64>,
    /// Send what is there and close.
    pub(crate) dump: bool,
    /// Of these vbuckets; `None` for all.
    pub(crate) vbuckets: Option<Vec<VbucketId>>,
    /// Hand the vbuckets over.
    pub(crate) takeover: bool,
    /// The client acknowledges.
    pub(crate) acks: bool,
    /// Values are not wanted.
    pub(crate) keys_only: bool,
    /// Messages about checkpoints are wanted.
    pub(crate) checkpoints: bool,
    /// The last checkpoint that the client has of a vbucket.
    pub(crate) has: Vec<(VbucketId, CheckpointId)>,
    /// The client's cursors stay when it goes, and it gets no backfill.
    pub(crate) registered: bool,
    /// Only closed checkpoints are wanted.
    pub(crate) closed_only: bool,
}

/// Reads big-endian numbers from the front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Error::Invalid)?;
        self.0 = rest;
        Ok(*head)
    }

    fn u16(&mut self) -> Result<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.take().map(u64::from_be_bytes)
    }

    /// A number of elements; no list is longer than there are vbuckets.
    fn count(&mut self) -> Result<usize> {
        let count = usize::from(self.u16()?);
        (count <= VBUCKETS_MAX)
            .then_some(count)
            .ok_or(Error::Invalid)
    }
}

impl Request {
    /// Reads flags and user data.
    ///
    /// # Errors
    /// `Invalid` when the user data is not what the flags say.
    pub(crate) fn parse(flags: u32, data: &[u8]) -> Result<Self> {
        let has = |flag| flags & flag != 0;
        let mut request = Self {
            flags,
            dump: has(DUMP),
            takeover: has(TAKEOVER_VBUCKETS),
            acks: has(SUPPORT_ACK),
            keys_only: has(REQUEST_KEYS_ONLY),
            checkpoints: has(CHECKPOINT),
            registered: has(REGISTERED_CLIENT),
            ..Self::default()
        };
        let mut data = Reader(data);
        if has(BACKFILL) {
            request.since = Some(data.u64()?);
        }
        if has(LIST_VBUCKETS) {
            let count = data.count()?;
            let mut list = Vec::with_capacity(count);
            for _ in 0..count {
                list.extend(VbucketId::new(data.u16()?));
            }
            list.sort_unstable();
            list.dedup();
            request.vbuckets = (count > 0).then_some(list);
        }
        // The list is optional; a single byte is the next flag's.
        if has(CHECKPOINT) && data.0.len() > 1 {
            for _ in 0..data.count()? {
                let (vbucket, id) = (data.u16()?, CheckpointId::new(data.u64()?));
                let vbucket = VbucketId::new(vbucket);
                request.has.extend(vbucket.map(|vbucket| (vbucket, id)));
            }
        }
        if has(REGISTERED_CLIENT) && !data.0.is_empty() {
            // What is handed over is all there is.
            request.closed_only = data.take::<1>()? == [1] && !request.takeover;
        }
        Ok(request)
    }

    /// Is of the vbuckets of another request from now on; the rest of it stays as it was.
    pub(super) fn take_filter(&mut self, other: &Self) {
        self.flags = self.flags & !LIST_VBUCKETS | other.flags & LIST_VBUCKETS;
        self.vbuckets.clone_from(&other.vbuckets);
        self.has.clone_from(&other.has);
        self.since = other.since.or(self.since);
    }

    /// The flags in words, as statistics show them.
    pub(crate) fn words(&self) -> String {
        let words = [
            (DUMP, "dump"),
            (SUPPORT_ACK, "ack"),
            (BACKFILL, "backfill"),
            (LIST_VBUCKETS, "vblist"),
            (TAKEOVER_VBUCKETS, "takeover"),
            (CHECKPOINT, "checkpoints"),
        ];
        let set = words.iter().filter(|(flag, _)| self.flags & flag != 0);
        let set: Vec<&str> = set.map(|(_, word)| *word).collect();
        format!("{} ({})", self.flags, set.join(","))
    }

    /// Whether it is a dump that a later one goes on from: every vbucket as it was at one instant,
    /// or what has changed since the checkpoints that the client names.
    pub(crate) fn goes_on(&self) -> bool {
        self.dump && self.checkpoints
    }

    /// Whether the vbuckets are the client's in the end; those that it did not list stay.
    pub(crate) fn hands_over(&self) -> bool {
        self.takeover && self.vbuckets.is_some()
    }

    /// The first checkpoint that the client lacks, if it said so.
    pub(crate) fn wants(&self, vbucket: VbucketId) -> Option<CheckpointId> {
        let has = self.has.iter().find(|(id, _)| *id == vbucket)?.1;
        Some(CheckpointId::new(has.get().saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_is_read_in_the_order_of_the_flags() {
        let mut data = 7_u64.to_be_bytes().to_vec();
        data.extend([0, 2, 0, 3, 0, 1]);
        data.extend([0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9]);
        data.push(1);
        let flags = BACKFILL | LIST_VBUCKETS | CHECKPOINT | REGISTERED_CLIENT | SUPPORT_ACK;
        let request = Request::parse(flags, &data).unwrap();
        let id = |id| VbucketId::new(id).unwrap();
        assert_eq!(request.since, Some(7));
        assert_eq!(request.vbuckets, Some(vec![id(1), id(3)]));
        assert_eq!(request.wants(id(3)), Some(CheckpointId::new(10)));
        assert_eq!(request.wants(id(1)), None);
        assert!(request.closed_only && request.acks && !request.dump);
        assert_eq!(request.words(), "213 (ack,backfill,vblist,checkpoints)");
        // A takeover is of the open checkpoint too.
        let request = Request::parse(REGISTERED_CLIENT | TAKEOVER_VBUCKETS, &[1]).unwrap();
        assert!(request.takeover && !request.closed_only);
        // No list of checkpoints, and no vbuckets means all.
        let request = Request::parse(LIST_VBUCKETS | CHECKPOINT, &[0, 0]).unwrap();
        assert_eq!((request.vbuckets, request.has.len()), (None, 0));
    }

    #[test]
    fn user_data_that_is_too_short_is_refused() {
        for (flags, data) in [
            (BACKFILL, &[0; 7][..]),
            (LIST_VBUCKETS, &[]),
            (LIST_VBUCKETS, &[0, 2, 0, 1]),
            (LIST_VBUCKETS, &[0xff, 0xff]),
            (CHECKPOINT, &[0, 1, 0, 1, 0]),
        ] {
            assert_eq!(Request::parse(flags, data), Err(Error::Invalid), "{flags}");
        }
    }
}
