//! What streams have still to be sent: counted for all of them in one walk over the vbuckets, so
//! that a report costs what it shows.

use std::collections::HashMap;

use super::Report;
use crate::types::{Seqno, VBUCKETS_MAX, VbucketId};
use crate::vbucket::VbucketMap;

/// A place of a stream in one vbucket.
struct Place {
    /// Whose.
    report: usize,
    stands: Standing,
}

/// Where a stream stands in one vbucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) vbucket: VbucketId,
    /// Its cursor is there, unless it was dropped.
    pub(super) cursor: Seqno,
    /// It has read up to there.
    pub(super) read_to: Seqno,
}

/// Streams that are to be shown, and where they stand.
pub(super) struct Backlogs {
    reports: Vec<Report>,
    places: Vec<Vec<Place>>,
}

impl Backlogs {
    pub(super) fn new() -> Self {
        Self {
            reports: Vec::new(),
            places: (0..VBUCKETS_MAX).map(|_| Vec::new()).collect(),
        }
    }

    /// Adds a stream.
    pub(super) fn add(&mut self, report: Report, places: impl Iterator<Item = Standing>) {
        let index = self.reports.len();
        self.reports.push(report);
        for stands in places {
            if let Some(places) = self.places.get_mut(stands.vbucket.index()) {
                places.push(Place {
                    report: index,
                    stands,
                });
            }
        }
    }

    /// The reports with their backlogs, by name.
    pub(super) fn count(mut self, vbuckets: &VbucketMap) -> Vec<Report> {
        for vbucket in vbuckets.iter() {
            let places = self.places.get(vbucket.id().index());
            let Some(places) = places.filter(|places| !places.is_empty()) else {
                continue;
            };
            vbucket.with_log(|log| {
                // Most streams stand at the same places. Those of before the slowest cursor have
                // lost their own: they do not go on from there.
                let mut known = HashMap::new();
                let slowest = log.slowest_cursor();
                for Place { report, stands } in places {
                    let stays = slowest.is_some_and(|slowest| stands.cursor >= slowest);
                    if stays && let Some(report) = self.reports.get_mut(*report) {
                        let at = stands.read_to;
                        let ahead = known.entry(at).or_insert_with(|| log.remaining(at));
                        report.backlog += *ahead;
                    }
                }
            });
        }
        for report in &mut self.reports {
            report.idle &= report.backlog == 0;
        }
        self.reports.sort_by(|one, other| one.name.cmp(&other.name));
        self.reports
    }
}
