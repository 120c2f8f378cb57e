//! What must hold after every step.

use super::{KEYS, World};
use crate::checkpoint::tests::{item_of, live_entries, read_all};
use crate::checkpoint::{Kind, Op, Phase, PreImage, Tally};
use crate::types::Seqno;

impl World {
    pub(super) fn check_invariants(&mut self) {
        self.check_order();
        self.check_ids();
        self.check_counts();
        self.check_pre_images();
        self.check_streams();
        let floor = self.log.floor();
        for key in (0..KEYS).filter(|&key| !self.is_unsettled(key)) {
            let slot = self
                .table
                .get(&key)
                .filter(|s| !s.deleted && s.seqno >= floor);
            let version = slot.map(|slot| slot.item.cas());
            assert_eq!(
                version,
                self.state.get(&key).copied().map(u64::from),
                "key {key}"
            );
        }
    }

    fn check_order(&self) {
        let mut before = Seqno::ZERO;
        for checkpoint in self.log.all() {
            let mut keys = Vec::new();
            assert!(checkpoint.first > before);
            for entry in live_entries(checkpoint) {
                assert!(entry.seqno > before && entry.seqno <= self.log.last);
                assert!(checkpoint.last.is_none_or(|last| entry.seqno <= last));
                before = entry.seqno;
                // The table forgets a deletion once it is durable, and what a flush made void, but
                // their entries stay.
                let durable = entry.op == Op::Delete && entry.seqno <= self.log.persisted();
                let forgotten = durable || entry.seqno < self.log.floor();
                keys.extend(entry.key.filter(|_| !forgotten));
            }
            let count = keys.len();
            keys.sort_unstable();
            keys.dedup();
            assert!(
                self.burying.is_some() || keys.len() == count,
                "a key stands twice"
            );
        }
        assert!(
            self.log
                .closed
                .iter()
                .all(|checkpoint| checkpoint.last.is_some())
        );
        assert!(self.log.open.last.is_none());
    }

    fn check_ids(&mut self) {
        let ids: Vec<_> = self.log.all().map(|checkpoint| checkpoint.id).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
        assert!(self.log.persisted_id() < self.log.open_id());
        let reopened = self.log.window_id() == Some(self.log.open_id());
        if self.log.open_id() > self.id_max {
            self.id_max = self.log.open_id();
        } else {
            let same = self.log.open_id() == self.id_max;
            assert!(same || reopened, "an id is given again");
        }
    }

    fn check_counts(&self) {
        let log = &self.log;
        let ahead = log
            .all()
            .filter(|checkpoint| checkpoint.kind != Kind::Reverted);
        let ahead = ahead.flat_map(live_entries).filter(|entry| {
            entry.seqno > log.persisted() && (entry.key.is_some() || entry.op == Op::Flush)
        });
        assert_eq!(log.unpersisted(), ahead.count());
        if !matches!(self.phase(), Some(Phase::Open | Phase::Completing { .. })) {
            assert_eq!(log.unpersisted(), read_all(log, log.persisted()).0.len());
        }
        let live: usize = log
            .all()
            .map(|checkpoint| live_entries(checkpoint).len())
            .sum();
        assert_eq!(log.entries(), live);
        for checkpoint in log.all() {
            let entries = live_entries(checkpoint);
            let held = checkpoint.entries.held();
            assert!(
                held <= 2 * entries.len() + 1,
                "{held} for {}",
                entries.len()
            );
            assert_eq!(
                checkpoint.bytes,
                entries.iter().map(|entry| entry.bytes).sum::<usize>()
            );
            let mutations = entries.iter().filter(|entry| entry.key.is_some()).count();
            assert_eq!(checkpoint.mutations, mutations);
        }
    }

    fn check_pre_images(&self) {
        let Some(held) = self.held.as_ref() else {
            return;
        };
        if matches!(self.phase(), Some(Phase::Reverting { .. })) {
            return;
        }
        let barrier = self.barrier();
        for checkpoint in self
            .log
            .all()
            .filter(|checkpoint| checkpoint.first > barrier)
        {
            checkpoint.entries.visit_after(Seqno::ZERO, &mut |entry| {
                let Some(item) = &entry.item else { return true };
                let key = item.key()[0];
                match entry.pre_image() {
                    None => panic!("key {key} has no pre-image"),
                    Some(PreImage::Absent) => assert_eq!(held.at_start.get(&key), None),
                    Some(PreImage::Present { item: old, seqno }) => {
                        let version = held.at_start[&key];
                        assert_eq!((old.cas(), *seqno), (version.into(), held.seqnos[&key]));
                        let on_disk = *seqno <= self.log.persisted();
                        assert!(old.is_resident() || on_disk, "the only copy is gone");
                        let is_latest = self.table[&key].seqno == entry.seqno();
                        assert!(
                            !(is_latest && on_disk && old.is_resident()),
                            "kept for nothing"
                        );
                        if old.is_resident() {
                            assert_eq!(old.value(), item_of(key, version).value());
                        }
                    }
                }
                true
            });
        }
        let report = self.log.window_report().unwrap();
        let window = self
            .log
            .all()
            .find(|checkpoint| checkpoint.first > barrier)
            .unwrap();
        assert_eq!(
            (report.touched, report.bytes),
            (window.mutations, window.bytes)
        );
        if self.burying.is_none() {
            self.check_touches();
        }
    }

    /// What the window did to every key, once no key stands in it twice.
    fn check_touches(&self) {
        let held = self.held.as_ref().unwrap();
        let after = match self.phase() {
            Some(Phase::Open) => &self.state,
            _ => &held.accepted,
        };
        let mut touched = Vec::new();
        let mut at = Some(Seqno::ZERO);
        while let Some(from) = at {
            at = self.log.read_touched(from, 2, &mut touched);
        }
        let report = self.log.window_report().unwrap();
        let mut keys = Tally::default();
        for entry in &touched {
            let key = entry.item.key()[0];
            let (old, new) = (held.at_start.get(&key), after.get(&key));
            match (old, new) {
                (None, Some(_)) => keys.added += 1,
                (Some(_), Some(_)) => keys.updated += 1,
                (Some(_), None) => keys.deleted += 1,
                (None, None) => keys.vanished += 1,
            }
            let length = |version: Option<&u32>| Some(item_of(key, *version?).nbytes());
            assert_eq!((entry.old, entry.length()), (length(old), length(new)));
        }
        assert_eq!((report.keys, touched.len()), (keys, report.touched));
        if self.phase() == Some(Phase::Open) {
            let seqnos = &held.seqnos;
            let unsaved = touched.iter().filter(|entry| {
                let seqno = seqnos.get(&entry.item.key()[0]);
                entry.old.is_some() && seqno.is_some_and(|at| *at > self.log.persisted())
            });
            assert_eq!(report.unsaved, unsaved.count());
        }
    }
}
