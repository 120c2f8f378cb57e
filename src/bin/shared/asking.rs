//! The options about who asks, how long an answer may take, and how it is shown.

use std::time::Duration;

use clap::Args;

use crate::client::Client;
use crate::output::Style;
use crate::sasl::Credentials;
use crate::{program, progress, text};

/// They go with every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Asking {
    #[arg(
        long,
        env = program::USER_VARIABLE,
        global = true,
        help_heading = program::HEADING,
        help = program::USER_HELP
    )]
    user: Option<String>,
    /// A file whose first line is the password; nobody else should be able to read it
    #[arg(
        long,
        value_name = "FILE",
        env = program::PASSWORD_FILE_VARIABLE,
        global = true,
        help_heading = program::HEADING
    )]
    password_file: Option<String>,
    #[arg(
        long,
        value_name = "TIME",
        value_parser = text::duration,
        default_value = program::TIMEOUT,
        global = true,
        help_heading = program::HEADING,
        help = program::TIMEOUT_HELP
    )]
    timeout: Duration,
    /// Print JSON: one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Asking {
    /// How nodes are reached.
    ///
    /// # Errors
    /// There is no password, or two of them.
    pub(crate) fn client(&self) -> Result<Client, String> {
        let file = self.password_file.as_deref();
        Ok(Client {
            credentials: Credentials::find(self.user.as_deref(), file, progress::warn)?,
            timeout: self.timeout,
        })
    }

    /// How results are shown.
    pub(crate) const fn style(&self) -> Style {
        if self.json { Style::Json } else { Style::Text }
    }
}
