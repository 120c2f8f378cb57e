//! The sentences of docs/online-update.md, each with the tests that show it. A name that begins
//! with `test_` is a client test over a real socket. `tests/tidy.rs` checks that the tests exist.
//!
//! # Commands
//! - What each command does in each state, and that a refusal has words:
//!   `commands_in_the_wrong_state_are_refused_in_words_and_change_nothing`,
//!   `test_in_a_window_start_is_refused`, `e4_a_refusal_is_of_the_whole_and_says_why`
//! - All active and pending vbuckets at once, on every one or none:
//!   `pending_vbuckets_take_part_and_dead_ones_do_not`, `e5_a_command_takes_all_vbuckets_or_none`,
//!   `windows_open_and_end_on_all_vbuckets_or_on_none`,
//!   `without_reserved_ids_no_window_begins`, `test_all_active_vbuckets_take_part`
//! - Racing operators get one winner:
//!   `two_operators_who_race_get_exactly_one_winner`, `test_of_many_operators_one_wins`,
//!   `every_interleaving_of_two_operators_a_client_and_the_flusher`
//! - A replica is left alone, and decided once it is promoted:
//!   `a_replica_is_left_alone_and_decided_once_it_is_active`,
//!   `test_a_replica_is_left_alone_until_it_is_promoted`
//! - Malformed requests are invalid:
//!   `test_malformed_commands_are_invalid_and_change_nothing`,
//!   `test_lengths_beyond_the_body_are_invalid`
//! - A client that leaves stops nothing:
//!   `a_client_that_leaves_at_any_instant_of_a_command_stops_nothing`,
//!   `test_a_client_that_leaves_after_a_command_does_not_stop_it`
//! - Notified once, with SUCCESS, with no lock held; the second call gives the result:
//!   `review_4_the_client_that_was_told_to_wait_is_notified`,
//!   `the_notification_of_a_command_comes_with_no_lock_held`,
//!   `rule_06_a_notification_says_success`,
//!   `the_outcome_is_given_once_and_never_to_somebody_else`
//!
//! # START
//! - 1, a new checkpoint with the start item, the persistence cursor held at the barrier:
//!   `review_1_every_cursor_stands_right_behind_the_start_and_the_end_item`
//! - 1, what lies before the barrier is flushed at once:
//!   `the_cap_a_lower_setting_and_a_start_cut_the_wait_short`
//! - 2, nothing behind the barrier reaches the store by any path:
//!   `nothing_of_a_window_reaches_the_store_by_any_path`,
//!   `a_shutdown_in_a_window_writes_what_came_before_it_and_nothing_of_it`
//! - 3, one checkpoint however long, memory by distinct keys:
//!   `a_window_is_one_checkpoint_of_its_distinct_keys`,
//!   `a_key_written_a_million_times_in_a_window_costs_one_entry`,
//!   `memory_of_a_window_follows_its_keys_and_not_its_writes`
//! - 4, it answers soon whatever the amount of data:
//!   `start_costs_the_same_whatever_the_amount_of_data`
//!
//! # While the window is open
//! - All operations go on as always:
//!   `every_operation_answers_in_a_window_as_it_does_outside`
//! - The first touch records the pre-image, the value only until it is on disk:
//!   `a_pre_image_that_is_on_disk_keeps_no_value`,
//!   `only_the_durable_version_of_a_pre_image_is_let_go`,
//!   `b8_flags_cas_and_expiry_are_those_from_before`
//! - A flush is a deletion of every key and is undone:
//!   `a_flush_in_the_window_is_taken_back_and_one_that_completes_is_not`
//! - A vbucket created in the window joins it; one that changes its state keeps its window:
//!   `a_vbucket_made_in_the_window_joins_it`,
//!   `e2_a_vbucket_that_was_dead_meanwhile_can_be_decided`,
//!   `test_a_vbucket_that_changes_state_keeps_its_window`
//! - Deleting a vbucket is refused:
//!   `only_a_dead_vbucket_outside_of_a_window_is_deleted`,
//!   `test_a_vbucket_of_the_window_cannot_be_deleted`
//! - Dirty values are not evicted; a full quota is a temporary failure:
//!   `what_the_store_does_not_have_stays_in_memory_whatever_the_marks_say`,
//!   `f5_memory_full_of_a_window_is_a_temporary_failure`
//!
//! # COMPLETE
//! - The end item, a new checkpoint, the cursor released; streams wait for the commit:
//!   `review_1_every_cursor_stands_right_behind_the_start_and_the_end_item`
//! - One durable commit of all vbuckets before the answer:
//!   `complete_is_one_commit_over_all_vbuckets_and_durable_before_the_answer`,
//!   `complete_under_periodic_durability_survives_a_crash_of_the_machine`,
//!   `f3_a_complete_is_atomic_whatever_the_size_of_a_transaction`,
//!   `test_complete_is_on_disk_when_it_answers`
//! - Clients go on; what is committed is the state at the acceptance:
//!   `complete_commits_the_state_at_its_acceptance_and_later_writes_follow`
//! - If the store cannot commit, the window is open again and nothing is lost:
//!   `complete_that_cannot_commit_leaves_the_window_open_with_all_that_was_written`,
//!   `complete_that_cannot_be_synced_is_not_in_the_store_either`,
//!   `complete_with_persistence_stopped_says_what_to_do_and_loses_nothing`,
//!   `revert_after_a_failed_complete_takes_everything_back`
//!
//! # REVERT
//! - The revert item, the cursor moved past the window, exact bookkeeping:
//!   `review_2_every_cursor_stands_right_behind_the_revert_item`,
//!   `f7_a_long_window_leaves_exact_figures`, `test_nothing_waits_to_be_written_after_a_revert`
//! - No window value is seen from the acceptance on, and nobody waits for the whole:
//!   `c2_nobody_waits_for_a_revert`, `c3_reads_see_all_of_a_revert_at_once`,
//!   `what_is_written_after_revert_stays_and_is_flushed`,
//!   `readers_see_a_revert_of_many_vbuckets_at_one_instant`
//! - An added key is removed completely:
//!   `review_5_an_added_key_leaves_no_entry_in_the_hash_table`
//! - Others are as they were, evicted, or dirty where the value was not on disk:
//!   `a_revert_gives_back_cas_flags_and_expiry_from_memory_and_from_the_store`,
//!   `a_reverted_value_comes_from_the_disk_or_with_undo_in_memory_from_there`,
//!   `b1_what_was_not_on_disk_at_start_comes_back`,
//!   `revert_right_after_start_loses_none_of_fifty_thousand_unwritten_values`,
//!   `revert_with_persistence_stopped_brings_back_what_is_not_on_disk`
//! - Pre-images stay in memory on request, while the quota allows:
//!   `c5_with_undo_in_memory_no_read_follows_a_revert`,
//!   `pre_images_kept_in_memory_go_when_memory_is_short_and_those_not_on_disk_stay`
//! - Values are read back in the background below the low-water mark:
//!   `reverted_values_come_back_by_a_scan_or_one_by_one_if_they_are_few`,
//!   `it_ends_at_the_low_water_mark`
//! - Its counters:
//!   `the_report_follows_the_window`, `test_all_kinds_of_mutation_come_back`
//!
//! # TAP and replicas
//! - The three items go down every stream in their place, each as two messages:
//!   `a_mark_is_two_messages_in_its_place_in_the_order`,
//!   `d6_a_stream_without_checkpoints_carries_windows_too`
//! - An announced mark applies to that checkpoint or is an error, a bare one to what is open:
//!   `a_mark_for_another_window_is_an_error`,
//!   `bare_marks_apply_to_whichever_window_is_open`
//! - A replica does what its master did, and persists nothing of the window:
//!   `a_replica_does_not_persist_the_window`,
//!   `b9_a_completed_window_reaches_the_disk_of_the_replica`,
//!   `both_sides_are_equal_after_all`
//! - A mark that does not fit is an error answer and a log line:
//!   `a_mark_that_fits_nothing_is_an_error`, `marks_in_every_state`
//! - A stream that starts inside the window gives the state at the barrier, then the window:
//!   `a_backfill_inside_the_window_is_of_the_state_before_it`,
//!   `a_backfill_behind_a_flush_of_the_window_brings_what_was_flushed`,
//!   `b10_a_replica_that_joins_inside_the_window_can_revert_and_complete`
//! - Marks wake the streams of an idle master:
//!   `d1_a_mark_wakes_an_idle_stream`
//! - A stream that reconnects repeats the start; the id makes marks idempotent:
//!   `a_stream_that_goes_on_inside_the_window_repeats_the_start`,
//!   `d2_a_stream_that_comes_back_inside_the_window_goes_on`,
//!   `a_mark_that_was_applied_is_accepted_again`,
//!   `a_refused_start_is_not_lost_with_the_connection`,
//!   `a_replica_that_lost_what_it_acknowledged_gets_it_again`,
//!   `an_earlier_stream_writes_nothing_once_a_later_one_has`
//! - A window that its master lost is taken back by the replica, and its id never used again:
//!   `a_checkpoint_that_follows_without_an_end_takes_the_window_back`,
//!   `a_start_of_another_window_takes_the_lost_one_back`,
//!   `d5_a_replica_takes_back_a_window_that_its_master_lost`,
//!   `a_master_that_lost_its_window_goes_on_behind_its_id`
//! - A takeover moves the window with the vbucket:
//!   `d4_a_takeover_moves_the_window`,
//!   `a_takeover_that_was_cut_off_leaves_the_window_where_it_was`,
//!   `a_takeover_waits_for_a_complete_that_is_running`,
//!   `the_new_owner_is_active_when_the_store_of_the_old_one_says_that_it_is_dead`,
//!   `a_takeover_into_a_window_of_the_new_owner_is_no_part_of_it`,
//!   `start_at_the_new_owner_in_the_middle_of_a_takeover_is_about_the_others`,
//!   `a_stream_does_not_end_the_window_of_an_operator`
//! - What was refused comes again before all that follows it, marks above all:
//!   `what_was_refused_comes_before_all_that_follows`,
//!   `b15_a_refused_mutation_is_sent_again_before_the_mark`
//! - A master's REVERT waits for no replica; one that was restarted catches up:
//!   `a_replica_that_was_restarted_inside_the_window_catches_up`,
//!   `a_backfill_that_was_cut_off_leaves_no_id_behind`,
//!   `a_replica_that_is_reset_resets_its_own_replicas_when_it_is_whole`
//!
//! # Crash and restart
//! - A node that dies in a window comes back with the state at START:
//!   `a_crash_in_a_window_is_an_implicit_revert_and_uses_no_id_again`,
//!   `test_no_death_and_no_shutdown_makes_a_window_permanent`
//! - It knows by a marker in the store, and says so:
//!   `the_store_says_what_was_decided_and_whether_a_window_is_left`,
//!   `a_revert_that_cannot_be_noted_in_the_store_still_reverts`,
//!   `a_crash_after_a_window_finds_what_was_decided`, `f1_a_window_lost_at_a_restart_is_told`
//!
//! # Introspection
//! - State, seconds, keys by kind, bytes, progress, last outcome, also by vbucket:
//!   `the_report_follows_the_window`, `the_report_tells_what_runs_and_how_far_it_is`,
//!   `a_window_is_reported_by_what_was_done_to_its_keys`, `test_statistics_tell_the_outcome`
//! - A bounded sample of the touched keys:
//!   `touched_keys_are_shown_with_what_happened_to_them`,
//!   `a_sample_of_keys_is_bounded_and_takes_some_of_each_vbucket`,
//!   `test_touched_keys_are_shown_by_prefix`
//!
//! # Invariants
//! - 1 and 2, what is read after REVERT and COMPLETE, and after a restart:
//!   `random_operations_and_windows_are_as_the_model_says`,
//!   `what_a_revert_leaves_is_a_prefix_of_the_writes_over_all_vbuckets`,
//!   `f2_a_complete_that_answered_is_durable`
//! - 3, the store is a prefix of history that ends at or before the barrier:
//!   `every_commit_leaves_a_state_that_was_and_none_lies_behind_a_barrier`
//! - 4, no operation waits longer than for one fetch:
//!   `no_operation_waits_for_an_update_longer_than_for_one_fetch`
//! - 5, the host goes on:
//!   `random_operations_and_windows_are_as_the_model_says`,
//!   `a_complete_that_fails_twice_ends_with_one_window`

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use super::{CLIENT, Node, OPERATOR, decide};
use crate::engine::UpdateState;
use crate::error::{Error, Result};
use crate::ffi::alloc::allocations_of_this_thread;
use crate::host::Cookie;
use crate::item::Item;
use crate::settings::Family;
use crate::types::{Arithmetic, StoreOp, VbucketState};

