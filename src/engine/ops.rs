//! The key-value operations.
//!
//! Each decides under the locks of its key (`Vbucket::mutate`), except where a new value is made
//! from the old one: that is copied with no lock held, and put in place only if the old one is
//! still there.

use std::cell::Cell;
use std::time::Duration;

use super::{Core, Engine};
use crate::announced::{self, Announced, Refusal};
use crate::config::ITEM_BYTES_MAX;
use crate::error::{Error, Result};
use crate::host::Cookie;
use crate::item::{Item, Meta};
use crate::types::{Arithmetic, KEY_BYTES_MAX, StoreOp, UnixTime, VbucketId, VbucketState};
use crate::vbucket::{Access, Ejection, Found, LockRule, Vbucket, Verdict};

/// `exptime` values from here on are negative numbers that an ASCII client sent: as absolute times
/// they would lie after the year 2072.
const NEGATIVE_EXPIRY: u32 = 0xc000_0000;

/// About what an item with a short value takes.
const NUMBER_ITEM_BYTES: usize = 128;

impl Core {
    /// A client's expiry as Unix seconds; 0 never.
    fn expiry(&self, exptime: u32) -> UnixTime {
        if exptime == 0 {
            return 0;
        }
        let raw = if exptime >= NEGATIVE_EXPIRY {
            i64::from(exptime) - (1 << 32)
        } else {
            i64::from(exptime)
        };
        self.absolute(raw)
    }

    /// A client's time, which is not 0, as Unix seconds. Never 0: that would mean "never".
    fn absolute(&self, time: i64) -> UnixTime {
        UnixTime::try_from(self.host.absolute(time).max(1)).unwrap_or(UnixTime::MAX)
    }

    /// The vbucket, if it serves clients.
    pub(super) fn serving(&self, cookie: Cookie, vbucket: u16) -> Result<&Vbucket> {
        let vbucket = VbucketId::new(vbucket).and_then(|id| self.vbuckets.get(id));
        if let Some(vbucket) = vbucket.filter(|vbucket| vbucket.awaits_flush()) {
            self.flush_if_due(vbucket);
        }
        match vbucket.map(|vbucket| (vbucket, vbucket.access())) {
            Some((vbucket, _)) if vbucket.is_poisoned() => Err(Error::Temporary),
            Some((vbucket, Access::Serves)) => Ok(vbucket),
            // A thread of the host is not to wait for an operator.
            Some((vbucket, Access::Waits)) if self.host.calls_again() => {
                Err(self.wait_for(vbucket, cookie))
            }
            _ => {
                self.shared.metrics.not_my_vbucket.add(1);
                Err(Error::NotMyVbucket)
            }
        }
    }

    /// The item with its value if that was brought in just now and has gone again; otherwise
    /// [`Fetcher::fetch`](crate::bgfetch::Fetcher::fetch) says what becomes of the client.
    fn fetch(&self, vbucket: &Vbucket, item: Item, cookie: Cookie) -> Result<Item> {
        let full = self.fetcher.fetch(vbucket.id(), item, cookie)?;
        vbucket.fill(&full);
        Ok(full)
    }

    /// The vbucket, if it is active; for commands that never wait for it to become so.
    pub(super) fn active(&self, vbucket: u16) -> Option<&Vbucket> {
        let vbucket = self.vbuckets.get(VbucketId::new(vbucket)?)?;
        self.flush_if_due(vbucket);
        let active = vbucket.state() == Some(VbucketState::Active);
        (active && !vbucket.is_poisoned()).then_some(vbucket)
    }

    /// Whether a mutation that brings so many bytes finds room.
    pub(super) fn admit(&self, need: usize) -> Result<()> {
        let metrics = &self.shared.metrics;
        if self.evictor.has_room(need) {
            return Ok(());
        }
        if self.evictor.is_exhausted() {
            metrics.memory_exhausted.add(1);
            return Err(Error::NoMemory);
        }
        metrics.memory_refusals.add(1);
        Err(Error::Temporary)
    }

    fn remove_from(&self, vbucket: &Vbucket, key: &[u8], cas: u64) -> Result<()> {
        let rule = LockRule::with_cas(cas);
        vbucket.change(self.hash(key), key, rule, &mut |present| match present {
            None => Err(Self::missing(vbucket, key)),
            Some(item) if cas != 0 && item.cas() != cas => Err(Error::Exists),
            Some(_) => Ok(Verdict::Remove),
        })?;
        self.changed();
        Ok(())
    }

