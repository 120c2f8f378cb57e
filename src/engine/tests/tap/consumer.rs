//! The receiving side: every event in every state of a vbucket, what is malformed, and what a peer
//! is told when something cannot be taken now.

use std::sync::Arc;

use super::{
    ACK, BACKFILL, CHECKPOINTS, Link, Node, announce, arriving, assert_same, bare, checkpoint,
    contents, cookie, deletion, id, mutation, node_in, opaque, open_id, phase, receive, replica,
    value,
};
use crate::engine::{TapEvent, TapMessage};
use crate::error::Error;
use crate::host::LogLevel;
use crate::settings::Family;
use crate::tap::code::UPDATE_START;
use crate::tap::{FLAG_ACK, FLAG_NO_VALUE, FLUSH_ONE_VBUCKET};
use crate::types::StoreOp;
use crate::types::VbucketState::{Active, Dead, Pending, Replica};

fn set(key: &'static str, value: &'static str) -> TapMessage<'static> {
    TapMessage {
        key: key.as_bytes(),
        data: value.as_bytes(),
        ..bare(TapEvent::Mutation, &[])
    }
}

#[test]
fn items_are_stored_whatever_the_state_but_dead() {
    for state in [Active, Replica, Pending] {
        let node = node_in(state, "");
        let peer = cookie();
        let message = TapMessage {
            flags: 0x0102_0304,
            expiry: node.host.unix() + 100,
            cas: 77,
            ..set("k", "v")
        };
        receive(&node, peer, &message).unwrap();
        let expected = ("v".to_owned(), 0x0102_0304, message.expiry, 77);
        assert_eq!(contents(&node)["k"], expected, "{state:?}");
        deletion(&node, peer, "k").unwrap();
        assert!(contents(&node).is_empty());
        assert_eq!(
            deletion(&node, peer, "k"),
            Ok(()),
            "missing is as good as deleted"
        );
    }
}

#[test]
fn a_vbucket_that_is_dead_or_missing_takes_nothing() {
    let dead = node_in(Dead, "");
    for vbucket in [0, 1, 1024, u16::MAX] {
        let peer = cookie();
        let about = |message: TapMessage<'static>| {
            let message = TapMessage { vbucket, ..message };
            receive(&dead, peer, &message)
        };
        let delete = TapMessage {
            event: TapEvent::Deletion,
            ..set("k", "")
        };
        let flush = bare(TapEvent::Flush, &FLUSH_ONE_VBUCKET);
        for message in [set("k", "v"), delete, flush] {
            assert_eq!(about(message), Err(Error::NotMyVbucket), "{message:?}");
        }
        let start = TapMessage {
            data: &[0, 0, 0, 0, 0, 0, 0, 2],
            ..bare(TapEvent::CheckpointStart, &[])
        };
        let end = TapMessage {
            event: TapEvent::CheckpointEnd,
            ..start
        };
        let begins = bare(TapEvent::Opaque, &[0, 0, 0, 1]);
        for message in [start, end, begins] {
            assert_eq!(about(message), Err(Error::Disconnect), "{message:?}");
        }
    }
}

#[test]
fn a_state_is_set_and_a_vbucket_made() {
    let node = Node::with("vb0=false");
    let peer = cookie();
    for (wire, state) in [(3, Pending), (2, Replica), (1, Active), (4, Dead)] {
        let message = bare(
            TapEvent::VbucketSet,
            match wire {
                1 => &[0, 0, 0, 1],
                2 => &[0, 0, 0, 2],
                3 => &[0, 0, 0, 3],
                _ => &[0, 0, 0, 4],
            },
        );
        receive(&node, peer, &message).unwrap();
        assert_eq!(node.engine.vbucket_state(0), Some(state));
    }
    let malformed: [&[u8]; 6] = [
        &[],
        &[1],
        &[0, 0, 1],
        &[0, 0, 0, 0, 1],
        &[0; 4],
        &[0, 0, 0, 5],
    ];
    for bytes in malformed {
        let message = bare(TapEvent::VbucketSet, bytes);
        assert_eq!(
            receive(&node, peer, &message),
            Err(Error::Disconnect),
            "{bytes:?}"
        );
    }
    let message = TapMessage {
        vbucket: 1024,
        ..bare(TapEvent::VbucketSet, &[0, 0, 0, 2])
    };
    assert_eq!(receive(&node, peer, &message), Err(Error::Disconnect));
    assert_eq!(node.engine.vbucket_state(0), Some(Dead));
}

