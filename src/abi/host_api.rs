//! The host's tables, checked once and copied, and the ports of [`crate::host`] over them.
//!
//! Nothing here is static: what was copied lives in the handle, so that two engines in one process
//! do not meet. Function pointers are `Send` and `Sync`; contract 5 says that they may be used so.

use std::ffi::{CStr, CString, c_char, c_void};
use std::io::Write as _;
use std::ptr::NonNull;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use libc::time_t;

use super::bindings::{
    ENGINE_ERROR_CODE, ENGINE_EVENT_TYPE, ENGINE_HANDLE, EVENT_CALLBACK,
    EXTENSION_LOGGER_DESCRIPTOR, GET_SERVER_API, SERVER_COOKIE_API_MEMBASE,
    SERVER_COOKIE_API_MEMCACHED, config_item, extension_type_t, rel_time_t,
};
use super::convert;
use super::guard;
use super::layout::{self, Layout};
use crate::host::{BlockedCookie, Cookie, Host, LogLevel};
use crate::types::{RelTime, UnixTime};

/// Version of the interface that this engine speaks.
pub(super) const INTERFACE: u64 = 1;

/// A relative time above this is none: one host counts seconds since 1970 until `initialize` has
/// returned (rule 17). No process runs for thirty years.
const PLAUSIBLE_TIME_MAX: i64 = 1_000_000_000;

/// So far a host's clock is behind the system's that looks at it once a second.
const BEHIND_SECONDS: i64 = 2;

/// Whose clock is ahead by more than that was turned by a test.
const AHEAD_SECONDS: u64 = 1;

/// Client expiries up to this many seconds count from now, larger ones from 1970.
const RELATIVE_SECONDS_MAX: i64 = 30 * 24 * 60 * 60;

type Notify = unsafe extern "C" fn(*const c_void, ENGINE_ERROR_CODE);
type SetNack = unsafe extern "C" fn(*const c_void, bool);
type Count = unsafe extern "C" fn(*const c_void) -> ENGINE_ERROR_CODE;
type Register =
    unsafe extern "C" fn(*mut ENGINE_HANDLE, ENGINE_EVENT_TYPE, EVENT_CALLBACK, *const c_void);

/// The functions of the core table that the engine uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Core {
    get_current_time: unsafe extern "C" fn() -> rel_time_t,
    realtime: unsafe extern "C" fn(time_t) -> rel_time_t,
    abstime: unsafe extern "C" fn(rel_time_t) -> time_t,
    server_version: unsafe extern "C" fn() -> *const c_char,
    /// Absent in mocks.
    pub(super) get_config: Option<unsafe extern "C" fn(*mut config_item) -> bool>,
}

impl Core {
    /// Seconds since the host's start of a time in Unix seconds that is not 0; at least 1.
    pub(super) fn relative(&self, time: UnixTime) -> RelTime {
        // SAFETY: contract 5.
        let start = unsafe { (self.abstime)(0) };
        RelTime::try_from(i64::from(time).saturating_sub(start).max(1)).unwrap_or(RelTime::MAX)
    }
}

/// The server table as one call found it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    pub(super) core: Core,
    pub(super) log: Log,
    register_callback: Register,
    /// Its size depends on the host: read it only through [`Server::cookie_functions`].
    pub(super) cookie: NonNull<c_void>,
}

impl Server {
    /// Reads and checks the table.
    ///
    /// # Errors
    /// A sentence that names what is missing.
    ///
    /// # Safety
    /// Contract 5.
    pub(super) unsafe fn read(get_server_api: GET_SERVER_API) -> Result<Self, String> {
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
        let missing = |name: &str| format!("the host's server table lacks \"{name}\"");
        let part = |name: &str| missing(name);
        // SAFETY: contract 5; every host has the pointer to the core table behind that word.
        let core = unsafe { &raw const (*table.as_ptr()).core };
        // SAFETY: as above.
        let core = unsafe { core.read() };
        let core = NonNull::new(core).ok_or_else(|| part("core"))?;
        // SAFETY: contract 5.
        unsafe { layout::require_known_kind(core) }?;
        // SAFETY: contract 5; the hosts that are known have all of these members.
        let table = unsafe { table.read() };
        let callback = NonNull::new(table.callback).ok_or_else(|| part("callback"))?;
        let cookie = NonNull::new(table.cookie).ok_or_else(|| part("cookie"))?;
        // SAFETY: contract 5.
        let core = unsafe { core.read() };
        // SAFETY: contract 5.
        let callback = unsafe { callback.read() };
        // SAFETY: contract 5; NULL is sorted out by NonNull.
        let get_extension = NonNull::new(table.extension)
            .and_then(|extension| unsafe { extension.read() }.get_extension);
        // SAFETY: contract 5; NULL is sorted out by NonNull.
        let get_logger = NonNull::new(table.log).and_then(|log| unsafe { log.read() }.get_logger);
        Ok(Self {
            core: Core {
                get_current_time: core
                    .get_current_time
                    .ok_or_else(|| missing("get_current_time"))?,
                realtime: core.realtime.ok_or_else(|| missing("realtime"))?,
                abstime: core.abstime.ok_or_else(|| missing("abstime"))?,
                server_version: core
                    .server_version
                    .ok_or_else(|| missing("server_version"))?,
                get_config: core.get_config,
            },
            log: Log {
                get_logger,
                get_extension,
            },
            register_callback: callback
                .register_callback
                .ok_or_else(|| missing("register_callback"))?,
            cookie,
        })
    }

