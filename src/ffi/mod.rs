//! What the crate asks of C libraries other than the host. Today that is the allocator.
#![expect(
    unsafe_code,
    reason = "the global allocator is an unsafe trait over a C library"
)]

pub(crate) mod alloc;
