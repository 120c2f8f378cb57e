//! A queue that knows how many bytes its entries keep in memory.

use std::collections::VecDeque;

use crate::item::Item;

/// What keeps bytes in memory.
pub(super) trait Weight {
    /// How many.
    fn bytes(&self) -> usize;
}

impl Weight for Item {
    fn bytes(&self) -> usize {
        self.memory_bytes()
    }
}

/// The queue.
#[derive(Debug)]
pub(super) struct Weighed<T> {
    entries: VecDeque<T>,
    bytes: usize,
}

impl<T> Default for Weighed<T> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl<T: Weight> Weighed<T> {
    pub(super) fn push_back(&mut self, entry: T) {
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
    }

    pub(super) fn push_front(&mut self, entry: T) {
        self.bytes += entry.bytes();
        self.entries.push_front(entry);
    }

    pub(super) fn pop_front(&mut self) -> Option<T> {
        self.pop_front_if(|_| true)
    }

    pub(super) fn pop_front_if(&mut self, wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        let entry = self.entries.pop_front_if(|entry| wanted(entry))?;
        self.bytes -= entry.bytes();
        Some(entry)
    }

    /// Takes out the entries for which `wanted` is true, in their order.
    pub(super) fn extract(&mut self, wanted: impl FnMut(&T) -> bool) -> Vec<T> {
        let all = std::mem::take(&mut self.entries).into_iter();
        let (out, rest): (Vec<T>, Vec<T>) = all.partition(wanted);
        self.entries = rest.into();
        self.bytes -= out.iter().map(Weight::bytes).sum::<usize>();
        out
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the entries keep in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weight for usize {
        fn bytes(&self) -> usize {
            *self
        }
    }

    #[test]
    fn bytes_follow_the_entries() {
        let mut queue = Weighed::default();
        (1..=4_usize).for_each(|entry| queue.push_back(entry));
        queue.push_front(10);
        assert_eq!((queue.len(), queue.bytes()), (5, 20));
        assert_eq!(queue.pop_front_if(|entry| *entry == 1), None);
        assert_eq!(queue.pop_front(), Some(10));
        assert_eq!(queue.extract(|entry| entry % 2 == 0), [2, 4]);
        assert_eq!((queue.iter().count(), queue.bytes()), (2, 4));
        queue.clear();
        assert!(queue.is_empty() && queue.bytes() == 0 && queue.pop_front().is_none());
    }
}
