//! `online-update`: an operator's decisions over many nodes.
//!
//! # Modules
//! Each uses those of lower rank only; `tests/tidy.rs` checks it.
//!
//! | rank | modules | what |
//! |---|---|---|
//! | 0 | `clock`, `text`, `exit`, `each`, `program` | time, notation, statuses, names |
//! | 0 | `pages`, `heeded` | man pages and completions; signals that ask the program to end |
//! | 1 | `nodes`, `packet`, `decision` | whom to ask, the protocol as bytes, results |
//! | 1 | `columns` | values side by side |
//! | 2 | `link`, `progress` | one connection; bounds for all that waits and grows; what is shown |
//! | 3 | `sasl`, `window`, `touched` | who asks; what a node says of its window and its keys |
//! | 3 | `output`, `process` | lines and objects; child processes and signals |
//! | 4 | `client`, `sums` | how nodes are reached; sums |
//! | 5 | `command`, `report` | one command on one node; reports |
//! | 5 | `asking` | options about who asks |
//! | 6 | `start`, `status` | all nodes |
//! | 6 | `diff`, `undo` | single keys of all nodes |
//! | 7 | `judge`, `record` | whether all together can complete; what was started |
//! | 7 | `watch`, `cli` | status again and again; the command line |
//! | 8 | `deadline`, `moved` | when windows end by themselves; windows that went elsewhere |
//! | 9 | `complete`, `revert` | the decision to keep, and the other one |
//! | 10 | `run` | all of it around a deployment |
//!
//! What `engine-backup` needs, too, is in the folder `shared`.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};

use crate::cli::{Cli, Command, Common};
use crate::client::Client;
use crate::decision::Decision;
use crate::exit::Exit;
use crate::nodes::Node;
use crate::output::Style;
use crate::progress::Show;
use crate::status::Format;

#[path = "../shared/asking.rs"]
mod asking;
mod cli;
#[path = "../shared/client.rs"]
mod client;
#[path = "../shared/clock.rs"]
mod clock;
mod columns;
mod command;
mod complete;
mod deadline;
mod decision;
mod diff;
#[path = "../shared/disk.rs"]
mod disk;
mod each;
#[path = "../shared/exit.rs"]
mod exit;
#[cfg(test)]
mod fuzzing;
#[path = "../shared/heeded.rs"]
mod heeded;
mod judge;
#[path = "../shared/link.rs"]
mod link;
mod moved;
#[path = "../shared/nodes.rs"]
mod nodes;
#[path = "../shared/output.rs"]
mod output;
#[path = "../shared/packet.rs"]
mod packet;
#[path = "../shared/pages.rs"]
mod pages;
mod process;
mod program;
#[path = "../shared/progress.rs"]
mod progress;
mod record;
#[cfg(test)]
#[path = "../shared/replay.rs"]
mod replay;
mod report;
mod revert;
mod run;
#[path = "../shared/sasl.rs"]
mod sasl;
mod start;
mod status;
mod sums;
#[path = "../shared/text.rs"]
mod text;
mod touched;
mod undo;
mod watch;
mod window;

/// The name under which this program takes `HOST:PORT start|complete|revert`.
const OLD_NAME: &str = "mbadm-online-update";

fn main() -> ExitCode {
    let cli = Cli::parse_from(arguments(std::env::args_os().collect()));
    let exit = carry_out(&cli);
    let told = if tells_only(&cli.command) {
        output::told(exit, Exit::Refused)
    } else {
        output::told(exit, Exit::Partly)
    };
    ExitCode::from(told as u8)
}

/// Whether a command does nothing but tell.
const fn tells_only(command: &Command) -> bool {
    matches!(
        command,
        Command::Status { .. } | Command::Diff { .. } | Command::Watch { .. }
    )
}

/// The arguments, from the old syntax if the program is called by its old name.
fn arguments(given: Vec<OsString>) -> Vec<OsString> {
    let name = given.first().map(Path::new).and_then(Path::file_name);
    if name.is_none_or(|name| name != OLD_NAME) {
        return given;
    }
    match &given[..] {
        [_, node, command] if !node.to_string_lossy().starts_with('-') => [
            "online-update".into(),
            command.clone(),
            "-n".into(),
            node.clone(),
        ]
        .into(),
        _ => given,
    }
}

fn carry_out(cli: &Cli) -> Exit {
    let style = cli.common.asking.style();
    if let Err(error) = disk::survive_file_limit() {
        style.failure(&format!("signals: {error}"), Exit::Refused);
        return Exit::Refused;
    }
    if let Command::Pages { directory } = &cli.command {
        return match pages::write(&Cli::command(), directory) {
            Ok(()) => Exit::Done,
            Err(error) => {
                style.failure(&disk::failed(directory, &error), Exit::Refused);
                Exit::Refused
            }
        };
    }
    if decides(&cli.command)
        && let Err(error) = process::finish_first(Exit::Partly as i32, deadline::left_undone)
    {
        style.failure(&format!("signals: {error}"), Exit::Refused);
        return Exit::Refused;
    }
    match reach(&cli.common) {
        Ok((client, nodes)) => command(cli, &client, &nodes, style),
        Err(text) => wrong(&text, style),
    }
}

