//! A host in Rust: server tables in both layouts, and a wrapper that calls the engine's table like
//! a host does. What the engine says is recorded per thread, notifications per cookie.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use libc::time_t;
use parking_lot::Mutex;

use crate::abi::bindings::*;
use crate::abi::classic::layout::Layout;
use crate::abi::classic::server::{CookieFunctions, Server};
use crate::abi::classic::tap;
use crate::abi::convert::Code;
use crate::abi::create_instance;
use crate::abi::ports::Ports;
use crate::host::Cookie;

/// What the host's clock shows.
pub(super) const NOW: u32 = 1000;
/// Seconds before its start that the clock of [`Kind::SetBack`] shows.
pub(super) const SET_BACK: u32 = 7200;
/// Unix seconds of the host's start.
pub(super) const START: i64 = 1_700_000_000;
/// Flags of every item.
pub(super) const FLAGS: u32 = 0x8102_0304;
/// Where in a connection the references are counted, in words.
pub(super) const COUNT_WORD: usize = 20;
/// Where in a connection nack mode is, in words.
pub(super) const NACK_WORD: usize = 10;

/// A kind of host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Membase layout.
    Membase,
    /// memcached.org layout.
    Memcached,
    /// memcached.org layout, before `initialize` returned.
    EarlyClock,
    /// Whose clock was set back to before its start.
    SetBack,
    /// A test application: no log, no `get_config`.
    Mock,
    /// A mock that has no logger either.
    Silent,
    /// The function at offset 40 does something unexpected.
    Unclear,
    /// Without a core table.
    NoCore,
    /// Of no kind that is known: another core table, and no cookie table.
    Unknown,
}

/// A packet that the engine sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) status: u16,
    pub(super) extras: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) cas: u64,
}

/// A registered function and its data.
type Callback = (EVENT_CALLBACK, *const c_void);
/// Kinds of events.
const EVENTS: usize = 5;

