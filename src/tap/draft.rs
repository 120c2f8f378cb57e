//! What a vbucket's part of a stream says when it is asked for its next message.

use super::control::Control;
use super::{Event, FLAG_NO_VALUE, Request, Specific};
use crate::checkpoint::Change;
use crate::item::{Item, Meta};
use crate::types::Seqno;
use crate::vbucket::Vbucket;

/// What is to be done to send a message again.
#[derive(Clone, Debug)]
pub(super) enum Again {
    /// Send the change, also if a REVERT has made it void since: a client that refused it gets it
    /// before the mark.
    Change(Change),
    /// Send the item of the backfill.
    Item(Item),
    /// Send the control message.
    Control(Control),
    /// Send the announcement, if the mark that it belongs to has none before it.
    Announcement(Control),
    /// Send the mark, and its announcement before it: the receiver has forgotten that.
    Mark(Box<[Control; 2]>),
    /// It cannot be refused for now.
    Nothing,
}

/// A message without its number.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) event: Event,
    pub(super) specific: Specific,
    pub(super) item: Option<Item>,
    pub(super) flags: u16,
    /// Whether an answer is wanted in any case.
    pub(super) ack: bool,
    pub(super) again: Again,
    /// Place in the log that the client has when it acknowledges this; none if it is behind no
    /// entry of the log.
    pub(super) upto: Option<Seqno>,
}

/// What a part says when it is asked.
#[derive(Debug)]
pub(super) enum Next {
    /// Send this.
    Send(Box<Draft>),
    /// The client has to acknowledge first.
    Unacked,
    /// There is nothing at present.
    Nothing,
    /// The cursor was lost: the state has to be sent again.
    Lost,
}

/// How a version of a key goes out: the event, its item, its flags. One that has expired by now is
/// gone, whether or not anybody has noticed that here: nobody gets it any more. It is not left out,
/// because the client may have an older one, and because an answer may be wanted to it.
pub(super) fn version(
    item: &Item,
    deleted: bool,
    vbucket: &Vbucket,
    request: &Request,
) -> Option<(Event, Item, u16)> {
    if !deleted && !vbucket.has_expired(item) {
        return Some((Event::Mutation, item.clone(), value_flag(request)));
    }
    // The host would send the value of any other one. Peers expect no CAS.
    let meta = Meta {
        cas: 0,
        ..item.meta()
    };
    let bare = Item::with_value(item.key(), &[], meta)?;
    Some((Event::Deletion, bare, 0))
}

fn value_flag(request: &Request) -> u16 {
    if request.keys_only { FLAG_NO_VALUE } else { 0 }
}
