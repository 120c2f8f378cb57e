//! Backups into a node that runs: the newest records first, so that the first one of a key is the
//! one that counts, and the node need not know of more than what is there.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::chain;
use crate::client::Client;
use crate::clock::Until;
use crate::exit::Exit;
use crate::link::Link;
use crate::nodes::Node;
use crate::output::Style;
use crate::packet::{Answer, HEADER_BYTES, Header, Request, status};
use crate::progress::{self, Show, Steps};
use crate::reader::Backup;
use crate::record::Record;
use crate::text;

mod opcode {
    pub(super) const COMPLETE: u8 = 0x9a;
    pub(super) const BEGIN: u8 = 0xec;
    pub(super) const KEY: u8 = 0xed;
}

const EXISTS: u16 = 0x02;
const TOO_BIG: u16 = 0x03;
const NOT_STORED: u16 = 0x05;
const NOT_MY_VBUCKET: u16 = 0x07;
const NO_MEMORY: u16 = 0x82;
const BUSY: u16 = 0x85;

/// Keys that are sent before their answers are read.
const KEYS: usize = 512;
/// Bytes of them.
const BYTES: usize = 1 << 20;
/// Keys that are named one by one.
const NAMED: u64 = 10;
/// Where nothing is to be sent for so long, the node gets a sign of life: a connection that is
/// silent for 120 s ends its restore.
const ALIVE: Duration = Duration::from_secs(10);
/// How long a node may have no room for any key.
const PATIENCE: Duration = Duration::from_mins(1);
/// First and longest pause before keys are sent again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// Longest name that a node is told, in bytes.
const NAME_BYTES_MAX: usize = 250;

/// Why a restore has ended, and whether keys were put in place by then.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) text: String,
    pub(crate) exit: Exit,
}

/// What has become of the records.
#[derive(Debug, Default)]
struct Counts {
    /// In place.
    restored: u64,
    /// Deletions, noted so that nothing older comes.
    deleted: u64,
    /// There is something newer: of the backup, or of clients.
    left_out: u64,
    /// They have expired by now.
    expired: u64,
    /// The node has no store, and has evicted too many.
    no_room: u64,
    /// Longer than the node takes.
    too_big: u64,
    /// Records that were dealt with.
    done: u64,
}

/// One restore.
struct Restore<'a> {
    link: Link,
    timeout: Duration,
    counts: Counts,
    total: u64,
    /// Vbuckets that the newest backup has, without those of which all is in place.
    wanted: BTreeSet<u16>,
    /// Vbuckets that only older ones have.
    others: &'a BTreeSet<u16>,
    /// Something was sent, and may be in place without an answer.
    begun: bool,
    /// When the next sign of life is due.
    alive: Until,
    steps: &'a Steps,
}

