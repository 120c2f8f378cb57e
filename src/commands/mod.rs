//! The commands that reach the engine through `unknown_command`: checks the shape of a request,
//! calls the engine, words the answer. Statuses and texts are those of ep-engine 1.7
//! (docs/compatibility.md) unless they were wrong; online update is our own
//! (docs/online-update.md).
//!
//! Threads: host threads only.

use crate::constants::{
    CHECKPOINT_ENGINE_CMD_DEL_VBUCKET as DEL_VBUCKET,
    CHECKPOINT_ENGINE_CMD_DEREGISTER_TAP_CLIENT as DEREGISTER_TAP_CLIENT,
    CHECKPOINT_ENGINE_CMD_EVICT_KEY as EVICT_KEY, CHECKPOINT_ENGINE_CMD_GAT as GAT,
    CHECKPOINT_ENGINE_CMD_GATQ as GATQ, CHECKPOINT_ENGINE_CMD_GET_LOCKED as GET_LOCKED,
    CHECKPOINT_ENGINE_CMD_GET_VBUCKET as GET_VBUCKET,
    CHECKPOINT_ENGINE_CMD_LAST_CLOSED_CHECKPOINT as LAST_CLOSED_CHECKPOINT,
    CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_BEFORE as ONLINE_UPDATE_BEFORE,
    CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_COMPLETE as ONLINE_UPDATE_COMPLETE,
    CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_DEADLINE as ONLINE_UPDATE_DEADLINE,
    CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_LOOK as ONLINE_UPDATE_LOOK,
    CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_REVERT as ONLINE_UPDATE_REVERT,
    CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_START as ONLINE_UPDATE_START,
    CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_UNDO as ONLINE_UPDATE_UNDO,
    CHECKPOINT_ENGINE_CMD_RESET_REPLICATION_CHAIN as RESET_REPLICATION_CHAIN,
    CHECKPOINT_ENGINE_CMD_RESTORE_ABORT as RESTORE_ABORT,
    CHECKPOINT_ENGINE_CMD_RESTORE_BEGIN as RESTORE_BEGIN,
    CHECKPOINT_ENGINE_CMD_RESTORE_COMPLETE as RESTORE_COMPLETE,
    CHECKPOINT_ENGINE_CMD_RESTORE_FILE as RESTORE_FILE,
    CHECKPOINT_ENGINE_CMD_RESTORE_KEY as RESTORE_KEY, CHECKPOINT_ENGINE_CMD_SCRUB as SCRUB,
    CHECKPOINT_ENGINE_CMD_SET_FLUSH_PARAM as SET_FLUSH_PARAM,
    CHECKPOINT_ENGINE_CMD_SET_TAP_PARAM as SET_TAP_PARAM,
    CHECKPOINT_ENGINE_CMD_SET_VBUCKET as SET_VBUCKET,
    CHECKPOINT_ENGINE_CMD_START_PERSISTENCE as START_PERSISTENCE,
    CHECKPOINT_ENGINE_CMD_STOP_PERSISTENCE as STOP_PERSISTENCE, CHECKPOINT_ENGINE_CMD_SYNC as SYNC,
    CHECKPOINT_ENGINE_CMD_TOUCH as TOUCH, CHECKPOINT_ENGINE_CMD_UNLOCK_KEY as UNLOCK_KEY,
};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::host::{Cookie, Reply, Request, Response, Status};
use crate::metrics::Histogram;
use crate::settings::Family;

mod keys;
mod look;
mod parameters;
mod restore;
mod sync;
mod update;
mod vbuckets;

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
    let timings = &engine.shared().metrics.timings;
    match request.opcode {
        TOUCH | GAT | GATQ => keys::touch(engine, cookie, request, reply),
        GET_LOCKED => keys::get_locked(engine, cookie, request, reply),
        UNLOCK_KEY => keys::unlock(engine, request, reply),
        EVICT_KEY => keys::evict(engine, request, reply),
        SYNC => sync::sync(engine, cookie, request, reply),
        SET_VBUCKET => vbuckets::set(engine, cookie, request, reply),
        GET_VBUCKET => timed(engine, &timings.get_vbucket, || {
            vbuckets::get(engine, request, reply)
        }),
        DEL_VBUCKET => vbuckets::delete(engine, cookie, request, reply),
        STOP_PERSISTENCE | START_PERSISTENCE => {
            engine.set_persistence(request.opcode == START_PERSISTENCE);
            answer(reply, Status::SUCCESS, b"")
        }
        SET_FLUSH_PARAM => parameters::set(engine, Family::Flush, request, reply),
        SET_TAP_PARAM => parameters::set(engine, Family::Tap, request, reply),
        LAST_CLOSED_CHECKPOINT => vbuckets::last_closed_checkpoint(engine, request, reply),
        DEREGISTER_TAP_CLIENT => {
            engine.streams().deregister(request.key);
            answer(reply, Status::SUCCESS, b"")
        }
        RESET_REPLICATION_CHAIN => {
            engine.streams().reset_chain();
            answer(reply, Status::SUCCESS, b"")
        }
        ONLINE_UPDATE_START | ONLINE_UPDATE_COMPLETE | ONLINE_UPDATE_REVERT => {
            update::online_update(engine, cookie, request, reply)
        }
        RESTORE_FILE | RESTORE_ABORT | RESTORE_COMPLETE | RESTORE_BEGIN | RESTORE_KEY => {
            restore::restore(engine, cookie, request, reply)
        }
        ONLINE_UPDATE_DEADLINE => update::deadline(engine, request, reply),
        ONLINE_UPDATE_LOOK => look::look(engine, cookie, request, reply),
        ONLINE_UPDATE_BEFORE => look::before(engine, cookie, request, reply),
        ONLINE_UPDATE_UNDO => look::undo(engine, cookie, request, reply),
        // The cookie may be no connection's: an extension of the hosts asks with one of its own.
        SCRUB if engine.scrub() => answer(reply, Status::SUCCESS, b""),
        SCRUB => answer(reply, Status::EBUSY, b""),
        _ => answer(reply, Status::UNKNOWN_COMMAND, b""),
    }
}

fn timed(engine: &Engine, histogram: &Histogram, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let host = &engine.shared().host;
    let start = host.monotonic();
    let result = work();
    histogram.record(host.monotonic().saturating_sub(start));
    result
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
