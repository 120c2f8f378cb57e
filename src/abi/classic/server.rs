//! The tables of these hosts, checked once and copied, and what they can do with connections.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;

use super::layout::Layout;
use crate::abi::bindings::{
    ENGINE_ERROR_CODE, GET_SERVER_API, SERVER_COOKIE_API_MEMBASE, SERVER_COOKIE_API_MEMCACHED,
    config_item,
};
use crate::abi::clock::{Clock, Origin};
use crate::abi::guard;
use crate::abi::log::Log;
use crate::abi::ports::{Connections, pointer};
use crate::abi::registry::Registry;
use crate::host::{BlockedCookie, Cookie};

type Notify = unsafe extern "C" fn(*const c_void, ENGINE_ERROR_CODE);
type SetNack = unsafe extern "C" fn(*const c_void, bool);
type Count = unsafe extern "C" fn(*const c_void) -> ENGINE_ERROR_CODE;

/// The server table as one call found it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    pub(super) clock: Clock,
    pub(super) log: Log,
    pub(super) registry: Registry,
    tell_version: unsafe extern "C" fn() -> *const c_char,
    /// Absent in mocks.
    pub(super) get_config: Option<unsafe extern "C" fn(*mut config_item) -> bool>,
    /// Its size depends on the host: read it only through [`Server::cookie_functions`].
    pub(super) cookie: NonNull<c_void>,
}

impl Server {
    /// Reads and checks the table of a host of this kind.
    ///
    /// # Errors
    /// A sentence that names what is missing.
    ///
    /// # Safety
    /// Contract 5, for a host of this kind.
    pub(super) unsafe fn read(get_server_api: GET_SERVER_API) -> Result<Self, String> {
        let get = get_server_api.ok_or("the host passed no get_server_api")?;
        // SAFETY: contract 5.
        let table = NonNull::new(unsafe { get() }).ok_or("get_server_api returned NULL")?;
        let missing = |name: &str| format!("the host's server table lacks \"{name}\"");
        // SAFETY: contract 5; the hosts of this kind have all of these members.
        let table = unsafe { table.read() };
        let core = NonNull::new(table.core).ok_or_else(|| missing("core"))?;
        let cookie = NonNull::new(table.cookie).ok_or_else(|| missing("cookie"))?;
        // SAFETY: contract 5.
        let core = unsafe { core.read() };
        // SAFETY: contract 5; NULL is sorted out by NonNull.
        let get_extension = NonNull::new(table.extension)
            .and_then(|extension| unsafe { extension.read() }.get_extension);
        // SAFETY: contract 5; NULL is sorted out by NonNull.
        let get_logger = NonNull::new(table.log).and_then(|log| unsafe { log.read() }.get_logger);
        let now = core
            .get_current_time
            .ok_or_else(|| missing("get_current_time"))?;
        let abstime = core.abstime.ok_or_else(|| missing("abstime"))?;
        let realtime = core.realtime.ok_or_else(|| missing("realtime"))?;
        Ok(Self {
            clock: Clock::new(now, realtime, Origin::Abstime(abstime)),
            log: Log {
                get_logger,
                get_extension,
            },
            // SAFETY: contract 5.
            registry: unsafe { Registry::read(table.callback, table.extension) }?,
            tell_version: core
                .server_version
                .ok_or_else(|| missing("server_version"))?,
            get_config: core.get_config,
            cookie,
        })
    }

    /// The host's version text.
    pub(super) fn version(&self) -> String {
        // SAFETY: contract 5.
        let text = unsafe { (self.tell_version)() };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: contract 5: a C string that lives as long as the process.
        unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned()
    }

    /// The function at offset 40 of the cookie table, as the Membase layout types it. The other
    /// layout has `reserve` there, which takes the first argument alone.
    pub(super) fn slot_40(&self) -> Option<SetNack> {
        let table = self.cookie.cast::<SERVER_COOKIE_API_MEMBASE>().as_ptr();
        // SAFETY: the shorter layout has 56 bytes, so the member lies inside either.
        let member = unsafe { &raw const (*table).set_tap_nack_mode };
        // SAFETY: contract 5; any function pointer may be read as any other.
        unsafe { member.read() }
    }

