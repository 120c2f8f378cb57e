//! A node that keeps nothing on disk. The bytes in use are counted for the whole process, so tests
//! that look at how much stays have one of their own; the others look at what goes and stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::announced::{self, Refusal, announce};
use crate::config::Config;
use crate::engine::{Engine, TapEvent, TapMessage};
use crate::error::{Error, Result};
use crate::ffi::alloc::{alone, used_bytes};
use crate::host::Host;
use crate::host::fake::FakeHost;
use crate::settings::Family;
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::types::{StoreOp, VbucketState};

use super::tap::{bare, cookie};
use super::{CLIENT, OPERATOR, decide, text};

fn start(config: &str) -> (Arc<FakeHost>, Engine) {
    let host = Arc::new(FakeHost::new());
    let store: Arc<dyn Store> = Arc::new(MemoryStore);
    let config = Config::parse(config).unwrap();
    let given = Arc::clone(&host) as Arc<dyn Host>;
    (host, Engine::start_with(given, config, &store).unwrap())
}

fn set(engine: &Engine, key: &str, value: &[u8]) -> Result<u64> {
    let item = engine.allocate(key.as_bytes(), value.len(), 0, 0)?;
    item.fill(value);
    engine.store(CLIENT, &item, StoreOp::Set, 0)
}

