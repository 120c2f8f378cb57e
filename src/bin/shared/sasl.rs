//! Who asks: SASL PLAIN. The password comes from a file or from the environment; it has no `Debug`
//! and stands in no message.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::link::Link;
use crate::packet::{Request, opcode, status};
use crate::program::PASSWORD_VARIABLE;

/// Longest password file, in bytes.
const PASSWORD_BYTES_MAX: usize = 4096;

/// A user and a password.
#[derive(Clone)]
pub(crate) struct Credentials {
    user: String,
    password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Those that the command line and the environment give; `warn` is told of a file that others
    /// can read.
    ///
    /// # Errors
    /// A user without a password, or one that cannot be sent.
    pub(crate) fn find(
        user: Option<&str>,
        file: Option<&str>,
        warn: impl FnOnce(&str),
    ) -> Result<Option<Self>, String> {
        let Some(user) = user else {
            return match file {
                Some(_) => Err("a password without a user: give --user too".to_owned()),
                None => Ok(None),
            };
        };
        let password = if let Some(path) = file {
            let failed = |error: std::io::Error| format!("{path}: {error}");
            let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
            if mode & 0o077 != 0 {
                warn(&format!(
                    "{path}: others can read the password (chmod 600 mends it)"
                ));
            }
            let text = fs::read_to_string(path).map_err(failed)?;
            text.lines().next().unwrap_or_default().to_owned()
        } else {
            std::env::var(PASSWORD_VARIABLE).map_err(|_| {
                format!("no password for {user}: give --password-file, or set {PASSWORD_VARIABLE}")
            })?
        };
        if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
            return Err(format!("the password of {user} is empty or too long"));
        }
        if password.contains('\0') || user.contains('\0') {
            return Err("user and password must not contain a zero byte".to_owned());
        }
        let user = user.to_owned();
        Ok(Some(Self { user, password }))
    }

    /// Tells the node who asks. The password goes only to one that takes PLAIN.
    ///
    /// # Errors
    /// The node does not take it.
    pub(crate) fn present(&self, link: &mut Link) -> Result<(), String> {
        let offered = link.call(&Request {
            opcode: opcode::SASL_LIST_MECHS,
            ..Request::default()
        })?;
        let offers = String::from_utf8_lossy(offered.value()).into_owned();
        if offered.status() != status::SUCCESS {
            return Err(format!(
                "it does not ask who you are (no SASL there): leave out --user, or is it the wrong \
                 node? ({})",
                offered.words()
            ));
        }
        if !offers.split_ascii_whitespace().any(|name| name == "PLAIN") {
            return Err("it does not take passwords as they are (SASL PLAIN)".to_owned());
        }
        let secret = format!("\0{}\0{}", self.user, self.password);
        let answer = link.call(&Request {
            opcode: opcode::SASL_AUTH,
            key: b"PLAIN",
            value: secret.as_bytes(),
            ..Request::default()
        })?;
        match answer.status() {
            status::SUCCESS => Ok(()),
            status::AUTH_ERROR => Err(format!("it refuses the user {} or the password", self.user)),
            _ => Err(format!(
                "it refuses the user {}: {}",
                self.user,
                answer.words()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_comes_from_the_first_line_of_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "secret word\nrest\n").unwrap();
        let path = file.path().to_str().unwrap();
        let quiet = |_: &str| {};
        let found = Credentials::find(Some("me"), Some(path), quiet)
            .unwrap()
            .unwrap();
        assert_eq!(found.password, "secret word");
        assert!(!format!("{found:?}").contains("secret"));
        fs::write(&file, "\n").unwrap();
        assert!(Credentials::find(Some("me"), Some(path), quiet).is_err());
        assert!(Credentials::find(None, Some(path), quiet).is_err());
        assert!(Credentials::find(None, None, quiet).unwrap().is_none());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&file, "word").unwrap();
        let mut told = String::new();
        Credentials::find(Some("me"), Some(path), |text| told = text.to_owned()).unwrap();
        assert!(told.contains("chmod 600"));
    }
}
