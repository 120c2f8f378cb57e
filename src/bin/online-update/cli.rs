//! The command line. Help, man pages and completions are made from these definitions.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::asking::Asking;
use crate::status::Format;
use crate::text;

/// Decide an online update on many memcached nodes as one.
///
/// After START nothing that clients write reaches the disk. COMPLETE makes all of it durable,
/// REVERT takes all of it back. On several nodes each command is one decision: START opens a window
/// on all of them or on none, COMPLETE first asks every node whether it can, REVERT goes on to the
/// end whatever a node says. Of two operators one wins: the node with the lowest address is sent a
/// command alone first, and no other one if it has chosen the other end.
#[derive(Clone, Debug, Parser)]
#[command(name = "online-update", version, after_long_help = EXITS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What all commands take.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// A node; again and again for more. HOST, HOST:PORT, [IPV6]:PORT; the port is 11211 if none is
    /// given. A name with several addresses is a node for each of them; IPv4 and IPv6 addresses of
    /// one name are taken as the same nodes. Without -n and --nodes-file, ONLINE_UPDATE_NODES has
    /// the nodes, between spaces or commas
    #[arg(
        short,
        long = "node",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        global = true,
        help_heading = "Nodes"
    )]
    pub(crate) nodes: Vec<String>,
    /// A file with nodes, between spaces, commas or line ends; # begins a comment
    #[arg(long, value_name = "FILE", global = true, help_heading = "Nodes")]
    pub(crate) nodes_file: Option<String>,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Open a window on every node, or on none
    Start {
        /// Have each node revert by itself if nobody has decided by then, also when this machine is
        /// gone. 90s, 15m, 1h30m
        #[arg(long, value_name = "TIME", value_parser = text::duration)]
        revert_after: Option<Duration>,
        /// Write into this file which windows were opened, for `complete` and `revert`. Nothing is
        /// started if it
        /// cannot be written
        #[arg(long, value_name = "FILE")]
        record: Option<PathBuf>,
    },
    /// Make the window's writes durable on every node
    ///
    /// Every node is asked first whether it can; if one cannot, nothing is sent. Then the one with
    /// the lowest address completes, and the others when it has. What fails after that keeps its
    /// window open, and the same command goes on with it.
    Complete {
        /// The file that `start` wrote: a window that is not the one of that START, because its
        /// node restarted or was replaced, is recognised for certain, and one that moved to
        /// another of the nodes is found there
        #[arg(long, value_name = "FILE")]
        record: Option<PathBuf>,
    },
    /// Take the window's writes back on every node
    ///
    /// The one with the lowest address is asked first, or the next one if that does not answer. If
    /// it has completed nothing else is sent: complete again, or name the others only.
    Revert {
        /// The file that `start` wrote: a vbucket that another node took over in the window, and
        /// that is therefore not reverted, is named
        #[arg(long, value_name = "FILE")]
        record: Option<PathBuf>,
    },
    /// Say what each node is at, and what COMPLETE and REVERT would do
    Status {
        /// What to print
        #[arg(long, value_enum, default_value = "text", conflicts_with = "json")]
        format: Format,
    },
    /// Show what the windows changed, key by key, and sums by what keys begin with
    Diff {
        /// Only keys that begin with this; \xNN is a byte
        #[arg(
            long,
            default_value = "",
            value_name = "PREFIX",
            hide_default_value = true
        )]
        prefix: String,
        /// Show old and new values side by side, as hexadecimal digits where they are no text
        #[arg(long)]
        values: bool,
        /// Show the sums only
        #[arg(long, conflicts_with = "values")]
        sums: bool,
    },
    /// Take single keys back to what they were before the window, which stays open
    Undo {
        /// Keys as `diff` shows them; \xNN is a byte
        #[arg(value_name = "KEY", required_unless_present = "prefix")]
        keys: Vec<String>,
        /// All keys that begin with this
        #[arg(long, conflicts_with = "keys", value_name = "PREFIX")]
        prefix: Option<String>,
    },
    /// Move the moment at which the windows revert by themselves
    Extend {
        /// From now. 90s, 15m, 1h30m
        #[arg(value_name = "TIME", value_parser = text::duration)]
        time: Option<Duration>,
        /// No deadline any more: the windows stay open until somebody decides
        #[arg(long, conflicts_with = "time", required_unless_present = "time")]
        forever: bool,
    },
    /// Say what each node is at, again and again, until no window is open
    ///
    /// A node that does not answer is at what it said last. When none of those that may have a
    /// window open has answered for 60 s, it ends with status 3.
    Watch {
        /// Between two looks
        #[arg(long, value_name = "TIME", value_parser = text::duration, default_value = "1s")]
        every: Duration,
    },
    /// START, a deployment, a check, and COMPLETE or REVERT by what came of them
    ///
    /// REVERT follows when the deployment or the check fails, when the time of --revert-after is
    /// over, and on SIGINT, SIGTERM and SIGHUP; the deployment and all of its process group is
    /// ended first. With --revert-after the nodes revert by themselves when this program is killed.
    #[command(after_long_help = EXITS)]
    Run {
        /// A shell command that checks the deployment: 0 is good, 75 is "not decided yet, ask
        /// again", anything else is bad. Without it the deployment's own exit status decides
        #[arg(long, value_name = "CMD")]
        check: Option<String>,
        /// Between two runs of a check that has not decided
        #[arg(long, value_name = "TIME", value_parser = text::duration, default_value = "1s")]
        check_every: Duration,
        /// Revert if nothing is decided by then. 90s, 15m, 1h30m
        #[arg(long, value_name = "TIME", value_parser = text::duration)]
        revert_after: Option<Duration>,
        /// The deployment and its arguments
        #[arg(last = true, required = true, value_name = "DEPLOY")]
        deploy: Vec<OsString>,
    },
    /// Write man pages and shell completions into a directory
    #[command(hide = true)]
    Pages {
        /// The directory; it is made if it is not there
        directory: PathBuf,
    },
}

/// The exit statuses as a page tells them.
const EXITS: &str = "\
Exit status:
   0  done as asked; run: completed on every node
   1  not done; what was begun has been taken back, and windows are as they were
   2  the command line is wrong
   3  done on some nodes only, or windows are still open, or nobody knows: the report names
      them. The same command again goes on where this one ended. Also when all was done, but
      the report could not be written; when start could not write its record; and at a second
      signal: at the first one start, complete, revert, undo and extend go on to their report.
      watch: nodes that may have a window open do not answer any more
   4  no node has a window open
  10  run: the deployment failed; reverted on every node
  11  run: the check failed; reverted on every node
  12  run: nothing was decided in time; reverted on every node
  13  run: interrupted (SIGINT, SIGTERM, SIGHUP); reverted on every node
  14  run: a node lost its window; reverted on every node";
