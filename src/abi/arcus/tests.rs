//! Drives the table as ARCUS memcached does.

use std::io::Read as _;
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::time::Duration;

use super::{codes, command, is_known};
use crate::abi::convert::Code;
use crate::abi::rules::Entry;
use crate::constants;
use crate::error::Error;

mod fake_arcus;

use fake_arcus::{FLAGS, Host, NOW, another_command, be_late, logged, register_command};

const SUCCESS: Code = Code::ENGINE_SUCCESS;
const ERRORS: [Error; 13] = [
    Error::NotFound,
    Error::Exists,
    Error::NotStored,
    Error::NotNumeric,
    Error::WouldBlock,
    Error::NotMyVbucket,
    Error::TooBig,
    Error::NoMemory,
    Error::Temporary,
    Error::Invalid,
    Error::Unsupported,
    Error::Disconnect,
    Error::Internal,
];

#[test]
fn versions_are_known_up_to_the_first_dash() {
    for version in [
        "1.15.0",
        "1.15.12",
        "1.15.0-12",
        "1.15.0-unknown",
        "1.15.3-E",
    ] {
        assert!(is_known(version), "{version}");
    }
    for version in [
        "1.14.1",
        "1.16.0",
        "1.15",
        "1.150.0",
        "11.15.0",
        "mock server",
        "",
        "1.15.x",
    ] {
        assert!(!is_known(version), "{version}");
    }
}

#[test]
fn another_version_is_refused_by_name_unless_the_operator_knows_better() {
    let host = Host::created("1.14.1-3");
    assert_eq!(host.initialize(c"num_threads=4;"), Code::ENGINE_FAILED);
    // Nothing of tables that may lie elsewhere was touched, and the host goes on to `destroy`.
    assert_eq!(logged(), Vec::<String>::new());
    assert_eq!(host.get(b"k"), Err(Code::ENGINE_DISCONNECT));
    assert_eq!(host.initialize(c"host_abi=arcus"), SUCCESS);
    host.set(b"k", b"v");
    assert_eq!(host.get(b"k"), Ok(b"v".to_vec()));
    let host = Host::created("1.15.0");
    assert_eq!(host.initialize(c"host_abi=membase"), Code::ENGINE_FAILED);
    let logged = logged().join("\n");
    assert!(logged.contains("host_abi contradicts the host"), "{logged}");
}

#[test]
fn no_code_aborts_the_host_or_loses_the_place_in_a_connection() {
    let allowed = |entry, codes: &[Code]| {
        for error in ERRORS {
            let code = codes::code(entry, error);
            assert!(codes.contains(&code), "{entry:?} {error:?} {code:?}");
        }
    };
    let (missing, vbucket) = (Code::ENGINE_KEY_ENOENT, Code::ENGINE_NOT_MY_VBUCKET);
    let gone = Code::ENGINE_DISCONNECT;
    allowed(Entry::Get, &[missing, vbucket, gone]);
    let [big, memory, failed] = [Code::ENGINE_E2BIG, Code::ENGINE_ENOMEM, Code::ENGINE_FAILED];
    allowed(Entry::Allocate, &[big, memory, failed]);
    let held = Code::ENGINE_EWOULDBLOCK;
    let [exists, stored, number] = [
        Code::ENGINE_KEY_EEXISTS,
        Code::ENGINE_NOT_STORED,
        Code::ENGINE_EINVAL,
    ];
    let count = [missing, exists, memory, stored, number, gone, vbucket, held];
    allowed(Entry::ArithmeticBinary, &count);
    allowed(Entry::UnknownCommand, &[gone]);
    for entry in [Entry::Store, Entry::Remove, Entry::Flush, Entry::Attributes] {
        for error in ERRORS {
            // A duplicate, in a collection.
            assert_ne!(codes::code(entry, error), Code::ENGINE_TMPFAIL, "{entry:?}");
        }
    }
}

