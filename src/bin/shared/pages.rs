//! Man pages and shell completions, from the definitions of the command line.

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;

/// Writes all of them: `man1/`, `bash/`, `zsh/` and `fish/` below a directory.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn write(program: &Command, directory: &Path) -> io::Result<()> {
    let man = directory.join("man1");
    fs::create_dir_all(&man)?;
    clap_mangen::generate_to(program.clone().disable_help_subcommand(true), &man)?;
    for (name, shell) in [
        ("bash", Shell::Bash),
        ("zsh", Shell::Zsh),
        ("fish", Shell::Fish),
    ] {
        let folder = directory.join(name);
        fs::create_dir_all(&folder)?;
        let name = program.get_name().to_owned();
        clap_complete::generate_to(shell, &mut program.clone(), name, &folder)?;
    }
    Ok(())
}
