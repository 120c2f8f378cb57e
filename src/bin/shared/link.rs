//! One connection to a node. Everything that waits has a limit, and memory grows with what has
//! arrived, never with what was announced.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::clock::Until;
use crate::packet::{Answer, HEADER_BYTES, Header, Request, opcode, status};
use crate::text;

/// Read at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// Most lines of a group of statistics: `checkpoint` has 7 for each of 65,536 vbuckets at most.
const STATISTICS_MAX: usize = 1 << 19;
/// Most bytes of a group of statistics.
const STATISTICS_BYTES_MAX: usize = 64 << 20;

/// A group of statistics.
pub(crate) type Statistics = HashMap<String, String>;

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    timeout: Duration,
    opaque: u32,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// Says why not.
    pub(crate) fn connect(address: SocketAddr, timeout: Duration) -> Result<Self, String> {
        let stream = TcpStream::connect_timeout(&address, timeout)
            .map_err(|error| format!("no connection: {}", reason(&error, timeout)))?;
        // Requests are small, and each waits for its answer.
        let set = stream.set_nodelay(true);
        set.map_err(|error| format!("no connection: {error}"))?;
        Ok(Self {
            stream,
            timeout,
            opaque: 0,
        })
    }

    /// Over a connection that there is already, for fuzzers.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn over(stream: TcpStream, timeout: Duration) -> Self {
        Self {
            stream,
            timeout,
            opaque: 0,
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// No answer, or none that makes sense. What the node refuses is an answer.
    pub(crate) fn call(&mut self, request: &Request<'_>) -> Result<Answer, String> {
        self.send(request)?;
        self.receive(request.opcode)
    }

    /// Asks.
    ///
    /// # Errors
    /// The node does not take it.
    pub(crate) fn send(&mut self, request: &Request<'_>) -> Result<(), String> {
        self.opaque = self.opaque.wrapping_add(1);
        let bytes = request.encode(self.opaque)?;
        self.write(&bytes)
    }

    /// Sends bytes that make whole packets.
    ///
    /// # Errors
    /// The node does not take them.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let timeout = self.timeout;
        let sent = self.stream.set_write_timeout(Some(timeout));
        let sent = sent.and_then(|()| self.stream.write_all(bytes));
        sent.map_err(|error| format!("the connection broke: {}", reason(&error, timeout)))
    }

    /// Waits until an answer begins to arrive; `false` after `time` without one.
    ///
    /// # Errors
    /// The connection ended.
    pub(crate) fn arrives(&mut self, time: Duration) -> Result<bool, String> {
        let set = self.stream.set_read_timeout(Some(time));
        match set.and_then(|()| self.stream.peek(&mut [0])) {
            Ok(0) => Err("it closed the connection".to_owned()),
            Ok(_) => Ok(true),
            Err(error) if is_late(&error) || error.kind() == ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(format!("the connection broke: {error}")),
        }
    }

    /// Waits for the answer to what was asked last.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) fn receive(&mut self, opcode: u8) -> Result<Answer, String> {
        self.receive_until(opcode, Until::after(self.timeout))
    }

    fn receive_until(&mut self, opcode: u8, until: Until) -> Result<Answer, String> {
        let head = self.read(HEADER_BYTES, until)?;
        let head = head.try_into().map_err(|_| "a header is cut off")?;
        let header = Header::decode(&head)?;
        // Before the body: how long that may be depends on what was asked.
        if (header.opcode, header.opaque) != (opcode, self.opaque) {
            return Err("it answered something that was not asked".to_owned());
        }
        let body = self.read(header.body, until)?;
        Ok(Answer::new(header, body))
    }

    fn read(&mut self, length: usize, until: Until) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let most = (length - bytes.len()).min(CHUNK_BYTES);
            if !self.read_some(&mut bytes, most, until)? {
                return Err("it closed the connection".to_owned());
            }
        }
        Ok(bytes)
    }

    /// Appends what arrives next, `most` bytes of it at most. False when the node has closed the
    /// connection.
    ///
    /// # Errors
    /// Nothing came in time, or the connection broke.
    pub(crate) fn read_some(
        &mut self,
        bytes: &mut Vec<u8>,
        most: usize,
        until: Until,
    ) -> Result<bool, String> {
        let late = || format!("no answer within {} s", self.timeout.as_secs_f32());
        let set = self
            .stream
            .set_read_timeout(Some(until.left().ok_or_else(late)?));
        set.map_err(|error| format!("the connection broke: {error}"))?;
        let begun = bytes.len();
        bytes.resize(begun + most, 0);
        let room = bytes.get_mut(begun..).unwrap_or_default();
        let read = self.stream.read(room);
        bytes.truncate(begun + read.as_ref().copied().unwrap_or(0));
        match read {
            Ok(count) => Ok(count > 0),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) if is_late(&error) => Err(late()),
            Err(error) => Err(format!("the connection broke: {error}")),
        }
    }

    /// A group of statistics; `None` if the node has no such group.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) fn statistics(&mut self, group: &str) -> Result<Option<Statistics>, String> {
        self.send(&Request {
            opcode: opcode::STAT,
            key: group.as_bytes(),
            ..Request::default()
        })?;
        let until = Until::after(self.timeout);
        let (mut found, mut bytes) = (Statistics::new(), 0);
        loop {
            let answer = self.receive_until(opcode::STAT, until)?;
            match answer.status() {
                status::SUCCESS if answer.key().is_empty() => return Ok(Some(found)),
                status::SUCCESS => {}
                status::KEY_ENOENT => return Ok(None),
                _ => return Err(format!("no statistics: {}", answer.words())),
            }
            bytes += answer.key().len() + answer.value().len();
            if found.len() >= STATISTICS_MAX || bytes > STATISTICS_BYTES_MAX {
                return Err(format!("the statistics {group} do not end"));
            }
            found.insert(text::escape(answer.key()), text::words(answer.value()));
        }
    }
}

fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn reason(error: &std::io::Error, timeout: Duration) -> String {
    if is_late(error) {
        format!("nothing within {} s", timeout.as_secs_f32())
    } else {
        // Without "(os error 111)", which helps nobody.
        let text = error.to_string();
        text.split(" (os error")
            .next()
            .unwrap_or_default()
            .to_lowercase()
    }
}
