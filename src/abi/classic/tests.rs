//! Drives the table from a host written in Rust, so that the boundary can run under Miri and the
//! sanitizers without a C program. One test per rule of `docs/hosts.md`, and what
//! else a host does that hurts.

use std::ffi::{CStr, c_void};
use std::ptr;

use super::layout::Layout;
use super::{Classic, codes, tap};
use crate::abi::bindings::*;
use crate::abi::convert::Code;
use crate::abi::create_instance;
#[cfg(debug_assertions)]
use crate::abi::guard::Guard;
use crate::abi::load;
use crate::abi::output::{Packets, Statistics};
use crate::abi::rules::{self, Entry};
use crate::constants;
use crate::error::Error;
use crate::ffi::alloc::alone;
use crate::host::{BlockedCookie, Cookie, Host as _, Reply as _, Response, StatSink as _, Status};

mod fake_host;

use fake_host::{Host, Kind, Packet};

/// Every error; the match makes the compiler ask for new ones.
const ERRORS: [Error; 13] = {
    const fn known(error: Error) -> Error {
        match error {
            Error::NotFound
            | Error::Exists
            | Error::NotStored
            | Error::NotNumeric
            | Error::WouldBlock
            | Error::NotMyVbucket
            | Error::TooBig
            | Error::NoMemory
            | Error::Temporary
            | Error::Invalid
            | Error::Unsupported
            | Error::Disconnect
            | Error::Internal => error,
        }
    }
    [
        known(Error::NotFound),
        known(Error::Exists),
        known(Error::NotStored),
        known(Error::NotNumeric),
        known(Error::WouldBlock),
        known(Error::NotMyVbucket),
        known(Error::TooBig),
        known(Error::NoMemory),
        known(Error::Temporary),
        known(Error::Invalid),
        known(Error::Unsupported),
        known(Error::Disconnect),
        known(Error::Internal),
    ]
};

const SUCCESS: Code = Code::ENGINE_SUCCESS;

fn never(entry: Entry, forbidden: &[Code]) {
    for error in ERRORS {
        let code = codes::code(entry, error);
        assert!(
            !forbidden.contains(&code),
            "{entry:?} answers {error:?} with {code:?}"
        );
        assert_ne!(code, SUCCESS, "{entry:?} {error:?}");
    }
}

#[test]
fn rule_01_get_returns_six_codes_only() {
    let allowed = [
        Code::ENGINE_KEY_ENOENT,
        Code::ENGINE_EWOULDBLOCK,
        Code::ENGINE_DISCONNECT,
        Code::ENGINE_ENOTSUP,
        Code::ENGINE_NOT_MY_VBUCKET,
    ];
    for error in ERRORS {
        assert!(
            allowed.contains(&codes::code(Entry::Get, error)),
            "{error:?}"
        );
    }
    let host = Host::running(Kind::Membase, "");
    assert_eq!(host.get(b"absent", 0), Err(Code::ENGINE_KEY_ENOENT));
    assert_eq!(host.get(b"k", 5), Err(Code::ENGINE_NOT_MY_VBUCKET));
    assert_eq!(host.get(b"k", u16::MAX), Err(Code::ENGINE_NOT_MY_VBUCKET));
    for nkey in [0, -1, 251, i32::MIN, i32::MAX] {
        assert_eq!(
            host.get_raw(b"k".as_ptr(), nkey),
            Code::ENGINE_KEY_ENOENT,
            "{nkey}"
        );
    }
    assert_eq!(host.get_raw(ptr::null(), 3), Code::ENGINE_KEY_ENOENT);
}

