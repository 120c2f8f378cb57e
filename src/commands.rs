//! The commands that reach the engine through `unknown_command`: checks the shape of a request,
//! calls the engine, words the answer. Statuses and texts are those of ep-engine 1.7
//! (ep-engine-1.7.md, section 1) unless they were wrong; online update is our own
//! (online-update.md).
//!
//! Threads: host threads only.

use crate::constants::{
    CHECKPOINT_ENGINE_CMD_DEL_VBUCKET as DEL_VBUCKET, CHECKPOINT_ENGINE_CMD_GAT as GAT,
    CHECKPOINT_ENGINE_CMD_GATQ as GATQ, CHECKPOINT_ENGINE_CMD_GET_VBUCKET as GET_VBUCKET,
    CHECKPOINT_ENGINE_CMD_LAST_CLOSED_CHECKPOINT as LAST_CLOSED_CHECKPOINT,
    CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_COMPLETE as ONLINE_UPDATE_COMPLETE,
    CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_REVERT as ONLINE_UPDATE_REVERT,
    CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_START as ONLINE_UPDATE_START,
    CHECKPOINT_ENGINE_CMD_SET_VBUCKET as SET_VBUCKET,
    CHECKPOINT_ENGINE_CMD_START_PERSISTENCE as START_PERSISTENCE,
    CHECKPOINT_ENGINE_CMD_STOP_PERSISTENCE as STOP_PERSISTENCE,
    CHECKPOINT_ENGINE_CMD_TOUCH as TOUCH,
};
use crate::engine::{Engine, Outcome, UpdateError, VbucketError};
use crate::error::{Error, Result};
use crate::host::{Cookie, Reply, Request, Response, Status};
use crate::item::Item;
use crate::types::VbucketState;

/// Carries a request out and sends its responses.
///
/// # Errors
/// `WouldBlock` when the client will be notified, `Disconnect` when no honest answer is possible,
/// `NoMemory` when the host could not queue a response.
pub(crate) fn execute(
    engine: &Engine,
    cookie: Cookie,
    request: &Request<'_>,
    reply: &mut dyn Reply,
) -> Result<()> {
    match request.opcode {
        TOUCH | GAT | GATQ => touch(engine, cookie, request, reply),
        SET_VBUCKET => set_vbucket(engine, request, reply),
        GET_VBUCKET => get_vbucket(engine, request, reply),
        DEL_VBUCKET => delete_vbucket(engine, request, reply),
        STOP_PERSISTENCE | START_PERSISTENCE => {
            engine.set_persistence(request.opcode == START_PERSISTENCE);
            answer(reply, Status::SUCCESS, b"")
        }
        LAST_CLOSED_CHECKPOINT => last_closed_checkpoint(engine, request, reply),
        ONLINE_UPDATE_START | ONLINE_UPDATE_COMPLETE | ONLINE_UPDATE_REVERT => {
            online_update(engine, cookie, request, reply)
        }
        _ => answer(reply, Status::UNKNOWN_COMMAND, b""),
    }
}

fn answer(reply: &mut dyn Reply, status: Status, body: &[u8]) -> Result<()> {
    reply.send(&Response {
        status,
        extras: b"",
        key: b"",
        body,
        cas: 0,
    })
}

/// The status of an error, for commands whose answer is a status.
fn status(error: Error) -> Result<Status> {
    Ok(match error {
        Error::WouldBlock | Error::Disconnect => return Err(error),
        Error::NotFound => Status::KEY_ENOENT,
        Error::Exists => Status::KEY_EEXISTS,
        Error::NotStored => Status::NOT_STORED,
        Error::NotNumeric => Status::DELTA_BADVAL,
        Error::NotMyVbucket => Status::NOT_MY_VBUCKET,
        Error::TooBig => Status::E2BIG,
        Error::NoMemory => Status::ENOMEM,
        Error::Temporary => Status::ETMPFAIL,
        Error::Invalid => Status::EINVAL,
        Error::Unsupported => Status::NOT_SUPPORTED,
        Error::Internal => Status::EINTERNAL,
    })
}

fn touch(
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

fn set_vbucket(engine: &Engine, request: &Request<'_>, reply: &mut dyn Reply) -> Result<()> {
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
    match engine.set_vbucket(request.vbucket, state) {
        Ok(()) => answer(reply, Status::SUCCESS, b""),
        Err(VbucketError::NoIds) => answer(
            reply,
            Status::ETMPFAIL,
            b"The vbucket cannot join the online update: persistence is stopped or failing.",
        ),
        Err(_) => answer(
            reply,
            Status::EINVAL,
            b"The vbucket id is out of range (max_vbuckets).",
        ),
    }
}

fn get_vbucket(engine: &Engine, request: &Request<'_>, reply: &mut dyn Reply) -> Result<()> {
    match engine.vbucket_state(request.vbucket) {
        Some(state) => answer(
            reply,
            Status::SUCCESS,
            &u32::from(state as u8).to_be_bytes(),
        ),
        None => answer(reply, Status::NOT_MY_VBUCKET, b"That's not my bucket."),
    }
}

fn delete_vbucket(engine: &Engine, request: &Request<'_>, reply: &mut dyn Reply) -> Result<()> {
    let (status, body): (_, &[u8]) = match engine.delete_vbucket(request.vbucket) {
        Ok(()) => (Status::SUCCESS, b""),
        Err(VbucketError::NotDead) => (
            Status::EINVAL,
            b"Failed to delete vbucket.  Must be in the dead state.",
        ),
        Err(VbucketError::InWindow) => (
            Status::ETMPFAIL,
            b"Failed to delete vbucket.  It is part of an online update and could not be brought \
              back; make it active and send COMPLETE or REVERT first.",
        ),
        Err(VbucketError::Missing | VbucketError::OutOfRange | VbucketError::NoIds) => (
            Status::NOT_MY_VBUCKET,
            b"Failed to delete vbucket.  Bucket not found.",
        ),
    };
    answer(reply, status, body)
}

fn last_closed_checkpoint(
    engine: &Engine,
    request: &Request<'_>,
    reply: &mut dyn Reply,
) -> Result<()> {
    match engine.vbucket(request.vbucket) {
        Some(vbucket) => {
            let open = vbucket.with_log(crate::checkpoint::Log::open_id);
            let closed = open.get().saturating_sub(1);
            answer(reply, Status::SUCCESS, &closed.to_be_bytes())
        }
        None => answer(reply, Status::NOT_MY_VBUCKET, b""),
    }
}

fn online_update(
    engine: &Engine,
    cookie: Cookie,
    request: &Request<'_>,
    reply: &mut dyn Reply,
) -> Result<()> {
    if !(request.extras.is_empty() && request.key.is_empty() && request.value.is_empty()) {
        let text =
            b"START, COMPLETE and REVERT take no extras, key or value; send the header alone";
        return answer(reply, Status::EINVAL, text);
    }
    let outcome: Outcome = match request.opcode {
        ONLINE_UPDATE_START => engine.start_update(),
        ONLINE_UPDATE_COMPLETE => engine.complete_update(cookie)?,
        _ => engine.revert_update(cookie)?,
    };
    match outcome {
        Ok(()) => answer(reply, Status::SUCCESS, b""),
        Err(UpdateError::Unsupported(text)) => {
            answer(reply, Status::NOT_SUPPORTED, text.as_bytes())
        }
        Err(UpdateError::Failed(text)) => answer(reply, Status::ETMPFAIL, text.as_bytes()),
    }
}
