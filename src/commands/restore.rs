//! Restoring a backup.

use super::{answer, status};
use crate::constants::{
    CHECKPOINT_ENGINE_CMD_RESTORE_ABORT as RESTORE_ABORT,
    CHECKPOINT_ENGINE_CMD_RESTORE_BEGIN as RESTORE_BEGIN,
    CHECKPOINT_ENGINE_CMD_RESTORE_FILE as RESTORE_FILE,
    CHECKPOINT_ENGINE_CMD_RESTORE_KEY as RESTORE_KEY,
};
use crate::engine::{Engine, Put, RestoreError, RestoreKey};
use crate::error::{Error, Result};
use crate::host::{Cookie, Reply, Request, Status};
use crate::types::KEY_BYTES_MAX;

const BEGIN_SHAPE: &[u8] = b"RESTORE_BEGIN takes nothing, or a name of up to 250 bytes \
    for the backup as its key";
const KEY_SHAPE: &[u8] = b"RESTORE_KEY takes a key of 1 to 250 bytes and either 8 bytes of extras \
    (flags, expiry in Unix seconds) and a value, or neither: the key was deleted; the CAS of the \
    header is the key's. Without all of them it is a sign of life";
const NO_FILES: &[u8] = b"this engine opens no file that a client names; have engine-backup send \
    its keys";
const NOT_BEGUN: &[u8] = b"this connection restores nothing, or its restore was aborted or was \
    silent for 120 s; send RESTORE_BEGIN (0xec) first";
const BUSY: &[u8] = b"another connection restores; wait until it has ended, or send RESTORE_ABORT \
    (0x99)";
const IN_UPDATE: &[u8] = b"an online update is open or being ended, and a REVERT would take half \
    of the keys away; send COMPLETE (0x9c) or REVERT (0x9d) first";

/// RESTORE_BEGIN, RESTORE_KEY, and ep-engine's RESTORE_FILE, RESTORE_ABORT, RESTORE_COMPLETE.
pub(super) fn restore(
    engine: &Engine,
    cookie: Cookie,
    request: &Request<'_>,
    reply: &mut dyn Reply,
) -> Result<()> {
    match request.opcode {
        RESTORE_BEGIN => {
            let is_alone = request.extras.is_empty() && request.value.is_empty();
            if !is_alone || request.key.len() > KEY_BYTES_MAX {
                return answer(reply, Status::EINVAL, BEGIN_SHAPE);
            }
            say(reply, engine.begin_restore(cookie, request.key), IN_UPDATE)
        }
        RESTORE_KEY => {
            let Ok(version) = version(request) else {
                return answer(reply, Status::EINVAL, KEY_SHAPE);
            };
            if request.key.is_empty() && version.is_none() {
                return say(reply, engine.hear_of_restore(cookie), NOT_BEGUN);
            }
            let key = RestoreKey {
                vbucket: request.vbucket,
                key: request.key,
                version,
                cas: request.cas,
            };
            match engine.restore_key(cookie, &key) {
                Ok(Put::Expired) => answer(reply, Status::KEY_ENOENT, b""),
                put => say(reply, put.map(drop), NOT_BEGUN),
            }
        }
        // Outside of the mode all three answer as ep-engine 1.7 does.
        RESTORE_FILE => match engine.restore_report() {
            Some(_) => answer(reply, Status::NOT_SUPPORTED, NO_FILES),
            None => answer(reply, Status::NOT_SUPPORTED, b""),
        },
        RESTORE_ABORT => say(reply, engine.abort_restore(), b""),
        _ => match engine.complete_restore(cookie) {
            Err(RestoreError::Busy) => answer(reply, Status::EBUSY, b""),
            other => say(reply, other, b""),
        },
    }
}

/// Value, flags and expiry; `None` for a deletion.
fn version<'a>(request: &Request<'a>) -> Result<Option<(&'a [u8], u32, u32)>> {
    if request.extras.is_empty() && request.value.is_empty() {
        return Ok(None);
    }
    let (flags, expiry) = request.extras.split_first_chunk().ok_or(Error::Invalid)?;
    let expiry = expiry.try_into().map_err(|_| Error::Invalid)?;
    // Flags stay as they stood on the wire.
    let flags = u32::from_ne_bytes(*flags);
    Ok(Some((request.value, flags, u32::from_be_bytes(expiry))))
}

fn say(
    reply: &mut dyn Reply,
    outcome: std::result::Result<(), RestoreError>,
    not_restoring: &[u8],
) -> Result<()> {
    match outcome {
        Ok(()) => answer(reply, Status::SUCCESS, b""),
        Err(RestoreError::NotRestoring) => answer(reply, Status::NOT_SUPPORTED, not_restoring),
        Err(RestoreError::Busy) => answer(reply, Status::EBUSY, BUSY),
        Err(RestoreError::InUpdate | RestoreError::Key(Error::Unsupported)) => {
            answer(reply, Status::NOT_SUPPORTED, IN_UPDATE)
        }
        Err(RestoreError::Key(Error::Invalid)) => answer(reply, Status::EINVAL, KEY_SHAPE),
        Err(RestoreError::Key(error)) => answer(reply, status(error)?, b""),
    }
}
