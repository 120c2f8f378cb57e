//! Man pages and shell completions, from the definitions of the command line.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;

/// Writes all of them: `man1/`, `bash/`, `zsh/` and `fish/` below a directory.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn write(directory: &Path) -> io::Result<()> {
    let man = directory.join("man1");
    fs::create_dir_all(&man)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), &man)?;
    for (name, shell) in [
        ("bash", Shell::Bash),
        ("zsh", Shell::Zsh),
        ("fish", Shell::Fish),
    ] {
        let folder = directory.join(name);
        fs::create_dir_all(&folder)?;
        clap_complete::generate_to(shell, &mut Cli::command(), "online-update", &folder)?;
    }
    Ok(())
}
