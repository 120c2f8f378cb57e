//! Where an engine registers what the host is to call beside its table: the same functions on every
//! kind of host. Not thread-safe there: from `initialize` only.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::bindings::{
    ENGINE_EVENT_TYPE, ENGINE_HANDLE, EVENT_CALLBACK, SERVER_CALLBACK_API, SERVER_EXTENSION_API,
    extension_type_t,
};

type Register =
    unsafe extern "C" fn(*mut ENGINE_HANDLE, ENGINE_EVENT_TYPE, EVENT_CALLBACK, *const c_void);
type RegisterExtension = unsafe extern "C" fn(extension_type_t, *mut c_void) -> bool;
type GetExtension = unsafe extern "C" fn(extension_type_t) -> *mut c_void;

/// The functions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registry {
    callback: Register,
    /// Absent in some mocks.
    extension: Option<RegisterExtension>,
    /// The same.
    get_extension: Option<GetExtension>,
}

impl Registry {
    /// Reads them.
    ///
    /// # Errors
    /// A sentence that names what is missing.
    ///
    /// # Safety
    /// Contract 5: the pointers are NULL or lead to these tables.
    pub(super) unsafe fn read(
        callback: *const SERVER_CALLBACK_API,
        extension: *const SERVER_EXTENSION_API,
    ) -> Result<Self, String> {
        let missing = |name: &str| format!("the host's server table lacks \"{name}\"");
        let callback = NonNull::new(callback.cast_mut()).ok_or_else(|| missing("callback"))?;
        // SAFETY: contract 5.
        let callback = unsafe { callback.read() };
        let extension = NonNull::new(extension.cast_mut());
        // SAFETY: contract 5; NULL is sorted out by NonNull.
        let extension = extension.map(|it| unsafe { it.read() });
        Ok(Self {
            callback: callback
                .register_callback
                .ok_or_else(|| missing("register_callback"))?,
            extension: extension.and_then(|it| it.register_extension),
            get_extension: extension.and_then(|it| it.get_extension),
        })
    }

    /// Registers a function for an event of connections.
    ///
    /// # Safety
    /// The handle, which the callback gets, stays valid for the life of the process.
    pub(super) unsafe fn on(
        &self,
        event: ENGINE_EVENT_TYPE,
        callback: EVENT_CALLBACK,
        engine: *mut ENGINE_HANDLE,
    ) {
        // SAFETY: contract 5 and the caller's promise.
        unsafe { (self.callback)(engine, event, callback, engine.cast_const().cast()) };
    }

    /// Whether the host asks others about ASCII commands that it does not know.
    ///
    /// # Safety
    /// Contract 5.
    pub(super) unsafe fn has_ascii_commands(&self) -> bool {
        let first = self.get_extension.map(|get| {
            // SAFETY: contract 5.
            unsafe { get(extension_type_t::EXTENSION_ASCII_PROTOCOL) }
        });
        first.is_some_and(|first| !first.is_null())
    }

    /// Registers an ASCII command. Mocks know none, and a host may refuse it: it works without.
    ///
    /// # Safety
    /// The descriptor is that of this kind of host, and lives as long as the process.
    pub(super) unsafe fn ascii_command(&self, descriptor: *mut c_void) {
        if let Some(register) = self.extension {
            // SAFETY: contract 5 and the caller's promise.
            unsafe { register(extension_type_t::EXTENSION_ASCII_PROTOCOL, descriptor) };
        }
    }
}
