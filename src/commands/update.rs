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
    if !(request.extras.is_empty() && request.key.is_empty() && request.value.is_empty()) {
        let text =
            b"START, COMPLETE and REVERT take no extras, key or value; send the header alone";
        return answer(reply, Status::EINVAL, text);
    }
    let outcome: Outcome = match request.opcode {
        ONLINE_UPDATE_START => engine.start_update(cookie)?,
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
