//! Messages that are about no change of one key: what an entry of the log says, or the stream.

use super::code::{UPDATE_END, UPDATE_REVERT, UPDATE_START};
use super::{Event, FLUSH_ONE_VBUCKET, Specific};
use crate::checkpoint::{Change, Op};
use crate::item::{Item, Meta};
use crate::types::{CheckpointId, Seqno};

/// A message that is sent when all before it is acknowledged, and before anything that follows.
#[derive(Clone, Debug)]
pub(super) struct Control {
    pub(super) event: Event,
    pub(super) specific: Specific,
    pub(super) item: Option<Item>,
    /// It follows the one before without waiting.
    pub(super) at_once: bool,
    /// Place in the log behind it; none if it does not come from there.
    pub(super) upto: Option<Seqno>,
    /// It says how long that window has left when it is sent.
    pub(super) tells: Option<CheckpointId>,
}

/// A message of the engine's own.
pub(super) fn opaque(code: u32) -> Control {
    Control {
        event: Event::Opaque,
        specific: Specific::of(&[&code.to_be_bytes()]),
        item: None,
        at_once: false,
        upto: None,
        tells: None,
    }
}

/// The two messages of a mark: the window's id for those who understand it, then the mark.
pub(super) fn mark(code: u32, id: CheckpointId, upto: Option<Seqno>) -> [Control; 2] {
    let marker = opaque(code);
    let announcement = Control {
        specific: Specific::of(&[&code.to_be_bytes(), &id.get().to_be_bytes()]),
        upto,
        ..marker.clone()
    };
    let marker = Control {
        at_once: true,
        upto,
        ..marker
    };
    [announcement, marker]
}

/// A checkpoint's begin or end: an item without key, with the id as its value.
pub(super) fn checkpoint(event: Event, id: CheckpointId, upto: Option<Seqno>) -> Option<Control> {
    let meta = Meta {
        hash: 0,
        flags: 0,
        expiry: 0,
        cas: 0,
    };
    let item = Item::with_value(b"", &[&id.get().to_be_bytes()], meta)?;
    Some(Control {
        event,
        specific: Specific::default(),
        item: Some(item),
        at_once: false,
        upto,
        tells: None,
    })
}

/// The messages for an entry of the log that is not about one key.
pub(super) fn controls(change: &Change, checkpoints: bool) -> Vec<Control> {
    let upto = Some(change.seqno);
    let id = change.checkpoint;
    let boundary = |event| {
        let told = checkpoints && id > CheckpointId::default();
        let control = told.then(|| checkpoint(event, id, upto)).flatten();
        control.into_iter().collect()
    };
    match change.op {
        Op::CheckpointStart => boundary(Event::CheckpointStart),
        Op::CheckpointEnd => boundary(Event::CheckpointEnd),
        Op::UpdateStart => mark(UPDATE_START, id, upto).into(),
        Op::UpdateEnd => mark(UPDATE_END, id, upto).into(),
        Op::UpdateRevert => mark(UPDATE_REVERT, id, upto).into(),
        Op::Flush => vec![Control {
            event: Event::Flush,
            specific: Specific::of(&[&FLUSH_ONE_VBUCKET]),
            item: None,
            at_once: false,
            upto,
            tells: None,
        }],
        Op::Tombstone | Op::Set | Op::Delete | Op::Part => Vec::new(),
    }
}