fn get(engine: &Engine, key: &str) -> Option<String> {
    match engine.get(CLIENT, key.as_bytes(), 0) {
        Ok(item) => Some(text(&item)),
        Err(Error::NotFound) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn above_the_quota_the_least_recently_used_keys_go_and_a_used_one_stays() {
    alone(
        "engine::tests::memory::\
         above_the_quota_the_least_recently_used_keys_go_and_a_used_one_stays",
        || {
            let (host, engine) = start("");
            drop(engine);
            let quota = used_bytes() + (32 << 20);
            let (_, engine) = start(&format!("max_size={quota}"));
            let value = vec![b'v'; 100_000];
            set(&engine, "used", b"hot").unwrap();
            let mut last = None;
            // Three times what the quota leaves.
            for key in 0..1_000 {
                assert_eq!(get(&engine, "used").as_deref(), Some("hot"));
                if set(&engine, &key.to_string(), &value).is_ok() {
                    last = Some(key);
                }
            }
            let last = last.unwrap();
            assert!(engine.shared().metrics.evictions.get() > 300);
            assert!(
                get(&engine, &last.to_string()).is_some(),
                "the newest key is gone"
            );
            assert_eq!(get(&engine, "0"), None, "the oldest key is still there");
            assert_eq!(get(&engine, "used").as_deref(), Some("hot"));
            engine.shutdown();
            host.check();
        },
    );
}

/// Keys of so many that are there.
fn present(engine: &Engine, keys: std::ops::Range<u32>) -> usize {
    let is_there = |key: &u32| get(engine, &key.to_string()).is_some();
    keys.filter(is_there).count()
}

fn set_quota(engine: &Engine, bytes: usize) {
    let text = bytes.to_string();
    engine
        .set_parameter(Family::Flush, "max_size", &text)
        .unwrap();
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn overwriting_one_key_evicts_no_other() {
    alone(
        "engine::tests::memory::overwriting_one_key_evicts_no_other",
        || {
            let (host, engine) = start("");
            let value = vec![b'v'; 10_000];
            for key in 0..1_000 {
                set(&engine, &key.to_string(), &value).unwrap();
            }
            // 10 MB live; what the quota leaves besides is overwritten several times.
            set_quota(&engine, used_bytes() + (32 << 20));
            for _ in 0..20_000 {
                set(&engine, "one", &value).unwrap();
            }
            assert_eq!(present(&engine, 0..1_000), 1_000);
            assert_eq!(engine.shared().metrics.evictions.get(), 0);
            engine.shutdown();
            host.check();
        },
    );
}

/// What the hosts' own engine does, and their suite asks for.
#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn of_a_few_keys_exactly_the_oldest_goes_for_each_that_needs_its_room() {
    alone(
        "engine::tests::memory::of_a_few_keys_exactly_the_oldest_goes_for_each_that_needs_its_room",
        || {
            // Raised to the least that there is, of which the node itself must leave the most.
            let (host, engine) = start("cache_size=48");
            let value = vec![b'v'; 4096];
            set(&engine, "hot", &value).unwrap();
            let evictions = || engine.shared().metrics.evictions.get();
            let mut last = 0;
            while evictions() < 2 {
                assert!(get(&engine, "hot").is_some());
                let before = evictions();
                set(&engine, &last.to_string(), &value).unwrap();
                assert!(evictions() <= before + 1, "more went than a key needs");
                last += 1;
            }
            assert!(get(&engine, "hot").is_some());
            assert_eq!(present(&engine, 0..2), 0, "a younger key went");
            assert_eq!(present(&engine, 2..last), last as usize - 2);
            assert!(last > 150, "{last} keys of 4 KiB fill 1 MiB");
            engine.shutdown();
            host.check();
        },
    );
}

/// Nothing needs to have been stored under the quota that it has to go for.
#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn keys_from_before_a_quota_was_set_and_those_that_a_revert_brought_back_can_go() {
    alone(
        "engine::tests::memory::\
           keys_from_before_a_quota_was_set_and_those_that_a_revert_brought_back_can_go",
        || {
            let (host, engine) = start("");
            let base = used_bytes();
            let value = vec![b'v'; 100_000];
            for key in 0..200 {
                set(&engine, &key.to_string(), &value).unwrap();
            }
            assert_eq!(engine.start_update(CLIENT, None), Ok(Ok(())));
            for key in 0..100 {
                set(&engine, &key.to_string(), b"inside").unwrap();
            }
            let revert = || engine.revert_update(OPERATOR);
            assert_eq!(host.finish(OPERATOR, revert), Ok(Ok(())));
            // Room for 50 of 200. Nobody writes: the new quota itself is the reason.
            set_quota(&engine, base + 5_000_000);
            host.until("they went", || {
                engine.shared().metrics.evictions.get() >= 150
            });
            host.until("memory is back below the quota", || {
                used_bytes() <= base + 5_000_000
            });
            // And a write finds room, of the old keys as of the new ones.
            for key in 1_000..1_200 {
                set(&engine, &key.to_string(), &value).unwrap();
            }
            assert_eq!(present(&engine, 0..200), 0, "some can never go");
            assert!(get(&engine, "1199").is_some());
            engine.shutdown();
            host.check();
        },
    );
}

/// They are not touched, and what a REVERT goes back to all the same.
#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn in_a_window_no_key_of_before_it_makes_room() {
    alone(
        "engine::tests::memory::in_a_window_no_key_of_before_it_makes_room",
        || {
            let (host, engine) = start("");
            let value = vec![b'v'; 10_000];
            for key in 0..1_000 {
                set(&engine, &key.to_string(), &value).unwrap();
            }
            set_quota(&engine, used_bytes() + (16 << 20));
            assert_eq!(engine.start_update(CLIENT, None), Ok(Ok(())));
            let more = (0..10_000).map(|n| set(&engine, &format!("new{n}"), &value));
            let refused: Vec<_> = more.filter_map(Result::err).collect();
            assert!(refused.len() > 5_000, "{}", refused.len());
            assert!(refused.iter().all(|error| *error == Error::Temporary));
            engine.set_persistence(false);
            assert!(engine.complete_hindrance().is_some());
            engine.set_persistence(true);
            assert_eq!(engine.complete_hindrance(), None);
            let revert = || engine.revert_update(OPERATOR);
            assert_eq!(host.finish(OPERATOR, revert), Ok(Ok(())));
            assert_eq!(engine.shared().metrics.evictions.get(), 0);
            assert_eq!(present(&engine, 0..1_000), 1_000);
            // It is a cache again.
            for key in 0..3_000 {
                set(&engine, &format!("after{key}"), &value).unwrap();
            }
            assert!(engine.shared().metrics.evictions.get() > 500);
            engine.shutdown();
            host.check();
        },
    );
}