fn begin(node: &Node, completes: bool) {
    let begun = node
        .host
        .call(OPERATOR, || decide(&node.engine, OPERATOR, completes));
    assert_eq!(begun, Err(Error::WouldBlock));
}

/// Waits for a command that was begun.
fn end(node: &Node, completes: bool) {
    let outcome = node.decide(completes);
    assert_eq!(outcome, Ok(()));
}

/// Commands: they act on all active and pending vbuckets; a dead one is not told.
#[test]
fn pending_vbuckets_take_part_and_dead_ones_do_not() {
    for completes in [false, true] {
        let node = Node::with_vbuckets(3);
        node.set(1, "k", "before");
        node.engine
            .core
            .set_vbucket(1, VbucketState::Pending)
            .unwrap();
        node.engine.core.set_vbucket(2, VbucketState::Dead).unwrap();
        node.start().unwrap();
        let has_window = |id| node.engine.vbucket(id).unwrap().window_phase().is_some();
        assert_eq!([0, 1, 2].map(has_window), [true, true, false]);
        node.activate(1);
        node.set(1, "k", "inside");
        node.engine
            .core
            .set_vbucket(1, VbucketState::Pending)
            .unwrap();
        begin(&node, completes);
        end(&node, completes);
        assert_eq!([0, 1, 2].map(has_window), [false; 3]);
        node.activate(1);
        let expected = if completes { "inside" } else { "before" };
        assert_eq!(node.get(1, "k").as_deref(), Some(expected));
    }
}

