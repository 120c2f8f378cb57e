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

/// Names, each with the checkpoint that it asked for when it came first, or none if it has refused
/// since what it was sent; the last one came last.
#[derive(Debug, Default)]
pub(super) struct Acquainted(Vec<(Arc<[u8]>, Option<CheckpointId>)>);

impl Acquainted {
    /// Whether a client that asks for this checkpoint has what lies before it. It is known from now
    /// on.
    pub(super) fn meet(&mut self, name: &Arc<[u8]>, asks: CheckpointId) -> bool {
        let asked = self.forget(name);
        self.note(name, asked.or(Some(asks)));
        asked.is_some_and(|asked| asks > asked)
    }

    /// A client refused for good what it was sent: the next one of that name gets the whole state.
    pub(super) fn refused(&mut self, name: &Arc<[u8]>) {
        self.forget(name);
        self.note(name, None);
    }

    /// Whether the last one of that name did, and none has come since.
    pub(super) fn has_refused(&self, name: &[u8]) -> bool {
        let mut names = self.0.iter();
        names.any(|(known, asked)| **known == *name && asked.is_none())
    }

    /// Returns what it asked for first.
    fn forget(&mut self, name: &Arc<[u8]>) -> Option<CheckpointId> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        self.0.remove(at).1
    }

    fn note(&mut self, name: &Arc<[u8]>, asked: Option<CheckpointId>) {
        if self.0.len() == NAMES_MAX {
            self.0.remove(0);
        }
        self.0.push((Arc::clone(name), asked));
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
    fn who_has_refused_something_is_not_believed_the_next_time() {
        let mut known = Acquainted::default();
        let (a, b) = (&Arc::from(*b"a"), &Arc::from(*b"b"));
        assert!(!known.meet(a, CheckpointId::new(5)) && known.meet(a, CheckpointId::new(7)));
        known.refused(a);
        assert!(known.has_refused(a) && !known.has_refused(b));
        assert!(!known.meet(a, CheckpointId::new(8)));
        assert!(!known.has_refused(a) && known.meet(a, CheckpointId::new(9)));
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
