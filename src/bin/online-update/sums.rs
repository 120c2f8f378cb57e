//! Sums over touched keys, by what their names begin with.

use std::collections::BTreeMap;

use crate::touched::{Touched, What};

/// What ends the part of a key by which it is counted.
const SEPARATORS: &[u8] = b":/.|-_";
/// Most groups that are kept; keys of later ones are counted together.
const GROUPS_MAX: usize = 1000;

/// Keys of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) added: u64,
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
    pub(crate) vanished: u64,
    /// Bytes of values before, as far as sizes are known without the disk.
    pub(crate) old_bytes: u64,
    pub(crate) new_bytes: u64,
}

/// Sums by prefix, and of all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) groups: BTreeMap<Vec<u8>, Sum>,
    /// Of keys beyond the most groups.
    pub(crate) others: Sum,
    pub(crate) all: Sum,
}

impl Sum {
    /// How many keys.
    pub(crate) const fn keys(&self) -> u64 {
        self.added + self.updated + self.deleted + self.vanished
    }

    fn count(&mut self, touched: &Touched) {
        match touched.what {
            What::Added => self.added += 1,
            What::Updated => self.updated += 1,
            What::Deleted => self.deleted += 1,
            What::Vanished => self.vanished += 1,
        }
        let size = |side: Option<crate::touched::Side>| {
            side.and_then(|side| side.size).map_or(0, u64::from)
        };
        self.old_bytes += size(touched.old);
        self.new_bytes += size(touched.new);
    }
}

impl Sums {
    /// Counts a key in the group of what stands behind `prefix` up to a separator.
    pub(crate) fn count(&mut self, prefix: &[u8], touched: &Touched) {
        self.all.count(touched);
        let rest = touched.key.get(prefix.len()..).unwrap_or_default();
        let end = rest.iter().position(|byte| SEPARATORS.contains(byte));
        let end = end.map_or(0, |end| prefix.len() + end + 1);
        let group = touched.key.get(..end).unwrap_or_default();
        if let Some(sum) = self.groups.get_mut(group) {
            sum.count(touched);
        } else if self.groups.len() < GROUPS_MAX {
            self.groups
                .entry(group.to_vec())
                .or_default()
                .count(touched);
        } else {
            self.others.count(touched);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::touched::Side;

    fn touched(key: &str, what: What) -> Touched {
        let side = Side {
            size: Some(2),
            flags: 0,
            expiry: 0,
            cas: 1,
        };
        Touched {
            vbucket: 0,
            what,
            old: (what == What::Deleted).then_some(side),
            new: (what == What::Added).then_some(side),
            key: key.as_bytes().to_vec(),
        }
    }

    #[test]
    fn keys_are_counted_by_what_they_begin_with() {
        let mut sums = Sums::default();
        for (key, what) in [
            ("user:1", What::Added),
            ("user:2", What::Deleted),
            ("plain", What::Added),
        ] {
            sums.count(b"", &touched(key, what));
        }
        let user = sums.groups[&b"user:"[..]];
        assert_eq!(
            (user.added, user.deleted, user.old_bytes, user.new_bytes),
            (1, 1, 2, 2)
        );
        assert_eq!(sums.groups[&b""[..]].added, 1);
        assert_eq!(sums.all.keys(), 3);
        let mut deeper = Sums::default();
        deeper.count(b"user:", &touched("user:1:name", What::Added));
        assert_eq!(deeper.groups[&b"user:1:"[..]].added, 1);
    }

    #[test]
    fn the_number_of_groups_is_bounded() {
        let mut sums = Sums::default();
        for number in 0..5000 {
            sums.count(b"", &touched(&format!("{number}:x"), What::Added));
        }
        assert_eq!(sums.groups.len(), GROUPS_MAX);
        assert_eq!(sums.others.keys(), 4000);
        assert_eq!(sums.all.keys(), 5000);
    }
}