    /// The host's version text.
    pub(super) fn version(&self) -> String {
        // SAFETY: contract 5.
        let text = unsafe { (self.core.server_version)() };
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

    /// Registers a function for an event. Not thread-safe in the host: from `initialize` only.
    ///
    /// # Safety
    /// `data` stays valid for the life of the process, as `callback` needs it.
    pub(super) unsafe fn register(
        &self,
        event: ENGINE_EVENT_TYPE,
        callback: EVENT_CALLBACK,
        engine: *mut ENGINE_HANDLE,
    ) {
        // SAFETY: contract 5 and the caller's promise.
        unsafe { (self.register_callback)(engine, event, callback, engine.cast_const().cast()) };
    }
}

/// The functions about connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct CookieFunctions {
    notify: Notify,
    /// `reserve` and `release`; absent in mocks, where they do nothing.
    counts: Option<(Count, Count)>,
    /// Exists in the Membase layout only.
    nack: Option<SetNack>,
}

/// Where log lines go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    get_logger: Option<unsafe extern "C" fn() -> *mut EXTENSION_LOGGER_DESCRIPTOR>,
    get_extension: Option<unsafe extern "C" fn(extension_type_t) -> *mut c_void>,
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

/// The host as the engine sees it.
#[derive(Debug)]
pub(super) struct HostApi {
    core: Core,
    log: Log,
    cookie: CookieFunctions,
    origin: Instant,
}

impl HostApi {
    /// From what `initialize` found.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that all others take"
    )]
    pub(super) fn new(server: &Server, cookie: CookieFunctions) -> Self {
        Self {
            core: server.core,
            log: server.log,
            cookie,
            origin: Instant::now(),
        }
    }

    /// Unix seconds of the host's start.
    fn start(&self) -> i64 {
        // SAFETY: contract 5.
        unsafe { (self.core.abstime)(0) }
    }

    /// Unix seconds by the system's clock.
    fn system(&self) -> i64 {
        i64::try_from(self.unix_nanos() / 1_000_000_000).unwrap_or(i64::MAX)
    }

    /// Seconds since the host's start by its clock, or `None` while that has no meaning yet
    /// (rule 17).
    fn clock(&self) -> Option<i64> {
        // SAFETY: contract 5.
        let now = unsafe { (self.core.get_current_time)() };
        let now = since_start(now);
        (now <= PLAUSIBLE_TIME_MAX).then_some(now)
    }
}

/// A host's relative time, counted in 32 bits: where its clock was set back to before its start, it
/// wraps around.
fn since_start(time: rel_time_t) -> i64 {
    i64::from(time.cast_signed())
}

/// The connection again; `None` for the NULL that the hosts' test applications pass.
fn pointer(cookie: Cookie) -> Option<NonNull<c_void>> {
    NonNull::new(std::ptr::with_exposed_provenance_mut(cookie.address()))
}

/// Rule 4: the host holds the worker's mutex while it is inside the engine.
fn assert_outside() {
    debug_assert!(
        !guard::inside(),
        "called from inside a call of the host: it would deadlock"
    );
}

impl Host for HostApi {
    fn unix(&self) -> i64 {
        let system = self.system();
        let now = self.clock().map(|now| self.start() + now);
        let is_late = |now: &i64| (1..=BEHIND_SECONDS).contains(&(system - now));
        now.filter(|now| !is_late(now)).unwrap_or(system)
    }

    fn absolute(&self, time: i64) -> i64 {
        if time < 0 {
            // Before anything that a clock ever shows.
            return 1;
        }
        if time > RELATIVE_SECONDS_MAX {
            return time;
        }
        // SAFETY: contract 5.
        let relative = unsafe { (self.core.realtime)(time) };
        if relative == 1 && self.clock().is_some_and(|now| now + time != 1) {
            // For this host it is a time of 1970.
            return time;
        }
        self.unix() + time
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that all others take"
    )]
    fn unix_nanos(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that all others take"
    )]
    fn monotonic(&self) -> Duration {
        Instant::now().saturating_duration_since(self.origin)
    }

    fn lasting(&self) -> Duration {
        let now = self.monotonic();
        let turned = self.unix().saturating_sub(self.system());
        let turned = u64::try_from(turned).unwrap_or(0);
        if turned > AHEAD_SECONDS {
            now + Duration::from_secs(turned)
        } else {
            now
        }
    }

    fn log(&self, level: LogLevel, message: &str) {
        self.log.write(level, message);
    }

    fn notify(&self, cookie: BlockedCookie) {
        assert_outside();
        // Rule 7: a NULL cookie aborts some hosts, and none of them waits for one.
        if let Some(pointer) = pointer(cookie.cookie()) {
            // SAFETY: contract 5. Rule 6: with success, always.
            unsafe { (self.cookie.notify)(pointer.as_ptr(), ENGINE_ERROR_CODE::ENGINE_SUCCESS) };
        }
    }

    fn wake_stream(&self, cookie: Cookie) {
        self.notify(BlockedCookie::new(cookie));
    }

    /// Mocks have nothing to count.
    fn reserve(&self, cookie: Cookie) {
        if let (Some((reserve, _)), Some(pointer)) = (self.cookie.counts, pointer(cookie)) {
            // SAFETY: contract 5. Both functions of the host always succeed.
            unsafe { reserve(pointer.as_ptr()) };
        }
    }

    fn release(&self, cookie: Cookie) {
        assert_outside();
        if let (Some((_, release)), Some(pointer)) = (self.cookie.counts, pointer(cookie)) {
            // SAFETY: contract 5. Both functions of the host always succeed.
            unsafe { release(pointer.as_ptr()) };
        }
    }

    /// A choice on some hosts only; the others always answer.
    fn answer_tap_errors(&self, cookie: Cookie) {
        if let (Some(nack), Some(pointer)) = (self.cookie.nack, pointer(cookie)) {
            // SAFETY: contract 5.
            unsafe { nack(pointer.as_ptr(), true) };
        }
    }
}
