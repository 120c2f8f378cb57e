//! The allocator of the whole library, which knows exactly how many bytes are in use.
//!
//! mimalloc does the work; this wrapper adds the usable size of every block to a counter when it is
//! handed out and subtracts the same number when it comes back, so that nothing is lost to
//! rounding and nothing is counted by estimate. A counter that all threads share would be the
//! busiest word of the process, so there are [`SHARDS`] of them, each on cache lines of its own,
//! and a thread keeps to one. A block may come back on another thread than it went out on: single
//! shards then wrap below zero, and only their sum means something.
//!
//! The count covers everything this library allocates in the process (also the database library's
//! caches), for all engines in it together, and nothing of the host.
//!
//! Under Miri, and with `--cfg checkpoint_engine_system_alloc` for sanitizers, the system's
//! allocator takes mimalloc's place and requested sizes are counted.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(any(miri, checkpoint_engine_system_alloc))]
use std::alloc::System as Inner;

#[cfg(not(any(miri, checkpoint_engine_system_alloc)))]
use mimalloc::MiMalloc as Inner;

/// Number of counters; a power of two.
const SHARDS: usize = 16;

/// One counter. Two cache lines, because neighbouring lines are fetched in pairs.
#[repr(align(128))]
struct Shard(AtomicUsize);

static USED: [Shard; SHARDS] = [const { Shard(AtomicUsize::new(0)) }; SHARDS];

/// Threads that were given a shard so far.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Stands for "no shard yet".
const UNASSIGNED: usize = usize::MAX;

thread_local! {
    // Without a destructor and without lazy initialisation: an allocator may use no other kind.
    static SHARD: Cell<usize> = const { Cell::new(UNASSIGNED) };
}

#[cfg(test)]
thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// Returns memory to the system that the calling thread allocated and whoever freed.
pub(crate) fn give_back() {
    #[cfg(not(any(miri, checkpoint_engine_system_alloc)))]
    // SAFETY: no precondition; may be called at any time from any thread.
    unsafe {
        libmimalloc_sys::mi_collect(true);
    };
}

/// To be called before anything is allocated: no huge pages. Who first touches one waits until 2
/// MiB are cleared (milliseconds on a virtual machine), where reads gained nothing by them.
pub(crate) fn prepare() {
    #[cfg(not(any(miri, checkpoint_engine_system_alloc)))]
    {
        /// "allow_thp", which the bindings do not name, in `mimalloc.h` of version 3.
        const ALLOW_THP: libmimalloc_sys::mi_option_t = 43;
        const _: () = assert!(libmimalloc_sys::_mi_option_last == 47);
        static ONCE: std::sync::Once = std::sync::Once::new();
        // SAFETY: once, and before other threads use the library. That mimalloc has begun by now is
        // wanted: earlier, the option would switch huge pages off for the host's memory as well.
        ONCE.call_once(|| unsafe { libmimalloc_sys::mi_option_set(ALLOW_THP, 0) });
    }
}

struct Counting;

/// Bytes in use, exact as of some instant during the call when no other thread allocates
/// meanwhile, and otherwise off by at most what they allocate.
pub(crate) fn used_bytes() -> usize {
    let sum = USED.iter().fold(0_usize, |sum, Shard(used)| {
        sum.wrapping_add(used.load(Ordering::Relaxed))
    });
    // Between the loads of two shards a block may have gone from one to the other: never report
    // the wrapped number that results when the sum was near zero.
    if sum > isize::MAX.cast_unsigned() {
        0
    } else {
        sum
    }
}

/// Number of allocations the calling thread has made.
#[cfg(test)]
pub(crate) fn allocations_of_this_thread() -> u64 {
    ALLOCATIONS.get()
}

