//! Identifiers and units. Each id is a newtype without arithmetic operators, so that a sequence
//! number cannot be passed where a CAS value or a checkpoint id belongs. Knows `std` only.

use std::fmt;

/// Longest key that a client may send, in bytes (both protocols).
pub(crate) const KEY_BYTES_MAX: usize = 250;

/// Number of vbucket ids: valid ids are `0..VBUCKETS_MAX`.
pub(crate) const VBUCKETS_MAX: usize = 1024;

/// Relative time in seconds since the host's start, as `get_current_time` counts. 0 means never
/// where it stands for an expiry.
pub(crate) type RelTime = u32;

/// Seconds since 1970, good until 2106. 0 means never where it stands for an expiry. Items carry
/// absolute times because a host's relative clock means nothing before `initialize` has returned
/// (docs/hosts.md, rule 17), and because disk and TAP want them.
pub(crate) type UnixTime = u32;

/// A partition of the key space. Only ids below [`VBUCKETS_MAX`] exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct VbucketId(u16);

impl VbucketId {
    /// The id, or `None` when it is out of range.
    pub(crate) fn new(id: u16) -> Option<Self> {
        (usize::from(id) < VBUCKETS_MAX).then_some(Self(id))
    }

    /// The raw id as it stands in a request header.
    pub(crate) const fn get(self) -> u16 {
        self.0
    }

    /// The id as an array index.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for VbucketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Position in one vbucket's log; 0 stands before the first entry. Starts again at 1 with every
/// start of the engine. 48 bits are used at most: nine years of a million changes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Seqno(u64);

impl Seqno {
    /// Before the first entry: what was loaded from disk carries it.
    pub(crate) const ZERO: Self = Self(0);

    pub(crate) const fn new(seqno: u64) -> Self {
        Self(seqno)
    }

    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seqno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of a checkpoint within its vbucket. Ids survive a restart and never go back; 0 means
/// "receiving a backfill".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CheckpointId(u64);

impl CheckpointId {
    pub(crate) const fn new(id: u64) -> Self {
        Self(id)
    }

    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The four states of a vbucket. The numbers are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum VbucketState {
    /// Serves every operation.
    Active = 1,
    /// Serves none: written by TAP only.
    Replica = 2,
    /// About to become active: operations wait.
    Pending = 3,
    /// Serves none, may be deleted.
    Dead = 4,
}

impl VbucketState {
    /// From the number on the wire, or `None`.
    pub(crate) fn from_wire(state: u32) -> Option<Self> {
        match state {
            1 => Some(Self::Active),
            2 => Some(Self::Replica),
            3 => Some(Self::Pending),
            4 => Some(Self::Dead),
            _ => None,
        }
    }

    /// The word that statistics print.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Replica => "replica",
            Self::Pending => "pending",
            Self::Dead => "dead",
        }
    }

    /// Whether the operator's online-update commands act on a vbucket in this state.
    pub(crate) const fn takes_commands(self) -> bool {
        matches!(self, Self::Active | Self::Pending)
    }
}

/// The storage operations of the engine interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreOp {
    /// Only if absent.
    Add,
    /// Always.
    Set,
    /// Only if present.
    Replace,
    /// Value behind the present one.
    Append,
    /// Value before the present one.
    Prepend,
    /// Only if the item's CAS is the present one.
    Cas,
}

/// Arguments of an increment or decrement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arithmetic {
    /// Add if true, subtract if false.
    pub(crate) increment: bool,
    /// Create a missing key with `initial`.
    pub(crate) create: bool,
    /// How much.
    pub(crate) delta: u64,
    /// Value of a created key.
    pub(crate) initial: u64,
    /// Flags of a created key.
    pub(crate) flags: u32,
    /// Expiry of a created key, as the client sent it.
    pub(crate) exptime: u32,
}

/// Into so many stripes the keys of a vbucket are divided, by [`stripe`].
pub(crate) const STRIPES: usize = 64;

/// The stripe of a hash.
pub(crate) const fn stripe(hash: u32) -> usize {
    hash as usize % STRIPES
}
