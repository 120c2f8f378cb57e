//! How often something took how long. Lock-free: the figures of one report may come from slightly
//! different instants.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Counter;

/// Bins: below 1 us, 1 us, 2 to 3 us, 4 to 7 us and so on; the last one has no end.
const BINS: usize = 25;

/// The first bin of what takes long, and by how much each bin is longer than the one before, in
/// tenths.
const SLOW_FIRST: u64 = 1_000_000;
const SLOW_GROWTH: u64 = 14;

/// Durations, in microseconds. Those that take long, seconds to hours, have other bins.
#[derive(Debug, Default)]
pub(crate) struct Histogram<const SLOW: bool = false> {
    bins: [AtomicU64; BINS],
    total: Counter,
    max: Counter,
    /// The smallest one, complemented: so a histogram begins as nothing but zeros.
    min: Counter,
}

/// A histogram in five numbers; microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Durations seen.
    pub(crate) count: u64,
    /// The shortest.
    pub(crate) min: u64,
    /// The longest.
    pub(crate) max: u64,
    /// All together.
    pub(crate) total: u64,
    /// The mean.
    pub(crate) mean: u64,
}

impl<const SLOW: bool> Histogram<SLOW> {
    /// Where a bin begins.
    fn begin(index: usize) -> u64 {
        if !SLOW {
            return (1_u64 << index) >> 1;
        }
        match index.checked_sub(1) {
            None => 0,
            Some(steps) => (0..steps).fold(SLOW_FIRST, |begin, _| begin * SLOW_GROWTH / 10),
        }
    }

    /// Counts a duration.
    pub(crate) fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bin = if SLOW {
            (1..BINS)
                .take_while(|&bin| Self::begin(bin) <= micros)
                .count()
        } else {
            (u64::BITS - micros.leading_zeros()) as usize
        };
        if let Some(bin) = self.bins.get(bin.min(BINS - 1)) {
            bin.fetch_add(1, Ordering::Relaxed);
        }
        self.total.add(micros);
        self.max.raise(micros);
        self.min.raise(!micros);
    }

    /// Forgets all of it.
    pub(crate) fn reset(&self) {
        for bin in &self.bins {
            bin.store(0, Ordering::Relaxed);
        }
        for counter in [&self.total, &self.max, &self.min] {
            counter.set(0);
        }
    }

    /// Its figures; `None` while there are none.
    pub(crate) fn summary(&self) -> Option<Summary> {
        let count: u64 = self
            .bins
            .iter()
            .map(|bin| bin.load(Ordering::Relaxed))
            .sum();
        let total = self.total.get();
        Some(Summary {
            count,
            min: !self.min.get(),
            max: self.max.get(),
            total,
            mean: total.checked_div(count)?,
        })
    }

    /// The bins in use: first microsecond, first one behind it, how many.
    pub(crate) fn bins(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let bins = self.bins.iter().enumerate().map(|(index, bin)| {
            let to = if index == BINS - 1 {
                u64::MAX
            } else {
                Self::begin(index + 1)
            };
            (Self::begin(index), to, bin.load(Ordering::Relaxed))
        });
        bins.filter(|(_, _, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(micros: &[u64]) -> Histogram {
        let histogram: Histogram = Histogram::default();
        for &micros in micros {
            histogram.record(Duration::from_micros(micros));
        }
        histogram
    }

    #[test]
    fn bins_are_powers_of_two_and_the_last_one_takes_the_rest() {
        let histogram = recorded(&[0, 1, 2, 3, 4, 7, 8, (1 << 23) - 1, 1 << 23, u64::MAX / 2]);
        let bins: Vec<_> = histogram.bins().collect();
        assert_eq!(
            bins,
            [
                (0, 1, 1),
                (1, 2, 1),
                (2, 4, 2),
                (4, 8, 2),
                (8, 16, 1),
                (1 << 22, 1 << 23, 1),
                (1 << 23, u64::MAX, 2)
            ]
        );
    }

    #[test]
    fn what_takes_long_has_bins_of_seconds() {
        let histogram = Histogram::<true>::default();
        for micros in [0, 999_999, 1_000_000, 1_399_999, 1_400_000, u64::MAX] {
            histogram.record(Duration::from_micros(micros));
        }
        let bins: Vec<_> = histogram.bins().collect();
        assert_eq!(bins[0], (0, 1_000_000, 2));
        assert_eq!(bins[1], (1_000_000, 1_400_000, 2));
        assert_eq!(bins[2], (1_400_000, 1_960_000, 1));
        assert_eq!((bins[3].1, bins[3].2, bins.len()), (u64::MAX, 1, 4));
    }

    #[test]
    fn a_summary_holds_the_extremes_and_the_mean() {
        assert_eq!(<Histogram>::default().summary(), None);
        let histogram = recorded(&[30, 10, 50]);
        let summary = Summary {
            count: 3,
            min: 10,
            max: 50,
            total: 90,
            mean: 30,
        };
        assert_eq!(histogram.summary(), Some(summary));
        histogram.reset();
        assert_eq!((histogram.summary(), histogram.bins().count()), (None, 0));
        histogram.record(Duration::from_micros(70));
        assert_eq!(histogram.summary().unwrap().min, 70);
    }
}
