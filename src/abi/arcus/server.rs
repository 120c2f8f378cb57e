//! ARCUS's server tables, checked once and copied, and what it can do with connections.

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::time::Duration;

use super::bindings::{ARCUS_SERVER_CORE_API, ARCUS_SERVER_HANDLE_V1};
use super::tail;
use super::waiting::Waiting;
use super::workers::Workers;
use crate::abi::bindings::{ENGINE_ERROR_CODE, GET_SERVER_API};
use crate::abi::clock::{Clock, Origin};
use crate::abi::log::Log;
use crate::abi::ports::{Connections, pointer};
use crate::abi::registry::Registry;
use crate::host::{BlockedCookie, Cookie};

/// The tables.
pub(super) struct Server {
    pub(super) clock: Clock,
    pub(super) log: Log,
    pub(super) registry: Registry,
    core: ARCUS_SERVER_CORE_API,
}

fn table(get_server_api: GET_SERVER_API) -> Result<ARCUS_SERVER_HANDLE_V1, String> {
    let get = get_server_api.ok_or("the host passed no get_server_api")?;
    // SAFETY: contract 5.
    let table = NonNull::new(unsafe { get() }).ok_or("get_server_api returned NULL")?;
    // SAFETY: contract 5: the table of such a host.
    Ok(unsafe { table.cast::<ARCUS_SERVER_HANDLE_V1>().read() })
}

/// The host's log.
///
/// # Safety
/// Contract 5, for a host of this kind.
pub(super) unsafe fn log(get_server_api: GET_SERVER_API) -> Result<Log, String> {
    let table = table(get_server_api)?;
    // SAFETY: contract 5; NULL is sorted out by NonNull.
    let get_extension = NonNull::new(table.extension)
        .and_then(|extension| unsafe { extension.read() }.get_extension);
    // SAFETY: contract 5; NULL is sorted out by NonNull.
    let get_logger = NonNull::new(table.log).and_then(|log| unsafe { log.read() }.get_logger);
    Ok(Log {
        get_logger,
        get_extension,
    })
}

impl Server {
    /// Reads and checks the tables of a host of this kind.
    ///
    /// # Errors
    /// A sentence that names what is missing.
    ///
    /// # Safety
    /// Contract 5, for a host of this kind.
    pub(super) unsafe fn read(get_server_api: GET_SERVER_API) -> Result<Self, String> {
        let table = table(get_server_api)?;
        let missing = |name: &str| format!("the host's server table lacks \"{name}\"");
        let core = NonNull::new(table.core).ok_or_else(|| missing("core"))?;
        // SAFETY: contract 5.
        let core = unsafe { core.read() };
        let now = core
            .get_current_time
            .ok_or_else(|| missing("get_current_time"))?;
        let realtime = core.realtime.ok_or_else(|| missing("realtime"))?;
        Ok(Self {
            clock: Clock::new(now, realtime, Origin::Realtime),
            // SAFETY: contract 5.
            log: unsafe { log(get_server_api) }?,
            // SAFETY: contract 5.
            registry: unsafe { Registry::read(table.callback, table.extension) }?,
            core,
        })
    }

    /// What it can do with connections.
    ///
    /// # Errors
    /// A sentence that names what is missing.
    pub(super) fn connections(
        &self,
        sync_writes: bool,
        wait_max: Duration,
    ) -> Result<ArcusConnections, String> {
        let missing = |name: &str| format!("the host's core table lacks \"{name}\"");
        let core = &self.core;
        let held = match (core.waitfor_io_complete, core.get_noreply) {
            (Some(wait), Some(noreply)) => Some((wait, noreply)),
            _ => None,
        };
        Ok(ArcusConnections {
            set: core
                .store_engine_specific
                .ok_or_else(|| missing("store_engine_specific"))?,
            get: core
                .get_engine_specific
                .ok_or_else(|| missing("get_engine_specific"))?,
            socket: core.get_socket_fd.ok_or_else(|| missing("get_socket_fd"))?,
            notify: core
                .notify_io_complete
                .ok_or_else(|| missing("notify_io_complete"))?,
            held: held.filter(|_| sync_writes),
            workers: Workers::default(),
            waiting: Waiting::default(),
            wait_max,
        })
    }
}

/// Whether a socket is one connection's alone: the datagrams of all clients come by the same one.
fn is_stream(socket: c_int) -> bool {
    let mut kind: c_int = 0;
    let Ok(mut length) = libc::socklen_t::try_from(size_of_val(&kind)) else {
        return false;
    };
    // SAFETY: room for what is asked for, and its length.
    let failed = unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_TYPE,
            (&raw mut kind).cast(),
            &raw mut length,
        )
    };
    failed == 0 && kind == libc::SOCK_STREAM
}

