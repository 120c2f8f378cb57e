//! One stream: its parts in turn, numbers and acknowledgements, pauses.
//!
//! No lock, clock or I/O of its own; the time is given.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::answer::{Acked, Answer, is_after};
use super::draft::{Again, Draft, Next};
use super::pace::Pace;
use super::part::{Part, Stage};
use super::wakes::Ticket;
use super::watches::Watches;
use super::weighed::{Weighed, Weight};
use super::{Event, FLAG_ACK, Message, Report, Request, Specific, code};
use crate::item::Item;
use crate::types::{Seqno, VbucketId, VbucketState};
use crate::vbucket::{Vbucket, VbucketMap};

/// What a stream wants besides sending.
#[derive(Debug)]
pub(super) enum Step {
    /// For the host.
    Message(Message),
    /// A vbucket is to be given up: takeover.
    HandOver(VbucketId),
    /// A vbucket was taken over by the client.
    HandedOver(VbucketId),
    /// A part has to be filled from the state of the vbucket.
    Backfill(usize),
}

/// A message that the client has not acknowledged.
#[derive(Debug)]
struct Sent {
    seqno: u32,
    part: usize,
    again: Again,
    upto: Option<Seqno>,
}

impl Weight for Sent {
    fn bytes(&self) -> usize {
        let item = match &self.again {
            Again::Change(change) => change.item.as_ref(),
            Again::Item(item) => Some(item),
            _ => None,
        };
        item.map_or(0, Item::memory_bytes)
    }
}

/// A message about no vbucket in particular.
#[derive(Debug)]
struct Hello {
    code: u32,
    vbucket: u16,
}

/// Longest pause after a temporary failure at the end of a takeover.
const HURRIED: Duration = Duration::from_millis(500);
/// Where there is no part.
const NO_PART: usize = usize::MAX;

/// A stream.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the wire or in statistics"
)]
#[derive(Debug)]
pub(super) struct Producer {
    pub(super) name: Arc<[u8]>,
    pub(super) request: Request,
    pub(super) parts: Vec<Part>,
    watches: Watches,
    turn: usize,
    hellos: VecDeque<Hello>,
    seqno: u32,
    acked: u32,
    unacked: Weighed<Sent>,
    since_request: u32,
    /// When the client last acknowledged, or had nothing to acknowledge.
    heard: Duration,
    suspended: Option<Duration>,
    last_noop: Duration,
    noop_due: bool,
    pub(super) paused: bool,
    pub(super) ticket: Ticket,
    pub(super) closing: bool,
    told_open: bool,
    created: Duration,
    sent: u64,
    backoffs: u64,
    nacks: u64,
    resent: u64,
    noops: u64,
    /// Values that its backfills read from the store.
    pub(super) read: u64,
    /// Times that a client came again under its name.
    pub(super) reconnects: u64,
    pace: Pace,
}

impl Producer {
    pub(super) fn new(name: Arc<[u8]>, request: Request, pace: Pace, now: Duration) -> Self {
        let mut hellos = VecDeque::new();
        let hello = |code| Hello { code, vbucket: 0 };
        hellos.extend(request.acks.then(|| hello(code::ENABLE_NACK)));
        hellos.extend(request.checkpoints.then(|| hello(code::ENABLE_CHECKPOINTS)));
        Self {
            name,
            request,
            parts: Vec::new(),
            watches: Watches::default(),
            turn: 0,
            hellos,
            seqno: pace.first_seqno.wrapping_sub(1),
            acked: 0,
            unacked: Weighed::default(),
            since_request: 0,
            heard: now,
            suspended: None,
            last_noop: now,
            noop_due: false,
            paused: false,
            ticket: Ticket::default(),
            closing: false,
            told_open: false,
            created: now,
            sent: 0,
            backoffs: 0,
            nacks: 0,
            resent: 0,
            noops: 0,
            read: 0,
            reconnects: 0,
            pace,
        }
    }

    /// Adds a part.
    pub(super) fn add(&mut self, part: Part) {
        self.parts.push(part);
        self.watches.add();
    }

