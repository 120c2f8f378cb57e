//! TAP between nodes: a [`Link`] does what two hosts and the network between them do, one message
//! at a time, and can be told to refuse what goes by.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Node, id};
use crate::checkpoint::{Log, Phase};
use crate::engine::{TapEvent, TapMessage};
use crate::error::{Error, Result};
use crate::host::Cookie;
use crate::item::Item;
use crate::tap::{Event, FLAG_ACK, FLAG_NO_VALUE, Message};
use crate::types::{CheckpointId, Seqno, VbucketState};
use crate::vbucket::{Ejection, Found, Walk};

mod asked;
mod bounds;
mod chains;
mod chaos;
mod consumer;
mod corners;
mod deadline;
mod decided;
mod dumps;
mod ends;
mod hostile;
mod last_word;
mod many;
mod mixed;
mod overtaken;
mod own_windows;
mod owners;
mod parted;
mod parts;
mod producer;
mod resume;
mod takeover;
mod windows;

pub(super) const BACKFILL: u32 = 0x01;
pub(super) const DUMP: u32 = 0x02;
pub(super) const LIST: u32 = 0x04;
pub(super) const TAKEOVER: u32 = 0x08;
pub(super) const ACK: u32 = 0x10;
pub(super) const KEYS_ONLY: u32 = 0x20;
pub(super) const CHECKPOINTS: u32 = 0x40;
pub(super) const REGISTERED: u32 = 0x80;

/// The answer to what is to come again later.
pub(super) const NOT_NOW: u16 = 0x86;

/// The answer to what does not fit the state of the vbucket.
pub(super) const UNFIT: u16 = 0x83;

/// A value that is worth evicting.
pub(super) const LONG: &str = "a value that is so long that something is gained by its eviction, \
                               as its entry is a good deal smaller without it";

/// The checkpoint that was open, durable now, is in the log no more.
pub(super) fn forget(node: &Node) {
    node.start().unwrap();
    node.revert().unwrap();
    node.write();
}

/// Whether a stream of that name has a cursor in vbucket 0.
pub(super) fn has_cursor(node: &Node, name: &str) -> bool {
    let vbucket = node.engine.vbucket(0).unwrap();
    vbucket.with_log(|log| log.cursor(name.as_bytes()).is_some())
}

/// Takes a durable value out of memory.
pub(super) fn evict(node: &Node, key: &str) {
    assert_eq!(node.engine.evict(key.as_bytes(), 0), Ok(Ejection::Ejected));
}

/// Numbers that depend on the seed alone.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A connection that nobody had before.
pub(super) fn cookie() -> Cookie {
    static NEXT: AtomicUsize = AtomicUsize::new(0x10_000);
    Cookie::new(NEXT.fetch_add(16, Ordering::Relaxed))
}

/// A node whose vbucket 0 has a state that is not active.
pub(super) fn node_in(state: VbucketState, config: &str) -> Node {
    let node = Node::with(&format!("vb0=false;{config}"));
    node.engine.core.set_vbucket(0, state).unwrap();
    node
}

/// A node that is to follow another one.
pub(super) fn replica() -> Node {
    node_in(VbucketState::Replica, "")
}

/// A master and its replica that has all of it, on both disks.
pub(super) fn pair() -> (Node, Node, Link) {
    pair_with("")
}

/// The same with a configuration of the master.
pub(super) fn pair_with(config: &str) -> (Node, Node, Link) {
    let (master, replica) = (Node::with(config), replica());
    for key in ["k", "gone", "same"] {
        master.set(0, key, "before");
    }
    let mut link = Link::replicate(&master, &replica);
    link.settle(&master, &replica);
    master.write();
    replica.write();
    (master, replica, link)
}

/// A change of each kind.
pub(super) fn write_window(node: &Node) {
    node.set(0, "k", "inside");
    node.set(0, "new", "inside");
    node.remove(0, "gone").unwrap();
}