fn wrong(text: &str, style: Style) -> Exit {
    style.failure(text, Exit::Usage);
    Exit::Usage
}

/// Whom to ask, and how.
fn reach(common: &Common) -> Result<(Client, Vec<Node>), String> {
    let client = common.asking.client()?;
    let file = common.nodes_file.as_deref();
    let nodes = nodes::gather(&common.nodes, file, client.timeout)?;
    Ok((client, nodes))
}

/// Whether a command changes something on node after node, and is not to end between them. (`run`
/// does with signals what it says.)
const fn decides(command: &Command) -> bool {
    matches!(
        command,
        Command::Start { .. }
            | Command::Complete { .. }
            | Command::Revert { .. }
            | Command::Undo { .. }
            | Command::Extend { .. }
    )
}

fn command(cli: &Cli, client: &Client, nodes: &[Node], style: Style) -> Exit {
    let show = Show::fitting(cli.common.asking.json);
    let (name, decision) = match &cli.command {
        Command::Start {
            revert_after,
            record,
        } => {
            let record = record.as_deref();
            let Some(decision) = begin(client, nodes, (*revert_after, record), (style, show))
            else {
                return Exit::Refused;
            };
            ("start", decision)
        }
        Command::Complete { record } | Command::Revert { record } => {
            let back = matches!(cli.command, Command::Revert { .. });
            match end(client, nodes, (record.as_deref(), back), show) {
                Ok(ended) => ended,
                Err(text) => return wrong(&text, style),
            }
        }
        Command::Diff {
            prefix,
            values,
            sums,
        } => {
            let wish = text::unescape(prefix).map(|prefix| diff::Wish {
                prefix,
                values: *values,
                sums: *sums,
            });
            return match wish {
                Ok(wish) => diff::diff(client, nodes, &wish, style),
                Err(text) => wrong(&text, style),
            };
        }
        Command::Undo { keys, prefix } => match which(keys, prefix.as_deref()) {
            Ok(which) => ("undo", undo::undo(client, nodes, &which)),
            Err(text) => return wrong(&text, style),
        },
        Command::Extend { time, .. } => ("extend", deadline::extend(client, nodes, *time)),
        Command::Watch { every } => return watch::watch(client, nodes, *every, style),
        Command::Status { format } => {
            let format = if cli.common.asking.json {
                Format::Json
            } else {
                *format
            };
            let found = status::ask(client, nodes);
            status::print(format, nodes, &found);
            return status::exit(&found);
        }
        Command::Run {
            check,
            check_every,
            revert_after,
            deploy,
        } => {
            let plan = run::Plan {
                deploy: deploy.clone(),
                check: check.clone(),
                pause: *check_every,
                revert_after: *revert_after,
            };
            return run::run(client, nodes, &plan, (style, show));
        }
        Command::Pages { .. } => return Exit::Usage,
    };
    style.decision(name, nodes, &decision);
    decision.exit
}

/// START, with a record of it if one is to be kept: nothing, and said why, if none could be.
fn begin(
    client: &Client,
    nodes: &[Node],
    (revert_after, record): (Option<Duration>, Option<&Path>),
    (style, show): (Style, Show),
) -> Option<Decision> {
    if let Some(Err(text)) = record.map(record::attempt) {
        let text = format!("not started, because no record could be kept: {text}");
        style.failure(&text, Exit::Refused);
        return None;
    }
    let (mut decision, started) = start::start(client, nodes, revert_after, show);
    if let (Some(path), Some(started)) = (record, started)
        && let Err(text) = record::write(path, nodes, &started)
    {
        // The windows are open all the same, and can be decided.
        let more = format!("; no record is kept: {text}");
        decision.text.push_str(&more);
        decision.exit = Exit::Partly;
    }
    Some(decision)
}

/// The keys that `undo` means.
fn which(keys: &[String], prefix: Option<&str>) -> Result<undo::Which, String> {
    if let Some(prefix) = prefix {
        return Ok(undo::Which::Prefix(text::unescape(prefix)?));
    }
    let keys: Result<_, _> = keys.iter().map(|key| text::unescape(key)).collect();
    Ok(undo::Which::Keys(keys?))
}

/// COMPLETE, or REVERT if all is to go `back`, of what was started if a record is named.
fn end(
    client: &Client,
    nodes: &[Node],
    (record, back): (Option<&Path>, bool),
    show: Show,
) -> Result<(&'static str, Decision), String> {
    let started = record.map(|path| record::read(path, nodes)).transpose()?;
    let started = started.as_ref();
    if back {
        return Ok(("revert", revert::revert(client, nodes, started, show)));
    }
    let completed = complete::complete(client, nodes, started, show);
    Ok(("complete", completed.decision))
}