#[test]
fn ids_of_checkpoints_are_followed_by_replicas_only() {
    for (state, expected) in [(Replica, 40), (Pending, 40), (Active, 1)] {
        let node = node_in(state, "");
        let peer = cookie();
        checkpoint(&node, peer, TapEvent::CheckpointStart, 40).unwrap();
        assert_eq!(open_id(&node).get(), expected, "{state:?}");
        checkpoint(&node, peer, TapEvent::CheckpointEnd, 40).unwrap();
        checkpoint(&node, peer, TapEvent::CheckpointStart, 0).unwrap();
        assert_eq!(open_id(&node).get(), expected, "{state:?}");
    }
}

#[test]
fn ids_that_make_no_sense_are_refused() {
    let node = replica();
    let peer = cookie();
    for event in [TapEvent::CheckpointStart, TapEvent::CheckpointEnd] {
        for id in [1 << 62, u64::MAX - 1, u64::MAX] {
            let refused = checkpoint(&node, peer, event, id);
            assert_eq!(refused, Err(Error::Disconnect), "{id}");
        }
        for length in [0, 1, 4, 7, 9] {
            let message = TapMessage {
                data: &[1; 16][..length],
                ..bare(event, &[])
            };
            assert_eq!(
                receive(&node, peer, &message),
                Err(Error::Disconnect),
                "{length}"
            );
        }
    }
    for id in [1 << 62, u64::MAX] {
        assert_eq!(announce(&node, peer, 4, id), Err(Error::Invalid));
    }
    for code in [3, 7, u32::MAX] {
        assert_eq!(announce(&node, peer, code, 5), Err(Error::Invalid));
    }
    let message = TapMessage {
        vbucket: 1024,
        ..bare(TapEvent::Opaque, &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5])
    };
    assert_eq!(receive(&node, peer, &message), Err(Error::Invalid));
    assert_eq!((open_id(&node).get(), phase(&node)), (0, None));
    // The last one that may come leaves room for a node that goes on as a master.
    checkpoint(&node, peer, TapEvent::CheckpointStart, (1 << 62) - 1).unwrap();
    node.activate(0);
    node.write();
    node.start().unwrap();
    node.revert().unwrap();
    assert!(open_id(&node).get() > 1 << 62);
}

#[test]
fn the_present_id_changes_nothing_and_an_earlier_one_is_gone_back_to() {
    let node = replica();
    let peer = cookie();
    for id in [5, 6] {
        checkpoint(&node, peer, TapEvent::CheckpointStart, id).unwrap();
        mutation(&node, peer, "k", &id.to_string()).unwrap();
    }
    let vbucket = node.engine.vbucket(0).unwrap();
    let before = vbucket.with_log(|log| (log.next_seqno(), log.open_id()));
    for event in [TapEvent::CheckpointStart, TapEvent::CheckpointEnd] {
        checkpoint(&node, peer, event, 6).unwrap();
        assert_eq!(
            vbucket.with_log(|log| (log.next_seqno(), log.open_id())),
            before
        );
    }
    for id in [5, 1, 6] {
        checkpoint(&node, peer, TapEvent::CheckpointStart, id).unwrap();
        checkpoint(&node, peer, TapEvent::CheckpointEnd, 6).unwrap();
        assert_eq!(open_id(&node).get(), id);
        node.write();
        let persisted = vbucket.with_log(|log| log.persisted_id().get());
        assert!(persisted < id, "{persisted} {id}");
    }
}

#[test]
fn opaque_messages_that_nobody_knows_are_ignored_with_a_word() {
    let node = replica();
    let peer = cookie();
    let unknown: [&[u8]; 5] = [&[], &[0, 0, 4], &[0, 0, 0, 0, 4], &[0, 0, 0, 99], &[0; 13]];
    for bytes in unknown {
        assert_eq!(
            receive(&node, peer, &bare(TapEvent::Opaque, bytes)),
            Ok(()),
            "{bytes:?}"
        );
    }
    for text in [
        "a length that no message has",
        "a code that this engine does not know",
    ] {
        assert!(node.host.has_logged(LogLevel::Warning, text));
    }
    // Those of a master or of an external migrator need none.
    for code in [0, 2, 3, 7] {
        assert_eq!(opaque(&node, peer, code), Ok(()));
    }
}

