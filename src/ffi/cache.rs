//! What the processor is told of memory that is needed soon.

/// Has the beginning of a value brought into the cache, and does not wait for it. Whoever works
/// through many values that lie all over memory waits for several of them at a time so.
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let at = std::ptr::from_ref(value).cast();
        // SAFETY: every x86_64 has the instruction, which changes nothing that a program sees.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at) };
    }
    #[cfg(any(not(target_arch = "x86_64"), miri))]
    let _ = value;
}
