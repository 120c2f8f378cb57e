//! How the system's scheduler treats the calling thread.

/// Niceness of background work: with all processors busy it has a third of the share of a host
/// thread, because an operator waits for some of it.
const BACKGROUND_NICE: i32 = 5;
/// How long it asks to run at a time, in nanoseconds, the most that Linux takes. Since Linux 6.12 a
/// thread that wakes up takes the processor at once from one that asked for more time than itself,
/// and else waits until the next tick of the scheduler: 4 ms in most kernels.
const BACKGROUND_SLICE_NS: u64 = 100_000_000;

/// Lets the calling thread, and those that it starts, make way for host threads at once. It cannot
/// be undone. Where the system knows no such thing, or refuses it, all stays as it is.
pub(crate) fn make_way() {
    #[cfg(not(miri))]
    {
        let size = u32::try_from(size_of::<libc::sched_attr>()).unwrap_or_default();
        // SAFETY: all fields are integers, for which zero is a value.
        let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
        attributes.size = size;
        attributes.sched_policy = libc::SCHED_OTHER.unsigned_abs();
        attributes.sched_nice = BACKGROUND_NICE;
        attributes.sched_runtime = BACKGROUND_SLICE_NS;
        // SAFETY: the call reads `size` bytes of the structure, and writes nothing of ours; 0 is
        // the calling thread.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    }
}
