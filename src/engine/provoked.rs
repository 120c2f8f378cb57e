//! Log lines that a peer can provoke as often as it likes: so many are written, and the others
//! counted.

use std::time::Duration;

use crate::host::{Host, LogLevel, RateLimit};

/// Lines that are written in one period.
const LINES_MAX: u32 = 20;
/// The period.
const PERIOD: Duration = Duration::from_mins(1);

/// Writes such lines.
#[derive(Debug)]
pub(super) struct Provoked(RateLimit);

impl Default for Provoked {
    fn default() -> Self {
        Self(RateLimit::new(LINES_MAX, PERIOD))
    }
}

impl Provoked {
    /// Writes a warning, unless too many were written of late.
    pub(super) fn warn(&self, host: &dyn Host, text: impl FnOnce() -> String) {
        let Some(left_out) = self.0.admit(host.monotonic()) else {
            return;
        };
        if left_out > 0 {
            let text = format!("TAP: {left_out} more lines about what peers sent were left out");
            host.log(LogLevel::Warning, &text);
        }
        host.log(LogLevel::Warning, &text());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn what_is_too_much_is_counted() {
        let (host, provoked) = (FakeHost::new(), Provoked::default());
        for line in 0..LINES_MAX + 3 {
            provoked.warn(&host, || format!("line {line}."));
        }
        assert!(host.has_logged(LogLevel::Warning, "line 19."));
        assert!(!host.has_logged(LogLevel::Warning, "line 20."));
        host.advance(PERIOD.as_secs());
        provoked.warn(&host, || "again".to_owned());
        assert!(host.has_logged(LogLevel::Warning, "TAP: 3 more lines"));
        assert!(host.has_logged(LogLevel::Warning, "again"));
    }
}
