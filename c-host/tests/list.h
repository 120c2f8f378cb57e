/*
 * Every test, by suite. MEMORY runs without a directory (with the default configuration if `extra`
 * is empty), DISK with a fresh one, BOTH in two tests. `extra` is configuration.
 */
#ifndef CH_TESTS_LIST_H
#define CH_TESTS_LIST_H

#include <memcached/engine_testapp.h>

#define TESTS_kv(MEMORY, DISK, BOTH)                                                               \
    BOTH(set_then_get, "")                                                                         \
    BOTH(missing_key_is_a_miss, "")                                                                \
    BOTH(empty_value_is_a_value, "")                                                               \
    BOTH(longest_key_works, "")                                                                    \
    BOTH(binary_key_works, "")                                                                     \
    BOTH(flags_come_back_as_given, "")                                                             \
    BOTH(megabyte_value_comes_back, "")                                                            \
    MEMORY(value_limit_is_inclusive, "item_size_max=4096")                                         \
    MEMORY(absurd_value_length_is_too_big, "")                                                     \
    BOTH(add_stores_only_what_is_absent, "")                                                       \
    BOTH(replace_stores_only_what_is_there, "")                                                    \
    BOTH(cas_stores_only_on_match, "")                                                             \
    BOTH(append_and_prepend_join, "")                                                              \
    BOTH(append_keeps_flags_and_expiry, "")                                                        \
    MEMORY(append_obeys_the_value_limit, "item_size_max=4096")                                     \
    BOTH(one_item_object_stores_many_times, "")                                                    \
    BOTH(reference_outlives_overwrite_and_delete, "")                                              \
    BOTH(item_info_follows_the_store, "")                                                          \
    BOTH(remove_obeys_cas, "")                                                                     \
    BOTH(arithmetic_creates_and_counts, "")                                                        \
    BOTH(arithmetic_wraps_and_stops, "")                                                           \
    BOTH(arithmetic_refuses_what_is_no_number, "")                                                 \
    BOTH(arithmetic_keeps_flags_and_expiry, "")                                                    \
    BOTH(key_expires_at_its_second, "")                                                            \
    BOTH(expired_key_is_absent_for_every_operation, "")                                            \
    BOTH(absolute_time_in_the_past_is_expired, "")                                                 \
    BOTH(touch_moves_the_expiry, "")                                                               \
    BOTH(touch_of_zero_means_never, "")                                                            \
    BOTH(gat_answers_value_and_moves_the_expiry, "")                                               \
    BOTH(gatq_is_silent_on_a_miss, "")                                                             \
    BOTH(touch_refuses_malformed_requests, "")                                                     \
    BOTH(flush_deletes_everything, "")                                                             \
    BOTH(delayed_flush_comes_in_time, "")                                                          \
    BOTH(last_flush_counts, "")                                                                    \
    BOTH(many_keys_are_kept_apart, "")                                                             \
    BOTH(threads_count_exactly, "")                                                                \
    BOTH(threads_mix_operations, "")                                                               \
    BOTH(statistics_follow, "")                                                                    \
    BOTH(lock_answers_the_value_and_keeps_others_out, "")                                          \
    BOTH(unlock_takes_the_cas_of_the_lock, "")                                                     \
    BOTH(owner_of_a_lock_changes_the_key, "")                                                      \
    BOTH(lock_takes_the_first_four_of_eight_bytes, "")                                             \
    BOTH(lock_runs_out, "")                                                                        \
    BOTH(lock_is_for_active_vbuckets, "")                                                          \
    BOTH(key_commands_look_at_the_key_alone, "")                                                   \
    BOTH(key_commands_refuse_malformed_requests, "")                                               \
    DISK(sync_waits_until_a_key_is_durable, "")                                                    \
    DISK(sync_gives_up_in_time, "sync_cmd_timeout=50")                                             \
    MEMORY(sync_for_persistence_needs_a_store, "")                                                 \
    BOTH(sync_refuses_bad_flags_and_malformed_requests, "")                                        \
    DISK(evict_takes_small_values_out_too, "")                                                     \
    DISK(evict_takes_a_durable_value_out_and_a_read_brings_it_back, "")                            \
    DISK(restart_keeps_values_and_metadata, "")                                                    \
    DISK(restart_keeps_deletes_and_flush, "")                                                      \
    DISK(restart_keeps_touch, "")