    /// Takes note of a value that a client is going to send.
    fn announce_value(&self, bytes: usize) -> Result<Option<Announced>> {
        let quota = self.shared.settings.max_size.get();
        announced::announce(bytes, quota).map_err(|refusal| match refusal {
            Refusal::Never => {
                self.shared.metrics.too_big.add(1);
                Error::TooBig
            }
            Refusal::Now => {
                self.shared.metrics.announcements_refused.add(1);
                Error::Temporary
            }
        })
    }

    /// Whether a value of so many bytes may be kept at all.
    pub(super) fn may_keep(&self, bytes: usize) -> bool {
        let quota = self.shared.settings.max_size.get();
        bytes <= self.config.max_item_size && announced::fits(bytes, quota)
    }

    /// The present item with its value, for an operation that makes a new one of it.
    fn present(&self, cookie: Cookie, vbucket: &Vbucket, hash: u32, key: &[u8]) -> Result<Item> {
        match vbucket.get(hash, key) {
            Found::Hit(item) | Found::Locked(item) => Ok(item),
            Found::Miss => Err(Self::missing(vbucket, key)),
            Found::NotResident(item) => self.fetch(vbucket, item, cookie),
        }
    }

    /// Replaces the present item by what `make` makes of it, as often as somebody else is faster.
    fn rewrite(
        &self,
        cookie: Cookie,
        vbucket: &Vbucket,
        (hash, key, rule): (u32, &[u8], LockRule),
        make: &mut dyn FnMut(&Item) -> Result<Verdict>,
    ) -> Result<(Item, u64)> {
        loop {
            let old = self.present(cookie, vbucket, hash, key)?;
            let mut verdict = Some(make(&old)?);
            let new = match &verdict {
                Some(Verdict::Put(item) | Verdict::Touch(item) | Verdict::Copy(item)) => {
                    item.clone()
                }
                _ => old.clone(),
            };
            let mut overtaken = false;
            let result = vbucket.change(hash, key, rule, &mut |now| {
                overtaken = !now.is_some_and(|now| now.is(&old));
                verdict.take().filter(|_| !overtaken).ok_or(Error::NotFound)
            });
            if !overtaken {
                let cas = result?;
                self.changed();
                return Ok((new, cas));
            }
        }
    }
}

