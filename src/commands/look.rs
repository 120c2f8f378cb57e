//! Looking into an online update, and undoing one key of it.

use super::answer;
use super::update::answer_outcome;
use crate::engine::{Cursor, Engine, Page, Seen, UndoError, Wanted};
use crate::error::Result;
use crate::host::{Cookie, Reply, Request, Response, Status};
use crate::item::Item;
use crate::types::KEY_BYTES_MAX;

const LOOK_SHAPE: &[u8] = b"LOOK takes a prefix of up to 250 bytes as its key, 8 bytes of extras \
    (scope: 0 this vbucket, 1 the node; entries wanted, 0 for 1,000), and as its value nothing or \
    the key of the last answer";
const BEFORE_SHAPE: &[u8] = b"BEFORE takes a key of 1 to 250 bytes, and no extras or value";
const UNDO_SHAPE: &[u8] =
    b"UNDO takes a key of 1 to 250 bytes, and no extras or value; the CAS of \
    the header is 0 or that of the key's present version";

/// Bytes of an entry besides its key.
const ENTRY_BYTES: usize = 48;

/// LOOK.
pub(super) fn look(
    engine: &Engine,
    cookie: Cookie,
    request: &Request<'_>,
    reply: &mut dyn Reply,
) -> Result<()> {
    let Some(wanted) = wanted(request) else {
        return answer(reply, Status::EINVAL, LOOK_SHAPE);
    };
    match engine.look(cookie, &wanted)? {
        Ok(page) => answer_page(reply, &page),
        Err(error) => refuse(reply, &error),
    }
}

fn wanted<'a>(request: &Request<'a>) -> Option<Wanted<'a>> {
    let &[0, 0, 0, scope @ 0..=1, a, b, c, d] = request.extras else {
        return None;
    };
    let entries = match u32::from_be_bytes([a, b, c, d]) {
        0 => u32::MAX,
        entries => entries,
    };
    let from = match request.value {
        [] => None,
        cursor => Some(Cursor::parse(cursor)?),
    };
    Some(Wanted {
        vbucket: (scope == 0).then_some(request.vbucket),
        prefix: (request.key.len() <= KEY_BYTES_MAX).then_some(request.key)?,
        entries: entries as usize,
        entry_bytes: ENTRY_BYTES,
        from,
    })
}

fn answer_page(reply: &mut dyn Reply, page: &Page) -> Result<()> {
    let mut body = Vec::new();
    for seen in &page.seen {
        put_entry(&mut body, seen);
    }
    let cursor = page.next.map(Cursor::to_bytes).unwrap_or_default();
    reply.send(&Response {
        status: Status::SUCCESS,
        extras: b"",
        key: &cursor,
        body: &body,
        cas: 0,
    })
}

fn put_entry(body: &mut Vec<u8>, seen: &Seen) {
    let looked = &seen.looked;
    let key = looked.latest.key();
    body.extend(seen.vbucket.get().to_be_bytes());
    // The length of an old value is always known.
    body.extend([looked.touch as u8 + 1, 0]);
    body.extend(u16::try_from(key.len()).unwrap_or(u16::MAX).to_be_bytes());
    body.extend([0, 0]);
    let sides = [&looked.old, &looked.new];
    let number = |of: fn(&Item) -> u32| sides.map(|side| side.as_ref().map_or(0, of));
    let length = |item: &Item| u32::try_from(item.nbytes()).unwrap_or(u32::MAX);
    // Flags go out as the client sent them.
    let flags = |item: &Item| u32::from_be_bytes(item.flags().to_ne_bytes());
    for pair in [number(length), number(flags), number(Item::expiry)] {
        body.extend(pair.iter().flat_map(|number| number.to_be_bytes()));
    }
    let [old, mut new] = sides.map(|side| side.as_ref().map_or(0, Item::cas));
    if looked.locked && looked.new.is_some() {
        // As get answers it.
        new = u64::MAX;
    }
    body.extend(old.to_be_bytes());
    body.extend(new.to_be_bytes());
    body.extend(key);
}

/// BEFORE.
pub(super) fn before(
    engine: &Engine,
    cookie: Cookie,
    request: &Request<'_>,
    reply: &mut dyn Reply,
) -> Result<()> {
    if !is_key_alone(request) {
        return answer(reply, Status::EINVAL, BEFORE_SHAPE);
    }
    match engine.before(cookie, request.key, request.vbucket)? {
        Ok(None) => answer(
            reply,
            Status::KEY_ENOENT,
            b"the key did not exist before the online update",
        ),
        Ok(Some(item)) => {
            let mut extras = item.flags().to_ne_bytes().to_vec();
            extras.extend(item.expiry().to_be_bytes());
            reply.send(&Response {
                status: Status::SUCCESS,
                extras: &extras,
                key: b"",
                body: item.value(),
                cas: item.cas(),
            })
        }
        Err(error) => refuse(reply, &error),
    }
}

/// UNDO.
pub(super) fn undo(
    engine: &Engine,
    cookie: Cookie,
    request: &Request<'_>,
    reply: &mut dyn Reply,
) -> Result<()> {
    if !is_key_alone(request) {
        return answer(reply, Status::EINVAL, UNDO_SHAPE);
    }
    match engine.undo(cookie, request.key, request.cas, request.vbucket)? {
        Ok(cas) => reply.send(&Response {
            status: Status::SUCCESS,
            extras: b"",
            key: b"",
            body: b"",
            cas,
        }),
        Err(error) => refuse(reply, &error),
    }
}

fn is_key_alone(request: &Request<'_>) -> bool {
    let legal = (1..=KEY_BYTES_MAX).contains(&request.key.len());
    legal && request.extras.is_empty() && request.value.is_empty()
}

fn refuse(reply: &mut dyn Reply, error: &UndoError) -> Result<()> {
    let (status, words): (_, &[u8]) = match error {
        UndoError::Refused(refusal) => return answer_outcome(reply, &Err(refusal.clone())),
        UndoError::NotMyVbucket => (
            Status::NOT_MY_VBUCKET,
            b"the vbucket is not active here; ask the node that serves it",
        ),
        UndoError::Untouched => (
            Status::NOT_STORED,
            b"the online update did nothing to that key",
        ),
        UndoError::Exists => (
            Status::KEY_EEXISTS,
            b"the key has another CAS, or a client has locked it; look again, or wait for the lock",
        ),
        UndoError::NoRoom => (
            Status::ETMPFAIL,
            b"no memory for the old value, and nothing was changed; raise max_size, or REVERT",
        ),
        UndoError::Unreadable => (
            Status::ETMPFAIL,
            b"the old value cannot be read from the store, and nothing was changed; see the log",
        ),
        UndoError::OtherWindow => (
            Status::EINVAL,
            b"the cursor is of an online update that has ended; begin again without one",
        ),
    };
    answer(reply, status, words)
}
