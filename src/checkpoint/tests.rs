//! Directed tests of the log; `model` has the one with random operations.

use std::time::Duration;

use proptest::strategy::{Just, Strategy};
use proptest::test_runner::{Config, RngSeed};
use proptest::{collection, prop_oneof, proptest};

use super::due::Clocks;
use super::segment::Segments;
use super::{
    Ageing, Begin, Change, Checkpoint, Entry, Limits, Log, Op, Phase, PreImage, Prior, ReadEnd,
    View,
};
use crate::item::{Item, Meta};
use crate::types::{CheckpointId, Seqno};

mod model;

const LIMITS: Limits = Limits {
    items_max: 1_000_000,
    period: 600,
    checkpoints_max: usize::MAX,
    bytes_max: usize::MAX,
};

/// Cases of a model; `PROPTEST_CASES` has it run more, and `PROPTEST_RNG_SEED` others.
const CASES: u32 = 3_000;

/// How a model is run: by `seed`, if nobody asks for another one.
pub(crate) fn thorough(seed: u64) -> Config {
    let asked = Config::default();
    Config {
        failure_persistence: None,
        rng_seed: match asked.rng_seed {
            RngSeed::Random => RngSeed::Fixed(seed),
            other @ RngSeed::Fixed(_) => other,
        },
        cases: asked.cases.max(CASES),
        ..asked
    }
}

/// What a test looks at in an entry.
struct Live {
    seqno: Seqno,
    op: Op,
    key: Option<u8>,
    bytes: usize,
}

fn live_entries(checkpoint: &Checkpoint) -> Vec<Live> {
    let mut entries = Vec::new();
    checkpoint.entries.visit_after(Seqno::ZERO, &mut |entry| {
        entries.push(Live {
            seqno: entry.seqno(),
            op: entry.op(),
            key: entry.item.as_ref().map(|item| item.key()[0]),
            bytes: entry.item.as_ref().map_or(0, Item::memory_bytes),
        });
        true
    });
    entries
}

/// The item of a version: the version is its CAS and, in some form, its value.
fn item_of(key: u8, version: u32) -> Item {
    let value = version.to_be_bytes();
    let length = 1 + version as usize % 4;
    let meta = Meta {
        hash: u32::from(key),
        flags: 0,
        expiry: 0,
        cas: u64::from(version),
    };
    Item::with_value(&[key], &[&value, &value[..length]], meta).unwrap()
}

fn log() -> Log {
    Log::new(CheckpointId::new(1), u64::MAX, 0)
}

fn set(log: &mut Log, key: u8, version: u32, prior: Option<(Seqno, &Item)>) -> Seqno {
    let prior = prior.map(|(seqno, item)| Prior {
        item,
        seqno,
        deleted: false,
        keep_value: seqno > log.persisted(),
    });
    log.append(Op::Set, item_of(key, version), prior.as_ref()).0
}

fn open(log: &mut Log) {
    assert!(log.open_window(0, Duration::ZERO));
}

/// Operations and keys of all live entries.
fn trace(log: &Log) -> Vec<(Op, Option<u8>)> {
    let entries = log.all().flat_map(live_entries);
    entries.map(|entry| (entry.op, entry.key)).collect()
}

fn versions(changes: &[Change]) -> Vec<u64> {
    changes
        .iter()
        .filter_map(|change| Some(change.item.as_ref()?.cas()))
        .collect()
}

/// Everything that may be written behind a position.
fn read_all(log: &Log, after: Seqno) -> (Vec<Change>, ReadEnd) {
    let mut changes = Vec::new();
    let mut end = log.read(View::Store, after, usize::MAX, &mut changes);
    while !end.exhausted {
        let closed = end.closed;
        end = log.read(View::Store, end.upto, usize::MAX, &mut changes);
        end.closed = end.closed.or(closed);
    }
    (changes, end)
}

fn pre_image(log: &mut Log, seqno: Seqno) -> Option<PreImage> {
    let entry = log.find_mut(seqno)?.entries.get_mut(seqno)?;
    entry.pre_image().cloned()
}