thread_local! {
    static SERVER: Cell<*mut SERVER_HANDLE_V1> = const { Cell::new(ptr::null_mut()) };
    static CALLBACKS: Cell<[Callback; EVENTS]> = const { Cell::new([(None, ptr::null()); EVENTS]) };
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static PACKETS: RefCell<Vec<Packet>> = const { RefCell::new(Vec::new()) };
    static STATS: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
    static COMMAND: Cell<*mut c_void> = const { Cell::new(ptr::null_mut()) };
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

// Guards what was notified, by cookie: status, and whether the engine could be called meanwhile.
static NOTIFIED: Mutex<Vec<(usize, Code, bool)>> = Mutex::new(Vec::new());
// Guards the handles to be called from a notification, by cookie.
static CALL_BACK: Mutex<Option<HashMap<usize, usize>>> = Mutex::new(None);
static COOKIES: AtomicUsize = AtomicUsize::new(0x1_0000);

/// A cookie that no other test uses; it points to nothing.
pub(super) fn cookie() -> Cookie {
    Cookie::new(COOKIES.fetch_add(16, Ordering::Relaxed))
}

/// Takes what the engine logged on this thread: severity, blank, line.
fn log() -> Vec<String> {
    LOG.take()
}

/// Fails unless the engine logged one line on this thread, that starts and goes on like this.
/// Under Miri the host has no logger.
pub(super) fn assert_logged(start: &str, part: &str) {
    let log = log();
    if !cfg!(miri) {
        assert_eq!(log.len(), 1, "{log:?}");
        assert!(
            log[0].starts_with(start) && log[0].contains(part),
            "{log:?}"
        );
    }
}

/// Takes what the engine sent on this thread.
pub(super) fn packets() -> Vec<Packet> {
    PACKETS.take()
}

/// Takes the statistics of this thread.
pub(super) fn stats() -> Vec<(String, String)> {
    STATS.take()
}

/// What was notified for a cookie.
pub(super) fn notifications(cookie: Cookie) -> Vec<(Code, bool)> {
    let notified = NOTIFIED.lock();
    let of_cookie = notified.iter().filter(|(at, _, _)| *at == cookie.address());
    of_cookie
        .map(|(_, code, called)| (*code, *called))
        .collect()
}

/// Has the host call the engine when it is notified.
pub(super) fn call_back_on_notify(cookie: Cookie, handle: *mut ENGINE_HANDLE) {
    let handle = handle.expose_provenance();
    CALL_BACK
        .lock()
        .get_or_insert_default()
        .insert(cookie.address(), handle);
}

fn bytes(at: *const c_void, length: usize) -> Vec<u8> {
    if length == 0 {
        return Vec::new();
    }
    // SAFETY: the engine promises that many readable bytes.
    unsafe { std::slice::from_raw_parts(at.cast::<u8>(), length) }.to_vec()
}

pub(super) unsafe extern "C" fn add_response(
    key: *const c_void,
    keylen: u16,
    ext: *const c_void,
    extlen: u8,
    body: *const c_void,
    bodylen: u32,
    datatype: u8,
    status: u16,
    cas: u64,
    _cookie: *const c_void,
) -> bool {
    assert_eq!(datatype, 0);
    let (key, extras) = (bytes(key, keylen.into()), bytes(ext, extlen.into()));
    let body = bytes(body, bodylen as usize);
    PACKETS.with_borrow_mut(|packets| {
        packets.push(Packet {
            status,
            extras,
            key,
            body,
            cas,
        });
    });
    true
}

pub(super) unsafe extern "C" fn add_no_response(
    _key: *const c_void,
    _keylen: u16,
    _ext: *const c_void,
    _extlen: u8,
    _body: *const c_void,
    _bodylen: u32,
    _datatype: u8,
    _status: u16,
    _cas: u64,
    _cookie: *const c_void,
) -> bool {
    false
}

pub(super) unsafe extern "C" fn add_stat(
    key: *const c_char,
    klen: u16,
    value: *const c_char,
    vlen: u32,
    _cookie: *const c_void,
) {
    let text = |at: *const c_char, length| String::from_utf8(bytes(at.cast(), length)).unwrap();
    let pair = (text(key, klen.into()), text(value, vlen as usize));
    STATS.with_borrow_mut(|stats| stats.push(pair));
}

unsafe extern "C" fn now() -> rel_time_t {
    NOW
}

unsafe extern "C" fn set_back_now() -> rel_time_t {
    0_u32.wrapping_sub(SET_BACK)
}

unsafe extern "C" fn early_now() -> rel_time_t {
    u32::try_from(START).unwrap() + 2
}

unsafe extern "C" fn realtime(time: time_t) -> rel_time_t {
    match time {
        0 => 0,
        1..=2_592_000 => u32::try_from(time).unwrap().wrapping_add(NOW),
        _ => u32::try_from((time - START).max(1)).unwrap(),
    }
}

unsafe extern "C" fn abstime(time: rel_time_t) -> time_t {
    START + i64::from(time)
}

unsafe extern "C" fn version() -> *const c_char {
    c"1.7.2".as_ptr()
}

unsafe extern "C" fn mock_version() -> *const c_char {
    c"mock server".as_ptr()
}

unsafe extern "C" fn has_topkeys(items: *mut config_item) -> bool {
    // SAFETY: a list that ends with NULL.
    let first = unsafe { &mut *items };
    // SAFETY: a C string.
    first.found = unsafe { CStr::from_ptr(first.key) } == c"topkeys";
    true
}

unsafe extern "C" fn no_topkeys(_items: *mut config_item) -> bool {
    true
}

unsafe extern "C" fn notify(cookie: *const c_void, code: Code) {
    let handle = CALL_BACK
        .lock()
        .get_or_insert_default()
        .get(&cookie.addr())
        .copied();
    let called = handle.is_some_and(|handle| {
        let host = Host {
            handle: ptr::with_exposed_provenance_mut(handle),
            owned: false,
        };
        host.get(b"k", 0) == Ok(b"v".to_vec())
    });
    NOTIFIED.lock().push((cookie.addr(), code, called));
}

unsafe extern "C" fn set_nack(cookie: *const c_void, enable: bool) {
    let mode = cookie.cast::<u64>().wrapping_add(NACK_WORD).cast_mut();
    // SAFETY: the tests pass a large enough stand-in.
    unsafe { mode.cast::<bool>().write(enable) };
}

unsafe extern "C" fn meddle(cookie: *const c_void, _enable: bool) {
    // SAFETY: the tests pass a large enough stand-in.
    unsafe { cookie.cast::<u64>().cast_mut().write(u64::MAX) };
}

/// A connection that the host's functions may write to, and that stays.
fn connection() -> *const c_void {
    (&raw mut *Box::leak(Box::new([0_u64; 64]))).cast()
}

fn count(cookie: *const c_void, step: u8) -> Code {
    let count = cookie.cast::<u64>().wrapping_add(COUNT_WORD).cast_mut();
    // SAFETY: the tests pass a large enough stand-in.
    let count = unsafe { &mut *count.cast::<u8>() };
    *count = count.wrapping_add(step);
    Code::ENGINE_SUCCESS
}

unsafe extern "C" fn reserve(cookie: *const c_void) -> Code {
    count(cookie, 1)
}

unsafe extern "C" fn release(cookie: *const c_void) -> Code {
    count(cookie, u8::MAX)
}

unsafe extern "C" fn write_log(
    severity: EXTENSION_LOG_LEVEL,
    _cookie: *const c_void,
    format: *const c_char,
    line: *const c_char,
) {
    // SAFETY: a C string.
    let format = unsafe { CStr::from_ptr(format) };
    // SAFETY: a C string.
    let line = unsafe { CStr::from_ptr(line) };
    assert_eq!(format, c"%s\n");
    LOG.with_borrow_mut(|log| log.push(format!("{} {}", severity.0, line.to_str().unwrap())));
}

type Logger =
    unsafe extern "C" fn(EXTENSION_LOG_LEVEL, *const c_void, *const c_char, *const c_char);
type VariadicLogger = unsafe extern "C" fn(EXTENSION_LOG_LEVEL, *const c_void, *const c_char, ...);

unsafe extern "C" fn get_logger() -> *mut EXTENSION_LOGGER_DESCRIPTOR {
    // SAFETY: a variadic call with one pointer passes it where the fourth argument is expected.
    let log = unsafe { std::mem::transmute::<Logger, VariadicLogger>(write_log) };
    // Miri does not let a function be called by another signature.
    let log = (!cfg!(miri)).then_some(log);
    Box::into_raw(Box::new(EXTENSION_LOGGER_DESCRIPTOR {
        get_name: None,
        log,
    }))
}

unsafe extern "C" fn get_extension(kind: extension_type_t) -> *mut c_void {
    if kind == extension_type_t::EXTENSION_ASCII_PROTOCOL {
        return COMMAND.get();
    }
    assert_eq!(kind, extension_type_t::EXTENSION_LOGGER);
    // SAFETY: no requirements.
    unsafe { get_logger() }.cast()
}

unsafe extern "C" fn no_extension(_kind: extension_type_t) -> *mut c_void {
    ptr::null_mut()
}

unsafe extern "C" fn register(
    _engine: *mut engine_interface,
    event: ENGINE_EVENT_TYPE,
    callback: EVENT_CALLBACK,
    data: *const c_void,
) {
    let mut callbacks = CALLBACKS.get();
    callbacks[event.0 as usize] = (callback, data);
    CALLBACKS.set(callbacks);
}

unsafe extern "C" fn register_extension(kind: extension_type_t, descriptor: *mut c_void) -> bool {
    assert_eq!(kind, extension_type_t::EXTENSION_ASCII_PROTOCOL);
    COMMAND.set(descriptor);
    true
}

unsafe extern "C" fn add_line(_: *const c_void, length: c_int, text: *const c_char) -> Code {
    let text = bytes(text.cast(), usize::try_from(length).unwrap());
    LINES.with_borrow_mut(|lines| lines.extend(text));
    Code::ENGINE_SUCCESS
}

/// A line of the text protocol that the host does not know, for the command that was registered
/// last on this thread; its answer, and whether the connection stays.
pub(super) fn line(line: &[&[u8]]) -> Option<(String, bool)> {
    let mut tokens: Vec<token_t> = line
        .iter()
        .map(|word| token_t {
            value: word.as_ptr().cast_mut().cast(),
            length: word.len(),
        })
        .collect();
    let descriptor = COMMAND.get().cast::<EXTENSION_ASCII_PROTOCOL_DESCRIPTOR>();
    // SAFETY: what the engine registered lives as long as the process.
    let command = unsafe { descriptor.read() };
    let (count, argv) = (c_int::try_from(tokens.len()).unwrap(), tokens.as_mut_ptr());
    let (mut length, mut data) = (0, ptr::null_mut());
    let (accept, own) = (command.accept.unwrap(), command.cookie);
    let cookie = COOKIE.cast_mut();
    // SAFETY: as a host does.
    if !unsafe { accept(own, cookie, count, argv, &raw mut length, &raw mut data) } {
        return None;
    }
    let execute = command.execute.unwrap();
    // SAFETY: as a host does.
    let code = unsafe { execute(own, COOKIE, count, argv, Some(add_line)) };
    let answer = String::from_utf8(LINES.take()).unwrap();
    Some((answer, code == Code::ENGINE_SUCCESS))
}

/// Has another command registered behind the last one, as hosts do.
pub(super) fn register_another() {
    let descriptor = COMMAND.get().cast::<EXTENSION_ASCII_PROTOCOL_DESCRIPTOR>();
    // SAFETY: the host's member of what the engine registered.
    unsafe { (*descriptor).next = descriptor };
}

pub(super) unsafe extern "C" fn get_server_api() -> *mut SERVER_HANDLE_V1 {
    SERVER.get()
}

fn leak<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

/// Makes this thread's `get_server_api` that of a kind of host.
#[expect(clippy::too_many_lines, reason = "tables")]
pub(super) fn install(kind: Kind) {
    if kind == Kind::Unknown {
        install_unknown();
        return;
    }
    let mock = matches!(kind, Kind::Mock | Kind::Silent);
    let pu = matches!(kind, Kind::Memcached | Kind::EarlyClock | Kind::SetBack);
    let core = leak(SERVER_CORE_API {
        get_current_time: Some(match kind {
            Kind::EarlyClock => early_now,
            Kind::SetBack => set_back_now,
            _ => now,
        }),
        realtime: Some(realtime),
        abstime: Some(abstime),
        server_version: Some(if mock { mock_version } else { version }),
        hash: None,
        parse_config: None,
        shutdown: None,
        get_config: (!mock).then_some(if pu { no_topkeys } else { has_topkeys }),
    });
    let extension = leak(SERVER_EXTENSION_API {
        register_extension: (!mock).then_some(register_extension),
        unregister_extension: None,
        get_extension: Some(if kind == Kind::Silent {
            no_extension
        } else {
            get_extension
        }),
    });
    let callback = leak(SERVER_CALLBACK_API {
        register_callback: Some(register),
        perform_callbacks: None,
    });
    let log = SERVER_LOG_API {
        get_logger: Some(get_logger),
        get_level: None,
        set_level: None,
    };
    let cookie: *mut c_void = if pu {
        leak(SERVER_COOKIE_API_MEMCACHED {
            get_socket_fd: None,
            get_auth_data: None,
            store_engine_specific: None,
            get_engine_specific: None,
            notify_io_complete: Some(notify),
            reserve: Some(reserve),
            release: Some(release),
        })
        .cast()
    } else {
        leak(SERVER_COOKIE_API_MEMBASE {
            get_socket_fd: None,
            get_auth_data: None,
            store_engine_specific: None,
            get_engine_specific: None,
            notify_io_complete: Some(notify),
            set_tap_nack_mode: Some(if kind == Kind::Unclear {
                meddle
            } else {
                set_nack
            }),
            reserve: Some(reserve),
            release: Some(release),
        })
        .cast()
    };
    SERVER.set(leak(SERVER_HANDLE_V1 {
        interface: 1,
        core: if kind == Kind::NoCore {
            ptr::null_mut()
        } else {
            core
        },
        stat: ptr::null_mut(),
        extension,
        callback,
        engine: ptr::null_mut(),
        log: if mock { ptr::null_mut() } else { leak(log) },
        cookie,
    }));
}

/// What such a host does where `abstime` is awaited: nothing.
unsafe extern "C" fn nothing(_: rel_time_t) -> time_t {
    0
}

/// Makes this thread's `get_server_api` that of an unknown host: a server table of two words, and a
/// core table of three. What is behind them belongs to nobody.
fn install_unknown() {
    let core = leak([
        now as *const c_void,
        realtime as *const c_void,
        nothing as *const c_void,
    ]);
    let server = [ptr::without_provenance(1), core.cast_const().cast()];
    SERVER.set(leak::<[*const c_void; 2]>(server).cast());
}

/// The ports over a kind of host.
pub(super) fn api(kind: Kind, layout: Layout) -> Ports<CookieFunctions> {
    install(kind);
    // SAFETY: the tables of this module.
    let server = unsafe { Server::read(Some(get_server_api)) }.unwrap();
    // SAFETY: the tests pass the layout of the kind.
    let connections = unsafe { server.cookie_functions(layout) }.unwrap();
    Ports::new(server.clock, server.log, connections)
}

/// A request as it stands in a read buffer.
pub(super) fn request(opcode: u8, extras: u8, key: u16, body: u32, bytes: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, opcode];
    packet.extend(key.to_be_bytes());
    packet.extend([extras, 0, 0, 0]);
    packet.extend(body.to_be_bytes());
    packet.extend([0; 12]);
    packet.extend(bytes);
    packet
}

