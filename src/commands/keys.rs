//! Commands on one key.

use super::{answer, status};
use crate::constants::{CHECKPOINT_ENGINE_CMD_GATQ as GATQ, CHECKPOINT_ENGINE_CMD_TOUCH as TOUCH};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::host::{Cookie, Reply, Request, Response, Status};
use crate::item::Item;
use crate::types::KEY_BYTES_MAX;
use crate::vbucket::Ejection;

/// What is said of a key that is not here in restore mode, where it may be in the backup.
pub(super) const MAY_COME: &[u8] = b"NOT_FOUND yet: a restore may bring the key; try again";

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
    if let Some(refusal) = refusal(request) {
        return answer(reply, Status::EINVAL, refusal);
    }
    // Some clients send no time, and some a reserved word behind it.
    let seconds = request
        .extras
        .first_chunk()
        .map(|seconds| u32::from_be_bytes(*seconds));
    let seconds = seconds.unwrap_or(0);
    match engine.get_locked(cookie, request.key, seconds, request.vbucket) {
        Ok(item) => answer_item(reply, &item),
        Err(Error::NotFound) => answer(reply, Status::KEY_ENOENT, b"NOT_FOUND"),
        Err(Error::Temporary) => refused(engine, request, reply, b"LOCK_ERROR"),
        Err(error) => answer(reply, status(error)?, b""),
    }
}

/// UNLOCK_KEY.
pub(super) fn unlock(engine: &Engine, request: &Request<'_>, reply: &mut dyn Reply) -> Result<()> {
    if let Some(refusal) = refusal(request) {
        return answer(reply, Status::EINVAL, refusal);
    }
    match engine.unlock(request.key, request.cas, request.vbucket) {
        Ok(()) => answer(reply, Status::SUCCESS, b"UNLOCKED"),
        Err(Error::NotFound) => answer(reply, Status::KEY_ENOENT, b"NOT_FOUND"),
        Err(Error::Temporary) => refused(engine, request, reply, b"UNLOCK_ERROR"),
        Err(error) => answer(reply, status(error)?, b""),
    }
}

/// EVICT_KEY.
pub(super) fn evict(engine: &Engine, request: &Request<'_>, reply: &mut dyn Reply) -> Result<()> {
    if let Some(refusal) = refusal(request) {
        return answer(reply, Status::EINVAL, refusal);
    }
    let (status, body): (_, &[u8]) = match engine.evict(request.key, request.vbucket) {
        Ok(Ejection::Absent) => (Status::KEY_ENOENT, b"Not found."),
        Ok(Ejection::Already) => (Status::SUCCESS, b"Already ejected."),
        Ok(Ejection::Kept) => (Status::SUCCESS, b"Can't eject: Dirty or a small object."),
        Ok(Ejection::Ejected) => (Status::SUCCESS, b"Ejected."),
        Err(Error::Temporary) => (Status::ETMPFAIL, MAY_COME),
        Err(error) => (status(error)?, b""),
    };
    answer(reply, status, body)
}

/// The temporary failure of a command for locks: `word`, unless the key is not here.
fn refused(
    engine: &Engine,
    request: &Request<'_>,
    reply: &mut dyn Reply,
    word: &[u8],
) -> Result<()> {
    let may_come = engine.may_come(request.key, request.vbucket);
    let body = if may_come { MAY_COME } else { word };
    answer(reply, Status::ETMPFAIL, body)
}

/// Why a request without a usable key is refused. What else it carries was never looked at:
/// clients of ep-engine sent empty words and times there.
fn refusal(request: &Request<'_>) -> Option<&'static [u8]> {
    match request.key.len() {
        0 => Some(b"The request takes a key."),
        1..=KEY_BYTES_MAX => None,
        _ => Some(b"Key is too large."),
    }
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