#[test]
fn rule_02_arithmetic_never_aborts_the_host() {
    let forbidden = [
        Code::ENGINE_E2BIG,
        Code::ENGINE_WANT_MORE,
        Code::ENGINE_EACCESS,
        Code::ENGINE_ERANGE,
        Code::ENGINE_FAILED,
    ];
    never(Entry::ArithmeticBinary, &forbidden);
    never(Entry::ArithmeticAscii, &forbidden);
    never(
        Entry::ArithmeticAscii,
        &[Code::ENGINE_KEY_EEXISTS, Code::ENGINE_NOT_MY_VBUCKET],
    );
    // Only a value that is no number may say so.
    for error in ERRORS {
        let says_so = codes::code(Entry::ArithmeticBinary, error) == Code::ENGINE_EINVAL;
        assert_eq!(says_so, error == Error::NotNumeric, "{error:?}");
    }
    let host = Host::running(Kind::Memcached, "");
    let (ascii, binary) = ((false, 0), (false, u32::MAX));
    assert_eq!(host.arithmetic(b"n", ascii, 7), Err(Code::ENGINE_ENOTSUP));
    assert_eq!(
        host.arithmetic(b"n", binary, 7),
        Err(Code::ENGINE_NOT_MY_VBUCKET)
    );
    assert_eq!(
        host.arithmetic(b"n", ascii, 0),
        Err(Code::ENGINE_KEY_ENOENT)
    );
    assert_eq!(host.arithmetic(b"n", (true, 0), 0), Ok(10));
    assert_eq!(host.arithmetic(b"n", ascii, 0), Ok(11));
    assert_eq!(host.arithmetic(b"", ascii, 0), Err(Code::ENGINE_NOT_STORED));
    host.set(b"text", b"abc");
    assert_eq!(
        host.arithmetic(b"text", binary, 0),
        Err(Code::ENGINE_EINVAL)
    );
}

#[test]
fn rule_03_store_allocate_and_flush_keep_to_what_callers_understand() {
    never(Entry::Store, &[Code::ENGINE_WANT_MORE, Code::ENGINE_FAILED]);
    never(Entry::Allocate, &[Code::ENGINE_EWOULDBLOCK]);
    never(Entry::Flush, &[Code::ENGINE_EWOULDBLOCK]);
    let host = Host::running(Kind::Membase, "");
    let item = host.allocate(b"k", 3).unwrap();
    for operation in [0, 7, u32::MAX] {
        assert_eq!(
            host.store(item, operation),
            Err(Code::ENGINE_EINVAL),
            "{operation}"
        );
    }
    assert_eq!(host.store(ptr::null_mut(), 2), Err(Code::ENGINE_EINVAL));
    host.release(item);
    host.set(b"k", b"v");
    assert_eq!(host.flush(), SUCCESS);
    assert_eq!(host.get(b"k", 0), Err(Code::ENGINE_KEY_ENOENT));
}

#[test]
#[cfg(debug_assertions)]
fn rule_04_notify_from_inside_a_host_call_is_a_defect_that_debug_builds_see() {
    let api = fake_host::api(Kind::Membase, Layout::Membase);
    let cookie = fake_host::cookie();
    let guard = Guard::default();
    guard.run("get", |_| (), (), || api.notify(BlockedCookie::new(cookie)));
    guard.run("get", |_| (), (), || api.release(cookie));
    assert_eq!(guard.panics(), 2);
    assert!(fake_host::notifications(cookie).is_empty());
}

#[test]
fn rule_05_nothing_is_locked_here_while_the_host_is_called() {
    // The host calls the engine from inside the notification, on the notifying thread.
    let host = Host::running(Kind::Membase, "");
    host.set(b"k", b"v");
    let api = fake_host::api(Kind::Membase, Layout::Membase);
    let cookie = fake_host::cookie();
    fake_host::call_back_on_notify(cookie, host.handle());
    std::thread::scope(|scope| {
        scope.spawn(|| api.notify(BlockedCookie::new(cookie)));
    });
    assert_eq!(fake_host::notifications(cookie), [(SUCCESS, true)]);
}

#[test]
fn rule_06_a_notification_says_success() {
    let api = fake_host::api(Kind::Memcached, Layout::Memcached);
    let cookie = fake_host::cookie();
    api.notify(BlockedCookie::new(cookie));
    assert_eq!(fake_host::notifications(cookie), [(SUCCESS, false)]);
}

#[test]
fn rule_07_a_null_cookie_is_never_notified() {
    let api = fake_host::api(Kind::Mock, Layout::Mock);
    let nobody = Cookie::new(0);
    api.notify(BlockedCookie::new(nobody));
    api.reserve(nobody);
    api.release(nobody);
    api.answer_tap_errors(nobody);
    assert!(fake_host::notifications(nobody).is_empty());
}

#[test]
fn rule_08_a_blocked_request_stays_blocked_whatever_it_sent() {
    // Its notification is on the way, so nothing else may be answered.
    let blocked = Code::ENGINE_EWOULDBLOCK;
    for entry in [
        Entry::Get,
        Entry::Store,
        Entry::Remove,
        Entry::ArithmeticAscii,
        Entry::ArithmeticBinary,
        Entry::GetStats,
        Entry::UnknownCommand,
        Entry::TapNotify,
    ] {
        assert_eq!(codes::code(entry, Error::WouldBlock), blocked, "{entry:?}");
    }
    assert_eq!(rules::after_output(true, blocked), blocked);
    assert_eq!(rules::after_output(false, blocked), blocked);
}