/// An engine as a host holds it; destroyed at the end.
#[derive(Debug)]
pub(super) struct Host {
    handle: *mut ENGINE_HANDLE,
    owned: bool,
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.owned {
            self.destroy();
        }
    }
}

/// Calls a member of the table.
macro_rules! call {
    ($host:expr, $member:ident $(, $argument:expr)*) => {{
        let handle = $host.handle;
        // SAFETY: the handle is the address of a table.
        let table = unsafe { &raw const (*handle.cast::<ENGINE_HANDLE_V1>()).$member };
        // SAFETY: a member that this engine fills.
        let function = unsafe { table.read() }.unwrap();
        // SAFETY: the arguments are as the contract of the table wants them.
        unsafe { function(handle $(, $argument)*) }
    }};
}

const COOKIE: *const c_void = ptr::without_provenance(0x9000);

impl Host {
    /// Loads an engine without starting it.
    pub(super) fn created(kind: Kind) -> Self {
        install(kind);
        let mut handle = ptr::null_mut();
        // SAFETY: the handle is writable and the server table is complete.
        let code = unsafe { create_instance(1, Some(get_server_api), &raw mut handle) };
        assert_eq!(code, Code::ENGINE_SUCCESS);
        Self {
            handle,
            owned: true,
        }
    }

