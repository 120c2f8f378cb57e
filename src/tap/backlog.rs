//! What streams have still to be sent: counted for all of them in one walk over the vbuckets, so
//! that a report costs what it shows.

use std::collections::HashMap;
use std::sync::Arc;

use super::Report;
use crate::types::{Seqno, VBUCKETS_MAX, VbucketId};
use crate::vbucket::VbucketMap;

/// A place of a stream in one vbucket.
struct Place {
    /// Whose.
    report: usize,
    /// It has read up to there, or to its cursor if that is further.
    read_to: Seqno,
}

/// Streams that are to be shown, and where they stand.
pub(super) struct Backlogs {
    names: Vec<Arc<[u8]>>,
    reports: Vec<Report>,
    places: Vec<Vec<Place>>,
}

impl Backlogs {
    pub(super) fn new() -> Self {
        Self {
            names: Vec::new(),
            reports: Vec::new(),
            places: (0..VBUCKETS_MAX).map(|_| Vec::new()).collect(),
        }
    }

    /// Adds a stream.
    pub(super) fn add(
        &mut self,
        name: Arc<[u8]>,
        report: Report,
        places: impl Iterator<Item = (VbucketId, Seqno)>,
    ) {
        let report_index = self.reports.len();
        self.names.push(name);
        self.reports.push(report);
        for (vbucket, read_to) in places {
            if let Some(places) = self.places.get_mut(vbucket.index()) {
                places.push(Place {
                    report: report_index,
                    read_to,
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
                // Most streams stand at the same places.
                let mut known = HashMap::new();
                for place in places {
                    let name = self.names.get(place.report);
                    let cursor = name.and_then(|name| log.cursor(name));
                    let Some((cursor, report)) = cursor.zip(self.reports.get_mut(place.report))
                    else {
                        continue;
                    };
                    let at = cursor.max(place.read_to);
                    let ahead = known.entry(at).or_insert_with(|| log.remaining(at));
                    report.backlog += *ahead;
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