/// Restores backups that fit together.
///
/// # Errors
/// What is wrong with the files or with the node. Nothing is sent while a file is not right.
pub(crate) fn restore(
    client: &Client,
    node: &Node,
    files: &[PathBuf],
    (style, show): (Style, Show),
) -> Result<(), Failure> {
    let refused = |text| Failure {
        text,
        exit: Exit::Refused,
    };
    let named = |text: String| refused(format!("{}: {text}", node.name));
    let backups = chain::read(files).map_err(refused)?;
    let Some(newest) = backups.last() else {
        return Err(refused("no file is named".to_owned()));
    };
    let wanted: BTreeSet<u16> = newest.end.vbuckets.keys().copied().collect();
    let all = backups.iter().flat_map(|backup| backup.end.vbuckets.keys());
    let others = all.copied().filter(|vbucket| !wanted.contains(vbucket));
    let others: BTreeSet<u16> = others.collect();
    let mut link = client.open(node).map_err(named)?;
    fits(&mut link, &wanted).map_err(named)?;
    let name = newest.path.display().to_string();
    begin(&mut link, name.as_bytes()).map_err(named)?;
    let steps = show.nodes(std::slice::from_ref(node));
    let mut restore = Restore {
        link,
        timeout: client.timeout,
        counts: Counts::default(),
        total: backups.iter().map(Backup::records).sum(),
        wanted,
        others: &others,
        begun: false,
        alive: Until::after(ALIVE),
        steps: &steps,
    };
    let sent = restore.all(&backups);
    let (restored, begun) = (restore.counts.restored, restore.begun);
    sent.map_err(|text| Failure {
        text: format!(
            "{}: {text}; {} in place, and others are missing. Restore again when the cause is \
             gone: what is there stays. A node that was started with restore_mode=true stays in \
             restore mode; any other answers misses again, after 120 s at the latest",
            node.name,
            match (restored, begun) {
                (0, false) => "no key is".to_owned(),
                (1, _) => "at least 1 key is".to_owned(),
                _ => format!("at least {restored} keys are"),
            }
        ),
        // What was sent last may be in place though the answers did not come.
        exit: if begun { Exit::Partly } else { Exit::Refused },
    })?;
    complete(&mut restore.link).map_err(|text| Failure {
        text: format!(
            "{}: every key is in place, but whether the node has left restore mode is not known: \
             {text}. `stats restore` shows it. A node that was started with restore_mode=true may \
             have stayed in it: restore again; any other answers misses again, after 120 s at the \
             latest",
            node.name
        ),
        exit: Exit::Partly,
    })?;
    steps.end(0);
    tell(node, (&restore.counts, &others), style);
    Ok(())
}

/// Whether the node has the vbuckets.
fn fits(link: &mut Link, wanted: &BTreeSet<u16>) -> Result<(), String> {
    let states = link.statistics("vbucket")?.unwrap_or_default();
    let state = |vbucket: &u16| states.get(&format!("vb_{vbucket}")).map(String::as_str);
    let other = wanted
        .iter()
        .find(|vbucket| state(vbucket) != Some("active"));
    other.map_or(Ok(()), |vbucket| {
        let state = state(vbucket).unwrap_or("not there");
        Err(format!(
            "vbucket {vbucket} of the backup is {state}: make it active first (SET_VBUCKET)"
        ))
    })
}

fn begin(link: &mut Link, name: &[u8]) -> Result<(), String> {
    let from = name.len().saturating_sub(NAME_BYTES_MAX);
    let answer = link.call(&Request {
        opcode: opcode::BEGIN,
        key: name.get(from..).unwrap_or_default(),
        ..Request::default()
    })?;
    match answer.status() {
        status::SUCCESS => Ok(()),
        status::UNKNOWN_COMMAND => {
            Err("it does not run an engine that restores backups of this program".to_owned())
        }
        _ => Err(answer.words()),
    }
}

/// A sign of life. It begins no restore: where this one has ended, what the node noted for it is
/// gone, and older records must not be taken for the newest.
fn sign(link: &mut Link) -> Result<(), String> {
    let answer = link.call(&Request {
        opcode: opcode::KEY,
        ..Request::default()
    })?;
    match answer.status() {
        status::SUCCESS => Ok(()),
        _ => Err(answer.words()),
    }
}

/// Nothing more will come: a key that is not there is a miss from now on.
fn complete(link: &mut Link) -> Result<(), String> {
    let answer = link.call(&Request {
        opcode: opcode::COMPLETE,
        ..Request::default()
    })?;
    match answer.status() {
        status::SUCCESS => Ok(()),
        _ => Err(answer.words()),
    }
}

