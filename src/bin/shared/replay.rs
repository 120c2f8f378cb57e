//! Runs a target of the fuzzers over its committed inputs.
#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test tells where it is, and may fail"
)]

use std::fs;
use std::path::Path;

/// Fails when one of them does, whose name is the last that is told.
pub(crate) fn run(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/seeds")
        .join(target);
    let entries: Vec<_> = fs::read_dir(&folder).unwrap().collect();
    assert!(!entries.is_empty(), "{} is empty", folder.display());
    for entry in entries {
        let path = entry.unwrap().path();
        eprintln!("{}", path.display());
        run(&fs::read(&path).unwrap());
    }
}
