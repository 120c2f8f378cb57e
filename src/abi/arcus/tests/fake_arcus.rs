//! An ARCUS host in Rust: its server tables, one connection, and a wrapper that calls the engine's
//! table like that host does.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::time::Duration;

use libc::time_t;
use parking_lot::{Condvar, Mutex};

use crate::abi::arcus::bindings::*;
use crate::abi::bindings::*;
use crate::abi::convert::Code;
use crate::abi::create_instance;
use crate::constants;
use crate::ffi::alloc::prepare;

/// What the host's clock shows: about an hour after its start.
pub(super) const NOW: u32 = 3_600;
/// Flags of every item.
pub(super) const FLAGS: u32 = 0x8102_0304;

/// A registered function and its data.
type Callback = (EVENT_CALLBACK, *const c_void);
type Line = RefCell<String>;

thread_local! {
    static SERVER: Cell<*mut ARCUS_SERVER_HANDLE_V1> = const { Cell::new(ptr::null_mut()) };
    static VERSION: Cell<*const c_char> = const { Cell::new(ptr::null()) };
    static CALLBACK: Cell<Callback> = const { Cell::new((None, ptr::null())) };
    static COMMAND: Cell<*mut ARCUS_ASCII_DESCRIPTOR> = const { Cell::new(ptr::null_mut()) };
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static PACKETS: RefCell<Vec<(u16, Vec<u8>)>> = const { RefCell::new(Vec::new()) };
    static STATS: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
    static LATE: Cell<i64> = const { Cell::new(0) };
    static LINE: Line = const { RefCell::new(String::new()) };
}

/// A connection; its address is the cookie.
#[derive(Default)]
struct Connection {
    // Guards what the host knows of it.
    state: Mutex<State>,
    answered: Condvar, // Goes with `state`, which it guards the changes of.
}

#[derive(Default)]
struct State {
    specific: usize,
    socket: Option<c_int>,
    noreply: bool,
    waits: usize,
    answers: usize,
}

fn connection<'a>(cookie: *const c_void) -> &'a Connection {
    // SAFETY: the tests pass the connection, which is never freed.
    unsafe { &*cookie.cast::<Connection>() }
}

fn bytes(at: *const c_void, length: usize) -> Vec<u8> {
    if length == 0 {
        return Vec::new();
    }
    // SAFETY: the engine promises that many readable bytes.
    unsafe { std::slice::from_raw_parts(at.cast::<u8>(), length) }.to_vec()
}

unsafe extern "C" fn now() -> rel_time_t {
    NOW
}

fn start() -> i64 {
    let system = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    i64::try_from(system).unwrap() - i64::from(NOW) - LATE.get()
}

/// From now on the clock of this thread's host is so many seconds late: it looks at that of the
/// system once a second.
pub(super) fn be_late(seconds: i64) {
    LATE.set(seconds);
}

unsafe extern "C" fn realtime(time: time_t) -> rel_time_t {
    match time {
        0 => 0,
        1..=2_592_000 => u32::try_from(time).unwrap() + NOW,
        _ => u32::try_from((time - start()).clamp(1, 0x7fff_ffff)).unwrap(),
    }
}

unsafe extern "C" fn version() -> *const c_char {
    VERSION.get()
}

unsafe extern "C" fn store_specific(cookie: *const c_void, data: *mut c_void) {
    connection(cookie).state.lock().specific = data.expose_provenance();
}

unsafe extern "C" fn get_specific(cookie: *const c_void) -> *mut c_void {
    ptr::with_exposed_provenance_mut(connection(cookie).state.lock().specific)
}

unsafe extern "C" fn socket(cookie: *const c_void) -> c_int {
    connection(cookie).state.lock().socket.unwrap_or(-1)
}

unsafe extern "C" fn noreply(cookie: *const c_void) -> bool {
    connection(cookie).state.lock().noreply
}