/// User data of TAP_CONNECT for a stream with a backfill, in acknowledged checkpoints.
pub(super) fn resume_data(closed: u64) -> Vec<u8> {
    let mut data = 0_u64.to_be_bytes().to_vec();
    data.extend([0, 1, 0, 0]);
    data.extend(closed.to_be_bytes());
    data
}

/// User data that lists vbuckets.
pub(super) fn list(vbuckets: &[u16]) -> Vec<u8> {
    let mut data = u16::try_from(vbuckets.len())
        .unwrap()
        .to_be_bytes()
        .to_vec();
    data.extend(vbuckets.iter().flat_map(|vbucket| vbucket.to_be_bytes()));
    data
}

/// What a message says, in words.
pub(super) fn words(message: &Message) -> String {
    let item = message.item.as_ref();
    let key = item.map(|item| String::from_utf8_lossy(item.key()).into_owned());
    let key = key.unwrap_or_default();
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let specific = message.specific.bytes();
    let value = || String::from_utf8_lossy(item.unwrap().value()).into_owned();
    match message.event {
        Event::Mutation if message.flags & FLAG_NO_VALUE != 0 => format!("key {key}"),
        Event::Mutation => format!("set {key} {}", value()),
        Event::Deletion => format!("delete {key}"),
        Event::Flush => "flush".to_owned(),
        Event::Opaque if specific.len() == 12 => {
            let (code, id) = specific.split_at(4);
            format!("window {} {}", number(code), number(id))
        }
        Event::Opaque if specific.len() == 16 => {
            let (window, left) = specific.split_at(12);
            format!("deadline {} {}", number(&window[4..]), number(left))
        }
        Event::Opaque => format!("opaque {}", number(specific)),
        Event::VbucketSet => format!("state {}", number(specific)),
        Event::CheckpointStart => format!("start {}", number(item.unwrap().value())),
        Event::CheckpointEnd => format!("end {}", number(item.unwrap().value())),
        Event::Noop => "noop".to_owned(),
        Event::Pause => "pause".to_owned(),
        Event::Disconnect => "disconnect".to_owned(),
    }
}

/// A message as it reaches the other side.
pub(super) fn arriving(message: &Message) -> Option<TapMessage<'_>> {
    let event = match message.event {
        Event::Mutation => TapEvent::Mutation,
        Event::Deletion => TapEvent::Deletion,
        Event::Flush => TapEvent::Flush,
        Event::Opaque => TapEvent::Opaque,
        Event::VbucketSet => TapEvent::VbucketSet,
        Event::CheckpointStart => TapEvent::CheckpointStart,
        Event::CheckpointEnd => TapEvent::CheckpointEnd,
        Event::Noop | Event::Pause | Event::Disconnect => return None,
    };
    let item = message.item.as_ref();
    let bare = message.flags & FLAG_NO_VALUE != 0 || message.event == Event::Deletion;
    Some(TapMessage {
        event,
        specific: message.specific.bytes(),
        key: item.map_or(&[], |item| item.key()),
        data: item.filter(|_| !bare).map_or(&[], |item| item.value()),
        tap_flags: message.flags,
        flags: item.map_or(0, Item::flags),
        expiry: item.map_or(0, Item::expiry),
        cas: item.map_or(0, Item::cas),
        vbucket: message.vbucket,
    })
}

/// The wire's word for an error.
fn status(error: Error) -> u16 {
    match error {
        Error::Exists => 0x02,
        Error::TooBig => 0x03,
        Error::Invalid => 0x04,
        Error::NotMyVbucket => 0x07,
        Error::Unsupported => UNFIT,
        Error::Temporary => NOT_NOW,
        other => panic!("{other} is no answer to a TAP message"),
    }
}

/// What went by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) text: String,
    pub(super) vbucket: u16,
    pub(super) seqno: u32,
    pub(super) ack: bool,
    pub(super) answer: u16,
}

