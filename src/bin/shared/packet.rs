//! The binary protocol: requests as bytes, answers from bytes. Lengths that a node announces are
//! checked here, before anything is kept.

use crate::text;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 24;
/// Longest packet with a value that is accepted: `max_item_size` is 1 GiB at most, and what stands
/// beside the value is short.
pub(crate) const VALUE_BODY_BYTES_MAX: usize = (1 << 30) + (1 << 20);
/// Longest answer of any other kind that is accepted.
const BODY_BYTES_MAX: usize = 32 << 20;

const REQUEST: u8 = 0x80;
const RESPONSE: u8 = 0x81;

/// What can be asked.
pub(crate) mod opcode {
    pub(crate) const GET: u8 = 0x00;
    pub(crate) const STAT: u8 = 0x10;
    pub(crate) const SASL_LIST_MECHS: u8 = 0x20;
    pub(crate) const SASL_AUTH: u8 = 0x21;
    pub(crate) const START: u8 = 0x9b;
    pub(crate) const COMPLETE: u8 = 0x9c;
    pub(crate) const REVERT: u8 = 0x9d;
    pub(crate) const LOOK: u8 = 0xe8;
    pub(crate) const BEFORE: u8 = 0xe9;
    pub(crate) const UNDO: u8 = 0xea;
    pub(crate) const DEADLINE: u8 = 0xeb;
}

/// What can be answered.
pub(crate) mod status {
    pub(crate) const SUCCESS: u16 = 0x00;
    pub(crate) const KEY_ENOENT: u16 = 0x01;
    pub(crate) const EINVAL: u16 = 0x04;
    pub(crate) const AUTH_ERROR: u16 = 0x20;
    pub(crate) const UNKNOWN_COMMAND: u16 = 0x81;
    pub(crate) const NOT_SUPPORTED: u16 = 0x83;
    pub(crate) const TEMPORARY: u16 = 0x86;
}

/// One request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Request<'a> {
    pub(crate) opcode: u8,
    pub(crate) vbucket: u16,
    pub(crate) cas: u64,
    pub(crate) extras: &'a [u8],
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl Request<'_> {
    /// Its bytes.
    ///
    /// # Errors
    /// A key or a body that no header can announce.
    pub(crate) fn encode(&self, opaque: u32) -> Result<Vec<u8>, String> {
        let body = self.extras.len() + self.key.len() + self.value.len();
        let key = u16::try_from(self.key.len());
        let extras = u8::try_from(self.extras.len());
        let (Ok(key), Ok(extras), Ok(body)) = (key, extras, u32::try_from(body)) else {
            return Err("the request is too long".to_owned());
        };
        let mut bytes = vec![REQUEST, self.opcode];
        bytes.extend_from_slice(&key.to_be_bytes());
        bytes.extend_from_slice(&[extras, 0]);
        bytes.extend_from_slice(&self.vbucket.to_be_bytes());
        bytes.extend_from_slice(&body.to_be_bytes());
        bytes.extend_from_slice(&opaque.to_be_bytes());
        bytes.extend_from_slice(&self.cas.to_be_bytes());
        for part in [self.extras, self.key, self.value] {
            bytes.extend_from_slice(part);
        }
        Ok(bytes)
    }
}

/// The header of an answer, whose lengths agree with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) opcode: u8,
    pub(crate) status: u16,
    pub(crate) opaque: u32,
    pub(crate) body: usize,
    extras: usize,
    key: usize,
}

impl Header {
    /// Reads one.
    ///
    /// # Errors
    /// What is no answer, or announces lengths that cannot be.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, String> {
        let &[
            magic,
            opcode,
            k0,
            k1,
            extras,
            _,
            s0,
            s1,
            b0,
            b1,
            b2,
            b3,
            o0,
            o1,
            o2,
            o3,
            ..,
        ] = bytes;
        if magic != RESPONSE {
            return Err(format!(
                "it does not speak memcached's binary protocol (magic {magic:#04x})"
            ));
        }
        let body = usize::try_from(u32::from_be_bytes([b0, b1, b2, b3])).unwrap_or(usize::MAX);
        let (extras, key) = (
            usize::from(extras),
            usize::from(u16::from_be_bytes([k0, k1])),
        );
        let most = match opcode {
            opcode::GET | opcode::BEFORE => VALUE_BODY_BYTES_MAX,
            _ => BODY_BYTES_MAX,
        };
        if body > most {
            return Err(format!(
                "it announces an answer of {body} bytes, more than any can have"
            ));
        }
        if extras + key > body {
            return Err(format!(
                "it announces {extras} bytes of extras and {key} of a key in a body of {body}"
            ));
        }
        Ok(Self {
            opcode,
            status: u16::from_be_bytes([s0, s1]),
            opaque: u32::from_be_bytes([o0, o1, o2, o3]),
            body,
            extras,
            key,
        })
    }
}

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    header: Header,
    body: Vec<u8>,
}