#[test]
fn a_key_written_a_million_times_in_a_window_costs_one_entry() {
    let mut log = log();
    let first = item_of(1, 1);
    let mut at = set(&mut log, 1, 1, None);
    open(&mut log);
    let mut held_max = 0;
    let last = item_of(1, 2);
    for _ in 0..1_000_000 {
        let prior = Prior {
            item: if log.open.mutations == 0 {
                &first
            } else {
                &last
            },
            seqno: at,
            deleted: false,
            keep_value: true,
        };
        at = log.append(Op::Set, last.clone(), Some(&prior)).0;
        held_max = held_max.max(log.open.entries.held());
    }
    assert!(held_max <= 6, "{held_max} entries for one key");
    let report = log.window_report().unwrap();
    assert_eq!((report.touched, report.bytes), (1, last.memory_bytes()));
    let Some(PreImage::Present { item, seqno }) = pre_image(&mut log, at) else {
        panic!("no pre-image");
    };
    assert_eq!((item.cas(), seqno), (1, Seqno::new(2)));
}

#[test]
fn memory_of_a_window_follows_its_keys_and_not_its_writes() {
    let mut log = log();
    open(&mut log);
    let mut at = [None; 250];
    let items: Vec<Item> = (0..250).map(|key| item_of(key, 1)).collect();
    // A multiplier that walks through the keys in a scattered order.
    for write in 0..100_000_usize {
        let key = write * 7_919 % items.len();
        let prior = at[key].map(|seqno| (seqno, &items[key]));
        at[key] = Some(set(&mut log, u8::try_from(key).unwrap(), 1, prior));
        assert!(log.open.entries.held() <= 2 * (items.len() + 1) + 1);
    }
    assert_eq!(log.window_report().unwrap().touched, 250);
}

#[test]
fn flushes_without_end_cost_one_entry() {
    for window in [false, true] {
        let mut log = log();
        if window {
            open(&mut log);
        }
        for _ in 0..10_000 {
            log.flush();
        }
        assert!(
            log.open.entries.held() <= 6,
            "{} entries",
            log.open.entries.held()
        );
        assert_eq!(log.unpersisted(), 1);
    }
}

#[test]
fn a_window_obeys_no_limit_and_the_checkpoint_behind_it_does() {
    let limits = Limits {
        items_max: 2,
        period: 5,
        ..LIMITS
    };
    let mut log = Log::new(CheckpointId::new(7), u64::MAX, 0);
    open(&mut log);
    for key in 0..10 {
        set(&mut log, key, 1, None);
        log.close_if_due(&limits, || 100);
    }
    assert_eq!(log.close_if_old(&limits, 1_000_000), Ageing::None);
    assert_eq!(
        (log.checkpoints(), log.open_id()),
        (2, CheckpointId::new(8))
    );
    assert!(log.begin_complete(0));
    for key in 0..4 {
        set(&mut log, key, 2, None);
        log.close_if_due(&limits, || 100);
    }
    assert_eq!(
        (log.checkpoints(), log.open_id()),
        (5, CheckpointId::new(11))
    );
}

#[test]
fn a_full_or_an_old_checkpoint_is_closed_and_an_empty_one_is_not() {
    let limits = Limits {
        items_max: 100,
        period: 5,
        bytes_max: 3 * item_of(1, 1).memory_bytes(),
        ..LIMITS
    };
    let mut log = Log::new(CheckpointId::new(1), u64::MAX, 10);
    assert_eq!(log.close_if_old(&limits, 1_000), Ageing::None);
    set(&mut log, 1, 1, None);
    assert_eq!(log.close_if_old(&limits, 14), Ageing::Ages);
    assert_eq!(log.open_id(), CheckpointId::new(1));
    assert_eq!(log.close_if_old(&limits, 15), Ageing::Closed);
    assert_eq!(log.open_id(), CheckpointId::new(2));
    for key in 1..=3 {
        log.close_if_due(&limits, || 15);
        assert_eq!(log.open_id(), CheckpointId::new(2));
        set(&mut log, key, 1, None);
    }
    log.close_if_due(&limits, || 15);
    assert_eq!(log.open_id(), CheckpointId::new(3));
}

