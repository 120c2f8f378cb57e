//! The signals that ask a program to end.

use std::fs;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// They, and their names.
pub(crate) const SIGNALS: [(i32, &str); 3] =
    [(SIGHUP, "SIGHUP"), (SIGINT, "SIGINT"), (SIGTERM, "SIGTERM")];

/// All of them but for those that whoever started the program has it ignore (`nohup`,
/// `trap '' HUP`).
pub(crate) fn heeded() -> Vec<i32> {
    among(&fs::read_to_string("/proc/self/status").unwrap_or_default())
}

/// Those that are not ignored, by what the system says of the process: all where it says nothing
/// (no `/proc`).
fn among(status: &str) -> Vec<i32> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let ignored = ignored.unwrap_or(0);
    let signals = SIGNALS.map(|(signal, _)| signal).into_iter();
    signals
        .filter(|signal| ignored >> (signal - 1) & 1 == 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_a_mask() {
        let status = "Name:\tx\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001003\n";
        assert_eq!(among(status), [SIGTERM]);
        for nothing in ["", "Name:\tx\n", "SigIgn:\tx\n"] {
            assert_eq!(among(nothing), [SIGHUP, SIGINT, SIGTERM]);
        }
    }
}