/// Adds to the calling thread's counter; to subtract, pass the negated number.
#[inline]
fn count(bytes: usize) {
    let shard = SHARD.get();
    let shard = if shard == UNASSIGNED { assign() } else { shard };
    if let Some(Shard(used)) = USED.get(shard % SHARDS) {
        used.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[cold]
fn assign() -> usize {
    let shard = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
    SHARD.set(shard);
    shard
}

/// Size that is counted for a block.
///
/// # Safety
/// `block` was allocated by `Inner` with `layout` and is live.
#[inline]
#[cfg(not(any(miri, checkpoint_engine_system_alloc)))]
unsafe fn counted_bytes(block: *mut u8, _layout: Layout) -> usize {
    // SAFETY: the block is live and mimalloc's, says the caller.
    unsafe { Inner.usable_size(block) }
}

#[inline]
#[cfg(any(miri, checkpoint_engine_system_alloc))]
unsafe fn counted_bytes(_block: *mut u8, layout: Layout) -> usize {
    layout.size()
}

impl Counting {
    /// Counts a block that goes out; a failed allocation counts nothing.
    #[inline]
    fn out(block: *mut u8, layout: Layout) -> *mut u8 {
        if !block.is_null() {
            // SAFETY: called with what Inner just returned for that layout.
            count(unsafe { counted_bytes(block, layout) });
            #[cfg(test)]
            ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        }
        block
    }
}

// SAFETY: every call goes to Inner with unchanged arguments, and counting neither allocates nor
// unwinds: it is arithmetic on atomics and on a thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is Inner's requirement.
        Self::out(unsafe { Inner.alloc(layout) }, layout)
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is Inner's requirement.
        Self::out(unsafe { Inner.alloc_zeroed(layout) }, layout)
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back a live block with its layout.
        count(unsafe { counted_bytes(block, layout) }.wrapping_neg());
        // SAFETY: the caller's promise is Inner's requirement.
        unsafe { Inner.dealloc(block, layout) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller passes a live block with its layout.
        let before = unsafe { counted_bytes(block, layout) };
        // SAFETY: the caller's promise is Inner's requirement.
        let moved = unsafe { Inner.realloc(block, layout, bytes) };
        if !moved.is_null() {
            count(before.wrapping_neg());
            // SAFETY: the caller promises that the new size and the old alignment make a layout.
            let layout = unsafe { Layout::from_size_align_unchecked(bytes, layout.align()) };
            Self::out(moved, layout);
        }
        moved
    }
}

/// Runs a test in a process of its own, because other tests allocate. `path` is the test's own,
/// from the crate's root.
#[cfg(test)]
pub(crate) fn alone(path: &str, body: impl FnOnce()) {
    const INSIDE: &str = "CHECKPOINT_ENGINE_ALONE";
    if std::env::var_os(INSIDE).is_some_and(|inside| inside == path) {
        body();
        return;
    }
    let binary = std::env::current_exe().unwrap();
    let output = std::process::Command::new(binary)
        .args([path, "--exact", "--test-threads=1"])
        .env(INSIDE, path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let passed = output.status.success() && text.contains("1 passed");
    assert!(passed, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counter of the calling thread; its own as long as there are fewer threads than shards.
    fn own_bytes() -> usize {
        USED[SHARD.get()].0.load(Ordering::Relaxed)
    }

    #[test]
    #[cfg_attr(miri, ignore = "starts a process")]
    fn blocks_freed_on_other_threads_leave_no_remainder() {
        alone(
            "ffi::alloc::tests::blocks_freed_on_other_threads_leave_no_remainder",
            || {
                let (there, back) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
                let (to_helper, at_helper) = there;
                let (to_here, here) = back;
                std::thread::scope(|scope| {
                    scope.spawn(move || {
                        for blocks in at_helper {
                            let blocks: Vec<Vec<u8>> = blocks;
                            drop(blocks);
                            to_here.send(()).unwrap();
                        }
                    });
                    let round = |size: usize, pieces: usize| {
                        let blocks: Vec<Vec<u8>> = (0..pieces).map(|_| vec![1; size]).collect();
                        let held = used_bytes();
                        to_helper.send(blocks).unwrap();
                        here.recv().unwrap();
                        (held, used_bytes())
                    };
                    // The first rounds also allocate what channels and threads keep.
                    let (_, first) = round(1000, 500);
                    let mut last = first;
                    for _ in 0..64 {
                        let (held, after) = round(1000, 500);
                        assert!(held >= after + 500_000, "{held} {after}");
                        last = after;
                    }
                    // The channel keeps at most a block of its own list.
                    assert!(last.abs_diff(first) < 4096, "{first} {last}");
                    drop(to_helper);
                });
            },
        );
    }

    #[test]
    #[cfg_attr(miri, ignore = "starts a process")]
    fn the_count_goes_up_by_usable_bytes_and_back_to_where_it_was() {
        alone(
            "ffi::alloc::tests::the_count_goes_up_by_usable_bytes_and_back_to_where_it_was",
            || {
                let before = own_bytes();
                for size in [1_usize, 8, 24, 100, 4096, 100_000, 10_000_000] {
                    let block = Vec::<u8>::with_capacity(size);
                    let grown = own_bytes().wrapping_sub(before);
                    assert!(
                        grown >= size && grown <= size + size / 4 + 16,
                        "{size}: {grown}"
                    );
                    drop(block);
                    assert_eq!(own_bytes(), before, "{size}");
                }
                let mut block = Vec::<u8>::with_capacity(10);
                block.resize(50_000, 1);
                block.resize(3, 0);
                block.shrink_to_fit();
                drop(block);
                assert_eq!(own_bytes(), before);
                // Every alignment that Rust code asks for.
                for align in [16_usize, 64, 128, 4096] {
                    let layout = Layout::from_size_align(1000, align).unwrap();
                    // SAFETY: the layout is not empty.
                    let block = unsafe { std::alloc::alloc_zeroed(layout) };
                    assert!(block.addr().is_multiple_of(align));
                    assert!(own_bytes().wrapping_sub(before) >= 1000);
                    // SAFETY: allocated above with that layout.
                    unsafe { std::alloc::dealloc(block, layout) };
                    assert_eq!(own_bytes(), before, "{align}");
                }
            },
        );
    }

    #[test]
    fn this_threads_allocations_are_counted() {
        let before = allocations_of_this_thread();
        drop(std::hint::black_box(Box::new(1_u64)));
        assert_eq!(allocations_of_this_thread(), before + 1);
    }
}
