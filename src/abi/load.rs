//! How a host gets its engine: the exported symbol, and which kind of host it is that calls it.
//!
//! All kinds say the same about their interface, and have other tables behind it. What tells them
//! apart is the third function of the core table, which is harmless on all of them. Only when the
//! kind is known anything behind it is read.

use std::ffi::{CStr, c_char};
use std::ptr::NonNull;

use super::bindings::{ENGINE_ERROR_CODE, ENGINE_HANDLE, GET_SERVER_API};
use super::convert::Code;
use super::guard::Guard;
use super::log::Log;
use super::{arcus, classic};
use crate::ffi::alloc::prepare;
use crate::host::LogLevel;

/// Version of the interface that this engine speaks.
pub(super) const INTERFACE: u64 = 1;

/// Numbers in this range are times of our days, and no addresses.
const TIMES: std::ops::Range<i64> = 1_000_000_000..1 << 33;

/// Longest text that a host may answer as its version.
const VERSION_BYTES_MAX: usize = 64;

/// What the third function of a host's core table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Third {
    /// Makes Unix seconds of the host's time.
    Abstime,
    /// Tells the host's version, which is this.
    Version(String),
    /// Neither.
    Unknown,
}

/// The symbol that hosts look up: makes an engine that `initialize` will start.
///
/// Returns `ENGINE_ENOTSUP` for another interface than 1, `ENGINE_EINVAL` for a NULL handle and
/// `ENGINE_FAILED` for a host whose tables lack something, or of a kind that is not known; the
/// reason goes to the log or to stderr.
///
/// # Safety
/// `handle` is NULL or writable; `get_server_api` returns the server table of interface 1, which
/// lives as long as the process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn create_instance(
    interface: u64,
    get_server_api: GET_SERVER_API,
    handle: *mut *mut ENGINE_HANDLE,
) -> ENGINE_ERROR_CODE {
    prepare();
    let guard = Guard::default();
    let report = |line: &str| Log::STDERR.write(LogLevel::Warning, line);
    guard.run("create_instance", report, Code::ENGINE_FAILED, || {
        if interface != INTERFACE {
            return Code::ENGINE_ENOTSUP;
        }
        if handle.is_null() {
            return Code::ENGINE_EINVAL;
        }
        // SAFETY: the caller promises contract 5.
        match unsafe { make(get_server_api) } {
            Ok(made) => {
                // SAFETY: writable, says the caller, and not NULL.
                unsafe { handle.write(made) };
                Code::ENGINE_SUCCESS
            }
            Err(reason) => {
                report(&format!("checkpoint-engine: cannot start: {reason}"));
                Code::ENGINE_FAILED
            }
        }
    })
}

/// Makes a handle for the host at hand.
///
/// # Errors
/// A sentence for the operator.
///
/// # Safety
/// Contract 5.
pub(super) unsafe fn make(get_server_api: GET_SERVER_API) -> Result<*mut ENGINE_HANDLE, String> {
    // SAFETY: contract 5.
    let third = unsafe { third_function(get_server_api) }?;
    // SAFETY: contract 5.
    let classic = unsafe { classic::recognise(&third, get_server_api) };
    // SAFETY: contract 5.
    let found = classic.or_else(|| unsafe { arcus::recognise(&third, get_server_api) });
    found.unwrap_or_else(|| {
        Err(
            "the host is of a kind that this engine does not know: its third core function is \
             neither abstime nor server_version. It runs on Membase 1.7, Couchbase 1.8, \
             memcached.org (branch engine-pu) and ARCUS memcached 1.15"
                .to_owned(),
        )
    })
}

/// Finds out what the third function of the core table is: it is called with two arguments, and
/// only `abstime` adds what it is given. A function without arguments is not hurt by one.
///
/// # Errors
/// The tables lack something.
///
/// # Safety
/// Contract 5, as far as the first three members of the core table.
unsafe fn third_function(get_server_api: GET_SERVER_API) -> Result<Third, String> {
    let get = get_server_api.ok_or("the host passed no get_server_api")?;
    // SAFETY: contract 5.
    let table = NonNull::new(unsafe { get() }).ok_or("get_server_api returned NULL")?;
    // SAFETY: contract 5; the interface word comes first in every version of the table.
    let interface = unsafe { table.cast::<u64>().read() };
    if interface != INTERFACE {
        return Err(format!(
            "the host's server interface is {interface}, not {INTERFACE}"
        ));
    }
    // SAFETY: contract 5; every host has the pointer to the core table behind that word.
    let core = unsafe { &raw const (*table.as_ptr()).core };
    // SAFETY: as above.
    let core = unsafe { core.read() };
    let core = NonNull::new(core).ok_or("the host's server table lacks \"core\"")?;
    // SAFETY: within the first three members.
    let third = unsafe { &raw const (*core.as_ptr()).abstime };
    // SAFETY: as above.
    let third = unsafe { third.read() };
    let third = third.ok_or("the host's server table lacks \"abstime\"")?;
    // SAFETY: contract 5; on no host that has another function here does it use its arguments or
    // change anything.
    let first = unsafe { third(0) };
    // SAFETY: as above.
    let second = unsafe { third(1) };
    if first.checked_add(1) == Some(second) {
        return Ok(Third::Abstime);
    }
    let address = usize::try_from(first).ok();
    let address = address.filter(|&at| at != 0 && first == second && !TIMES.contains(&first));
    Ok(address.map_or(Third::Unknown, |address| {
        let text = std::ptr::with_exposed_provenance(address);
        // SAFETY: a constant answer that is no time is the address of the version's text.
        unsafe { version_at(text) }
    }))
}

/// The text at an address, if it ends soon.
///
/// # Safety
/// A C string.
unsafe fn version_at(text: *const c_char) -> Third {
    let length = (0..=VERSION_BYTES_MAX).find(|&at| {
        // SAFETY: up to the NUL of a C string.
        unsafe { text.wrapping_add(at).read() == 0 }
    });
    if length.is_none() {
        return Third::Unknown;
    }
    // SAFETY: a C string.
    let text = unsafe { CStr::from_ptr(text) };
    Third::Version(text.to_string_lossy().into_owned())
}
