//! What lies behind a handle, and how a call gets to it.

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::bindings::{
    ENGINE_EVENT_TYPE, ENGINE_HANDLE, ENGINE_HANDLE_V1, EVENT_CALLBACK, GET_SERVER_API,
    engine_feature_t, engine_info, feature_info,
};
use super::convert::Code;
use super::guard::Guard;
use super::host_api::{Core, HostApi, Log, Server};
use super::layout;
use super::rules::Entry;
use crate::config::Config;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::host::{Host, LogLevel};
use crate::types::{RelTime, UnixTime};

/// What the host holds. The C table comes first, because the handle is its address, and the host
/// may write to it; the rest is ours and only ever borrowed shared.
#[repr(C)]
pub(super) struct Handle {
    table: UnsafeCell<ENGINE_HANDLE_V1>,
    instance: Instance,
}

/// Our part of a handle.
pub(super) struct Instance {
    info: Info,
    get_server_api: GET_SERVER_API,
    core: Core,
    log: Log,
    guard: Guard,
    /// NULL before `initialize` and after `destroy`. Read on every call, without a lock.
    running: AtomicPtr<Running>,
}

/// What exists between `initialize` and `destroy`.
pub(super) struct Running {
    pub(super) engine: Engine,
    /// Longest value, in bytes.
    pub(super) value_max: usize,
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

impl Handle {
    /// Makes a handle that is never freed (contract 1): a few hundred bytes per
    /// `create_instance`.
    pub(super) fn leak(
        table: ENGINE_HANDLE_V1,
        get_server_api: GET_SERVER_API,
        server: &Server,
    ) -> *mut ENGINE_HANDLE {
        let instance = Instance {
            info: Info::new(),
            get_server_api,
            core: server.core,
            log: server.log,
            guard: Guard::default(),
            running: AtomicPtr::new(ptr::null_mut()),
        };
        let table = UnsafeCell::new(table);
        Box::into_raw(Box::new(Self { table, instance })).cast()
    }
}

impl Instance {
    /// Our part of the host's handle.
    ///
    /// # Safety
    /// Contract 1.
    unsafe fn of<'process>(handle: *mut ENGINE_HANDLE) -> Option<&'process Self> {
        let handle = NonNull::new(handle)?.cast::<Handle>().as_ptr();
        // SAFETY: contract 1: a Handle that is never freed.
        let instance = unsafe { &raw const (*handle).instance };
        // SAFETY: as above, and nobody borrows this part exclusively.
        Some(unsafe { &*instance })
    }

    /// The engine, if it runs.
    pub(super) fn running(&self) -> Option<&Running> {
        let running = NonNull::new(self.running.load(Ordering::Acquire))?;
        // SAFETY: set by `initialize` from a box; `destroy` frees it when no call is under way
        // (contract 4), so it outlives the call that this borrow belongs to.
        Some(unsafe { running.as_ref() })
    }

    /// The engine, or the error for calls that come too early or too late.
    pub(super) fn engine(&self) -> Result<&Engine> {
        self.running()
            .map(|running| &running.engine)
            .ok_or(Error::Unsupported)
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
        // SAFETY: contract 5.
        let server = unsafe { Server::read(self.get_server_api) }?;
        let found = layout::find(&server, config.host_abi)?;
        if let Some(warning) = found.warning {
            self.warn(warning);
        }
        // SAFETY: `find` is sure of the layout, or the operator is.
        let cookie = unsafe { server.cookie_functions(found.layout) }?;
        let host: Arc<dyn Host> = Arc::new(HostApi::new(&server, cookie));
        let value_max = config.max_item_size;
        let running = Box::new(Running {
            engine: Engine::start(host, config)?,
            value_max,
        });
        self.running
            .store(Box::into_raw(running), Ordering::Release);
        let event = ENGINE_EVENT_TYPE::ON_DISCONNECT;
        // SAFETY: the handle, which the callback needs, is never freed (contract 1).
        unsafe { server.register(event, on_disconnect, handle) };
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

    /// The host's relative time of a time in Unix seconds that is not 0.
    pub(super) fn relative(&self, time: UnixTime) -> RelTime {
        self.core.relative(time)
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
pub(super) unsafe fn enter<T>(
    handle: *mut ENGINE_HANDLE,
    entry: &'static str,
    fallback: T,
    body: impl FnOnce(&Instance) -> T,
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
pub(super) unsafe fn enter_code(
    handle: *mut ENGINE_HANDLE,
    entry: Entry,
    body: impl FnOnce(&Instance) -> Result<()>,
) -> Code {
    let fallback = entry.code(Error::Internal);
    let body = |instance: &Instance| entry.answer(body(instance));
    // SAFETY: contract 1.
    unsafe { enter(handle, entry.name(), fallback, body) }
}
