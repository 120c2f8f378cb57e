//! `status` and `watch`: what each node is at, and what COMPLETE and REVERT would do, in words, as
//! JSON or as metrics.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::client::Client;
use crate::each::each;
use crate::exit::Exit;
use crate::nodes::Node;
use crate::output;
use crate::text;
use crate::window::{Left, State, Window};

/// What a node says, or why it says nothing.
pub(crate) type Found = Result<Window, String>;

/// Asks all nodes.
pub(crate) fn ask(client: &Client, nodes: &[Node]) -> Vec<Found> {
    each(nodes, |_, node| {
        client
            .open(node)
            .and_then(|mut link| Window::read(&mut link))
    })
}

/// The exit status: 0 when all nodes answered.
pub(crate) fn exit(found: &[Found]) -> Exit {
    let answered = found.iter().filter(|found| found.is_ok()).count();
    match answered {
        _ if answered == found.len() => Exit::Done,
        0 => Exit::Refused,
        _ => Exit::Partly,
    }
}

/// All of it in words.
pub(crate) fn in_words(nodes: &[Node], found: &[Found]) -> String {
    let mut words = String::new();
    for (node, found) in nodes.iter().zip(found) {
        let told = match found {
            Err(text) => format!("  no answer: {text}\n"),
            Ok(window) => of_node(window),
        };
        // Writing to a String does not fail.
        let _ = write!(words, "{}\n{told}", node.name);
    }
    words
}

fn of_node(window: &Window) -> String {
    let mut words = String::new();
    // Writing to a String does not fail.
    let mut tell = |text: String| {
        let _ = writeln!(words, "  {text}");
    };
    match window.state {
        State::None => {
            tell(format!(
                "no window is open; last outcome: {}",
                window.outcome_in_words()
            ));
            tell("START would open one; COMPLETE and REVERT would be refused".to_owned());
        }
        State::Open => {
            tell(format!(
                "the window is open since {}",
                text::seconds(window.seconds_open)
            ));
            tell(window.touched_in_words());
            match window.left {
                Left::Seconds(left) => {
                    tell(format!("it reverts by itself in {}", text::seconds(left)));
                }
                Left::Forever => tell("it stays open until somebody decides".to_owned()),
            }
            if let Some(left) = window.bytes_left {
                tell(format!("{} until writes fail", text::size(left)));
            }
            tell(would_complete(window));
            tell(would_revert(window));
        }
        State::Completing | State::Reverting => tell(format!(
            "{}: {} of {}",
            window.state.name(),
            window.done,
            text::count(window.total, "key")
        )),
    }
    words
}

fn would_complete(window: &Window) -> String {
    if let Some(why) = &window.hindrance {
        return format!("COMPLETE would fail now: {why}");
    }
    let kept = text::count(window.added + window.updated, "key");
    let deleted = if window.flushed {
        "every other one that was there (flush_all)".to_owned()
    } else {
        text::count(window.deleted, "key")
    };
    format!("COMPLETE would make {kept} durable and delete {deleted}, at once or not at all")
}

fn would_revert(window: &Window) -> String {
    let deleted = if window.flushed {
        "every other one that was there".to_owned()
    } else {
        text::count(window.deleted, "key")
    };
    format!(
        "REVERT would remove {}, restore {} and bring {deleted} back",
        text::count(window.added, "key"),
        text::count(window.updated, "key"),
    )
}

/// One line for `watch` on what is no terminal.
pub(crate) fn in_a_line(node: &Node, found: &Found) -> String {
    let Ok(window) = found else {
        let text = found.as_ref().err().map_or("", String::as_str);
        return format!("{}: no answer: {text}", node.name);
    };
    let name = &node.name;
    match window.state {
        State::None => format!(
            "{name}: no window; last outcome: {}",
            window.outcome_in_words()
        ),
        State::Open => {
            let left = match window.left {
                Left::Seconds(left) => format!(", reverts in {}", text::seconds(left)),
                Left::Forever => String::new(),
            };
            let open = text::seconds(window.seconds_open);
            let hindered = window.hindrance.as_ref();
            let hindered =
                hindered.map_or_else(String::new, |why| format!("; cannot complete: {why}"));
            format!(
                "{name}: open for {open}{left}, {}{hindered}",
                window.touched_in_words()
            )
        }
        State::Completing | State::Reverting => {
            format!(
                "{name}: {}, {} of {}",
                window.state.name(),
                window.done,
                window.total
            )
        }
    }
}

