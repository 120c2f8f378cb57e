//! What lies behind a handle, and how a call gets to it.

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::bindings::{
    ENGINE_EVENT_TYPE, ENGINE_HANDLE, EVENT_CALLBACK, engine_feature_t, engine_info, feature_info,
};
use super::convert::Code;
use super::guard::Guard;
use super::kind::Kind;
use super::log::Log;
use super::ports::Ports;
use super::refused;
use super::rules::Entry;
use crate::config::Config;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::host::{Host, LogLevel};

/// What the host holds. The C table comes first, because the handle is its address, and the host
/// may write to it; the rest is ours and only ever borrowed shared.
#[repr(C)]
pub(super) struct Handle<K: Kind> {
    table: UnsafeCell<K::Table>,
    instance: Instance<K>,
}

/// Our part of a handle.
pub(super) struct Instance<K: Kind> {
    info: Info,
    kind: K,
    log: Log,
    guard: Guard,
    /// NULL before `initialize` and after `destroy`. Read on every call, without a lock.
    running: AtomicPtr<Running<K>>,
}

/// What exists between `initialize` and `destroy`.
pub(super) struct Running<K: Kind> {
    pub(super) engine: Engine,
    pub(super) host: Arc<Ports<K::Connections>>,
}

/// Number of features that [`Info`] lists.
const FEATURES: u32 = 4;

/// `engine_info` with room for all features. Rule 16: hosts read beyond their table of names for
/// a feature that has no description.
#[repr(C)]
struct Info {
    description: *const c_char,
    num_features: u32,
    features: [feature_info; FEATURES as usize],
}

impl Info {
    fn new() -> Self {
        let feature = |feature: engine_feature_t, description: &'static CStr| feature_info {
            feature: feature.0,
            description: description.as_ptr(),
        };
        Self {
            description: DESCRIPTION.as_ptr(),
            num_features: FEATURES,
            // LRU first: the suite of memcached.org's test app looks at no other.
            features: [
                feature(
                    engine_feature_t::ENGINE_FEATURE_LRU,
                    c"eviction of the least recently used (in memory-only mode)",
                ),
                feature(engine_feature_t::ENGINE_FEATURE_CAS, c"compare and swap"),
                feature(
                    engine_feature_t::ENGINE_FEATURE_PERSISTENT_STORAGE,
                    c"persistent storage",
                ),
                feature(engine_feature_t::ENGINE_FEATURE_VBUCKET, c"vbuckets"),
            ],
        }
    }
}

/// What `get_info` tells.
const DESCRIPTION: &CStr = match CStr::from_bytes_with_nul(
    concat!("Checkpoint engine ", env!("CARGO_PKG_VERSION"), "\0").as_bytes(),
) {
    Ok(description) => description,
    Err(_) => c"Checkpoint engine",
};

impl<K: Kind> Handle<K> {
    /// Makes a handle that is never freed (contract 1): a few hundred bytes per
    /// `create_instance`.
    pub(super) fn leak(kind: K, log: Log) -> *mut ENGINE_HANDLE {
        let instance = Instance {
            info: Info::new(),
            kind,
            log,
            guard: Guard::default(),
            running: AtomicPtr::new(ptr::null_mut()),
        };
        let table = UnsafeCell::new(K::table());
        Box::into_raw(Box::new(Self { table, instance })).cast()
    }
}

impl<K: Kind> Instance<K> {
    /// Our part of the host's handle.
    ///
    /// # Safety
    /// Contract 1.
    unsafe fn of<'process>(handle: *mut ENGINE_HANDLE) -> Option<&'process Self> {
        let handle = NonNull::new(handle)?.cast::<Handle<K>>().as_ptr();
        // SAFETY: contract 1: a Handle that is never freed.
        let instance = unsafe { &raw const (*handle).instance };
        // SAFETY: as above, and nobody borrows this part exclusively.
        Some(unsafe { &*instance })
    }

    /// The engine, if it runs.
    pub(super) fn running(&self) -> Option<&Running<K>> {
        let running = NonNull::new(self.running.load(Ordering::Acquire))?;
        // SAFETY: set by `initialize` from a box; `destroy` frees it when no call is under way
        // (contract 4), so it outlives the call that this borrow belongs to.
        Some(unsafe { running.as_ref() })
    }

    /// The same, or the error for calls that come too early or too late.
    pub(super) fn alive(&self) -> Result<&Running<K>> {
        self.running().ok_or(Error::Unsupported)
    }