impl Restore<'_> {
    /// Until every record is dealt with.
    fn all(&mut self, backups: &[Backup]) -> Result<(), String> {
        for backup in backups.iter().rev() {
            if !self.wanted.is_empty() {
                backup.backwards(&mut |records| self.block(records))?;
            }
        }
        Ok(())
    }

    /// The records of a block, from the last one on.
    fn block(&mut self, records: &[Record<'_>]) -> Result<(), String> {
        if self.alive.left().is_none() {
            sign(&mut self.link)?;
            self.alive = Until::after(ALIVE);
        }
        let mut batch: Vec<Record<'_>> = Vec::new();
        let mut keys: HashSet<(u16, &[u8])> = HashSet::new();
        let mut bytes = 0;
        for record in records.iter().rev() {
            let (key, length) = match *record {
                Record::Whole { vbucket } => {
                    self.wanted.remove(&vbucket);
                    continue;
                }
                Record::Value { key, value, .. } => (key, key.len() + value.len()),
                Record::Deleted { key, .. } => (key, key.len()),
            };
            self.counts.done += 1;
            if self.others.contains(&record.vbucket()) {
                continue;
            }
            if !self.wanted.contains(&record.vbucket()) {
                self.counts.left_out += 1;
                continue;
            }
            // Of one batch the node may take the older and not, for now, the newer.
            if !keys.insert((record.vbucket(), key)) {
                self.counts.left_out += 1;
                continue;
            }
            batch.push(*record);
            bytes += length;
            if batch.len() >= KEYS || bytes >= BYTES {
                self.send(std::mem::take(&mut batch))?;
                keys.clear();
                bytes = 0;
            }
        }
        self.send(batch)
    }

    /// Sends records until each of them is dealt with.
    fn send(&mut self, mut batch: Vec<Record<'_>>) -> Result<(), String> {
        let mut until = Until::after(PATIENCE);
        let mut pause = PAUSES.0;
        while !batch.is_empty() {
            let sent = batch.len();
            batch = self.exchange(&batch)?;
            if batch.len() < sent {
                until = Until::after(PATIENCE);
                pause = PAUSES.0;
            } else if until.left().is_none() {
                return Err(format!(
                    "it has had no room for {} s (max_size, or its disk)",
                    PATIENCE.as_secs()
                ));
            }
            if !batch.is_empty() {
                thread::sleep(pause);
                pause = (pause * 2).min(PAUSES.1);
            }
        }
        self.steps
            .step(0, "restored", (self.counts.done, self.total));
        Ok(())
    }

    /// Sends records, and returns those that the node cannot take for now.
    fn exchange<'r>(&mut self, batch: &[Record<'r>]) -> Result<Vec<Record<'r>>, String> {
        let mut bytes = Vec::new();
        for (opaque, record) in (0..).zip(batch) {
            bytes.extend(encode(record, opaque)?);
        }
        self.begun = true;
        self.link.write(&bytes)?;
        self.alive = Until::after(ALIVE);
        let mut again = Vec::new();
        let mut received = Received::default();
        for (opaque, record) in (0..).zip(batch) {
            let answer = received.next(&mut self.link, self.timeout, opaque)?;
            match answer.status() {
                status::SUCCESS if matches!(record, Record::Deleted { .. }) => {
                    self.counts.deleted += 1;
                }
                status::SUCCESS => self.counts.restored += 1,
                status::KEY_ENOENT => self.counts.expired += 1,
                EXISTS => self.counts.left_out += 1,
                NOT_STORED => self.no_room(record.vbucket()),
                status::TEMPORARY | NO_MEMORY => again.push(*record),
                TOO_BIG => again.extend(self.leave_out(record)),
                NOT_MY_VBUCKET => {
                    let vbucket = record.vbucket();
                    return Err(format!(
                        "vbucket {vbucket} is not active there any more, or was not all the time"
                    ));
                }
                BUSY => return Err("another restore runs".to_owned()),
                _ => return Err(answer.words()),
            }
        }
        Ok(again)
    }

    /// A vbucket that takes no more: the node is full, and has no store to evict to.
    fn no_room(&mut self, vbucket: u16) {
        if self.counts.no_room == 0 {
            progress::warn(&format!(
                "the node has no store and has evicted so many keys that vbucket {vbucket} takes \
                 no more of them: they are left out; the backup is larger than its max_size"
            ));
        }
        self.counts.no_room += 1;
    }

    /// A value that is longer than the node takes. No older one is to come instead.
    fn leave_out<'r>(&mut self, record: &Record<'r>) -> Option<Record<'r>> {
        let Record::Value {
            vbucket,
            key,
            value,
            ..
        } = *record
        else {
            return None;
        };
        self.counts.too_big += 1;
        if self.counts.too_big <= NAMED {
            progress::warn(&format!(
                "the value of {} (vbucket {vbucket}) has {} bytes, more than the node takes \
                 (max_item_size, or half of max_size): left out",
                text::escape(key),
                value.len()
            ));
        }
        Some(Record::Deleted { vbucket, key })
    }
}