#[test]
fn a_step_in_the_wrong_state_changes_nothing() {
    let mut log = log();
    set(&mut log, 1, 1, None);
    let none = trace(&log);
    assert!(!log.begin_complete(0) && !log.begin_revert(0, Clocks::default()));
    log.complete_failed();
    assert!(log.completed().is_empty() && log.reverted().is_empty());
    assert_eq!((trace(&log), log.window_report()), (none, None));
    open(&mut log);
    let opened = trace(&log);
    assert!(!log.open_window(0, Duration::ZERO));
    log.complete_failed();
    assert!(log.completed().is_empty() && log.reverted().is_empty());
    assert_eq!(
        (trace(&log), log.window().unwrap().phase),
        (opened, Phase::Open)
    );
    assert!(log.begin_revert(0, Clocks::default()));
    let reverting = trace(&log);
    assert!(!log.open_window(0, Duration::ZERO));
    assert!(!log.begin_complete(0) && !log.begin_revert(0, Clocks::default()));
    log.complete_failed();
    assert!(log.completed().is_empty());
    assert_eq!(trace(&log), reverting);
}

/// Where no store has any value: a COMPLETE may fail, and a REVERT then finds what there was.
#[test]
fn a_window_keeps_every_key_until_it_has_ended_unless_a_master_has_to_end_it() {
    let mut log = log();
    set(&mut log, b'k', 1, None);
    assert!(log.kept(false).is_none());
    open(&mut log);
    let keeps_all = |log: &Log| [false, true].map(|follows| log.kept(follows).unwrap().has_all());
    assert_eq!(keeps_all(&log), [true, true]);
    assert!(log.begin_complete(0));
    assert_eq!(keeps_all(&log), [true, true]);
    log.complete_failed();
    assert_eq!(keeps_all(&log), [true, true]);
    let mut log = self::log();
    log.follow_start(None, 0, Duration::ZERO);
    assert_eq!(keeps_all(&log), [true, false]);
}

#[test]
fn a_failed_complete_merges_what_came_later_into_the_window() {
    let limits = Limits {
        items_max: 2,
        ..LIMITS
    };
    let mut log = Log::new(CheckpointId::new(1), u64::MAX, 0);
    let before = set(&mut log, 9, 1, None);
    open(&mut log);
    let nine = item_of(9, 1);
    let second = set(&mut log, 9, 2, Some((before, &nine)));
    assert!(log.begin_complete(0));
    let nine = item_of(9, 2);
    let third = set(&mut log, 9, 3, Some((second, &nine)));
    for key in 1..=4 {
        set(&mut log, key, 1, None);
        log.close_if_due(&limits, || 0);
    }
    log.flush();
    assert_eq!(log.checkpoints(), 5);
    let last = log.last;
    log.complete_failed();
    let expected = [
        (Op::CheckpointStart, None),
        (Op::Set, Some(9)),
        (Op::CheckpointEnd, None),
        (Op::CheckpointStart, None),
        (Op::UpdateStart, None),
        (Op::Set, Some(9)),
        (Op::Set, Some(9)),
        (Op::Set, Some(1)),
        (Op::Set, Some(2)),
        (Op::Set, Some(3)),
        (Op::Set, Some(4)),
        (Op::Flush, None),
    ];
    assert_eq!(trace(&log), expected);
    assert_eq!(
        (log.open_id(), log.checkpoints()),
        (CheckpointId::new(2), 2)
    );
    assert_eq!(log.last, last);
    assert_eq!(log.window_report().unwrap().touched, 6);
    assert!(!log.bury_duplicate(third, third));
    assert!(log.bury_duplicate(second, third));
    assert_eq!(log.window_report().unwrap().touched, 5);
    let old = pre_image(&mut log, third);
    assert!(matches!(old, Some(PreImage::Present { item, .. }) if item.cas() == 1));
    // The ids that were given meanwhile are not given again.
    assert!(log.begin_revert(0, Clocks::default()));
    assert_eq!(log.open_id(), CheckpointId::new(6));
}