#[test]
fn a_key_that_a_client_has_locked_is_not_overwritten() {
    let node = Node::new();
    node.set(0, "k", "v");
    let client = cookie();
    let lock = || node.engine.get_locked(client, b"k", 0, 0);
    node.host.finish(client, lock).unwrap();
    let peer = cookie();
    assert_eq!(mutation(&node, peer, "k", "w"), Err(Error::Exists));
    assert_eq!(deletion(&node, peer, "k"), Err(Error::Exists));
    assert_eq!(value(&node, "k").as_deref(), Some("v"));
}

/// A lock means nothing on a vbucket that is not active, and ends when it stops being active: what
/// a master says of the key is followed at once, whatever it is.
#[test]
fn a_lock_ends_when_its_vbucket_stops_being_active() {
    for state in [Replica, Pending, Dead] {
        for config in ["", "durability=none"] {
            let node = Node::with(config);
            let client = cookie();
            let keys = ["set", "deleted", "inside", "free"];
            for key in keys {
                node.set(0, key, "before");
                let lock = || node.engine.get_locked(client, key.as_bytes(), 30, 0);
                node.host.finish(client, lock).unwrap();
            }
            node.engine.core.set_vbucket(0, state).unwrap();
            let peer = cookie();
            if state != Dead {
                assert_eq!(mutation(&node, peer, "set", "after"), Ok(()), "{state:?}");
                assert_eq!(deletion(&node, peer, "deleted"), Ok(()));
                for (end, expected) in [(6, "before"), (5, "inside")] {
                    opaque(&node, peer, 4).unwrap();
                    mutation(&node, peer, "inside", "inside").unwrap();
                    assert_eq!(opaque(&node, peer, end), Ok(()));
                    assert_eq!(value(&node, "inside").as_deref(), Some(expected));
                }
            }
            // Nor does it come back.
            node.engine.core.set_vbucket(0, Active).unwrap();
            for key in keys {
                assert!(node.store(StoreOp::Set, 0, key, "free").is_ok(), "{key}");
            }
        }
    }
}

#[test]
fn without_memory_a_peer_is_asked_to_wait_or_cut_off() {
    let node = replica();
    let settings = &node.engine.shared().settings;
    settings.set(Family::Flush, "max_size", "1").unwrap();
    let peer = cookie();
    assert_eq!(receive(&node, peer, &set("k", "v")), Err(Error::Temporary));
    let silent = TapMessage {
        tap_flags: 0,
        ..set("k", "v")
    };
    assert_eq!(receive(&node, peer, &silent), Err(Error::Disconnect));
    // A peer that said it wants failures answered gets the answer.
    opaque(&node, peer, 0).unwrap();
    assert!(node.host.answers_errors(peer));
    assert_eq!(receive(&node, peer, &silent), Err(Error::Temporary));
    assert_eq!(node.engine.shared().metrics.tap_throttled.get(), 3);
    // Who is told to come again for another reason is not short of memory.
    let other = node_in(Pending, "");
    other.start().unwrap();
    let mark = opaque(&other, peer, UPDATE_START);
    assert_eq!(mark, Err(Error::Temporary));
    assert_eq!(other.engine.shared().metrics.tap_throttled.get(), 0);
    assert_eq!(node.engine.shared().metrics.tap_throttled.get(), 3);
    node.engine.reset_stats();
    assert_eq!(node.engine.shared().metrics.tap_throttled.get(), 0);
    assert_eq!(deletion(&node, peer, "k"), Ok(()), "that needs none");
}