    /// Has a part looked at: something has happened to it besides what its log says.
    pub(super) fn stir(&mut self, index: usize) {
        self.watches.stir(index);
    }

    /// Whether a part is to be looked at.
    fn is_due(&self, index: usize, vbuckets: &VbucketMap, now: Duration) -> bool {
        let version = self.parts.get(index).map(|part| version_of(part, vbuckets));
        version.is_some_and(|version| self.watches.is_due(index, version, now))
    }

    /// The next number; a message about no change takes two, as in ep-engine.
    fn number(&mut self, by: u32) -> u32 {
        if !self.request.acks {
            return self.seqno;
        }
        for _ in 0..by {
            self.seqno = self.seqno.wrapping_add(1).max(1);
        }
        self.seqno
    }

    fn is_window_full(&self) -> bool {
        self.unacked.len() >= self.pace.window || self.unacked.bytes() >= self.pace.bytes
    }

    /// What comes next.
    pub(super) fn next(&mut self, vbuckets: &VbucketMap, now: Duration) -> Step {
        self.paused = false;
        self.look_at_clock(now);
        if self.closing {
            return Step::Message(Message::bare(Event::Disconnect));
        }
        if std::mem::take(&mut self.noop_due) {
            self.noops += 1;
            return Step::Message(Message::bare(Event::Noop));
        }
        if self.suspended.is_some_and(|until| now < until) {
            return self.pause();
        }
        self.suspended = None;
        if self.unacked.is_empty() {
            self.heard = now;
        }
        if let Some(hello) = self.hellos.pop_front() {
            return Step::Message(self.hello(&hello));
        }
        if self.request.acks && self.is_window_full() {
            return self.pause();
        }
        self.watches.end_rests(now);
        for _ in 0..self.parts.len() {
            let index = self.turn % self.parts.len().max(1);
            if self.is_due(index, vbuckets, now) {
                let seen = self.parts.get(index).map(|part| version_of(part, vbuckets));
                if let Some(step) = self.step_of(index, vbuckets) {
                    return step;
                }
                self.watches.has_nothing(index, seen.unwrap_or_default());
            }
            self.turn = index + 1;
        }
        self.at_rest()
    }

    fn step_of(&mut self, index: usize, vbuckets: &VbucketMap) -> Option<Step> {
        let part = self.parts.get_mut(index)?;
        let Some(vbucket) = vbuckets.get(part.id) else {
            // One that follows may meet it again.
            if self.request.dump || self.request.takeover {
                part.stage = Stage::Ended;
            }
            return None;
        };
        if self.request.hands_over() && part.may_hand_over(vbucket, &self.name) {
            part.stage = Stage::Dying;
            return Some(Step::HandOver(part.id));
        }
        match part.next(vbucket, &self.name, &self.request) {
            Next::Send(draft) => Some(Step::Message(self.number_and_note(index, *draft))),
            Next::Unacked => None,
            Next::Lost => Some(Step::Backfill(index)),
            Next::Nothing => self.after_all(index, vbuckets),
        }
    }

    /// A part has nothing more to send: takeover goes on.
    fn after_all(&mut self, index: usize, vbuckets: &VbucketMap) -> Option<Step> {
        let takeover = self.request.hands_over();
        let part = self.parts.get_mut(index).filter(|_| takeover)?;
        let vbucket = vbuckets.get(part.id)?;
        // While COMPLETE runs, the stream has not come to what lies behind it.
        if !part.is_drained() || vbucket.is_completing() {
            return None;
        }
        match part.stage {
            Stage::Drain => {
                if vbucket.give() {
                    part.stage = Stage::Given;
                    part.set_state(VbucketState::Active);
                } else {
                    // Its operator has taken it back.
                    part.end();
                }
                self.step_of(index, vbuckets)
            }
            Stage::Given => {
                part.stage = Stage::Ended;
                Some(Step::HandedOver(part.id))
            }
            Stage::Wait | Stage::Fill | Stage::Rest | Stage::Log | Stage::Dying | Stage::Ended => {
                None
            }
        }
    }