#[test]
fn values_cross_with_cr_lf_behind_them_and_without_a_copy() {
    let host = Host::running("");
    for value in [&b""[..], b"v", &[7; 10_000]] {
        host.set(b"key", value);
        assert_eq!(host.get(b"key"), Ok(value.to_vec()));
    }
    let [one, other] = [
        host.get_item(b"key").unwrap(),
        host.get_item(b"key").unwrap(),
    ];
    assert_eq!(host.info(one).value, host.info(other).value);
    assert_eq!(host.info(one).flags, FLAGS);
    // The tail of an item that is being received is its connection's alone.
    let made = host.allocate(b"new", 1, 0, 0).unwrap();
    assert_ne!(host.info(made).addnl, host.info(one).addnl);
    for item in [one, other, made] {
        host.release(item);
    }
    for nbytes in [0, 1] {
        let refused = host.allocate_raw(b"k", nbytes);
        assert_eq!(refused, Err(Code::ENGINE_E2BIG), "no room for a tail");
    }
    let long = [b'k'; 251];
    assert_eq!(host.allocate(&long, 1, 0, 0), Err(Code::ENGINE_E2BIG));
    assert_eq!(host.get(&long), Err(Code::ENGINE_KEY_ENOENT));
    host.disconnect();
    host.disconnect();
}

#[test]
fn the_cas_of_a_request_comes_with_the_item() {
    let host = Host::running("");
    host.set(b"k", b"1");
    let item = host.get_item(b"k").unwrap();
    let cas = host.info(item).cas;
    host.release(item);
    for (cas, code) in [(cas + 1, Code::ENGINE_KEY_EEXISTS), (cas, SUCCESS)] {
        let item = host.allocate(b"k", 1, 0, cas).unwrap();
        assert_eq!(host.store(item, 6), code);
        host.release(item);
    }
}

#[test]
fn times_are_seconds_since_the_start_and_all_ones_is_for_ever() {
    let host = Host::running("");
    for (time, shown) in [(0, 0), (NOW + 50, NOW + 50), (u32::MAX, u32::MAX)] {
        let item = host.allocate(b"k", 1, time, 0).unwrap();
        assert_eq!(host.store(item, 2), SUCCESS);
        host.release(item);
        let attributes = host.getattr(b"k", &[]).unwrap();
        assert_eq!((attributes.exptime, attributes.flags), (shown, FLAGS));
    }
    // The past; the latest that a binary client can say lies beyond what the engine keeps.
    assert_eq!(host.touch(b"k", 1), SUCCESS);
    assert_eq!(host.get(b"k"), Err(Code::ENGINE_KEY_ENOENT));
    host.set(b"k", b"v");
    assert_eq!(host.touch(b"k", 0x7fff_ffff), SUCCESS);
    let far = host.getattr(b"k", &[0, 1, 2]).unwrap().exptime;
    assert!(far > NOW + 1_000_000_000 && far < 0x7fff_ffff, "{far}");
    assert_eq!(host.getattr(b"k", &[3]).err(), Some(codes::EBADATTR));
    assert_eq!(
        host.getattr(b"absent", &[]).err(),
        Some(Code::ENGINE_KEY_ENOENT)
    );
    assert_eq!(host.setattr(b"k", &[1], 0), codes::EBADATTR);
    assert_eq!(host.touch(b"absent", 0), Code::ENGINE_KEY_ENOENT);
}

#[test]
fn numbers_are_created_with_flags_and_key_lengths_are_no_number_errors() {
    let host = Host::running("");
    assert_eq!(host.count(b"n", false), Err(Code::ENGINE_KEY_ENOENT));
    assert_eq!(host.count(b"n", true), Ok(10));
    assert_eq!(host.count(b"n", false), Ok(11));
    assert_eq!(host.getattr(b"n", &[]).unwrap().flags, FLAGS);
    assert_eq!(host.count(&[b'k'; 251], true), Err(Code::ENGINE_KEY_ENOENT));
    host.set(b"text", b"abc");
    assert_eq!(host.count(b"text", false), Err(Code::ENGINE_EINVAL));
}

