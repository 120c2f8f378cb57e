//! What this program is called, and where it looks for what the command line does not say.

/// The program.
pub(crate) const NAME: &str = "engine-backup";
/// Where the node stands if no option names it.
pub(crate) const NODES_VARIABLE: &str = "ENGINE_BACKUP_NODE";
/// Where the password stands if no file is named.
pub(crate) const PASSWORD_VARIABLE: &str = "ENGINE_BACKUP_PASSWORD";
/// How the node is named.
pub(crate) const NO_NODE: &str = "give -n HOST:PORT, or set ENGINE_BACKUP_NODE";
/// The heading of the options about it.
pub(crate) const HEADING: &str = "Node";
/// Where the user stands if no option names one.
pub(crate) const USER_VARIABLE: &str = "ENGINE_BACKUP_USER";
/// Where the file with the password stands if no option names one.
pub(crate) const PASSWORD_FILE_VARIABLE: &str = "ENGINE_BACKUP_PASSWORD_FILE";
/// What is said of the user.
pub(crate) const USER_HELP: &str = "Who asks (SASL PLAIN). The password is the first line of \
                                    --password-file, or stands in ENGINE_BACKUP_PASSWORD; it is \
                                    never given on the command line";
/// How long an answer may take if no option says so.
pub(crate) const TIMEOUT: &str = "60s";
/// What is said of that.
pub(crate) const TIMEOUT_HELP: &str = "How long the node may be silent";
