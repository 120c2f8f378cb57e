//! A stream of a node's (TAP), as its client sees it. Nothing that a node says is trusted.

use crate::client::Client;
use crate::clock::Until;
use crate::link::Link;
use crate::nodes::Node;
use crate::packet::{HEADER_BYTES, VALUE_BODY_BYTES_MAX};
use crate::record::Bytes;
use crate::signals::Asked;
use crate::text;

/// Read at a time.
const CHUNK_BYTES: usize = 256 << 10;

const TAP_CONNECT: u8 = 0x40;
const MUTATION: u8 = 0x41;
const DELETE: u8 = 0x42;
const FLUSH: u8 = 0x43;
const OPAQUE: u8 = 0x44;
const CHECKPOINT_START: u8 = 0x46;
const CHECKPOINT_END: u8 = 0x47;

const DUMP: u32 = 0x02;
const SUPPORT_ACK: u32 = 0x10;
const CHECKPOINT: u32 = 0x40;
const REGISTERED_CLIENT: u32 = 0x80;

const REQUEST: u8 = 0x80;
const RESPONSE: u8 = 0x81;
/// The node wants an answer.
const ACK: u16 = 1;
/// The message has no value.
const NO_VALUE: u16 = 2;

/// The whole state of a vbucket follows.
const WHOLE: u32 = 1;
/// All of a vbucket was sent.
const DONE: u32 = 7;

/// What a message says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said<'a> {
    /// What was said of the vbucket before is void.
    Whole,
    /// The key has that value.
    Value {
        key: &'a [u8],
        value: &'a [u8],
        /// As the client sent them.
        flags: u32,
        expiry: u32,
        cas: u64,
    },
    /// The key was deleted.
    Deleted { key: &'a [u8] },
    /// That checkpoint begins.
    Begins { checkpoint: u64 },
    /// That checkpoint ends.
    Ends { checkpoint: u64 },
    /// All was sent of the vbucket.
    Done,
    /// Nothing that a backup needs.
    Nothing,
}

/// A message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) vbucket: u16,
    pub(crate) said: Said<'a>,
}

/// A stream.
#[derive(Debug)]
pub(crate) struct Stream {
    link: Link,
    client: Client,
    buffer: Vec<u8>,
    at: usize,
    /// The message before this one wants that as its answer.
    answer: Option<(u8, u32)>,
    /// Ends it.
    asked: Asked,
}

impl Stream {
    /// Asks for what has changed since the checkpoints that `has` lists by vbucket, or for the
    /// whole state; `keep` has the node keep what comes after it under that name.
    ///
    /// # Errors
    /// Says why there is no stream.
    pub(crate) fn connect(
        client: &Client,
        (node, asked): (&Node, Asked),
        (name, keep): (&str, bool),
        has: &[(u16, u64)],
    ) -> Result<Self, String> {
        let mut link = client.open(node)?;
        let registered = if keep { REGISTERED_CLIENT } else { 0 };
        let flags = DUMP | SUPPORT_ACK | CHECKPOINT | registered;
        let mut list = u16::try_from(has.len())
            .map_err(|_| "too many vbuckets")?
            .to_be_bytes()
            .to_vec();
        for (vbucket, checkpoint) in has {
            list.extend(vbucket.to_be_bytes());
            list.extend(checkpoint.to_be_bytes());
        }
        link.send(&crate::packet::Request {
            opcode: TAP_CONNECT,
            extras: &flags.to_be_bytes(),
            key: name.as_bytes(),
            value: &list,
            ..crate::packet::Request::default()
        })?;
        Ok(Self {
            link,
            client: client.clone(),
            buffer: Vec::new(),
            at: 0,
            answer: None,
            asked,
        })
    }