    /// Loads and starts one.
    pub(super) fn running(kind: Kind, config: &str) -> Self {
        let host = Self::created(kind);
        // Miri does not let a function of one argument be called with two, as the probe does.
        let told = if cfg!(miri) && kind == Kind::Memcached {
            "host_abi=memcached;"
        } else {
            ""
        };
        let config = CString::new(format!("{told}{config}")).unwrap();
        assert_eq!(
            host.initialize(Some(&config)),
            Code::ENGINE_SUCCESS,
            "{:?}",
            log()
        );
        let _ = log();
        host
    }

    pub(super) fn handle(&self) -> *mut ENGINE_HANDLE {
        self.handle
    }

    pub(super) fn initialize(&self, config: Option<&CStr>) -> Code {
        call!(self, initialize, config.map_or(ptr::null(), CStr::as_ptr))
    }

    pub(super) fn destroy(&mut self) {
        call!(self, destroy, false);
    }

    pub(super) fn get_info(&self) -> *const engine_info {
        call!(self, get_info)
    }

    /// Tells of the end of a connection.
    pub(super) fn disconnect(&self, cookie: Cookie) {
        let cookie = ptr::with_exposed_provenance(cookie.address());
        self.tell(ENGINE_EVENT_TYPE::ON_DISCONNECT, cookie);
    }

