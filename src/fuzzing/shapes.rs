//! What requests are made of, drawn from the input: mostly what an engine does something with, and
//! now and then anything.

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::config::Config;
use crate::constants as wire;

/// A key: one of a few, so that requests meet each other, or anything.
#[derive(Clone, Debug)]
pub(super) struct Key(pub(super) Vec<u8>);

impl Key {
    /// The few.
    pub(super) const FEW: u8 = 6;

    pub(super) fn of(number: u8) -> Self {
        Self(format!("k{}", number % Self::FEW).into_bytes())
    }
}

impl<'a> Arbitrary<'a> for Key {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u8::arbitrary(u)? {
            number @ 0..=239 => Self::of(number),
            240..=243 => Self(Vec::new()),
            244..=247 => Self(vec![b'x'; 250]),
            _ => Self(Vec::arbitrary(u)?),
        })
    }
}

/// A number: small, or of all kinds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(pub(super) u32);

impl<'a> Arbitrary<'a> for Number {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(match u8::arbitrary(u)? {
            small @ 0..=239 => (small % 24).into(),
            240..=243 => u32::MAX,
            // About now, by the fake host's clock.
            244..=247 => 1_700_000_100 + u32::from(u8::arbitrary(u)?),
            _ => u32::arbitrary(u)?,
        }))
    }
}

/// A vbucket: one of four, or anything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vbucket(pub(super) u16);

impl Vbucket {
    /// The few.
    pub(super) const FEW: u16 = 4;
}

impl<'a> Arbitrary<'a> for Vbucket {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(match u8::arbitrary(u)? {
            // The first one is active from the beginning.
            few @ 0..=249 => u16::from(few) % 7 % Self::FEW,
            _ => u16::arbitrary(u)?,
        }))
    }
}

/// A CAS.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Cas {
    None,
    /// That of the last answer.
    Last,
    Given(u64),
}

/// A value.
#[derive(Arbitrary, Clone, Debug)]
pub(super) enum Value {
    Bytes(Vec<u8>),
    Digits(u64),
    /// So many equal bytes.
    Long(u16),
}

impl Value {
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Digits(number) => number.to_string().into_bytes(),
            Self::Long(length) => vec![b'v'; (*length).into()],
        }
    }
}

/// What a packet says, by its command.
#[derive(Arbitrary, Clone, Debug)]
pub(super) enum Said {
    Touch(Key, Number),
    GetAndTouch(Key, Number, bool),
    GetLocked(Key, Option<Number>),
    Unlock(Key, Cas),
    Evict(Key),
    Sync(Number, Vec<(Cas, Vbucket, Key)>),
    SetVbucket(Number, bool),
    GetVbucket,
    DeleteVbucket,
    Persistence(bool),
    FlushParameter(u8, Number),
    TapParameter(u8, Number),
    LastClosed,
    Deregister(u8),
    ResetChain,
    Start(Option<Number>),
    Complete,
    Revert,
    Deadline(Number),
    Look(bool, Number, Option<Key>, bool),
    Before(Key),
    Undo(Key, Cas),
    RestoreBegin(Key),
    RestoreKey(Key, Cas, Option<(Number, Number, Value)>),
    RestoreComplete,
    RestoreAbort,
    RestoreFile(Key),
    /// Anything: opcode, extras, key, value.
    Other(u8, Vec<u8>, Key, Vec<u8>),
}

/// The parts of a packet.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) opcode: u8,
    pub(super) extras: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) cas: u64,
}

/// What earlier answers said.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    pub(super) cas: u64,
    pub(super) cursor: Vec<u8>,
}

impl Heard {
    pub(super) fn cas(&self, cas: Cas) -> u64 {
        match cas {
            Cas::None => 0,
            Cas::Last => self.cas,
            Cas::Given(cas) => cas,
        }
    }
}

fn four(number: Number) -> Vec<u8> {
    number.0.to_be_bytes().to_vec()
}

