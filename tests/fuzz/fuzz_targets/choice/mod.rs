//! Which target of a program is run: linking one takes longer than all else, so that each has
//! several.

use std::sync::OnceLock;

/// Takes one input; panics if something is wrong.
pub(crate) type Target = fn(&[u8]);

static CHOICE: OnceLock<Target> = OnceLock::new();

/// Runs the target that the environment variable `FUZZ_TARGET` names.
pub(crate) fn run(targets: &[(&str, Target)], data: &[u8]) {
    let choose = || {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let found = targets.iter().find(|(of, _)| *of == name);
        let names: Vec<&str> = targets.iter().map(|(of, _)| *of).collect();
        let found = found.unwrap_or_else(|| {
            panic!("FUZZ_TARGET is {name:?}; it can be {}", names.join(", "));
        });
        found.1
    };
    CHOICE.get_or_init(choose)(data);
}
