//! When a takeover has the clients stop writing: when little is left to be sent, or when it does
//! not become less, as a live migration does it. Waiting for nothing at all would be waiting for a
//! chance while clients write, and for ever if they write as fast as the stream sends.

use crate::types::Seqno;

/// So little that it is sent at once.
const LITTLE: usize = 500;

/// The laps of a stream: one is over when it comes to what was written last when it began.
#[derive(Debug)]
pub(super) struct Laps {
    end: Seqno,
    left: usize,
}

impl Default for Laps {
    fn default() -> Self {
        Self {
            end: Seqno::ZERO,
            left: usize::MAX,
        }
    }
}

impl Laps {
    /// How far the messages have to be counted that are left, for a stream that has come to `at`:
    /// all of them at the end of a lap only, since there may be millions.
    pub(super) fn counts_to(&self, at: Seqno) -> usize {
        if at < self.end { LITTLE } else { usize::MAX }
    }

    /// Whether no other lap is worth it, with `left` messages to be sent or acknowledged, for a
    /// stream that has come to `at` in a log whose next entry is `next`.
    pub(super) fn are_over(&mut self, left: usize, at: Seqno, next: Seqno) -> bool {
        if left < LITTLE {
            return true;
        }
        if at < self.end {
            return false;
        }
        let gains = left < self.left;
        *self = Self { end: next, left };
        !gains
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> Seqno {
        Seqno::new(number)
    }

    #[test]
    fn laps_end_when_little_is_left() {
        let mut laps = Laps::default();
        assert!(!laps.are_over(LITTLE, at(1), at(1_000)));
        assert!(laps.are_over(LITTLE - 1, at(2), at(1_000)));
    }

    #[test]
    fn laps_end_when_nothing_is_gained_by_one() {
        let mut laps = Laps::default();
        assert!(!laps.are_over(9_000, at(1), at(9_001)));
        // In the middle of one it does not matter.
        assert!(!laps.are_over(20_000, at(9_000), at(30_000)));
        assert!(!laps.are_over(8_999, at(9_001), at(18_000)));
        assert!(laps.are_over(8_999, at(18_000), at(27_000)));
    }
}