#[test]
fn a_complete_that_fails_twice_ends_with_one_window() {
    let mut log = log();
    open(&mut log);
    let one = item_of(1, 1);
    let mut at = set(&mut log, 1, 1, None);
    for round in 0..2 {
        assert!(log.begin_complete(0));
        let later = set(&mut log, 1, 1, Some((at, &one)));
        log.complete_failed();
        assert!(log.bury_duplicate(at, later));
        at = later;
        let count = log.window_report().unwrap().touched;
        assert_eq!((count, log.checkpoints()), (1, 2), "round {round}");
    }
    assert!(log.begin_complete(0));
    let mut changes = Vec::new();
    assert_eq!(log.read_window(Seqno::ZERO, usize::MAX, &mut changes), None);
    assert_eq!(versions(&changes), [1]);
    assert!(matches!(pre_image(&mut log, at), Some(PreImage::Absent)));
}

#[test]
fn only_the_durable_version_of_a_pre_image_is_let_go() {
    let mut log = log();
    let one = item_of(1, 1);
    let before = set(&mut log, 1, 1, None);
    open(&mut log);
    let latest = set(&mut log, 1, 2, Some((before, &one)));
    assert!(log.pre_image_saved(latest, before.next(), false).is_none());
    assert!(log.pre_image_saved(before, before, false).is_none());
    let full = log.pre_image_saved(latest, before, false).unwrap();
    assert!(full.is(&one) || full.value() == one.value());
    assert!(log.pre_image_saved(latest, before, false).is_none());
    let left = pre_image(&mut log, latest);
    assert!(matches!(left, Some(PreImage::Present { item, .. }) if !item.is_resident()));
}

#[test]
fn a_pre_image_that_is_on_disk_keeps_no_value() {
    let mut log = log();
    let one = item_of(1, 1);
    let before = set(&mut log, 1, 1, None);
    drop(log.advance(before, None));
    open(&mut log);
    let latest = set(&mut log, 1, 2, Some((before, &one)));
    let left = pre_image(&mut log, latest);
    assert!(matches!(left, Some(PreImage::Present { item, .. }) if !item.is_resident()));
}

#[test]
fn a_flush_in_the_window_counts_no_longer_after_the_revert() {
    let mut log = log();
    let before = log.flush();
    set(&mut log, 1, 1, None);
    open(&mut log);
    let inside = log.flush();
    assert_eq!(log.floor(), inside);
    assert!(log.begin_revert(0, Clocks::default()));
    assert_eq!(log.floor(), before);
    let (changes, end) = read_all(&log, Seqno::ZERO);
    let flushes = changes.iter().filter(|change| change.op == Op::Flush);
    assert_eq!(
        (flushes.count(), end.exhausted, end.consistent),
        (1, true, true)
    );
}

#[test]
fn a_flush_behind_a_revert_stays() {
    let mut log = log();
    open(&mut log);
    log.flush();
    assert!(log.begin_revert(0, Clocks::default()));
    let later = log.flush();
    drop(log.reverted());
    assert_eq!(log.floor(), later);
    assert_eq!(log.unpersisted(), 1);
}

#[test]
fn a_key_flushed_before_the_window_has_an_absent_pre_image() {
    let mut log = log();
    let one = item_of(1, 1);
    let before = set(&mut log, 1, 1, None);
    log.flush();
    open(&mut log);
    let latest = set(&mut log, 1, 2, Some((before, &one)));
    assert!(matches!(
        pre_image(&mut log, latest),
        Some(PreImage::Absent)
    ));
}

#[test]
fn a_reverted_window_is_freed_when_it_is_through_and_not_before() {
    let mut log = log();
    open(&mut log);
    let at = set(&mut log, 1, 1, None);
    assert!(log.begin_revert(0, Clocks::default()));
    let (changes, end) = read_all(&log, Seqno::ZERO);
    assert!(changes.is_empty() && end.upto == log.last);
    assert_eq!(log.advance(end.upto, end.closed).len(), 1);
    assert!(
        log.take_pre_image(at).is_some(),
        "freed while keys were still to be taken back"
    );
    // Its changes, and the checkpoint.
    assert_eq!(log.reverted().len(), 2);
    assert_eq!((log.checkpoints(), log.unpersisted()), (1, 0));
}