/// A stream from one node to another one, or to a peer that has no vbuckets and takes everything.
pub(super) struct Link {
    pub(super) stream: Cookie,
    pub(super) peer: Cookie,
    pub(super) closed: bool,
    /// Whether what asks for an answer gets one.
    pub(super) answers: bool,
    pub(super) sent: Vec<Sent>,
    /// The next message that reads so is not given to the receiver, and answered with that.
    refuses: Vec<(String, u16)>,
    /// The next message that reads so reaches the receiver twice.
    repeats: Vec<String>,
}

impl Link {
    pub(super) fn connect(src: &Node, name: &str, flags: u32, data: &[u8]) -> Result<Self> {
        let link = Self {
            stream: cookie(),
            peer: cookie(),
            closed: false,
            answers: true,
            sent: Vec::new(),
            refuses: Vec::new(),
            repeats: Vec::new(),
        };
        let name = name.as_bytes();
        let connect = || src.engine.tap_connect(link.stream, name, flags, data);
        src.host.call(link.stream, connect)?;
        Ok(link)
    }

    /// As a replica of vbucket 0 that says which checkpoint it has.
    pub(super) fn replicate(src: &Node, dst: &Node) -> Self {
        let flags = BACKFILL | ACK | CHECKPOINTS;
        let open = open_id(dst).get();
        let data = resume_data(open.saturating_sub(1));
        Self::connect(src, "replica", flags, &data).unwrap()
    }

    /// As a replica that has nothing and lacks what the stream no longer has.
    pub(super) fn backfill(src: &Node) -> Self {
        let flags = BACKFILL | ACK | CHECKPOINTS;
        Self::connect(src, "replica", flags, &resume_data(1 << 40)).unwrap()
    }

    pub(super) fn refuse(&mut self, text: &str, status: u16) {
        self.refuses.push((text.to_owned(), status));
    }

    pub(super) fn repeat(&mut self, text: &str) {
        self.repeats.push(text.to_owned());
    }

    /// The words of what went by and was taken, without what only announces.
    pub(super) fn texts(&self) -> Vec<&str> {
        let taken = self.sent.iter().filter(|sent| sent.answer == 0);
        taken.map(|sent| &*sent.text).collect()
    }

    pub(super) fn count(&self, text: &str) -> usize {
        self.sent.iter().filter(|sent| sent.text == text).count()
    }

    fn take<T>(list: &mut Vec<T>, is: impl Fn(&T) -> bool) -> Option<T> {
        let at = list.iter().position(is)?;
        Some(list.remove(at))
    }

    /// The next message of the stream, given to nobody.
    pub(super) fn next(&self, src: &Node) -> Message {
        let next = || Ok(src.engine.tap_next(self.stream));
        src.host.call(self.stream, next).unwrap()
    }

    /// One message; false when there is none now.
    pub(super) fn step(&mut self, src: &Node, dst: Option<&Node>) -> bool {
        if self.closed {
            return false;
        }
        let message = self.next(src);
        match message.event {
            Event::Pause => return false,
            Event::Disconnect => {
                self.disconnect(src, dst);
                return false;
            }
            _ => {}
        }
        let text = words(&message);
        let refused = Self::take(&mut self.refuses, |(of, _)| *of == text);
        let times = 1 + usize::from(Self::take(&mut self.repeats, |of| *of == text).is_some());
        let answer = match (refused, dst, arriving(&message)) {
            (Some((_, status)), ..) => Ok(status),
            (None, Some(dst), Some(message)) => {
                let call = || dst.engine.tap_receive(self.peer, &message);
                let mut last = Ok(());
                for _ in 0..times {
                    last = dst.host.finish(self.peer, call);
                }
                match last {
                    Ok(()) => Ok(0),
                    Err(Error::Disconnect) => Err(Error::Disconnect),
                    Err(error) => Ok(status(error)),
                }
            }
            _ => Ok(0),
        };
        let ack = message.flags & FLAG_ACK != 0;
        self.sent.push(Sent {
            text,
            vbucket: message.vbucket,
            seqno: message.seqno,
            ack,
            answer: answer.unwrap_or(u16::MAX),
        });
        let goes_on = match answer {
            Ok(0) if !ack || !self.answers => true,
            Ok(status) => self.answer(src, message.seqno, status),
            Err(_) => false,
        };
        if !goes_on {
            self.disconnect(src, dst);
        }
        !self.closed
    }