    /// Copies the cookie functions according to the layout.
    ///
    /// # Errors
    /// A sentence that names what is missing.
    ///
    /// # Safety
    /// The table has that layout.
    pub(super) unsafe fn cookie_functions(
        &self,
        layout: Layout,
    ) -> Result<CookieFunctions, String> {
        let missing = |name: &str| format!("the host's cookie table lacks \"{name}\"");
        let common = self.cookie.cast::<SERVER_COOKIE_API_MEMCACHED>().as_ptr();
        // SAFETY: both layouts begin alike, up to this member.
        let notify = unsafe { &raw const (*common).notify_io_complete };
        // SAFETY: contract 5.
        let notify = unsafe { notify.read() }.ok_or_else(|| missing("notify_io_complete"))?;
        let (set_tap_nack_mode, reserve, release) = match layout {
            Layout::Mock => {
                return Ok(CookieFunctions {
                    notify,
                    counts: None,
                    nack: None,
                });
            }
            Layout::Memcached => {
                // SAFETY: contract 5, and the table has this layout, says the caller.
                let table = unsafe { self.cookie.cast::<SERVER_COOKIE_API_MEMCACHED>().read() };
                (None, table.reserve, table.release)
            }
            Layout::Membase => {
                // SAFETY: contract 5, and the table has this layout, says the caller.
                let table = unsafe { self.cookie.cast::<SERVER_COOKIE_API_MEMBASE>().read() };
                (table.set_tap_nack_mode, table.reserve, table.release)
            }
        };
        let reserve = reserve.ok_or_else(|| missing("reserve"))?;
        let release = release.ok_or_else(|| missing("release"))?;
        Ok(CookieFunctions {
            notify,
            counts: Some((reserve, release)),
            nack: set_tap_nack_mode,
        })
    }
}

/// The functions about connections.
#[derive(Clone, Copy, Debug)]
pub(in crate::abi) struct CookieFunctions {
    notify: Notify,
    /// `reserve` and `release`; absent in mocks, where they do nothing.
    counts: Option<(Count, Count)>,
    /// Exists in the Membase layout only.
    nack: Option<SetNack>,
}

/// Rule 4: the host holds the worker's mutex while it is inside the engine.
fn assert_outside() {
    debug_assert!(
        !guard::inside(),
        "called from inside a call of the host: it would deadlock"
    );
}

impl Connections for CookieFunctions {
    fn notify(&self, cookie: BlockedCookie) {
        assert_outside();
        // Rule 7: a NULL cookie aborts some hosts, and none of them waits for one.
        if let Some(pointer) = pointer(cookie.cookie()) {
            // SAFETY: contract 5. Rule 6: with success, always.
            unsafe { (self.notify)(pointer.as_ptr(), ENGINE_ERROR_CODE::ENGINE_SUCCESS) };
        }
    }

    /// Mocks have nothing to count.
    fn reserve(&self, cookie: Cookie) {
        if let (Some((reserve, _)), Some(pointer)) = (self.counts, pointer(cookie)) {
            // SAFETY: contract 5. Both functions of the host always succeed.
            unsafe { reserve(pointer.as_ptr()) };
        }
    }

    fn release(&self, cookie: Cookie) {
        assert_outside();
        if let (Some((_, release)), Some(pointer)) = (self.counts, pointer(cookie)) {
            // SAFETY: contract 5. Both functions of the host always succeed.
            unsafe { release(pointer.as_ptr()) };
        }
    }

    /// A choice on some hosts only; the others always answer.
    fn answer_tap_errors(&self, cookie: Cookie) {
        if let (Some(nack), Some(pointer)) = (self.nack, pointer(cookie)) {
            // SAFETY: contract 5.
            unsafe { nack(pointer.as_ptr(), true) };
        }
    }
}
