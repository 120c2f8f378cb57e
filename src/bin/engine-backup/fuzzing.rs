//! What fuzzers call (docs/reliability.md, "Fuzzing"): bytes that a stranger chose. Compiled with
//! the tests, which run the committed inputs, and into a program of `tests/fuzz`.
#![allow(clippy::unwrap_used, reason = "a target fails by a panic")]

use std::fs;
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};

use crate::block::{self, Kind, MAGIC, Place, VERSION};
use crate::client::Client;
use crate::link::Link;
use crate::reader;
use crate::record::{KEY_BYTES_MAX, Record};
use crate::stream::{Said, Stream};

/// How a file is made of an input.
#[derive(Arbitrary, Debug)]
enum Story<'a> {
    /// It is the file.
    Raw(&'a [u8]),
    /// A file of blocks whose checksums are right.
    Blocks {
        id: u64,
        blocks: Vec<(u8, Vec<u8>)>,
        behind: Vec<u8>,
        changed: Option<(u16, u8)>,
    },
}

impl Story<'_> {
    fn file(self) -> Vec<u8> {
        let (id, blocks, behind, changed) = match self {
            Self::Raw(bytes) => return bytes.to_vec(),
            Self::Blocks {
                id,
                blocks,
                behind,
                changed,
            } => (id, blocks, behind, changed),
        };
        let mut bytes = [&MAGIC[..], &VERSION.to_be_bytes()].concat();
        let mut begin = [&id.to_be_bytes()[..], &[7; 8], &[0; 16], &[0; 8]].concat();
        begin.extend([0, 1, b'n', 0, 0]);
        bytes.extend(block::encode(Kind::Begin, Place::default(), &begin));
        for ((kind, plain), number) in blocks.into_iter().zip(1..) {
            let kind = match kind % 3 {
                0 => Kind::Records,
                1 => Kind::End,
                _ => Kind::Begin,
            };
            bytes.extend(block::encode(kind, Place { number, seed: id }, &plain));
        }
        bytes.extend(behind);
        if let Some((at, bits)) = changed {
            let at = usize::from(at) % bytes.len();
            bytes.iter_mut().skip(at).take(1).for_each(|it| *it ^= bits);
        }
        bytes
    }
}

/// A file that is to be verified, listed and restored.
///
/// # Panics
/// When what is read twice is not the same.
pub(crate) fn backup_file(data: &[u8]) {
    let Ok(story) = Story::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup");
    fs::write(&path, story.file()).unwrap();
    let (mut there, mut keys) = (0_u64, 0_u64);
    let see = &mut |record: &Record<'_>| match record {
        Record::Whole { .. } => {}
        Record::Value { key, .. } | Record::Deleted { key, .. } => {
            assert!((1..=KEY_BYTES_MAX).contains(&key.len()));
            there += 1;
            keys += key.len() as u64;
        }
    };
    let Ok(backup) = reader::read(&path, see) else {
        return;
    };
    assert_eq!(there, backup.records());
    let again = &mut |records: &[Record<'_>]| {
        for record in records {
            if let Record::Value { key, .. } | Record::Deleted { key, .. } = record {
                keys -= key.len() as u64;
            }
        }
        Ok(())
    };
    backup.backwards(again).unwrap();
    assert_eq!(keys, 0);
}

/// What a node sends when it is asked for a stream.
///
/// # Panics
/// When it is told of a key that nobody can have.
pub(crate) fn backup_stream(data: &[u8]) {
    let timeout = Duration::from_secs(10);
    let client = Client {
        credentials: None,
        timeout,
    };
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    // What does not fit is cut off.
    theirs.set_nonblocking(true).unwrap();
    let _ = theirs.write_all(data);
    theirs.shutdown(Shutdown::Write).unwrap();
    let link = Link::over(TcpStream::from(OwnedFd::from(ours)), timeout);
    let mut stream = Stream::over(link, client);
    while let Ok(Some(message)) = stream.next() {
        if let Said::Value { key, .. } | Said::Deleted { key } = message.said {
            assert!((1..=KEY_BYTES_MAX).contains(&key.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay;

    #[test]
    fn backup_files() {
        replay::run("backup_file", backup_file);
    }

    #[test]
    fn backup_streams() {
        replay::run("backup_stream", backup_stream);
    }
}
