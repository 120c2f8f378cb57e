//! The named cursors of a log: found by name, and the place of the slowest known, at a cost that
//! does not grow with their number by more than a search among distinct places.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::types::Seqno;

/// Where each stream stands: it needs everything behind that.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    by_name: HashMap<Arc<[u8]>, Seqno>,
    /// How many stand at each place.
    places: BTreeMap<Seqno, usize>,
}

impl Cursors {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<Seqno> {
        self.by_name.get(name).copied()
    }

    /// Makes a cursor, or moves the one of that name.
    pub(super) fn put(&mut self, name: Arc<[u8]>, at: Seqno) {
        if let Some(before) = self.by_name.insert(name, at) {
            self.leave(before);
        }
        *self.places.entry(at).or_default() += 1;
    }

    /// Moves a cursor forward, if there is one of that name.
    pub(super) fn advance(&mut self, name: &[u8], to: Seqno) {
        let Some(at) = self.by_name.get_mut(name).filter(|at| **at < to) else {
            return;
        };
        let before = std::mem::replace(at, to);
        self.leave(before);
        *self.places.entry(to).or_default() += 1;
    }

    /// Whether there was one.
    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let at = self.by_name.remove(name);
        at.inspect(|at| self.leave(*at)).is_some()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Where the slowest one stands.
    pub(super) fn slowest(&self) -> Option<Seqno> {
        self.places.first_key_value().map(|(at, _)| *at)
    }

    /// The name of one that stands there; looks at all of them.
    pub(super) fn at(&self, place: Seqno) -> Option<Arc<[u8]>> {
        let mut cursors = self.by_name.iter();
        let found = cursors.find(|(_, at)| **at == place);
        found.map(|(name, _)| Arc::clone(name))
    }

    fn leave(&mut self, place: Seqno) {
        if let Some(count) = self.places.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                self.places.remove(&place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_is_known_whatever_moves() {
        let mut cursors = Cursors::default();
        let mut model: HashMap<&[u8], Seqno> = HashMap::new();
        let names: [&[u8]; 4] = [b"a", b"b", b"c", b"\xff\x00"];
        let mut seed = 7_u64;
        for _ in 0..10_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let name = names[usize::try_from(seed >> 60).unwrap() % 4];
            let at = Seqno::new(seed >> 40 & 7);
            match seed >> 58 & 3 {
                0 => {
                    cursors.put(name.into(), at);
                    model.insert(name, at);
                }
                1 => assert_eq!(cursors.remove(name), model.remove(name).is_some()),
                _ => {
                    cursors.advance(name, at);
                    if let Some(known) = model.get_mut(name) {
                        *known = at.max(*known);
                    }
                }
            }
            assert_eq!(cursors.get(name), model.get(name).copied());
            assert_eq!(cursors.slowest(), model.values().min().copied());
            assert_eq!(cursors.len(), model.len());
            let slowest = cursors.slowest();
            let name = slowest.and_then(|at| cursors.at(at));
            assert_eq!(name.and_then(|name| cursors.get(&name)), slowest);
        }
    }
}