fn encode(record: &Record<'_>, opaque: u32) -> Result<Vec<u8>, String> {
    let mut request = Request {
        opcode: opcode::KEY,
        vbucket: record.vbucket(),
        ..Request::default()
    };
    match *record {
        Record::Value {
            key,
            value,
            flags,
            expiry,
            cas,
            ..
        } => {
            let extras = [flags.to_be_bytes(), expiry.to_be_bytes()].concat();
            request = Request {
                extras: &extras,
                key,
                value,
                cas,
                ..request
            };
            request.encode(opaque)
        }
        Record::Deleted { key, .. } => {
            request.key = key;
            request.encode(opaque)
        }
        Record::Whole { .. } => Ok(Vec::new()),
    }
}

/// Answers as they arrive.
#[derive(Debug, Default)]
struct Received {
    bytes: Vec<u8>,
    at: usize,
}

impl Received {
    fn next(&mut self, link: &mut Link, time: Duration, opaque: u32) -> Result<Answer, String> {
        let until = Until::after(time);
        let head = self.take(link, HEADER_BYTES, until)?;
        let head = head.try_into().map_err(|_| "a header is cut off")?;
        let header = Header::decode(&head)?;
        let body = self.take(link, header.body, until)?;
        if (header.opcode, header.opaque) != (opcode::KEY, opaque) {
            return Err("it answered something that was not asked".to_owned());
        }
        Ok(Answer::new(header, body))
    }

    fn take(&mut self, link: &mut Link, length: usize, until: Until) -> Result<Vec<u8>, String> {
        while self.bytes.len() - self.at < length {
            if !link.read_some(&mut self.bytes, CHUNK_BYTES, until)? {
                return Err("it closed the connection".to_owned());
            }
        }
        let from = self.at;
        self.at += length;
        Ok(self.bytes.get(from..self.at).unwrap_or_default().to_vec())
    }
}

/// Read at a time.
const CHUNK_BYTES: usize = 64 << 10;

fn tell(node: &Node, (counts, others): (&Counts, &BTreeSet<u16>), style: Style) {
    let words = format!(
        "{}: {} restored, {} noted; {} left out, because clients or newer backups have them{}{}",
        node.name,
        text::count(counts.restored, "value"),
        text::count(counts.deleted, "deletion"),
        counts.left_out,
        [
            (counts.expired, "had expired"),
            (counts.too_big, "left out because they are too long"),
            (counts.no_room, "left out for want of memory"),
        ]
        .iter()
        .filter(|(count, _)| *count > 0)
        .fold(String::new(), |words, (count, what)| format!(
            "{words}; {count} {what}"
        )),
        if others.is_empty() {
            String::new()
        } else {
            let others = text::vbuckets(others);
            format!("; left out, because the newest backup has nothing of it: {others}")
        }
    );
    let object = json!({
        "command": "restore",
        "result": "done",
        "exit": 0,
        "node": node.name,
        "restored": counts.restored,
        "deletions": counts.deleted,
        "left_out": counts.left_out,
        "expired": counts.expired,
        "no_room": counts.no_room,
        "too_big": counts.too_big,
        "other_vbuckets": others,
    });
    style.event(&words, &object);
}
