//! What this program is called, and where it looks for what the command line does not say.

/// The program.
pub(crate) const NAME: &str = "online-update";
/// Where nodes stand if neither options nor a file name any.
pub(crate) const NODES_VARIABLE: &str = "ONLINE_UPDATE_NODES";
/// Where the password stands if no file is named.
pub(crate) const PASSWORD_VARIABLE: &str = "ONLINE_UPDATE_PASSWORD";
/// How nodes are named.
pub(crate) const NO_NODE: &str = "give -n HOST:PORT (again and again), --nodes-file FILE, or set \
                                  ONLINE_UPDATE_NODES";