/// The mark that ends a master's window comes behind everything that the master writes.
#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn a_masters_window_makes_room_for_its_own_end() {
    alone(
        "engine::tests::memory::a_masters_window_makes_room_for_its_own_end",
        || {
            let (host, engine) = start("");
            engine.core.set_vbucket(0, VbucketState::Replica).unwrap();
            let peer = cookie();
            let receive = |message: &TapMessage<'_>| {
                let call = || engine.tap_receive(peer, message);
                host.finish(peer, call)
            };
            let mark = |code: u32| receive(&bare(TapEvent::Opaque, &code.to_be_bytes()));
            let value = vec![b'v'; 10_000];
            let write = |key: String, number: u32| {
                receive(&TapMessage {
                    key: key.as_bytes(),
                    data: &value,
                    cas: u64::from(number) + 1,
                    ..bare(TapEvent::Mutation, &[])
                })
            };
            set_quota(&engine, used_bytes() + (16 << 20));
            for number in 0..1_400 {
                write(format!("old{number}"), number).unwrap();
            }
            mark(4).unwrap();
            for number in 0..800 {
                write(format!("new{number}"), number).unwrap();
            }
            assert!(engine.shared().metrics.evictions.get() > 300);
            mark(5).unwrap();
            let vbucket = engine.vbucket(0).unwrap();
            assert_eq!(
                (vbucket.window_phase(), engine.consumers().len()),
                (None, 1)
            );
            engine.shutdown();
            host.check();
        },
    );
}

/// The window filled the memory; what a REVERT is still to drop is no reason to evict what it has
/// brought back.
#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn a_revert_out_of_full_memory_brings_every_key_back_and_loses_none() {
    alone(
        "engine::tests::memory::a_revert_out_of_full_memory_brings_every_key_back_and_loses_none",
        || {
            let (host, engine) = start("");
            let value = vec![b'w'; 10_000];
            for key in 0..500 {
                set(&engine, &key.to_string(), b"before").unwrap();
            }
            set_quota(&engine, used_bytes() + (32 << 20));
            for round in 0..10 {
                assert_eq!(engine.start_update(CLIENT, None), Ok(Ok(())));
                for key in (0..500).map(|key| key.to_string()) {
                    set(&engine, &key, b"inside").unwrap();
                }
                set(&engine, "busy", &value).unwrap();
                let refused =
                    (0..10_000).find(|n| set(&engine, &format!("big{n}"), &value).is_err());
                assert!(refused > Some(2_000), "{refused:?}");
                let ended = AtomicBool::new(false);
                std::thread::scope(|scope| {
                    // Each of these writes looks for room.
                    scope.spawn(|| {
                        while !ended.load(Ordering::Relaxed) {
                            let _either = set(&engine, "busy", &value);
                        }
                    });
                    let revert = || engine.revert_update(OPERATOR);
                    assert_eq!(host.finish(OPERATOR, revert), Ok(Ok(())));
                    set(&engine, "busy", &value).expect("there is room again");
                    ended.store(true, Ordering::Relaxed);
                });
                assert_eq!(present(&engine, 0..500), 500, "round {round}");
            }
            assert_eq!(engine.shared().metrics.evictions.get(), 0);
            engine.shutdown();
            host.check();
        },
    );
}

/// `-M` of a host.
#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn without_eviction_writes_are_refused_and_nothing_goes() {
    alone(
        "engine::tests::memory::without_eviction_writes_are_refused_and_nothing_goes",
        || {
            let (host, engine) = start("eviction=false");
            set_quota(&engine, used_bytes() + (4 << 20));
            let value = vec![b'v'; 10_000];
            let mut keys = 0;
            let refused = loop {
                match set(&engine, &keys.to_string(), &value) {
                    Ok(_) => keys += 1,
                    Err(error) => break error,
                }
            };
            assert!(keys > 300, "{keys}");
            // Before the value is sent, in the words that hosts have for that.
            assert_eq!(refused, Error::NoMemory);
            let announced = engine.allocate(b"k", value.len(), 0, 0);
            assert_eq!(announced.err(), Some(Error::NoMemory));
            assert_eq!(engine.shared().metrics.memory_exhausted.get(), 2);
            assert_eq!(engine.shared().metrics.evictions.get(), 0);
            assert_eq!(present(&engine, 0..keys), keys as usize);
            engine.remove(CLIENT, b"0", 0, 0).unwrap();
            host.until("its memory is free", || set(&engine, "0", &value).is_ok());
            engine.shutdown();
            host.check();
        },
    );
}