#[test]
fn what_cannot_be_stored_is_refused() {
    let node = replica();
    let peer = cookie();
    let bare_value = TapMessage {
        tap_flags: FLAG_ACK | FLAG_NO_VALUE,
        ..set("k", "")
    };
    assert_eq!(receive(&node, peer, &bare_value), Err(Error::Invalid));
    assert_eq!(receive(&node, peer, &set("", "v")), Err(Error::Invalid));
    let own = node_in(Active, "");
    let long = vec![b'v'; own.engine.config().max_item_size + 1];
    let message = TapMessage {
        data: &long,
        ..set("k", "")
    };
    assert_eq!(receive(&own, peer, &message), Err(Error::TooBig));
    let fits = TapMessage {
        data: &long[1..],
        ..message
    };
    assert_eq!(receive(&own, peer, &fits), Ok(()));
    assert!(own.host.answers_errors(peer));
}

/// The keys that the node says it lacks.
fn lacking(node: &Node) -> Vec<(Vec<u8>, usize)> {
    let lacking = node.engine.lacking().into_iter();
    lacking.map(|(_, key, bytes)| (key.into(), bytes)).collect()
}

/// A value that a replica can never keep: what the key held before is wrong, so reads miss; the
/// stream goes on, and the node says which keys it lacks, for as long as it does.
#[test]
fn a_value_that_can_never_be_kept_deletes_the_key_and_is_told() {
    let large = vec![b'v'; 21 << 20];
    let medium = vec![b'v'; 600_000];
    // By the longest item, and by the quota.
    for (config, long) in [("", &large), ("max_size=1000000", &medium)] {
        for state in [Replica, Pending] {
            let node = node_in(state, config);
            let peer = cookie();
            let too_big = |key: &'static str| TapMessage {
                data: long,
                ..set(key, "")
            };
            let quota = |bytes: &str| {
                let engine = &node.engine;
                engine
                    .set_parameter(Family::Flush, "max_size", bytes)
                    .unwrap();
            };
            let bytes = node.engine.shared().settings.max_size.get().to_string();
            // What was there before is older than the quota.
            quota(&u64::MAX.to_string());
            receive(&node, peer, &set("k", "old")).unwrap();
            quota(&bytes);
            for key in ["k", "new", "again"] {
                assert_eq!(receive(&node, peer, &too_big(key)), Ok(()), "{config}");
                assert_eq!(value(&node, key), None, "{config} {key}");
            }
            let sizes: Vec<_> = lacking(&node).into_iter().map(|(_, bytes)| bytes).collect();
            assert_eq!(sizes, [long.len(); 3]);
            assert_eq!(node.engine.shared().metrics.tap_too_big.get(), 3);
            assert_eq!(node.engine.shared().metrics.evictions.get(), 0);
            assert!(node.host.has_logged(LogLevel::Warning, "can never be kept"));
            // A short value, a deletion and a flush settle it.
            quota(&u64::MAX.to_string());
            receive(&node, peer, &set("k", "short")).unwrap();
            assert_eq!(value(&node, "k").as_deref(), Some("short"));
            assert_eq!(lacking(&node).len(), 2);
            deletion(&node, peer, "new").unwrap();
            assert_eq!(lacking(&node), [(b"again".to_vec(), long.len())]);
            receive(&node, peer, &bare(TapEvent::Flush, &FLUSH_ONE_VBUCKET)).unwrap();
            assert_eq!(lacking(&node), []);
        }
    }
}

/// In a window: REVERT brings back what the key held, and nothing is lacking.
#[test]
fn a_revert_takes_a_value_back_that_could_not_be_kept() {
    let node = replica();
    let peer = cookie();
    mutation(&node, peer, "k", "before").unwrap();
    announce(&node, peer, 4, 7).unwrap();
    opaque(&node, peer, 4).unwrap();
    let large = vec![b'v'; 21 << 20];
    for key in ["k", "new"] {
        let message = TapMessage {
            data: &large,
            ..set(key, "")
        };
        receive(&node, peer, &message).unwrap();
    }
    assert_eq!((value(&node, "k"), lacking(&node).len()), (None, 2));
    announce(&node, peer, 6, 7).unwrap();
    opaque(&node, peer, 6).unwrap();
    assert_eq!(value(&node, "k").as_deref(), Some("before"));
    assert_eq!(lacking(&node), []);
}

