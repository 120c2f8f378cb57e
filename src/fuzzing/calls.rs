//! One call of a host, which owns what it says: a call that blocks is made again.

use std::fmt;

use super::shapes::Heard;
use crate::abi::packet as parse_packet;
use crate::commands;
use crate::console;
use crate::engine::{Engine, TapEvent, TapMessage};
use crate::error::{Error, Result};
use crate::host::{Cookie, Reply, Response, StatSink};
use crate::report;
use crate::types::{Arithmetic, StoreOp};

/// A call.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Get {
        key: Vec<u8>,
        vbucket: u16,
    },
    Store {
        op: StoreOp,
        key: Vec<u8>,
        value: Vec<u8>,
        /// Of the item, and what the host gives as expiry.
        numbers: (u32, u32),
        cas: u64,
        vbucket: u16,
    },
    Remove {
        key: Vec<u8>,
        cas: u64,
        vbucket: u16,
    },
    Count {
        key: Vec<u8>,
        by: Arithmetic,
        vbucket: u16,
    },
    Flush(i64),
    Packet(Vec<u8>),
    Stats(Vec<u8>),
    Line(Vec<u8>),
    Connect {
        name: Vec<u8>,
        flags: u32,
        data: Vec<u8>,
    },
    Tap(Tap),
}

/// A TAP message.
#[derive(Clone, Debug)]
pub(super) struct Tap {
    pub(super) event: TapEvent,
    pub(super) specific: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) data: Vec<u8>,
    /// TAP flags.
    pub(super) how: u16,
    pub(super) flags: u32,
    pub(super) expiry: u32,
    pub(super) cas: u64,
    pub(super) vbucket: u16,
}

/// What was answered to a packet.
#[derive(Debug, Default)]
struct Answers {
    cas: u64,
    key: Vec<u8>,
    status: Option<u16>,
    count: usize,
}

impl Reply for Answers {
    fn send(&mut self, response: &Response<'_>) -> Result<()> {
        assert!(response.key.len() <= 250 && response.extras.len() <= 255);
        assert!(response.body.len() < 64 << 20);
        self.cas = response.cas;
        self.key = response.key.to_vec();
        self.status = Some(response.status.0);
        self.count += 1;
        Ok(())
    }
}

/// Statistics, which are looked at and forgotten.
#[derive(Debug, Default)]
struct Sink(usize);

impl StatSink for Sink {
    fn add(&mut self, key: &str, value: &dyn fmt::Display) {
        // A host has a length of 16 bits for each.
        assert!(
            key.len() < 1 << 16 && value.to_string().len() < 1 << 16,
            "{key}"
        );
        self.0 += 1;
        assert!(self.0 < 1 << 20, "statistics do not end");
    }
}

impl Call {
    /// Makes it. `Ok` has the status of a packet's answer.
    pub(super) fn make(
        &self,
        engine: &Engine,
        cookie: Cookie,
        heard: &mut Heard,
    ) -> Result<Option<u16>> {
        match self {
            Self::Get { key, vbucket } => {
                let item = engine.get(cookie, key, *vbucket)?;
                assert_eq!((item.key(), item.value().len()), (&key[..], item.nbytes()));
                heard.cas = item.cas();
            }
            Self::Store {
                op,
                key,
                value,
                numbers: (flags, expiry),
                cas,
                vbucket,
            } => {
                let item = engine.allocate(key, value.len(), *flags, *expiry)?;
                item.fill(value);
                item.set_cas(*cas);
                heard.cas = engine.store(cookie, &item, *op, *vbucket)?;
            }
            Self::Remove { key, cas, vbucket } => engine.remove(cookie, key, *cas, *vbucket)?,
            Self::Count { key, by, vbucket } => {
                heard.cas = engine.arithmetic(cookie, key, by, *vbucket)?.1;
            }
            Self::Flush(when) => engine.flush(cookie, *when)?,
            Self::Packet(bytes) => return packet(engine, cookie, bytes, heard),
            Self::Stats(group) => report::stats(engine, cookie, group, &mut Sink::default())?,
            Self::Line(line) => {
                let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
                let answer = console::execute(engine, cookie, &words);
                assert!(answer.ends_with("\r\n"), "{answer:?}");
            }
            Self::Connect { name, flags, data } => {
                engine.tap_connect(cookie, name, *flags, data)?;
            }
            Self::Tap(tap) => engine.tap_receive(cookie, &tap.message())?,
        }
        Ok(None)
    }
}

fn packet(engine: &Engine, cookie: Cookie, bytes: &[u8], heard: &mut Heard) -> Result<Option<u16>> {
    let request = parse_packet(bytes).ok_or(Error::Invalid)?;
    let mut answers = Answers::default();
    let result = commands::execute(engine, cookie, &request, &mut answers);
    // Who waits was told nothing, and nobody is told twice.
    assert!(answers.count <= usize::from(result.is_ok()), "{answers:?}");
    if answers.cas != 0 {
        heard.cas = answers.cas;
    }
    heard.cursor = answers.key;
    result.map(|()| answers.status)
}

impl Tap {
    fn message(&self) -> TapMessage<'_> {
        TapMessage {
            event: self.event,
            specific: &self.specific,
            key: &self.key,
            data: &self.data,
            tap_flags: self.how,
            flags: self.flags,
            expiry: self.expiry,
            cas: self.cas,
            vbucket: self.vbucket,
        }
    }
}
