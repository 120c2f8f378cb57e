//! Which stream may give a vbucket away: the first that comes to it. Two nodes that both believe
//! that they own a vbucket would both take writes for it.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::StreamId;
use crate::types::VbucketId;

#[derive(Debug)]
struct Claim {
    stream: StreamId,
    /// Its client has said that it has the vbucket.
    done: bool,
}

/// The vbuckets that are being given away, or were.
#[derive(Debug, Default)]
pub(super) struct Claims(
    // Guards the claims. Lock order: last.
    Mutex<HashMap<VbucketId, Claim>>,
);

impl Claims {
    /// Claims a vbucket for a stream; false if another one has it. `is_given` says whether the
    /// vbucket has not been anything but dead since it was given away.
    pub(super) fn take(&self, vbucket: VbucketId, stream: StreamId, is_given: bool) -> bool {
        let mut claims = self.0.lock();
        let holds = |claim: &Claim| claim.stream != stream && (!claim.done || is_given);
        if claims.get(&vbucket).is_some_and(holds) {
            return false;
        }
        let done = false;
        claims.insert(vbucket, Claim { stream, done });
        true
    }

    /// The client of that stream has the vbucket for good.
    pub(super) fn done(&self, vbucket: VbucketId, stream: StreamId) {
        let mut claims = self.0.lock();
        let claim = claims.get_mut(&vbucket);
        if let Some(claim) = claim.filter(|claim| claim.stream == stream) {
            claim.done = true;
        }
    }

    /// A stream has ended: what its client did not take is free.
    pub(super) fn release(&self, stream: StreamId) {
        let mut claims = self.0.lock();
        claims.retain(|_, claim| claim.done || claim.stream != stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stream_at_a_time_gives_a_vbucket_away() {
        let claims = Claims::default();
        let vbucket = VbucketId::new(3).unwrap();
        let [one, other] = [1, 2].map(StreamId);
        assert!(claims.take(vbucket, one, false) && claims.take(vbucket, one, false));
        assert!(!claims.take(vbucket, other, false));
        claims.done(vbucket, other);
        claims.release(other);
        assert!(!claims.take(vbucket, other, false));
        claims.release(one);
        assert!(claims.take(vbucket, other, false));
        claims.done(vbucket, other);
        claims.release(other);
        assert!(!claims.take(vbucket, one, true), "it is not ours any more");
        assert!(claims.take(vbucket, one, false), "it was ours again");
    }
}
