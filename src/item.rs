//! The item: one allocation that holds header, key and value, with its reference count inside, so
//! that the C `item *` which `get` returns *is* the counted item and a read allocates nothing.
//!
//! Life: [`Item::allocate`] makes a *pending* item with one reference, which the host fills and
//! then stores. [`Item::publish`] turns it into a shared one; from then on key, value, flags and
//! expiry never change and an overwrite puts another item in its place. Readers of the old one
//! keep it until they release it. The CAS is atomic because the engine writes it at publication
//! and because the ABI's `item_set_cas` may be called on any item.
//!
//! A *key-only* item stands for a value that was evicted: same metadata, same length, no bytes.
//!
//! Threads: any. The bytes of a pending item belong to the connection that allocated it.
#![expect(
    unsafe_code,
    reason = "a counted allocation of variable size that crosses the ABI"
)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ffi::c_void;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use crate::announced::Announced;
use crate::ffi::cache;
use crate::types::UnixTime;

/// Pending: only the allocating connection knows it.
const PENDING: u8 = 0;
/// Published: shared and immutable.
const PUBLISHED: u8 = 1;
/// Published, and without its value.
const KEY_ONLY: u8 = 2;
/// Pending, and its value counts as announced until it is published or dropped.
const ANNOUNCED: u8 = 3;

/// A reference count that reached this is never decremented again: the item leaks instead of being
/// freed under a reader. It takes 2^31 simultaneous references to one item to get there.
const REFERENCES_MAX: u32 = 1 << 31;

#[repr(C)]
struct Header {
    references: AtomicU32,
    hash: u32,
    cas: AtomicU64,
    expiry: UnixTime,
    flags: u32,
    nbytes: u32,
    nkey: u8,
    state: AtomicU8,
    // Key, one NUL (the ABI's basic suite reads the key as a C string), value.
}

const HEADER_BYTES: usize = size_of::<Header>();

/// Bytes an item takes beyond its key and value, before the allocator rounds up.
pub(crate) const ITEM_OVERHEAD_BYTES: usize = HEADER_BYTES + 1;

/// A counted reference to an item.
pub(crate) struct Item(NonNull<Header>);

// SAFETY: the header's mutable fields are atomics; key, value and the other fields are written only
// before publication, by the one connection that owns the pending item.
unsafe impl Send for Item {}
// SAFETY: as for Send: shared access never writes anything but atomics.
unsafe impl Sync for Item {}

/// What an item is made of besides key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Hash of the key under the engine's seed.
    pub(crate) hash: u32,
    /// Client flags, the 32 bits as they stood on the wire.
    pub(crate) flags: u32,
    /// Unix seconds; 0 never.
    pub(crate) expiry: UnixTime,
    /// CAS; 0 while none was given.
    pub(crate) cas: u64,
}

impl Item {
    /// A pending item with a zeroed value of `nbytes`, or `None` when key or value are longer than
    /// the header can say. Memory that cannot be had ends the process as for any Rust allocation;
    /// the caller has checked the size against its limits before.
    pub(crate) fn allocate(key: &[u8], nbytes: usize, meta: Meta) -> Option<Self> {
        Self::build(key, nbytes, nbytes, PENDING, meta)
    }

    /// The same for a value whose bytes were announced.
    pub(crate) fn allocate_announced(key: &[u8], announced: Announced, meta: Meta) -> Option<Self> {
        let nbytes = announced.bytes();
        let item = Self::build(key, nbytes, nbytes, ANNOUNCED, meta)?;
        // Taken back when the item is published or dropped.
        announced.keep();
        Some(item)
    }

