//! `engine-backup`: backups of a node that runs (docs/backup.md).
//!
//! # Modules
//! Each uses those of lower rank only; `tests/tidy.rs` checks it.
//!
//! | rank | modules | what |
//! |---|---|---|
//! | 0 | `clock`, `text`, `exit`, `program`, `pages` | time, notation, statuses, names |
//! | 0 | `heeded` | which signals ask the program to end |
//! | 1 | `nodes`, `packet` | whom to ask, the protocol as bytes |
//! | 1 | `record`, `signals` | what a backup says of keys, as bytes; who asks the program to end |
//! | 2 | `link`, `progress`, `block` | one connection; what is shown; blocks of a file |
//! | 3 | `sasl`, `output`, `writer` | who asks; lines and objects; a file that is written |
//! | 4 | `client`, `reader` | how the node is reached; a file that is read |
//! | 5 | `stream`, `chain` | what a node sends of its keys; files that belong together |
//! | 5 | `asking` | options about who asks |
//! | 6 | `create`, `restore`, `cli` | the commands; the command line |
//! | 7 | `list` | those without a node |
//!
//! What `online-update` has, too, is in the folder `shared`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::cli::{Cli, Command, Common};
use crate::client::Client;
use crate::create::Wish;
use crate::exit::Exit;
use crate::nodes::Node;
use crate::output::Style;
use crate::progress::Show;

#[path = "../shared/asking.rs"]
mod asking;
mod block;
mod chain;
mod cli;
#[path = "../shared/client.rs"]
mod client;
#[path = "../shared/clock.rs"]
#[allow(dead_code, reason = "online-update needs more of it")]
mod clock;
mod create;
#[path = "../shared/disk.rs"]
mod disk;
#[path = "../shared/exit.rs"]
#[allow(dead_code, reason = "online-update needs more of it")]
mod exit;
#[cfg(test)]
mod fuzzing;
#[path = "../shared/heeded.rs"]
mod heeded;
#[path = "../shared/link.rs"]
#[allow(dead_code, reason = "online-update needs more of it")]
mod link;
mod list;
#[path = "../shared/nodes.rs"]
mod nodes;
#[path = "../shared/output.rs"]
mod output;
#[path = "../shared/packet.rs"]
#[allow(dead_code, reason = "online-update needs more of it")]
mod packet;
#[path = "../shared/pages.rs"]
mod pages;
mod program;
#[path = "../shared/progress.rs"]
#[allow(dead_code, reason = "online-update needs more of it")]
mod progress;
mod reader;
mod record;
#[cfg(test)]
#[path = "../shared/replay.rs"]
mod replay;
mod restore;
#[path = "../shared/sasl.rs"]
mod sasl;
mod signals;
mod stream;
#[path = "../shared/text.rs"]
#[allow(dead_code, reason = "online-update needs more of it")]
mod text;
mod writer;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let style = cli.common.asking.style();
    let survives = disk::survive_file_limit().map_err(|error| (error.to_string(), Exit::Refused));
    let exit = match survives.and_then(|()| carry_out(&cli, style)) {
        Ok(()) => Exit::Done,
        Err((text, exit)) => {
            style.failure(&text, exit);
            exit
        }
    };
    let told = match &cli.command {
        Command::Verify { .. } | Command::List { .. } => output::told(exit, Exit::Refused),
        _ => output::told(exit, Exit::Partly),
    };
    ExitCode::from(told as u8)
}

fn carry_out(cli: &Cli, style: Style) -> Result<(), (String, Exit)> {
    let refused = |text| (text, Exit::Refused);
    let usage = |text| (text, Exit::Usage);
    let shown = (style, Show::fitting(cli.common.asking.json));
    match &cli.command {
        Command::Pages { directory } => {
            let written = pages::write(&Cli::command(), directory);
            written.map_err(|error| refused(disk::failed(directory, &error)))
        }
        Command::Verify { files } => list::verify(files, style).map_err(refused),
        Command::List { file, prefix } => {
            let prefix = text::unescape(prefix).map_err(usage)?;
            list::list(file, &prefix, style).map_err(refused)
        }
        Command::Create { file, on, keep } => {
            let (client, node) = reach(&cli.common).map_err(usage)?;
            let wish = Wish {
                file,
                base: on.as_deref(),
                keep: keep.as_deref(),
            };
            create::create(&client, &node, &wish, shown).map_err(refused)
        }
        Command::Restore { files } => {
            let (client, node) = reach(&cli.common).map_err(usage)?;
            let restored = restore::restore(&client, &node, files, shown);
            restored.map_err(|failure| (failure.text, failure.exit))
        }
        Command::Forget { file } => {
            let (client, node) = reach(&cli.common).map_err(usage)?;
            create::forget(&client, &node, file, style).map_err(refused)
        }
    }
}

/// The one node, and how it is asked.
fn reach(common: &Common) -> Result<(Client, Node), String> {
    let client = common.asking.client()?;
    let named: Vec<String> = common.node.iter().cloned().collect();
    let nodes = nodes::gather(&named, None, client.timeout)?;
    match <[Node; 1]>::try_from(nodes) {
        Ok([node]) => Ok((client, node)),
        Err(nodes) => {
            let all: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
            Err(format!(
                "a backup is of one node, and this names several: {}; give -n ADDRESS:PORT",
                all.join(", ")
            ))
        }
    }
}
