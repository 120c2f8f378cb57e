//! Which clients of streams are believed when they say by its number which checkpoint they have.
//!
//! Other histories have the same numbers: that of a vbucket of this id which was deleted, that of
//! another owner. So a client is believed when it is known by name, which is when it came before
//! since this log is its vbucket's owner's, and was given the whole state then; and when it says
//! a higher number than it did then. (One that died before it had that state on its disk says the
//! same again.) Who is forgotten is given the whole state once more.

use std::sync::Arc;

use crate::types::CheckpointId;

/// Most names that are kept. Those that came longest ago go first.
const NAMES_MAX: usize = 32;

/// Names, each with the checkpoint that it asked for when it came first; the last one came last.
#[derive(Debug, Default)]
pub(super) struct Acquainted(Vec<(Arc<[u8]>, CheckpointId)>);

impl Acquainted {
    /// Whether a client that asks for this checkpoint has what lies before it. It is known from now
    /// on.
    pub(super) fn meet(&mut self, name: &Arc<[u8]>, asks: CheckpointId) -> bool {
        let mut names = self.0.iter();
        let known = names.position(|(known, _)| known == name);
        let asked = known.map(|at| self.0.remove(at).1);
        if self.0.len() == NAMES_MAX {
            self.0.remove(0);
        }
        self.0.push((Arc::clone(name), asked.unwrap_or(asks)));
        asked.is_some_and(|asked| asks > asked)
    }

    /// Another owner may give, or may have given, the same numbers.
    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_believed_when_it_can_only_be_of_this_history() {
        let mut known = Acquainted::default();
        let mut meet = |name: &[u8], asks| known.meet(&name.into(), CheckpointId::new(asks));
        assert!(!meet(b"a", 5));
        assert!(!meet(b"a", 5) && !meet(b"a", 4));
        assert!(meet(b"a", 6) && meet(b"a", 7) && meet(b"a", 6));
        assert!(!meet(b"b", 7));
        assert!(meet(b"a", 6) && !meet(b"a", 5));
        known.clear();
        assert!(!known.meet(&b"a"[..].into(), CheckpointId::new(9)));
    }

    #[test]
    fn as_many_are_known_as_came_last() {
        let mut known = Acquainted::default();
        let mut meet = |name: usize, asks| {
            let name = name.to_string().into_bytes();
            known.meet(&name.into(), CheckpointId::new(asks))
        };
        for name in 0..NAMES_MAX {
            meet(name, 1);
        }
        assert!(meet(0, 2));
        assert!(!meet(NAMES_MAX, 1));
        assert!(meet(0, 2) && meet(2, 2) && !meet(1, 2));
        assert_eq!(known.0.len(), NAMES_MAX);
    }
}
