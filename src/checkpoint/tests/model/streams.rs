//! Streams to replicas: what each read, applied in order as a replica does, is what the vbucket
//! was.

use super::{State, World, apply};
use crate::checkpoint::tests::live_entries;
use crate::checkpoint::{Begin, Change, Checkpoint, Kind, Op, Phase, View};
use crate::types::{CheckpointId, Seqno};

/// A stream and its replica.
#[derive(Debug)]
pub(super) struct Stream {
    /// What it was given up to now.
    at: Seqno,
    /// The furthest that it ever got: it may be given something twice.
    reached: Seqno,
    /// What its replica has acknowledged: its cursor.
    acknowledged: Seqno,
    state: State,
    /// The replica's window, and what it held when that began.
    window: Option<(CheckpointId, State)>,
}

impl Stream {
    fn new(at: Seqno, state: &State) -> Self {
        Self {
            at,
            reached: at,
            acknowledged: at,
            state: state.clone(),
            window: None,
        }
    }

    fn begin_window(&mut self, id: CheckpointId) {
        let open = self.window.as_ref().map(|(open, _)| *open);
        if open < Some(id) {
            assert!(open.is_none(), "a window began in a window");
            self.window = Some((id, self.state.clone()));
        }
    }

    /// Does what a replica does.
    fn apply(&mut self, change: &Change) {
        let id = change.checkpoint;
        let open = self.window.as_ref().map(|(open, _)| *open);
        let mine = open == Some(id);
        match change.op {
            Op::Set | Op::Delete | Op::Flush => {
                apply(std::slice::from_ref(change), &mut self.state);
            }
            Op::UpdateStart => self.begin_window(id),
            Op::UpdateRevert if mine => self.state = self.window.take().unwrap().1,
            Op::UpdateEnd if mine => self.window = None,
            _ => {}
        }
    }
}

impl World {
    pub(super) fn register(&mut self, name: u8, from: Begin) {
        let cursor = self.log.cursor(&[name]);
        let ids: Vec<_> = self.log.all().map(|checkpoint| checkpoint.id).collect();
        let begun = self.log.register(&[name][..], from);
        let free = self.log.free();
        assert_eq!(self.log.cursor(&[name]), Some(begun.at));
        let barrier = self
            .undecided()
            .map_or(self.log.open.first, |(low, _)| low.next());
        match from {
            Begin::Resume => assert_eq!(begun.found, cursor.is_some()),
            Begin::Oldest => assert_eq!((begun.found, begun.checkpoint), (true, ids[0])),
            Begin::Open => assert!(begun.found && begun.at.next() == barrier),
            Begin::Checkpoint(id) | Begin::IfBelieved(id) if begun.found => {
                assert_eq!(begun.checkpoint, id);
            }
            Begin::IfBelieved(_) => {}
            Begin::First => assert!(!begun.found || begun.checkpoint == CheckpointId::new(1)),
            Begin::Checkpoint(id) => {
                let joinable = self.log.all().filter(|c| c.first <= barrier);
                assert!(joinable.map(|c| c.id).all(|known| known != id));
            }
        }
        if !begun.found {
            assert_eq!(begun.at.next(), barrier);
        }
        if begun.found && cursor == Some(begun.at) {
            // The replica has all up to there, perhaps more, and goes on.
            let stream = self.streams.get_mut(&name).unwrap();
            stream.at = begun.at;
            // As a part of a stream says again.
            if let Some(window) = self.log.window_begun_before(begun.at) {
                stream.begin_window(window);
            }
        } else {
            let state = self.state_at(begun.at);
            let stream = Stream::new(begun.at, state);
            self.streams.insert(name, stream);
        }
        self.check_freed(&free);
    }

    /// The window that is open or completing: its barrier, and its end if there is one.
    fn undecided(&self) -> Option<(Seqno, Option<Seqno>)> {
        let window = self.log.window()?;
        match window.phase {
            Phase::Open => Some((window.barrier, None)),
            Phase::Completing { end } => Some((window.barrier, Some(end))),
            Phase::Reverting { .. } => None,
        }
    }

