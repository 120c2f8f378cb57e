//! What came of a command on each node, and of all of it.

use crate::exit::Exit;

/// What came of it on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// As it should be.
    Good,
    /// Its window is open, against what was asked.
    Open,
    /// Not as asked, and no window is open there.
    Bad,
    /// Not as asked: it has another window, or one that is being reverted.
    Foreign,
    /// It has ended its window the other way.
    Against,
    /// It does not answer, and nothing was sent to it.
    Silent,
    /// Nobody knows: it was sent what was asked, and did not answer.
    Unknown,
}

impl Mark {
    /// The word that JSON has.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Open => "open",
            Self::Bad | Self::Foreign | Self::Against => "bad",
            Self::Silent | Self::Unknown => "unknown",
        }
    }
}

/// One node's part.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) mark: Mark,
    pub(crate) text: String,
}

impl Part {
    pub(crate) fn new(mark: Mark, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { mark, text }
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    /// One for each node, in their order.
    pub(crate) parts: Vec<Part>,
    pub(crate) text: String,
    pub(crate) exit: Exit,
}
