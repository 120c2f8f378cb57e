//! What fuzzers call (docs/reliability.md, "Fuzzing"): what a node answers that is no friend.
//! Compiled with the tests, which run the committed inputs, and into a program of `tests/fuzz`.
#![allow(clippy::unwrap_used, reason = "a target fails by a panic")]

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};

use crate::link::Link;
use crate::nodes::Node;
use crate::packet::opcode;
use crate::status;
use crate::sums::Sums;
use crate::touched;
use crate::window::{self, Window};

/// Names of statistics that somebody asks for.
const NAMES: &[&str] = &[
    "state",
    "pid",
    "uptime",
    "seconds_open",
    "added_keys",
    "updated_keys",
    "deleted_keys",
    "vanished_keys",
    "touched_keys",
    "window_bytes",
    "progress_done",
    "progress_total",
    "last_outcome",
    "last_outcome_seconds",
    "seconds_left",
    "bytes_left",
    "can_complete",
    "vb_0",
    "vb_0:state",
    "vb_0:open_checkpoint_id",
];

/// What they say.
#[derive(Arbitrary, Debug)]
enum Word {
    Number(u64),
    /// "open" and the like.
    Known(u8),
    Bytes(Vec<u8>),
}

impl Word {
    fn bytes(&self) -> Vec<u8> {
        let known = [
            "none",
            "open",
            "completing",
            "reverting",
            "active",
            "pending",
            "no: why",
        ];
        match self {
            Self::Number(number) => number.to_string().into_bytes(),
            Self::Known(which) => known[usize::from(*which) % known.len()].into(),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}

/// An entry of LOOK.
#[derive(Arbitrary, Debug)]
struct Entry {
    head: [u8; 4],
    words: [u32; 6],
    longs: [u64; 2],
    key: Vec<u8>,
}

/// One answer.
#[derive(Arbitrary, Debug)]
enum Answer {
    Statistic(u8, Word),
    OtherStatistic(Vec<u8>, Vec<u8>),
    EndOfStatistics,
    Page(Vec<u8>, Vec<Entry>),
    Refusal(u16, Vec<u8>),
    Raw(Vec<u8>),
}

/// The answers as bytes, each to the request that it can be for.
fn bytes_of(answers: &[Answer]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut number = 1_u32;
    // Five groups are asked for first.
    let mut groups = 0;
    for answer in answers {
        let opcode = if groups < 5 {
            opcode::STAT
        } else {
            opcode::LOOK
        };
        let (status, key, value, ends) = match answer {
            Answer::Statistic(name, word) => {
                let name = NAMES[usize::from(*name) % NAMES.len()].as_bytes();
                (0, name.to_vec(), word.bytes(), false)
            }
            Answer::OtherStatistic(name, value) => (0, name.clone(), value.clone(), false),
            Answer::EndOfStatistics => (0, Vec::new(), Vec::new(), true),
            Answer::Page(cursor, entries) => {
                let mut page = Vec::new();
                for entry in entries {
                    page.extend(entry.head);
                    let length = u16::try_from(entry.key.len()).unwrap_or(0);
                    page.extend([&length.to_be_bytes()[..], &[0, 0]].concat());
                    page.extend(entry.words.iter().flat_map(|it| it.to_be_bytes()));
                    page.extend(entry.longs.iter().flat_map(|it| it.to_be_bytes()));
                    page.extend(&entry.key);
                }
                (0, cursor.clone(), page, true)
            }
            Answer::Refusal(status, words) => (*status, Vec::new(), words.clone(), true),
            Answer::Raw(raw) => {
                bytes.extend(raw);
                continue;
            }
        };
        bytes.extend([0x81, opcode]);
        bytes.extend(u16::try_from(key.len()).unwrap_or(0).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(status.to_be_bytes());
        bytes.extend(
            u32::try_from(key.len() + value.len())
                .unwrap_or(0)
                .to_be_bytes(),
        );
        bytes.extend(number.to_be_bytes());
        bytes.extend([0; 8]);
        bytes.extend([key, value].concat());
        number += u32::from(ends);
        groups += u32::from(ends);
    }
    bytes
}

/// What a node answers to `status`, and then to `diff`.
///
/// # Panics
/// When the tool does not keep its promise of one tame line for each node.
pub(crate) fn online_update(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut answers = Vec::new();
    while let Ok(answer) = Answer::arbitrary(&mut input) {
        answers.push(answer);
        if input.is_empty() {
            break;
        }
    }
    let timeout = Duration::from_secs(10);
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    // What does not fit is cut off.
    theirs.set_nonblocking(true).unwrap();
    let _ = theirs.write_all(&bytes_of(&answers));
    theirs.shutdown(Shutdown::Write).unwrap();
    let mut link = Link::over(TcpStream::from(OwnedFd::from(ours)), timeout);
    let node = Node {
        name: "node".to_owned(),
        address: SocketAddr::from(([127, 0, 0, 1], 1)),
    };
    let found = Window::read(&mut link);
    let shown = status::in_a_line(&node, &found);
    assert!(!shown.contains(char::is_control), "{shown:?}");
    let words = status::in_words(&[node], &[found]);
    assert!(words.len() < 1 << 16, "{words}");
    let _ = window::identity(&mut link);
    let mut sums = Sums::default();
    let seen = touched::list(&mut link, b"", &mut |touched| {
        sums.count(b"", &touched);
        Ok(())
    });
    let _ = (seen, sums.all.keys());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay;

    #[test]
    fn answers() {
        replay::run("online_update", online_update);
    }
}
