//! The command of plain terminals: `online_update` in the ASCII protocol, which hosts let engines
//! add to. It runs on a thread of the host that cannot wait, so commands are answered when they are
//! accepted; `online_update status` says what has become of them.

use std::fmt::{Display, Write as _};

use crate::engine::{Engine, Outcome, UpdateError};
use crate::error::Result;
use crate::host::{Cookie, StatSink};
use crate::report;

/// The command's name.
pub(crate) const NAME: &str = "online_update";

const USAGE: &str =
    "CLIENT_ERROR online_update start [SECONDS] | complete | revert | deadline SECONDS | status";

/// Carries out a line, whose first word is the name. Returns the lines of the answer.
pub(crate) fn execute(engine: &Engine, cookie: Cookie, words: &[&[u8]]) -> String {
    let arguments = words.get(1..).unwrap_or_default();
    match *arguments {
        [b"status"] => status(engine, cookie).unwrap_or_else(|error| line(&error)),
        [b"start"] => accepted("start", engine.accept_start(None)),
        [b"start", seconds] => match number(seconds) {
            Some(seconds) => accepted("start", engine.accept_start(Some(seconds))),
            None => format!("{USAGE}\r\n"),
        },
        [b"complete"] => accepted("complete", engine.accept_complete()),
        [b"revert"] => accepted("revert", engine.accept_revert()),
        [b"deadline", seconds] => match number(seconds) {
            Some(seconds) => done(engine.move_deadline(seconds)),
            None => format!("{USAGE}\r\n"),
        },
        _ => format!("{USAGE}\r\n"),
    }
}

fn number(word: &[u8]) -> Option<u32> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn accepted(what: &str, outcome: Outcome) -> String {
    match outcome {
        Ok(()) => format!("ACCEPTED {what}, see {NAME} status\r\n"),
        Err(error) => refusal(&error),
    }
}

fn done(outcome: Outcome) -> String {
    match outcome {
        Ok(()) => "OK\r\n".to_owned(),
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &UpdateError) -> String {
    match error {
        UpdateError::Unsupported(words) => line(words),
        UpdateError::Failed(words) => line(words),
    }
}

/// An error in one line, whatever it says.
fn line(error: &dyn Display) -> String {
    let words = error.to_string();
    let words: String = words
        .chars()
        .filter(|letter| !letter.is_control())
        .collect();
    format!("SERVER_ERROR {words}\r\n")
}

/// The group of statistics, as `stats onlineupdate` shows it.
fn status(engine: &Engine, cookie: Cookie) -> Result<String> {
    let mut lines = Lines(String::new());
    report::stats(engine, cookie, b"onlineupdate", &mut lines)?;
    lines.0.push_str("END\r\n");
    Ok(lines.0)
}

struct Lines(String);

impl StatSink for Lines {
    fn add(&mut self, key: &str, value: &dyn Display) {
        // Writing to a String does not fail.
        let _ = write!(self.0, "STAT {key} {value}\r\n");
    }
}
