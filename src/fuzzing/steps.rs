//! Sequences of steps, drawn from the input.

use arbitrary::{Arbitrary, Unstructured};

use super::calls::{Call, Tap};
use super::node::Node;
use super::shapes::{Cas, Key, Number, Said, Value, Vbucket};
use crate::constants as wire;
use crate::engine::TapEvent;
use crate::types::{Arithmetic, StoreOp};

/// Steps of one run: more would only be slower.
const STEPS: usize = 48;

/// What TAP_CONNECT has behind its flags, as far as they say so.
#[derive(Arbitrary, Clone, Debug)]
struct Wish {
    flags: u8,
    since: u32,
    vbuckets: Vec<Vbucket>,
    has: Vec<(Vbucket, Number)>,
    closed: u8,
    /// Something else instead.
    raw: Option<Vec<u8>>,
}

impl Wish {
    fn data(&self) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let count = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        let mut data = Vec::new();
        if self.flags & 0x01 != 0 {
            data.extend(u64::from(self.since).to_be_bytes());
        }
        if self.flags & 0x04 != 0 {
            data.extend(count(self.vbuckets.len()));
            data.extend(self.vbuckets.iter().flat_map(|it| it.0.to_be_bytes()));
        }
        if self.flags & 0x40 != 0 {
            data.extend(count(self.has.len()));
            for (vbucket, id) in &self.has {
                data.extend(vbucket.0.to_be_bytes());
                data.extend(u64::from(id.0).to_be_bytes());
            }
        }
        if self.flags & 0x80 != 0 {
            data.push(self.closed % 3);
        }
        data
    }
}

/// Engine-specific bytes.
#[derive(Arbitrary, Clone, Debug)]
enum Specific {
    None,
    Code(Number),
    /// A code and the id of a checkpoint.
    Mark(Number, Number),
    /// A window's deadline.
    Deadline(Number, Number),
    Raw(Vec<u8>),
}

impl Specific {
    fn bytes(&self) -> Vec<u8> {
        let id = |id: &Number| u64::from(id.0).to_be_bytes();
        match self {
            Self::None => Vec::new(),
            Self::Code(code) => code.0.to_be_bytes().to_vec(),
            Self::Mark(code, of) => [&code.0.to_be_bytes()[..], &id(of)].concat(),
            Self::Deadline(of, seconds) => {
                let code = wire::CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_DEADLINE;
                let parts = [&code.to_be_bytes()[..], &id(of), &seconds.0.to_be_bytes()];
                parts.concat()
            }
            Self::Raw(bytes) => bytes.clone(),
        }
    }
}

/// A message of a peer.
#[derive(Arbitrary, Clone, Debug)]
struct Message {
    event: u8,
    specific: Specific,
    key: Key,
    value: Value,
    /// The value is this number, as that of a checkpoint.
    id: Option<Number>,
    flags: u8,
    expiry: Number,
    cas: Cas,
    vbucket: Vbucket,
}

impl Message {
    /// As the table lets it through: keys only where the event has them.
    fn tap(&self, heard: u64) -> Option<Tap> {
        let events = [
            TapEvent::Mutation,
            TapEvent::Deletion,
            TapEvent::Flush,
            TapEvent::Opaque,
            TapEvent::VbucketSet,
            TapEvent::CheckpointStart,
            TapEvent::CheckpointEnd,
        ];
        let event = events[usize::from(self.event) % events.len()];
        let lengths = match event {
            TapEvent::Mutation | TapEvent::Deletion => 1..=250,
            TapEvent::CheckpointStart | TapEvent::CheckpointEnd => 0..=250,
            TapEvent::Flush | TapEvent::Opaque | TapEvent::VbucketSet => 0..=0,
        };
        let key = if *lengths.end() == 0 {
            &[]
        } else {
            &self.key.0[..]
        };
        let mut specific = self.specific.bytes();
        specific.truncate(160);
        let id = self.id.map(|id| u64::from(id.0).to_be_bytes().to_vec());
        lengths.contains(&key.len()).then(|| Tap {
            event,
            specific,
            key: key.to_vec(),
            data: id.unwrap_or_else(|| self.value.bytes()),
            how: (self.flags & 3).into(),
            flags: self.flags.into(),
            expiry: self.expiry.0,
            cas: match self.cas {
                Cas::None => 0,
                Cas::Last => heard,
                Cas::Given(cas) => cas,
            },
            vbucket: self.vbucket.0,
        })
    }
}

/// What happens.
#[derive(Arbitrary, Clone, Debug)]
enum Step {
    Get(Key, Vbucket),
    Store(u8, Key, Value, (Number, Number), Cas, Vbucket),
    Remove(Key, Cas, Vbucket),
    Count(Key, bool, Option<Number>, u64, Vbucket),
    Flush(i16),
    Ask(Said, Vbucket),
    Stats(u8, Key, Vbucket),
    Line(u8, Number),
    Connect(u8, Wish),
    Pump(Option<(u8, u8)>, bool),
    Answer(Number, u16),
    Tap(Message),
    Disconnect,
    Pass(Number, bool),
    Fail(bool),
    Restart(bool),
}

/// A name of a stream: one of a few.
pub(super) fn stream_name(number: u8) -> Vec<u8> {
    match number % 5 {
        0 => Vec::new(),
        1 => b"replica".to_vec(),
        2 => b"other".to_vec(),
        3 => b"eq_tapq:replica".to_vec(),
        _ => vec![number; usize::from(number).min(250)],
    }
}