/// Name and value of a parameter.
fn parameter(opcode: u8, name: u8, value: Number) -> Parts {
    let names = Config::describe();
    let name = names[usize::from(name) % names.len()].key;
    Parts {
        opcode,
        key: name.into(),
        value: value.0.to_string().into_bytes(),
        ..Parts::default()
    }
}

impl Said {
    pub(super) fn parts(&self, heard: &Heard) -> Parts {
        let bare = |opcode| Parts {
            opcode,
            ..Parts::default()
        };
        let keyed = |opcode, key: &Key, extras| Parts {
            opcode,
            extras,
            key: key.0.clone(),
            ..Parts::default()
        };
        let extra = |opcode, extras| Parts {
            opcode,
            extras,
            ..Parts::default()
        };
        match self {
            Self::Touch(key, time) => keyed(wire::CHECKPOINT_ENGINE_CMD_TOUCH, key, four(*time)),
            Self::GetAndTouch(key, time, quiet) => {
                let opcode = wire::CHECKPOINT_ENGINE_CMD_GAT + u8::from(*quiet);
                keyed(opcode, key, four(*time))
            }
            Self::GetLocked(key, time) => {
                let extras = time.map(four).unwrap_or_default();
                keyed(wire::CHECKPOINT_ENGINE_CMD_GET_LOCKED, key, extras)
            }
            Self::Unlock(key, cas) => Parts {
                cas: heard.cas(*cas),
                ..keyed(wire::CHECKPOINT_ENGINE_CMD_UNLOCK_KEY, key, Vec::new())
            },
            Self::Evict(key) => keyed(wire::CHECKPOINT_ENGINE_CMD_EVICT_KEY, key, Vec::new()),
            Self::Sync(options, keys) => sync(*options, keys, heard),
            Self::SetVbucket(state, as_extras) => {
                let state = four(Number(state.0 % 6));
                let (extras, value) = if *as_extras {
                    (state, Vec::new())
                } else {
                    (Vec::new(), state)
                };
                Parts {
                    value,
                    ..extra(wire::CHECKPOINT_ENGINE_CMD_SET_VBUCKET, extras)
                }
            }
            Self::GetVbucket => bare(wire::CHECKPOINT_ENGINE_CMD_GET_VBUCKET),
            Self::DeleteVbucket => bare(wire::CHECKPOINT_ENGINE_CMD_DEL_VBUCKET),
            Self::Persistence(true) => bare(wire::CHECKPOINT_ENGINE_CMD_START_PERSISTENCE),
            Self::Persistence(false) => bare(wire::CHECKPOINT_ENGINE_CMD_STOP_PERSISTENCE),
            Self::FlushParameter(name, value) => {
                parameter(wire::CHECKPOINT_ENGINE_CMD_SET_FLUSH_PARAM, *name, *value)
            }
            Self::TapParameter(name, value) => {
                parameter(wire::CHECKPOINT_ENGINE_CMD_SET_TAP_PARAM, *name, *value)
            }
            Self::LastClosed => bare(wire::CHECKPOINT_ENGINE_CMD_LAST_CLOSED_CHECKPOINT),
            Self::Deregister(name) => {
                let name = Key(super::steps::stream_name(*name));
                keyed(
                    wire::CHECKPOINT_ENGINE_CMD_DEREGISTER_TAP_CLIENT,
                    &name,
                    Vec::new(),
                )
            }
            Self::ResetChain => bare(wire::CHECKPOINT_ENGINE_CMD_RESET_REPLICATION_CHAIN),
            _ => self.parts_of_updates(heard),
        }
    }