impl Engine {
    /// A new, empty item for the host to fill and to store.
    ///
    /// # Errors
    /// `Invalid` for a key of no or too many bytes, `TooBig` for a value above the limit or too
    /// large for the quota, `Temporary` while clients have announced too much that they have not
    /// sent, `NoMemory` where nothing makes room for it.
    pub(crate) fn allocate(
        &self,
        key: &[u8],
        nbytes: usize,
        flags: u32,
        exptime: u32,
    ) -> Result<Item> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(Error::Invalid);
        }
        if nbytes > self.core.config.max_item_size || nbytes > ITEM_BYTES_MAX {
            return Err(Error::TooBig);
        }
        if !self.core.evictor.lets_in(nbytes) {
            self.core.shared.metrics.memory_exhausted.add(1);
            return Err(Error::NoMemory);
        }
        let announced = self.core.announce_value(nbytes)?;
        let (hash, expiry) = (self.core.hash(key), self.core.expiry(exptime));
        let meta = Meta {
            hash,
            flags,
            expiry,
            cas: 0,
        };
        match announced {
            Some(announced) => Item::allocate_announced(key, announced, meta),
            None => Item::allocate(key, nbytes, meta),
        }
        .ok_or(Error::TooBig)
    }

    /// Reads a key. No allocation and no copy when the value is in memory.
    ///
    /// # Errors
    /// `NotFound`, `NotMyVbucket`, `WouldBlock`, `Disconnect` when the store cannot be read.
    pub(crate) fn get(&self, cookie: Cookie, key: &[u8], vbucket: u16) -> Result<Item> {
        let core = &*self.core;
        let vbucket = core.serving(cookie, vbucket)?;
        let hash = core.hash(key);
        let item = match vbucket.get(hash, key) {
            Found::Hit(item) => return Ok(item),
            Found::Miss => return Err(Core::missing(vbucket, key)),
            Found::NotResident(item) => core.fetch(vbucket, item, cookie)?,
            Found::Locked(item) => return masked(&item),
        };
        if vbucket.is_locked(hash, key) {
            return masked(&item);
        }
        Ok(item)
    }

    /// What is known of a key besides its value, which need not be in memory.
    ///
    /// # Errors
    /// `NotFound`, `NotMyVbucket`, `WouldBlock`, `Temporary` where a restore may bring the key.
    pub(crate) fn meta_of(&self, cookie: Cookie, key: &[u8], vbucket: u16) -> Result<Meta> {
        let vbucket = self.core.serving(cookie, vbucket)?;
        let item = vbucket.get(self.core.hash(key), key).item();
        (item.map(|item| item.meta())).ok_or_else(|| Core::missing(vbucket, key))
    }

    /// Stores an item that [`Self::allocate`] made. Returns its CAS.
    ///
    /// # Errors
    /// By operation: `NotStored`, `Exists`, `NotFound`; `TooBig` for the result of an append;
    /// `Temporary` without memory; `NotMyVbucket`, `WouldBlock`.
    pub(crate) fn store(
        &self,
        cookie: Cookie,
        item: &Item,
        op: StoreOp,
        vbucket: u16,
    ) -> Result<u64> {
        let core = &*self.core;
        let vbucket = core.serving(cookie, vbucket)?;
        core.admit(item.memory_bytes())?;
        if matches!(op, StoreOp::Append | StoreOp::Prepend) {
            return core.concatenate(cookie, item, op, vbucket);
        }
        let expected = item.cas();
        // A host stores an item once. Test suites store one again and again, and write to it in
        // between: the later ones are copies of it as it is now.
        let copy;
        let new = if item.publish() {
            item
        } else {
            copy = Item::with_value(item.key(), &[item.value()], item.meta());
            copy.as_ref().ok_or(Error::TooBig)?
        };
        let rule = match op {
            // There it is, locked or not.
            StoreOp::Add => LockRule::Keep,
            _ => LockRule::Match(expected),
        };
        let may_come = || vbucket.may_come(item.key());
        let mut is_full = false;
        let result = vbucket.change(item.hash(), item.key(), rule, &mut |present| match (
            op, present,
        ) {
            (StoreOp::Add | StoreOp::Replace | StoreOp::Cas, None) if may_come() => {
                Err(Error::Temporary)
            }
            (StoreOp::Set, None) if vbucket.is_noted_to_the_full(item.key()) => {
                is_full = true;
                Err(Error::Temporary)
            }
            (StoreOp::Add, Some(_)) | (StoreOp::Replace, None) => Err(Error::NotStored),
            (StoreOp::Cas, None) => Err(Error::NotFound),
            (StoreOp::Cas, Some(present)) if present.cas() != expected => Err(Error::Exists),
            _ => Ok(Verdict::Put(new.clone())),
        });
        if is_full {
            return Err(core.notes_are_full());
        }
        let cas = result?;
        core.changed();
        Ok(cas)
    }

    /// Deletes a key; `cas` 0 means unconditionally.
    ///
    /// # Errors
    /// `NotFound`, `Exists` when the CAS differs, `NotMyVbucket`, `WouldBlock`.
    pub(crate) fn remove(&self, cookie: Cookie, key: &[u8], cas: u64, vbucket: u16) -> Result<()> {
        let vbucket = self.core.serving(cookie, vbucket)?;
        self.core.remove_from(vbucket, key, cas)
    }

    /// Deletes a key for a client that does not wait for it, nor does it wait for anything.
    ///
    /// # Errors
    /// `NotFound`, `Exists` when the CAS differs, `NotMyVbucket` when the vbucket serves nobody.
    pub(crate) fn discard(&self, key: &[u8], cas: u64, vbucket: u16) -> Result<()> {
        let vbucket = self.core.active(vbucket);
        let serves = |vbucket: &&Vbucket| vbucket.access() == Access::Serves;
        let vbucket = vbucket.filter(serves).ok_or(Error::NotMyVbucket)?;
        self.core.remove_from(vbucket, key, cas)
    }

    /// Increments or decrements a decimal value. Returns the new number and its CAS.
    ///
    /// # Errors
    /// `NotFound` without `create`, `NotNumeric`, `Temporary`, `NotMyVbucket`, `WouldBlock`.
    pub(crate) fn arithmetic(
        &self,
        cookie: Cookie,
        key: &[u8],
        arithmetic: &Arithmetic,
        vbucket: u16,
    ) -> Result<(u64, u64)> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(Error::NotFound);
        }
        let core = &*self.core;
        let vbucket = core.serving(cookie, vbucket)?;
        core.admit(NUMBER_ITEM_BYTES)?;
        let hash = core.hash(key);
        let expiry = core.expiry(arithmetic.exptime);
        let evicted = Cell::new(None);
        let mut done = None;
        let mut decide = |present: Option<&Item>| {
            let (value, meta) = match present {
                None if vbucket.may_come(key) => return Err(Error::Temporary),
                None if !arithmetic.create => return Err(Error::NotFound),
                None => (
                    arithmetic.initial,
                    Meta {
                        hash,
                        flags: arithmetic.flags,
                        expiry,
                        cas: 0,
                    },
                ),
                Some(item) if !item.is_resident() => {
                    evicted.set(Some(item.clone()));
                    return Err(Error::WouldBlock);
                }
                Some(item) => {
                    let old = number(item.value()).ok_or(Error::NotNumeric)?;
                    (compute(old, arithmetic), item.meta())
                }
            };
            let item = Item::with_value(key, &[value.to_string().as_bytes()], meta);
            let item = item.ok_or(Error::TooBig)?;
            done = Some(value);
            Ok(Verdict::Put(item))
        };
        let cas = loop {
            let result = vbucket.mutate(hash, key, &mut decide);
            match evicted.take() {
                Some(item) => core.fetch(vbucket, item, cookie)?,
                None => break result?,
            };
        };
        let value = done.ok_or(Error::Internal)?;
        core.changed();
        Ok((value, cas))
    }

    /// Changes a key's expiry; its CAS stays. Returns the item with the new expiry.
    ///
    /// # Errors
    /// `NotFound`, `NotMyVbucket`, `WouldBlock`, `Temporary`, `Disconnect`.
    pub(crate) fn touch(
        &self,
        cookie: Cookie,
        key: &[u8],
        exptime: u32,
        vbucket: u16,
    ) -> Result<Item> {
        let core = &*self.core;
        let vbucket = core.serving(cookie, vbucket)?;
        core.admit(NUMBER_ITEM_BYTES)?;
        let expiry = core.expiry(exptime);
        let hash = core.hash(key);
        let (item, _) = core.rewrite(cookie, vbucket, (hash, key, LockRule::Keep), &mut |old| {
            let meta = Meta {
                expiry,
                ..old.meta()
            };
            let new = Item::with_value(key, &[old.value()], meta);
            new.map(Verdict::Touch).ok_or(Error::TooBig)
        })?;
        if vbucket.is_locked(hash, key) {
            return masked(&item);
        }
        Ok(item)
    }

    /// Locks a key for so many seconds (0: the configured time) and returns its item, whose CAS is
    /// a new one: only who knows it can change the key or end the lock.
    ///
    /// # Errors
    /// `NotFound`; `Temporary` when it is locked, or where the vbucket is not active;
    /// `WouldBlock`, `Disconnect`.
    pub(crate) fn get_locked(
        &self,
        cookie: Cookie,
        key: &[u8],
        seconds: u32,
        vbucket: u16,
    ) -> Result<Item> {
        let core = &*self.core;
        let vbucket = core.active(vbucket).ok_or(Error::Temporary)?;
        if vbucket.is_loading() {
            return Err(core.wait_for(vbucket, cookie));
        }
        core.admit(NUMBER_ITEM_BYTES)?;
        let config = &core.config;
        let seconds = match seconds {
            0 => config.getl_default_timeout,
            seconds if seconds > config.getl_max_timeout => config.getl_default_timeout,
            seconds => seconds,
        };
        let seconds = Duration::from_secs(seconds.into());
        let until = core.host.lasting().saturating_add(seconds);
        let rule = LockRule::Take(until);
        let (item, _) = core.rewrite(cookie, vbucket, (core.hash(key), key, rule), &mut |old| {
            let new = Item::with_value(key, &[old.value()], old.meta());
            new.map(Verdict::Put).ok_or(Error::TooBig)
        })?;
        Ok(item)
    }

    /// Ends the lock of a key. `cas` is the one that [`Self::get_locked`] returned, in either byte
    /// order: ep-engine wanted it swapped.
    ///
    /// # Errors
    /// `NotFound`, also where the vbucket is not active; `Temporary` when the key is not locked or
    /// the CAS is not that of the lock.
    pub(crate) fn unlock(&self, key: &[u8], cas: u64, vbucket: u16) -> Result<()> {
        let core = &*self.core;
        let vbucket = core.active(vbucket).ok_or(Error::NotFound)?;
        if vbucket.is_loading() {
            // No lock outlives the process.
            return Err(Error::Temporary);
        }
        let opens = |lock: u64| cas == lock || cas == lock.swap_bytes();
        match vbucket.unlock(core.hash(key), key, &opens) {
            Err(Error::NotFound) => Err(Core::missing(vbucket, key)),
            other => other,
        }
    }

    /// Takes the value of a key out of memory.
    ///
    /// # Errors
    /// `NotMyVbucket` where the vbucket is not active; `Temporary` where a restore may bring the
    /// key.
    pub(crate) fn evict(&self, key: &[u8], vbucket: u16) -> Result<Ejection> {
        let core = &*self.core;
        let vbucket = core.active(vbucket).ok_or(Error::NotMyVbucket)?;
        if vbucket.is_loading() {
            return Ok(Ejection::Kept);
        }
        match core.evictor.eject(vbucket, core.hash(key), key) {
            Ejection::Absent if vbucket.may_come(key) => Err(Error::Temporary),
            ejection => Ok(ejection),
        }
    }

    /// Makes every key of the vbuckets that serve clients disappear, now or at `when` (by the
    /// protocol's rule for expiry times). The last one counts, whether it is carried out or waits.
    ///
    /// # Errors
    /// None at present.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "every operation of the table may fail"
    )]
    pub(crate) fn flush(&self, _cookie: Cookie, when: i64) -> Result<()> {
        let core = &*self.core;
        core.shared.metrics.flush_alls.add(1);
        let now = core.shared.unix_now();
        let due = (when != 0).then(|| core.absolute(when));
        let due = due.filter(|due| *due > now);
        // One that counts from now comes after that time, wherever the clock is set meanwhile.
        let counts = |due: &UnixTime| i64::from(due - now).abs_diff(when) <= 1;
        let end = |due| core.host.lasting() + Duration::from_secs(u64::from(due - now));
        let end = due.filter(counts).map(end);
        let serving = |vbucket: &&Vbucket| vbucket.state() == Some(VbucketState::Active);
        for vbucket in core.vbuckets.iter().filter(serving) {
            match due {
                None => drop(vbucket.flush_all()),
                Some(due) => vbucket.delay_flush(due, end),
            }
        }
        core.changed();
        core.house.wake();
        Ok(())
    }
}

