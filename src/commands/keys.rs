//! Commands on one key.

use super::{answer, status};
use crate::constants::{CHECKPOINT_ENGINE_CMD_GATQ as GATQ, CHECKPOINT_ENGINE_CMD_TOUCH as TOUCH};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::host::{Cookie, Reply, Request, Response, Status};
use crate::item::Item;
use crate::types::KEY_BYTES_MAX;
use crate::vbucket::Ejection;

/// TOUCH, GAT, GATQ.
pub(super) fn touch(
    engine: &Engine,
    cookie: Cookie,
    request: &Request<'_>,
    reply: &mut dyn Reply,
) -> Result<()> {
    let exptime = <[u8; 4]>::try_from(request.extras).map(u32::from_be_bytes);
    let (Ok(exptime), false, true) = (exptime, request.key.is_empty(), request.value.is_empty())
    else {
        return answer(reply, Status::EINVAL, b"");
    };
    let quiet = request.opcode == GATQ;
    match engine.touch(cookie, request.key, exptime, request.vbucket) {
        Ok(_) if request.opcode == TOUCH => answer(reply, Status::SUCCESS, b""),
        Ok(item) => answer_item(reply, &item),
        Err(Error::NotFound) if quiet => Ok(()),
        Err(error) => answer(reply, status(error)?, b""),
    }
}

/// GET_LOCKED.
pub(super) fn get_locked(
    engine: &Engine,
    cookie: Cookie,
    request: &Request<'_>,
    reply: &mut dyn Reply,
) -> Result<()> {
    let seconds = match request.extras {
        [] => Some(0),
        // Some clients send a reserved word behind the seconds.
        &[a, b, c, d] | &[a, b, c, d, _, _, _, _] => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    };
    let (Some(seconds), Ok(())) = (seconds, key_alone(request)) else {
        return answer(reply, Status::EINVAL, LOCK_SHAPE);
    };
    match engine.get_locked(cookie, request.key, seconds, request.vbucket) {
        Ok(item) => answer_item(reply, &item),
        Err(Error::NotFound) => answer(reply, Status::KEY_ENOENT, b"NOT_FOUND"),
        Err(Error::Temporary) => answer(reply, Status::ETMPFAIL, b"LOCK_ERROR"),
        Err(error) => answer(reply, status(error)?, b""),
    }
}

/// UNLOCK_KEY.
pub(super) fn unlock(engine: &Engine, request: &Request<'_>, reply: &mut dyn Reply) -> Result<()> {
    if !request.extras.is_empty() || key_alone(request).is_err() {
        return answer(reply, Status::EINVAL, KEY_SHAPE);
    }
    match engine.unlock(request.key, request.cas, request.vbucket) {
        Ok(()) => answer(reply, Status::SUCCESS, b"UNLOCKED"),
        Err(Error::NotFound) => answer(reply, Status::KEY_ENOENT, b"NOT_FOUND"),
        Err(Error::Temporary) => answer(reply, Status::ETMPFAIL, b"UNLOCK_ERROR"),
        Err(error) => answer(reply, status(error)?, b""),
    }
}

/// EVICT_KEY.
pub(super) fn evict(engine: &Engine, request: &Request<'_>, reply: &mut dyn Reply) -> Result<()> {
    if !request.extras.is_empty() || key_alone(request).is_err() {
        return answer(reply, Status::EINVAL, KEY_SHAPE);
    }
    let (status, body): (_, &[u8]) = match engine.evict(request.key, request.vbucket) {
        Ok(Ejection::Absent) => (Status::KEY_ENOENT, b"Not found."),
        Ok(Ejection::Already) => (Status::SUCCESS, b"Already ejected."),
        Ok(Ejection::Kept) => (Status::SUCCESS, b"Can't eject: Dirty or a small object."),
        Ok(Ejection::Ejected) => (Status::SUCCESS, b"Ejected."),
        Err(error) => (status(error)?, b""),
    };
    answer(reply, status, body)
}

const KEY_SHAPE: &[u8] = b"the request takes a key of 1 to 250 bytes, and no extras or value";
const LOCK_SHAPE: &[u8] = b"the request takes a key of 1 to 250 bytes, no value, and either no \
    extras, or 4 bytes: the seconds for which to lock; 4 more are ignored";

/// Whether the request has a legal key and no value.
fn key_alone(request: &Request<'_>) -> Result<()> {
    let legal = (1..=KEY_BYTES_MAX).contains(&request.key.len()) && request.value.is_empty();
    legal.then_some(()).ok_or(Error::Invalid)
}

fn answer_item(reply: &mut dyn Reply, item: &Item) -> Result<()> {
    reply.send(&Response {
        status: Status::SUCCESS,
        // As they stood on the wire: the bits are kept unswapped.
        extras: &item.flags().to_ne_bytes(),
        key: b"",
        body: item.value(),
        cas: item.cas(),
    })
}