    /// Online update, restore mode, and anything.
    fn parts_of_updates(&self, heard: &Heard) -> Parts {
        let bare = |opcode| Parts {
            opcode,
            ..Parts::default()
        };
        let keyed = |opcode, key: &Key| Parts {
            opcode,
            key: key.0.clone(),
            ..Parts::default()
        };
        match self {
            Self::Start(seconds) => Parts {
                extras: seconds.map(four).unwrap_or_default(),
                ..bare(wire::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_START)
            },
            Self::Complete => bare(wire::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_COMPLETE),
            Self::Revert => bare(wire::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_REVERT),
            Self::Deadline(seconds) => Parts {
                extras: four(*seconds),
                ..bare(wire::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_DEADLINE)
            },
            Self::Look(node, entries, prefix, goes_on) => Parts {
                opcode: wire::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_LOOK,
                extras: [four(Number((*node).into())), four(*entries)].concat(),
                key: prefix.as_ref().map_or_else(Vec::new, |key| key.0.clone()),
                value: if *goes_on {
                    heard.cursor.clone()
                } else {
                    Vec::new()
                },
                cas: 0,
            },
            Self::Before(key) => keyed(wire::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_BEFORE, key),
            Self::Undo(key, cas) => Parts {
                cas: heard.cas(*cas),
                ..keyed(wire::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_UNDO, key)
            },
            Self::RestoreBegin(name) => keyed(wire::CHECKPOINT_ENGINE_CMD_RESTORE_BEGIN, name),
            Self::RestoreKey(key, cas, version) => Parts {
                extras: version
                    .as_ref()
                    .map_or_else(Vec::new, |(flags, expiry, _)| {
                        [four(*flags), four(*expiry)].concat()
                    }),
                value: version
                    .as_ref()
                    .map_or_else(Vec::new, |(_, _, it)| it.bytes()),
                cas: heard.cas(*cas),
                ..keyed(wire::CHECKPOINT_ENGINE_CMD_RESTORE_KEY, key)
            },
            Self::RestoreComplete => bare(wire::CHECKPOINT_ENGINE_CMD_RESTORE_COMPLETE),
            Self::RestoreAbort => bare(wire::CHECKPOINT_ENGINE_CMD_RESTORE_ABORT),
            Self::RestoreFile(name) => keyed(wire::CHECKPOINT_ENGINE_CMD_RESTORE_FILE, name),
            Self::Other(opcode, extras, key, value) => Parts {
                opcode: *opcode,
                extras: extras.clone(),
                value: value.clone(),
                ..keyed(*opcode, key)
            },
            _ => Parts::default(),
        }
    }
}

fn sync(options: Number, keys: &[(Cas, Vbucket, Key)], heard: &Heard) -> Parts {
    // Low numbers are the four bits that mean something, and one replica.
    let options = if options.0 < 16 {
        options.0
    } else {
        options.0 & 0xff
    };
    let mut value = options.to_be_bytes().to_vec();
    value.extend(u16::try_from(keys.len()).unwrap_or(u16::MAX).to_be_bytes());
    for (cas, vbucket, key) in keys {
        value.extend(heard.cas(*cas).to_be_bytes());
        value.extend(vbucket.0.to_be_bytes());
        value.extend(u16::try_from(key.0.len()).unwrap_or(u16::MAX).to_be_bytes());
        value.extend(&key.0);
    }
    Parts {
        opcode: wire::CHECKPOINT_ENGINE_CMD_SYNC,
        value,
        ..Parts::default()
    }
}

impl Parts {
    /// The packet; parts that are too long for it are cut off.
    pub(super) fn packet(mut self, vbucket: u16) -> Vec<u8> {
        self.extras.truncate(u8::MAX.into());
        self.key.truncate(1000);
        let body = self.extras.len() + self.key.len() + self.value.len();
        let mut bytes = vec![0x80, self.opcode];
        bytes.extend(u16::try_from(self.key.len()).unwrap().to_be_bytes());
        bytes.extend([u8::try_from(self.extras.len()).unwrap(), 0]);
        bytes.extend(vbucket.to_be_bytes());
        bytes.extend(u32::try_from(body).unwrap().to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.cas.to_be_bytes());
        for part in [self.extras, self.key, self.value] {
            bytes.extend(part);
        }
        bytes
    }
}