impl Answer {
    /// Header and body, which is as long as the header says.
    pub(crate) const fn new(header: Header, body: Vec<u8>) -> Self {
        Self { header, body }
    }

    pub(crate) const fn status(&self) -> u16 {
        self.header.status
    }

    pub(crate) fn key(&self) -> &[u8] {
        let Header { extras, key, .. } = self.header;
        self.body.get(extras..extras + key).unwrap_or_default()
    }

    pub(crate) fn value(&self) -> &[u8] {
        let Header { extras, key, .. } = self.header;
        self.body.get(extras + key..).unwrap_or_default()
    }

    /// What the node says in its answer, or what its status means.
    pub(crate) fn words(&self) -> String {
        let said = text::words(self.value());
        if self.status() == status::AUTH_ERROR {
            return format!("it asks for a user and a password: --user, --password-file ({said})");
        }
        if !said.is_empty() {
            return said;
        }
        let meaning = match self.status() {
            status::KEY_ENOENT => "there is no such thing",
            status::EINVAL => "the node found the request malformed",
            status::UNKNOWN_COMMAND => "the node does not know this command",
            0x03 => "too large",
            0x07 => "the vbucket is not served there",
            0x82 => "out of memory",
            0x83 => "not in this state",
            0x84 => "a defect of the node, see its log",
            0x85 => "the node is busy",
            status::TEMPORARY => "not now, try again",
            _ => "the node says nothing about it",
        };
        format!("{meaning} (status {:#04x})", self.status())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use checkpoint_engine::constants as engine;

    /// The header of an answer.
    fn header(key: u16, extras: u8, body: u32) -> [u8; HEADER_BYTES] {
        let request = Request {
            opcode: opcode::STAT,
            ..Request::default()
        };
        let mut bytes: [u8; HEADER_BYTES] = request.encode(7).unwrap().try_into().unwrap();
        bytes[0] = RESPONSE;
        bytes[2..4].copy_from_slice(&key.to_be_bytes());
        bytes[4] = extras;
        bytes[8..12].copy_from_slice(&body.to_be_bytes());
        bytes
    }

    #[test]
    fn a_request_has_its_lengths() {
        let request = Request {
            opcode: opcode::START,
            vbucket: 3,
            cas: 7,
            extras: b"ex",
            key: b"key",
            value: b"value",
        };
        let bytes = request.encode(9).unwrap();
        assert_eq!(bytes[..12], [0x80, 0x9b, 0, 3, 2, 0, 0, 3, 0, 0, 0, 10]);
        assert_eq!(bytes[16..HEADER_BYTES], [0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(bytes[HEADER_BYTES..], *b"exkeyvalue");
        let long = vec![0; 70_000];
        let request = Request {
            key: &long,
            ..Request::default()
        };
        assert!(request.encode(0).is_err());
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        let good = Header::decode(&header(2, 4, 9)).unwrap();
        let answer = Answer::new(good, b"exxxkkvvv".to_vec());
        assert_eq!((answer.key(), answer.value()), (&b"kk"[..], &b"vvv"[..]));
        assert!(
            Header::decode(&header(2, 4, 5))
                .unwrap_err()
                .contains("body of 5")
        );
        assert!(
            Header::decode(&header(0, 0, u32::MAX))
                .unwrap_err()
                .contains("more than any")
        );
        // A value may be longer than any other answer.
        let long = u32::try_from(BODY_BYTES_MAX).unwrap() + 1;
        assert!(Header::decode(&header(0, 0, long)).is_err());
        for (opcode, most) in [(opcode::GET, 1 << 30), (opcode::BEFORE, 1 << 30)] {
            let mut value = header(0, 4, most + 4);
            value[1] = opcode;
            assert!(Header::decode(&value).is_ok());
            value[8] = 0xff;
            assert!(Header::decode(&value).is_err());
        }
        let mut request = header(0, 0, 0);
        request[0] = REQUEST;
        assert!(Header::decode(&request).unwrap_err().contains("0x80"));
    }

    #[test]
    fn numbers_are_those_of_the_engine() {
        assert_eq!(
            opcode::START,
            engine::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_START
        );
        assert_eq!(
            opcode::COMPLETE,
            engine::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_COMPLETE
        );
        assert_eq!(
            opcode::REVERT,
            engine::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_REVERT
        );
        assert_eq!(status::SUCCESS, engine::CHECKPOINT_ENGINE_STATUS_SUCCESS);
        assert_eq!(
            status::KEY_ENOENT,
            engine::CHECKPOINT_ENGINE_STATUS_KEY_ENOENT
        );
        assert_eq!(status::EINVAL, engine::CHECKPOINT_ENGINE_STATUS_EINVAL);
        assert_eq!(
            status::UNKNOWN_COMMAND,
            engine::CHECKPOINT_ENGINE_STATUS_UNKNOWN_COMMAND
        );
    }
}