#[test]
fn a_prefix_is_flushed_and_nothing_else() {
    let host = Host::running("");
    let keys: [&[u8]; 6] = [b"a:1", b"a:b:2", b"ab:1", b"a", b"b:a:1", b"plain"];
    let left = || {
        let found = keys.iter().filter(|key| host.get(key).is_ok());
        found
            .map(|key| std::str::from_utf8(key).unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let fill = || keys.iter().for_each(|key| host.set(key, b"v"));
    for (prefix, expected) in [
        (Some(&b"a"[..]), "ab:1 a b:a:1 plain"),
        (Some(b"a:b"), "a:1 ab:1 a b:a:1 plain"),
        (Some(b""), "a:1 a:b:2 ab:1 b:a:1"),
        (None, ""),
    ] {
        fill();
        assert_eq!(host.flush(prefix, 0), SUCCESS, "{prefix:?}");
        assert_eq!(left(), expected, "{prefix:?}");
    }
    assert_eq!(host.flush(Some(b"a"), 0), codes::PREFIX_ENOENT);
    fill();
    assert_eq!(host.flush(Some(b"a"), NOW + 100), Code::ENGINE_ENOTSUP);
    assert_eq!(left(), "a:1 a:b:2 ab:1 a b:a:1 plain");
}

#[test]
fn the_quota_can_be_set_and_collections_are_refused() {
    let host = Host::running("");
    assert_eq!(host.set_config(c"memlimit", 64 << 20), SUCCESS);
    assert_eq!(host.set_config(c"memlimit", 0), Code::ENGINE_EINVAL);
    assert!(
        host.stats("")
            .contains(&("ep_max_data_size".to_owned(), (64 << 20).to_string()))
    );
    assert_eq!(host.set_config(c"verbosity", 1), SUCCESS);
    assert_eq!(host.set_config(c"max_list_size", 1), Code::ENGINE_ENOTSUP);
    let table = host.table();
    assert!(table.get_stats_struct.is_none() && table.aggregate_stats.is_none());
    for member in table.collections {
        // SAFETY: it looks at nothing.
        let code = unsafe { member.unwrap()(ptr::null(), ptr::null()) };
        assert_eq!(code, Code::ENGINE_ENOTSUP);
    }
}

#[test]
fn a_command_has_an_answer_also_when_it_is_a_quiet_miss() {
    let host = Host::running("");
    let touch = host.command(constants::CHECKPOINT_ENGINE_CMD_GATQ, &[0; 4], b"absent");
    assert_eq!(touch, [(1, b"no such key".to_vec())]);
    let unknown = host.command(0x40, &[], b"");
    assert_eq!(unknown[0].0, 0x81);
}

#[test]
fn a_value_on_disk_is_read_while_its_client_waits() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::running(&format!("dbname={}", directory.path().display()));
    host.set(b"k", b"value");
    host.until_evicted(b"k");
    assert_eq!(host.get(b"k"), Ok(b"value".to_vec()));
    host.set(b"n", b"41");
    host.until_evicted(b"n");
    assert_eq!(host.count(b"n", false), Ok(42));
}

/// The host has more of that client's requests, and the datagrams of all of them by one socket.
#[test]
fn a_client_that_waited_too_long_is_hung_up_on_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    let host = Host::running(&format!("dbname={path};worker_wait_max=10"));
    for key in [&b"one"[..], b"two"] {
        host.set(key, b"value");
        host.until_evicted(key);
    }
    host.set(b"hot", b"value");
    host.set_parameter(b"bg_fetch_delay", b"900");
    let gone = Code::ENGINE_DISCONNECT;
    let (datagrams, other) = (bound(), bound());
    host.set_socket(&datagrams);
    assert_eq!(host.get(b"one"), Err(gone));
    let to = datagrams.local_addr().unwrap();
    other.send_to(b"more", to).unwrap();
    assert_eq!(datagrams.recv(&mut [0; 8]).unwrap(), 4);
    assert_eq!(host.get(b"hot"), Ok(b"value".to_vec()));
    let (own, mut client) = UnixStream::pair().unwrap();
    host.set_socket(&own);
    assert_eq!(host.get(b"two"), Err(gone));
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
    assert_eq!(host.get(b"hot"), Err(gone), "nobody reads it");
    host.disconnect();
    assert_eq!(host.get(b"hot"), Ok(b"value".to_vec()));
}

fn bound() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    socket
}

#[test]
fn writes_are_answered_when_they_are_durable() {
    let directory = tempfile::tempdir().unwrap();
    let config = format!("dbname={};sync_writes=true", directory.path().display());
    let host = Host::running(&config);
    for turn in 1..=3 {
        assert_eq!(host.store_held(b"k", b"value"), Code::ENGINE_EWOULDBLOCK);
        host.until_answered(turn);
        let dirty = |(name, _): &(String, String)| name == "key_is_dirty";
        let found = host.stats("key k 0").into_iter().find(dirty).unwrap();
        assert_eq!(found.1, "0");
    }
    // Who waits for no answer waits for no disk.
    host.set_noreply(true);
    assert_eq!(host.store_held(b"k", b"quiet"), SUCCESS);
    host.set_noreply(false);
    // Inside an online update nothing is durable before COMPLETE.
    let start = host.command(
        constants::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_START,
        &[],
        b"",
    );
    assert_eq!(start, [(0, Vec::new())]);
    assert_eq!(host.store_held(b"k", b"window"), SUCCESS);
    assert_eq!(host.answered(), 3);
}