impl Core {
    fn concatenate(
        &self,
        cookie: Cookie,
        item: &Item,
        op: StoreOp,
        vbucket: &Vbucket,
    ) -> Result<u64> {
        let expected = item.cas();
        let place = (item.hash(), item.key(), LockRule::with_cas(expected));
        let result = self.rewrite(cookie, vbucket, place, &mut |old| {
            if expected != 0 && old.cas() != expected {
                return Err(Error::Exists);
            }
            if !self.may_keep(old.nbytes() + item.nbytes()) {
                return Err(Error::TooBig);
            }
            let parts = match op {
                StoreOp::Prepend => [item.value(), old.value()],
                _ => [old.value(), item.value()],
            };
            let new = Item::with_value(old.key(), &parts, old.meta());
            new.map(Verdict::Put).ok_or(Error::TooBig)
        });
        match result {
            Err(Error::NotFound) => Err(Error::NotStored),
            other => other.map(|(_, cas)| cas),
        }
    }

    /// Carries a delayed `flush_all` out when its time has come.
    pub(super) fn flush_if_due(&self, vbucket: &Vbucket) {
        if vbucket.flush_if_due() {
            self.changed();
            self.house.wake();
        }
    }
}

/// A locked item as everybody but the owner of the lock sees it: with a CAS that nothing matches.
fn masked(item: &Item) -> Result<Item> {
    let meta = Meta {
        cas: u64::MAX,
        ..item.meta()
    };
    Item::with_value(item.key(), &[item.value()], meta).ok_or(Error::Internal)
}

/// Reads a decimal number of 64 bits as other engines do: what C's strtoull takes, if white space
/// or the end follows. A minus sign, which strtoull would take, makes it no number.
fn number(text: &[u8]) -> Option<u64> {
    let start = text.iter().position(|&byte| !is_space(byte))?;
    let text = text.get(start..)?;
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    // For C the text ends with a NUL.
    let ends = rest.first().is_none_or(|&byte| byte == 0 || is_space(byte));
    let number = std::str::from_utf8(digits).ok()?.parse().ok();
    number.filter(|_| ends)
}

/// C's isspace.
fn is_space(byte: u8) -> bool {
    byte == b' ' || (b'\t'..=b'\r').contains(&byte)
}

fn compute(old: u64, arithmetic: &Arithmetic) -> u64 {
    if arithmetic.increment {
        old.wrapping_add(arithmetic.delta)
    } else {
        old.saturating_sub(arithmetic.delta)
    }
}