    /// Turns to a connection, to read from it.
    pub(super) fn turn(&self) {
        self.tell(ENGINE_EVENT_TYPE::ON_SWITCH_CONN, COOKIE);
    }

    fn tell(&self, event: ENGINE_EVENT_TYPE, cookie: *const c_void) {
        let (callback, data) = CALLBACKS.get()[event.0 as usize];
        assert_eq!(data, self.handle.cast_const().cast());
        // SAFETY: as registered.
        unsafe { callback.unwrap()(cookie, event, ptr::null(), data) };
    }

    pub(super) fn allocate(&self, key: &[u8], nbytes: usize) -> Result<*mut item, Code> {
        self.allocate_item(key.as_ptr(), key.len(), nbytes)
    }

    pub(super) fn allocate_raw(&self, key: *const u8, nkey: usize) -> Result<*mut item, Code> {
        self.allocate_item(key, nkey, 1)
    }

    fn allocate_item(&self, key: *const u8, nkey: usize, nbytes: usize) -> Result<*mut item, Code> {
        let mut item = ptr::null_mut();
        let (out, flags) = (&raw mut item, FLAGS.cast_signed());
        let code = call!(
            self,
            allocate,
            COOKIE,
            out,
            key.cast(),
            nkey,
            nbytes,
            flags,
            100
        );
        if code == Code::ENGINE_SUCCESS {
            Ok(item)
        } else {
            Err(code)
        }
    }