/// Persistence may be stopped, and a stream may not come on.
#[test]
fn a_reverted_window_holds_nothing_whoever_has_still_to_pass_it() {
    let mut log = log();
    log.register(b"slow".as_slice(), Begin::Open);
    open(&mut log);
    let keys: u64 = 3_000;
    let places: Vec<_> = (0..keys)
        .map(|key| set(&mut log, key.to_le_bytes()[0], 1, None))
        .collect();
    assert!(log.begin_revert(0, Clocks::default()));
    for at in places {
        assert!(log.take_pre_image(at).is_some());
    }
    let free = log.reverted();
    let changes: usize = free.iter().map(Checkpoint::changes).sum();
    assert_eq!(changes as u64, keys);
    drop(log.advance(log.last, None));
    assert_eq!((log.held_back(), log.remaining(Seqno::ZERO)), (0, 0));
    let (mut told, mut at) = (Vec::new(), Seqno::ZERO);
    loop {
        let end = log.read(View::Stream, at, 10_000, &mut told);
        at = end.upto;
        if end.consistent && end.exhausted {
            break;
        }
    }
    let told: Vec<_> = told.iter().map(|change| change.op).collect();
    assert!(!told.iter().any(|op| op.is_change()), "{told:?}");
    assert!(told.contains(&Op::UpdateStart) && told.contains(&Op::UpdateRevert));
    assert_eq!(at, log.last);
}

#[test]
fn nothing_of_a_window_is_forgotten_to_make_room() {
    let mut log = log();
    let before = set(&mut log, 1, 1, None);
    open(&mut log);
    let inside = set(&mut log, 2, 1, None);
    assert!(log.forget(inside).is_none());
    assert!(
        log.forget(before)
            .is_some_and(|entry| entry.seqno() == before)
    );
    assert!(log.forget(before).is_none());
    assert!(read_all(&log, Seqno::ZERO).0.is_empty());
}

#[derive(Clone, Debug)]
enum Touch {
    Push,
    Remove(usize),
    RemoveRun(usize, usize),
    Append(usize),
}

/// Numbers of all live entries behind `after`.
fn numbers(segments: &Segments, after: Seqno) -> Vec<u64> {
    let mut numbers = Vec::new();
    segments.visit_after(after, &mut |entry: &Entry| {
        numbers.push(entry.seqno().get());
        true
    });
    numbers
}

fn check_segments(segments: &mut Segments, expected: &[u64], last: u64) {
    assert_eq!(numbers(segments, Seqno::ZERO), expected);
    assert_eq!(segments.live(), expected.len());
    assert!(segments.held() <= 2 * expected.len() + 1);
    for probe in [0, 1, last / 3, last / 2, last, last + 1] {
        let behind: Vec<u64> = expected.iter().copied().filter(|&n| n > probe).collect();
        assert_eq!(numbers(segments, Seqno::new(probe)), behind);
        let found = segments
            .get_mut(Seqno::new(probe))
            .map(|entry| entry.seqno().get());
        assert_eq!(found, expected.contains(&probe).then_some(probe));
    }
}

fn touch() -> impl Strategy<Value = Touch> {
    prop_oneof![
        6 => Just(Touch::Push),
        2 => (0..usize::MAX).prop_map(Touch::Remove),
        2 => ((0..usize::MAX), (1..600_usize)).prop_map(|(at, n)| Touch::RemoveRun(at, n)),
        1 => (0..600_usize).prop_map(Touch::Append),
    ]
}

