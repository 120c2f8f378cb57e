//! What the implementation of 2011 got wrong (docs/compatibility.md), by number: a
//! test for each row that shows our behaviour to be right.
//!
//! | row | test |
//! |---|---|
//! | A1 | `a1_a_revert_right_after_start_is_a_revert` |
//! | A2 | `a2_a_revert_while_persistence_is_stopped_loses_nothing` |
//! | A3 | `a3_a_revert_while_the_flusher_is_busy_or_patient_loses_nothing` |
//! | A4 | `a4_a_flush_all_and_a_complete_leave_a_node_that_persists` |
//! | A5 | `a5_a_flush_all_and_a_revert_leave_a_node_that_persists` |
//! | A6 | `a6_a_vbucket_is_not_reset_inside_its_window` |
//! | A7 | `a7_start_and_revert_may_come_together` |
//! | A8 | `a8_a_revert_may_come_while_the_flusher_of_the_replica_is_stopped_or_busy` |
//! | A9 | `a9_a_window_is_one_checkpoint_on_the_replica_however_large` |
//! | B1 | `b1_what_was_not_on_disk_at_start_comes_back` |
//! | B2 | `b2_what_is_not_on_disk_at_revert_either_comes_back_for_good` |
//! | B3 | `b3_a_key_deleted_and_made_again_comes_back` |
//! | B4 | `b4_a_key_made_and_deleted_leaves_nothing` |
//! | B5 | `b5_a_deletion_from_before_start_stays_one` |
//! | B6 | `b6_a_time_to_live_of_the_window_ends_with_it` |
//! | B7 | `b7_an_expiry_in_the_window_deletes_nothing_from_before` |
//! | B8 | `b8_flags_cas_and_expiry_are_those_from_before` |
//! | B9 | `b9_a_completed_window_reaches_the_disk_of_the_replica` |
//! | B10 | `b10_a_replica_that_joins_inside_the_window_can_revert_and_complete` |
//! | B11 | `b11_a_revert_ends_the_locks_of_the_window_and_keeps_those_from_before` |
//! | B12 | `b12_touch_is_part_of_the_window` |
//! | B13 | `b13_small_values_revert_like_all_others` |
//! | B14 | `b14_a_revert_needs_no_memory` |
//! | B15 | `b15_a_refused_mutation_is_sent_again_before_the_mark` |
//! | B16 | `b16_what_is_written_while_a_revert_runs_stays` |
//! | B17 | `b17_a_flush_all_of_the_window_does_not_reach_the_store` |
//! | B18 | `b18_a_value_of_another_length_comes_back_without_a_complaint` |
//! | C1 | `c1_clients_that_write_during_a_revert_lose_nothing` |
//! | C2 | `c2_nobody_waits_for_a_revert` |
//! | C3 | `c3_reads_see_all_of_a_revert_at_once` |
//! | C4 | `c4_a_write_after_the_acceptance_is_not_reverted` |
//! | C5 | `c5_with_undo_in_memory_no_read_follows_a_revert` |
//! | D1 | `d1_a_mark_wakes_an_idle_stream` |
//! | D2 | `d2_a_stream_that_comes_back_inside_the_window_goes_on` |
//! | D3 | `d3_start_leaves_replica_vbuckets_of_the_node_alone` |
//! | D4 | `d4_a_takeover_moves_the_window` |
//! | D5 | `d5_a_replica_takes_back_a_window_that_its_master_lost` |
//! | D6 | `d6_a_stream_without_checkpoints_carries_windows_too` |
//! | D7 | `d7_a_replica_without_memory_for_the_window_still_gets_its_end` |
//! | E1 | `e1_a_vbucket_created_in_the_window_is_part_of_it` |
//! | E2 | `e2_a_vbucket_that_was_dead_meanwhile_can_be_decided` |
//! | E3 | `e3_a_vbucket_that_was_dead_at_start_joins` |
//! | E4 | `e4_a_refusal_is_of_the_whole_and_says_why` |
//! | E5 | `e5_a_command_takes_all_vbuckets_or_none` |
//! | F1 | `f1_a_window_lost_at_a_restart_is_told` |
//! | F2 | `f2_a_complete_that_answered_is_durable` |
//! | F3 | `f3_a_complete_is_atomic_whatever_the_size_of_a_transaction` |
//! | F4 | `f4_the_answer_of_complete_tells_that_it_is_on_disk` |
//! | F5 | `f5_memory_full_of_a_window_is_a_temporary_failure` |
//! | F6 | `f6_deletions_of_a_window_leave_no_slot_once_it_has_ended` |
//! | F7 | `f7_a_long_window_leaves_exact_figures` |
//! | F8 | `f8_an_expiry_met_in_the_window_is_harmless` |

use super::{CLIENT, Node, OPERATOR, id, refusal};
use crate::engine::UpdateState;
use crate::error::{Error, Result};
use crate::types::{Arithmetic, StoreOp, VbucketState};

mod crashes;
mod data;
mod durability;
mod state;
mod streams;
mod threads;

/// Stores with an expiry; returns the CAS.
fn set_until(node: &Node, key: &str, value: &str, expiry: u32) -> u64 {
    let item = node.item(key, value, expiry);
    let call = || node.engine.store(CLIENT, &item, StoreOp::Set, 0);
    node.host.call(CLIENT, call).unwrap()
}

/// Stores if the CAS is that one.
fn cas(node: &Node, key: &str, cas: u64) -> Result<u64> {
    let item = node.item(key, "by CAS", 0);
    item.set_cas(cas);
    let call = || node.engine.store(CLIENT, &item, StoreOp::Cas, 0);
    node.host.call(CLIENT, call)
}

/// Adds one to a key, which is made if it is not there.
fn count(node: &Node, key: &str) -> u64 {
    let by = Arithmetic {
        increment: true,
        create: true,
        delta: 1,
        initial: 100,
        flags: 0,
        exptime: 0,
    };
    let call = || node.engine.arithmetic(CLIENT, key.as_bytes(), &by, 0);
    node.host.finish(CLIENT, call).unwrap().0
}

fn touch(node: &Node, key: &str, expiry: u32) {
    let call = || node.engine.touch(CLIENT, key.as_bytes(), expiry, 0);
    node.host.finish(CLIENT, call).unwrap();
}

/// Sends REVERT and does not wait for the answer.
fn begin_revert(node: &Node) {
    let call = || node.engine.revert_update(OPERATOR);
    assert_eq!(node.host.call(OPERATOR, call), Err(Error::WouldBlock));
}

/// After an update, whatever became of it, writes are persisted as ever.
fn check_persists(node: Node) -> Node {
    assert_eq!(node.state(), UpdateState::None);
    node.set(0, "later", "later");
    node.write();
    assert_eq!(node.stored(0, "later").as_deref(), Some("later"));
    node.remove(0, "later").unwrap();
    node.crash_after_a_write()
}