    /// A published item whose value is the concatenation of `parts`, or `None` as above.
    pub(crate) fn with_value(key: &[u8], parts: &[&[u8]], meta: Meta) -> Option<Self> {
        let nbytes = parts
            .iter()
            .try_fold(0_usize, |sum, part| sum.checked_add(part.len()))?;
        let item = Self::build(key, nbytes, nbytes, PUBLISHED, meta)?;
        let mut to = item.value_ptr();
        for part in parts {
            // SAFETY: the value region has room for the sum of all parts, and nobody else knows
            // this item yet.
            unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), to, part.len()) };
            to = to.wrapping_add(part.len());
        }
        Some(item)
    }

    /// The key-only form of an item with that key, value length and metadata.
    pub(crate) fn key_only_with(key: &[u8], nbytes: usize, meta: Meta) -> Option<Self> {
        Self::build(key, nbytes, 0, KEY_ONLY, meta)
    }

    /// The key-only form of this item.
    pub(crate) fn key_only(&self) -> Self {
        let built = Self::key_only_with(self.key(), self.nbytes(), self.meta());
        // The lengths come from an item, so they fit one.
        built.unwrap_or_else(|| self.clone())
    }

    fn build(key: &[u8], nbytes: usize, stored: usize, state: u8, meta: Meta) -> Option<Self> {
        let nkey = u8::try_from(key.len()).ok()?;
        let layout = layout(key.len(), stored)?;
        let nbytes = u32::try_from(nbytes).ok()?;
        // SAFETY: the layout is never of size zero: it holds at least the header.
        let raw = unsafe { alloc_zeroed(layout) };
        #[expect(
            clippy::cast_ptr_alignment,
            reason = "the layout asks for a header's alignment"
        )]
        let Some(header) = NonNull::new(raw.cast::<Header>()) else {
            handle_alloc_error(layout);
        };
        // SAFETY: freshly allocated with room and alignment for a header.
        unsafe {
            header.write(Header {
                references: AtomicU32::new(1),
                hash: meta.hash,
                cas: AtomicU64::new(meta.cas),
                expiry: meta.expiry,
                flags: meta.flags,
                nbytes,
                nkey,
                state: AtomicU8::new(state),
            });
        }
        let item = Self(header);
        // SAFETY: the allocation has key.len() bytes behind the header, and is not shared yet.
        unsafe { std::ptr::copy_nonoverlapping(key.as_ptr(), item.key_ptr(), key.len()) };
        Some(item)
    }

    fn header(&self) -> &Header {
        // SAFETY: the reference that self stands for keeps the allocation alive.
        unsafe { self.0.as_ref() }
    }

    fn key_ptr(&self) -> *mut u8 {
        self.0.as_ptr().cast::<u8>().wrapping_add(HEADER_BYTES)
    }

    /// First byte of the value region: `nbytes` long unless the item is key-only.
    pub(crate) fn value_ptr(&self) -> *mut u8 {
        self.key_ptr()
            .wrapping_add(usize::from(self.header().nkey) + 1)
    }

    /// The key.
    pub(crate) fn key(&self) -> &[u8] {
        // SAFETY: the region behind the header holds nkey initialised bytes that never change.
        unsafe { std::slice::from_raw_parts(self.key_ptr(), usize::from(self.header().nkey)) }
    }

    /// The value; empty for a key-only item.
    pub(crate) fn value(&self) -> &[u8] {
        let len = if self.is_resident() { self.nbytes() } else { 0 };
        // SAFETY: the value region holds nbytes initialised bytes (zeroed at allocation). The host
        // writes to it only while the item is pending, and only the owner reads it then.
        unsafe { std::slice::from_raw_parts(self.value_ptr(), len) }
    }

    /// Length of the value in bytes, also when it is not resident.
    pub(crate) fn nbytes(&self) -> usize {
        self.header().nbytes as usize
    }

    /// Hash of the key.
    pub(crate) fn hash(&self) -> u32 {
        self.header().hash
    }

    /// Unix seconds; 0 never.
    pub(crate) fn expiry(&self) -> UnixTime {
        self.header().expiry
    }

    /// Client flags.
    pub(crate) fn flags(&self) -> u32 {
        self.header().flags
    }

    /// CAS: while pending what the client expects, afterwards this version's own.
    pub(crate) fn cas(&self) -> u64 {
        self.header().cas.load(Ordering::Relaxed)
    }

    /// Sets the CAS.
    pub(crate) fn set_cas(&self, cas: u64) {
        self.header().cas.store(cas, Ordering::Relaxed);
    }

    /// Has its metadata brought into the cache, for who is going to look at it soon.
    pub(crate) fn prefetch(&self) {
        cache::prefetch(self.0.as_ptr());
    }

    /// The same with its key and the beginning of its value.
    pub(crate) fn prefetch_whole(&self) {
        for line in 0..3 {
            let at = self.0.as_ptr().cast::<u8>();
            cache::prefetch(at.wrapping_add(line * cache::LINE_BYTES));
        }
    }

    /// Metadata in one.
    pub(crate) fn meta(&self) -> Meta {
        Meta {
            hash: self.hash(),
            flags: self.flags(),
            expiry: self.expiry(),
            cas: self.cas(),
        }
    }

    /// Whether the value is in memory.
    pub(crate) fn is_resident(&self) -> bool {
        self.header().state.load(Ordering::Relaxed) != KEY_ONLY
    }

    /// Whether only the connection that allocated it knows it.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(
            self.header().state.load(Ordering::Relaxed),
            PENDING | ANNOUNCED
        )
    }

    /// Makes a pending item shared. Returns false if it was published before: then the caller
    /// stores a copy, because the first one must not change.
    pub(crate) fn publish(&self) -> bool {
        let state = &self.header().state;
        let publish = |from| {
            state
                .compare_exchange(from, PUBLISHED, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
        };
        let announced = publish(ANNOUNCED);
        if announced {
            drop(Announced::take_back(self.nbytes()));
        }
        announced || publish(PENDING)
    }

    /// Whether two references lead to the same item.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// Bytes requested from the allocator for this item.
    pub(crate) fn memory_bytes(&self) -> usize {
        let value = if self.is_resident() { self.nbytes() } else { 0 };
        ITEM_OVERHEAD_BYTES + usize::from(self.header().nkey) + value
    }

    /// Gives the reference away as the C `item *`.
    pub(crate) fn into_raw(self) -> *mut c_void {
        ManuallyDrop::new(self).0.as_ptr().cast()
    }

    /// Takes a reference back that [`Self::into_raw`] gave away.
    ///
    /// # Safety
    /// `raw` came from `into_raw` and its reference was not taken back before.
    pub(crate) unsafe fn from_raw(raw: NonNull<c_void>) -> Self {
        Self(raw.cast())
    }

    /// Looks at an item whose reference the host holds.
    ///
    /// # Safety
    /// `raw` came from `into_raw`, and its reference is not taken back while the result lives.
    pub(crate) unsafe fn borrow_raw(raw: NonNull<c_void>) -> ManuallyDrop<Self> {
        ManuallyDrop::new(Self(raw.cast()))
    }
}