    /// The store knows that a vbucket is dead here: its client may have it.
    pub(super) fn noted_dead(&mut self, vbucket: VbucketId) {
        for (index, part) in self.parts.iter_mut().enumerate() {
            if part.id == vbucket && part.stage == Stage::Dying {
                part.stage = Stage::Drain;
                self.watches.stir(index);
            }
        }
    }

    /// Nothing more is to be said of a vbucket.
    pub(super) fn leave(&mut self, vbucket: VbucketId) {
        for (index, part) in self.parts.iter_mut().enumerate() {
            if part.id == vbucket {
                part.end();
                self.watches.stir(index);
            }
        }
    }

    /// Nothing can be sent now.
    fn at_rest(&mut self) -> Step {
        let ended = || self.parts.iter().all(Part::is_over);
        let ends = self.request.dump || self.request.hands_over();
        if ends && self.unacked.is_empty() && ended() {
            self.closing = true;
            return Step::Message(Message::bare(Event::Disconnect));
        }
        let drained = || self.parts.iter().all(Part::is_drained);
        if self.request.closed_only && !self.told_open && drained() {
            self.told_open = true;
            return Step::Message(self.hello(&Hello {
                code: code::OPEN_CHECKPOINT,
                vbucket: 0xffff,
            }));
        }
        self.pause()
    }

    fn pause(&mut self) -> Step {
        self.paused = true;
        Step::Message(Message::bare(Event::Pause))
    }

    fn hello(&mut self, hello: &Hello) -> Message {
        let seqno = self.number(2);
        let flags = self.note(NO_PART, Again::Nothing, None, true);
        Message {
            specific: Specific::of(&[&hello.code.to_be_bytes()]),
            flags,
            seqno,
            vbucket: hello.vbucket,
            ..Message::bare(Event::Opaque)
        }
    }

    fn number_and_note(&mut self, index: usize, draft: Draft) -> Message {
        let by = match draft.event {
            Event::Opaque | Event::VbucketSet | Event::Flush => 2,
            _ => 1,
        };
        if matches!(draft.event, Event::Mutation | Event::Deletion) {
            self.sent += 1;
            self.told_open = false;
        }
        let seqno = self.number(by);
        let vbucket = self.parts.get(index).map_or(0, |part| part.id.get());
        let ack = self.note(index, draft.again, draft.upto, draft.ack);
        Message {
            event: draft.event,
            item: draft.item,
            specific: draft.specific,
            flags: draft.flags | ack,
            seqno,
            vbucket,
        }
    }

    /// Notes what was sent; returns the flag that asks for an answer.
    fn note(&mut self, part: usize, again: Again, upto: Option<Seqno>, wanted: bool) -> u16 {
        if !self.request.acks {
            return 0;
        }
        let seqno = self.seqno;
        if let Some(part) = self.parts.get_mut(part) {
            part.in_flight += 1;
        }
        self.unacked.push_back(Sent {
            seqno,
            part,
            again,
            upto,
        });
        self.since_request += 1;
        if wanted || self.since_request >= self.pace.interval || self.is_window_full() {
            self.since_request = 0;
            FLAG_ACK
        } else {
            0
        }
    }

    /// The client has everything up to a number.
    fn acknowledge(&mut self, seqno: u32, vbuckets: &VbucketMap, now: Duration) {
        self.heard = now;
        self.acked = seqno;
        let mut moved = Vec::new();
        while let Some(sent) = self
            .unacked
            .pop_front_if(|sent| !is_after(sent.seqno, seqno))
        {
            let Some(part) = self.parts.get_mut(sent.part) else {
                continue;
            };
            part.in_flight -= 1;
            let known = part.acked.is_some();
            part.acked = sent.upto.or(part.acked);
            if part.acked.is_some() && !known {
                moved.push(sent.part);
            }
            self.stir(sent.part);
        }
        for index in moved {
            let part = self.parts.get_mut(index);
            if let Some((part, vbucket)) = part.and_then(|part| {
                let vbucket = vbuckets.get(part.id)?;
                Some((part, vbucket))
            }) && let Some(upto) = part.acked.take()
            {
                part.move_cursor(vbucket, &self.name, upto);
            }
        }
    }