    pub(super) fn stream(&mut self, name: u8, limit: usize) {
        let Some(mut stream) = self.streams.remove(&name) else {
            assert_eq!(self.log.cursor(&[name]), None);
            return;
        };
        let mut changes = Vec::new();
        let end = self.log.read(View::Stream, stream.at, limit, &mut changes);
        assert!(changes.len() <= limit && end.upto >= stream.at);
        for change in &changes {
            assert!(change.seqno > stream.at && change.seqno <= end.upto);
            stream.at = change.seqno;
            stream.apply(change);
        }
        stream.at = end.upto;
        stream.reached = stream.reached.max(stream.at);
        if let Some((_, Some(window_end))) = self.undecided() {
            assert!(
                end.upto.next() < window_end,
                "the end of a window left before its commit"
            );
        }
        let moved = end.exhausted || !changes.is_empty() || end.upto > stream.acknowledged;
        assert!(moved, "a read that leads nowhere");
        if end.consistent && stream.at == stream.reached {
            assert_eq!(
                &stream.state,
                self.state_at(end.upto),
                "not what the vbucket was"
            );
        }
        if end.exhausted {
            let mut more = Vec::new();
            self.log.read(View::Stream, end.upto, usize::MAX, &mut more);
            assert!(more.is_empty());
        }
        self.streams.insert(name, stream);
    }

    pub(super) fn acknowledge(&mut self, name: u8) {
        let at = self.streams.get(&name).map(|stream| stream.at);
        let free = self.log.move_cursor(&[name], at.unwrap_or(self.log.last));
        if let Some(stream) = self.streams.get_mut(&name) {
            stream.acknowledged = stream.at;
        }
        self.check_freed(&free);
    }

    pub(super) fn drop_stream(&mut self, name: u8) {
        self.streams.remove(&name);
        let free = self.log.drop_cursor(&[name]);
        self.check_freed(&free);
    }

    pub(super) fn drop_slowest(&mut self) {
        let slowest = self
            .streams
            .values()
            .map(|stream| stream.acknowledged)
            .min();
        let dropped = self.log.drop_slowest();
        assert_eq!(dropped.is_some(), slowest.is_some());
        if let Some((name, free)) = dropped {
            let stream = self.streams.remove(&name[0]).unwrap();
            assert_eq!(Some(stream.acknowledged), slowest);
            self.check_freed(&free);
        }
    }

    /// What a window that was opened in vain becomes.
    pub(super) fn dissolve(&mut self) {
        if self.burying.is_none() {
            let open = self.phase() == Some(Phase::Open);
            self.log.dissolve_window(self.now);
            if open {
                assert!(self.log.window().is_none());
                self.held = None;
            }
        }
    }

    /// Memory is short.
    pub(super) fn squeeze(&mut self) {
        let normal = self.log.open.kind == Kind::Normal;
        let entries = live_entries(&self.log.open);
        let needed = self.needed();
        let passed = entries.iter().any(|e| e.key.is_some() && e.seqno <= needed);
        let id = self.log.open_id();
        assert_eq!(self.log.close_for_memory(self.now), normal && passed);
        assert_eq!(self.log.open_id() == id, !(normal && passed));
    }

    /// Somebody needs all that is behind this position.
    fn needed(&self) -> Seqno {
        let streams = self.streams.values().map(|stream| stream.acknowledged);
        let barrier = self.log.window().map(|window| window.barrier);
        let all = streams.chain(barrier).chain([self.log.persisted()]);
        all.min().unwrap()
    }

    /// Nothing was freed that is needed, and nothing was kept that is not.
    pub(super) fn check_freed(&self, free: &[Checkpoint]) {
        let needed = self.needed();
        let ends: Vec<_> = free.iter().map(|checkpoint| checkpoint.last).collect();
        assert!(
            ends.iter()
                .all(|last| last.is_some_and(|last| last <= needed))
        );
        let kept = self
            .log
            .closed
            .front()
            .and_then(|checkpoint| checkpoint.last);
        assert!(kept.is_none_or(|last| last > needed));
    }

    pub(super) fn check_streams(&self) {
        assert_eq!(self.log.cursors(), self.streams.len());
        for (name, stream) in &self.streams {
            assert_eq!(self.log.cursor(&[*name]), Some(stream.acknowledged));
            let mut ahead = 0;
            for checkpoint in self.log.all() {
                let entries = live_entries(checkpoint).into_iter();
                ahead += entries
                    .filter(|e| e.seqno > stream.at && e.op.is_change())
                    .count();
            }
            assert_eq!(self.log.remaining(stream.at), ahead);
        }
        let settled = self.log.persisted();
        let settled = self
            .log
            .window()
            .map_or(settled, |w| settled.min(w.barrier));
        let held = self
            .log
            .closed
            .iter()
            .filter(|c| c.last.unwrap() <= settled);
        assert_eq!(self.log.held_back(), held.map(|c| c.bytes).sum::<usize>());
    }
}