/// Commands: the client is notified from a thread of the engine, with no lock
/// held: another client gets through everything while the host is still in the notification.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a client that may block must not keep the test from failing"
)]
fn the_notification_of_a_command_comes_with_no_lock_held() {
    for completes in [false, true] {
        let node = Node::new();
        node.set(0, "k", "before");
        node.write();
        node.start().unwrap();
        node.set(0, "k", "inside");
        let (engine, host) = (Arc::clone(&node.engine), Arc::clone(&node.host));
        let (told, hears) = mpsc::channel();
        let caller = thread::current().id();
        node.host.at_next_notification(move || {
            let own_thread = thread::current().id() != caller;
            let (done, is_done) = mpsc::channel();
            let other = thread::spawn(move || {
                let state = engine.update_report().state;
                let item = engine.allocate(b"k", 1, 0, 0).unwrap();
                item.fill(b"v");
                engine.store(CLIENT, &item, StoreOp::Set, 0).unwrap();
                let other = Cookie::new(0x3000);
                let start = || engine.start_update(other, None);
                host.finish(other, start).unwrap().unwrap();
                engine.core.set_vbucket(0, VbucketState::Active).unwrap();
                done.send(state).unwrap();
            });
            let state = is_done.recv_timeout(Duration::from_secs(20));
            if state.is_ok() {
                other.join().unwrap();
            }
            told.send((own_thread, state)).unwrap();
        });
        begin(&node, completes);
        node.host.wait(OPERATOR);
        let told = hears.recv().unwrap();
        assert_eq!(told, (true, Ok(UpdateState::None)));
        end(&node, completes);
        assert_eq!(node.state(), UpdateState::Open);
    }
}

