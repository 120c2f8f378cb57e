//! A connection that sends TAP_CONNECT again, by the name that its stream has: the stream is of the
//! vbuckets of the new request from then on. What it goes on with is not disturbed.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Request;
use super::begin::Refused;
use super::part::{Part, Stage};
use super::producer::Producer;
use super::streams::{Live, Streams};
use crate::types::{Seqno, VbucketId};

impl Streams {
    /// Changes the filter of a stream.
    ///
    /// # Errors
    /// `HasOne` when the connection's stream is none whose filter can change.
    pub(super) fn change_filter(
        &self,
        live: &Arc<Live>,
        name: &[u8],
        request: &Request,
    ) -> Result<(), Refused> {
        let beginning = self.beginning.lock();
        let mut producer = live.producer.lock();
        let same = *producer.name == *name || name.is_empty() && is_anonymous(&producer);
        let ends = |request: &Request| request.dump || request.takeover;
        let gone = producer.closing || live.replaced.load(Ordering::Acquire);
        if !same || gone || ends(request) || ends(&producer.request) {
            return Err(Refused::HasOne);
        }
        producer.request.take_filter(request);
        let wanted = self.wanted(&producer.request);
        let ids: HashSet<VbucketId> = wanted.iter().map(|vbucket| vbucket.id()).collect();
        let mut has = HashSet::new();
        for index in 0..producer.parts.len() {
            let part = producer.parts.get(index);
            let Some(id) = part.filter(|it| it.stage != Stage::Ended).map(|it| it.id) else {
                continue;
            };
            if ids.contains(&id) {
                has.insert(id);
                continue;
            }
            let mut ended = Part::new(id, Seqno::ZERO);
            ended.end();
            put(&mut producer, index, ended);
            self.drop_cursors(&producer.name, std::iter::once(id));
        }
        let mut fills = Vec::new();
        for vbucket in wanted
            .into_iter()
            .filter(|vbucket| !has.contains(&vbucket.id()))
        {
            let begun = self.make_part(&producer.name, &producer.request, vbucket);
            let Some((part, is_filled)) = begun else {
                continue;
            };
            let before = producer.parts.iter().position(|it| it.id == part.id);
            let index = before.unwrap_or(producer.parts.len());
            match before {
                Some(index) => put(&mut producer, index, part),
                None => producer.add(part),
            }
            fills.extend(is_filled.then_some(index));
        }
        drop(producer);
        drop(beginning);
        for index in fills {
            self.fillers.add(live, index);
        }
        self.signal.wake();
        Ok(())
    }
}

/// Puts a part in the place of one, of which nothing is sent or acknowledged any more.
fn put(producer: &mut Producer, index: usize, mut part: Part) {
    producer.forget_sent(index);
    if let Some(place) = producer.parts.get_mut(index) {
        // A backfill of before is void.
        part.round += place.round;
        *place = part;
    }
}

fn is_anonymous(producer: &Producer) -> bool {
    producer.name.starts_with(b"anon_")
}