/// One object a node.
pub(crate) fn as_json(node: &Node, found: &Found) -> Value {
    let window = match found {
        Ok(window) => window,
        Err(text) => return json!({"node": node.name, "up": false, "text": text}),
    };
    let left = match window.left {
        Left::Seconds(left) => Some(left),
        Left::Forever => None,
    };
    json!({
        "node": node.name,
        "up": true,
        "state": window.state.name(),
        "last_outcome": window.last_outcome,
        "last_outcome_seconds": window.outcome_age,
        "seconds_open": window.seconds_open,
        "seconds_left": left,
        "touched_keys": window.touched,
        "added_keys": window.added,
        "updated_keys": window.updated,
        "deleted_keys": window.deleted,
        "vanished_keys": window.vanished,
        "flushed": window.flushed,
        "window_bytes": window.bytes,
        "bytes_left": window.bytes_left,
        "can_complete": window.hindrance.is_none(),
        "hindrance": window.hindrance,
        "progress_done": window.done,
        "progress_total": window.total,
        "uptime": window.process.uptime,
    })
}

/// A metric: its name, what it says, and its value; a node without one has no sample.
type Metric = (&'static str, &'static str, fn(&Window) -> Option<u64>);

const METRICS: &[Metric] = &[
    (
        "open",
        "Whether a window is open (1), also while it is being ended.",
        |it| Some(u64::from(it.state != State::None)),
    ),
    (
        "seconds_open",
        "For how long the window has been open.",
        |it| Some(it.seconds_open),
    ),
    (
        "seconds_left",
        "Seconds until the window reverts by itself.",
        |it| match it.left {
            Left::Seconds(left) => Some(left),
            Left::Forever => None,
        },
    ),
    ("touched_keys", "Keys changed in the window.", |it| {
        Some(it.touched)
    }),
    ("added_keys", "Keys that were absent at its start.", |it| {
        Some(it.added)
    }),
    ("updated_keys", "Keys that have another value.", |it| {
        Some(it.updated)
    }),
    ("deleted_keys", "Keys that are gone.", |it| Some(it.deleted)),
    (
        "flushed",
        "Whether a flush_all took every key that was there (1).",
        |it| Some(u64::from(it.flushed)),
    ),
    ("window_bytes", "Memory that the window takes.", |it| {
        Some(it.bytes)
    }),
    ("bytes_left", "Bytes until writes would fail.", |it| {
        it.bytes_left
    }),
    (
        "can_complete",
        "Whether a COMPLETE could commit now (1).",
        |it| Some(u64::from(it.hindrance.is_none())),
    ),
    (
        "progress_done",
        "Keys that a running COMPLETE or REVERT has done.",
        |it| Some(it.done),
    ),
    ("progress_total", "Keys that it has to do.", |it| {
        Some(it.total)
    }),
];

/// For a collector of text files. Gauges only: they read the same as OpenMetrics and in the older
/// format that such collectors know.
pub(crate) fn as_metrics(nodes: &[Node], found: &[Found]) -> String {
    let mut text = String::new();
    let mut metric = |name: &str, help: &str, value: &dyn Fn(&Found) -> Option<u64>| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "# HELP online_update_{name} {help}");
        let _ = writeln!(text, "# TYPE online_update_{name} gauge");
        for (node, found) in nodes.iter().zip(found) {
            if let Some(value) = value(found) {
                let node = label(&node.name);
                let _ = writeln!(text, "online_update_{name}{{node=\"{node}\"}} {value}");
            }
        }
    };
    metric("up", "Whether the node answers (1).", &|found| {
        Some(u64::from(found.is_ok()))
    });
    for (name, help, value) in METRICS {
        metric(name, help, &|found| found.as_ref().ok().and_then(value));
    }
    text.push_str("# EOF\n");
    text
}

fn label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Prints what was found.
pub(crate) fn print(format: Format, nodes: &[Node], found: &[Found]) {
    match format {
        Format::Text => output::line(in_words(nodes, found).trim_end()),
        Format::Json => {
            for (node, found) in nodes.iter().zip(found) {
                output::json_line(&as_json(node, found));
            }
        }
        Format::Openmetrics => output::line(as_metrics(nodes, found).trim_end()),
    }
}

/// What `status` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// One object a line, one line a node
    Json,
    /// For a collector of text files
    Openmetrics,
}
