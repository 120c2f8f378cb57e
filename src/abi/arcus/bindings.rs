// Generated from include/arcus/*.h (FNV-1a 842cd6b8db19eef2) by `make regenerate`.
use libc::{FILE, time_t};

use crate::abi::bindings::{
    ADD_RESPONSE, ADD_STAT, ENGINE_ERROR_CODE, ENGINE_HANDLE, ENGINE_STORE_OPERATION,
    SERVER_CALLBACK_API, SERVER_EXTENSION_API, SERVER_LOG_API, SERVER_STAT_API, config_item,
    engine_info, item, protocol_binary_request_header, rel_time_t, token_t,
};

pub const ARCUS_EBADATTR: u32 = 57;
pub const ARCUS_PREFIX_ENOENT: u32 = 82;
pub const ARCUS_ATTR_TYPE: u32 = 0;
pub const ARCUS_ATTR_FLAGS: u32 = 1;
pub const ARCUS_ATTR_EXPIRETIME: u32 = 2;
pub const ARCUS_ITEM_TYPE_KV: u32 = 0;
pub const ARCUS_EXPTIME_STICKY: u32 = 4294967295;
pub const ARCUS_COLLECTION_MEMBERS: u32 = 38;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct arcus_value_item {
    pub len: u32,
    pub ptr: [::core::ffi::c_char; 4usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of arcus_value_item"][::core::mem::size_of::<arcus_value_item>() - 8usize];
    ["Alignment of arcus_value_item"][::core::mem::align_of::<arcus_value_item>() - 4usize];
    ["Offset of field: arcus_value_item::len"]
        [::core::mem::offset_of!(arcus_value_item, len) - 0usize];
    ["Offset of field: arcus_value_item::ptr"]
        [::core::mem::offset_of!(arcus_value_item, ptr) - 4usize];
};
#[repr(C)]
pub struct arcus_item_info {
    pub cas: u64,
    pub flags: u32,
    pub exptime: rel_time_t,
    pub type_: u8,
    pub clsid: u8,
    pub nkey: u16,
    pub nbytes: u32,
    pub nvalue: u32,
    pub naddnl: u32,
    pub key: *const ::core::ffi::c_void,
    pub value: *const ::core::ffi::c_void,
    pub addnl: *mut *mut arcus_value_item,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of arcus_item_info"][::core::mem::size_of::<arcus_item_info>() - 56usize];
    ["Alignment of arcus_item_info"][::core::mem::align_of::<arcus_item_info>() - 8usize];
    ["Offset of field: arcus_item_info::cas"]
        [::core::mem::offset_of!(arcus_item_info, cas) - 0usize];
    ["Offset of field: arcus_item_info::flags"]
        [::core::mem::offset_of!(arcus_item_info, flags) - 8usize];
    ["Offset of field: arcus_item_info::exptime"]
        [::core::mem::offset_of!(arcus_item_info, exptime) - 12usize];
    ["Offset of field: arcus_item_info::type_"]
        [::core::mem::offset_of!(arcus_item_info, type_) - 16usize];
    ["Offset of field: arcus_item_info::clsid"]
        [::core::mem::offset_of!(arcus_item_info, clsid) - 17usize];
    ["Offset of field: arcus_item_info::nkey"]
        [::core::mem::offset_of!(arcus_item_info, nkey) - 18usize];
    ["Offset of field: arcus_item_info::nbytes"]
        [::core::mem::offset_of!(arcus_item_info, nbytes) - 20usize];
    ["Offset of field: arcus_item_info::nvalue"]
        [::core::mem::offset_of!(arcus_item_info, nvalue) - 24usize];
    ["Offset of field: arcus_item_info::naddnl"]
        [::core::mem::offset_of!(arcus_item_info, naddnl) - 28usize];
    ["Offset of field: arcus_item_info::key"]
        [::core::mem::offset_of!(arcus_item_info, key) - 32usize];
    ["Offset of field: arcus_item_info::value"]
        [::core::mem::offset_of!(arcus_item_info, value) - 40usize];
    ["Offset of field: arcus_item_info::addnl"]
        [::core::mem::offset_of!(arcus_item_info, addnl) - 48usize];
};
#[repr(C)]
pub struct arcus_item_attr {
    pub flags: u32,
    pub exptime: rel_time_t,
    pub count: i32,
    pub maxcount: i32,
    pub bkeys: [u8; 96usize],
    pub type_: u8,
    pub ovflaction: u8,
    pub readable: u8,
    pub trimmed: u8,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of arcus_item_attr"][::core::mem::size_of::<arcus_item_attr>() - 116usize];
    ["Alignment of arcus_item_attr"][::core::mem::align_of::<arcus_item_attr>() - 4usize];
    ["Offset of field: arcus_item_attr::flags"]
        [::core::mem::offset_of!(arcus_item_attr, flags) - 0usize];
    ["Offset of field: arcus_item_attr::exptime"]
        [::core::mem::offset_of!(arcus_item_attr, exptime) - 4usize];
    ["Offset of field: arcus_item_attr::count"]
        [::core::mem::offset_of!(arcus_item_attr, count) - 8usize];
    ["Offset of field: arcus_item_attr::maxcount"]
        [::core::mem::offset_of!(arcus_item_attr, maxcount) - 12usize];
    ["Offset of field: arcus_item_attr::bkeys"]
        [::core::mem::offset_of!(arcus_item_attr, bkeys) - 16usize];
    ["Offset of field: arcus_item_attr::type_"]
        [::core::mem::offset_of!(arcus_item_attr, type_) - 112usize];
    ["Offset of field: arcus_item_attr::ovflaction"]
        [::core::mem::offset_of!(arcus_item_attr, ovflaction) - 113usize];
    ["Offset of field: arcus_item_attr::readable"]
        [::core::mem::offset_of!(arcus_item_attr, readable) - 114usize];
    ["Offset of field: arcus_item_attr::trimmed"]
        [::core::mem::offset_of!(arcus_item_attr, trimmed) - 115usize];
};
pub type ARCUS_REFUSED = ::core::option::Option<
    unsafe extern "C" fn(
        first: *const ::core::ffi::c_void,
        second: *const ::core::ffi::c_void,
    ) -> ENGINE_ERROR_CODE,
>;
#[repr(C)]
pub struct ARCUS_ENGINE_HANDLE_V1 {
    pub interface: ENGINE_HANDLE,
    pub get_info: ::core::option::Option<
        unsafe extern "C" fn(handle: *mut ENGINE_HANDLE) -> *const engine_info,
    >,
    pub initialize: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            config_str: *const ::core::ffi::c_char,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub destroy: ::core::option::Option<unsafe extern "C" fn(handle: *mut ENGINE_HANDLE)>,
    pub prefix_release: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            item: *mut item,
        ),
    >,
    pub allocate: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            item: *mut *mut item,
            key: *const ::core::ffi::c_void,
            nkey: usize,
            nbytes: usize,
            flags: ::core::ffi::c_int,
            exptime: rel_time_t,
            cas: u64,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub remove: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            key: *const ::core::ffi::c_void,
            nkey: usize,
            cas: u64,
            vbucket: u16,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub release: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            item: *mut item,
        ),
    >,
    pub get: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            item: *mut *mut item,
            key: *const ::core::ffi::c_void,
            nkey: ::core::ffi::c_int,
            vbucket: u16,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub store: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            item: *mut item,
            cas: *mut u64,
            operation: ENGINE_STORE_OPERATION,
            vbucket: u16,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub arithmetic: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            key: *const ::core::ffi::c_void,
            nkey: ::core::ffi::c_int,
            increment: bool,
            create: bool,
            delta: u64,
            initial: u64,
            flags: ::core::ffi::c_int,
            exptime: rel_time_t,
            cas: *mut u64,
            result: *mut u64,
            vbucket: u16,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub flush: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            prefix: *const ::core::ffi::c_void,
            nprefix: ::core::ffi::c_int,
            when: rel_time_t,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub collections: [ARCUS_REFUSED; 38usize],
    pub getattr: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            key: *const ::core::ffi::c_void,
            nkey: ::core::ffi::c_int,
            attr_ids: *mut ::core::ffi::c_int,
            attr_count: u32,
            attr_data: *mut arcus_item_attr,
            vbucket: u16,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub setattr: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            key: *const ::core::ffi::c_void,
            nkey: ::core::ffi::c_int,
            attr_ids: *mut ::core::ffi::c_int,
            attr_count: u32,
            attr_data: *mut arcus_item_attr,
            vbucket: u16,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub get_stats: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            stat_key: *const ::core::ffi::c_char,
            nkey: ::core::ffi::c_int,
            add_stat: ADD_STAT,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub reset_stats: ::core::option::Option<
        unsafe extern "C" fn(handle: *mut ENGINE_HANDLE, cookie: *const ::core::ffi::c_void),
    >,
    pub get_stats_struct: ARCUS_REFUSED,
    pub aggregate_stats: ARCUS_REFUSED,
    pub prefix_dump_stats: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            tokens: *mut token_t,
            ntokens: usize,
            length: *mut ::core::ffi::c_int,
        ) -> *mut ::core::ffi::c_char,
    >,
    pub prefix_count: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
        ) -> ::core::ffi::c_int,
    >,
    pub set_config: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            config_key: *const ::core::ffi::c_char,
            config_value: *mut ::core::ffi::c_void,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub get_config: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            config_key: *const ::core::ffi::c_char,
            config_value: *mut ::core::ffi::c_void,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub cachedump: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            slabs_clsid: ::core::ffi::c_uint,
            limit: ::core::ffi::c_uint,
            forward: bool,
            sticky: bool,
            bytes: *mut ::core::ffi::c_uint,
        ) -> *mut ::core::ffi::c_char,
    >,
    pub dump: ARCUS_REFUSED,
    pub prefixscan: ARCUS_REFUSED,
    pub keyscan: ARCUS_REFUSED,
    pub unknown_command: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            request: *mut protocol_binary_request_header,
            response: ADD_RESPONSE,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub scrub_stale: ARCUS_REFUSED,
    pub get_prefix_info: ARCUS_REFUSED,
    pub get_item_info: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            item: *const item,
            item_info: *mut arcus_item_info,
        ) -> bool,
    >,
    pub get_elem_info: ARCUS_REFUSED,
    pub errinfo: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            buffer: *mut ::core::ffi::c_char,
            buffsz: usize,
        ) -> usize,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ARCUS_ENGINE_HANDLE_V1"][::core::mem::size_of::<ARCUS_ENGINE_HANDLE_V1>() - 560usize];
    ["Alignment of ARCUS_ENGINE_HANDLE_V1"]
        [::core::mem::align_of::<ARCUS_ENGINE_HANDLE_V1>() - 8usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::interface"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, interface) - 0usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::get_info"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, get_info) - 8usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::initialize"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, initialize) - 16usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::destroy"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, destroy) - 24usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::prefix_release"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, prefix_release) - 32usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::allocate"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, allocate) - 40usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::remove"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, remove) - 48usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::release"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, release) - 56usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::get"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, get) - 64usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::store"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, store) - 72usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::arithmetic"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, arithmetic) - 80usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::flush"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, flush) - 88usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::collections"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, collections) - 96usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::getattr"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, getattr) - 400usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::setattr"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, setattr) - 408usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::get_stats"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, get_stats) - 416usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::reset_stats"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, reset_stats) - 424usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::get_stats_struct"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, get_stats_struct) - 432usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::aggregate_stats"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, aggregate_stats) - 440usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::prefix_dump_stats"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, prefix_dump_stats) - 448usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::prefix_count"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, prefix_count) - 456usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::set_config"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, set_config) - 464usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::get_config"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, get_config) - 472usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::cachedump"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, cachedump) - 480usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::dump"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, dump) - 488usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::prefixscan"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, prefixscan) - 496usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::keyscan"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, keyscan) - 504usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::unknown_command"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, unknown_command) - 512usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::scrub_stale"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, scrub_stale) - 520usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::get_prefix_info"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, get_prefix_info) - 528usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::get_item_info"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, get_item_info) - 536usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::get_elem_info"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, get_elem_info) - 544usize];
    ["Offset of field: ARCUS_ENGINE_HANDLE_V1::errinfo"]
        [::core::mem::offset_of!(ARCUS_ENGINE_HANDLE_V1, errinfo) - 552usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct ARCUS_SERVER_CORE_API {
    pub get_current_time: ::core::option::Option<unsafe extern "C" fn() -> rel_time_t>,
    pub realtime: ::core::option::Option<unsafe extern "C" fn(exptime: time_t) -> rel_time_t>,
    pub server_version:
        ::core::option::Option<unsafe extern "C" fn() -> *const ::core::ffi::c_char>,
    pub hash: ::core::option::Option<
        unsafe extern "C" fn(data: *const ::core::ffi::c_void, size: usize, seed: u32) -> u32,
    >,
    pub parse_config: ::core::option::Option<
        unsafe extern "C" fn(
            str_: *const ::core::ffi::c_char,
            items: *mut config_item,
            error: *mut FILE,
        ) -> ::core::ffi::c_int,
    >,
    pub store_engine_specific: ::core::option::Option<
        unsafe extern "C" fn(
            cookie: *const ::core::ffi::c_void,
            engine_data: *mut ::core::ffi::c_void,
        ),
    >,
    pub get_engine_specific: ::core::option::Option<
        unsafe extern "C" fn(cookie: *const ::core::ffi::c_void) -> *mut ::core::ffi::c_void,
    >,
    pub get_socket_fd: ::core::option::Option<
        unsafe extern "C" fn(cookie: *const ::core::ffi::c_void) -> ::core::ffi::c_int,
    >,
    pub get_client_ip: ::core::option::Option<
        unsafe extern "C" fn(cookie: *const ::core::ffi::c_void) -> *const ::core::ffi::c_char,
    >,
    pub get_thread_index: ::core::option::Option<
        unsafe extern "C" fn(cookie: *const ::core::ffi::c_void) -> ::core::ffi::c_int,
    >,
    pub get_noreply:
        ::core::option::Option<unsafe extern "C" fn(cookie: *const ::core::ffi::c_void) -> bool>,
    pub waitfor_io_complete:
        ::core::option::Option<unsafe extern "C" fn(cookie: *const ::core::ffi::c_void)>,
    pub notify_io_complete: ::core::option::Option<
        unsafe extern "C" fn(cookie: *const ::core::ffi::c_void, status: ENGINE_ERROR_CODE),
    >,
    pub shutdown: ::core::option::Option<unsafe extern "C" fn()>,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ARCUS_SERVER_CORE_API"][::core::mem::size_of::<ARCUS_SERVER_CORE_API>() - 112usize];
    ["Alignment of ARCUS_SERVER_CORE_API"]
        [::core::mem::align_of::<ARCUS_SERVER_CORE_API>() - 8usize];
    ["Offset of field: ARCUS_SERVER_CORE_API::get_current_time"]
        [::core::mem::offset_of!(ARCUS_SERVER_CORE_API, get_current_time) - 0usize];
    ["Offset of field: ARCUS_SERVER_CORE_API::realtime"]
        [::core::mem::offset_of!(ARCUS_SERVER_CORE_API, realtime) - 8usize];
    ["Offset of field: ARCUS_SERVER_CORE_API::server_version"]
        [::core::mem::offset_of!(ARCUS_SERVER_CORE_API, server_version) - 16usize];
    ["Offset of field: ARCUS_SERVER_CORE_API::hash"]
        [::core::mem::offset_of!(ARCUS_SERVER_CORE_API, hash) - 24usize];
    ["Offset of field: ARCUS_SERVER_CORE_API::parse_config"]
        [::core::mem::offset_of!(ARCUS_SERVER_CORE_API, parse_config) - 32usize];
    ["Offset of field: ARCUS_SERVER_CORE_API::store_engine_specific"]
        [::core::mem::offset_of!(ARCUS_SERVER_CORE_API, store_engine_specific) - 40usize];
    ["Offset of field: ARCUS_SERVER_CORE_API::get_engine_specific"]
        [::core::mem::offset_of!(ARCUS_SERVER_CORE_API, get_engine_specific) - 48usize];
    ["Offset of field: ARCUS_SERVER_CORE_API::get_socket_fd"]
        [::core::mem::offset_of!(ARCUS_SERVER_CORE_API, get_socket_fd) - 56usize];
    ["Offset of field: ARCUS_SERVER_CORE_API::get_client_ip"]
        [::core::mem::offset_of!(ARCUS_SERVER_CORE_API, get_client_ip) - 64usize];
    ["Offset of field: ARCUS_SERVER_CORE_API::get_thread_index"]
        [::core::mem::offset_of!(ARCUS_SERVER_CORE_API, get_thread_index) - 72usize];
    ["Offset of field: ARCUS_SERVER_CORE_API::get_noreply"]
        [::core::mem::offset_of!(ARCUS_SERVER_CORE_API, get_noreply) - 80usize];
    ["Offset of field: ARCUS_SERVER_CORE_API::waitfor_io_complete"]
        [::core::mem::offset_of!(ARCUS_SERVER_CORE_API, waitfor_io_complete) - 88usize];
    ["Offset of field: ARCUS_SERVER_CORE_API::notify_io_complete"]
        [::core::mem::offset_of!(ARCUS_SERVER_CORE_API, notify_io_complete) - 96usize];
    ["Offset of field: ARCUS_SERVER_CORE_API::shutdown"]
        [::core::mem::offset_of!(ARCUS_SERVER_CORE_API, shutdown) - 104usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct ARCUS_SERVER_HANDLE_V1 {
    pub interface: u64,
    pub core: *mut ARCUS_SERVER_CORE_API,
    pub stat: *mut SERVER_STAT_API,
    pub extension: *mut SERVER_EXTENSION_API,
    pub callback: *mut SERVER_CALLBACK_API,
    pub engine: *mut ENGINE_HANDLE,
    pub log: *mut SERVER_LOG_API,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ARCUS_SERVER_HANDLE_V1"][::core::mem::size_of::<ARCUS_SERVER_HANDLE_V1>() - 56usize];
    ["Alignment of ARCUS_SERVER_HANDLE_V1"]
        [::core::mem::align_of::<ARCUS_SERVER_HANDLE_V1>() - 8usize];
    ["Offset of field: ARCUS_SERVER_HANDLE_V1::interface"]
        [::core::mem::offset_of!(ARCUS_SERVER_HANDLE_V1, interface) - 0usize];
    ["Offset of field: ARCUS_SERVER_HANDLE_V1::core"]
        [::core::mem::offset_of!(ARCUS_SERVER_HANDLE_V1, core) - 8usize];
    ["Offset of field: ARCUS_SERVER_HANDLE_V1::stat"]
        [::core::mem::offset_of!(ARCUS_SERVER_HANDLE_V1, stat) - 16usize];
    ["Offset of field: ARCUS_SERVER_HANDLE_V1::extension"]
        [::core::mem::offset_of!(ARCUS_SERVER_HANDLE_V1, extension) - 24usize];
    ["Offset of field: ARCUS_SERVER_HANDLE_V1::callback"]
        [::core::mem::offset_of!(ARCUS_SERVER_HANDLE_V1, callback) - 32usize];
    ["Offset of field: ARCUS_SERVER_HANDLE_V1::engine"]
        [::core::mem::offset_of!(ARCUS_SERVER_HANDLE_V1, engine) - 40usize];
    ["Offset of field: ARCUS_SERVER_HANDLE_V1::log"]
        [::core::mem::offset_of!(ARCUS_SERVER_HANDLE_V1, log) - 48usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct arcus_ascii_descriptor {
    pub get_name: ::core::option::Option<
        unsafe extern "C" fn(cmd_cookie: *const ::core::ffi::c_void) -> *const ::core::ffi::c_char,
    >,
    pub get_auth_flag: ::core::option::Option<unsafe extern "C" fn() -> u16>,
    pub accept: ::core::option::Option<
        unsafe extern "C" fn(
            cmd_cookie: *const ::core::ffi::c_void,
            cookie: *mut ::core::ffi::c_void,
            argc: ::core::ffi::c_int,
            argv: *mut token_t,
            ndata: *mut usize,
            ptr: *mut *mut ::core::ffi::c_char,
        ) -> bool,
    >,
    pub execute: ::core::option::Option<
        unsafe extern "C" fn(
            cmd_cookie: *const ::core::ffi::c_void,
            cookie: *const ::core::ffi::c_void,
            argc: ::core::ffi::c_int,
            argv: *mut token_t,
            response: ::core::option::Option<
                unsafe extern "C" fn(
                    cookie: *const ::core::ffi::c_void,
                    nbytes: ::core::ffi::c_int,
                    dta: *const ::core::ffi::c_char,
                ) -> bool,
            >,
        ) -> bool,
    >,
    pub abort: ::core::option::Option<
        unsafe extern "C" fn(
            cmd_cookie: *const ::core::ffi::c_void,
            cookie: *const ::core::ffi::c_void,
        ),
    >,
    pub cookie: *const ::core::ffi::c_void,
    pub next: *mut arcus_ascii_descriptor,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of arcus_ascii_descriptor"][::core::mem::size_of::<arcus_ascii_descriptor>() - 56usize];
    ["Alignment of arcus_ascii_descriptor"]
        [::core::mem::align_of::<arcus_ascii_descriptor>() - 8usize];
    ["Offset of field: arcus_ascii_descriptor::get_name"]
        [::core::mem::offset_of!(arcus_ascii_descriptor, get_name) - 0usize];
    ["Offset of field: arcus_ascii_descriptor::get_auth_flag"]
        [::core::mem::offset_of!(arcus_ascii_descriptor, get_auth_flag) - 8usize];
    ["Offset of field: arcus_ascii_descriptor::accept"]
        [::core::mem::offset_of!(arcus_ascii_descriptor, accept) - 16usize];
    ["Offset of field: arcus_ascii_descriptor::execute"]
        [::core::mem::offset_of!(arcus_ascii_descriptor, execute) - 24usize];
    ["Offset of field: arcus_ascii_descriptor::abort"]
        [::core::mem::offset_of!(arcus_ascii_descriptor, abort) - 32usize];
    ["Offset of field: arcus_ascii_descriptor::cookie"]
        [::core::mem::offset_of!(arcus_ascii_descriptor, cookie) - 40usize];
    ["Offset of field: arcus_ascii_descriptor::next"]
        [::core::mem::offset_of!(arcus_ascii_descriptor, next) - 48usize];
};
pub type ARCUS_ASCII_DESCRIPTOR = arcus_ascii_descriptor;
