//! One vbucket of a stream: which message comes next.
//!
//! No lock or I/O of its own, and of clocks the vbucket's only; the stream that it belongs to is
//! locked.

use std::collections::VecDeque;
use std::sync::Arc;

use super::backlog::Standing;
use super::control::{Control, checkpoint, controls, mark, opaque};
use super::draft::{Again, Draft, Next, version};
use super::laps::Laps;
use super::told::Told;
use super::weighed::Weighed;
use super::{
    Event, Request, Specific,
    code::{BACKFILL_BEGINS, DUMP_ENDS, UPDATE_START},
};
use crate::checkpoint::{Begin, Begun, Change, Log, Op, Phase};
use crate::item::Item;
use crate::types::{CheckpointId, Seqno, VbucketId, VbucketState};
use crate::vbucket::Vbucket;

mod state;

/// Entries of the log that are read in one go.
const READ_ENTRIES: usize = 256;

/// Where a part stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waits until the vbucket has been given its own state; a backfill follows.
    Wait,
    /// Is given the state before the log's place.
    Fill,
    /// Is given what the log has up to the end of a window, which belongs to the state.
    Rest,
    /// Follows the log.
    Log,
    /// The same, and the vbucket is dead here by now, though perhaps not in the store: takeover.
    Dying,
    /// The same, and a restart would find it dead.
    Drain,
    /// The client is told that the vbucket is its own: takeover.
    Given,
    /// Nothing more will come.
    Ended,
}

/// What waits to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// Messages about no change.
    pub(super) controls: usize,
    /// Messages that make the vbucket the client's.
    pub(super) states: usize,
    /// Changes that were read.
    pub(super) changes: usize,
    /// Bytes of those and of the backfill's items.
    pub(super) bytes: usize,
}

/// Where the backfill of a dump stands that nothing of the log follows on.
pub(super) const WHOLE: Seqno = Seqno::new(u64::MAX);

/// One vbucket of a stream.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is about another matter, and they change independently"
)]
#[derive(Debug)]
pub(super) struct Part {
    pub(super) id: VbucketId,
    pub(super) stage: Stage,
    /// The backfill gives the state at this place, where the stream's cursor was when it began; at
    /// its end, where the client follows the log from.
    pub(super) begun: Seqno,
    /// What was read reaches to here.
    read_to: Seqno,
    /// Where the cursor was moved to.
    moved: Seqno,
    changes: VecDeque<Change>,
    /// Of the backfill.
    pub(super) queue: Weighed<Item>,
    /// The backfill has queued all of it.
    pub(super) filled: bool,
    /// It came upon a value that is in the store no more: a later entry of the log has the key.
    pub(super) misses: bool,
    /// The client has a state to go on from by the cursor.
    whole: bool,
    /// Of what stands in the log up to there the client may have nothing: it began behind it.
    pub(super) lacks: Seqno,
    /// Which backfill: those of before are void.
    pub(super) round: u64,
    controls: VecDeque<Control>,
    /// The announcement that was sent last, until its mark is.
    announced: Option<Box<Control>>,
    sealed: bool,
    told: Told,
    /// The change that the client refused last.
    refused: Option<Seqno>,
    /// It was refused again: the client is short of memory, and is spared from then on what a
    /// REVERT has made void.
    spares: bool,
    laps: Laps,
    /// Messages that are not acknowledged.
    pub(super) in_flight: usize,
    /// What has just been acknowledged, until the cursor is moved there.
    pub(super) acked: Option<Seqno>,
}

impl Part {
    /// Of a vbucket whose log the stream reads from there.
    pub(super) fn new(id: VbucketId, at: Seqno) -> Self {
        Self {
            id,
            stage: Stage::Log,
            begun: at,
            read_to: at,
            moved: at,
            changes: VecDeque::new(),
            queue: Weighed::default(),
            filled: false,
            misses: false,
            whole: true,
            lacks: Seqno::ZERO,
            round: 0,
            controls: VecDeque::new(),
            announced: None,
            sealed: false,
            told: Told::default(),
            refused: None,
            spares: false,
            laps: Laps::default(),
            in_flight: 0,
            acked: None,
        }
    }