proptest! {
    #![proptest_config(Config {
        cases: 64,
        ..thorough(0x5e6)
    })]

    #[test]
    fn segments_hold_what_was_pushed_and_not_removed(
        touches in collection::vec(touch(), 1..60),
    ) {
        let mut segments = Segments::default();
        let mut expected: Vec<u64> = Vec::new();
        let mut last = 0;
        let mut push = |to: &mut Segments, expected: &mut Vec<u64>, count: usize| {
            for _ in 0..count {
                last += 1;
                to.push(Entry::new(Seqno::new(last), Op::Flush, None));
                expected.push(last);
            }
            last
        };
        let mut end = 0;
        for touch in touches {
            match touch {
                Touch::Push => end = push(&mut segments, &mut expected, 90),
                Touch::Append(count) => {
                    let mut other = Segments::default();
                    end = push(&mut other, &mut expected, count);
                    segments.append(other);
                }
                Touch::Remove(at) | Touch::RemoveRun(at, _) if expected.is_empty() => {
                    assert!(segments.remove(Seqno::new(at as u64)).is_none());
                }
                Touch::Remove(at) => {
                    let gone = expected.remove(at % expected.len());
                    assert!(segments.remove(Seqno::new(gone)).is_some());
                    assert!(segments.remove(Seqno::new(gone)).is_none());
                }
                Touch::RemoveRun(at, count) => {
                    let from = at % expected.len();
                    let to = (from + count).min(expected.len());
                    for gone in expected.drain(from..to) {
                        assert!(segments.remove(Seqno::new(gone)).is_some());
                    }
                }
            }
            check_segments(&mut segments, &expected, end);
        }
    }
}

#[test]
fn a_segment_goes_when_its_last_entry_goes_at_every_edge() {
    // One entry less than a segment holds, a full one, one more, and two full ones.
    for count in [255, 256, 257, 512, 513] {
        for reverse in [false, true] {
            let mut segments = Segments::default();
            for seqno in 1..=count {
                segments.push(Entry::new(Seqno::new(seqno), Op::Flush, None));
            }
            let mut left: Vec<u64> = (1..=count).collect();
            while !left.is_empty() {
                let gone = if reverse {
                    left.pop().unwrap()
                } else {
                    left.remove(0)
                };
                assert!(
                    segments.remove(Seqno::new(gone)).is_some(),
                    "{gone} of {count}"
                );
                assert_eq!(segments.live(), left.len());
                assert!(segments.held() <= 2 * left.len());
            }
            assert_eq!(
                (segments.held(), numbers(&segments, Seqno::ZERO)),
                (0, Vec::new())
            );
            segments.push(Entry::new(Seqno::new(count + 1), Op::Flush, None));
            assert_eq!(numbers(&segments, Seqno::ZERO), [count + 1]);
        }
    }
}

#[test]
fn with_enough_checkpoints_only_bytes_close_the_open_one() {
    let limits = Limits {
        items_max: 2,
        period: 5,
        checkpoints_max: 2,
        bytes_max: 6 * item_of(1, 1).memory_bytes(),
    };
    let mut log = log();
    for key in 1..=7 {
        set(&mut log, key, 1, None);
        log.close_if_due(&limits, || 0);
    }
    assert_eq!(log.close_if_old(&limits, 1_000), Ageing::Ages);
    assert_eq!((log.checkpoints(), log.open.mutations), (2, 5));
    set(&mut log, 8, 1, None);
    log.close_if_due(&limits, || 0);
    assert_eq!((log.checkpoints(), log.open.mutations), (3, 0));
    // Once the flusher is through, the first two limits count again.
    let (changes, end) = read_all(&log, Seqno::ZERO);
    drop(log.advance(end.upto, end.closed));
    assert_eq!((changes.len(), log.checkpoints()), (8, 1));
    set(&mut log, 1, 2, None);
    set(&mut log, 2, 2, None);
    log.close_if_due(&limits, || 0);
    assert_eq!((log.checkpoints(), log.logged()), (2, 10));
}