#[test]
fn rule_09_disconnects_come_at_any_time_and_any_number_of_times() {
    let mut host = Host::running(Kind::Membase, "");
    let cookie = fake_host::cookie();
    for _ in 0..3 {
        host.disconnect(cookie);
    }
    host.disconnect(Cookie::new(0));
    host.destroy();
    host.disconnect(cookie);
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn a_deletion_behind_a_refusal_is_the_hosts_or_later_its_clients() {
    const PATH: &str = "abi::classic::tests::\
        a_deletion_behind_a_refusal_is_the_hosts_or_later_its_clients";
    alone(PATH, || {
        let host = Host::running(Kind::Membase, "max_size=24m");
        let key = b"k";
        host.set(key, b"old");
        let slow = std::iter::from_fn(|| host.allocate(b"slow", 1_000_000).ok());
        let slow: Vec<_> = slow.collect();
        let refuse = || assert!(host.allocate(key, 1_000_000).is_err());
        refuse();
        assert_eq!(host.remove_raw(key.as_ptr(), 1), Code::ENGINE_SUCCESS);
        assert_eq!(host.get(key, 0), Ok(b"old".to_vec()));
        refuse();
        host.turn();
        assert_eq!(host.remove_raw(key.as_ptr(), 1), Code::ENGINE_SUCCESS);
        assert_eq!(host.get(key, 0), Err(Code::ENGINE_KEY_ENOENT));
        for item in slow {
            host.release(item);
        }
    });
}

#[test]
fn rule_10_after_output_only_success_or_blocking_follows() {
    let response = Response {
        status: Status::SUCCESS,
        extras: b"x",
        key: b"k",
        body: b"body",
        cas: 9,
    };
    for error in ERRORS {
        // SAFETY: the fake host's functions, on this thread.
        let mut sent = unsafe { Packets::new(Some(fake_host::add_response), ptr::null()) };
        sent.send(&response).unwrap();
        let expected = if error == Error::WouldBlock {
            Code::ENGINE_EWOULDBLOCK
        } else {
            SUCCESS
        };
        assert_eq!(sent.answer::<Classic>(Err(error)), expected, "{error:?}");
        assert_eq!(fake_host::packets().len(), 1, "{error:?}");

        // SAFETY: as above.
        let mut silent = unsafe { Packets::new(Some(fake_host::add_response), ptr::null()) };
        let code = silent.answer::<Classic>(Err(error));
        match error {
            Error::WouldBlock => assert_eq!(code, Code::ENGINE_EWOULDBLOCK),
            Error::Disconnect => assert_eq!(code, Code::ENGINE_DISCONNECT),
            _ => assert_eq!(code, SUCCESS, "{error:?}"),
        }
        assert_eq!(
            fake_host::packets().len(),
            usize::from(code == SUCCESS),
            "{error:?}"
        );

        // SAFETY: as above.
        let mut full = unsafe { Packets::new(Some(fake_host::add_no_response), ptr::null()) };
        assert_eq!(full.send(&response), Err(Error::NoMemory));
        let code = full.answer::<Classic>(Err(error));
        assert!(
            [Code::ENGINE_EWOULDBLOCK, Code::ENGINE_DISCONNECT].contains(&code),
            "{error:?}"
        );

        // SAFETY: as above.
        let mut stats = unsafe { Statistics::new(Some(fake_host::add_stat), ptr::null()) };
        assert_ne!(stats.answer::<Classic>(Err(error)), SUCCESS);
        stats.add("", &1);
        assert_ne!(
            stats.answer::<Classic>(Err(error)),
            SUCCESS,
            "an empty key is no output"
        );
        stats.add("key\r\n", &"a\tb");
        assert_eq!(stats.answer::<Classic>(Err(error)), expected, "{error:?}");
        assert_eq!(fake_host::stats(), [("key??".to_owned(), "a?b".to_owned())]);
    }
}

#[test]
fn rule_11_an_item_describes_itself_completely() {
    let host = Host::running(Kind::Membase, "");
    for nbytes in [0, 1, 7, 4096] {
        let item = host.allocate(b"key", nbytes).unwrap();
        let info = host.info(item);
        assert_eq!(
            (info.nbytes as usize, info.value[0].iov_len, info.nvalue),
            (nbytes, nbytes, 1)
        );
        assert_eq!(
            (info.clsid, info.nkey, info.flags),
            (0, 3, fake_host::FLAGS)
        );
        assert_eq!(info.exptime, fake_host::NOW + 100);
        // SAFETY: the host's to fill before the store; the key is followed by a NUL.
        unsafe { ptr::write_bytes(info.value[0].iov_base.cast::<u8>(), b'v', nbytes) };
        // SAFETY: three bytes and a NUL.
        assert_eq!(unsafe { CStr::from_ptr(info.key.cast()) }, c"key");
        host.set_cas(item, 0);
        let cas = host.store(item, 2).unwrap();
        assert_ne!(cas, 0);
        assert_eq!(host.info(item).cas, cas);
        // The same object again: what was stored first must not change under its readers.
        // SAFETY: the host still owns its buffer.
        unsafe { ptr::write_bytes(info.value[0].iov_base.cast::<u8>(), b'w', nbytes.min(1)) };
        assert_ne!(host.store(item, 2).unwrap(), cas);
        host.release(item);
        let value = host.get(b"key", 0).unwrap();
        assert_eq!(value.len(), nbytes);
    }
    assert!(!host.info_raw(ptr::null(), ptr::null_mut()));
}

#[test]
fn rule_12_lengths_are_checked_before_anything_is_touched() {
    let host = Host::running(Kind::Memcached, "max_item_size=1000");
    for nbytes in [1001, usize::MAX, usize::MAX - 2, 1 << 32] {
        assert_eq!(
            host.allocate(b"k", nbytes),
            Err(Code::ENGINE_E2BIG),
            "{nbytes}"
        );
    }
    for nkey in [0, 251, usize::MAX] {
        assert_eq!(
            host.allocate_raw(b"k".as_ptr(), nkey),
            Err(Code::ENGINE_EINVAL),
            "{nkey}"
        );
        assert_eq!(
            host.remove_raw(b"k".as_ptr(), nkey),
            Code::ENGINE_KEY_ENOENT,
            "{nkey}"
        );
    }
    // Extras and key do not fit the body.
    for (extras, key, body) in [(0, 200, 5), (255, 0, 254), (8, 250, 257), (1, 0, 0)] {
        let request = fake_host::request(0x9b, extras, key, body, &[0; 300]);
        assert_eq!(host.command(&request), SUCCESS);
        let packets = fake_host::packets();
        assert_eq!(packets.len(), 1);
        assert_eq!(packets[0].status, Status::EINVAL.0, "{extras} {key} {body}");
    }
    assert_eq!(rules::request_lengths(1, 0, 0), None);
    assert_eq!(rules::request_lengths(8, 250, 257), None);
    assert_eq!(rules::request_lengths(4, 3, 10), Some((0..4, 4..7, 7..10)));
    assert_eq!(
        rules::request_lengths(255, u16::MAX, u32::MAX).map(|parts| parts.1.end),
        Some(65790)
    );
    // An unaligned header is fine: any opcode gets one packet or none, and success.
    let mut shifted = vec![0];
    shifted.extend(fake_host::request(0xee, 0, 1, 1, b"k"));
    assert_eq!(host.command(&shifted[1..]), SUCCESS);
    let opcodes = fake_host::packets();
    assert!(
        matches!(&opcodes[..], [Packet { status, .. }] if *status != 0),
        "{opcodes:?}"
    );
    // A NULL header.
    assert_eq!(host.command(&[]), SUCCESS);
    assert_eq!(fake_host::packets()[0].status, Status::EINVAL.0);
}

/// Arguments of `tap_notify` for an event whose packet tail is `bytes`.
fn tap_arguments(event: tap_event_t, bytes: &[u8]) -> tap::Arguments {
    tap::Arguments {
        event,
        engine_specific: bytes.as_ptr().cast(),
        nengine: 0,
        key: bytes.as_ptr().cast(),
        nkey: 0,
        data: bytes.as_ptr().cast(),
        ndata: 0,
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn rule_13_tap_lengths_stay_below_the_hosts_buffer() {
    const { assert!(10 * (40 + tap::ENGINE_SPECIFIC_BYTES_MAX) <= 2048) };
    let host = Host::running(Kind::Membase, "max_item_size=100");
    assert!(host.tap_iterator().is_some());
    let bytes = [0_u8; 400];
    let base = |event| tap_arguments(event, &bytes);
    let check = |arguments: tap::Arguments| host.tap(&arguments);
    let (mutation, opaque) = (tap_event_t::TAP_MUTATION, tap_event_t::TAP_OPAQUE);
    for (code, arguments) in [
        // Opaque bytes that mean nothing are no error.
        (SUCCESS, base(opaque)),
        (
            Code::ENGINE_DISCONNECT,
            base(tap_event_t::TAP_CHECKPOINT_END),
        ),
        (
            SUCCESS,
            tap::Arguments {
                nkey: 250,
                ..base(mutation)
            },
        ),
        (
            SUCCESS,
            tap::Arguments {
                nengine: 160,
                ..base(opaque)
            },
        ),
        (
            Code::ENGINE_EINVAL,
            tap::Arguments {
                nengine: 161,
                ..base(opaque)
            },
        ),
        (Code::ENGINE_EINVAL, base(mutation)),
        (
            Code::ENGINE_EINVAL,
            tap::Arguments {
                nkey: 251,
                ..base(mutation)
            },
        ),
        (
            Code::ENGINE_EINVAL,
            tap::Arguments {
                nkey: 1,
                ..base(opaque)
            },
        ),
        (
            Code::ENGINE_EINVAL,
            tap::Arguments {
                nkey: 100,
                ..base(tap_event_t::TAP_FLUSH)
            },
        ),
        (
            Code::ENGINE_EINVAL,
            tap::Arguments {
                nkey: 1,
                ..base(tap_event_t::TAP_VBUCKET_SET)
            },
        ),
        (
            SUCCESS,
            tap::Arguments {
                ndata: 101,
                ..base(opaque)
            },
        ),
        (
            Code::ENGINE_E2BIG,
            tap::Arguments {
                ndata: rules::VALUE_BYTES_MAX + 1,
                ..base(opaque)
            },
        ),
        (
            Code::ENGINE_E2BIG,
            tap::Arguments {
                ndata: 4_294_967_288,
                ..base(opaque)
            },
        ),
        (Code::ENGINE_DISCONNECT, base(tap_event_t::TAP_ACK)),
        (Code::ENGINE_EINVAL, base(tap_event_t::TAP_NOOP)),
        (Code::ENGINE_EINVAL, base(tap_event_t(77))),
        (
            Code::ENGINE_EINVAL,
            tap::Arguments {
                nkey: 1,
                key: ptr::null(),
                ..base(mutation)
            },
        ),
        (
            Code::ENGINE_EINVAL,
            tap::Arguments {
                nengine: 1,
                engine_specific: ptr::null(),
                ..base(opaque)
            },
        ),
    ] {
        assert_eq!(check(arguments), code, "{arguments:?}");
    }
}

#[test]
fn rule_14_engine_specific_bytes_are_where_they_really_are() {
    // Flags and expiry of the item, then two engine-specific bytes, key, value.
    let packet = *b"ffffeeeeESkeyvalue";
    let at = |offset: usize| packet[offset..].as_ptr().cast::<c_void>();
    let arguments = |event, engine_specific| tap::Arguments {
        event,
        engine_specific,
        nengine: 2,
        key: at(10),
        nkey: 3,
        data: at(13),
        ndata: 5,
    };
    for event in [
        tap_event_t::TAP_MUTATION,
        tap_event_t::TAP_CHECKPOINT_START,
        tap_event_t::TAP_CHECKPOINT_END,
    ] {
        // SAFETY: all of it lies in the packet.
        let message = unsafe { tap::check(&arguments(event, at(0))) }.unwrap();
        assert_eq!(message.engine_specific, b"ES", "{event:?}");
        assert_eq!((message.key, message.data), (&b"key"[..], &b"value"[..]));
    }
    // SAFETY: all of it lies in the packet.
    let message = unsafe { tap::check(&arguments(tap_event_t::TAP_DELETION, at(8))) };
    assert_eq!(message.unwrap().engine_specific, b"ES");
}

#[test]
fn rule_15_the_reason_of_a_failed_start_is_logged() {
    for (config, reason) in [
        (c"max_sise=1", "did you mean \"max_size\"?"),
        (c"chk_period=1x", "a number from 60 to 3600 (s)"),
        (c"dbname=\xff", "the configuration is not UTF-8"),
    ] {
        let mut host = Host::created(Kind::Membase);
        assert_eq!(host.initialize(Some(config)), Code::ENGINE_FAILED);
        fake_host::assert_logged("3 checkpoint-engine: cannot start: ", reason);
        // What the host does next.
        host.destroy();
        assert_eq!(host.get(b"k", 0), Err(Code::ENGINE_ENOTSUP));
    }
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn rule_15_without_a_logger_the_reason_goes_to_stderr() {
    const INSIDE: &str = "CHECKPOINT_ENGINE_STDERR_TEST";
    if std::env::var_os(INSIDE).is_some() {
        let host = Host::created(Kind::Silent);
        host.initialize(Some(c"nonsense"));
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["rule_15_without", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("checkpoint-engine: cannot start: \"nonsense\" has no"),
        "{stderr}"
    );
}

#[test]
fn rule_16_every_feature_has_a_description() {
    let host = Host::created(Kind::Memcached);
    let info = host.get_info();
    assert_eq!(info, host.get_info());
    // SAFETY: lives as long as the process.
    let engine_info {
        description,
        num_features,
        ..
    } = unsafe { info.read() };
    // SAFETY: a C string.
    let description = unsafe { CStr::from_ptr(description) }.to_bytes();
    assert!(description.starts_with(b"Checkpoint engine "));
    assert!(num_features > 0);
    // SAFETY: lives as long as the process.
    let features = unsafe { &raw const (*info).features }.cast::<feature_info>();
    for index in 0..num_features as usize {
        // SAFETY: the array has num_features entries.
        let feature = unsafe { features.wrapping_add(index).read() };
        assert!(!feature.description.is_null(), "{index}");
        // SAFETY: not NULL, so a C string.
        assert!(!unsafe { CStr::from_ptr(feature.description) }.is_empty());
    }
}

#[test]
fn rule_17_a_clock_without_meaning_is_not_used() {
    // What memcached.org shows until initialize has returned.
    let early = fake_host::api(Kind::EarlyClock, Layout::Memcached);
    let system = || i64::try_from(early.unix_nanos() / 1_000_000_000).unwrap();
    let before = system();
    assert!((before..=system()).contains(&early.unix()));
    assert!((before..=system()).contains(&(early.absolute(100) - 100)));
    assert_eq!(early.absolute(fake_host::START + 50), fake_host::START + 50);
    let later = fake_host::api(Kind::Memcached, Layout::Memcached);
    let now = fake_host::START + i64::from(fake_host::NOW);
    assert_eq!((later.unix(), later.absolute(100)), (now, now + 100));
    assert_eq!(
        (later.absolute(-1), later.absolute(i64::MAX)),
        (1, i64::MAX)
    );
}

/// The host counts in 32 bits without a sign.
#[test]
fn a_clock_that_was_set_back_to_before_the_hosts_start_goes_on() {
    let host = fake_host::api(Kind::SetBack, Layout::Memcached);
    let now = fake_host::START - i64::from(fake_host::SET_BACK);
    assert_eq!((host.unix(), host.absolute(3)), (now, now + 3));
    assert_eq!(host.absolute(now + 5_000_000), now + 5_000_000);
    assert_eq!(host.absolute(-1), 1);
}

#[test]
fn the_layout_of_every_host_is_found() {
    for (kind, config) in [
        (Kind::Membase, ""),
        (Kind::Memcached, ""),
        (Kind::Mock, ""),
        (Kind::Membase, "host_abi=membase"),
        (Kind::Memcached, "host_abi=memcached"),
        (Kind::Unclear, "host_abi=membase"),
    ] {
        let host = Host::running(kind, config);
        host.set(b"k", b"v");
        assert_eq!(host.get(b"k", 0), Ok(b"v".to_vec()), "{kind:?}");
    }
}

#[test]
fn an_unclear_layout_is_a_reason_not_to_start() {
    let host = Host::created(Kind::Unclear);
    assert_eq!(host.initialize(None), Code::ENGINE_FAILED);
    fake_host::assert_logged(
        "3 checkpoint-engine: cannot start: cannot find out",
        "host_abi=",
    );
}

#[test]
fn counts_reach_the_right_functions_in_both_layouts() {
    for (kind, layout, nack) in [
        (Kind::Membase, Layout::Membase, 1),
        (Kind::Memcached, Layout::Memcached, 0),
        (Kind::Mock, Layout::Mock, 0),
    ] {
        let api = fake_host::api(kind, layout);
        let mut connection = Box::new([0_u64; 64]);
        let cookie = Cookie::new((&raw mut *connection).expose_provenance());
        api.reserve(cookie);
        api.reserve(cookie);
        api.release(cookie);
        api.answer_tap_errors(cookie);
        let bytes = connection.map(u64::to_ne_bytes);
        let counted = u8::from(kind != Kind::Mock);
        assert_eq!(bytes[fake_host::COUNT_WORD][0], counted, "{kind:?}");
        assert_eq!(bytes[fake_host::NACK_WORD][0], nack, "{kind:?}");
    }
}

#[test]
fn bad_hosts_are_refused() {
    let mut handle = ptr::null_mut();
    // SAFETY: the handle is writable and the server table is the fake host's.
    let code = unsafe { create_instance(2, Some(fake_host::get_server_api), &raw mut handle) };
    assert_eq!((code, handle), (Code::ENGINE_ENOTSUP, ptr::null_mut()));
    // SAFETY: as above.
    let code = unsafe { create_instance(1, None, &raw mut handle) };
    assert_eq!((code, handle), (Code::ENGINE_FAILED, ptr::null_mut()));
    fake_host::install(Kind::Membase);
    // SAFETY: a NULL handle is an error, not a crash.
    let code = unsafe { create_instance(1, Some(fake_host::get_server_api), ptr::null_mut()) };
    assert_eq!(code, Code::ENGINE_EINVAL);
    fake_host::install(Kind::NoCore);
    // SAFETY: as above.
    let reason = unsafe { load::make(Some(fake_host::get_server_api)) }.unwrap_err();
    assert_eq!(reason, "the host's server table lacks \"core\"");
}

#[test]
fn a_host_of_an_unknown_kind_is_refused_before_its_tables_are_read() {
    let mut handle = ptr::null_mut();
    fake_host::install(Kind::Unknown);
    // SAFETY: the handle is writable, and the tables have what every host's have.
    let code = unsafe { create_instance(1, Some(fake_host::get_server_api), &raw mut handle) };
    assert_eq!((code, handle), (Code::ENGINE_FAILED, ptr::null_mut()));
    // SAFETY: as above.
    let reason = unsafe { load::make(Some(fake_host::get_server_api)) }.unwrap_err();
    assert!(
        reason.contains("of a kind that this engine does not know"),
        "{reason}"
    );
}

#[test]
fn calls_before_the_start_and_after_the_end_are_harmless() {
    let mut host = Host::created(Kind::Membase);
    let idle = |host: &Host| {
        assert_eq!(host.get(b"k", 0), Err(Code::ENGINE_ENOTSUP));
        assert_eq!(host.allocate(b"k", 1), Err(Code::ENGINE_ENOTSUP));
        assert_eq!(host.flush(), Code::ENGINE_ENOTSUP);
        assert_eq!(host.stats(b""), (Code::ENGINE_ENOTSUP, Vec::new()));
        assert_eq!(
            host.command(&fake_host::request(0x9b, 0, 0, 0, b"")),
            SUCCESS
        );
        assert_eq!(fake_host::packets()[0].status, Status::NOT_SUPPORTED.0);
        host.reset_stats();
    };
    idle(&host);
    assert_eq!(host.initialize(None), SUCCESS);
    assert_eq!(host.initialize(None), Code::ENGINE_FAILED);
    host.set(b"k", b"value");
    let kept = host.get_item(b"k", 0).unwrap();
    host.destroy();
    host.destroy();
    idle(&host);
    // The host may hold items longer than the engine lives.
    assert_eq!(host.value(kept), b"value");
    host.release(kept);
    host.release(ptr::null_mut());
}

#[test]
fn two_engines_in_one_process_do_not_meet() {
    let one = Host::running(Kind::Membase, "");
    let two = Host::running(Kind::Mock, "");
    one.set(b"k", b"1");
    two.set(b"k", b"2");
    assert_eq!(one.get(b"k", 0), Ok(b"1".to_vec()));
    assert_eq!(two.get(b"k", 0), Ok(b"2".to_vec()));
    drop(one);
    assert_eq!(two.get(b"k", 0), Ok(b"2".to_vec()));
}

#[test]
fn get_allocates_nothing_and_hands_out_the_stored_bytes() {
    let host = Host::running(Kind::Membase, "");
    host.set(b"k", &[7; 10_000]);
    let first = host.get_item(b"k", 0).unwrap();
    let before = crate::ffi::alloc::allocations_of_this_thread();
    let second = host.get_item(b"k", 0).unwrap();
    let info = host.info(second);
    host.release(second);
    assert_eq!(crate::ffi::alloc::allocations_of_this_thread(), before);
    assert_eq!(first, second);
    assert_eq!(info.value[0].iov_base, host.info(first).value[0].iov_base);
    host.release(first);
}

#[test]
fn statistics_by_group_reach_the_host() {
    let host = Host::running(Kind::Membase, "");
    let (code, stats) = host.stats(b"");
    assert_eq!(code, SUCCESS);
    for name in [
        constants::CHECKPOINT_ENGINE_STAT_CURR_ITEMS,
        constants::CHECKPOINT_ENGINE_STAT_PANICS,
    ] {
        let name = name.to_str().unwrap();
        assert!(
            stats.iter().any(|(key, _)| key == name),
            "{name} is missing in {stats:?}"
        );
    }
    let line = ("vb_0".to_owned(), "active".to_owned());
    assert_eq!(host.stats(b"vbucket"), (SUCCESS, vec![line]));
    assert_eq!(host.stats(b"no such group").0, Code::ENGINE_KEY_ENOENT);
}

#[test]
fn the_table_is_complete_and_its_handle_is_its_address() {
    let host = Host::created(Kind::Membase);
    // SAFETY: a table that lives as long as the process.
    let table = unsafe { host.handle().cast::<ENGINE_HANDLE_V1>().read() };
    assert_eq!(table.interface.interface, 1);
    let words: [usize; size_of::<ENGINE_HANDLE_V1>() / size_of::<usize>()] =
        // SAFETY: the same memory as words; function pointers are words, NULL for none.
        unsafe { host.handle().cast::<[usize; 21]>().read() };
    let empty: Vec<usize> = (0..words.len()).filter(|at| words[*at] == 0).collect();
    assert_eq!(empty, [13, 14], "get_stats_struct and aggregate_stats");
    let mut buffer = [b'x'; 16];
    assert_eq!(host.errinfo(&mut buffer), 0);
    assert_eq!(buffer, [b'x'; 16]);
}

#[test]
fn a_log_line_cannot_carry_formats_or_line_feeds() {
    let api = fake_host::api(Kind::Membase, Layout::Membase);
    api.log(crate::host::LogLevel::Info, "100%s %n\nnext\0line");
    fake_host::assert_logged("2 100%s %n next", " line");
}

/// The host asks commands for every line that it does not know, and words its answer otherwise when
/// there are any.
#[test]
fn a_line_that_nobody_knows_is_an_error_as_without_our_command() {
    let error = Some(("ERROR\r\n".to_owned(), true));
    let lines: [&[&[u8]]; 3] = [&[b"online_updates", b"start"], &[b"cas", b"key"], &[]];
    let mut host = Host::running(Kind::Membase, "");
    for line in lines {
        assert_eq!(fake_host::line(line), error, "{line:?}");
    }
    // Others are asked before it, or behind it: then the host speaks for itself.
    fake_host::register_another();
    assert_eq!(fake_host::line(lines[0]), None);
    assert!(fake_host::line(&[b"online_update"]).is_some());
    host.destroy();
    assert_eq!(fake_host::line(lines[0]), None);
    let mut second = Host::running(Kind::Membase, "");
    assert_eq!(fake_host::line(lines[0]), None);
    assert!(fake_host::line(&[b"online_update"]).is_some());
    second.destroy();
}

#[test]
fn a_plain_terminal_can_do_an_online_update() {
    let mut host = Host::running(Kind::Membase, "");
    let said = |words: &[&[u8]]| fake_host::line(words).unwrap();
    host.set(b"k", b"before");
    let (accepted, stays) = said(&[b"online_update", b"start", b"600"]);
    assert_eq!(accepted, "ACCEPTED start, see online_update status\r\n");
    assert!(stays);
    host.set(b"k", b"window");
    let (status, _) = said(&[b"online_update", b"status"]);
    assert!(
        status.starts_with("STAT state open\r\n") && status.ends_with("\r\nEND\r\n"),
        "{status}"
    );
    let (refused, stays) = said(&[b"online_update", b"start"]);
    assert!(refused.starts_with("SERVER_ERROR an online update is open") && stays);
    for wrong in [
        &[&b"online_update"[..]] as &[&[u8]],
        &[b"online_update", b"start", b"soon"],
        &[b"online_update", b"revert", b"now"],
    ] {
        assert!(said(wrong).0.starts_with("CLIENT_ERROR "), "{wrong:?}");
    }
    let (accepted, _) = said(&[b"online_update", b"revert"]);
    assert_eq!(accepted, "ACCEPTED revert, see online_update status\r\n");
    while !said(&[b"online_update", b"status"])
        .0
        .contains("STAT last_outcome reverted\r\n")
    {
        std::thread::yield_now();
    }
    assert_eq!(host.get(b"k", 0), Ok(b"before".to_vec()));
    // Hosts keep the command beyond the end of the engine.
    host.destroy();
    let ended = said(&[b"online_update", b"status"]);
    assert_eq!(ended, (String::new(), false));
}