/// What is read again and again stays, whatever passes through.
#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn the_keys_in_use_outlive_those_that_nobody_asks_for() {
    alone(
        "engine::tests::memory::the_keys_in_use_outlive_those_that_nobody_asks_for",
        || {
            let (host, engine) = start("");
            let quota = used_bytes() + (16 << 20);
            set_quota(&engine, quota);
            let value = vec![b'v'; 10_000];
            for key in 0..300 {
                set(&engine, &format!("hot{key}"), &value).unwrap();
            }
            // Six times what fits passes through, and the hot keys are read in turns.
            for key in 0..9_000_u32 {
                let asked = format!("hot{}", key % 300);
                assert!(get(&engine, &asked).is_some(), "{asked} is gone at {key}");
                set(&engine, &key.to_string(), &value).unwrap();
            }
            // A cache is as large as it may be.
            let kept = engine
                .vbuckets()
                .map(|vb| vb.figures().bytes)
                .sum::<usize>();
            assert!(kept > 12 << 20, "{kept}");
            assert!(used_bytes() <= quota + quota / 8);
            let newest = present(&engine, 8_700..9_000);
            assert_eq!(newest, 300, "the newest are gone");
            assert_eq!(present(&engine, 0..3_000), 0, "the oldest are there");
            engine.shutdown();
            host.check();
        },
    );
}

#[test]
fn a_window_keeps_its_keys_above_the_quota_and_reverts_without_a_disk() {
    let (host, engine) = start("max_size=1048576");
    // The process uses more than that already: everything that may go goes.
    let _ = set(&engine, "k", b"before");
    let kept = get(&engine, "k");
    assert_eq!(engine.start_update(CLIENT, None), Ok(Ok(())));
    for key in 0..20 {
        let _ = set(&engine, &key.to_string(), b"inside");
    }
    let inside = (0..20)
        .filter(|key| get(&engine, &key.to_string()).is_some())
        .count();
    assert_eq!(
        inside,
        engine.update_report().window.touched,
        "a key of the window was evicted"
    );
    let revert = || engine.revert_update(OPERATOR);
    assert_eq!(host.finish(OPERATOR, revert), Ok(Ok(())));
    assert!((0..20).all(|key| get(&engine, &key.to_string()).is_none()));
    assert!(get(&engine, "k").is_none_or(|now| Some(now) == kept));
    engine.shutdown();
    host.check();
}

#[test]
fn without_a_quota_nothing_goes_and_windows_work_as_with_a_disk() {
    let (host, engine) = start("");
    for key in 0..1_000 {
        set(&engine, &key.to_string(), b"before").unwrap();
    }
    for completes in [false, true] {
        assert_eq!(engine.start_update(CLIENT, None), Ok(Ok(())));
        set(&engine, "1", b"inside").unwrap();
        set(&engine, "new", b"inside").unwrap();
        engine.remove(CLIENT, b"2", 0, 0).unwrap();
        let outcome = host.finish(OPERATOR, || decide(&engine, OPERATOR, completes));
        assert_eq!(outcome, Ok(Ok(())));
        let value = if completes { "inside" } else { "before" };
        assert_eq!(get(&engine, "1").as_deref(), Some(value));
        assert_eq!(get(&engine, "2").is_none(), completes);
        assert_eq!(get(&engine, "new").is_some(), completes);
    }
    assert_eq!(engine.shared().metrics.evictions.get(), 0);
    engine.shutdown();
    host.check();
}

/// A value that can never fit is refused for good, and nothing goes for it.
#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn a_value_that_can_never_fit_evicts_nothing() {
    alone(
        "engine::tests::memory::a_value_that_can_never_fit_evicts_nothing",
        || {
            let base = used_bytes();
            let (host, engine) = start("");
            set_quota(&engine, base + (10 << 20));
            let value = vec![b'v'; 20_000];
            for key in 0..100 {
                set(&engine, &key.to_string(), &value).unwrap();
            }
            for bytes in [12 << 20, 18 << 20, 9 << 20] {
                let refused = engine.allocate(b"large", bytes, 0, 0);
                assert!(matches!(refused, Err(Error::TooBig)), "{bytes}");
            }
            // Nor one that grows to that.
            set(&engine, "grows", &vec![b'v'; 3 << 20]).unwrap();
            for op in [StoreOp::Append, StoreOp::Prepend] {
                let part = engine.allocate(b"grows", 3 << 20, 0, 0).unwrap();
                let grown = engine.store(CLIENT, &part, op, 0);
                assert_eq!(grown, Err(Error::TooBig));
            }
            assert_eq!(present(&engine, 0..100), 100);
            assert_eq!(engine.shared().metrics.evictions.get(), 0);
            engine.shutdown();
            host.check();
        },
    );
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn announcements_are_bounded_by_shares_and_come_back() {
    alone(
        "engine::tests::memory::announcements_are_bounded_by_shares_and_come_back",
        || {
            const QUOTA: u64 = 300 << 20;
            const LARGE: usize = 20 << 20;
            let all = |bytes| {
                std::iter::from_fn(|| announce(bytes, QUOTA).ok().flatten()).collect::<Vec<_>>()
            };
            let large = all(LARGE);
            assert_eq!(large.len(), 4, "a quarter, and one that exceeds it");
            assert_eq!(announce(LARGE, QUOTA).unwrap_err(), Refusal::Now);
            let medium = all(1 << 20);
            assert_eq!(medium.len(), 37, "an eighth besides");
            assert_eq!(announced::bytes(), 4 * LARGE + (37 << 20));
            let short = announce(16 << 10, QUOTA).unwrap();
            assert!(short.is_none(), "it is not counted");
            drop((large, medium));
            assert_eq!(announced::bytes(), 0);
            for (bytes, quota) in [(12_000_000, 10_000_000), (18 << 20, 16 << 20)] {
                assert_eq!(announce(bytes, quota).unwrap_err(), Refusal::Never);
            }
            assert!(announce(8 << 20, 16 << 20).is_ok(), "half of it");
            assert!(announce(LARGE, u64::MAX).unwrap().is_none(), "no quota");
            let none = announce(1, 0).unwrap();
            assert!(none.is_none(), "whoever stores it is told");
        },
    );
}

