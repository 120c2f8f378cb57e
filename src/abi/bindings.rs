// Generated from include/memcached/*.h (FNV-1a feb65e7c9cdf6476) by `make regenerate`.
use libc::{FILE, iovec, time_t};

pub const TAP_CONNECT_FLAG_BACKFILL: u32 = 1;
pub const TAP_CONNECT_FLAG_DUMP: u32 = 2;
pub const TAP_CONNECT_FLAG_LIST_VBUCKETS: u32 = 4;
pub const TAP_CONNECT_FLAG_TAKEOVER_VBUCKETS: u32 = 8;
pub const TAP_CONNECT_SUPPORT_ACK: u32 = 16;
pub const TAP_CONNECT_REQUEST_KEYS_ONLY: u32 = 32;
pub const TAP_CONNECT_CHECKPOINT: u32 = 64;
pub const TAP_CONNECT_REGISTERED_CLIENT: u32 = 128;
pub const TAP_FLAG_ACK: u32 = 1;
pub const TAP_FLAG_NO_VALUE: u32 = 2;
pub const PROTOCOL_BINARY_KEY_MAX: u32 = 250;
pub const MAX_ENGINE_EVENT_TYPE: u32 = 5;
impl protocol_binary_magic {
    pub const PROTOCOL_BINARY_REQ: protocol_binary_magic = protocol_binary_magic(128);
    pub const PROTOCOL_BINARY_RES: protocol_binary_magic = protocol_binary_magic(129);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct protocol_binary_magic(pub ::core::ffi::c_uint);
impl protocol_binary_datatypes {
    pub const PROTOCOL_BINARY_RAW_BYTES: protocol_binary_datatypes = protocol_binary_datatypes(0);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct protocol_binary_datatypes(pub ::core::ffi::c_uint);
impl protocol_binary_response_status {
    pub const PROTOCOL_BINARY_RESPONSE_SUCCESS: protocol_binary_response_status =
        protocol_binary_response_status(0);
    pub const PROTOCOL_BINARY_RESPONSE_KEY_ENOENT: protocol_binary_response_status =
        protocol_binary_response_status(1);
    pub const PROTOCOL_BINARY_RESPONSE_KEY_EEXISTS: protocol_binary_response_status =
        protocol_binary_response_status(2);
    pub const PROTOCOL_BINARY_RESPONSE_E2BIG: protocol_binary_response_status =
        protocol_binary_response_status(3);
    pub const PROTOCOL_BINARY_RESPONSE_EINVAL: protocol_binary_response_status =
        protocol_binary_response_status(4);
    pub const PROTOCOL_BINARY_RESPONSE_NOT_STORED: protocol_binary_response_status =
        protocol_binary_response_status(5);
    pub const PROTOCOL_BINARY_RESPONSE_DELTA_BADVAL: protocol_binary_response_status =
        protocol_binary_response_status(6);
    pub const PROTOCOL_BINARY_RESPONSE_NOT_MY_VBUCKET: protocol_binary_response_status =
        protocol_binary_response_status(7);
    pub const PROTOCOL_BINARY_RESPONSE_AUTH_ERROR: protocol_binary_response_status =
        protocol_binary_response_status(32);
    pub const PROTOCOL_BINARY_RESPONSE_AUTH_CONTINUE: protocol_binary_response_status =
        protocol_binary_response_status(33);
    pub const PROTOCOL_BINARY_RESPONSE_ERANGE: protocol_binary_response_status =
        protocol_binary_response_status(34);
    pub const PROTOCOL_BINARY_RESPONSE_UNKNOWN_COMMAND: protocol_binary_response_status =
        protocol_binary_response_status(129);
    pub const PROTOCOL_BINARY_RESPONSE_ENOMEM: protocol_binary_response_status =
        protocol_binary_response_status(130);
    pub const PROTOCOL_BINARY_RESPONSE_NOT_SUPPORTED: protocol_binary_response_status =
        protocol_binary_response_status(131);
    pub const PROTOCOL_BINARY_RESPONSE_EINTERNAL: protocol_binary_response_status =
        protocol_binary_response_status(132);
    pub const PROTOCOL_BINARY_RESPONSE_EBUSY: protocol_binary_response_status =
        protocol_binary_response_status(133);
    pub const PROTOCOL_BINARY_RESPONSE_ETMPFAIL: protocol_binary_response_status =
        protocol_binary_response_status(134);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct protocol_binary_response_status(pub ::core::ffi::c_uint);
impl protocol_binary_command {
    pub const PROTOCOL_BINARY_CMD_GET: protocol_binary_command = protocol_binary_command(0);
    pub const PROTOCOL_BINARY_CMD_SET: protocol_binary_command = protocol_binary_command(1);
    pub const PROTOCOL_BINARY_CMD_ADD: protocol_binary_command = protocol_binary_command(2);
    pub const PROTOCOL_BINARY_CMD_REPLACE: protocol_binary_command = protocol_binary_command(3);
    pub const PROTOCOL_BINARY_CMD_DELETE: protocol_binary_command = protocol_binary_command(4);
    pub const PROTOCOL_BINARY_CMD_INCREMENT: protocol_binary_command = protocol_binary_command(5);
    pub const PROTOCOL_BINARY_CMD_DECREMENT: protocol_binary_command = protocol_binary_command(6);
    pub const PROTOCOL_BINARY_CMD_QUIT: protocol_binary_command = protocol_binary_command(7);
    pub const PROTOCOL_BINARY_CMD_FLUSH: protocol_binary_command = protocol_binary_command(8);
    pub const PROTOCOL_BINARY_CMD_GETQ: protocol_binary_command = protocol_binary_command(9);
    pub const PROTOCOL_BINARY_CMD_NOOP: protocol_binary_command = protocol_binary_command(10);
    pub const PROTOCOL_BINARY_CMD_VERSION: protocol_binary_command = protocol_binary_command(11);
    pub const PROTOCOL_BINARY_CMD_GETK: protocol_binary_command = protocol_binary_command(12);
    pub const PROTOCOL_BINARY_CMD_GETKQ: protocol_binary_command = protocol_binary_command(13);
    pub const PROTOCOL_BINARY_CMD_APPEND: protocol_binary_command = protocol_binary_command(14);
    pub const PROTOCOL_BINARY_CMD_PREPEND: protocol_binary_command = protocol_binary_command(15);
    pub const PROTOCOL_BINARY_CMD_STAT: protocol_binary_command = protocol_binary_command(16);
    pub const PROTOCOL_BINARY_CMD_SETQ: protocol_binary_command = protocol_binary_command(17);
    pub const PROTOCOL_BINARY_CMD_ADDQ: protocol_binary_command = protocol_binary_command(18);
    pub const PROTOCOL_BINARY_CMD_REPLACEQ: protocol_binary_command = protocol_binary_command(19);
    pub const PROTOCOL_BINARY_CMD_DELETEQ: protocol_binary_command = protocol_binary_command(20);
    pub const PROTOCOL_BINARY_CMD_INCREMENTQ: protocol_binary_command = protocol_binary_command(21);
    pub const PROTOCOL_BINARY_CMD_DECREMENTQ: protocol_binary_command = protocol_binary_command(22);
    pub const PROTOCOL_BINARY_CMD_QUITQ: protocol_binary_command = protocol_binary_command(23);
    pub const PROTOCOL_BINARY_CMD_FLUSHQ: protocol_binary_command = protocol_binary_command(24);
    pub const PROTOCOL_BINARY_CMD_APPENDQ: protocol_binary_command = protocol_binary_command(25);
    pub const PROTOCOL_BINARY_CMD_PREPENDQ: protocol_binary_command = protocol_binary_command(26);
    pub const PROTOCOL_BINARY_CMD_VERBOSITY: protocol_binary_command = protocol_binary_command(27);
    pub const PROTOCOL_BINARY_CMD_TOUCH: protocol_binary_command = protocol_binary_command(28);
    pub const PROTOCOL_BINARY_CMD_GAT: protocol_binary_command = protocol_binary_command(29);
    pub const PROTOCOL_BINARY_CMD_GATQ: protocol_binary_command = protocol_binary_command(30);
    pub const PROTOCOL_BINARY_CMD_SASL_LIST_MECHS: protocol_binary_command =
        protocol_binary_command(32);
    pub const PROTOCOL_BINARY_CMD_SASL_AUTH: protocol_binary_command = protocol_binary_command(33);
    pub const PROTOCOL_BINARY_CMD_SASL_STEP: protocol_binary_command = protocol_binary_command(34);
    pub const PROTOCOL_BINARY_CMD_RGET: protocol_binary_command = protocol_binary_command(48);
    pub const PROTOCOL_BINARY_CMD_RSET: protocol_binary_command = protocol_binary_command(49);
    pub const PROTOCOL_BINARY_CMD_RSETQ: protocol_binary_command = protocol_binary_command(50);
    pub const PROTOCOL_BINARY_CMD_RAPPEND: protocol_binary_command = protocol_binary_command(51);
    pub const PROTOCOL_BINARY_CMD_RAPPENDQ: protocol_binary_command = protocol_binary_command(52);
    pub const PROTOCOL_BINARY_CMD_RPREPEND: protocol_binary_command = protocol_binary_command(53);
    pub const PROTOCOL_BINARY_CMD_RPREPENDQ: protocol_binary_command = protocol_binary_command(54);
    pub const PROTOCOL_BINARY_CMD_RDELETE: protocol_binary_command = protocol_binary_command(55);
    pub const PROTOCOL_BINARY_CMD_RDELETEQ: protocol_binary_command = protocol_binary_command(56);
    pub const PROTOCOL_BINARY_CMD_RINCR: protocol_binary_command = protocol_binary_command(57);
    pub const PROTOCOL_BINARY_CMD_RINCRQ: protocol_binary_command = protocol_binary_command(58);
    pub const PROTOCOL_BINARY_CMD_RDECR: protocol_binary_command = protocol_binary_command(59);
    pub const PROTOCOL_BINARY_CMD_RDECRQ: protocol_binary_command = protocol_binary_command(60);
    pub const PROTOCOL_BINARY_CMD_SET_VBUCKET: protocol_binary_command =
        protocol_binary_command(61);
    pub const PROTOCOL_BINARY_CMD_GET_VBUCKET: protocol_binary_command =
        protocol_binary_command(62);
    pub const PROTOCOL_BINARY_CMD_DEL_VBUCKET: protocol_binary_command =
        protocol_binary_command(63);
    pub const PROTOCOL_BINARY_CMD_TAP_CONNECT: protocol_binary_command =
        protocol_binary_command(64);
    pub const PROTOCOL_BINARY_CMD_TAP_MUTATION: protocol_binary_command =
        protocol_binary_command(65);
    pub const PROTOCOL_BINARY_CMD_TAP_DELETE: protocol_binary_command = protocol_binary_command(66);
    pub const PROTOCOL_BINARY_CMD_TAP_FLUSH: protocol_binary_command = protocol_binary_command(67);
    pub const PROTOCOL_BINARY_CMD_TAP_OPAQUE: protocol_binary_command = protocol_binary_command(68);
    pub const PROTOCOL_BINARY_CMD_TAP_VBUCKET_SET: protocol_binary_command =
        protocol_binary_command(69);
    pub const PROTOCOL_BINARY_CMD_TAP_CHECKPOINT_START: protocol_binary_command =
        protocol_binary_command(70);
    pub const PROTOCOL_BINARY_CMD_TAP_CHECKPOINT_END: protocol_binary_command =
        protocol_binary_command(71);
    pub const PROTOCOL_BINARY_CMD_STOP_PERSISTENCE: protocol_binary_command =
        protocol_binary_command(128);
    pub const PROTOCOL_BINARY_CMD_START_PERSISTENCE: protocol_binary_command =
        protocol_binary_command(129);
    pub const PROTOCOL_BINARY_CMD_SET_FLUSH_PARAM: protocol_binary_command =
        protocol_binary_command(130);
    pub const PROTOCOL_BINARY_CMD_START_REPLICATION: protocol_binary_command =
        protocol_binary_command(144);
    pub const PROTOCOL_BINARY_CMD_STOP_REPLICATION: protocol_binary_command =
        protocol_binary_command(145);
    pub const PROTOCOL_BINARY_CMD_SET_TAP_PARAM: protocol_binary_command =
        protocol_binary_command(146);
    pub const PROTOCOL_BINARY_CMD_EVICT_KEY: protocol_binary_command = protocol_binary_command(147);
    pub const PROTOCOL_BINARY_CMD_GET_LOCKED: protocol_binary_command =
        protocol_binary_command(148);
    pub const PROTOCOL_BINARY_CMD_UNLOCK_KEY: protocol_binary_command =
        protocol_binary_command(149);
    pub const PROTOCOL_BINARY_CMD_SYNC: protocol_binary_command = protocol_binary_command(150);
    pub const PROTOCOL_BINARY_CMD_LAST_CLOSED_CHECKPOINT: protocol_binary_command =
        protocol_binary_command(151);
    pub const PROTOCOL_BINARY_CMD_RESTORE_FILE: protocol_binary_command =
        protocol_binary_command(152);
    pub const PROTOCOL_BINARY_CMD_RESTORE_ABORT: protocol_binary_command =
        protocol_binary_command(153);
    pub const PROTOCOL_BINARY_CMD_RESTORE_COMPLETE: protocol_binary_command =
        protocol_binary_command(154);
    pub const PROTOCOL_BINARY_CMD_ONLINE_UPDATE_START: protocol_binary_command =
        protocol_binary_command(155);
    pub const PROTOCOL_BINARY_CMD_ONLINE_UPDATE_COMPLETE: protocol_binary_command =
        protocol_binary_command(156);
    pub const PROTOCOL_BINARY_CMD_ONLINE_UPDATE_REVERT: protocol_binary_command =
        protocol_binary_command(157);
    pub const PROTOCOL_BINARY_CMD_DEREGISTER_TAP_CLIENT: protocol_binary_command =
        protocol_binary_command(158);
    pub const PROTOCOL_BINARY_CMD_RESET_REPLICATION_CHAIN: protocol_binary_command =
        protocol_binary_command(159);
    pub const PROTOCOL_BINARY_CMD_SCRUB: protocol_binary_command = protocol_binary_command(240);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct protocol_binary_command(pub ::core::ffi::c_uint);
#[repr(C)]
#[derive(Copy, Clone)]
pub union protocol_binary_request_header {
    pub request: protocol_binary_request_header__bindgen_ty_1,
    pub bytes: [u8; 24usize],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct protocol_binary_request_header__bindgen_ty_1 {
    pub magic: u8,
    pub opcode: u8,
    pub keylen: u16,
    pub extlen: u8,
    pub datatype: u8,
    pub vbucket: u16,
    pub bodylen: u32,
    pub opaque: u32,
    pub cas: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of protocol_binary_request_header__bindgen_ty_1"]
        [::core::mem::size_of::<protocol_binary_request_header__bindgen_ty_1>() - 24usize];
    ["Alignment of protocol_binary_request_header__bindgen_ty_1"]
        [::core::mem::align_of::<protocol_binary_request_header__bindgen_ty_1>() - 8usize];
    ["Offset of field: protocol_binary_request_header__bindgen_ty_1::magic"]
        [::core::mem::offset_of!(protocol_binary_request_header__bindgen_ty_1, magic) - 0usize];
    ["Offset of field: protocol_binary_request_header__bindgen_ty_1::opcode"]
        [::core::mem::offset_of!(protocol_binary_request_header__bindgen_ty_1, opcode) - 1usize];
    ["Offset of field: protocol_binary_request_header__bindgen_ty_1::keylen"]
        [::core::mem::offset_of!(protocol_binary_request_header__bindgen_ty_1, keylen) - 2usize];
    ["Offset of field: protocol_binary_request_header__bindgen_ty_1::extlen"]
        [::core::mem::offset_of!(protocol_binary_request_header__bindgen_ty_1, extlen) - 4usize];
    ["Offset of field: protocol_binary_request_header__bindgen_ty_1::datatype"]
        [::core::mem::offset_of!(protocol_binary_request_header__bindgen_ty_1, datatype) - 5usize];
    ["Offset of field: protocol_binary_request_header__bindgen_ty_1::vbucket"]
        [::core::mem::offset_of!(protocol_binary_request_header__bindgen_ty_1, vbucket) - 6usize];
    ["Offset of field: protocol_binary_request_header__bindgen_ty_1::bodylen"]
        [::core::mem::offset_of!(protocol_binary_request_header__bindgen_ty_1, bodylen) - 8usize];
    ["Offset of field: protocol_binary_request_header__bindgen_ty_1::opaque"]
        [::core::mem::offset_of!(protocol_binary_request_header__bindgen_ty_1, opaque) - 12usize];
    ["Offset of field: protocol_binary_request_header__bindgen_ty_1::cas"]
        [::core::mem::offset_of!(protocol_binary_request_header__bindgen_ty_1, cas) - 16usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of protocol_binary_request_header"]
        [::core::mem::size_of::<protocol_binary_request_header>() - 24usize];
    ["Alignment of protocol_binary_request_header"]
        [::core::mem::align_of::<protocol_binary_request_header>() - 8usize];
    ["Offset of field: protocol_binary_request_header::request"]
        [::core::mem::offset_of!(protocol_binary_request_header, request) - 0usize];
    ["Offset of field: protocol_binary_request_header::bytes"]
        [::core::mem::offset_of!(protocol_binary_request_header, bytes) - 0usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub union protocol_binary_response_header {
    pub response: protocol_binary_response_header__bindgen_ty_1,
    pub bytes: [u8; 24usize],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct protocol_binary_response_header__bindgen_ty_1 {
    pub magic: u8,
    pub opcode: u8,
    pub keylen: u16,
    pub extlen: u8,
    pub datatype: u8,
    pub status: u16,
    pub bodylen: u32,
    pub opaque: u32,
    pub cas: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of protocol_binary_response_header__bindgen_ty_1"]
        [::core::mem::size_of::<protocol_binary_response_header__bindgen_ty_1>() - 24usize];
    ["Alignment of protocol_binary_response_header__bindgen_ty_1"]
        [::core::mem::align_of::<protocol_binary_response_header__bindgen_ty_1>() - 8usize];
    ["Offset of field: protocol_binary_response_header__bindgen_ty_1::magic"]
        [::core::mem::offset_of!(protocol_binary_response_header__bindgen_ty_1, magic) - 0usize];
    ["Offset of field: protocol_binary_response_header__bindgen_ty_1::opcode"]
        [::core::mem::offset_of!(protocol_binary_response_header__bindgen_ty_1, opcode) - 1usize];
    ["Offset of field: protocol_binary_response_header__bindgen_ty_1::keylen"]
        [::core::mem::offset_of!(protocol_binary_response_header__bindgen_ty_1, keylen) - 2usize];
    ["Offset of field: protocol_binary_response_header__bindgen_ty_1::extlen"]
        [::core::mem::offset_of!(protocol_binary_response_header__bindgen_ty_1, extlen) - 4usize];
    ["Offset of field: protocol_binary_response_header__bindgen_ty_1::datatype"]
        [::core::mem::offset_of!(protocol_binary_response_header__bindgen_ty_1, datatype) - 5usize];
    ["Offset of field: protocol_binary_response_header__bindgen_ty_1::status"]
        [::core::mem::offset_of!(protocol_binary_response_header__bindgen_ty_1, status) - 6usize];
    ["Offset of field: protocol_binary_response_header__bindgen_ty_1::bodylen"]
        [::core::mem::offset_of!(protocol_binary_response_header__bindgen_ty_1, bodylen) - 8usize];
    ["Offset of field: protocol_binary_response_header__bindgen_ty_1::opaque"]
        [::core::mem::offset_of!(protocol_binary_response_header__bindgen_ty_1, opaque) - 12usize];
    ["Offset of field: protocol_binary_response_header__bindgen_ty_1::cas"]
        [::core::mem::offset_of!(protocol_binary_response_header__bindgen_ty_1, cas) - 16usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of protocol_binary_response_header"]
        [::core::mem::size_of::<protocol_binary_response_header>() - 24usize];
    ["Alignment of protocol_binary_response_header"]
        [::core::mem::align_of::<protocol_binary_response_header>() - 8usize];
    ["Offset of field: protocol_binary_response_header::response"]
        [::core::mem::offset_of!(protocol_binary_response_header, response) - 0usize];
    ["Offset of field: protocol_binary_response_header::bytes"]
        [::core::mem::offset_of!(protocol_binary_response_header, bytes) - 0usize];
};
#[repr(C, packed)]
#[derive(Debug, Copy, Clone)]
pub struct protocol_binary_set_extras {
    pub flags: u32,
    pub expiration: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of protocol_binary_set_extras"]
        [::core::mem::size_of::<protocol_binary_set_extras>() - 8usize];
    ["Alignment of protocol_binary_set_extras"]
        [::core::mem::align_of::<protocol_binary_set_extras>() - 1usize];
    ["Offset of field: protocol_binary_set_extras::flags"]
        [::core::mem::offset_of!(protocol_binary_set_extras, flags) - 0usize];
    ["Offset of field: protocol_binary_set_extras::expiration"]
        [::core::mem::offset_of!(protocol_binary_set_extras, expiration) - 4usize];
};
#[repr(C, packed)]
#[derive(Debug, Copy, Clone)]
pub struct protocol_binary_incr_extras {
    pub delta: u64,
    pub initial: u64,
    pub expiration: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of protocol_binary_incr_extras"]
        [::core::mem::size_of::<protocol_binary_incr_extras>() - 20usize];
    ["Alignment of protocol_binary_incr_extras"]
        [::core::mem::align_of::<protocol_binary_incr_extras>() - 1usize];
    ["Offset of field: protocol_binary_incr_extras::delta"]
        [::core::mem::offset_of!(protocol_binary_incr_extras, delta) - 0usize];
    ["Offset of field: protocol_binary_incr_extras::initial"]
        [::core::mem::offset_of!(protocol_binary_incr_extras, initial) - 8usize];
    ["Offset of field: protocol_binary_incr_extras::expiration"]
        [::core::mem::offset_of!(protocol_binary_incr_extras, expiration) - 16usize];
};
#[repr(C, packed)]
#[derive(Debug, Copy, Clone)]
pub struct protocol_binary_expiration_extras {
    pub expiration: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of protocol_binary_expiration_extras"]
        [::core::mem::size_of::<protocol_binary_expiration_extras>() - 4usize];
    ["Alignment of protocol_binary_expiration_extras"]
        [::core::mem::align_of::<protocol_binary_expiration_extras>() - 1usize];
    ["Offset of field: protocol_binary_expiration_extras::expiration"]
        [::core::mem::offset_of!(protocol_binary_expiration_extras, expiration) - 0usize];
};
#[repr(C, packed)]
#[derive(Debug, Copy, Clone)]
pub struct protocol_binary_verbosity_extras {
    pub level: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of protocol_binary_verbosity_extras"]
        [::core::mem::size_of::<protocol_binary_verbosity_extras>() - 4usize];
    ["Alignment of protocol_binary_verbosity_extras"]
        [::core::mem::align_of::<protocol_binary_verbosity_extras>() - 1usize];
    ["Offset of field: protocol_binary_verbosity_extras::level"]
        [::core::mem::offset_of!(protocol_binary_verbosity_extras, level) - 0usize];
};
#[repr(C, packed)]
#[derive(Debug, Copy, Clone)]
pub struct protocol_binary_get_reply_extras {
    pub flags: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of protocol_binary_get_reply_extras"]
        [::core::mem::size_of::<protocol_binary_get_reply_extras>() - 4usize];
    ["Alignment of protocol_binary_get_reply_extras"]
        [::core::mem::align_of::<protocol_binary_get_reply_extras>() - 1usize];
    ["Offset of field: protocol_binary_get_reply_extras::flags"]
        [::core::mem::offset_of!(protocol_binary_get_reply_extras, flags) - 0usize];
};
#[repr(C, packed)]
#[derive(Debug, Copy, Clone)]
pub struct protocol_binary_set_vbucket_extras {
    pub state: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of protocol_binary_set_vbucket_extras"]
        [::core::mem::size_of::<protocol_binary_set_vbucket_extras>() - 4usize];
    ["Alignment of protocol_binary_set_vbucket_extras"]
        [::core::mem::align_of::<protocol_binary_set_vbucket_extras>() - 1usize];
    ["Offset of field: protocol_binary_set_vbucket_extras::state"]
        [::core::mem::offset_of!(protocol_binary_set_vbucket_extras, state) - 0usize];
};
#[repr(C, packed)]
#[derive(Debug, Copy, Clone)]
pub struct protocol_binary_tap_connect_extras {
    pub flags: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of protocol_binary_tap_connect_extras"]
        [::core::mem::size_of::<protocol_binary_tap_connect_extras>() - 4usize];
    ["Alignment of protocol_binary_tap_connect_extras"]
        [::core::mem::align_of::<protocol_binary_tap_connect_extras>() - 1usize];
    ["Offset of field: protocol_binary_tap_connect_extras::flags"]
        [::core::mem::offset_of!(protocol_binary_tap_connect_extras, flags) - 0usize];
};
#[repr(C, packed)]
#[derive(Debug, Copy, Clone)]
pub struct protocol_binary_tap_extras {
    pub enginespecific_length: u16,
    pub flags: u16,
    pub ttl: u8,
    pub reserved: [u8; 3usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of protocol_binary_tap_extras"]
        [::core::mem::size_of::<protocol_binary_tap_extras>() - 8usize];
    ["Alignment of protocol_binary_tap_extras"]
        [::core::mem::align_of::<protocol_binary_tap_extras>() - 1usize];
    ["Offset of field: protocol_binary_tap_extras::enginespecific_length"]
        [::core::mem::offset_of!(protocol_binary_tap_extras, enginespecific_length) - 0usize];
    ["Offset of field: protocol_binary_tap_extras::flags"]
        [::core::mem::offset_of!(protocol_binary_tap_extras, flags) - 2usize];
    ["Offset of field: protocol_binary_tap_extras::ttl"]
        [::core::mem::offset_of!(protocol_binary_tap_extras, ttl) - 4usize];
    ["Offset of field: protocol_binary_tap_extras::reserved"]
        [::core::mem::offset_of!(protocol_binary_tap_extras, reserved) - 5usize];
};
#[repr(C, packed)]
#[derive(Debug, Copy, Clone)]
pub struct protocol_binary_tap_item_extras {
    pub tap: protocol_binary_tap_extras,
    pub item_flags: u32,
    pub item_expiration: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of protocol_binary_tap_item_extras"]
        [::core::mem::size_of::<protocol_binary_tap_item_extras>() - 16usize];
    ["Alignment of protocol_binary_tap_item_extras"]
        [::core::mem::align_of::<protocol_binary_tap_item_extras>() - 1usize];
    ["Offset of field: protocol_binary_tap_item_extras::tap"]
        [::core::mem::offset_of!(protocol_binary_tap_item_extras, tap) - 0usize];
    ["Offset of field: protocol_binary_tap_item_extras::item_flags"]
        [::core::mem::offset_of!(protocol_binary_tap_item_extras, item_flags) - 8usize];
    ["Offset of field: protocol_binary_tap_item_extras::item_expiration"]
        [::core::mem::offset_of!(protocol_binary_tap_item_extras, item_expiration) - 12usize];
};
pub type rel_time_t = u32;
pub type item = ::core::ffi::c_void;
impl ENGINE_ERROR_CODE {
    pub const ENGINE_SUCCESS: ENGINE_ERROR_CODE = ENGINE_ERROR_CODE(0);
    pub const ENGINE_KEY_ENOENT: ENGINE_ERROR_CODE = ENGINE_ERROR_CODE(1);
    pub const ENGINE_KEY_EEXISTS: ENGINE_ERROR_CODE = ENGINE_ERROR_CODE(2);
    pub const ENGINE_ENOMEM: ENGINE_ERROR_CODE = ENGINE_ERROR_CODE(3);
    pub const ENGINE_NOT_STORED: ENGINE_ERROR_CODE = ENGINE_ERROR_CODE(4);
    pub const ENGINE_EINVAL: ENGINE_ERROR_CODE = ENGINE_ERROR_CODE(5);
    pub const ENGINE_ENOTSUP: ENGINE_ERROR_CODE = ENGINE_ERROR_CODE(6);
    pub const ENGINE_EWOULDBLOCK: ENGINE_ERROR_CODE = ENGINE_ERROR_CODE(7);
    pub const ENGINE_E2BIG: ENGINE_ERROR_CODE = ENGINE_ERROR_CODE(8);
    pub const ENGINE_WANT_MORE: ENGINE_ERROR_CODE = ENGINE_ERROR_CODE(9);
    pub const ENGINE_DISCONNECT: ENGINE_ERROR_CODE = ENGINE_ERROR_CODE(10);
    pub const ENGINE_EACCESS: ENGINE_ERROR_CODE = ENGINE_ERROR_CODE(11);
    pub const ENGINE_NOT_MY_VBUCKET: ENGINE_ERROR_CODE = ENGINE_ERROR_CODE(12);
    pub const ENGINE_TMPFAIL: ENGINE_ERROR_CODE = ENGINE_ERROR_CODE(13);
    pub const ENGINE_ERANGE: ENGINE_ERROR_CODE = ENGINE_ERROR_CODE(14);
    pub const ENGINE_FAILED: ENGINE_ERROR_CODE = ENGINE_ERROR_CODE(255);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct ENGINE_ERROR_CODE(pub ::core::ffi::c_uint);
impl ENGINE_STORE_OPERATION {
    pub const OPERATION_ADD: ENGINE_STORE_OPERATION = ENGINE_STORE_OPERATION(1);
    pub const OPERATION_SET: ENGINE_STORE_OPERATION = ENGINE_STORE_OPERATION(2);
    pub const OPERATION_REPLACE: ENGINE_STORE_OPERATION = ENGINE_STORE_OPERATION(3);
    pub const OPERATION_APPEND: ENGINE_STORE_OPERATION = ENGINE_STORE_OPERATION(4);
    pub const OPERATION_PREPEND: ENGINE_STORE_OPERATION = ENGINE_STORE_OPERATION(5);
    pub const OPERATION_CAS: ENGINE_STORE_OPERATION = ENGINE_STORE_OPERATION(6);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct ENGINE_STORE_OPERATION(pub ::core::ffi::c_uint);
impl tap_event_t {
    pub const TAP_MUTATION: tap_event_t = tap_event_t(1);
    pub const TAP_DELETION: tap_event_t = tap_event_t(2);
    pub const TAP_FLUSH: tap_event_t = tap_event_t(3);
    pub const TAP_OPAQUE: tap_event_t = tap_event_t(4);
    pub const TAP_VBUCKET_SET: tap_event_t = tap_event_t(5);
    pub const TAP_ACK: tap_event_t = tap_event_t(6);
    pub const TAP_DISCONNECT: tap_event_t = tap_event_t(7);
    pub const TAP_NOOP: tap_event_t = tap_event_t(8);
    pub const TAP_PAUSE: tap_event_t = tap_event_t(9);
    pub const TAP_CHECKPOINT_START: tap_event_t = tap_event_t(10);
    pub const TAP_CHECKPOINT_END: tap_event_t = tap_event_t(11);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct tap_event_t(pub ::core::ffi::c_uint);
impl vbucket_state_t {
    pub const vbucket_state_active: vbucket_state_t = vbucket_state_t(1);
    pub const vbucket_state_replica: vbucket_state_t = vbucket_state_t(2);
    pub const vbucket_state_pending: vbucket_state_t = vbucket_state_t(3);
    pub const vbucket_state_dead: vbucket_state_t = vbucket_state_t(4);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct vbucket_state_t(pub ::core::ffi::c_uint);
#[repr(C)]
pub struct item_info {
    pub cas: u64,
    pub exptime: rel_time_t,
    pub nbytes: u32,
    pub flags: u32,
    pub clsid: u8,
    pub nkey: u16,
    pub nvalue: u16,
    pub key: *const ::core::ffi::c_void,
    pub value: [iovec; 1usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of item_info"][::core::mem::size_of::<item_info>() - 56usize];
    ["Alignment of item_info"][::core::mem::align_of::<item_info>() - 8usize];
    ["Offset of field: item_info::cas"][::core::mem::offset_of!(item_info, cas) - 0usize];
    ["Offset of field: item_info::exptime"][::core::mem::offset_of!(item_info, exptime) - 8usize];
    ["Offset of field: item_info::nbytes"][::core::mem::offset_of!(item_info, nbytes) - 12usize];
    ["Offset of field: item_info::flags"][::core::mem::offset_of!(item_info, flags) - 16usize];
    ["Offset of field: item_info::clsid"][::core::mem::offset_of!(item_info, clsid) - 20usize];
    ["Offset of field: item_info::nkey"][::core::mem::offset_of!(item_info, nkey) - 22usize];
    ["Offset of field: item_info::nvalue"][::core::mem::offset_of!(item_info, nvalue) - 24usize];
    ["Offset of field: item_info::key"][::core::mem::offset_of!(item_info, key) - 32usize];
    ["Offset of field: item_info::value"][::core::mem::offset_of!(item_info, value) - 40usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct auth_data_t {
    pub username: *const ::core::ffi::c_char,
    pub config: *const ::core::ffi::c_char,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of auth_data_t"][::core::mem::size_of::<auth_data_t>() - 16usize];
    ["Alignment of auth_data_t"][::core::mem::align_of::<auth_data_t>() - 8usize];
    ["Offset of field: auth_data_t::username"]
        [::core::mem::offset_of!(auth_data_t, username) - 0usize];
    ["Offset of field: auth_data_t::config"][::core::mem::offset_of!(auth_data_t, config) - 8usize];
};
impl ENGINE_EVENT_TYPE {
    pub const ON_CONNECT: ENGINE_EVENT_TYPE = ENGINE_EVENT_TYPE(0);
    pub const ON_DISCONNECT: ENGINE_EVENT_TYPE = ENGINE_EVENT_TYPE(1);
    pub const ON_AUTH: ENGINE_EVENT_TYPE = ENGINE_EVENT_TYPE(2);
    pub const ON_SWITCH_CONN: ENGINE_EVENT_TYPE = ENGINE_EVENT_TYPE(3);
    pub const ON_LOG_LEVEL: ENGINE_EVENT_TYPE = ENGINE_EVENT_TYPE(4);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct ENGINE_EVENT_TYPE(pub ::core::ffi::c_uint);
pub type EVENT_CALLBACK = ::core::option::Option<
    unsafe extern "C" fn(
        cookie: *const ::core::ffi::c_void,
        type_: ENGINE_EVENT_TYPE,
        event_data: *const ::core::ffi::c_void,
        cb_data: *const ::core::ffi::c_void,
    ),
>;
impl config_datatype {
    pub const DT_SIZE: config_datatype = config_datatype(0);
    pub const DT_FLOAT: config_datatype = config_datatype(1);
    pub const DT_BOOL: config_datatype = config_datatype(2);
    pub const DT_STRING: config_datatype = config_datatype(3);
    pub const DT_CONFIGFILE: config_datatype = config_datatype(4);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct config_datatype(pub ::core::ffi::c_uint);
#[repr(C)]
#[derive(Copy, Clone)]
pub union config_value {
    pub dt_size: *mut usize,
    pub dt_float: *mut f32,
    pub dt_bool: *mut bool,
    pub dt_string: *mut *mut ::core::ffi::c_char,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of config_value"][::core::mem::size_of::<config_value>() - 8usize];
    ["Alignment of config_value"][::core::mem::align_of::<config_value>() - 8usize];
    ["Offset of field: config_value::dt_size"]
        [::core::mem::offset_of!(config_value, dt_size) - 0usize];
    ["Offset of field: config_value::dt_float"]
        [::core::mem::offset_of!(config_value, dt_float) - 0usize];
    ["Offset of field: config_value::dt_bool"]
        [::core::mem::offset_of!(config_value, dt_bool) - 0usize];
    ["Offset of field: config_value::dt_string"]
        [::core::mem::offset_of!(config_value, dt_string) - 0usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct config_item {
    pub key: *const ::core::ffi::c_char,
    pub datatype: config_datatype,
    pub value: config_value,
    pub found: bool,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of config_item"][::core::mem::size_of::<config_item>() - 32usize];
    ["Alignment of config_item"][::core::mem::align_of::<config_item>() - 8usize];
    ["Offset of field: config_item::key"][::core::mem::offset_of!(config_item, key) - 0usize];
    ["Offset of field: config_item::datatype"]
        [::core::mem::offset_of!(config_item, datatype) - 8usize];
    ["Offset of field: config_item::value"][::core::mem::offset_of!(config_item, value) - 16usize];
    ["Offset of field: config_item::found"][::core::mem::offset_of!(config_item, found) - 24usize];
};
impl extension_type_t {
    pub const EXTENSION_DAEMON: extension_type_t = extension_type_t(0);
    pub const EXTENSION_LOGGER: extension_type_t = extension_type_t(1);
    pub const EXTENSION_ASCII_PROTOCOL: extension_type_t = extension_type_t(2);
    pub const EXTENSION_BINARY_PROTOCOL: extension_type_t = extension_type_t(3);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct extension_type_t(pub ::core::ffi::c_uint);
impl EXTENSION_ERROR_CODE {
    pub const EXTENSION_SUCCESS: EXTENSION_ERROR_CODE = EXTENSION_ERROR_CODE(0);
    pub const EXTENSION_FATAL: EXTENSION_ERROR_CODE = EXTENSION_ERROR_CODE(254);
    pub const EXTENSION_FAILED: EXTENSION_ERROR_CODE = EXTENSION_ERROR_CODE(255);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct EXTENSION_ERROR_CODE(pub ::core::ffi::c_uint);
impl EXTENSION_LOG_LEVEL {
    pub const EXTENSION_LOG_DETAIL: EXTENSION_LOG_LEVEL = EXTENSION_LOG_LEVEL(0);
    pub const EXTENSION_LOG_DEBUG: EXTENSION_LOG_LEVEL = EXTENSION_LOG_LEVEL(1);
    pub const EXTENSION_LOG_INFO: EXTENSION_LOG_LEVEL = EXTENSION_LOG_LEVEL(2);
    pub const EXTENSION_LOG_WARNING: EXTENSION_LOG_LEVEL = EXTENSION_LOG_LEVEL(3);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct EXTENSION_LOG_LEVEL(pub ::core::ffi::c_uint);
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct extension_daemon_descriptor {
    pub get_name: ::core::option::Option<unsafe extern "C" fn() -> *const ::core::ffi::c_char>,
    pub next: *mut extension_daemon_descriptor,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of extension_daemon_descriptor"]
        [::core::mem::size_of::<extension_daemon_descriptor>() - 16usize];
    ["Alignment of extension_daemon_descriptor"]
        [::core::mem::align_of::<extension_daemon_descriptor>() - 8usize];
    ["Offset of field: extension_daemon_descriptor::get_name"]
        [::core::mem::offset_of!(extension_daemon_descriptor, get_name) - 0usize];
    ["Offset of field: extension_daemon_descriptor::next"]
        [::core::mem::offset_of!(extension_daemon_descriptor, next) - 8usize];
};
pub type EXTENSION_DAEMON_DESCRIPTOR = extension_daemon_descriptor;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct extension_logger_descriptor {
    pub get_name: ::core::option::Option<unsafe extern "C" fn() -> *const ::core::ffi::c_char>,
    pub log: ::core::option::Option<
        unsafe extern "C" fn(
            severity: EXTENSION_LOG_LEVEL,
            client_cookie: *const ::core::ffi::c_void,
            fmt: *const ::core::ffi::c_char,
            ...
        ),
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of extension_logger_descriptor"]
        [::core::mem::size_of::<extension_logger_descriptor>() - 16usize];
    ["Alignment of extension_logger_descriptor"]
        [::core::mem::align_of::<extension_logger_descriptor>() - 8usize];
    ["Offset of field: extension_logger_descriptor::get_name"]
        [::core::mem::offset_of!(extension_logger_descriptor, get_name) - 0usize];
    ["Offset of field: extension_logger_descriptor::log"]
        [::core::mem::offset_of!(extension_logger_descriptor, log) - 8usize];
};
pub type EXTENSION_LOGGER_DESCRIPTOR = extension_logger_descriptor;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct token_t {
    pub value: *mut ::core::ffi::c_char,
    pub length: usize,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of token_t"][::core::mem::size_of::<token_t>() - 16usize];
    ["Alignment of token_t"][::core::mem::align_of::<token_t>() - 8usize];
    ["Offset of field: token_t::value"][::core::mem::offset_of!(token_t, value) - 0usize];
    ["Offset of field: token_t::length"][::core::mem::offset_of!(token_t, length) - 8usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct extension_ascii_protocol_descriptor {
    pub get_name: ::core::option::Option<
        unsafe extern "C" fn(cmd_cookie: *const ::core::ffi::c_void) -> *const ::core::ffi::c_char,
    >,
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
                ) -> ENGINE_ERROR_CODE,
            >,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub abort: ::core::option::Option<
        unsafe extern "C" fn(
            cmd_cookie: *const ::core::ffi::c_void,
            cookie: *const ::core::ffi::c_void,
        ),
    >,
    pub cookie: *const ::core::ffi::c_void,
    pub next: *mut extension_ascii_protocol_descriptor,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of extension_ascii_protocol_descriptor"]
        [::core::mem::size_of::<extension_ascii_protocol_descriptor>() - 48usize];
    ["Alignment of extension_ascii_protocol_descriptor"]
        [::core::mem::align_of::<extension_ascii_protocol_descriptor>() - 8usize];
    ["Offset of field: extension_ascii_protocol_descriptor::get_name"]
        [::core::mem::offset_of!(extension_ascii_protocol_descriptor, get_name) - 0usize];
    ["Offset of field: extension_ascii_protocol_descriptor::accept"]
        [::core::mem::offset_of!(extension_ascii_protocol_descriptor, accept) - 8usize];
    ["Offset of field: extension_ascii_protocol_descriptor::execute"]
        [::core::mem::offset_of!(extension_ascii_protocol_descriptor, execute) - 16usize];
    ["Offset of field: extension_ascii_protocol_descriptor::abort"]
        [::core::mem::offset_of!(extension_ascii_protocol_descriptor, abort) - 24usize];
    ["Offset of field: extension_ascii_protocol_descriptor::cookie"]
        [::core::mem::offset_of!(extension_ascii_protocol_descriptor, cookie) - 32usize];
    ["Offset of field: extension_ascii_protocol_descriptor::next"]
        [::core::mem::offset_of!(extension_ascii_protocol_descriptor, next) - 40usize];
};
pub type EXTENSION_ASCII_PROTOCOL_DESCRIPTOR = extension_ascii_protocol_descriptor;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct SERVER_CORE_API {
    pub get_current_time: ::core::option::Option<unsafe extern "C" fn() -> rel_time_t>,
    pub realtime: ::core::option::Option<unsafe extern "C" fn(exptime: time_t) -> rel_time_t>,
    pub abstime: ::core::option::Option<unsafe extern "C" fn(exptime: rel_time_t) -> time_t>,
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
    pub shutdown: ::core::option::Option<unsafe extern "C" fn()>,
    pub get_config: ::core::option::Option<unsafe extern "C" fn(items: *mut config_item) -> bool>,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SERVER_CORE_API"][::core::mem::size_of::<SERVER_CORE_API>() - 64usize];
    ["Alignment of SERVER_CORE_API"][::core::mem::align_of::<SERVER_CORE_API>() - 8usize];
    ["Offset of field: SERVER_CORE_API::get_current_time"]
        [::core::mem::offset_of!(SERVER_CORE_API, get_current_time) - 0usize];
    ["Offset of field: SERVER_CORE_API::realtime"]
        [::core::mem::offset_of!(SERVER_CORE_API, realtime) - 8usize];
    ["Offset of field: SERVER_CORE_API::abstime"]
        [::core::mem::offset_of!(SERVER_CORE_API, abstime) - 16usize];
    ["Offset of field: SERVER_CORE_API::server_version"]
        [::core::mem::offset_of!(SERVER_CORE_API, server_version) - 24usize];
    ["Offset of field: SERVER_CORE_API::hash"]
        [::core::mem::offset_of!(SERVER_CORE_API, hash) - 32usize];
    ["Offset of field: SERVER_CORE_API::parse_config"]
        [::core::mem::offset_of!(SERVER_CORE_API, parse_config) - 40usize];
    ["Offset of field: SERVER_CORE_API::shutdown"]
        [::core::mem::offset_of!(SERVER_CORE_API, shutdown) - 48usize];
    ["Offset of field: SERVER_CORE_API::get_config"]
        [::core::mem::offset_of!(SERVER_CORE_API, get_config) - 56usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct SERVER_STAT_API {
    pub new_stats: ::core::option::Option<unsafe extern "C" fn() -> *mut ::core::ffi::c_void>,
    pub release_stats:
        ::core::option::Option<unsafe extern "C" fn(stats: *mut ::core::ffi::c_void)>,
    pub evicting: ::core::option::Option<
        unsafe extern "C" fn(
            cookie: *const ::core::ffi::c_void,
            key: *const ::core::ffi::c_void,
            nkey: ::core::ffi::c_int,
        ),
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SERVER_STAT_API"][::core::mem::size_of::<SERVER_STAT_API>() - 24usize];
    ["Alignment of SERVER_STAT_API"][::core::mem::align_of::<SERVER_STAT_API>() - 8usize];
    ["Offset of field: SERVER_STAT_API::new_stats"]
        [::core::mem::offset_of!(SERVER_STAT_API, new_stats) - 0usize];
    ["Offset of field: SERVER_STAT_API::release_stats"]
        [::core::mem::offset_of!(SERVER_STAT_API, release_stats) - 8usize];
    ["Offset of field: SERVER_STAT_API::evicting"]
        [::core::mem::offset_of!(SERVER_STAT_API, evicting) - 16usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct SERVER_EXTENSION_API {
    pub register_extension: ::core::option::Option<
        unsafe extern "C" fn(type_: extension_type_t, extension: *mut ::core::ffi::c_void) -> bool,
    >,
    pub unregister_extension: ::core::option::Option<
        unsafe extern "C" fn(type_: extension_type_t, extension: *mut ::core::ffi::c_void),
    >,
    pub get_extension: ::core::option::Option<
        unsafe extern "C" fn(type_: extension_type_t) -> *mut ::core::ffi::c_void,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SERVER_EXTENSION_API"][::core::mem::size_of::<SERVER_EXTENSION_API>() - 24usize];
    ["Alignment of SERVER_EXTENSION_API"][::core::mem::align_of::<SERVER_EXTENSION_API>() - 8usize];
    ["Offset of field: SERVER_EXTENSION_API::register_extension"]
        [::core::mem::offset_of!(SERVER_EXTENSION_API, register_extension) - 0usize];
    ["Offset of field: SERVER_EXTENSION_API::unregister_extension"]
        [::core::mem::offset_of!(SERVER_EXTENSION_API, unregister_extension) - 8usize];
    ["Offset of field: SERVER_EXTENSION_API::get_extension"]
        [::core::mem::offset_of!(SERVER_EXTENSION_API, get_extension) - 16usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct SERVER_CALLBACK_API {
    pub register_callback: ::core::option::Option<
        unsafe extern "C" fn(
            engine: *mut engine_interface,
            type_: ENGINE_EVENT_TYPE,
            cb: EVENT_CALLBACK,
            cb_data: *const ::core::ffi::c_void,
        ),
    >,
    pub perform_callbacks: ::core::option::Option<
        unsafe extern "C" fn(
            type_: ENGINE_EVENT_TYPE,
            data: *const ::core::ffi::c_void,
            cookie: *const ::core::ffi::c_void,
        ),
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SERVER_CALLBACK_API"][::core::mem::size_of::<SERVER_CALLBACK_API>() - 16usize];
    ["Alignment of SERVER_CALLBACK_API"][::core::mem::align_of::<SERVER_CALLBACK_API>() - 8usize];
    ["Offset of field: SERVER_CALLBACK_API::register_callback"]
        [::core::mem::offset_of!(SERVER_CALLBACK_API, register_callback) - 0usize];
    ["Offset of field: SERVER_CALLBACK_API::perform_callbacks"]
        [::core::mem::offset_of!(SERVER_CALLBACK_API, perform_callbacks) - 8usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct SERVER_LOG_API {
    pub get_logger:
        ::core::option::Option<unsafe extern "C" fn() -> *mut EXTENSION_LOGGER_DESCRIPTOR>,
    pub get_level: ::core::option::Option<unsafe extern "C" fn() -> EXTENSION_LOG_LEVEL>,
    pub set_level: ::core::option::Option<unsafe extern "C" fn(severity: EXTENSION_LOG_LEVEL)>,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SERVER_LOG_API"][::core::mem::size_of::<SERVER_LOG_API>() - 24usize];
    ["Alignment of SERVER_LOG_API"][::core::mem::align_of::<SERVER_LOG_API>() - 8usize];
    ["Offset of field: SERVER_LOG_API::get_logger"]
        [::core::mem::offset_of!(SERVER_LOG_API, get_logger) - 0usize];
    ["Offset of field: SERVER_LOG_API::get_level"]
        [::core::mem::offset_of!(SERVER_LOG_API, get_level) - 8usize];
    ["Offset of field: SERVER_LOG_API::set_level"]
        [::core::mem::offset_of!(SERVER_LOG_API, set_level) - 16usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct SERVER_COOKIE_API_MEMBASE {
    pub get_socket_fd: ::core::option::Option<
        unsafe extern "C" fn(cookie: *const ::core::ffi::c_void) -> ::core::ffi::c_int,
    >,
    pub get_auth_data: ::core::option::Option<
        unsafe extern "C" fn(cookie: *const ::core::ffi::c_void, data: *mut auth_data_t),
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
    pub notify_io_complete: ::core::option::Option<
        unsafe extern "C" fn(cookie: *const ::core::ffi::c_void, status: ENGINE_ERROR_CODE),
    >,
    pub set_tap_nack_mode: ::core::option::Option<
        unsafe extern "C" fn(cookie: *const ::core::ffi::c_void, enable: bool),
    >,
    pub reserve: ::core::option::Option<
        unsafe extern "C" fn(cookie: *const ::core::ffi::c_void) -> ENGINE_ERROR_CODE,
    >,
    pub release: ::core::option::Option<
        unsafe extern "C" fn(cookie: *const ::core::ffi::c_void) -> ENGINE_ERROR_CODE,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SERVER_COOKIE_API_MEMBASE"]
        [::core::mem::size_of::<SERVER_COOKIE_API_MEMBASE>() - 64usize];
    ["Alignment of SERVER_COOKIE_API_MEMBASE"]
        [::core::mem::align_of::<SERVER_COOKIE_API_MEMBASE>() - 8usize];
    ["Offset of field: SERVER_COOKIE_API_MEMBASE::get_socket_fd"]
        [::core::mem::offset_of!(SERVER_COOKIE_API_MEMBASE, get_socket_fd) - 0usize];
    ["Offset of field: SERVER_COOKIE_API_MEMBASE::get_auth_data"]
        [::core::mem::offset_of!(SERVER_COOKIE_API_MEMBASE, get_auth_data) - 8usize];
    ["Offset of field: SERVER_COOKIE_API_MEMBASE::store_engine_specific"]
        [::core::mem::offset_of!(SERVER_COOKIE_API_MEMBASE, store_engine_specific) - 16usize];
    ["Offset of field: SERVER_COOKIE_API_MEMBASE::get_engine_specific"]
        [::core::mem::offset_of!(SERVER_COOKIE_API_MEMBASE, get_engine_specific) - 24usize];
    ["Offset of field: SERVER_COOKIE_API_MEMBASE::notify_io_complete"]
        [::core::mem::offset_of!(SERVER_COOKIE_API_MEMBASE, notify_io_complete) - 32usize];
    ["Offset of field: SERVER_COOKIE_API_MEMBASE::set_tap_nack_mode"]
        [::core::mem::offset_of!(SERVER_COOKIE_API_MEMBASE, set_tap_nack_mode) - 40usize];
    ["Offset of field: SERVER_COOKIE_API_MEMBASE::reserve"]
        [::core::mem::offset_of!(SERVER_COOKIE_API_MEMBASE, reserve) - 48usize];
    ["Offset of field: SERVER_COOKIE_API_MEMBASE::release"]
        [::core::mem::offset_of!(SERVER_COOKIE_API_MEMBASE, release) - 56usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct SERVER_COOKIE_API_MEMCACHED {
    pub get_socket_fd: ::core::option::Option<
        unsafe extern "C" fn(cookie: *const ::core::ffi::c_void) -> ::core::ffi::c_int,
    >,
    pub get_auth_data: ::core::option::Option<
        unsafe extern "C" fn(cookie: *const ::core::ffi::c_void, data: *mut auth_data_t),
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
    pub notify_io_complete: ::core::option::Option<
        unsafe extern "C" fn(cookie: *const ::core::ffi::c_void, status: ENGINE_ERROR_CODE),
    >,
    pub reserve: ::core::option::Option<
        unsafe extern "C" fn(cookie: *const ::core::ffi::c_void) -> ENGINE_ERROR_CODE,
    >,
    pub release: ::core::option::Option<
        unsafe extern "C" fn(cookie: *const ::core::ffi::c_void) -> ENGINE_ERROR_CODE,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SERVER_COOKIE_API_MEMCACHED"]
        [::core::mem::size_of::<SERVER_COOKIE_API_MEMCACHED>() - 56usize];
    ["Alignment of SERVER_COOKIE_API_MEMCACHED"]
        [::core::mem::align_of::<SERVER_COOKIE_API_MEMCACHED>() - 8usize];
    ["Offset of field: SERVER_COOKIE_API_MEMCACHED::get_socket_fd"]
        [::core::mem::offset_of!(SERVER_COOKIE_API_MEMCACHED, get_socket_fd) - 0usize];
    ["Offset of field: SERVER_COOKIE_API_MEMCACHED::get_auth_data"]
        [::core::mem::offset_of!(SERVER_COOKIE_API_MEMCACHED, get_auth_data) - 8usize];
    ["Offset of field: SERVER_COOKIE_API_MEMCACHED::store_engine_specific"]
        [::core::mem::offset_of!(SERVER_COOKIE_API_MEMCACHED, store_engine_specific) - 16usize];
    ["Offset of field: SERVER_COOKIE_API_MEMCACHED::get_engine_specific"]
        [::core::mem::offset_of!(SERVER_COOKIE_API_MEMCACHED, get_engine_specific) - 24usize];
    ["Offset of field: SERVER_COOKIE_API_MEMCACHED::notify_io_complete"]
        [::core::mem::offset_of!(SERVER_COOKIE_API_MEMCACHED, notify_io_complete) - 32usize];
    ["Offset of field: SERVER_COOKIE_API_MEMCACHED::reserve"]
        [::core::mem::offset_of!(SERVER_COOKIE_API_MEMCACHED, reserve) - 40usize];
    ["Offset of field: SERVER_COOKIE_API_MEMCACHED::release"]
        [::core::mem::offset_of!(SERVER_COOKIE_API_MEMCACHED, release) - 48usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct SERVER_HANDLE_V1 {
    pub interface: u64,
    pub core: *mut SERVER_CORE_API,
    pub stat: *mut SERVER_STAT_API,
    pub extension: *mut SERVER_EXTENSION_API,
    pub callback: *mut SERVER_CALLBACK_API,
    pub engine: *mut engine_interface,
    pub log: *mut SERVER_LOG_API,
    pub cookie: *mut ::core::ffi::c_void,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SERVER_HANDLE_V1"][::core::mem::size_of::<SERVER_HANDLE_V1>() - 64usize];
    ["Alignment of SERVER_HANDLE_V1"][::core::mem::align_of::<SERVER_HANDLE_V1>() - 8usize];
    ["Offset of field: SERVER_HANDLE_V1::interface"]
        [::core::mem::offset_of!(SERVER_HANDLE_V1, interface) - 0usize];
    ["Offset of field: SERVER_HANDLE_V1::core"]
        [::core::mem::offset_of!(SERVER_HANDLE_V1, core) - 8usize];
    ["Offset of field: SERVER_HANDLE_V1::stat"]
        [::core::mem::offset_of!(SERVER_HANDLE_V1, stat) - 16usize];
    ["Offset of field: SERVER_HANDLE_V1::extension"]
        [::core::mem::offset_of!(SERVER_HANDLE_V1, extension) - 24usize];
    ["Offset of field: SERVER_HANDLE_V1::callback"]
        [::core::mem::offset_of!(SERVER_HANDLE_V1, callback) - 32usize];
    ["Offset of field: SERVER_HANDLE_V1::engine"]
        [::core::mem::offset_of!(SERVER_HANDLE_V1, engine) - 40usize];
    ["Offset of field: SERVER_HANDLE_V1::log"]
        [::core::mem::offset_of!(SERVER_HANDLE_V1, log) - 48usize];
    ["Offset of field: SERVER_HANDLE_V1::cookie"]
        [::core::mem::offset_of!(SERVER_HANDLE_V1, cookie) - 56usize];
};
pub type GET_SERVER_API = ::core::option::Option<unsafe extern "C" fn() -> *mut SERVER_HANDLE_V1>;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct engine_interface {
    pub interface: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of engine_interface"][::core::mem::size_of::<engine_interface>() - 8usize];
    ["Alignment of engine_interface"][::core::mem::align_of::<engine_interface>() - 8usize];
    ["Offset of field: engine_interface::interface"]
        [::core::mem::offset_of!(engine_interface, interface) - 0usize];
};
pub type ENGINE_HANDLE = engine_interface;
pub type CREATE_INSTANCE = ::core::option::Option<
    unsafe extern "C" fn(
        interface: u64,
        get_server_api: GET_SERVER_API,
        handle: *mut *mut ENGINE_HANDLE,
    ) -> ENGINE_ERROR_CODE,
>;
pub type ADD_STAT = ::core::option::Option<
    unsafe extern "C" fn(
        key: *const ::core::ffi::c_char,
        klen: u16,
        val: *const ::core::ffi::c_char,
        vlen: u32,
        cookie: *const ::core::ffi::c_void,
    ),
>;
pub type ADD_RESPONSE = ::core::option::Option<
    unsafe extern "C" fn(
        key: *const ::core::ffi::c_void,
        keylen: u16,
        ext: *const ::core::ffi::c_void,
        extlen: u8,
        body: *const ::core::ffi::c_void,
        bodylen: u32,
        datatype: u8,
        status: u16,
        cas: u64,
        cookie: *const ::core::ffi::c_void,
    ) -> bool,
>;
pub type TAP_ITERATOR = ::core::option::Option<
    unsafe extern "C" fn(
        handle: *mut ENGINE_HANDLE,
        cookie: *const ::core::ffi::c_void,
        item: *mut *mut item,
        engine_specific: *mut *mut ::core::ffi::c_void,
        nengine_specific: *mut u16,
        ttl: *mut u8,
        flags: *mut u16,
        seqno: *mut u32,
        vbucket: *mut u16,
    ) -> tap_event_t,
>;
impl engine_feature_t {
    pub const ENGINE_FEATURE_CAS: engine_feature_t = engine_feature_t(0);
    pub const ENGINE_FEATURE_PERSISTENT_STORAGE: engine_feature_t = engine_feature_t(1);
    pub const ENGINE_FEATURE_SECONDARY_ENGINE: engine_feature_t = engine_feature_t(2);
    pub const ENGINE_FEATURE_ACCESS_CONTROL: engine_feature_t = engine_feature_t(3);
    pub const ENGINE_FEATURE_MULTI_TENANCY: engine_feature_t = engine_feature_t(4);
    pub const ENGINE_FEATURE_LRU: engine_feature_t = engine_feature_t(5);
    pub const ENGINE_FEATURE_VBUCKET: engine_feature_t = engine_feature_t(6);
}
#[repr(transparent)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct engine_feature_t(pub ::core::ffi::c_uint);
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct feature_info {
    pub feature: u32,
    pub description: *const ::core::ffi::c_char,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of feature_info"][::core::mem::size_of::<feature_info>() - 16usize];
    ["Alignment of feature_info"][::core::mem::align_of::<feature_info>() - 8usize];
    ["Offset of field: feature_info::feature"]
        [::core::mem::offset_of!(feature_info, feature) - 0usize];
    ["Offset of field: feature_info::description"]
        [::core::mem::offset_of!(feature_info, description) - 8usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct engine_info {
    pub description: *const ::core::ffi::c_char,
    pub num_features: u32,
    pub features: [feature_info; 1usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of engine_info"][::core::mem::size_of::<engine_info>() - 32usize];
    ["Alignment of engine_info"][::core::mem::align_of::<engine_info>() - 8usize];
    ["Offset of field: engine_info::description"]
        [::core::mem::offset_of!(engine_info, description) - 0usize];
    ["Offset of field: engine_info::num_features"]
        [::core::mem::offset_of!(engine_info, num_features) - 8usize];
    ["Offset of field: engine_info::features"]
        [::core::mem::offset_of!(engine_info, features) - 16usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct engine_interface_v1 {
    pub interface: engine_interface,
    pub get_info: ::core::option::Option<
        unsafe extern "C" fn(handle: *mut ENGINE_HANDLE) -> *const engine_info,
    >,
    pub initialize: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            config_str: *const ::core::ffi::c_char,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub destroy:
        ::core::option::Option<unsafe extern "C" fn(handle: *mut ENGINE_HANDLE, force: bool)>,
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
            when: time_t,
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
    pub get_stats_struct: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
        ) -> *mut ::core::ffi::c_void,
    >,
    pub aggregate_stats: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            callback: ::core::option::Option<
                unsafe extern "C" fn(src: *mut ::core::ffi::c_void, dest: *mut ::core::ffi::c_void),
            >,
            dest: *mut ::core::ffi::c_void,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub unknown_command: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            request: *mut protocol_binary_request_header,
            response: ADD_RESPONSE,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub tap_notify: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            engine_specific: *mut ::core::ffi::c_void,
            nengine: u16,
            ttl: u8,
            tap_flags: u16,
            tap_event: tap_event_t,
            tap_seqno: u32,
            key: *const ::core::ffi::c_void,
            nkey: usize,
            flags: u32,
            exptime: u32,
            cas: u64,
            data: *const ::core::ffi::c_void,
            ndata: usize,
            vbucket: u16,
        ) -> ENGINE_ERROR_CODE,
    >,
    pub get_tap_iterator: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            client: *const ::core::ffi::c_void,
            nclient: usize,
            flags: u32,
            userdata: *const ::core::ffi::c_void,
            nuserdata: usize,
        ) -> TAP_ITERATOR,
    >,
    pub item_set_cas: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            item: *mut item,
            cas: u64,
        ),
    >,
    pub get_item_info: ::core::option::Option<
        unsafe extern "C" fn(
            handle: *mut ENGINE_HANDLE,
            cookie: *const ::core::ffi::c_void,
            item: *const item,
            item_info: *mut item_info,
        ) -> bool,
    >,
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
    ["Size of engine_interface_v1"][::core::mem::size_of::<engine_interface_v1>() - 168usize];
    ["Alignment of engine_interface_v1"][::core::mem::align_of::<engine_interface_v1>() - 8usize];
    ["Offset of field: engine_interface_v1::interface"]
        [::core::mem::offset_of!(engine_interface_v1, interface) - 0usize];
    ["Offset of field: engine_interface_v1::get_info"]
        [::core::mem::offset_of!(engine_interface_v1, get_info) - 8usize];
    ["Offset of field: engine_interface_v1::initialize"]
        [::core::mem::offset_of!(engine_interface_v1, initialize) - 16usize];
    ["Offset of field: engine_interface_v1::destroy"]
        [::core::mem::offset_of!(engine_interface_v1, destroy) - 24usize];
    ["Offset of field: engine_interface_v1::allocate"]
        [::core::mem::offset_of!(engine_interface_v1, allocate) - 32usize];
    ["Offset of field: engine_interface_v1::remove"]
        [::core::mem::offset_of!(engine_interface_v1, remove) - 40usize];
    ["Offset of field: engine_interface_v1::release"]
        [::core::mem::offset_of!(engine_interface_v1, release) - 48usize];
    ["Offset of field: engine_interface_v1::get"]
        [::core::mem::offset_of!(engine_interface_v1, get) - 56usize];
    ["Offset of field: engine_interface_v1::store"]
        [::core::mem::offset_of!(engine_interface_v1, store) - 64usize];
    ["Offset of field: engine_interface_v1::arithmetic"]
        [::core::mem::offset_of!(engine_interface_v1, arithmetic) - 72usize];
    ["Offset of field: engine_interface_v1::flush"]
        [::core::mem::offset_of!(engine_interface_v1, flush) - 80usize];
    ["Offset of field: engine_interface_v1::get_stats"]
        [::core::mem::offset_of!(engine_interface_v1, get_stats) - 88usize];
    ["Offset of field: engine_interface_v1::reset_stats"]
        [::core::mem::offset_of!(engine_interface_v1, reset_stats) - 96usize];
    ["Offset of field: engine_interface_v1::get_stats_struct"]
        [::core::mem::offset_of!(engine_interface_v1, get_stats_struct) - 104usize];
    ["Offset of field: engine_interface_v1::aggregate_stats"]
        [::core::mem::offset_of!(engine_interface_v1, aggregate_stats) - 112usize];
    ["Offset of field: engine_interface_v1::unknown_command"]
        [::core::mem::offset_of!(engine_interface_v1, unknown_command) - 120usize];
    ["Offset of field: engine_interface_v1::tap_notify"]
        [::core::mem::offset_of!(engine_interface_v1, tap_notify) - 128usize];
    ["Offset of field: engine_interface_v1::get_tap_iterator"]
        [::core::mem::offset_of!(engine_interface_v1, get_tap_iterator) - 136usize];
    ["Offset of field: engine_interface_v1::item_set_cas"]
        [::core::mem::offset_of!(engine_interface_v1, item_set_cas) - 144usize];
    ["Offset of field: engine_interface_v1::get_item_info"]
        [::core::mem::offset_of!(engine_interface_v1, get_item_info) - 152usize];
    ["Offset of field: engine_interface_v1::errinfo"]
        [::core::mem::offset_of!(engine_interface_v1, errinfo) - 160usize];
};
pub type ENGINE_HANDLE_V1 = engine_interface_v1;