    /// Over a connection that was asked for it already, for fuzzers.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn over(link: Link, client: Client) -> Self {
        Self {
            link,
            client,
            buffer: Vec::new(),
            at: 0,
            answer: None,
            asked: Asked::default(),
        }
    }

    /// The next message; `None` when the node has closed the stream. What was said before is
    /// acknowledged.
    ///
    /// # Errors
    /// The node is silent, or says what makes no sense, or the program is asked to end.
    pub(crate) fn next(&mut self) -> Result<Option<Message<'_>>, String> {
        if let Some((opcode, seqno)) = self.answer.take() {
            let mut bytes = vec![RESPONSE, opcode];
            bytes.extend([0; 10]);
            bytes.extend(seqno.to_be_bytes());
            bytes.extend([0; 8]);
            self.link.write(&bytes)?;
        }
        if !self.has(HEADER_BYTES)? {
            return Ok(None);
        }
        let head = Header::parse(self.buffer.get(self.at..).unwrap_or_default());
        let head = head.ok_or("it sends what is no packet")?;
        if head.body > VALUE_BODY_BYTES_MAX {
            return Err(format!("it announces a message of {} bytes", head.body));
        }
        let length = HEADER_BYTES + head.body;
        if !self.has(length)? {
            return Ok(None);
        }
        let begin = self.at + HEADER_BYTES;
        self.at += length;
        let body = self.buffer.get(begin..self.at).unwrap_or_default();
        if head.magic == RESPONSE {
            let words = text::words(body);
            return Err(format!(
                "it refuses the stream: {words} (status {:#04x}; its log may say more)",
                head.vbucket
            ));
        }
        let (said, wants) = parse(&head, body).ok_or_else(|| {
            let opcode = head.opcode;
            format!("it sends a message ({opcode:#04x}) whose lengths are wrong")
        })?;
        self.answer = wants.then_some((head.opcode, head.seqno));
        Ok(Some(Message {
            vbucket: head.vbucket,
            said,
        }))
    }

    /// Whether so many bytes are there, or come before the end of the connection.
    fn has(&mut self, length: usize) -> Result<bool, String> {
        let until = Until::after(self.client.timeout);
        if self.buffer.len() - self.at < length && self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        while self.buffer.len() - self.at < length {
            // A signal ends the wait for bytes, too.
            self.asked.check()?;
            if !self.link.read_some(&mut self.buffer, CHUNK_BYTES, until)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The header of a message.
struct Header {
    magic: u8,
    opcode: u8,
    key: usize,
    extras: usize,
    /// In an answer: its status.
    vbucket: u16,
    body: usize,
    seqno: u32,
    cas: u64,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let (magic, opcode, key) = (bytes.u8()?, bytes.u8()?, bytes.u16()?);
        let (extras, _, vbucket) = (bytes.u8()?, bytes.u8()?, bytes.u16()?);
        let (body, seqno, cas) = (bytes.u32()?, bytes.u32()?, bytes.u64()?);
        matches!(magic, REQUEST | RESPONSE).then_some(Self {
            magic,
            opcode,
            key: key.into(),
            extras: extras.into(),
            vbucket,
            body: usize::try_from(body).ok()?,
            seqno,
            cas,
        })
    }
}

/// What a message says, and whether it wants an answer.
fn parse<'a>(head: &Header, body: &'a [u8]) -> Option<(Said<'a>, bool)> {
    let mut body = Bytes(body);
    let mut extras = Bytes(body.take(head.extras)?);
    let opcode = head.opcode;
    if !(MUTATION..=CHECKPOINT_END).contains(&opcode) {
        // A sign of life.
        return Some((Said::Nothing, false));
    }
    let (specific, flags) = (extras.u16()?, extras.u16()?);
    extras.take(4)?;
    let specific = body.take(specific.into())?;
    let key = body.take(head.key)?;
    let checkpoint = || <[u8; 8]>::try_from(body.0).ok().map(u64::from_be_bytes);
    let said = match opcode {
        MUTATION if flags & NO_VALUE == 0 => Said::Value {
            key: some(key)?,
            value: body.0,
            // The host swaps the word that engines keep in network order.
            flags: extras.u32()?.swap_bytes(),
            expiry: extras.u32()?,
            cas: head.cas,
        },
        MUTATION => return None,
        DELETE => Said::Deleted { key: some(key)? },
        FLUSH => Said::Whole,
        OPAQUE => match <[u8; 4]>::try_from(specific).map(u32::from_be_bytes) {
            Ok(WHOLE) => Said::Whole,
            Ok(DONE) => Said::Done,
            _ => Said::Nothing,
        },
        CHECKPOINT_START => Said::Begins {
            checkpoint: checkpoint()?,
        },
        CHECKPOINT_END => Said::Ends {
            checkpoint: checkpoint()?,
        },
        _ => Said::Nothing,
    };
    Some((said, flags & ACK != 0))
}

/// A key of a legal length.
fn some(key: &[u8]) -> Option<&[u8]> {
    let legal = 1..=crate::record::KEY_BYTES_MAX;
    legal.contains(&key.len()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(opcode: u8, extras: usize, key: usize) -> Header {
        Header {
            magic: REQUEST,
            opcode,
            key,
            extras,
            vbucket: 3,
            body: 0,
            seqno: 9,
            cas: 77,
        }
    }

    #[test]
    fn messages_are_read() {
        // Two engine-specific bytes, an answer is wanted, flags 0x01020304, expiry 5.
        let mut body = vec![0, 2, 0, 1, 255, 0, 0, 0, 4, 3, 2, 1, 0, 0, 0, 5];
        body.extend(b"xxkeyvalue");
        let value = Said::Value {
            key: b"key",
            value: b"value",
            flags: 0x0102_0304,
            expiry: 5,
            cas: 77,
        };
        assert_eq!(parse(&head(MUTATION, 16, 3), &body), Some((value, true)));
        for length in 0..body.len() - 5 {
            assert_eq!(parse(&head(MUTATION, 16, 3), &body[..length]), None);
        }
        let small = [0, 0, 0, 0, 255, 0, 0, 0, b'k'];
        let deleted = Said::Deleted { key: b"k" };
        assert_eq!(parse(&head(DELETE, 8, 1), &small), Some((deleted, false)));
        assert_eq!(parse(&head(DELETE, 8, 0), &small), None);
        let code = |code| [0, 4, 0, 1, 255, 0, 0, 0, 0, 0, 0, code];
        for (number, said) in [
            (1, Said::Whole),
            (7, Said::Done),
            (4, Said::Nothing),
            (8, Said::Nothing),
        ] {
            let body = code(number);
            let found = parse(&head(OPAQUE, 8, 0), &body);
            assert_eq!(found, Some((said, true)));
        }
        let mut start = vec![0, 0, 0, 1, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        start.extend(6_u64.to_be_bytes());
        let begins = Said::Begins { checkpoint: 6 };
        let found = parse(&head(CHECKPOINT_START, 16, 0), &start);
        assert_eq!(found, Some((begins, true)));
        start.pop();
        assert_eq!(parse(&head(CHECKPOINT_START, 16, 0), &start), None);
        assert_eq!(parse(&head(0x0a, 0, 0), &[]), Some((Said::Nothing, false)));
    }
}
