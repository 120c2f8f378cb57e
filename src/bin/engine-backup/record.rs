//! What a backup says of keys: records as bytes, and back. Nothing in the bytes is trusted.

/// Longest key.
pub(crate) const KEY_BYTES_MAX: usize = 250;

const VALUE: u8 = 1;
const DELETED: u8 = 2;
const WHOLE: u8 = 3;

/// One record. Later ones of a backup are newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    /// What stands before it of the vbucket, also in older backups, is void: the whole state
    /// follows.
    Whole { vbucket: u16 },
    /// The key has that value.
    Value {
        vbucket: u16,
        key: &'a [u8],
        value: &'a [u8],
        /// As the client sent them.
        flags: u32,
        /// Unix seconds; 0 never.
        expiry: u32,
        cas: u64,
    },
    /// The key was deleted.
    Deleted { vbucket: u16, key: &'a [u8] },
}

impl Record<'_> {
    /// About which vbucket.
    pub(crate) const fn vbucket(&self) -> u16 {
        match *self {
            Self::Whole { vbucket }
            | Self::Value { vbucket, .. }
            | Self::Deleted { vbucket, .. } => vbucket,
        }
    }

    /// Appends its bytes. The key has 250 bytes at most, the value less than 4 GiB.
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        let head = |kind: u8, key: &[u8], bytes: &mut Vec<u8>| {
            bytes.push(kind);
            bytes.extend(self.vbucket().to_be_bytes());
            bytes.push(u8::try_from(key.len()).unwrap_or(u8::MAX));
        };
        match *self {
            Self::Whole { .. } => head(WHOLE, &[], bytes),
            Self::Deleted { key, .. } => {
                head(DELETED, key, bytes);
                bytes.extend(key);
            }
            Self::Value {
                key,
                value,
                flags,
                expiry,
                cas,
                ..
            } => {
                head(VALUE, key, bytes);
                let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
                for number in [length, flags, expiry] {
                    bytes.extend(number.to_be_bytes());
                }
                bytes.extend(cas.to_be_bytes());
                bytes.extend(key);
                bytes.extend(value);
            }
        }
    }
}

/// Bytes that are read from the front.
#[derive(Debug)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    /// So many bytes, if they are there.
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Sixteen bytes, which are a name and no number.
    pub(crate) fn id(&mut self) -> Option<[u8; 16]> {
        self.array()
    }
}

/// The records in `bytes`, oldest first; `None` if those are not records to the last byte.
pub(crate) fn parse(bytes: &[u8]) -> Option<Vec<Record<'_>>> {
    let mut bytes = Bytes(bytes);
    let mut records = Vec::new();
    while !bytes.0.is_empty() {
        records.push(next(&mut bytes)?);
    }
    Some(records)
}

fn next<'a>(bytes: &mut Bytes<'a>) -> Option<Record<'a>> {
    let (kind, vbucket, length) = (bytes.u8()?, bytes.u16()?, usize::from(bytes.u8()?));
    match kind {
        WHOLE if length == 0 => Some(Record::Whole { vbucket }),
        DELETED | VALUE if !(1..=KEY_BYTES_MAX).contains(&length) => None,
        DELETED => Some(Record::Deleted {
            vbucket,
            key: bytes.take(length)?,
        }),
        VALUE => {
            let (bytes_of_value, flags, expiry) = (bytes.u32()?, bytes.u32()?, bytes.u32()?);
            let cas = bytes.u64()?;
            let key = bytes.take(length)?;
            Some(Record::Value {
                vbucket,
                key,
                value: bytes.take(usize::try_from(bytes_of_value).ok()?)?,
                flags,
                expiry,
                cas,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Record<'_>; 4] = [
        Record::Whole { vbucket: 3 },
        Record::Value {
            vbucket: 1023,
            key: b"key",
            value: b"value",
            flags: 0x0102_0304,
            expiry: 5,
            cas: 1 << 60,
        },
        Record::Value {
            vbucket: 0,
            key: b"k",
            value: b"",
            flags: 0,
            expiry: 0,
            cas: 0,
        },
        Record::Deleted {
            vbucket: 7,
            key: &[0xff; KEY_BYTES_MAX],
        },
    ];

    #[test]
    fn records_are_written_and_read_back() {
        let mut bytes = Vec::new();
        for record in &ALL {
            record.encode(&mut bytes);
        }
        assert_eq!(parse(&bytes).unwrap(), ALL);
        assert_eq!(parse(&[]).unwrap(), []);
        let vbuckets: Vec<u16> = ALL.iter().map(Record::vbucket).collect();
        assert_eq!(vbuckets, [3, 1023, 0, 7]);
    }

    #[test]
    fn bytes_that_are_no_records_are_refused() {
        for record in &ALL {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            for length in 1..bytes.len() {
                assert_eq!(parse(&bytes[..length]), None, "{record:?} {length}");
            }
            bytes[0] = 4;
            assert_eq!(parse(&bytes), None);
        }
        for wrong in [
            &[WHOLE, 0, 0, 1][..],
            &[DELETED, 0, 0, 0],
            &[DELETED, 0, 0, 251],
        ] {
            let bytes = [wrong, &[b'k'; 255]].concat();
            assert_eq!(parse(&bytes), None, "{wrong:?}");
        }
        // A length that lies beyond all that there is.
        let mut bytes = Vec::new();
        ALL[1].encode(&mut bytes);
        bytes[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(parse(&bytes), None);
    }
}