type WaitFor = unsafe extern "C" fn(*const c_void);
type NoReply = unsafe extern "C" fn(*const c_void) -> bool;

/// The functions about connections, and who waits.
#[derive(Debug)]
pub(in crate::abi) struct ArcusConnections {
    set: unsafe extern "C" fn(*const c_void, *mut c_void),
    get: unsafe extern "C" fn(*const c_void) -> *mut c_void,
    socket: unsafe extern "C" fn(*const c_void) -> c_int,
    notify: unsafe extern "C" fn(*const c_void, ENGINE_ERROR_CODE),
    /// Where answers of writes are held back until those are durable.
    held: Option<(WaitFor, NoReply)>,
    /// Who sends them.
    workers: Workers,
    /// Calls that wait on their threads.
    pub(super) waiting: Waiting,
    /// How long one may.
    pub(super) wait_max: Duration,
}

impl ArcusConnections {
    /// Whether the answer of the present call can be held back: the client waits for it.
    pub(super) fn may_hold(&self, cookie: Cookie) -> bool {
        let (Some((_, noreply)), Some(cookie)) = (self.held, pointer(cookie)) else {
            return false;
        };
        // SAFETY: contract 5, and the connection is that of the present call.
        !unsafe { noreply(cookie.as_ptr()) }
    }

    /// Holds the answer of the present call back. It is owed one [`Connections::answer_held`].
    pub(super) fn hold(&self, cookie: Cookie) {
        if let (Some((wait, _)), Some(connection)) = (self.held, pointer(cookie)) {
            self.workers.hold(cookie);
            // SAFETY: contract 5, and the connection is that of the present call.
            unsafe { wait(connection.as_ptr()) };
        }
    }

    /// Ends a connection: the way to tell its client that a call failed, where no code says so. Who
    /// came by UDP has no connection that could end.
    pub(super) fn hang_up(&self, cookie: Cookie) {
        let Some(connection) = pointer(cookie) else {
            return;
        };
        // SAFETY: contract 5, and the connection is that of a call that has no answer yet.
        let socket = unsafe { (self.socket)(connection.as_ptr()) };
        if is_stream(socket) {
            // The host goes on with what it has read of it by now.
            self.waiting.hang_up(cookie);
            // SAFETY: takes no memory. The host closes the socket when it reads its end.
            unsafe { libc::shutdown(socket, libc::SHUT_RDWR) };
        }
    }

    /// The tail that a connection receives into.
    pub(super) fn tail(&self, cookie: *const c_void) -> Option<NonNull<c_void>> {
        if cookie.is_null() {
            return None;
        }
        // SAFETY: contract 5, and the connection is that of the present call.
        let found = NonNull::new(unsafe { (self.get)(cookie) });
        found.or_else(|| {
            let made = tail::make();
            // SAFETY: as above. It is taken back when the connection ends.
            unsafe { (self.set)(cookie, made.as_ptr()) };
            Some(made)
        })
    }
}

impl Connections for ArcusConnections {
    fn calls_again(&self) -> bool {
        false
    }

    fn notify(&self, cookie: BlockedCookie) {
        self.waiting.notify(cookie.cookie());
    }

    fn answer_held(&self, cookie: BlockedCookie, kept: bool) {
        let cookie = cookie.cookie();
        self.workers.tell(cookie, || {
            if !kept {
                self.hang_up(cookie);
            }
            if let Some(cookie) = pointer(cookie) {
                // SAFETY: contract 5: the host keeps a connection whose answer is held back.
                unsafe { (self.notify)(cookie.as_ptr(), ENGINE_ERROR_CODE::ENGINE_SUCCESS) };
            }
        });
    }

    /// There are no streams, and so nothing to wake.
    fn wake_stream(&self, _cookie: Cookie) {}

    fn ended(&self, cookie: Cookie) {
        self.waiting.forget(cookie);
        let Some(cookie) = pointer(cookie) else {
            return;
        };
        // SAFETY: contract 5, and the host is inside the end of this connection.
        let tail = NonNull::new(unsafe { (self.get)(cookie.as_ptr()) });
        if let Some(tail) = tail {
            // SAFETY: as above.
            unsafe { (self.set)(cookie.as_ptr(), std::ptr::null_mut()) };
            // SAFETY: of `tail`, and nothing is received any more.
            unsafe { tail::free(tail) };
        }
    }
}
