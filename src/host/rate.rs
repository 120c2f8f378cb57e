//! How many log lines may be written: a line for each request of a client would fill the disk.

use std::time::Duration;

use parking_lot::Mutex;

/// The present period.
#[derive(Debug, Default)]
struct Period {
    since: Duration,
    lines: u32,
    left_out: u64,
}

/// So many lines in a period; the others are counted.
#[derive(Debug)]
pub(crate) struct RateLimit {
    most: u32,
    period: Duration,
    // Guards the present period. Lock order: last.
    present: Mutex<Period>,
}

impl RateLimit {
    /// For `most` lines in `period`.
    pub(crate) const fn new(most: u32, period: Duration) -> Self {
        Self {
            most,
            period,
            present: Mutex::new(Period {
                since: Duration::ZERO,
                lines: 0,
                left_out: 0,
            }),
        }
    }

    /// Whether one more line may be written at this time of a clock that never goes back: how many
    /// were left out in the period before if this is the first of a new one, else 0. Any thread.
    pub(crate) fn admit(&self, now: Duration) -> Option<u64> {
        let mut present = self.present.lock();
        let mut left_out = 0;
        if now.saturating_sub(present.since) >= self.period {
            left_out = present.left_out;
            *present = Period {
                since: now,
                ..Period::default()
            };
        }
        if present.lines >= self.most {
            present.left_out += 1;
            return None;
        }
        present.lines += 1;
        Some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_counted() {
        let limit = RateLimit::new(2, Duration::from_secs(10));
        let at = |seconds| limit.admit(Duration::from_secs(seconds));
        assert_eq!([1, 2, 3, 9].map(at), [Some(0), Some(0), None, None]);
        assert_eq!([11, 12, 13].map(at), [Some(2), Some(0), None]);
        assert_eq!([100, 200].map(at), [Some(1), Some(0)]);
    }
}
