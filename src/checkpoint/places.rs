//! The keys that a window touched, in the order in which it touched them first.
//!
//! A key's entry moves to the end of the log with every change; its place here stays. So who looks
//! at the keys a page at a time meets each of them once. A place holds the hash alone: the key is
//! in the table, and its entry says which place is its own.
//!
//! No clock, lock or I/O.

/// Places in a chunk: a long list is never moved, and goes in few steps.
const CHUNK: usize = 1 << 14;

/// The list.
#[derive(Debug, Default)]
pub(super) struct Places {
    full: Vec<Vec<u32>>,
    tail: Vec<u32>,
}

impl Places {
    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.full.len() * CHUNK + self.tail.len()).unwrap_or(u32::MAX)
    }

    /// A key was touched first. Returns its place.
    pub(super) fn push(&mut self, hash: u32) -> u32 {
        let place = self.count();
        self.tail.push(hash);
        if self.tail.len() == CHUNK {
            self.full.push(std::mem::take(&mut self.tail));
        }
        place
    }

    /// The places from one on, each with its hash; `limit` at most.
    pub(super) fn read(&self, from: u32, limit: usize, out: &mut Vec<(u32, u32)>) {
        let (whole, skip) = (from as usize / CHUNK, from as usize % CHUNK);
        let later = self.full.iter().skip(whole + 1);
        let first = self.full.get(whole);
        let tail = (whole <= self.full.len()).then_some(&self.tail);
        let begun = first.or(tail).and_then(|chunk| chunk.get(skip..));
        let rest = later.chain(tail.filter(|_| first.is_some())).flatten();
        let hashes = begun.into_iter().flatten().chain(rest);
        // The numbers come second: there is none behind the highest.
        let places = hashes.zip(from..).take(limit);
        out.extend(places.map(|(&hash, place)| (place, hash)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_read_once_however_it_is_cut() {
        let mut places = Places::default();
        let count = 2 * u32::try_from(CHUNK).unwrap() + 5;
        for hash in 0..count {
            assert_eq!(places.push(hash * 3), hash);
        }
        for limit in [7, CHUNK, 3 * CHUNK] {
            let (mut found, mut from) = (Vec::new(), 0);
            loop {
                let before = found.len();
                places.read(from, limit, &mut found);
                let read = found.len() - before;
                assert!(read <= limit);
                if read == 0 {
                    break;
                }
                from += u32::try_from(read).unwrap();
            }
            let expected: Vec<_> = (0..count).map(|place| (place, place * 3)).collect();
            assert_eq!(found, expected);
        }
        let mut none = Vec::new();
        places.read(u32::MAX, 9, &mut none);
        assert!(none.is_empty());
    }
}
