//! What this program is called, and where it looks for what the command line does not say.

/// The program.
pub(crate) const NAME: &str = "engine-backup";
/// Where the node stands if no option names it.
pub(crate) const NODES_VARIABLE: &str = "ENGINE_BACKUP_NODE";
/// Where the password stands if no file is named.
pub(crate) const PASSWORD_VARIABLE: &str = "ENGINE_BACKUP_PASSWORD";
/// How the node is named.
pub(crate) const NO_NODE: &str = "give -n HOST:PORT, or set ENGINE_BACKUP_NODE";