#define TESTS_vbucket(MEMORY, DISK, BOTH)                                                          \
    BOTH(vbucket_zero_is_active, "")                                                               \
    BOTH(set_state_answers_and_applies, "")                                                        \
    BOTH(set_state_takes_extras_or_body, "")                                                       \
    BOTH(set_state_refuses_malformed_requests, "")                                                 \
    BOTH(set_state_refuses_large_ids, "")                                                          \
    BOTH(get_state_of_missing_is_not_mine, "")                                                     \
    BOTH(delete_needs_a_dead_vbucket, "")                                                          \
    BOTH(deleted_vbucket_comes_back_empty, "")                                                     \
    DISK(deleted_vbucket_is_empty_after_restart, "")                                               \
    BOTH(keys_of_vbuckets_are_apart, "")                                                           \
    BOTH(missing_vbucket_refuses_everything, "")                                                   \
    BOTH(replica_refuses_everything, "")                                                           \
    BOTH(dead_refuses_everything, "")                                                              \
    BOTH(pending_blocks_until_active, "")                                                          \
    BOTH(pending_blocks_until_dead, "")                                                            \
    BOTH(pending_blocks_writers_too, "")                                                           \
    BOTH(states_show_in_stats, "")                                                                 \
    BOTH(all_vbuckets_can_be_used, "")                                                             \
    DISK(data_of_all_vbuckets_survives_restart, "")

#define TESTS_update(MEMORY, DISK, BOTH)                                                           \
    BOTH(commands_outside_a_window_are_refused, "")                                                \
    BOTH(second_start_is_refused, "")                                                              \
    BOTH(window_ends_once, "")                                                                     \
    BOTH(errors_say_what_is_wrong, "")                                                             \
    BOTH(malformed_commands_are_refused, "")                                                       \
    BOTH(revert_restores_overwritten_keys, "")                                                     \
    BOTH(revert_removes_added_keys, "")                                                            \
    BOTH(revert_brings_deleted_keys_back, "")                                                      \
    BOTH(revert_undoes_added_then_deleted, "")                                                     \
    BOTH(revert_undoes_deleted_then_added, "")                                                     \
    BOTH(revert_restores_flags_expiry_and_cas, "")                                                 \
    BOTH(revert_undoes_incr_and_append, "")                                                        \
    BOTH(revert_undoes_touch, "")                                                                  \
    BOTH(revert_undoes_flush_all, "")                                                              \
    BOTH(revert_undoes_many_writes_of_one_key, "")                                                 \
    BOTH(revert_leaves_expired_keys_expired, "")                                                   \
    BOTH(revert_survives_a_window_ttl, "")                                                         \
    BOTH(revert_counts_by_kind, "")                                                                \
    BOTH(empty_window_reverts_and_completes, "")                                                   \
    BOTH(complete_keeps_the_window, "")                                                            \
    BOTH(writes_after_complete_are_kept, "")                                                       \
    BOTH(writes_after_revert_are_kept, "")                                                         \
    BOTH(windows_follow_each_other, "")                                                            \
    BOTH(checkpoint_id_moves_with_the_window, "")                                                  \
    BOTH(statistics_show_the_window, "")                                                           \
    BOTH(held_references_survive_revert, "")                                                       \
    BOTH(two_operators_get_one_winner, "")                                                         \
    BOTH(readers_and_writers_go_on_during_revert, "")                                              \
    BOTH(reads_after_revert_see_no_window_value, "")

#define TESTS_window(MEMORY, DISK, BOTH)                                                           \
    BOTH(revert_right_after_start_with_unflushed_writes, "")                                       \
    DISK(reverted_unflushed_writes_survive_restart, "")                                            \
    DISK(revert_survives_restart, "")                                                              \
    DISK(complete_survives_restart, "")                                                            \
    DISK(restart_inside_a_window_reverts, "")                                                      \
    DISK(restart_reports_the_last_outcome, "")                                                     \
    DISK(revert_with_persistence_stopped, "")                                                      \
    DISK(complete_with_persistence_stopped_loses_nothing, "")                                      \
    DISK(nothing_of_the_window_is_written, "")                                                     \
    DISK(flush_all_in_a_window_survives_restart_only_when_completed, "")                           \
    DISK(undo_in_memory_reverts_too, "online_update_undo=memory")                                  \
    BOTH(window_covers_all_active_vbuckets, "")                                                    \
    BOTH(replica_is_left_alone, "")                                                                \
    BOTH(vbucket_created_in_the_window_joins, "")                                                  \
    BOTH(vbucket_made_dead_keeps_its_window, "")                                                   \
    BOTH(deleting_a_vbucket_in_the_window_is_refused, "")                                          \
    BOTH(disconnected_operator_stops_nothing, "")                                                  \
    BOTH(full_memory_in_the_window_is_temporary, "max_size=20971520")                              \
    BOTH(large_window_reverts, "")                                                                 \
    DISK(reverted_keys_page_in, "")

