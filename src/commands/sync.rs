//! SYNC: its shape on the wire.

use super::answer;
use super::keys::MAY_COME;
use crate::constants::{
    CHECKPOINT_ENGINE_SYNC_BOTH as BOTH, CHECKPOINT_ENGINE_SYNC_EVENT_DELETED as DELETED,
    CHECKPOINT_ENGINE_SYNC_EVENT_MODIFIED as MODIFIED,
    CHECKPOINT_ENGINE_SYNC_EVENT_NO_KEY as NO_KEY,
    CHECKPOINT_ENGINE_SYNC_EVENT_OTHER_CAS as OTHER_CAS,
    CHECKPOINT_ENGINE_SYNC_EVENT_PERSISTED as PERSISTED,
    CHECKPOINT_ENGINE_SYNC_EVENT_REPLICATED as REPLICATED,
    CHECKPOINT_ENGINE_SYNC_MUTATION as MUTATION, CHECKPOINT_ENGINE_SYNC_PERSISTENCE as PERSISTENCE,
    CHECKPOINT_ENGINE_SYNC_REPLICAS as REPLICAS,
};
use crate::engine::{
    Asked, Conditions, Engine, REQUEST_KEYS_MAX, SyncError, SyncEvent, Synced, Told,
};
use crate::error::Result;
use crate::host::{Cookie, Reply, Request, Status};
use crate::types::KEY_BYTES_MAX;

const SHAPE: &[u8] =
    b"SYNC takes no extras and no key; its value is options (4 bytes), the number \
    of keys (2), and for each key CAS (8), vbucket (2), length (2) and 1 to 250 bytes";
const TOO_LONG: &[u8] = b"SYNC takes up to 16,384 keys; send the others in another request";
const BUSY: &[u8] = b"too many keys are being waited for; try again when those are done";
const NO_STORE: &[u8] = b"SYNC for persistence is not supported.";

/// SYNC.
pub(super) fn sync(
    engine: &Engine,
    cookie: Cookie,
    request: &Request<'_>,
    reply: &mut dyn Reply,
) -> Result<()> {
    if let Some(synced) = engine.synced(cookie)? {
        return answer_synced(reply, synced);
    }
    let Some((options, keys)) = request.value.split_first_chunk::<4>() else {
        return answer(reply, Status::EINVAL, SHAPE);
    };
    if !request.extras.is_empty() || !request.key.is_empty() {
        return answer(reply, Status::EINVAL, SHAPE);
    }
    let Some(conditions) = conditions(u32::from_be_bytes(*options)) else {
        return answer(reply, Status::EINVAL, b"");
    };
    let Some(asked) = keys_of(keys) else {
        return answer(reply, Status::EINVAL, SHAPE);
    };
    if asked.len() > REQUEST_KEYS_MAX {
        return answer(reply, Status::EINVAL, TOO_LONG);
    }
    let synced = engine.sync(cookie, conditions, &asked)?;
    answer_synced(reply, synced)
}

/// What the options ask for; none if that is nothing, or contradicts itself. Unknown bits are
/// ignored, as ep-engine did.
fn conditions(options: u32) -> Option<Conditions> {
    let has = |bit| options & bit != 0;
    let conditions = Conditions {
        replicas: ((options & REPLICAS) >> 4) as usize,
        persisted: has(PERSISTENCE),
        both: has(BOTH),
        changed: has(MUTATION),
    };
    let holds = conditions.persisted || conditions.replicas > 0;
    (conditions.changed != holds).then_some(conditions)
}

fn keys_of(list: &[u8]) -> Option<Vec<Asked<'_>>> {
    let (count, mut rest) = list.split_first_chunk()?;
    let count = usize::from(u16::from_be_bytes(*count));
    // What is announced and not there costs nothing.
    let mut keys = Vec::new();
    for _ in 0..count {
        let (cas, after) = rest.split_first_chunk()?;
        let (vbucket, after) = after.split_first_chunk()?;
        let (length, after) = after.split_first_chunk()?;
        let (key, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
        if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
            return None;
        }
        keys.push(Asked {
            cas: u64::from_be_bytes(*cas),
            vbucket: u16::from_be_bytes(*vbucket),
            key,
        });
        rest = after;
    }
    rest.is_empty().then_some(keys)
}

fn answer_synced(reply: &mut dyn Reply, synced: Synced) -> Result<()> {
    match synced {
        Ok(told) => answer(reply, Status::SUCCESS, &list(&told)),
        Err(SyncError::NoStore) => answer(reply, Status::NOT_SUPPORTED, NO_STORE),
        Err(SyncError::TooMany) => answer(reply, Status::ETMPFAIL, BUSY),
        Err(SyncError::MayCome) => answer(reply, Status::ETMPFAIL, MAY_COME),
        Err(SyncError::TimedOut) => answer(reply, Status::ETMPFAIL, b""),
    }
}

fn list(told: &[Told]) -> Vec<u8> {
    let short = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    let mut list = short(told.len()).to_vec();
    for told in told {
        list.extend(told.cas.to_be_bytes());
        list.extend(told.vbucket.to_be_bytes());
        list.extend(short(told.key.len()));
        list.push(match told.event {
            SyncEvent::Persisted => PERSISTED,
            SyncEvent::Modified => MODIFIED,
            SyncEvent::Deleted => DELETED,
            SyncEvent::Replicated => REPLICATED,
            SyncEvent::Absent => NO_KEY,
            SyncEvent::OtherCas => OTHER_CAS,
        });
        list.extend(&told.key);
    }
    list
}
