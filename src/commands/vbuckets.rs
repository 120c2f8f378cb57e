//! Commands on one vbucket.

use super::answer;
use crate::engine::{Engine, VbucketError};
use crate::error::Result;
use crate::host::{Cookie, Reply, Request, Status};
use crate::types::VbucketState;

/// SET_VBUCKET.
pub(super) fn set(
    engine: &Engine,
    cookie: Cookie,
    request: &Request<'_>,
    reply: &mut dyn Reply,
) -> Result<()> {
    // Clients send the state in the extras or in the body.
    let state = match (request.extras, request.key, request.value) {
        (state, [], []) | ([], [], state) => <[u8; 4]>::try_from(state).ok(),
        _ => None,
    };
    let Some(state) = state else {
        return answer(reply, Status::EINVAL, b"Incorrect packet format");
    };
    let Some(state) = VbucketState::from_wire(u32::from_be_bytes(state)) else {
        return answer(reply, Status::EINVAL, b"Invalid vbucket state");
    };
    match engine.set_vbucket(cookie, request.vbucket, state)? {
        Ok(()) => answer(reply, Status::SUCCESS, b""),
        Err(VbucketError::CannotJoin) => answer(
            reply,
            Status::ETMPFAIL,
            b"The vbucket cannot join the online update for now: persistence is stopped or \
              failing, or an earlier online update of it is still being ended here.",
        ),
        Err(VbucketError::Unwritten) => answer(
            reply,
            Status::ETMPFAIL,
            b"The vbucket has that state, but the store cannot be written (see the log): until it \
              can, a crash would bring the old state back.",
        ),
        Err(_) => answer(
            reply,
            Status::EINVAL,
            b"The vbucket id is out of range (max_vbuckets).",
        ),
    }
}

/// GET_VBUCKET.
pub(super) fn get(engine: &Engine, request: &Request<'_>, reply: &mut dyn Reply) -> Result<()> {
    match engine.vbucket_state(request.vbucket) {
        Some(state) => answer(
            reply,
            Status::SUCCESS,
            &u32::from(state as u8).to_be_bytes(),
        ),
        None => answer(reply, Status::NOT_MY_VBUCKET, b"That's not my bucket."),
    }
}

/// DEL_VBUCKET.
pub(super) fn delete(
    engine: &Engine,
    cookie: Cookie,
    request: &Request<'_>,
    reply: &mut dyn Reply,
) -> Result<()> {
    let (status, body): (_, &[u8]) = match engine.delete_vbucket(cookie, request.vbucket)? {
        Ok(()) => (Status::SUCCESS, b""),
        Err(VbucketError::NotDead) => (
            Status::EINVAL,
            b"Failed to delete vbucket.  Must be in the dead state.",
        ),
        Err(VbucketError::Unwritten) => (
            Status::ETMPFAIL,
            b"The vbucket is deleted, but the store cannot be written (see the log): until it can, \
              a crash would bring the vbucket back.",
        ),
        Err(VbucketError::InWindow) => (
            Status::ETMPFAIL,
            b"Failed to delete vbucket.  It is part of an online update and could not be brought \
              back; make it active and send COMPLETE or REVERT first.",
        ),
        Err(VbucketError::Missing | VbucketError::OutOfRange | VbucketError::CannotJoin) => (
            Status::NOT_MY_VBUCKET,
            b"Failed to delete vbucket.  Bucket not found.",
        ),
    };
    answer(reply, status, body)
}

/// LAST_CLOSED_CHECKPOINT.
pub(super) fn last_closed_checkpoint(
    engine: &Engine,
    request: &Request<'_>,
    reply: &mut dyn Reply,
) -> Result<()> {
    match engine.vbucket(request.vbucket) {
        Some(vbucket) => {
            let closed = vbucket.tell_last_closed();
            answer(reply, Status::SUCCESS, &closed.to_be_bytes())
        }
        None => answer(reply, Status::NOT_MY_VBUCKET, b""),
    }
}
