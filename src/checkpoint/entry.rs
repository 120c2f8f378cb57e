//! One entry of the log, 24 bytes, and the pre-image that rides in it.

use crate::ffi::cache;
use crate::item::Item;
use crate::types::Seqno;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Op {
    /// Superseded by a later entry of the same key; carries nothing.
    Tombstone = 0,
    /// The key has this item.
    Set = 1,
    /// The key is gone; the item is key-only.
    Delete = 2,
    /// Every key of the vbucket is gone (`flush_all`).
    Flush = 3,
    /// First entry of a checkpoint.
    CheckpointStart = 4,
    /// Last entry of a closed checkpoint.
    CheckpointEnd = 5,
    /// START: a window begins with this checkpoint.
    UpdateStart = 6,
    /// COMPLETE: the window ends here and stays.
    UpdateEnd = 7,
    /// REVERT: the window ends here and is taken back.
    UpdateRevert = 8,
    /// First or last entry of a part of a checkpoint that is not its begin or end.
    Part = 9,
}

impl Op {
    fn from_bits(bits: u8) -> Self {
        match bits & !(UNSAVED | NEW) {
            1 => Self::Set,
            2 => Self::Delete,
            3 => Self::Flush,
            4 => Self::CheckpointStart,
            5 => Self::CheckpointEnd,
            6 => Self::UpdateStart,
            7 => Self::UpdateEnd,
            8 => Self::UpdateRevert,
            9 => Self::Part,
            _ => Self::Tombstone,
        }
    }

    /// Whether the entry is about one key.
    pub(crate) const fn is_mutation(self) -> bool {
        matches!(self, Self::Set | Self::Delete)
    }

    /// Whether the entry changes what the vbucket holds.
    pub(crate) const fn is_change(self) -> bool {
        matches!(self, Self::Set | Self::Delete | Self::Flush)
    }
}

/// What a key was just before START.
#[derive(Clone, Debug)]
pub(crate) enum PreImage {
    /// There was no such key.
    Absent,
    /// It had this item, logged at `seqno`. The item is key-only once its value is on disk (unless
    /// the configuration asks to keep values in memory).
    Present {
        /// The item, or its key-only form.
        item: Item,
        /// Its place in the log: decides whether it is on disk.
        seqno: Seqno,
    },
}

/// A pre-image, and the key's place among those that the window touched.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(super) was: PreImage,
    pub(super) place: u32,
}

/// Stands beside the operation while the pre-image is not on disk.
const UNSAVED: u8 = 0x80;
/// Stands there when the table did not know the key before: the store has no row of it.
const NEW: u8 = 0x40;

/// An entry.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Sequence number in the upper 56 bits, operation, [`UNSAVED`] and [`NEW`] in the lower 8.
    word: u64,
    /// The item of a mutation, nothing otherwise.
    pub(crate) item: Option<Item>,
    /// Only in a window's checkpoint (or while one completes).
    pub(super) origin: Option<Box<Origin>>,
}

const _: () = assert!(size_of::<Entry>() == 24);

impl Entry {
    pub(crate) fn new(seqno: Seqno, op: Op, item: Option<Item>) -> Self {
        Self {
            word: seqno.get() << 8 | u64::from(op as u8),
            item,
            origin: None,
        }
    }

    pub(crate) fn seqno(&self) -> Seqno {
        Seqno::new(self.word >> 8)
    }

    pub(crate) fn op(&self) -> Op {
        Op::from_bits(self.word.to_le_bytes()[0])
    }

    pub(crate) fn is_live(&self) -> bool {
        self.op() != Op::Tombstone
    }

    /// Whether the store had no row of the key when it was logged, as far as the table knew.
    pub(super) fn is_new(&self) -> bool {
        self.word & u64::from(NEW) != 0
    }

    /// Notes that.
    pub(super) fn set_new(&mut self) {
        self.word |= u64::from(NEW);
    }

    /// Whether the pre-image was not on disk when it was taken, and still is not.
    pub(super) fn is_unsaved(&self) -> bool {
        self.word & u64::from(UNSAVED) != 0
    }

    /// What the key was before the window.
    pub(crate) fn pre_image(&self) -> Option<&PreImage> {
        self.origin.as_deref().map(|origin| &origin.was)
    }

    /// The same to be changed.
    pub(super) fn pre_image_mut(&mut self) -> Option<&mut PreImage> {
        self.origin.as_deref_mut().map(|origin| &mut origin.was)
    }

    /// Gives it a pre-image.
    pub(super) fn set_origin(&mut self, origin: Box<Origin>, unsaved: bool) {
        self.origin = Some(origin);
        self.word |= u64::from(if unsaved { UNSAVED } else { 0 });
    }

    /// Has what it leads to brought into the cache.
    pub(super) fn prefetch(&self) {
        if let Some(item) = &self.item {
            item.prefetch();
        }
        if let Some(origin) = &self.origin {
            cache::prefetch(&raw const **origin);
        }
    }

    /// Notes that the pre-image is on disk.
    pub(super) fn save(&mut self) {
        self.word &= !u64::from(UNSAVED);
    }

    /// Leaves a tombstone in its place and returns what was there.
    pub(crate) fn bury(&mut self) -> Self {
        let seqno = self.seqno();
        std::mem::replace(self, Self::new(seqno, Op::Tombstone, None))
    }
}
