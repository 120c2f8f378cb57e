//! What a client answers, and what that does.

/// What a client says to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It and all before it are in place.
    Taken,
    /// It is to be sent again later; all before it are in place.
    NotNow,
    /// It does not fit the state of the vbucket there.
    Unfit,
    /// What lies before it is not there: the state has to come first.
    OutOfStep,
    /// It will never be taken.
    Never,
}

impl Answer {
    /// By the status on the wire.
    pub(super) fn of(status: u16) -> Self {
        match status {
            0x00 => Self::Taken,
            0x85 | 0x86 => Self::NotNow,
            0x83 => Self::Unfit,
            0x04 => Self::OutOfStep,
            _ => Self::Never,
        }
    }
}

/// What an acknowledgement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acked {
    /// The stream goes on.
    GoesOn,
    /// The client refused something for good: the stream ends.
    Ends,
}

/// Whether one number comes after the other; they wrap.
pub(super) fn is_after(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() > 0
}