    /// Answers a message; false when the stream ends.
    pub(super) fn answer(&self, src: &Node, seqno: u32, status: u16) -> bool {
        let call = || src.engine.tap_answered(self.stream, seqno, status);
        src.host.call(self.stream, call).is_ok()
    }

    /// Answers from now on, and what was not answered.
    pub(super) fn answer_late(&mut self, src: &Node) {
        self.answers = true;
        if let Some(last) = self.sent.iter().rfind(|sent| sent.ack) {
            assert!(self.answer(src, last.seqno, 0));
        }
    }

    /// Steps until the stream pauses or ends.
    pub(super) fn pump(&mut self, src: &Node, dst: Option<&Node>) {
        while self.step(src, dst) {}
    }

    /// Steps until everything has come that is there.
    pub(super) fn settle(&mut self, src: &Node, dst: &Node) {
        self.run(src, Some(dst));
    }

    /// The same with or without a receiver.
    pub(super) fn run(&mut self, src: &Node, dst: Option<&Node>) {
        self.pump(src, dst);
        let filling = || {
            src.engine
                .streams()
                .reports()
                .iter()
                .any(|stream| stream.filling)
        };
        if !self.closed && filling() {
            src.host.until("the backfill ends", || {
                self.pump(src, dst);
                self.closed || !filling()
            });
        }
    }

    /// Steps until a takeover is done.
    pub(super) fn hand_over(&mut self, src: &Node, dst: &Node) {
        src.host.until("the takeover is done", || {
            self.pump(src, Some(dst));
            self.closed
        });
    }

    pub(super) fn disconnect(&mut self, src: &Node, dst: Option<&Node>) {
        self.closed = true;
        let gone = |node: &Node, cookie| {
            let call = || {
                node.engine.disconnected(cookie);
                Ok(())
            };
            node.host.call(cookie, call).unwrap();
        };
        gone(src, self.stream);
        if let Some(dst) = dst {
            gone(dst, self.peer);
        }
    }
}

/// A key as a client would see it: value, flags, expiry, CAS.
pub(super) type Seen = (String, u32, u32, u64);

/// All keys of vbucket 0.
pub(super) fn contents(node: &Node) -> BTreeMap<String, Seen> {
    contents_of(node, 0)
}

/// All keys of a vbucket.
pub(super) fn contents_of(node: &Node, number: u16) -> BTreeMap<String, Seen> {
    let vbucket = node.engine.vbucket(number).unwrap();
    let mut items = Vec::new();
    let mut walk = Walk::default();
    while vbucket
        .state_part(&mut walk, Seqno::new(u64::MAX), &mut items)
        .is_some()
    {}
    let mut touched = Vec::new();
    let mut after = Some(Seqno::ZERO);
    while let Some(from) = after {
        after = vbucket.read_touched(from, &mut touched);
    }
    items.extend(touched.into_iter().map(|touched| touched.item));
    let mut contents = BTreeMap::new();
    for item in items {
        let (item, value) = match vbucket.get(node.engine.hash(item.key()), item.key()) {
            Found::Miss => continue,
            Found::Hit(item) | Found::Locked(item) => {
                let value = item.value().to_vec();
                (item, value)
            }
            Found::NotResident(item) => {
                let state = node.store.faults().state();
                let record = &state.items[&(id(number), item.key().to_vec())];
                assert_eq!(record.cas, item.cas());
                (item, record.value.clone())
            }
        };
        let key = String::from_utf8(item.key().to_vec()).unwrap();
        let value = String::from_utf8(value).unwrap();
        contents.insert(key, (value, item.flags(), item.expiry(), item.cas()));
    }
    contents
}

