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
/// The heading of the options about them.
pub(crate) const HEADING: &str = "Nodes";
/// Where the user stands if no option names one.
pub(crate) const USER_VARIABLE: &str = "ONLINE_UPDATE_USER";
/// Where the file with the password stands if no option names one.
pub(crate) const PASSWORD_FILE_VARIABLE: &str = "ONLINE_UPDATE_PASSWORD_FILE";
/// What is said of the user.
pub(crate) const USER_HELP: &str = "Who asks (SASL PLAIN). The password is the first line of \
                                    --password-file, or stands in ONLINE_UPDATE_PASSWORD; it is \
                                    never given on the command line";
/// How long an answer may take if no option says so.
pub(crate) const TIMEOUT: &str = "10s";
/// What is said of that.
pub(crate) const TIMEOUT_HELP: &str = "How long a node may take to answer. A COMPLETE or \
                                       REVERT may take longer, as long as the node says that it \
                                       works at it";