    /// Begins with the log where the client says, or where the cursor of that name stands; with
    /// the state before it if it cannot. Returns whether a backfill has to fill the queue.
    pub(super) fn begin(
        vbucket: &Vbucket,
        name: &Arc<[u8]>,
        request: &Request,
        backfills: bool,
    ) -> Option<(Self, bool)> {
        let id = vbucket.id();
        if backfills && vbucket.is_receiving() {
            let mut part = Self::new(id, Seqno::ZERO);
            part.wait();
            return Some((part, false));
        }
        let place = vbucket.with_log(|log| log.cursor(name).map(|at| log.knows_names(at)));
        let from = match (request.wants(id), place) {
            (Some(wanted), _) if backfills => Begin::IfBelieved(wanted),
            // A dump has what an earlier one of its name had, or nothing.
            (None, _) if request.goes_on() => Begin::IfBelieved(CheckpointId::new(0)),
            // Checkpoints were named anew since, and it gets no whole state.
            (Some(_), Some(false)) | (None, Some(_)) => Begin::Resume,
            (Some(wanted), _) => Begin::Checkpoint(wanted),
            // It says nothing of what it has, and what it was sent did not fit that.
            (None, None) if backfills && vbucket.with_log(|log| log.was_refused_by(name)) => {
                Begin::IfBelieved(CheckpointId::new(1))
            }
            (None, None) => Begin::First,
        };
        let Begun { at, found, .. } = vbucket.register_cursor(Arc::clone(name), from)?;
        let mut part = Self::new(id, at);
        if found {
            if let Some(window) = vbucket.with_log(|log| log.window_begun_before(at)) {
                if request.goes_on() {
                    // It has all of before already.
                    part.finish();
                    return Some((part, false));
                }
                part.repeat_start(vbucket, window, request.checkpoints);
            }
        } else if backfills {
            part.fill(at, true);
            return Some((part, true));
        } else {
            part.lacks = at;
        }
        Some((part, false))
    }

    /// Begins anew with a backfill of the state at a place.
    pub(super) fn fill(&mut self, at: Seqno, announce: bool) {
        let round = self.round + 1;
        *self = Self::new(self.id, at);
        self.round = round;
        self.stage = Stage::Fill;
        self.whole = false;
        if announce {
            self.controls.push_back(opaque(BACKFILL_BEGINS));
        }
    }

    /// Begins anew once the vbucket has been given its own state.
    pub(super) fn wait(&mut self) {
        self.fill(Seqno::ZERO, false);
        self.stage = Stage::Wait;
    }

    /// Nothing more is to be said, also of what was read.
    pub(super) fn end(&mut self) {
        self.stage = Stage::Ended;
        self.changes.clear();
        self.controls.clear();
        self.queue.clear();
    }

    /// The client is told that it has all that it asked for: an end of the connection alone could
    /// be that of the node.
    fn finish(&mut self) {
        self.end();
        self.controls.push_back(opaque(DUMP_ENDS));
    }

    /// Behind a backfill a part is a checkpoint for the client, too.
    fn as_told(&self, change: Change) -> Change {
        let begins = self.round > 0 && change.seqno == self.begun.next();
        let op = match change.op {
            Op::Part if begins => Op::CheckpointStart,
            op => op,
        };
        Change { op, ..change }
    }

    /// A dump meets a change, or a START. False if it ends there, or waits to know what becomes of
    /// the window.
    fn passes(&mut self, change: &Change, vbucket: &Vbucket) -> bool {
        if change.op != Op::UpdateStart {
            return true;
        }
        let Some(window) = vbucket.undecided_window(change.checkpoint) else {
            self.changes.retain(|change| !is_void(change, vbucket));
            return true;
        };
        // While it completes the store may have rows of it that the backfill has left to the log.
        if window.phase == Phase::Open {
            // The state of before is what the client asks for.
            self.finish();
        }
        false
    }