/// Fails unless two nodes agree on every key of vbucket 0.
#[track_caller]
pub(super) fn assert_same(one: &Node, other: &Node) {
    assert_eq!(contents(one), contents(other));
}

/// Deletes vbucket 0 and makes it again: its ids begin with 1.
pub(super) fn make_anew(node: &Node) {
    let core = &node.engine.core;
    core.set_vbucket(0, VbucketState::Dead).unwrap();
    core.delete_vbucket(0).unwrap();
    node.activate(0);
}

/// A key's value, on a replica too.
pub(super) fn value(node: &Node, key: &str) -> Option<String> {
    contents(node).get(key).map(|(value, ..)| value.clone())
}

pub(super) fn open_id(node: &Node) -> CheckpointId {
    node.engine.vbucket(0).unwrap().with_log(Log::open_id)
}

pub(super) fn phase(node: &Node) -> Option<Phase> {
    node.engine.vbucket(0).unwrap().window_phase()
}

/// A message with engine-specific bytes only.
pub(super) fn bare(event: TapEvent, specific: &[u8]) -> TapMessage<'_> {
    TapMessage {
        event,
        specific,
        key: &[],
        data: &[],
        tap_flags: FLAG_ACK,
        flags: 0,
        expiry: 0,
        cas: 0,
        vbucket: 0,
    }
}

/// Has a node receive a message about vbucket 0.
pub(super) fn receive(node: &Node, peer: Cookie, message: &TapMessage<'_>) -> Result<()> {
    let call = || node.engine.tap_receive(peer, message);
    node.host.finish(peer, call)
}

pub(super) fn opaque(node: &Node, peer: Cookie, code: u32) -> Result<()> {
    receive(node, peer, &bare(TapEvent::Opaque, &code.to_be_bytes()))
}

/// The first message of a mark, which says to which window it belongs.
pub(super) fn announce(node: &Node, peer: Cookie, code: u32, window: u64) -> Result<()> {
    let mut specific = code.to_be_bytes().to_vec();
    specific.extend(window.to_be_bytes());
    receive(node, peer, &bare(TapEvent::Opaque, &specific))
}

/// How long a window has left.
pub(super) fn tell_deadline(node: &Node, peer: Cookie, window: u64, seconds: u32) -> Result<()> {
    let mut specific = 0xeb_u32.to_be_bytes().to_vec();
    specific.extend(window.to_be_bytes());
    specific.extend(seconds.to_be_bytes());
    receive(node, peer, &bare(TapEvent::Opaque, &specific))
}

pub(super) fn mutation(node: &Node, peer: Cookie, key: &str, value: &str) -> Result<()> {
    let message = TapMessage {
        key: key.as_bytes(),
        data: value.as_bytes(),
        ..bare(TapEvent::Mutation, &[])
    };
    receive(node, peer, &message)
}

/// A mutation of a key that expires then.
pub(super) fn mutation_until(node: &Node, peer: Cookie, key: &str, expiry: u32) -> Result<()> {
    let message = TapMessage {
        key: key.as_bytes(),
        data: b"v",
        expiry,
        ..bare(TapEvent::Mutation, &[])
    };
    receive(node, peer, &message)
}

pub(super) fn deletion(node: &Node, peer: Cookie, key: &str) -> Result<()> {
    let message = TapMessage {
        key: key.as_bytes(),
        ..bare(TapEvent::Deletion, &[])
    };
    receive(node, peer, &message)
}

pub(super) fn checkpoint(node: &Node, peer: Cookie, event: TapEvent, id: u64) -> Result<()> {
    let message = TapMessage {
        data: &id.to_be_bytes(),
        ..bare(event, &[])
    };
    receive(node, peer, &message)
}