#define TESTS_rules(MEMORY, DISK, BOTH)                                                            \
    BOTH(table_is_complete, "")                                                                    \
    BOTH(info_is_stable_and_described, "")                                                         \
    BOTH(get_codes_in_every_state, "")                                                             \
    BOTH(ascii_arithmetic_codes_in_every_state, "")                                                \
    BOTH(lying_key_length_is_refused, "")                                                          \
    BOTH(lying_lengths_on_every_opcode, "")                                                        \
    BOTH(every_opcode_answers_once, "")                                                            \
    BOTH(random_requests_do_no_harm, "")                                                           \
    BOTH(notify_comes_once_with_success, "")                                                       \
    BOTH(operator_gets_one_notify, "")                                                             \
    BOTH(disconnect_may_come_often, "")                                                            \
    BOTH(disconnect_while_blocked_still_notifies, "")                                              \
    BOTH(release_may_follow_disconnect, "")                                                        \
    BOTH(unfinished_item_is_released, "")                                                          \
    BOTH(append_with_wrapped_length_is_too_big, "")                                                \
    BOTH(tap_notify_distrusts_lengths, "")                                                         \
    BOTH(stats_names_need_no_terminator, "")                                                       \
    BOTH(null_cookies_are_accepted, "")

#define TESTS_lifecycle(MEMORY, DISK, BOTH)                                                        \
    MEMORY(wrong_interface_is_refused, "")                                                         \
    MEMORY(host_of_an_unknown_kind_is_refused, "")                                                 \
    MEMORY(bad_config_is_refused_with_a_message, "")                                               \
    MEMORY(unwritable_directory_is_refused, "")                                                    \
    MEMORY(file_in_place_of_directory_is_refused, "")                                              \
    DISK(second_instance_on_one_directory_is_refused, "")                                          \
    MEMORY(two_instances_do_not_share, "")                                                         \
    MEMORY(two_instances_in_two_directories, "")                                                   \
    DISK(destroy_without_use, "")                                                                  \
    DISK(reload_many_times, "")                                                                    \
    BOTH(destroy_with_blocked_clients, "")                                                         \
    MEMORY(truncated_files_are_refused_untouched, "")                                              \
    MEMORY(garbage_files_are_refused_untouched, "")                                                \
    MEMORY(foreign_files_are_left_alone, "")                                                       \
    MEMORY(failed_start_leaves_no_threads, "")

#define TESTS_tap(MEMORY, DISK, BOTH)                                                              \
    BOTH(stream_brings_stores_and_deletes, "")                                                     \
    BOTH(store_wakes_an_idle_stream, "")                                                           \
    BOTH(reverted_window_is_marked_in_its_place, "")                                               \
    BOTH(completed_window_is_marked_in_its_place, "")                                              \
    BOTH(refused_change_comes_again_before_a_mark, "tap_backoff_period=0.2")                       \
    BOTH(replica_reverts_with_its_master, "")                                                      \
    BOTH(replica_completes_with_its_master, "")

#define TESTS_stats(MEMORY, DISK, BOTH)                                                            \
    BOTH(parameters_obey_their_ranges, "")                                                         \
    BOTH(parameters_of_tap_are_apart, "")                                                          \
    BOTH(parameters_show_in_stats, "")                                                             \
    BOTH(parameters_refuse_malformed_requests, "")                                                 \
    BOTH(unknown_groups_are_not_found, "")                                                         \
    BOTH(items_are_counted_by_state, "")                                                           \
    BOTH(groups_have_lines_for_every_vbucket, "")                                                  \
    DISK(states_before_the_restart_are_kept, "")                                                   \
    BOTH(keys_are_compared_with_the_disk, "")                                                      \
    DISK(ages_follow_the_clock_of_the_host, "")                                                    \
    BOTH(flusher_pauses_and_goes_on, "")                                                           \
    BOTH(reset_keeps_totals, "")

#define LIST_DECLARE(test, extra)                                                                  \
    enum test_result test_##test(ENGINE_HANDLE *h, ENGINE_HANDLE_V1 *h1);
TESTS_kv(LIST_DECLARE, LIST_DECLARE, LIST_DECLARE)
    TESTS_vbucket(LIST_DECLARE, LIST_DECLARE, LIST_DECLARE)
        TESTS_update(LIST_DECLARE, LIST_DECLARE, LIST_DECLARE)
            TESTS_window(LIST_DECLARE, LIST_DECLARE, LIST_DECLARE)
                TESTS_rules(LIST_DECLARE, LIST_DECLARE, LIST_DECLARE)
                    TESTS_lifecycle(LIST_DECLARE, LIST_DECLARE, LIST_DECLARE)
                        TESTS_stats(LIST_DECLARE, LIST_DECLARE, LIST_DECLARE)
                            TESTS_tap(LIST_DECLARE, LIST_DECLARE, LIST_DECLARE)
#undef LIST_DECLARE

#endif