unsafe extern "C" fn waitfor(cookie: *const c_void) {
    connection(cookie).state.lock().waits += 1;
}

unsafe extern "C" fn notify(cookie: *const c_void, _status: Code) {
    let connection = connection(cookie);
    let mut state = connection.state.lock();
    assert!(state.waits > 0, "a notify before the wait");
    state.waits -= 1;
    state.answers += 1;
    connection.answered.notify_all();
}

unsafe extern "C" fn write_log(
    _severity: EXTENSION_LOG_LEVEL,
    _cookie: *const c_void,
    _format: *const c_char,
    line: *const c_char,
) {
    // SAFETY: a C string.
    let line = unsafe { CStr::from_ptr(line) };
    LOG.with_borrow_mut(|log| log.push(line.to_str().unwrap().to_owned()));
}

type Logger =
    unsafe extern "C" fn(EXTENSION_LOG_LEVEL, *const c_void, *const c_char, *const c_char);
type VariadicLogger = unsafe extern "C" fn(EXTENSION_LOG_LEVEL, *const c_void, *const c_char, ...);

unsafe extern "C" fn get_logger() -> *mut EXTENSION_LOGGER_DESCRIPTOR {
    // SAFETY: a variadic call with one pointer passes it where the fourth argument is expected.
    let log = unsafe { std::mem::transmute::<Logger, VariadicLogger>(write_log) };
    leak(EXTENSION_LOGGER_DESCRIPTOR {
        get_name: None,
        log: Some(log),
    })
}

unsafe extern "C" fn register(
    _engine: *mut engine_interface,
    event: ENGINE_EVENT_TYPE,
    callback: EVENT_CALLBACK,
    data: *const c_void,
) {
    if event == ENGINE_EVENT_TYPE::ON_DISCONNECT {
        CALLBACK.set((callback, data));
    }
}

unsafe extern "C" fn register_extension(kind: extension_type_t, descriptor: *mut c_void) -> bool {
    assert_eq!(kind, extension_type_t::EXTENSION_ASCII_PROTOCOL);
    register_command(descriptor);
    true
}

unsafe extern "C" fn get_extension(kind: extension_type_t) -> *mut c_void {
    assert_eq!(kind, extension_type_t::EXTENSION_ASCII_PROTOCOL);
    COMMAND.get().cast()
}

/// Puts a command behind those that there are, as the host does.
pub(super) fn register_command(descriptor: *mut c_void) {
    let descriptor = descriptor.cast::<ARCUS_ASCII_DESCRIPTOR>();
    let Some(mut last) = commands().last() else {
        return COMMAND.set(descriptor);
    };
    // SAFETY: what was registered lives as long as the process.
    unsafe { last.as_mut() }.next = descriptor;
}

/// What was registered on this thread, in the order in which it is asked.
fn commands() -> impl Iterator<Item = NonNull<ARCUS_ASCII_DESCRIPTOR>> {
    // SAFETY: what was registered lives as long as the process.
    let next = |it: &NonNull<ARCUS_ASCII_DESCRIPTOR>| NonNull::new(unsafe { it.as_ref() }.next);
    std::iter::successors(NonNull::new(COMMAND.get()), next)
}

/// A command that takes no line.
pub(super) fn another_command() -> *mut c_void {
    unsafe extern "C" fn accept(
        _own: *const c_void,
        _cookie: *mut c_void,
        _count: c_int,
        _tokens: *mut token_t,
        _ndata: *mut usize,
        _data: *mut *mut c_char,
    ) -> bool {
        false
    }
    let descriptor = leak(ARCUS_ASCII_DESCRIPTOR {
        get_name: None,
        get_auth_flag: None,
        accept: Some(accept),
        execute: None,
        abort: None,
        cookie: ptr::null(),
        next: ptr::null_mut(),
    });
    descriptor.cast()
}

