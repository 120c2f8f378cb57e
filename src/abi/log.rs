//! Where log lines go. Loggers are the same on every kind of host, but that some end a line by
//! themselves: one that ends already is left alone by those.

use std::ffi::{CString, c_void};
use std::io::Write as _;
use std::ptr::NonNull;

use super::bindings::{EXTENSION_LOGGER_DESCRIPTOR, extension_type_t};
use super::convert;
use crate::host::LogLevel;

/// Where log lines go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    /// The host's own logger, which may change over time.
    pub(super) get_logger: Option<unsafe extern "C" fn() -> *mut EXTENSION_LOGGER_DESCRIPTOR>,
    /// The registry, which hosts without that have.
    pub(super) get_extension: Option<unsafe extern "C" fn(extension_type_t) -> *mut c_void>,
}

impl Log {
    /// Neither of the host's loggers.
    pub(super) const STDERR: Self = Self {
        get_logger: None,
        get_extension: None,
    };

    /// Writes one line: through the host's logger, which may change over time, else to stderr.
    pub(super) fn write(self, level: LogLevel, message: &str) {
        let line: String = message
            .chars()
            .map(|character| {
                if character.is_control() {
                    ' '
                } else {
                    character
                }
            })
            .collect();
        let Some(descriptor) = self.descriptor() else {
            // Nobody is left to be told when stderr is closed.
            let _ = writeln!(std::io::stderr().lock(), "{line}");
            return;
        };
        // Control characters, NUL among them, were replaced above.
        let Ok(line) = CString::new(line) else { return };
        // SAFETY: contract 5: descriptors live as long as the process.
        if let Some(log) = unsafe { descriptor.as_ref() }.log {
            let severity = convert::severity(level);
            // SAFETY: contract 5; the format takes one string, which is what follows.
            unsafe { log(severity, std::ptr::null(), c"%s\n".as_ptr(), line.as_ptr()) };
        }
    }

    fn descriptor(self) -> Option<NonNull<EXTENSION_LOGGER_DESCRIPTOR>> {
        // SAFETY: contract 5.
        let own = self
            .get_logger
            .and_then(|get| NonNull::new(unsafe { get() }));
        own.or_else(|| {
            let get = self.get_extension?;
            // SAFETY: contract 5; what is registered for this type is a logger.
            NonNull::new(unsafe { get(extension_type_t::EXTENSION_LOGGER) }).map(NonNull::cast)
        })
    }
}
