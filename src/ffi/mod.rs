//! What the crate asks of C libraries other than the host: memory, and the system's scheduler.
#![expect(
    unsafe_code,
    reason = "the global allocator is an unsafe trait over a C library, and a system call is one"
)]

pub(crate) mod alloc;
pub(crate) mod scheduling;
