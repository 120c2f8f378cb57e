//! The commands of an online update.

use super::answer;
use crate::constants::{
    CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_COMPLETE as ONLINE_UPDATE_COMPLETE,
    CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_START as ONLINE_UPDATE_START,
};
use crate::engine::{Engine, Outcome, UpdateError};
use crate::error::Result;
use crate::host::{Cookie, Reply, Request, Status};

/// START, COMPLETE, REVERT.
pub(super) fn online_update(
    engine: &Engine,
    cookie: Cookie,
    request: &Request<'_>,
    reply: &mut dyn Reply,
) -> Result<()> {
    let seconds = match (request.opcode, request.extras) {
        (_, []) => None,
        (ONLINE_UPDATE_START, &[a, b, c, d]) => Some(u32::from_be_bytes([a, b, c, d])),
        _ => return answer(reply, Status::EINVAL, SHAPE),
    };
    if !(request.key.is_empty() && request.value.is_empty()) {
        return answer(reply, Status::EINVAL, SHAPE);
    }
    let waits = engine.shared().host.calls_again();
    let outcome: Outcome = match request.opcode {
        ONLINE_UPDATE_START => engine.start_update(cookie, seconds)?,
        ONLINE_UPDATE_COMPLETE if waits => engine.complete_update(cookie)?,
        _ if waits => engine.revert_update(cookie)?,
        ONLINE_UPDATE_COMPLETE => return answer_accepted(reply, &engine.accept_complete()),
        _ => return answer_accepted(reply, &engine.accept_revert()),
    };
    answer_outcome(reply, &outcome)
}

/// What the body says of a command that was accepted and still runs.
const ACCEPTED: &[u8] = b"started; see `stats onlineupdate`";

fn answer_accepted(reply: &mut dyn Reply, outcome: &Outcome) -> Result<()> {
    if outcome.is_ok() {
        return answer(reply, Status::SUCCESS, ACCEPTED);
    }
    answer_outcome(reply, outcome)
}

const SHAPE: &[u8] = b"START, COMPLETE and REVERT take no key or value; START may have 4 bytes of \
    extras, the seconds after which it reverts by itself; the others have none";
const DEADLINE_SHAPE: &[u8] =
    b"DEADLINE takes 4 bytes of extras, the seconds from now after which \
    the online update reverts by itself (0: never), and no key or value";

/// DEADLINE.
pub(super) fn deadline(
    engine: &Engine,
    request: &Request<'_>,
    reply: &mut dyn Reply,
) -> Result<()> {
    let (&[a, b, c, d], [], []) = (request.extras, request.key, request.value) else {
        return answer(reply, Status::EINVAL, DEADLINE_SHAPE);
    };
    let outcome = engine.move_deadline(u32::from_be_bytes([a, b, c, d]));
    answer_outcome(reply, &outcome)
}

/// Answers how a command of an online update went.
pub(super) fn answer_outcome(reply: &mut dyn Reply, outcome: &Outcome) -> Result<()> {
    match outcome {
        Ok(()) => answer(reply, Status::SUCCESS, b""),
        Err(UpdateError::Unsupported(text)) => {
            answer(reply, Status::NOT_SUPPORTED, text.as_bytes())
        }
        Err(UpdateError::Failed(text)) => answer(reply, Status::ETMPFAIL, text.as_bytes()),
    }
}
