//! The command line. Help, man pages and completions are made from these definitions.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::asking::Asking;

/// Back up a memcached node that runs checkpoint-engine, and restore it.
///
/// A backup is one file: keys, values, flags, expiry and CAS of every active vbucket, compressed
/// and with checksums. It is made while clients read and write, and restored while they do: what
/// they write or delete meanwhile wins.
#[derive(Clone, Debug, Parser)]
#[command(name = "engine-backup", version, after_long_help = EXITS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What all commands take.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// The node: HOST, HOST:PORT, [IPV6]:PORT; the port is 11211 if none is given. Without -n,
    /// ENGINE_BACKUP_NODE names it
    #[arg(
        short,
        long = "node",
        value_name = "HOST:PORT",
        global = true,
        help_heading = "Node"
    )]
    pub(crate) node: Option<String>,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Copy a node into a file
    ///
    /// Each vbucket is as it was at one instant while the backup was made. While an online update
    /// is open it is the state before that, of all vbuckets at the same instant. A file that is
    /// there already is not touched.
    Create {
        /// The backup; nobody but its owner will be able to read it
        file: PathBuf,
        /// Only what has changed since this earlier backup. The earlier one is needed to restore,
        /// too. Of vbuckets of which the node has not kept enough the whole state is taken
        #[arg(long, value_name = "FILE", conflicts_with = "keep")]
        on: Option<PathBuf>,
        /// Have the node keep, in memory, what the next backup needs that is made with --on; one
        /// that is made with --on goes on with it. NAME is for the series: its next full backup
        /// lets go of what the last one had kept
        #[arg(long, value_name = "NAME")]
        keep: Option<String>,
    },
    /// Read backups to their ends, and say what they are and whether they fit together
    Verify {
        /// Backups, in any order
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// List the keys in a backup, without their values
    List {
        /// The backup
        file: PathBuf,
        /// Only keys that begin with this; \xNN is a byte
        #[arg(
            long,
            default_value = "",
            value_name = "PREFIX",
            hide_default_value = true
        )]
        prefix: String,
    },
    /// Put the keys of backups into a node that runs
    ///
    /// A key that is there, or that a client deletes meanwhile, is left as it is. Until all are
    /// there the node answers a miss with a temporary failure. Nothing is sent before all files are
    /// known to be whole and to fit together.
    Restore {
        /// A full backup and those that go on from it, in any order
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Have the node let go of what it keeps for the next backup on this one
    Forget {
        /// The last backup of the series
        file: PathBuf,
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
   0  done
   1  not done: a file is damaged or does not fit, or the node refuses; no key was changed and no
      backup is left behind, unless the message names one that is whole as FILE.partial, for which
      its file system had no way to give it its name
   2  the command line is wrong
   3  a restore ended early, and some keys are in place: restore again when the cause is gone;
      or all was done, but the report could not be written";
