//! Items in the order of their keys, which is the order of the store.
//!
//! An item lies anywhere in memory. So the beginning of its key stands beside it, and most
//! comparisons need no more.

use std::cmp::Ordering;

use crate::item::Item;

/// An item that is compared by its key alone.
#[derive(Debug)]
pub(crate) struct ByKey {
    prefix: [u64; 2],
    /// The item.
    pub(crate) item: Item,
}

const _: () = assert!(size_of::<ByKey>() == 24);

impl ByKey {
    /// Of an item.
    pub(crate) fn new(item: Item) -> Self {
        let mut prefix = [0; 16];
        for (to, from) in prefix.iter_mut().zip(item.key()) {
            *to = *from;
        }
        let [high, low] = [&prefix[..8], &prefix[8..]];
        let number = |half: &[u8]| half.try_into().map_or(0, u64::from_be_bytes);
        Self {
            prefix: [number(high), number(low)],
            item,
        }
    }
}

impl Ord for ByKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_prefix = self.prefix.cmp(&other.prefix);
        by_prefix.then_with(|| self.item.key().cmp(other.item.key()))
    }
}

impl PartialOrd for ByKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ByKey {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::Meta;

    #[test]
    fn the_order_is_that_of_the_keys() {
        let beginning = b"sixteen bytes of";
        let mut keys: Vec<Vec<u8>> = vec![b"a".to_vec(), b"a\0".to_vec(), b"\xff".to_vec()];
        for length in [7, 8, 9, 15, 16] {
            for end in [
                &b""[..],
                b"\0",
                b"a",
                b"\xff and more than sixteen bytes in all",
            ] {
                keys.push([&beginning[..length], end].concat());
            }
        }
        let item = |key: &Vec<u8>| {
            let meta = Meta {
                hash: 0,
                flags: 0,
                expiry: 0,
                cas: 0,
            };
            ByKey::new(Item::with_value(key, &[], meta).unwrap())
        };
        for one in &keys {
            for other in &keys {
                let (left, right) = (item(one), item(other));
                assert_eq!(left.cmp(&right), one.cmp(other), "{one:?} {other:?}");
                assert_eq!(left == right, one == other);
            }
        }
    }
}