/// START, 4: it takes effect in microseconds to milliseconds whatever the amount
/// of data: it allocates the same few blocks, reads nothing, and waits for no commit.
#[test]
fn start_costs_the_same_whatever_the_amount_of_data() {
    let costs = [10, 20_000].map(|keys| {
        let node = Node::with_vbuckets(8);
        for key in 0..keys {
            node.set(key % 8, &key.to_string(), "before");
        }
        node.write();
        node.store.hold_commits(true);
        let before = (node.store.reads(), node.store.scans());
        let allocations = allocations_of_this_thread();
        let start = || node.engine.start_update(OPERATOR, None);
        assert_eq!(node.host.call(OPERATOR, start), Err(Error::WouldBlock));
        let allocations = allocations_of_this_thread() - allocations;
        assert_eq!((node.store.reads(), node.store.scans()), before);
        assert_eq!(node.state(), UpdateState::Open);
        allocations
    });
    assert_eq!(costs[0], costs[1]);
}

/// What an item looks like to a client, but for its CAS.
fn seen(node: &Node, found: Result<Item>) -> String {
    let show = |item: Item| {
        let left = item.expiry().saturating_sub(node.host.unix());
        let locked = item.cas() == u64::MAX;
        format!("{} {} {left} {locked}", super::text(&item), item.flags())
    };
    format!("{:?}", found.map(show))
}

