//! How the system's scheduler treats the calling thread.

/// How long background work asks to run at a time, in nanoseconds: longer than an ordinary thread,
/// which gets 0.7 to 3 ms. Since Linux 6.12 a thread that wakes up takes the processor at once from
/// one that asked for more time than itself, and else waits until the next tick of the scheduler: 4
/// ms in most kernels. Not much longer, and no lower priority: where all processors are busy, a
/// thread that waits for its turn may hold a lock that a client needs. (100 ms made clients wait
/// 140.)
const BACKGROUND_SLICE_NS: u64 = 8_000_000;

/// Lets the calling thread, and those that it starts, make way at once for host threads that wake
/// up. Where the system knows no such thing, or refuses it, all stays as it is.
pub(crate) fn make_way() {
    #[cfg(not(miri))]
    {
        let size = u32::try_from(size_of::<libc::sched_attr>()).unwrap_or_default();
        // SAFETY: all fields are integers, for which zero is a value.
        let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
        let to = &raw mut attributes;
        // SAFETY: the call writes at most `size` bytes of the structure; 0 is the calling thread.
        if unsafe { libc::syscall(libc::SYS_sched_getattr, 0, to, size, 0) } != 0 {
            return;
        }
        // Whoever runs the host in another class knows what it wants.
        if attributes.sched_policy != libc::SCHED_OTHER.unsigned_abs() {
            return;
        }
        attributes.sched_runtime = BACKGROUND_SLICE_NS;
        // SAFETY: the call reads the structure, whose size stands in it, and writes nothing of
        // ours.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn niceness() -> i32 {
        // SAFETY: the call has no memory of ours; 0 is the calling thread.
        unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no scheduler")]
    fn background_work_keeps_the_priority_that_its_host_was_given() {
        // SAFETY: as above. Lowering the priority of a thread, here the test's, is always allowed.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 7) };
        assert_eq!(niceness(), 7);
        make_way();
        assert_eq!(niceness(), 7);
    }
}
