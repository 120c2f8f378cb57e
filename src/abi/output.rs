//! What a call sends to the client through the host: statistics and response packets. Both
//! remember whether anything was handed over, because that decides what the call may still return
//! (rule 10).

use std::ffi::c_void;
use std::fmt::{Display, Write as _};

use super::bindings::{ADD_RESPONSE, ADD_STAT};
use super::convert::{self, Code};
use super::kind::Kind;
use super::rules::{self, Entry};
use crate::error::{Error, Result};
use crate::host::{Reply, Response, StatSink};

/// Data type of a packet: plain bytes.
const RAW_BYTES: u8 = 0;

/// Statistics of one call.
pub(super) struct Statistics {
    add: ADD_STAT,
    cookie: *const c_void,
    key: String,
    value: String,
    any: bool,
}

impl Statistics {
    /// For one call.
    ///
    /// # Safety
    /// Contract 6, until the result is dropped.
    pub(super) unsafe fn new(add: ADD_STAT, cookie: *const c_void) -> Self {
        Self {
            add,
            cookie,
            key: String::new(),
            value: String::new(),
            any: false,
        }
    }

    /// The code for an outcome on that kind of host.
    pub(super) fn answer<K: Kind>(&self, outcome: Result<()>) -> Code {
        let code = outcome.map_or_else(
            |error| K::code(Entry::GetStats, error),
            |()| Code::ENGINE_SUCCESS,
        );
        rules::after_output(self.any, code)
    }
}

impl StatSink for Statistics {
    fn add(&mut self, key: &str, value: &dyn Display) {
        self.key.clear();
        self.key.extend(key.chars().map(printable));
        let mut written = String::new();
        // Writing to a String fails only if the value's own Display does; then nothing is sent.
        if write!(written, "{value}").is_err() {
            return;
        }
        self.value.clear();
        self.value.extend(written.chars().map(printable));
        let (Some(add), Ok(klen), Ok(vlen)) = (
            self.add,
            u16::try_from(self.key.len()),
            u32::try_from(self.value.len()),
        ) else {
            return;
        };
        // An empty key is ignored by the host, and with an empty value it would end the list.
        if klen == 0 {
            return;
        }
        // SAFETY: contract 6; both texts are readable for the lengths given.
        unsafe {
            add(
                self.key.as_ptr().cast(),
                klen,
                self.value.as_ptr().cast(),
                vlen,
                self.cookie,
            );
        }
        self.any = true;
    }
}

/// A line feed in a key that a client chose would end the line of the text protocol.
fn printable(character: char) -> char {
    if character.is_control() {
        '?'
    } else {
        character
    }
}

/// Response packets of one call.
pub(super) struct Packets {
    add: ADD_RESPONSE,
    cookie: *const c_void,
    any: bool,
}

impl Packets {
    /// For one call.
    ///
    /// # Safety
    /// Contract 6, until the result is dropped.
    pub(super) unsafe fn new(add: ADD_RESPONSE, cookie: *const c_void) -> Self {
        Self {
            add,
            cookie,
            any: false,
        }
    }

    /// The code for an outcome on that kind of host. An error that no packet told yet is told by
    /// one now; so is the miss of a quiet command, where it cannot be kept quiet about.
    pub(super) fn answer<K: Kind>(&mut self, outcome: Result<()>) -> Code {
        let error = match outcome {
            Err(error) => error,
            Ok(()) if K::ANSWERS_ALWAYS && !self.any => Error::NotFound,
            Ok(()) => return Code::ENGINE_SUCCESS,
        };
        if let Some(status) = convert::status(error)
            && !self.any
        {
            let body = error.to_string();
            let response = Response {
                status,
                extras: &[],
                key: &[],
                body: body.as_bytes(),
                cas: 0,
            };
            if self.send(&response).is_ok() {
                return Code::ENGINE_SUCCESS;
            }
        }
        rules::after_output(self.any, K::code(Entry::UnknownCommand, error))
    }
}

impl Reply for Packets {
    fn send(&mut self, response: &Response<'_>) -> Result<()> {
        let Response {
            status,
            extras,
            key,
            body,
            cas,
        } = response;
        let add = self.add.ok_or(Error::Internal)?;
        let keylen = u16::try_from(key.len()).map_err(|_| Error::Internal)?;
        let extlen = u8::try_from(extras.len()).map_err(|_| Error::Internal)?;
        let bodylen = u32::try_from(body.len()).map_err(|_| Error::TooBig)?;
        // The host adds the three up in 32 bits.
        bodylen
            .checked_add(u32::from(keylen) + u32::from(extlen))
            .ok_or(Error::TooBig)?;
        let (key, extras, body) = (key.as_ptr().cast(), extras.as_ptr().cast(), body.as_ptr());
        // SAFETY: contract 6; the three parts are readable for the lengths given.
        let queued = unsafe {
            add(
                key,
                keylen,
                extras,
                extlen,
                body.cast(),
                bodylen,
                RAW_BYTES,
                status.0,
                *cas,
                self.cookie,
            )
        };
        if !queued {
            return Err(Error::NoMemory);
        }
        self.any = true;
        Ok(())
    }
}