fn layout(nkey: usize, nvalue: usize) -> Option<Layout> {
    let bytes = (HEADER_BYTES + nkey + 1).checked_add(nvalue)?;
    Layout::from_size_align(bytes, align_of::<Header>()).ok()
}

impl Clone for Item {
    fn clone(&self) -> Self {
        let references = &self.header().references;
        if references.fetch_add(1, Ordering::Relaxed) >= REFERENCES_MAX {
            references.store(REFERENCES_MAX, Ordering::Relaxed);
        }
        Self(self.0)
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        let header = self.header();
        match header.references.fetch_sub(1, Ordering::Release) {
            1 => {}
            references => {
                if references >= REFERENCES_MAX {
                    header.references.store(REFERENCES_MAX, Ordering::Relaxed);
                }
                return;
            }
        }
        // The thread sanitizer does not know of fences.
        #[cfg(checkpoint_engine_system_alloc)]
        header.references.load(Ordering::Acquire);
        #[cfg(not(checkpoint_engine_system_alloc))]
        std::sync::atomic::fence(Ordering::Acquire);
        let stored = if self.is_resident() { self.nbytes() } else { 0 };
        let Some(layout) = layout(usize::from(header.nkey), stored) else {
            return;
        };
        let announced = header.state.load(Ordering::Relaxed) == ANNOUNCED;
        let _announced = announced.then(|| Announced::take_back(self.nbytes()));
        // SAFETY: this was the last reference, and the layout is the one it was allocated with:
        // nkey and nbytes never change and key-only is decided at allocation.
        unsafe { dealloc(self.0.as_ptr().cast(), layout) };
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("key", &String::from_utf8_lossy(self.key()))
            .field("nbytes", &self.nbytes())
            .field("cas", &self.cas())
            .field("resident", &self.is_resident())
            .field(
                "references",
                &self.header().references.load(Ordering::Relaxed),
            )
            .finish()
    }
}

const _: () = assert!(HEADER_BYTES == 32, "the memory of small items counts on it");

#[cfg(test)]
impl Item {
    /// Number of references.
    pub(crate) fn references(&self) -> u32 {
        self.header().references.load(Ordering::Relaxed)
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl Item {
    /// Writes the value of a pending item, as a host does.
    pub(crate) fn fill(&self, value: &[u8]) {
        assert_eq!(self.nbytes(), value.len());
        let state = self.header().state.load(Ordering::Relaxed);
        assert!(matches!(state, PENDING | ANNOUNCED), "the item is shared");
        // SAFETY: the value region of a pending item is nbytes long, and its owner calls this.
        unsafe { std::ptr::copy_nonoverlapping(value.as_ptr(), self.value_ptr(), value.len()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: Meta = Meta {
        hash: 7,
        flags: 0x0102_0304,
        expiry: 5,
        cas: 9,
    };

    #[test]
    fn an_item_holds_what_it_was_made_of() {
        let item = Item::with_value(b"key", &[b"ab", b"", b"cde"], META).unwrap();
        assert_eq!((item.key(), item.value()), (&b"key"[..], &b"abcde"[..]));
        assert_eq!((item.nbytes(), item.meta()), (5, META));
        let nul = item.key_ptr().wrapping_add(3);
        // SAFETY: one NUL stands behind the key.
        assert_eq!(unsafe { *nul }, 0);
    }

    #[test]
    fn the_last_release_frees_and_raw_round_trips() {
        let item = Item::allocate(b"k", 0, META).unwrap();
        let second = item.clone();
        assert_eq!(item.references(), 2);
        let raw = NonNull::new(second.into_raw()).unwrap();
        // SAFETY: raw is live.
        assert_eq!(unsafe { Item::borrow_raw(raw) }.key(), b"k");
        // SAFETY: taken back once.
        drop(unsafe { Item::from_raw(raw) });
        assert_eq!(item.references(), 1);
    }

    #[test]
    fn a_key_only_item_remembers_length_and_metadata() {
        let item = Item::with_value(b"k", &[b"value"], META).unwrap();
        let evicted = item.key_only();
        assert!(!evicted.is_resident() && evicted.value().is_empty());
        assert_eq!(
            (evicted.nbytes(), evicted.meta(), evicted.key()),
            (5, META, &b"k"[..])
        );
    }

    #[test]
    fn an_item_is_published_once() {
        let item = Item::allocate(b"k", 3, META).unwrap();
        assert!(item.publish());
        assert!(!item.publish());
        assert!(Item::allocate(&[0; 256], 0, META).is_none());
        assert!(Item::allocate(b"k", usize::MAX - 3, META).is_none());
    }
}