/// Groups of statistics.
const GROUPS: &[&str] = &[
    "",
    "items",
    "memory",
    "vbucket",
    "prev-vbucket",
    "checkpoint",
    "hash",
    "timings",
    "dispatcher",
    "onlineupdate",
    "onlineupdate-vb",
    "restore",
    "lacking",
    "tap",
    "tapagg",
    "tapagg :",
    "key",
    "vkey",
    "onlineupdate-keys",
    "onlineupdate-keys k",
];

/// Lines of a terminal.
const LINES: &[&str] = &["status", "start", "complete", "revert", "deadline"];

fn legal(key: Key) -> Option<Vec<u8>> {
    (1..=250).contains(&key.0.len()).then_some(key.0)
}

/// The call that a step is, if it is one that the table lets through.
fn call_of(step: Step, node: &Node) -> Option<Call> {
    let heard = node.heard();
    Some(match step {
        Step::Get(key, vbucket) => Call::Get {
            key: legal(key)?,
            vbucket: vbucket.0,
        },
        Step::Store(op, key, value, (flags, expiry), cas, vbucket) => {
            let ops = [
                StoreOp::Set,
                StoreOp::Add,
                StoreOp::Replace,
                StoreOp::Append,
                StoreOp::Prepend,
                StoreOp::Cas,
            ];
            Call::Store {
                op: ops[usize::from(op) % ops.len()],
                key: key.0,
                value: value.bytes(),
                numbers: (flags.0, expiry.0),
                cas: heard.cas(cas),
                vbucket: vbucket.0,
            }
        }
        Step::Remove(key, cas, vbucket) => Call::Remove {
            key: legal(key)?,
            cas: heard.cas(cas),
            vbucket: vbucket.0,
        },
        Step::Count(key, increment, create, delta, vbucket) => Call::Count {
            key: legal(key)?,
            by: Arithmetic {
                increment,
                create: create.is_some(),
                delta,
                initial: 5,
                flags: 0,
                exptime: create.map_or(0, |it| it.0),
            },
            vbucket: vbucket.0,
        },
        Step::Flush(when) => Call::Flush(when.into()),
        Step::Ask(said, vbucket) => Call::Packet(said.parts(heard).packet(vbucket.0)),
        Step::Stats(group, key, vbucket) => {
            let group = GROUPS[usize::from(group) % GROUPS.len()];
            let mut text = group.as_bytes().to_vec();
            if group.ends_with("key") {
                text.push(b' ');
                text.extend(key.0);
                text.extend(format!(" {}", vbucket.0).into_bytes());
            }
            Call::Stats(text)
        }
        Step::Line(which, number) => {
            let word = LINES[usize::from(which) % LINES.len()];
            let number = match which % 3 {
                0 => format!(" {}", number.0),
                _ => String::new(),
            };
            Call::Line(format!("online_update {word}{number}").into_bytes())
        }
        Step::Connect(name, wish) => Call::Connect {
            name: stream_name(name),
            flags: wish.flags.into(),
            data: wish.data(),
        },
        Step::Tap(message) => Call::Tap(message.tap(heard.cas)?),
        _ => return None,
    })
}

fn act(node: &mut Node, client: usize, step: Step) {
    match step {
        Step::Pump(peer, answers) => {
            let peer = peer.map(|(peer, shift)| (peer.into(), u16::from(shift % 4)));
            node.pump(client, peer, answers);
        }
        Step::Answer(seqno, status) => node.answer(client, seqno.0, status),
        Step::Disconnect => node.disconnect(client),
        Step::Pass(seconds, back) => node.let_pass(seconds.0, back),
        Step::Fail(fails) => node.fail(fails),
        Step::Restart(crashes) => node.restart(crashes),
        step => {
            if let Some(call) = call_of(step, node) {
                node.call(client, call);
            }
        }
    }
}

/// Configurations of a node.
const CONFIGS: &[&str] = &[
    "",
    "online_update_undo=memory",
    "vb0=false",
    "chk_max_items=100;tap_ack_interval=2;tap_ack_window_size=1;tap_backoff_period=0",
    "restore_mode=true",
    "tap_streams_max=1;getl_default_timeout=1",
];

/// A sequence of everything that clients, peers and operators do to one node, which restarts and
/// crashes.
///
/// # Panics
/// When something is wrong: a call that panics, a notification that nobody is owed or that does
/// not come, a key that a REVERT does not bring back, an answer that no packet can hold.
pub fn requests(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(kind) = u8::arbitrary(&mut input) else {
        return;
    };
    let config = CONFIGS[usize::from(kind / 2) % CONFIGS.len()];
    let mut node = Node::new(kind % 2 == 1, config);
    for _ in 0..STEPS {
        let (Ok(client), Ok(step)) = (u8::arbitrary(&mut input), Step::arbitrary(&mut input))
        else {
            break;
        };
        act(&mut node, client.into(), step);
        if input.is_empty() {
            break;
        }
    }
    node.end();
}

/// A sequence of what TAP peers send, and their streams, to vbuckets that are active, replica,
/// pending and dead.
///
/// # Panics
/// As [`requests`].
pub fn tap_notify(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(kind) = u8::arbitrary(&mut input) else {
        return;
    };
    let mut node = Node::new(kind % 2 == 1, "");
    for (vbucket, state) in [(1, 2), (2, 3), (3, 4)] {
        let said = Said::SetVbucket(Number(state), true);
        let packet = said.parts(node.heard()).packet(vbucket);
        node.call(0, Call::Packet(packet));
    }
    for _ in 0..STEPS {
        let Ok((client, message)) = <(u8, Message)>::arbitrary(&mut input) else {
            break;
        };
        if let Some(tap) = message.tap(node.heard().cas) {
            node.call(client.into(), Call::Tap(tap));
        }
        if input.is_empty() {
            break;
        }
    }
    node.end();
}
