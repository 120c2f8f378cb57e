//! Signals that ask the program to end: noted first, so that what was begun is taken back.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// They, and their names.
const SIGNALS: [(i32, &str); 3] = [(SIGHUP, "SIGHUP"), (SIGINT, "SIGINT"), (SIGTERM, "SIGTERM")];

/// The signal that has come. The default notes none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked(Arc<AtomicUsize>);

impl Asked {
    /// From now on the first signal is only noted. The second one ends the program.
    ///
    /// # Errors
    /// The system does not give what it takes.
    pub(crate) fn note() -> io::Result<Self> {
        let ignored = ignored(&fs::read_to_string("/proc/self/status").unwrap_or_default());
        let noted = Arc::new(AtomicBool::new(false));
        let which = Arc::new(AtomicUsize::new(0));
        for (signal, _) in SIGNALS {
            // What nohup or a shell's background has ignored stays so.
            if ignored & (1 << (signal - 1)) != 0 {
                continue;
            }
            // In this order: the one that notes it is not to end the program as well.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&noted))?;
            flag::register(signal, Arc::clone(&noted))?;
            flag::register_usize(signal, Arc::clone(&which), signal.unsigned_abs() as usize)?;
        }
        Ok(Self(which))
    }

    /// Goes on while none has come.
    ///
    /// # Errors
    /// Names the one that has.
    pub(crate) fn check(&self) -> Result<(), String> {
        let which = self.0.load(Ordering::Relaxed);
        let name = SIGNALS
            .iter()
            .find(|it| it.0.unsigned_abs() as usize == which);
        name.map_or(Ok(()), |(_, name)| Err(format!("asked to end, by {name}")))
    }
}

/// The signals that a process ignores, one bit each, by what the system says of it.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_a_mask() {
        let status = "Name:\tx\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001003\n";
        let ignored = ignored(status);
        let of = SIGNALS.map(|(signal, _)| ignored & (1 << (signal - 1)) != 0);
        assert_eq!(of, [true, true, false]);
        assert_eq!(super::ignored(""), 0);
    }
}