unsafe extern "C" fn add_response(
    _key: *const c_void,
    _keylen: u16,
    _ext: *const c_void,
    _extlen: u8,
    body: *const c_void,
    bodylen: u32,
    _datatype: u8,
    status: u16,
    _cas: u64,
    _cookie: *const c_void,
) -> bool {
    let packet = (status, bytes(body, bodylen as usize));
    PACKETS.with_borrow_mut(|packets| packets.push(packet));
    true
}

unsafe extern "C" fn add_stat(
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

unsafe extern "C" fn add_line(_cookie: *const c_void, length: c_int, text: *const c_char) -> bool {
    let length = usize::try_from(length).unwrap();
    let text = String::from_utf8(bytes(text.cast(), length)).unwrap();
    LINE.with_borrow_mut(|line| line.push_str(&text));
    true
}

fn leak<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

unsafe extern "C" fn get_server_api() -> *mut SERVER_HANDLE_V1 {
    SERVER.get().cast()
}

fn install(text: &str) {
    VERSION.set(CString::new(text).unwrap().into_raw());
    let core = leak(ARCUS_SERVER_CORE_API {
        get_current_time: Some(now),
        realtime: Some(realtime),
        server_version: Some(version),
        hash: None,
        parse_config: None,
        store_engine_specific: Some(store_specific),
        get_engine_specific: Some(get_specific),
        get_socket_fd: Some(socket),
        get_client_ip: None,
        get_thread_index: None,
        get_noreply: Some(noreply),
        waitfor_io_complete: Some(waitfor),
        notify_io_complete: Some(notify),
        shutdown: None,
    });
    SERVER.set(leak(ARCUS_SERVER_HANDLE_V1 {
        interface: 1,
        core,
        stat: ptr::null_mut(),
        extension: leak(SERVER_EXTENSION_API {
            register_extension: Some(register_extension),
            unregister_extension: None,
            get_extension: Some(get_extension),
        }),
        callback: leak(SERVER_CALLBACK_API {
            register_callback: Some(register),
            perform_callbacks: None,
        }),
        engine: ptr::null_mut(),
        log: leak(SERVER_LOG_API {
            get_logger: Some(get_logger),
            get_level: None,
            set_level: None,
        }),
    }));
}

/// Calls a member of the table.
macro_rules! call {
    ($host:expr, $member:ident $(, $argument:expr)*) => {{
        let function = $host.table().$member.unwrap();
        // SAFETY: the arguments are as the contract of the table wants them.
        unsafe { function($host.handle $(, $argument)*) }
    }};
}

/// An engine as the host holds it, with one connection; destroyed at the end.
pub(super) struct Host {
    handle: *mut ENGINE_HANDLE,
    cookie: *const c_void,
}

impl Drop for Host {
    fn drop(&mut self) {
        call!(self, destroy);
    }
}

fn key_of(key: &[u8]) -> (*const c_void, c_int) {
    (key.as_ptr().cast(), c_int::try_from(key.len()).unwrap())
}

fn outcome<T>(code: Code, value: T) -> Result<T, Code> {
    if code == Code::ENGINE_SUCCESS {
        Ok(value)
    } else {
        Err(code)
    }
}

/// The one further piece of a value.
fn tail_of(info: &arcus_item_info) -> *mut arcus_value_item {
    // SAFETY: the engine says that there is one.
    unsafe { info.addnl.read() }
}

/// Takes what was logged on this thread.
pub(super) fn logged() -> Vec<String> {
    LOG.take()
}

impl Host {
    /// Loads an engine without starting it.
    pub(super) fn created(version: &str) -> Self {
        prepare();
        install(version);
        let mut handle = ptr::null_mut();
        // SAFETY: the handle is writable and the server table is complete.
        let code = unsafe { create_instance(1, Some(get_server_api), &raw mut handle) };
        assert_eq!(code, Code::ENGINE_SUCCESS);
        let cookie = leak(Connection::default());
        cookie.expose_provenance();
        Self {
            handle,
            cookie: cookie.cast_const().cast(),
        }
    }

    /// Loads and starts one.
    pub(super) fn running(config: &str) -> Self {
        let host = Self::created("1.15.0-3");
        let config = CString::new(format!("num_threads=4;{config}")).unwrap();
        let code = host.initialize(&config);
        assert_eq!(code, Code::ENGINE_SUCCESS, "{:?}", logged());
        host
    }

    pub(super) fn table(&self) -> ARCUS_ENGINE_HANDLE_V1 {
        // SAFETY: the handle is the address of a table.
        unsafe { self.handle.cast::<ARCUS_ENGINE_HANDLE_V1>().read() }
    }

    pub(super) fn initialize(&self, config: &CStr) -> Code {
        call!(self, initialize, config.as_ptr())
    }

    pub(super) fn disconnect(&self) {
        let (callback, data) = CALLBACK.get();
        let event = ENGINE_EVENT_TYPE::ON_DISCONNECT;
        // SAFETY: as registered.
        unsafe { callback.unwrap()(self.cookie, event, ptr::null(), data) };
    }

    /// An item of `nbytes` and its tail.
    pub(super) fn allocate(
        &self,
        key: &[u8],
        nbytes: usize,
        exptime: u32,
        cas: u64,
    ) -> Result<*mut item, Code> {
        let mut item = ptr::null_mut();
        let (at, flags) = (key.as_ptr().cast(), FLAGS.cast_signed());
        let out = &raw mut item;
        let code = call!(
            self,
            allocate,
            self.cookie,
            out,
            at,
            key.len(),
            nbytes + 2,
            flags,
            exptime,
            cas
        );
        outcome(code, item)
    }

    /// Asks for so many bytes, tail or not.
    pub(super) fn allocate_raw(&self, key: &[u8], nbytes: usize) -> Result<*mut item, Code> {
        let mut item = ptr::null_mut();
        let (at, out) = (key.as_ptr().cast(), &raw mut item);
        let code = call!(
            self,
            allocate,
            self.cookie,
            out,
            at,
            key.len(),
            nbytes,
            0,
            0,
            0
        );
        outcome(code, item)
    }

    pub(super) fn info(&self, item: *const item) -> arcus_item_info {
        let mut info = std::mem::MaybeUninit::<arcus_item_info>::uninit();
        assert!(call!(
            self,
            get_item_info,
            self.cookie,
            item,
            info.as_mut_ptr()
        ));
        // SAFETY: the engine fills all of it.
        unsafe { info.assume_init() }
    }

    pub(super) fn store(&self, item: *mut item, operation: u32) -> Code {
        let mut cas = 77;
        let operation = ENGINE_STORE_OPERATION(operation);
        call!(self, store, self.cookie, item, &raw mut cas, operation, 0)
    }

    pub(super) fn release(&self, item: *mut item) {
        call!(self, release, self.cookie, item);
    }

    /// A whole SET, whatever comes of it.
    pub(super) fn store_held(&self, key: &[u8], value: &[u8]) -> Code {
        let item = self.allocate(key, value.len(), 0, 0).unwrap();
        let info = self.info(item);
        assert_eq!((info.nvalue as usize, info.naddnl), (value.len(), 1));
        // SAFETY: the host fills the value and its tail before it stores the item.
        unsafe {
            ptr::copy_nonoverlapping(value.as_ptr(), info.value.cast_mut().cast(), value.len());
        };
        let tail = tail_of(&info);
        // SAFETY: as above.
        unsafe { (*tail).ptr = [13, 10, 0, 0] };
        let code = self.store(item, 2);
        self.release(item);
        code
    }

    /// A whole SET.
    pub(super) fn set(&self, key: &[u8], value: &[u8]) {
        assert_eq!(self.store_held(key, value), Code::ENGINE_SUCCESS);
    }

    pub(super) fn get_item(&self, key: &[u8]) -> Result<*mut item, Code> {
        let (mut item, (at, nkey)) = (ptr::dangling_mut(), key_of(key));
        let code = call!(self, get, self.cookie, &raw mut item, at, nkey, 0);
        outcome(code, item)
    }

    /// A whole GET; the tail has to be there.
    pub(super) fn get(&self, key: &[u8]) -> Result<Vec<u8>, Code> {
        let item = self.get_item(key)?;
        let info = self.info(item);
        let value = bytes(info.value, info.nvalue as usize);
        // SAFETY: a piece.
        let tail = unsafe { (*tail_of(&info)).ptr };
        assert_eq!((tail[0], tail[1], info.nbytes), (13, 10, info.nvalue + 2));
        assert_eq!(bytes(info.key, info.nkey.into()), key);
        self.release(item);
        Ok(value)
    }

    /// Adds 1; a created key starts at 10.
    pub(super) fn count(&self, key: &[u8], create: bool) -> Result<u64, Code> {
        let (mut cas, mut result) = (0, 0);
        let (at, nkey) = key_of(key);
        let (flags, out) = (FLAGS.cast_signed(), &raw mut result);
        let cas = &raw mut cas;
        let code = call!(
            self,
            arithmetic,
            self.cookie,
            at,
            nkey,
            true,
            create,
            1,
            10,
            flags,
            0,
            cas,
            out,
            0
        );
        outcome(code, result)
    }

    pub(super) fn flush(&self, prefix: Option<&[u8]>, when: u32) -> Code {
        let (at, length) = prefix.map_or((ptr::null(), -1), key_of);
        call!(self, flush, self.cookie, at, length, when)
    }

    pub(super) fn getattr(&self, key: &[u8], ids: &[c_int]) -> Result<arcus_item_attr, Code> {
        let (at, nkey) = key_of(key);
        let mut out = std::mem::MaybeUninit::<arcus_item_attr>::zeroed();
        let (ids, count) = (ids.as_ptr().cast_mut(), u32::try_from(ids.len()).unwrap());
        let to = out.as_mut_ptr();
        let code = call!(self, getattr, self.cookie, at, nkey, ids, count, to, 0);
        // SAFETY: zeros are one, and the engine fills all of it.
        outcome(code, unsafe { out.assume_init() })
    }

    pub(super) fn setattr(&self, key: &[u8], ids: &[c_int], exptime: u32) -> Code {
        let (at, nkey) = key_of(key);
        // SAFETY: zeros are one.
        let mut wanted: arcus_item_attr = unsafe { std::mem::zeroed() };
        wanted.exptime = exptime;
        let (ids, count) = (ids.as_ptr().cast_mut(), u32::try_from(ids.len()).unwrap());
        call!(
            self,
            setattr,
            self.cookie,
            at,
            nkey,
            ids,
            count,
            &raw mut wanted,
            0
        )
    }

    pub(super) fn touch(&self, key: &[u8], exptime: u32) -> Code {
        self.setattr(key, &[2], exptime)
    }

    pub(super) fn set_config(&self, key: &CStr, mut value: usize) -> Code {
        let value = (&raw mut value).cast();
        call!(self, set_config, self.cookie, key.as_ptr(), value)
    }

    pub(super) fn stats(&self, group: &str) -> Vec<(String, String)> {
        let (at, length) = key_of(group.as_bytes());
        let code = call!(
            self,
            get_stats,
            self.cookie,
            at.cast(),
            length,
            Some(add_stat)
        );
        assert_eq!(code, Code::ENGINE_SUCCESS, "{group}");
        STATS.take()
    }

    /// Takes the value of a key out of memory.
    pub(super) fn until_evicted(&self, key: &[u8]) {
        let evict = constants::CHECKPOINT_ENGINE_CMD_EVICT_KEY;
        while self.command(evict, &[], key)[0].1 != b"Already ejected." {
            std::thread::yield_now();
        }
    }

    pub(super) fn set_parameter(&self, name: &[u8], value: &[u8]) {
        let set = constants::CHECKPOINT_ENGINE_CMD_SET_FLUSH_PARAM;
        assert_eq!(self.request(set, &[], name, value)[0].0, 0);
    }

    /// A binary request to vbucket 0. Returns statuses and bodies.
    pub(super) fn command(&self, opcode: u8, extras: &[u8], key: &[u8]) -> Vec<(u16, Vec<u8>)> {
        self.request(opcode, extras, key, &[])
    }

    fn request(&self, opcode: u8, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let mut packet = vec![0x80, opcode];
        packet.extend(u16::try_from(key.len()).unwrap().to_be_bytes());
        packet.extend([u8::try_from(extras.len()).unwrap(), 0, 0, 0]);
        packet.extend(
            u32::try_from(extras.len() + key.len() + value.len())
                .unwrap()
                .to_be_bytes(),
        );
        packet.extend([0; 12]);
        packet.extend(extras);
        packet.extend(key);
        packet.extend(value);
        let at = packet.as_mut_ptr().cast();
        let code = call!(self, unknown_command, self.cookie, at, Some(add_response));
        assert_eq!(code, Code::ENGINE_SUCCESS);
        PACKETS.take()
    }

    /// The answer to a line of the text protocol that no built-in command took.
    pub(super) fn line(&self, line: &str) -> String {
        if COMMAND.get().is_null() {
            return "ERROR unknown command\r\n".to_owned();
        }
        let words: Vec<CString> = line
            .split(' ')
            .map(|it| CString::new(it).unwrap())
            .collect();
        let mut tokens: Vec<token_t> = words
            .iter()
            .map(|word| token_t {
                value: word.as_ptr().cast_mut(),
                length: word.count_bytes(),
            })
            .collect();
        // Hosts end the list with an empty word.
        tokens.push(token_t {
            value: ptr::null_mut(),
            length: 0,
        });
        let (count, argv) = (c_int::try_from(tokens.len()).unwrap(), tokens.as_mut_ptr());
        let (mut length, mut data) = (0, ptr::null_mut());
        let (more, cookie) = (&raw mut length, self.cookie.cast_mut());
        for command in commands() {
            // SAFETY: what was registered lives as long as the process.
            let command = unsafe { command.as_ref() };
            let (accept, own) = (command.accept.unwrap(), command.cookie);
            // SAFETY: as the host does.
            if unsafe { accept(own, cookie, count, argv, more, &raw mut data) } {
                assert_eq!(length, 0);
                let execute = command.execute.unwrap();
                // SAFETY: as the host does.
                assert!(unsafe { execute(own, self.cookie, count, argv, Some(add_line)) });
                return LINE.take();
            }
        }
        "ERROR no matching command\r\n".to_owned()
    }

    /// The connection is this socket's from now on.
    pub(super) fn set_socket(&self, socket: &impl AsRawFd) {
        connection(self.cookie).state.lock().socket = Some(socket.as_raw_fd());
    }

    pub(super) fn set_noreply(&self, noreply: bool) {
        connection(self.cookie).state.lock().noreply = noreply;
    }

    /// Answers that were held back and have gone out.
    pub(super) fn answered(&self) -> usize {
        connection(self.cookie).state.lock().answers
    }

    /// Waits until so many have.
    pub(super) fn until_answered(&self, count: usize) {
        let connection = connection(self.cookie);
        let mut state = connection.state.lock();
        while state.answers < count {
            let late = connection
                .answered
                .wait_for(&mut state, Duration::from_mins(1));
            assert!(!late.timed_out(), "no answer");
        }
    }

    /// Waits until the online update has ended so.
    pub(super) fn until_update_is(&self, outcome: &str) {
        let is = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for _ in 0..60_000 {
            let stats = self.stats("onlineupdate");
            if stats.contains(&is("state", "none")) && stats.contains(&is("last_outcome", outcome))
            {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("not {outcome}: {:?}", self.stats("onlineupdate"));
    }
}
