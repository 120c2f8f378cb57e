//! What the crate asks of C libraries other than the host, and of the processor: memory, the
//! system's scheduler, room on the disk, signals, symbols, the cache.
#![expect(
    unsafe_code,
    reason = "the global allocator is an unsafe trait over a C library; a system call, and an \
              instruction of the processor, are unsafe to call"
)]

pub(crate) mod alloc;
pub(crate) mod cache;
pub(crate) mod disk;
pub(crate) mod scheduling;
pub(crate) mod signals;
pub(crate) mod symbols;