    /// The engine alone.
    pub(super) fn engine(&self) -> Result<&Engine> {
        self.alive().map(|running| &running.engine)
    }

    /// Starts the engine of a handle.
    ///
    /// # Safety
    /// `config` is NULL or a C string; contracts 1 and 5.
    pub(super) unsafe fn start(
        &self,
        handle: *mut ENGINE_HANDLE,
        config: *const c_char,
        on_disconnect: EVENT_CALLBACK,
    ) -> std::result::Result<(), String> {
        if self.running().is_some() {
            return Err("initialize was called twice for one handle".to_owned());
        }
        let text = if config.is_null() {
            c""
        } else {
            // SAFETY: a C string, says the caller.
            unsafe { CStr::from_ptr(config) }
        };
        let text = text
            .to_str()
            .map_err(|error| format!("the configuration is not UTF-8: {error}"))?;
        let config = Config::parse(text)?;
        // SAFETY: contract 5, for the kind that `create_instance` recognised.
        let connected = unsafe { self.kind.connect(&config, &|line| self.warn(line)) }?;
        let host: Arc<dyn Host> = Arc::clone(&connected.host) as Arc<dyn Host>;
        let running = Box::new(Running {
            engine: Engine::start(host, config)?,
            host: connected.host,
        });
        self.running
            .store(Box::into_raw(running), Ordering::Release);
        for (event, callback) in [
            (ENGINE_EVENT_TYPE::ON_DISCONNECT, on_disconnect),
            (
                ENGINE_EVENT_TYPE::ON_SWITCH_CONN,
                Some(refused::on_turn as _),
            ),
        ] {
            // SAFETY: the handle, which the callback gets, is never freed (contract 1).
            unsafe { connected.registry.on(event, callback, handle) };
        }
        // SAFETY: contract 5.
        let is_first = !unsafe { connected.registry.has_ascii_commands() };
        for command in K::ascii_commands(handle, is_first) {
            // SAFETY: the descriptor is of this kind, and is never freed either.
            unsafe { connected.registry.ascii_command(command) };
        }
        Ok(())
    }

    /// Stops the engine and frees it.
    ///
    /// # Safety
    /// Contract 4.
    pub(super) unsafe fn stop(&self) {
        let Some(running) = self.running() else {
            return;
        };
        running.engine.shutdown();
        let running = self.running.swap(ptr::null_mut(), Ordering::AcqRel);
        if let Some(running) = NonNull::new(running) {
            // SAFETY: made by `start` with Box::into_raw, taken out of the handle just now, and no
            // call that borrows it is under way, says the caller.
            drop(unsafe { Box::from_raw(running.as_ptr()) });
        }
    }

    /// What `get_info` answers, always at the same address.
    pub(super) fn info(&self) -> *const engine_info {
        (&raw const self.info).cast()
    }

    /// Number of calls that panicked.
    pub(super) fn panics(&self) -> u64 {
        self.guard.panics()
    }

    /// Writes a line that an operator must see, with the name of this engine before it.
    pub(super) fn warn(&self, line: &str) {
        let line = format!("checkpoint-engine: {line}");
        self.log.write(LogLevel::Warning, &line);
    }
}

/// Runs an entry point that returns nothing, or an answer with a harmless default.
///
/// # Safety
/// Contract 1.
pub(super) unsafe fn enter<K: Kind, T>(
    handle: *mut ENGINE_HANDLE,
    entry: &'static str,
    fallback: T,
    body: impl FnOnce(&Instance<K>) -> T,
) -> T {
    // SAFETY: contract 1.
    match unsafe { Instance::of(handle) } {
        Some(instance) => instance.guard.run(
            entry,
            |line: &str| instance.warn(line),
            fallback,
            || body(instance),
        ),
        None => fallback,
    }
}

/// Runs an entry point that returns a code.
///
/// # Safety
/// Contract 1.
pub(super) unsafe fn enter_code<K: Kind>(
    handle: *mut ENGINE_HANDLE,
    entry: Entry,
    body: impl FnOnce(&Instance<K>) -> Result<()>,
) -> Code {
    let fallback = K::code(entry, Error::Internal);
    let body = |instance: &Instance<K>| match body(instance) {
        Ok(()) => Code::ENGINE_SUCCESS,
        Err(error) => K::code(entry, error),
    };
    // SAFETY: contract 1.
    unsafe { enter(handle, entry.name(), fallback, body) }
}