/// Does everything that a client can do to a key, and tells what was answered.
fn answers(node: &Node, key: &str) -> Vec<String> {
    let name = key.as_bytes();
    let get = || seen(node, node.item_of(0, key));
    let store = |op| {
        let done = node.store(op, 0, key, "7");
        format!("{op:?} {:?} {}", done.map(|_| ()), get())
    };
    let with_cas = |cas: u64, expiry: u32| {
        let item = node.item(key, "7", expiry);
        item.set_cas(cas);
        let call = || node.engine.store(CLIENT, &item, StoreOp::Cas, 0);
        let done = node.host.finish(CLIENT, call);
        format!("CAS {:?} {}", done.map(|_| ()), get())
    };
    let cas = || node.item_of(0, key).unwrap().cas();
    let mut all = vec![get(), store(StoreOp::Replace), store(StoreOp::Append)];
    all.extend([StoreOp::Add, StoreOp::Add, StoreOp::Set, StoreOp::Prepend].map(store));
    all.push(with_cas(cas() - 1, 0));
    all.push(with_cas(cas(), 500));
    let by = Arithmetic {
        increment: true,
        create: false,
        delta: 5,
        initial: 0,
        flags: 0,
        exptime: 0,
    };
    let count = || node.engine.arithmetic(CLIENT, name, &by, 0);
    let counted = node.host.finish(CLIENT, count);
    all.push(format!("{:?}", counted.map(|(number, _)| number)));
    let touch = || node.engine.touch(CLIENT, name, 900, 0);
    all.push(seen(node, node.host.finish(CLIENT, touch)));
    let lock = || node.engine.get_locked(CLIENT, name, 10, 0);
    let locked = node.host.finish(CLIENT, lock).unwrap();
    all.extend([get(), store(StoreOp::Set)]);
    all.push(format!("{:?} {}", node.remove(0, key), get()));
    let unlocked = node.engine.unlock(name, locked.cas(), 0);
    all.push(format!("{unlocked:?} {}", store(StoreOp::Append)));
    all.push(format!("{:?} {}", node.remove(0, key), get()));
    let short = node.item(key, "7", 5);
    let call = || node.engine.store(CLIENT, &short, StoreOp::Set, 0);
    node.host.call(CLIENT, call).unwrap();
    all.push(get());
    node.host.advance(10);
    all.push(get());
    all
}

