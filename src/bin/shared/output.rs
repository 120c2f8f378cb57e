//! Reports on standard output: lines for people, or one JSON object a line.

use std::io::{self, Write as _};
use std::path::Path;
use std::process;

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

/// Prints a line. Whoever reads may have had enough (`| head`); nothing else can be done about an
/// output that does not take it, and no decision depends on it.
pub(crate) fn line(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
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
        progress::warn(&format!(
            "{NAME}: {}",
            disk::failed(Path::new("the output"), &error)
        ));
    }
    process::exit(i32::from(exit as u8));
}