#[test]
fn complete_and_revert_are_answered_when_they_begin() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::running(&format!("dbname={}", directory.path().display()));
    let [start, complete, revert] = [
        constants::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_START,
        constants::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_COMPLETE,
        constants::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_REVERT,
    ];
    host.set(b"k", b"before");
    for (end, outcome, value) in [
        (revert, "reverted", &b"before"[..]),
        (complete, "completed", b"window"),
    ] {
        assert_eq!(host.command(end, &[], b"")[0].0, 0x83, "no window");
        assert_eq!(host.command(start, &[], b""), [(0, Vec::new())]);
        host.set(b"k", b"window");
        let begun = host.command(end, &[], b"");
        assert!(
            begun[0].0 == 0 && begun[0].1.starts_with(b"started"),
            "{begun:?}"
        );
        host.until_update_is(outcome);
        assert_eq!(host.get(b"k"), Ok(value.to_vec()));
    }
}

#[test]
fn a_plain_terminal_can_do_it_too() {
    let host = Host::running("");
    let usage = host.line("online_update");
    assert!(
        usage.starts_with("CLIENT_ERROR") && usage.ends_with("\r\n"),
        "{usage}"
    );
    let refused = host.line("online_update revert");
    assert!(
        refused.starts_with("SERVER_ERROR no online update is open"),
        "{refused}"
    );
    host.set(b"k", b"before");
    let accepted = |word: &str| {
        let answer = host.line(&format!("online_update {word}"));
        let name = word.split(' ').next().unwrap();
        assert_eq!(
            answer,
            format!("ACCEPTED {name}, see online_update status\r\n")
        );
    };
    accepted("start 600");
    host.set(b"k", b"window");
    let status = host.line("online_update status");
    assert!(status.starts_with("STAT state open\r\n") && status.ends_with("\r\nEND\r\n"));
    assert_eq!(host.line("online_update deadline 0"), "OK\r\n");
    accepted("revert");
    host.until_update_is("reverted");
    assert_eq!(host.get(b"k"), Ok(b"before".to_vec()));
    accepted("start");
    accepted("complete");
    host.until_update_is("completed");
}

/// The host asks commands for every line that it does not know, and words its answer otherwise when
/// there are any.
#[test]
fn a_line_that_nobody_knows_is_an_error_as_without_our_commands() {
    let host = Host::running("");
    for line in ["mget 1", "gets", "online_updates start"] {
        assert_eq!(host.line(line), "ERROR unknown command\r\n", "{line}");
    }
    // Others are asked behind them, or before: then the host speaks for itself.
    register_command(another_command());
    let second = Host::running("");
    for host in [&host, &second] {
        assert_eq!(host.line("mget 1"), "ERROR no matching command\r\n");
        assert!(host.line("online_update").starts_with("CLIENT_ERROR"));
    }
}

/// Such a host ends its process over a line of one word that somebody may not use.
#[test]
fn a_host_that_authenticates_is_given_no_line_of_one_word() {
    let host = Host::created("1.15.0");
    for command in command::descriptors(ptr::null_mut(), true, true) {
        register_command(command);
    }
    for word in ["online_update", "gets"] {
        assert_eq!(host.line(word), "ERROR no matching command\r\n");
    }
    assert_eq!(host.line("mget 1"), "ERROR unknown command\r\n");
}

/// Expiries were converted by that clock.
#[test]
fn an_expiry_of_a_second_has_not_passed_when_it_arrives_though_the_clock_is_late() {
    be_late(1);
    let host = Host::running("");
    host.set(b"k", b"v");
    assert_eq!(host.touch(b"k", NOW + 1), SUCCESS);
    assert_eq!(host.get(b"k"), Ok(b"v".to_vec()));
    assert_eq!(host.touch(b"k", NOW), SUCCESS);
    assert_eq!(host.get(b"k"), Err(Code::ENGINE_KEY_ENOENT));
}

#[test]
fn a_worker_does_not_wait_for_an_operator() {
    let host = Host::running("");
    host.set(b"k", b"v");
    let set_vbucket = constants::CHECKPOINT_ENGINE_CMD_SET_VBUCKET;
    assert_eq!(host.command(set_vbucket, &3_u32.to_be_bytes(), b"")[0].0, 0);
    assert_eq!(host.get(b"k"), Err(Code::ENGINE_NOT_MY_VBUCKET));
    assert_eq!(host.command(set_vbucket, &1_u32.to_be_bytes(), b"")[0].0, 0);
    assert_eq!(host.get(b"k"), Ok(b"v".to_vec()));
}