/// What was lacking before a window is so again when that was reverted.
#[test]
fn a_revert_leaves_what_was_lacking_before() {
    let large = vec![b'v'; 21 << 20];
    let too_big = TapMessage {
        data: &large,
        ..set("k", "")
    };
    let short = set("k", "short");
    let flush = bare(TapEvent::Flush, &FLUSH_ONE_VBUCKET);
    for inside in [too_big, short, flush] {
        let node = replica();
        let peer = cookie();
        receive(&node, peer, &too_big).unwrap();
        announce(&node, peer, 4, 7).unwrap();
        opaque(&node, peer, 4).unwrap();
        receive(&node, peer, &inside).unwrap();
        let lacks = usize::from(inside.data.len() == large.len());
        assert_eq!(lacking(&node).len(), lacks);
        announce(&node, peer, 6, 7).unwrap();
        opaque(&node, peer, 6).unwrap();
        assert_eq!(value(&node, "k"), None);
        assert_eq!(lacking(&node), [(b"k".to_vec(), large.len())]);
    }
}

/// The CAS of a master stays, so that a client's still holds after a failover; one that would
/// exhaust the numbers does not.
#[test]
fn a_cas_is_kept_unless_it_is_absurd() {
    let node = replica();
    let peer = cookie();
    let cas_of = |cas| {
        receive(
            &node,
            peer,
            &TapMessage {
                cas,
                ..set("k", "v")
            },
        )
        .unwrap();
        contents(&node)["k"].3
    };
    assert_eq!(cas_of(1 << 61), 1 << 61);
    for absurd in [0, 1 << 62, u64::MAX] {
        let given = cas_of(absurd);
        assert!(given > 1 << 61 && given < 1 << 62, "{given}");
    }
    node.activate(0);
    assert!(node.set(0, "k", "w") > 1 << 61);
}

#[test]
fn a_flush_is_of_one_vbucket_if_it_says_so() {
    let node = Node::with_vbuckets(2);
    let peer = cookie();
    let fill = || {
        node.set(0, "k", "v");
        node.set(1, "k", "v");
    };
    fill();
    let one = TapMessage {
        vbucket: 1,
        ..bare(TapEvent::Flush, &FLUSH_ONE_VBUCKET)
    };
    receive(&node, peer, &one).unwrap();
    assert_eq!((node.get(0, "k").is_some(), node.get(1, "k")), (true, None));
    fill();
    receive(&node, peer, &bare(TapEvent::Flush, &[])).unwrap();
    assert_eq!((node.get(0, "k"), node.get(1, "k")), (None, None));
}

#[test]
fn a_flush_of_the_master_arrives_in_its_place() {
    let (master, other) = (Node::new(), replica());
    let mut link = Link::replicate(&master, &other);
    master.set(0, "a", "1");
    master.flush_all();
    master.set(0, "b", "1");
    link.settle(&master, &other);
    let texts: Vec<&str> = link.texts();
    assert_eq!(texts[texts.len() - 2..], ["flush", "set b 1"]);
    assert_same(&master, &other);
    assert_same(&master.crash_after_a_write(), &other.crash_after_a_write());
}

#[test]
fn a_message_for_a_vbucket_that_is_being_loaded_waits() {
    let node = replica();
    let peer = cookie();
    for key in ["a", "b", "c"] {
        mutation(&node, peer, key, "before").unwrap();
    }
    node.write();
    let (host, store) = (Arc::clone(&node.host), node.store.clone());
    drop(node);
    store.hold_scan(Some(id(0)));
    let next = Node::over(host, store, "vb0=false;waitforwarmup=false");
    next.host
        .until("it is being loaded", || next.store.held() > 0);
    let begun = next
        .host
        .call(peer, || next.engine.tap_receive(peer, &set("a", "after")));
    assert_eq!(begun, Err(Error::WouldBlock));
    next.store.hold_scan(None);
    next.host.wait(peer);
    receive(&next, peer, &set("a", "after")).unwrap();
    assert_eq!(value(&next, "a").as_deref(), Some("after"));
    assert_eq!(value(&next, "b").as_deref(), Some("before"));
}

