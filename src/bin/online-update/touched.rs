//! The keys that a window touched, as a node lists them, a page at a time.

use crate::link::Link;
use crate::packet::{Answer, Request, opcode, status};
use crate::window;

/// All active and pending vbuckets of the node.
const NODE: u32 = 1;
/// Bytes of an entry before its key.
const ENTRY_BYTES: usize = 48;
/// Set when a size is not known without a look at the disk.
const SIZE_UNKNOWN: u8 = 1;

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Added,
    Updated,
    Deleted,
    Vanished,
}

impl What {
    /// The word that listings print.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Vanished => "vanished",
        }
    }
}

/// A key before the window, or now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Side {
    /// `None`: only the disk knows.
    pub(crate) size: Option<u32>,
    pub(crate) flags: u32,
    pub(crate) expiry: u32,
    pub(crate) cas: u64,
}

/// A touched key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    pub(crate) vbucket: u16,
    pub(crate) what: What,
    pub(crate) old: Option<Side>,
    pub(crate) new: Option<Side>,
    pub(crate) key: Vec<u8>,
}

/// Why a listing ended before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// No window is open.
    NoWindow(String),
    Failed(String),
}

impl From<String> for Stop {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

/// What an answer means that no window is open to be looked into.
pub(crate) fn not_open(link: &mut Link, answer: &Answer) -> Stop {
    if window::is_being_ended(link) {
        Stop::Failed(answer.words())
    } else {
        Stop::NoWindow(answer.words())
    }
}

/// Shows every key with a prefix that a node's window touched to `see`, which may stop it.
///
/// # Errors
/// Why it ended early.
pub(crate) fn list(
    link: &mut Link,
    prefix: &[u8],
    see: &mut dyn FnMut(Touched) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let extras = [NODE.to_be_bytes(), 0_u32.to_be_bytes()].concat();
    let mut cursor = Vec::new();
    loop {
        let answer = link.call(&Request {
            opcode: opcode::LOOK,
            extras: &extras,
            key: prefix,
            value: &cursor,
            ..Request::default()
        })?;
        match answer.status() {
            status::SUCCESS => {}
            status::NOT_SUPPORTED => return Err(not_open(link, &answer)),
            status::UNKNOWN_COMMAND => {
                let text = "its engine's windows cannot be looked into (no command LOOK)";
                return Err(Stop::Failed(text.to_owned()));
            }
            _ => return Err(Stop::Failed(answer.words())),
        }
        let mut rest = answer.value();
        while !rest.is_empty() {
            let (touched, behind) = decode(rest).ok_or_else(|| {
                Stop::Failed("it lists touched keys in a form unknown here".to_owned())
            })?;
            see(touched)?;
            rest = behind;
        }
        if answer.key().is_empty() {
            return Ok(());
        }
        if cursor == answer.key() {
            return Err(Stop::Failed(
                "its list of touched keys does not end".to_owned(),
            ));
        }
        cursor = answer.key().to_vec();
    }
}

/// Takes one entry off a page.
fn decode(bytes: &[u8]) -> Option<(Touched, &[u8])> {
    let (head, rest) = bytes.split_at_checked(ENTRY_BYTES)?;
    let half = |at: usize| Some(u16::from_be_bytes(head.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_be_bytes(head.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_be_bytes(head.get(at..at + 8)?.try_into().ok()?));
    let what = match head.get(2)? {
        1 => What::Added,
        2 => What::Updated,
        3 => What::Deleted,
        4 => What::Vanished,
        _ => return None,
    };
    let unknown = head.get(3)? & SIZE_UNKNOWN != 0;
    let (key, rest) = rest.split_at_checked(usize::from(half(4)?))?;
    let old = Side {
        size: Some(word(8)?).filter(|_| !unknown),
        flags: word(16)?,
        expiry: word(24)?,
        cas: long(32)?,
    };
    let new = Side {
        size: Some(word(12)?),
        flags: word(20)?,
        expiry: word(28)?,
        cas: long(40)?,
    };
    let touched = Touched {
        vbucket: half(0)?,
        what,
        old: matches!(what, What::Updated | What::Deleted).then_some(old),
        new: matches!(what, What::Updated | What::Added).then_some(new),
        key: key.to_vec(),
    };
    Some((touched, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry of the page.
    fn entry(what: u8, flags: u8, key: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 3, what, flags, 0, u8::try_from(key.len()).unwrap(), 0, 0];
        for word in 1..=6_u32 {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        for long in 7..=8_u64 {
            bytes.extend_from_slice(&long.to_be_bytes());
        }
        bytes.extend_from_slice(key);
        bytes
    }

    #[test]
    fn entries_follow_each_other() {
        let page = [entry(2, 0, b"key"), entry(1, 0, b""), entry(3, 1, b"x")].concat();
        let (first, rest) = decode(&page).unwrap();
        assert_eq!(
            (first.vbucket, first.what, &first.key[..]),
            (3, What::Updated, &b"key"[..])
        );
        let old = first.old.unwrap();
        assert_eq!(
            (old.size, old.flags, old.expiry, old.cas),
            (Some(1), 3, 5, 7)
        );
        let new = first.new.unwrap();
        assert_eq!(
            (new.size, new.flags, new.expiry, new.cas),
            (Some(2), 4, 6, 8)
        );
        let (second, rest) = decode(rest).unwrap();
        assert_eq!((second.what, second.old), (What::Added, None));
        let (third, rest) = decode(rest).unwrap();
        assert_eq!(
            (third.what, third.old.unwrap().size, third.new),
            (What::Deleted, None, None)
        );
        assert!(rest.is_empty());
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_refused() {
        let good = entry(2, 0, b"key");
        for length in 0..good.len() {
            assert_eq!(decode(&good[..length]), None, "{length}");
        }
        assert_eq!(decode(&entry(9, 0, b"key")), None);
    }
}
