//! Commands on one key.

use super::{answer, status};
use crate::constants::{CHECKPOINT_ENGINE_CMD_GATQ as GATQ, CHECKPOINT_ENGINE_CMD_TOUCH as TOUCH};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::host::{Cookie, Reply, Request, Response, Status};
use crate::item::Item;

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
