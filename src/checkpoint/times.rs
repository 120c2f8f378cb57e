//! When entries of a log were written, to within some seconds.
//!
//! An operation does not read the clock. The flusher, which every change wakes, notes where the log
//! ends: what lies between two notes was written between them. Notes that are close together are
//! one, and the older they are the wider that is taken: the distant past is known less well.

use std::collections::VecDeque;

use crate::types::{Seqno, UnixTime};

/// Seconds that one note stands for.
const RESOLUTION: UnixTime = 4;
/// Notes that are kept.
const NOTES_MAX: usize = 64;

/// The notes, oldest first: the log ended there at that time.
#[derive(Debug, Default)]
pub(super) struct Times(VecDeque<(Seqno, UnixTime)>);

impl Times {
    /// The log ends there now.
    pub(super) fn note(&mut self, end: Seqno, now: UnixTime) {
        match self.0.back_mut() {
            Some((last, _)) if *last >= end => return,
            // Also when the clock was set back.
            Some((last, at)) if now < at.saturating_add(RESOLUTION) => {
                *last = end;
                return;
            }
            _ => {}
        }
        if self.0.len() >= NOTES_MAX {
            self.thin(now);
        }
        self.0.push_back((end, now));
    }

    /// Drops the note without which the least is lost, as measured by its age.
    fn thin(&mut self, now: UnixTime) {
        let at = |index: usize| self.0.get(index).map_or(0, |note| note.1);
        let lost = |index: &usize| {
            let before = index.checked_sub(1).map_or(0, at);
            let gap = u64::from(at(index + 1).saturating_sub(before));
            (gap << 16) / (u64::from(now.saturating_sub(at(*index))) + 1)
        };
        // Not the latest one.
        let least = (0..self.0.len().saturating_sub(1)).min_by_key(lost);
        if let Some(index) = least {
            self.0.remove(index);
        }
    }

    /// When an entry was written; none if that lies behind the last note.
    pub(super) fn of(&self, seqno: Seqno) -> Option<UnixTime> {
        let index = self.0.partition_point(|(end, _)| *end < seqno);
        self.0.get(index).map(|(_, at)| *at)
    }

    /// The notes behind a place.
    pub(super) fn behind(&self, seqno: Seqno) -> impl Iterator<Item = (Seqno, UnixTime)> {
        let index = self.0.partition_point(|(end, _)| *end <= seqno);
        self.0.range(index..).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_two_notes_was_written_then() {
        let mut times = Times::default();
        assert_eq!(times.of(Seqno::new(1)), None);
        times.note(Seqno::new(10), 1000);
        times.note(Seqno::new(12), 1003);
        times.note(Seqno::new(12), 2000);
        times.note(Seqno::new(20), 2000);
        let of = |seqno| times.of(Seqno::new(seqno));
        assert_eq!(
            [of(1), of(12), of(13), of(20)],
            [Some(1000), Some(1000), Some(2000), Some(2000)]
        );
        assert_eq!(of(21), None);
        let behind: Vec<_> = times.behind(Seqno::new(12)).collect();
        assert_eq!(behind, [(Seqno::new(20), 2000)]);
    }

    #[test]
    fn so_many_are_kept_and_the_newest_are_known_best() {
        let mut times = Times::default();
        let notes = 150_000_u32;
        for note in 0..notes {
            times.note(Seqno::new(u64::from(note) + 1), note * RESOLUTION);
            assert!(times.0.len() <= NOTES_MAX);
        }
        let error = |seqno: u64| {
            let at = times.of(Seqno::new(seqno)).unwrap();
            u64::from(at / RESOLUTION) + 1 - seqno
        };
        let last = u64::from(notes);
        assert_eq!(error(last), 0);
        for age in [10, 100, 10_000, last / 2] {
            let error = error(last - age);
            assert!(error <= age / 3 + 1, "{age}: {error}");
        }
    }
}