    pub(super) fn set_cas(&self, item: *mut item, cas: u64) {
        call!(self, item_set_cas, COOKIE, item, cas);
    }

    pub(super) fn store(&self, item: *mut item, operation: u32) -> Result<u64, Code> {
        let mut cas = 77;
        let operation = ENGINE_STORE_OPERATION(operation);
        let code = call!(self, store, COOKIE, item, &raw mut cas, operation, 0);
        if code == Code::ENGINE_SUCCESS {
            Ok(cas)
        } else {
            Err(code)
        }
    }

    pub(super) fn release(&self, item: *mut item) {
        call!(self, release, COOKIE, item);
    }

    /// A whole SET.
    pub(super) fn set(&self, key: &[u8], value: &[u8]) {
        let item = self.allocate(key, value.len()).unwrap();
        let info = self.info(item);
        // SAFETY: the host fills the value before it stores the item.
        unsafe {
            ptr::copy_nonoverlapping(value.as_ptr(), info.value[0].iov_base.cast(), value.len());
        };
        self.set_cas(item, 0);
        self.store(item, 2).unwrap();
        self.release(item);
    }

    pub(super) fn get_item(&self, key: &[u8], vbucket: u16) -> Result<*mut item, Code> {
        let mut item = ptr::dangling_mut();
        let (out, nkey) = (&raw mut item, c_int::try_from(key.len()).unwrap());
        let code = call!(self, get, COOKIE, out, key.as_ptr().cast(), nkey, vbucket);
        if code == Code::ENGINE_SUCCESS {
            return Ok(item);
        }
        assert!(item.is_null(), "a miss leaves NULL");
        Err(code)
    }

    pub(super) fn get_raw(&self, key: *const u8, nkey: c_int) -> Code {
        let mut item = ptr::null_mut();
        call!(self, get, COOKIE, &raw mut item, key.cast(), nkey, 0)
    }