/// "A replica killed and restarted ... is behind": it asks for what follows its last checkpoint
/// that is whole, and gets that and no more.
#[test]
fn a_restarted_replica_goes_on_behind_its_last_whole_checkpoint() {
    let (master, other) = (Node::with("chk_max_items=100"), replica());
    let mut link = Link::replicate(&master, &other);
    (0..150).for_each(|key| {
        master.set(0, &key.to_string(), "1");
    });
    link.settle(&master, &other);
    assert_eq!(open_id(&other).get(), 2);
    link.disconnect(&master, Some(&other));
    let other = other.crash_after_a_write();
    assert_eq!(open_id(&other).get(), 2);
    let mut link = Link::replicate(&master, &other);
    link.settle(&master, &other);
    let items = link
        .texts()
        .iter()
        .filter(|text| text.starts_with("set"))
        .count();
    assert_eq!((items, link.count("opaque 1")), (50, 0));
    assert_same(&master, &other);
    assert_eq!(open_id(&master), open_id(&other));
}

/// A backfill into a vbucket that serves clients empties it and leaves its own ids alone.
#[test]
fn a_backfill_empties_the_vbucket_first() {
    for state in [Replica, Pending, Active] {
        let node = node_in(state, "");
        let peer = cookie();
        mutation(&node, peer, "old", "1").unwrap();
        opaque(&node, peer, 1).unwrap();
        mutation(&node, peer, "new", "1").unwrap();
        opaque(&node, peer, 8).unwrap();
        let node = node.crash_after_a_write();
        let keys: Vec<String> = contents(&node).into_keys().collect();
        assert_eq!(keys, ["new"], "{state:?}");
    }
}

/// During a backfill the open id is 0, "unknown", and what was persisted is no checkpoint to go on
/// behind.
#[test]
fn a_backfill_that_was_cut_off_by_a_crash_leaves_nothing_to_go_on_from() {
    let (master, other) = (Node::new(), replica());
    master.set(0, "a", "1");
    let mut link = Link::replicate(&master, &other);
    link.settle(&master, &other);
    link.disconnect(&master, Some(&other));
    let peer = cookie();
    opaque(&other, peer, 1).unwrap();
    assert_eq!(open_id(&other).get(), 0);
    let other = other.crash_after_a_write();
    assert!(contents(&other).is_empty());
    master.set(0, "b", "1");
    let mut link = Link::replicate(&master, &other);
    link.settle(&master, &other);
    assert_same(&master, &other);
}

/// Everything that a stream sends can be taken: nothing is lost between the two forms.
#[test]
fn what_streams_send_is_what_nodes_receive() {
    let (master, other) = (Node::new(), replica());
    let expiring = master.item("e", "with an end", 3000);
    let client = cookie();
    let store = || master.engine.store(client, &expiring, StoreOp::Set, 0);
    master.host.finish(client, store).unwrap();
    master.set(0, "empty", "");
    let flags = BACKFILL | ACK | CHECKPOINTS;
    let link = Link::connect(&master, "replica", flags, &[0; 8]).unwrap();
    let mut seen = 0;
    loop {
        let message = link.next(&master);
        let Some(arrives) = arriving(&message) else {
            break;
        };
        receive(&other, link.peer, &arrives).unwrap();
        link.answer(&master, message.seqno, 0);
        seen += 1;
    }
    assert!(seen > 3);
    assert_same(&master, &other);
    let state = other.engine.vbucket_state(0);
    assert_eq!(state, Some(Replica));
}

/// What a killed sender left in the network comes after the next one has begun.
#[test]
fn an_earlier_stream_writes_nothing_once_a_later_one_has() {
    let replica = replica();
    let [old, new, raw] = [cookie(), cookie(), cookie()];
    for peer in [old, new] {
        opaque(&replica, peer, 0).unwrap();
        opaque(&replica, peer, 2).unwrap();
    }
    mutation(&replica, old, "k", "1").unwrap();
    deletion(&replica, new, "k").unwrap();
    assert_eq!(mutation(&replica, old, "k", "1"), Err(Error::Disconnect));
    assert_eq!(opaque(&replica, old, 4), Err(Error::Disconnect));
    assert_eq!(value(&replica, "k"), None);
    assert_eq!(phase(&replica), None);
    let text = "closed a stream that another one has come after";
    assert!(replica.host.has_logged(LogLevel::Warning, text));
    // Who did not begin like a stream is bound by nothing, and binds nobody.
    mutation(&replica, raw, "k", "2").unwrap();
    mutation(&replica, new, "k", "3").unwrap();
    mutation(&replica, raw, "k", "4").unwrap();
}