    /// Whether nothing more is to be said of it.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Ended && self.controls.is_empty()
    }

    /// A stream that goes on inside a window says so again.
    fn repeat_start(&mut self, vbucket: &Vbucket, window: CheckpointId, checkpoints: bool) {
        if checkpoints && window > CheckpointId::default() {
            let start = checkpoint(Event::CheckpointStart, window, None);
            self.controls.extend(start);
        }
        self.controls.extend(self.told.enter(vbucket, window));
        self.controls.extend(mark(UPDATE_START, window, None));
    }

    /// Tells the receiver the state of the vbucket before all else.
    pub(super) fn set_state(&mut self, state: VbucketState) {
        self.controls.push_front(Control {
            event: Event::VbucketSet,
            specific: Specific::of(&[&(state as u32).to_be_bytes()]),
            item: None,
            at_once: false,
            upto: None,
            tells: None,
        });
    }

    /// The message that comes next.
    pub(super) fn next(&mut self, vbucket: &Vbucket, name: &[u8], request: &Request) -> Next {
        let waits = request.acks && self.in_flight > 0;
        loop {
            if self.sealed && waits {
                return Next::Unacked;
            }
            self.sealed = false;
            let refused = self.is_behind_a_refused_change();
            if let Some(control) = self.controls.pop_front_if(|_| !refused) {
                if waits && !control.at_once {
                    self.controls.push_front(control);
                    return Next::Unacked;
                }
                let Some(control) = control.into_present(vbucket) else {
                    continue;
                };
                return Next::Send(Box::new(self.draft_control(control)));
            }
            match self.stage {
                Stage::Given | Stage::Ended => return Next::Nothing,
                Stage::Wait if vbucket.is_receiving() => return Next::Nothing,
                Stage::Wait => return Next::Lost,
                Stage::Fill | Stage::Rest => {
                    match self.next_of_state(vbucket, name, request, waits) {
                        Some(next) => return next,
                        None => continue,
                    }
                }
                Stage::Log | Stage::Dying | Stage::Drain => {}
            }
            if self.changes.is_empty() && !self.read_on(vbucket, name, request) {
                return Next::Lost;
            }
            if self.changes.len() <= 1
                && let Some(news) = self.told.news(vbucket)
            {
                // A change that is left goes first and asks for the answer for which this waits.
                self.controls.push_back(news);
                if self.changes.is_empty() {
                    continue;
                }
            }
            // What follows says whether an answer is wanted; the cursor is not to pass this one.
            if self.changes.len() == 1 && !self.read(vbucket, name, request) {
                return Next::Lost;
            }
            let Some(change) = self.changes.pop_front() else {
                self.let_go();
                if request.goes_on() {
                    // At this instant the client has been sent all that there is.
                    self.finish();
                    continue;
                }
                return Next::Nothing;
            };
            if request.goes_on() && !self.passes(&change, vbucket) {
                if self.stage == Stage::Ended {
                    continue;
                }
                self.changes.push_front(change);
                return Next::Nothing;
            }
            if !change.op.is_mutation() {
                let change = self.as_told(change);
                self.controls.extend(self.told.pass(&change, vbucket));
                self.controls.extend(controls(&change, request.checkpoints));
                continue;
            }
            return match self.draft(change, vbucket, request) {
                Some(draft) => Next::Send(Box::new(draft)),
                None => Next::Lost,
            };
        }
    }

    /// Reads what follows on all that was read, which the client has if it says so.
    fn read_on(&mut self, vbucket: &Vbucket, name: &[u8], request: &Request) -> bool {
        if !request.acks || self.in_flight == 0 {
            self.move_cursor(vbucket, name, self.read_to);
        }
        self.read(vbucket, name, request)
    }

    /// A part at rest keeps no room for what it may have to send some day.
    fn let_go(&mut self) {
        self.changes = VecDeque::new();
        self.queue.clear();
        if self.controls.is_empty() {
            self.controls = VecDeque::new();
        }
    }

    /// Whether a change of before the next control message is to be sent again.
    fn is_behind_a_refused_change(&self) -> bool {
        let upto = self.controls.front().and_then(|control| control.upto);
        let next = self.changes.front().map(|change| change.seqno);
        upto.zip(next).is_some_and(|(upto, next)| next < upto)
    }

    fn draft_control(&mut self, control: Control) -> Draft {
        self.sealed = !self.controls.front().is_some_and(|next| next.at_once);
        let announcement = self.announced.take().filter(|_| control.at_once);
        let again = match announcement {
            Some(announcement) => Again::Mark(Box::new([*announcement, control.clone()])),
            None if self.sealed => Again::Control(control.clone()),
            None => {
                self.announced = Some(Box::new(control.clone()));
                Again::Announcement(control.clone())
            }
        };
        Draft {
            event: control.event,
            specific: control.specific,
            item: control.item,
            flags: 0,
            ack: true,
            again,
            // The first of two leaves the place to the second one.
            upto: control.upto.filter(|_| self.sealed),
        }
    }

    fn draft(&mut self, change: Change, vbucket: &Vbucket, request: &Request) -> Option<Draft> {
        let item = change.item.as_ref()?;
        let next = self.changes.front();
        let (event, item, flags) = version(item, change.op == Op::Delete, vbucket, request)?;
        if !item.is_resident() && flags == 0 {
            return None;
        }
        Some(Draft {
            event,
            specific: Specific::default(),
            item: Some(item),
            flags,
            ack: !self.controls.is_empty() || next.is_none_or(|next| !next.op.is_mutation()),
            upto: Some(change.seqno),
            again: Again::Change(change),
        })
    }

    /// Reads on in the log until there is something or nothing more. False when the cursor is lost.
    fn read(&mut self, vbucket: &Vbucket, name: &[u8], request: &Request) -> bool {
        let mut changes = Vec::new();
        loop {
            let Some(end) = vbucket.read_cursor(name, self.read_to, READ_ENTRIES, &mut changes)
            else {
                return false;
            };
            if self.spares || request.goes_on() {
                changes.retain(|change| !is_void(change, vbucket));
            }
            let open = vbucket.with_log(Log::open_id);
            if request.closed_only && changes.iter().any(|change| change.checkpoint >= open) {
                changes.retain(|change| change.checkpoint < open);
                self.read_to = changes.last().map_or(self.read_to, |last| last.seqno);
                self.changes.extend(changes);
                return true;
            }
            self.read_to = end.upto;
            if end.exhausted || !changes.is_empty() {
                self.changes.extend(changes);
                return true;
            }
        }
    }

    /// The client has everything to this place in the log for good.
    pub(super) fn move_cursor(&mut self, vbucket: &Vbucket, name: &[u8], upto: Seqno) {
        self.whole = !self.is_filling();
        if upto > self.moved {
            self.moved = upto;
            vbucket.move_cursor(name, upto);
        }
    }

    /// Has messages sent again; `from` is what is to be done for each of them, in order.
    pub(super) fn again(&mut self, from: Vec<Again>, vbucket: &Vbucket) {
        self.sealed = false;
        let first = from.first().and_then(|again| match again {
            Again::Change(change) => Some(change.seqno),
            _ => None,
        });
        let twice = first.is_some() && self.refused == first;
        self.refused = first;
        for again in from.into_iter().rev() {
            match again {
                Again::Change(change) => self.changes.push_front(change),
                Again::Item(item) => self.queue.push_front(item),
                Again::Control(control) => self.controls.push_front(control),
                Again::Announcement(control) => {
                    if self.controls.front().is_some_and(|next| next.at_once) {
                        self.controls.push_front(control);
                    }
                }
                Again::Mark(both) => {
                    for control in both.into_iter().rev() {
                        self.controls.push_front(control);
                    }
                }
                Again::Nothing => {}
            }
        }
        if twice {
            // A client without room for what was reverted gets room by the mark behind it only.
            self.spares = true;
            self.changes.retain(|change| !is_void(change, vbucket));
        }
    }

    /// Whether the client has a state to go on from by the cursor.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether a backfill is to come or under way.
    pub(super) fn is_filling(&self) -> bool {
        matches!(self.stage, Stage::Wait | Stage::Fill | Stage::Rest)
    }

    /// Whether the vbucket is dead here and not the client's yet.
    pub(super) fn is_handed_over(&self) -> bool {
        matches!(self.stage, Stage::Dying | Stage::Drain | Stage::Given)
    }

    /// Whether nothing is left to be sent at present.
    pub(super) fn is_drained(&self) -> bool {
        let empty = self.changes.is_empty() && self.controls.is_empty() && self.queue.is_empty();
        empty && self.in_flight == 0 && !self.is_filling()
    }

    /// Whether a takeover may have the clients stop writing.
    pub(super) fn may_hand_over(&mut self, vbucket: &Vbucket, name: &[u8]) -> bool {
        // The client has to have it pending by then. And while there is more of what was read, the
        // rest need not be counted.
        let controls = !self.controls.is_empty() || self.sealed && self.in_flight > 0;
        // While COMPLETE runs, the stream does not see what lies behind it.
        let more = self.changes.len() > 1 || vbucket.is_completing();
        if self.stage != Stage::Log || controls || more {
            return false;
        }
        let most = self.laps.counts_to(self.read_to);
        let ahead = vbucket.cursor_remaining_to(name, self.read_to, most);
        let left = self.in_flight + self.changes.len() + ahead.unwrap_or(0);
        let next = vbucket.with_log(Log::next_seqno);
        self.laps.are_over(left, self.read_to, next)
    }

    /// What waits to be sent.
    pub(super) fn waiting(&self) -> Waiting {
        let gives =
            |control: &&Control| control.event == Event::VbucketSet && self.stage == Stage::Given;
        let states = self.controls.iter().filter(gives).count();
        let items = self.changes.iter().flat_map(|change| &change.item);
        let bytes = items.map(Item::memory_bytes).sum::<usize>();
        Waiting {
            controls: self.controls.len() - states,
            states,
            changes: self.changes.len(),
            bytes: bytes + self.queue.bytes(),
        }
    }

    /// Changes that are still to be sent and are not in the log alone.
    pub(super) fn backlog(&self) -> usize {
        let read = self.changes.iter().filter(|change| change.op.is_change());
        read.count() + self.queue.len()
    }

    /// Whether the changes that are in the log alone are to be sent, too.
    pub(super) fn follows(&self) -> bool {
        !matches!(self.stage, Stage::Ended | Stage::Wait)
    }

    /// Where it stands in the log.
    pub(super) fn stands(&self) -> Standing {
        Standing {
            vbucket: self.id,
            cursor: self.moved,
            read_to: self.read_to,
        }
    }
}

/// Whether a REVERT has taken the change back.
fn is_void(change: &Change, vbucket: &Vbucket) -> bool {
    change.op.is_change() && vbucket.with_log(|log| log.is_reverted(change.seqno))
}