/// What clients have announced and not sent is bounded, evicts nothing, and ordinary writes go on.
#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn announced_values_evict_nothing_and_ordinary_writes_go_on() {
    alone(
        "engine::tests::memory::announced_values_evict_nothing_and_ordinary_writes_go_on",
        || {
            const LARGE: usize = 20 << 20;
            let (host, engine) = start("max_size=300m");
            let value = vec![b'v'; 10_000];
            for key in 0..20_000 {
                set(&engine, &key.to_string(), &value).unwrap();
            }
            let mut held = Vec::new();
            let mut refused = 0;
            for _ in 0..60 {
                match engine.allocate(b"k", LARGE, 0, 0) {
                    Ok(item) => held.push(item),
                    Err(error) => {
                        assert_eq!(error, Error::Temporary);
                        refused += 1;
                    }
                }
            }
            assert!(used_bytes() < 300 << 20, "{} are held", held.len());
            assert_eq!((held.len(), refused), (4, 56));
            assert_eq!(engine.shared().metrics.announcements_refused.get(), 56);
            for key in 0..1_000 {
                set(&engine, &key.to_string(), &value).unwrap();
                set(&engine, "medium", &vec![b'v'; 200_000]).unwrap();
            }
            assert_eq!(present(&engine, 0..20_000), 20_000);
            assert_eq!(engine.shared().metrics.evictions.get(), 0);
            // One of them is stored, and others go: there is room for more.
            let item = held.pop().unwrap();
            engine.store(CLIENT, &item, StoreOp::Set, 0).unwrap();
            drop((item, held));
            for _ in 0..4 {
                set(&engine, "k", &vec![b'v'; LARGE]).unwrap();
            }
            engine.shutdown();
            host.check();
        },
    );
}

#[test]
fn a_vbucket_that_is_dead_for_a_while_in_a_window_loses_no_key() {
    alone(
        "engine::tests::memory::a_vbucket_that_is_dead_for_a_while_in_a_window_loses_no_key",
        || {
            let (host, engine) = start("");
            let value = vec![b'v'; 10_000];
            engine.core.set_vbucket(1, VbucketState::Active).unwrap();
            for key in 0..1_000 {
                set(&engine, &key.to_string(), &value).unwrap();
            }
            set_quota(&engine, used_bytes() + (16 << 20));
            assert_eq!(engine.start_update(CLIENT, None), Ok(Ok(())));
            engine.core.set_vbucket(0, VbucketState::Dead).unwrap();
            let refused = (0..5_000).filter(|number: &u32| {
                let key = number.to_string();
                let item = engine.allocate(key.as_bytes(), value.len(), 0, 0);
                item.and_then(|item| engine.store(CLIENT, &item, StoreOp::Set, 1))
                    .is_err()
            });
            assert!(refused.count() > 0);
            engine.core.set_vbucket(0, VbucketState::Active).unwrap();
            let revert = || engine.revert_update(OPERATOR);
            assert_eq!(host.finish(OPERATOR, revert), Ok(Ok(())));
            assert_eq!(present(&engine, 0..1_000), 1_000);
            engine.shutdown();
        },
    );
}