    /// The client answered a message.
    pub(super) fn answered(
        &mut self,
        seqno: u32,
        answer: Answer,
        vbuckets: &VbucketMap,
        now: Duration,
    ) -> Acked {
        // The cursors of a stream that ends may be another connection's by now; and what was not
        // sent is not there.
        if self.closing || is_after(seqno, self.seqno) {
            return Acked::GoesOn;
        }
        match answer {
            Answer::Taken => {
                self.acknowledge(seqno, vbuckets, now);
                Acked::GoesOn
            }
            Answer::NotNow => {
                self.nacks += 1;
                self.backoffs += 1;
                self.acknowledge(seqno.wrapping_sub(1), vbuckets, now);
                self.send_again(seqno, vbuckets, now);
                Acked::GoesOn
            }
            Answer::Unfit if self.goes_on_without(seqno) => {
                self.nacks += 1;
                self.acknowledge(seqno, vbuckets, now);
                Acked::GoesOn
            }
            Answer::Unfit | Answer::OutOfStep | Answer::Never => {
                self.nacks += 1;
                // The next stream of that name is to begin with the state of that vbucket.
                let refused = self.unacked.iter().find(|sent| sent.seqno == seqno);
                let part = refused.and_then(|sent| self.parts.get_mut(sent.part));
                if let Some(part) = part {
                    part.end();
                    if let Some(vbucket) = vbuckets.get(part.id) {
                        vbucket.refused_by(&self.name, answer == Answer::OutOfStep);
                    }
                }
                self.closing = true;
                Acked::Ends
            }
        }
    }

    /// Whether the client may do without a message: a mark on a vbucket that is active there. (Who
    /// takes a vbucket over has to know its window.)
    fn goes_on_without(&self, seqno: u32) -> bool {
        let mut unacked = self.unacked.iter();
        let sent = unacked.find(|sent| sent.seqno == seqno);
        let is_mark = sent.is_some_and(|sent| matches!(sent.again, Again::Mark(_)));
        is_mark && !self.request.takeover
    }

    /// Has a message, and what followed it of the same vbucket, sent again.
    fn send_again(&mut self, seqno: u32, vbuckets: &VbucketMap, now: Duration) {
        // Nobody serves a vbucket that is being handed over.
        let hurries = self.parts.iter().any(Part::is_handed_over);
        let pause = if hurries { HURRIED } else { Duration::MAX };
        let until = now + self.pace.backoff.min(pause);
        let Some(refused) = self.unacked.iter().find(|sent| sent.seqno == seqno) else {
            self.suspended = Some(until);
            return;
        };
        let index = refused.part;
        // A client that takes no change is short of memory. What is about the whole vbucket waits
        // for something there, and the others go on.
        let change = matches!(refused.again, Again::Change(_) | Again::Item(_));
        if change || index == NO_PART {
            self.suspended = Some(until);
        } else {
            self.watches.rest(index, until);
        }
        self.stir(index);
        let is_back = |sent: &Sent| sent.part == index && !is_after(seqno, sent.seqno);
        let back = self.unacked.extract(is_back);
        self.resent += back.len() as u64;
        if let Some(part) = self.parts.get_mut(index) {
            part.in_flight -= back.len();
            if let Some(vbucket) = vbuckets.get(part.id) {
                let back = back.into_iter().map(|sent| sent.again).collect();
                part.again(back, vbucket);
            }
        }
    }

    /// What was sent of a part is not to be sent again: it begins anew.
    pub(super) fn forget_sent(&mut self, index: usize) {
        self.stir(index);
        self.unacked.extract(|sent| sent.part == index);
    }

    /// Whether the host is to be told that there may be something to send.
    pub(super) fn is_to_be_woken(&mut self, vbuckets: &VbucketMap, now: Duration) -> bool {
        self.look_at_clock(now);
        self.paused && (self.closing || self.noop_due || self.has_news(vbuckets, now))
    }