#[test]
fn what_was_logged_is_counted_whatever_became_of_it() {
    let mut log = log();
    let one = item_of(1, 1);
    let mut at = set(&mut log, 1, 1, None);
    for _ in 0..9 {
        at = set(&mut log, 1, 1, Some((at, &one)));
    }
    log.flush();
    open(&mut log);
    set(&mut log, 2, 1, None);
    assert!(log.begin_revert(0, Clocks::default()));
    drop(log.reverted());
    let (_, end) = read_all(&log, Seqno::ZERO);
    drop(log.advance(end.upto, end.closed));
    assert_eq!((log.logged(), log.unpersisted()), (11, 0));
}

/// Marks and keys that a stream is given behind a position.
fn stream(log: &Log, after: Seqno) -> Vec<(Op, Option<u8>)> {
    let mut changes = Vec::new();
    let mut end = log.read(View::Stream, after, 1, &mut changes);
    while !end.exhausted {
        end = log.read(View::Stream, end.upto, 1, &mut changes);
    }
    let key = |change: &Change| change.item.as_ref().map(|item| item.key()[0]);
    changes
        .iter()
        .map(|change| (change.op, key(change)))
        .collect()
}

#[test]
fn a_stream_that_begins_in_a_window_begins_with_its_start() {
    let mut log = log();
    set(&mut log, 1, 1, None);
    open(&mut log);
    set(&mut log, 2, 1, None);
    let at = log.register(&b"s"[..], Begin::Open).at;
    let mut expected = vec![
        (Op::CheckpointStart, None),
        (Op::UpdateStart, None),
        (Op::Set, Some(2)),
    ];
    assert_eq!(stream(&log, at), expected);
    assert!(log.begin_complete(0));
    set(&mut log, 3, 1, None);
    // The end has to wait until the store has it, and so has what follows.
    assert_eq!((stream(&log, at), log.remaining(at)), (expected.clone(), 2));
    drop(log.advance(log.window().unwrap().barrier, None));
    drop(log.completed());
    expected.extend([
        (Op::UpdateEnd, None),
        (Op::CheckpointEnd, None),
        (Op::CheckpointStart, None),
        (Op::Set, Some(3)),
    ]);
    assert_eq!(stream(&log, at), expected);
}

#[test]
fn a_stream_is_given_a_reverted_window_whole_and_the_store_nothing_of_it() {
    let mut log = log();
    let at = log.register(&b"s"[..], Begin::Oldest).at;
    open(&mut log);
    set(&mut log, 1, 1, None);
    assert!(log.begin_revert(0, Clocks::default()));
    set(&mut log, 2, 1, None);
    let marks: Vec<Op> = stream(&log, at).iter().map(|(op, _)| *op).collect();
    let expected = [
        Op::CheckpointStart,
        Op::CheckpointEnd,
        Op::CheckpointStart,
        Op::UpdateStart,
        Op::Set,
        Op::UpdateRevert,
        Op::CheckpointEnd,
        Op::CheckpointStart,
        Op::Set,
    ];
    assert_eq!((marks.as_slice(), log.remaining(at)), (&expected[..], 2));
    assert_eq!(log.unpersisted(), 1);
}

#[test]
fn a_cursor_goes_forward_only_and_not_beyond_the_log() {
    let mut log = log();
    let at = set(&mut log, 1, 1, None);
    let last = set(&mut log, 2, 1, None);
    log.register(&b"s"[..], Begin::Open);
    drop(log.move_cursor(b"s", at));
    drop(log.move_cursor(b"s", Seqno::ZERO));
    assert_eq!(log.cursor(b"s"), Some(at));
    drop(log.move_cursor(b"s", Seqno::new(1_000)));
    assert_eq!((log.cursor(b"s"), log.cursor(b"t")), (Some(last), None));
}

#[test]
fn ten_thousand_windows_leave_no_memory_behind() {
    let mut log = log();
    for _ in 0..10_000 {
        open(&mut log);
        assert!(log.begin_revert(0, Clocks::default()));
        drop(log.reverted());
        let (_, end) = read_all(&log, log.persisted());
        drop(log.advance(end.upto, end.closed));
    }
    assert_eq!((log.checkpoints(), log.entries()), (1, 1));
    assert!(log.closed.capacity() < 16);
}
