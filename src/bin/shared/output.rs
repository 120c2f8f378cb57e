//! Reports on standard output: lines for people, or one JSON object a line.

use std::io::{self, Write as _};
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::disk;
use crate::exit::Exit;
use crate::program::NAME;
use crate::progress;

/// What reports look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Text,
    Json,
}

impl Style {
    /// Reports an event: words for people, an object for programs.
    pub(crate) fn event(self, words: &str, object: &Value) {
        match self {
            Self::Text => line(words),
            Self::Json => json_line(object),
        }
    }

    /// Says why nothing was done.
    pub(crate) fn failure(self, text: &str, exit: Exit) {
        if self == Self::Json {
            json_line(&json!({"result": exit.name(), "exit": exit as u8, "text": text}));
        } else {
            progress::warn(&format!("{NAME}: {text}"));
        }
    }
}

/// Prints an object on a line.
pub(crate) fn json_line(object: &Value) {
    line(&object.to_string());
}

/// Whether something could not be printed.
static LOST: AtomicBool = AtomicBool::new(false);

/// Prints a line. Whoever reads may have had enough (`| head`). Any other failure is told once, and
/// at the end by [`told`]: no decision depends on it.
pub(crate) fn line(text: &str) {
    if let Err(error) = writeln!(io::stdout(), "{text}")
        && error.kind() != io::ErrorKind::BrokenPipe
        && !LOST.swap(true, Ordering::Relaxed)
    {
        complain(&error);
    }
}

/// The exit status of what ends with `exit`: `lost` if that is good, and not all of it was printed.
pub(crate) fn told(exit: Exit, lost: Exit) -> Exit {
    if exit == Exit::Done && LOST.load(Ordering::Relaxed) {
        lost
    } else {
        exit
    }
}

/// Prints a line of a long listing; ends the program when nobody reads any more, or when it cannot
/// be written: half a listing is not to be taken for a whole one.
pub(crate) fn listed(text: &str) {
    let Err(error) = writeln!(io::stdout(), "{text}") else {
        return;
    };
    let mut exit = Exit::Done;
    if error.kind() != io::ErrorKind::BrokenPipe {
        exit = Exit::Refused;
        complain(&error);
    }
    process::exit(i32::from(exit as u8));
}

fn complain(error: &io::Error) {
    let text = disk::failed(Path::new("the output"), error);
    progress::warn(&format!("{NAME}: {text}"));
}