    /// What time brings: signs of life, a client that no longer answers.
    fn look_at_clock(&mut self, now: Duration) {
        if let Some(period) = self.pace.noop
            && now.saturating_sub(self.last_noop) >= period
        {
            self.last_noop = now;
            self.noop_due = true;
        }
        let silent = now.saturating_sub(self.heard) >= self.pace.grace;
        if self.request.acks && !self.unacked.is_empty() && silent && self.is_window_full() {
            self.closing = true;
        }
    }

    /// Whether it would send something now, or at least look for it.
    fn has_news(&mut self, vbuckets: &VbucketMap, now: Duration) -> bool {
        let suspended = self.suspended.is_some_and(|until| now < until);
        if suspended || self.request.acks && self.is_window_full() {
            return false;
        }
        self.watches.end_rests(now);
        let mut parts = 0..self.parts.len();
        !self.hellos.is_empty() || parts.any(|index| self.is_due(index, vbuckets, now))
    }

    /// When it is to be looked at again at the latest.
    pub(super) fn due(&self) -> Option<Duration> {
        let noop = self.pace.noop.map(|period| self.last_noop + period);
        let grace = (!self.unacked.is_empty()).then(|| self.heard + self.pace.grace);
        [noop, grace, self.suspended, self.watches.first_rest()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Its vbuckets.
    pub(super) fn vbuckets(&self) -> impl Iterator<Item = VbucketId> {
        self.parts.iter().map(|part| part.id)
    }

    /// Items of backfills that are queued.
    pub(super) fn queued(&self) -> usize {
        self.parts.iter().map(|part| part.queue.len()).sum()
    }

    /// Whether what its backfills have queued is about to run out.
    pub(super) fn wants_more(&self) -> bool {
        self.queued() <= self.pace.backlog / 2
    }

    /// Whether its backfills have queued enough.
    pub(super) fn is_stuffed(&self) -> bool {
        let bytes: usize = self.parts.iter().map(|part| part.queue.bytes()).sum();
        self.queued() >= self.pace.backlog || bytes >= self.pace.bytes
    }

    /// Its figures, but for what is in the logs: the backlog is what has been read of them.
    pub(super) fn figures(&self, now: Duration) -> Report {
        let backlog = self.parts.iter().map(Part::backlog).sum();
        let rests = self.watches.first_rest().is_some_and(|until| now < until);
        let suspended = self.suspended.is_some_and(|until| now < until);
        let waiting = || self.parts.iter().map(Part::waiting);
        Report {
            name: Arc::clone(&self.name),
            flags: self.request.words(),
            filter: self.request.vbuckets.clone(),
            created: self.created.as_secs(),
            connected: !self.closing,
            acks: self.request.acks,
            backlog,
            queued: self.queued(),
            sent: self.sent,
            paused: self.paused,
            suspended: suspended || rests,
            filling: self.parts.iter().any(Part::is_filling),
            idle: self.unacked.is_empty(),
            seqno: self.seqno,
            acked: self.acked,
            unacked: self.unacked.len(),
            window_full: self.request.acks && self.is_window_full(),
            backoffs: self.backoffs,
            nacks: self.nacks,
            resent: self.resent,
            noops: self.noops,
            backfill_since: self.request.since.unwrap_or(0),
            takeover: self.request.takeover,
            registered: self.request.registered,
            urgent: self.hellos.len() + waiting().map(|waiting| waiting.controls).sum::<usize>(),
            handing_over: waiting().map(|waiting| waiting.states).sum(),
            has_item: waiting().any(|waiting| waiting.changes > 0),
            bytes: waiting().map(|waiting| waiting.bytes).sum(),
            read: self.read,
            reconnects: self.reconnects,
            expires: (self.heard + self.pace.grace).as_secs(),
        }
    }
}

/// What the vbucket of a part says of itself; 0 if there is none.
fn version_of(part: &Part, vbuckets: &VbucketMap) -> u64 {
    vbuckets.get(part.id).map_or(0, Vbucket::version)
}
