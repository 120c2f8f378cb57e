//! Reports on standard output: lines for people, or one JSON object a line.

use std::io::{self, Write as _};
use std::process;

use serde_json::{Value, json};

use crate::decision::{Decision, Mark};
use crate::exit::Exit;
use crate::nodes::Node;

/// What reports look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Text,
    Json,
}

impl Style {
    /// Reports a decision.
    pub(crate) fn decision(self, command: &str, nodes: &[Node], decision: &Decision) {
        if self == Self::Json {
            json_line(&decision_json(command, nodes, decision));
            return;
        }
        let width = width(nodes);
        for (node, part) in nodes.iter().zip(&decision.parts) {
            let word = match part.mark {
                Mark::Good => "ok",
                Mark::Open => "OPEN",
                Mark::Bad => "FAILED",
                Mark::Unknown => "UNKNOWN",
            };
            line(&format!("{:width$}  {word:7}  {}", node.name, part.text));
        }
        line(&format!("{command}: {}", decision.text));
    }

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
            crate::progress::warn(&format!("online-update: {text}"));
        }
    }
}

/// Columns that the longest name takes.
pub(crate) fn width(nodes: &[Node]) -> usize {
    nodes.iter().map(|node| node.name.len()).max().unwrap_or(0)
}

fn decision_json(command: &str, nodes: &[Node], decision: &Decision) -> Value {
    let parts = nodes.iter().zip(&decision.parts);
    let parts: Vec<Value> = parts
        .map(|(node, part)| json!({"node": node.name, "mark": part.mark.name(), "text": part.text}))
        .collect();
    json!({
        "command": command,
        "result": decision.exit.name(),
        "exit": decision.exit as u8,
        "text": decision.text,
        "nodes": parts,
    })
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

/// Prints a line of a long listing; ends the program when nobody reads any more.
pub(crate) fn listed(text: &str) {
    if writeln!(io::stdout(), "{text}").is_err() {
        process::exit(i32::from(Exit::Done as u8));
    }
}