    /// A whole GET.
    pub(super) fn get(&self, key: &[u8], vbucket: u16) -> Result<Vec<u8>, Code> {
        let item = self.get_item(key, vbucket)?;
        let value = self.value(item);
        self.release(item);
        Ok(value)
    }

    pub(super) fn value(&self, item: *mut item) -> Vec<u8> {
        let value = self.info(item).value[0];
        bytes(value.iov_base, value.iov_len)
    }

    pub(super) fn remove_raw(&self, key: *const u8, nkey: usize) -> Code {
        call!(self, remove, COOKIE, key.cast(), nkey, 0, 0)
    }

    pub(super) fn info(&self, item: *mut item) -> item_info {
        let mut info = item_info {
            cas: 0,
            exptime: 0,
            nbytes: 0,
            flags: 0,
            clsid: 99,
            nkey: 0,
            nvalue: 1,
            key: ptr::null(),
            value: [libc::iovec {
                iov_base: ptr::null_mut(),
                iov_len: 0,
            }],
        };
        assert!(self.info_raw(item, &raw mut info));
        info
    }

    pub(super) fn info_raw(&self, item: *const item, info: *mut item_info) -> bool {
        call!(self, get_item_info, COOKIE, item, info)
    }

    /// Adds 1; `protocol` is `create` and `exptime`. A created key starts at 10.
    pub(super) fn arithmetic(
        &self,
        key: &[u8],
        (create, exptime): (bool, u32),
        vbucket: u16,
    ) -> Result<u64, Code> {
        let (mut cas, mut result) = (0, 0);
        let (at, nkey) = (key.as_ptr().cast(), c_int::try_from(key.len()).unwrap());
        let (cas_out, out) = (&raw mut cas, &raw mut result);
        let code = call!(
            self, arithmetic, COOKIE, at, nkey, true, create, 1, 10, exptime, cas_out, out, vbucket
        );
        if code == Code::ENGINE_SUCCESS {
            Ok(result)
        } else {
            Err(code)
        }
    }

    pub(super) fn flush(&self) -> Code {
        call!(self, flush, COOKIE, 0)
    }

    pub(super) fn stats(&self, group: &[u8]) -> (Code, Vec<(String, String)>) {
        let (at, length) = if group.is_empty() {
            (ptr::null(), 0)
        } else {
            (group.as_ptr(), c_int::try_from(group.len()).unwrap())
        };
        let code = call!(self, get_stats, COOKIE, at.cast(), length, Some(add_stat));
        (code, stats())
    }

    pub(super) fn reset_stats(&self) {
        call!(self, reset_stats, COOKIE);
    }

    /// A binary request; an empty one stands for a NULL pointer.
    pub(super) fn command(&self, packet: &[u8]) -> Code {
        let at = if packet.is_empty() {
            ptr::null()
        } else {
            packet.as_ptr()
        };
        call!(
            self,
            unknown_command,
            COOKIE,
            at.cast_mut().cast(),
            Some(add_response)
        )
    }

    pub(super) fn tap(&self, message: &tap::Arguments) -> Code {
        let tap::Arguments {
            event,
            engine_specific,
            nengine,
            key,
            nkey,
            data,
            ndata,
        } = *message;
        let specific = engine_specific.cast_mut();
        call!(
            self,
            tap_notify,
            connection(),
            specific,
            nengine,
            1,
            0,
            event,
            0,
            key,
            nkey,
            0,
            0,
            0,
            data,
            ndata,
            0
        )
    }

    pub(super) fn tap_iterator(&self) -> TAP_ITERATOR {
        call!(
            self,
            get_tap_iterator,
            connection(),
            b"name".as_ptr().cast(),
            4,
            0,
            ptr::null(),
            0
        )
    }

    pub(super) fn errinfo(&self, buffer: &mut [u8]) -> usize {
        call!(
            self,
            errinfo,
            COOKIE,
            buffer.as_mut_ptr().cast(),
            buffer.len()
        )
    }
}