/// While the window is open: reads and writes, CAS, TTLs, append, incr, touch,
/// locks: as always, on what clients last wrote.
#[test]
fn every_operation_answers_in_a_window_as_it_does_outside() {
    let node = Node::new();
    let outside = answers(&node, "outside");
    node.set(0, "seen before", "before");
    node.remove(0, "seen before").unwrap();
    node.start().unwrap();
    assert_eq!(answers(&node, "inside"), outside);
    assert_eq!(answers(&node, "seen before"), outside);
    assert_eq!(node.complete(), Ok(()));
    assert_eq!(answers(&node, "inside"), outside);
}

/// Introspection: the states "completing" and "reverting", and the progress.
#[test]
fn the_report_tells_what_runs_and_how_far_it_is() {
    for (completes, state) in [
        (false, UpdateState::Reverting),
        (true, UpdateState::Completing),
    ] {
        let node = Node::with_vbuckets(2);
        node.start().unwrap();
        for key in 0..10 {
            node.set(key % 2, &key.to_string(), "inside");
        }
        node.write();
        node.store.hold_commits(true);
        begin(&node, completes);
        // All of it is collected for the commit; a revert is through with its keys by then. The
        // first commit may be one of the flusher's, which goes on meanwhile.
        let through = if completes { (10, 10) } else { (0, 0) };
        node.host.until("it commits", || {
            let window = node.engine.update_report().window;
            node.store.held() > 0 && (window.done, window.touched) == through
        });
        let report = node.engine.update_report();
        assert_eq!((report.state, report.last_outcome), (state, "none"));
        node.store.hold_commits(false);
        end(&node, completes);
        assert_eq!(node.state(), UpdateState::None);
    }
}

/// Invariants, 4: no client operation waits longer than one background fetch
/// because of an online update. While COMPLETE or REVERT runs, a read is answered at once or after
/// one fetch, and a write at once.
#[test]
fn no_operation_waits_for_an_update_longer_than_for_one_fetch() {
    for completes in [false, true] {
        let node = Node::new();
        let long = |word: &str| format!("{word}, and long enough to be worth evicting");
        for key in 0..50 {
            node.set(0, &key.to_string(), &long("before"));
        }
        node.write();
        // Nothing is read back in the background.
        let set = |mark| node.engine.set_parameter(Family::Flush, mark, "0");
        set("mem_low_wat").unwrap();
        node.start().unwrap();
        for key in 0..50 {
            node.set(0, &key.to_string(), &long("inside"));
        }
        node.write();
        node.store.hold_commits(true);
        begin(&node, completes);
        let expected = long(if completes { "inside" } else { "before" });
        let mut waited = 0;
        for key in 0..50 {
            let key = key.to_string();
            let get = || node.engine.get(CLIENT, key.as_bytes(), 0);
            let mut found = node.host.call(CLIENT, get);
            if matches!(found, Err(Error::WouldBlock)) {
                waited += 1;
                node.host.wait(CLIENT);
                found = node.host.call(CLIENT, get);
            }
            assert_eq!(super::text(&found.unwrap()), expected);
            let item = node.item(&key, "after", 0);
            let store = || node.engine.store(CLIENT, &item, StoreOp::Set, 0);
            assert!(node.host.call(CLIENT, store).is_ok());
        }
        assert_eq!(waited, if completes { 0 } else { 50 });
        assert!(!node.host.is_notified(OPERATOR), "it was over before");
        node.store.hold_commits(false);
        end(&node, completes);
    }
}
