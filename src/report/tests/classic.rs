//! What ep-engine 1.7 offered, name by name, beside what is here: docs/compatibility.md has the
//! lists, and a name without its reason fails.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::documents::{cell, sentences};
use crate::config::Config;
use crate::settings::{Family, PARAMETERS};

/// Statistics of the general group.
const GENERAL: &str = "ep_version ep_storage_type ep_dbname ep_dbinit ep_dbshards ep_db_strategy \
    ep_warmup ep_exp_pager_stime ep_queue_size ep_flusher_todo ep_uncommitted_items \
    ep_flusher_state ep_total_enqueued ep_total_persisted ep_total_new_items ep_total_del_items \
    ep_flush_all ep_storage_age ep_storage_age_highwat ep_data_age ep_data_age_highwat \
    ep_min_data_age ep_queue_age_cap ep_too_young ep_too_old ep_max_txn_size ep_commit_num \
    ep_commit_time ep_commit_time_total ep_flush_duration ep_flush_duration_total \
    ep_flush_duration_highwat ep_flush_preempts ep_item_flush_failed ep_item_commit_failed \
    ep_item_begin_failed ep_item_flush_expired curr_items curr_items_tot ep_expired \
    ep_num_non_resident ep_num_active_non_resident mem_used ep_kv_size ep_value_size ep_overhead \
    ep_max_data_size ep_mem_low_wat ep_mem_high_wat ep_total_cache_size ep_oom_errors \
    ep_tmp_oom_errors ep_num_pager_runs ep_num_expiry_pager_runs ep_num_value_ejects \
    ep_num_eject_replicas ep_num_eject_failures ep_num_checkpoint_remover_runs \
    ep_items_rm_from_checkpoints ep_vb_total vb_dead_num ep_num_not_my_vbuckets ep_vbucket_del \
    ep_vbucket_del_fail ep_vbucket_del_max_walltime ep_vbucket_del_total_walltime \
    ep_vbucket_del_avg_walltime ep_db_cleaner_status vb_%s_num vb_%s_curr_items \
    vb_%s_num_non_resident vb_%s_perc_mem_resident vb_%s_eject vb_%s_ht_memory vb_%s_itm_memory \
    vb_%s_ops_create vb_%s_ops_update vb_%s_ops_delete vb_%s_ops_reject vb_%s_queue_size \
    vb_%s_queue_memory vb_%s_queue_age vb_%s_queue_pending vb_%s_queue_fill vb_%s_queue_drain \
    ep_diskqueue_items ep_diskqueue_memory ep_diskqueue_fill ep_diskqueue_drain \
    ep_diskqueue_pending ep_warmup_thread ep_warmed_up ep_warmup_dups ep_warmup_oom ep_warmup_time \
    ep_bg_fetched ep_bg_num_samples ep_bg_min_wait ep_bg_max_wait ep_bg_wait_avg ep_bg_min_load \
    ep_bg_max_load ep_bg_load_avg ep_bg_wait ep_bg_load ep_io_num_read ep_io_num_write \
    ep_io_read_bytes ep_io_write_bytes ep_pending_ops ep_pending_ops_total ep_pending_ops_max \
    ep_pending_ops_max_duration ep_tap_keepalive ep_tap_bg_fetched ep_tap_bg_fetch_requeued \
    ep_onlineupdate ep_onlineupdate_revert_delete ep_onlineupdate_revert_add \
    ep_onlineupdate_revert_update ep_store_max_concurrency ep_store_max_readers \
    ep_store_max_readwrite ep_latency_get_cmd ep_latency_store_cmd ep_latency_arith_cmd";

/// Statistics of the other groups, with the group.
const GROUPS: &[(&str, &str)] = &[
    ("vbucket", "vb_%u"),
    ("prev-vbucket", "vb_%u"),
    (
        "checkpoint",
        "vb_%u:state vb_%u:open_checkpoint_id vb_%u:last_closed_checkpoint_id \
         vb_%u:persisted_checkpoint_id vb_%u:num_tap_cursors vb_%u:num_checkpoint_items \
         vb_%u:num_checkpoints vb_%u:num_items_for_persistence",
    ),
    (
        "hash",
        "vb_%u:state vb_%u:size vb_%u:locks vb_%u:min_depth vb_%u:max_depth vb_%u:histo_%u,%u \
         vb_%u:reported vb_%u:counted vb_%u:resized vb_%u:mem_size vb_%u:mem_size_counted",
    ),
    ("memory", "mem_used ep_kv_size tcmalloc_*"),
    (
        "tap",
        "eq_tapq:%s:type eq_tapq:%s:created eq_tapq:%s:connected eq_tapq:%s:pending_disconnect \
         eq_tapq:%s:supports_ack eq_tapq:%s:reserved eq_tapq:%s:disconnects eq_tapq:%s:qlen \
         eq_tapq:%s:qlen_high_pri eq_tapq:%s:qlen_low_pri eq_tapq:%s:vb_filters \
         eq_tapq:%s:vb_filter eq_tapq:%s:rec_fetched eq_tapq:%s:rec_skipped eq_tapq:%s:idle \
         eq_tapq:%s:empty eq_tapq:%s:complete eq_tapq:%s:has_item eq_tapq:%s:has_queued_item \
         eq_tapq:%s:bg_wait_for_results eq_tapq:%s:bg_queue_size eq_tapq:%s:bg_queued \
         eq_tapq:%s:bg_result_size eq_tapq:%s:bg_results eq_tapq:%s:bg_jobs_issued \
         eq_tapq:%s:bg_jobs_completed eq_tapq:%s:bg_backlog_size eq_tapq:%s:flags \
         eq_tapq:%s:suspended eq_tapq:%s:paused eq_tapq:%s:pending_backfill \
         eq_tapq:%s:pending_disk_backfill eq_tapq:%s:backfill_completed eq_tapq:%s:queue_memory \
         eq_tapq:%s:queue_fill eq_tapq:%s:queue_drain eq_tapq:%s:queue_backoff \
         eq_tapq:%s:queue_backfillremaining eq_tapq:%s:queue_itemondisk \
         eq_tapq:%s:total_backlog_size eq_tapq:%s:total_noops eq_tapq:%s:reconnects \
         eq_tapq:%s:backfill_age eq_tapq:%s:ack_seqno eq_tapq:%s:recv_ack_seqno \
         eq_tapq:%s:ack_log_size eq_tapq:%s:ack_window_full eq_tapq:%s:expires \
         eq_tapq:%s:num_tap_nack eq_tapq:%s:num_tap_tmpfail_survivors \
         eq_tapq:%s:ack_playback_size eq_tapq:%s:num_delete eq_tapq:%s:num_delete_failed \
         eq_tapq:%s:num_flush eq_tapq:%s:num_flush_failed eq_tapq:%s:num_mutation \
         eq_tapq:%s:num_mutation_failed eq_tapq:%s:num_opaque eq_tapq:%s:num_opaque_failed \
         eq_tapq:%s:num_vbucket_set eq_tapq:%s:num_vbucket_set_failed \
         eq_tapq:%s:num_checkpoint_start eq_tapq:%s:num_checkpoint_start_failed \
         eq_tapq:%s:num_checkpoint_end eq_tapq:%s:num_checkpoint_end_failed eq_tapq:%s:num_unknown \
         ep_tap_total_fetched ep_tap_bg_max_pending ep_tap_bg_fetched ep_tap_bg_fetch_requeued \
         ep_tap_fg_fetched ep_tap_deletes ep_tap_throttled ep_tap_keepalive ep_tap_noop_interval \
         ep_tap_count ep_tap_total_queue ep_tap_queue_fill ep_tap_queue_drain \
         ep_tap_queue_backoff ep_tap_queue_backfillremaining ep_tap_queue_itemondisk \
         ep_tap_total_backlog_size ep_tap_ack_window_size ep_tap_ack_interval \
         ep_tap_ack_grace_period ep_tap_backoff_period ep_tap_bg_num_samples ep_tap_bg_min_wait \
         ep_tap_bg_max_wait ep_tap_bg_wait_avg ep_tap_bg_min_load ep_tap_bg_max_load \
         ep_tap_bg_load_avg",
    ),
    (
        "tapagg",
        "%s:count %s:qlen %s:fill %s:drain %s:backoff %s:backfill_remaining %s:itemondisk \
         %s:total_backlog_size",
    ),
    (
        "timings",
        "bg_wait bg_load bg_tap_wait bg_tap_load pending_ops storage_age data_age get_cmd \
         store_cmd arith_cmd get_vb_cmd set_vb_cmd del_vb_cmd tap_vb_set tap_vb_reset \
         tap_mutation notify_io disk_insert disk_update disk_del disk_vb_chunk_del disk_vb_del \
         disk_invalid_vbtable_del disk_commit disk_invalid_item_del online_update_revert",
    ),
    (
        "dispatcher",
        "%s:state %s:status %s:task %s:runtime %s:log:%u:task %s:log:%u:starttime \
         %s:log:%u:runtime %s:slow:%u:task %s:slow:%u:starttime %s:slow:%u:runtime",
    ),
    (
        "key, vkey",
        "key_is_dirty key_exptime key_flags key_cas key_dirtied key_data_age \
         key_last_modification_time key_valid",
    ),
    (
        "restore",
        "ep_restore:engine ep_restore:state ep_restore:last_error ep_restore:file \
         ep_restore:number_busy ep_restore:number_skipped ep_restore:number_restored \
         ep_restore:number_expired ep_restore:number_wrong_vbucket ep_restore:terminate",
    ),
];

/// What is not here, by the beginning of its name, and why.
const ABSENT: &[(&str, &str)] = &[
    (
        "ep_value_size",
        "keys and values are one allocation: `ep_kv_size` has both",
    ),
    (
        "ep_latency_",
        "counted calls, though it was said to be a time; hosts count those: `cmd_get`, `cmd_set`",
    ),
    ("get_cmd", "would cost every operation two looks at a clock"),
    ("store_cmd", "the same"),
    ("arith_cmd", "the same"),
    (
        "notify_io",
        "a notification only puts a connection into a queue",
    ),
    (
        "disk_insert",
        "a row goes into a batch: what takes time is its commit, `disk_commit`",
    ),
    ("disk_update", "the same"),
    ("disk_del", "the same"),
    (
        "disk_vb_",
        "rows of a deleted vbucket are void at once, and go by the way",
    ),
    ("disk_invalid_", "no row is invalid"),
    ("tcmalloc_", "the allocator is another one"),
    (
        "eq_tapq:%s:rec_skipped",
        "nothing that is in a stream is skipped",
    ),
];

/// Its commands by their names here.
const COMMANDS: &[(u8, &str)] = &[
    (0x1c, "TOUCH"),
    (0x1d, "GAT"),
    (0x1e, "GATQ"),
    (0x3d, "SET_VBUCKET"),
    (0x3e, "GET_VBUCKET"),
    (0x3f, "DEL_VBUCKET"),
    (0x80, "STOP_PERSISTENCE"),
    (0x81, "START_PERSISTENCE"),
    (0x82, "SET_FLUSH_PARAM"),
    (0x90, "START_REPLICATION"),
    (0x91, "STOP_REPLICATION"),
    (0x92, "SET_TAP_PARAM"),
    (0x93, "EVICT_KEY"),
    (0x94, "GET_LOCKED"),
    (0x95, "UNLOCK_KEY"),
    (0x96, "SYNC"),
    (0x97, "LAST_CLOSED_CHECKPOINT"),
    (0x98, "RESTORE_FILE"),
    (0x99, "RESTORE_ABORT"),
    (0x9a, "RESTORE_COMPLETE"),
    (0x9b, "ONLINE_UPDATE_START"),
    (0x9c, "ONLINE_UPDATE_COMPLETE"),
    (0x9d, "ONLINE_UPDATE_REVERT"),
    (0x9e, "DEREGISTER_TAP_CLIENT"),
    (0x9f, "RESET_REPLICATION_CHAIN"),
];

/// Those that are not here, by the beginning of their names, and why.
const NO_COMMANDS: &[(&str, &str)] = &[
    (
        "START_REPLICATION",
        "clients had a number for it, and no engine knew it",
    ),
    ("STOP_REPLICATION", "the same"),
    (
        "RESTORE_FILE",
        "the engine opens no file that a client names: engine-backup sends the keys",
    ),
];

/// Its configuration keys.
const KEYS: &str = "config_file dbname shardpattern initfile postInitfile db_strategy db_shards \
    max_vbuckets vb_del_chunk_size vb_chunk_del_time concurrentDB warmup waitforwarmup \
    failpartialwarmup vb0 ht_size ht_locks stored_val_type max_size cache_size mem_low_wat \
    mem_high_wat mutation_mem_threshold max_item_size max_txn_size min_data_age queue_age_cap \
    expiry_window exp_pager_stime chk_remover_stime chk_max_items chk_period max_checkpoints \
    inconsistent_slave_chk tap_keepalive tap_noop_interval tap_idle_timeout tap_backlog_limit \
    tap_bg_max_pending tap_backoff_period tap_ack_window_size tap_ack_interval \
    tap_ack_grace_period tap_ack_initial_sequence_number bf_resident_threshold \
    getl_default_timeout getl_max_timeout sync_cmd_timeout restore_mode";

/// Its parameters.
const FLUSH_PARAMETERS: &str = "min_data_age queue_age_cap max_txn_size bg_fetch_delay \
    chk_max_items chk_period max_checkpoints max_size mem_low_wat mem_high_wat sync_cmd_timeout \
    exp_pager_stime";
const TAP_PARAMETERS: &str = "tap_keepalive";

/// Where the lists stand in the page.
const BEGIN: &str = "<!-- Made from the code by `make regenerate`: change it there. -->\n";
const END: &str = "<!-- End of what is made from the code. -->\n";

fn why_not(name: &str, reasons: &[(&'static str, &'static str)]) -> &'static str {
    let found = reasons.iter().find(|(begin, _)| name.starts_with(begin));
    let reason = found.unwrap_or_else(|| panic!("{name} is not here, and nothing says why"));
    reason.1
}

/// A line of a list: the name, whether it is here, and what is to be said of it.
fn line(page: &mut String, name: &str, here: bool, words: &str) {
    let here = if here { "yes" } else { "no" };
    writeln!(page, "| `{name}` | {here} | {} |", cell(words)).unwrap();
}

fn statistics(page: &mut String) {
    let sentences = sentences();
    let mut list = |group: &str, names: &str| {
        let heading = match group {
            "" => "The general group".to_owned(),
            group => format!("`{}`", group.replace(", ", "`, `")),
        };
        write!(
            page,
            "\n### {heading}\n\n| statistic | here | what, or why not |\n|---|---|---|\n"
        )
        .unwrap();
        for name in names.split_whitespace() {
            let found = sentences.iter().find(|(_, known, _)| known == name);
            match found {
                Some((.., words)) => {
                    let stale = ABSENT.iter().find(|(begin, _)| name.starts_with(begin));
                    assert!(stale.is_none(), "{name} is here");
                    line(page, name, true, words);
                }
                None => line(page, name, false, why_not(name, ABSENT)),
            }
        }
    };
    list("", GENERAL);
    for (group, names) in GROUPS {
        list(group, names);
    }
}

fn commands(page: &mut String) {
    page.push_str("\n## Its commands\n\n| command | here | if not, why |\n|---|---|---|\n");
    let source = include_str!("../../constants.rs");
    for (opcode, name) in COMMANDS {
        let constant = format!("pub const CHECKPOINT_ENGINE_CMD_{name}: u8 = {opcode:#04x};");
        let here = source.contains(&constant);
        let reason = if here { "" } else { why_not(name, NO_COMMANDS) };
        line(page, &format!("{opcode:#04x} {name}"), here, reason);
    }
}

fn keys(page: &mut String) {
    page.push_str("\n## Its configuration keys\n\n| key | acts | if not, why |\n|---|---|---|\n");
    let without: Vec<_> = Config::without_effect().collect();
    for name in KEYS.split_whitespace() {
        let reason = without.iter().find(|(key, _)| *key == name);
        let known = Config::describe().iter().any(|key| key.key == name)
            || Config::aliases().iter().any(|(alias, _)| *alias == name)
            || name == "config_file";
        assert!(known || reason.is_some(), "{name} is not known");
        line(
            page,
            name,
            reason.is_none(),
            reason.map_or("", |(_, reason)| reason),
        );
    }
    page.push_str("\n## Its run-time parameters\n\n| parameter | acts | range |\n|---|---|---|\n");
    for (family, names) in [
        (Family::Flush, FLUSH_PARAMETERS),
        (Family::Tap, TAP_PARAMETERS),
    ] {
        for name in names.split_whitespace() {
            let mut known = PARAMETERS.iter();
            let found = known.find(|it| it.family == family && it.name == name);
            let (min, max) = found.unwrap_or_else(|| panic!("{name} is not known")).range;
            let range = match max {
                u64::MAX => format!("{min} or more"),
                max => format!("{min} to {max}"),
            };
            line(page, name, true, &range);
        }
    }
}

#[test]
fn the_page_on_compatibility_has_every_name() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compatibility.md");
    let page = fs::read_to_string(&path).unwrap();
    let begin = page.find(BEGIN).expect("the mark of the begin") + BEGIN.len();
    let end = page.find(END).expect("the mark of the end");
    let mut made = String::new();
    commands(&mut made);
    keys(&mut made);
    made.push_str("\n## Its statistics\n");
    statistics(&mut made);
    made.push('\n');
    if std::env::var_os("BLESS").is_some_and(|bless| bless == "1") {
        let whole = format!("{}{made}{}", &page[..begin], &page[end..]);
        fs::write(&path, whole).unwrap();
    } else {
        let message = "docs/compatibility.md is not what the code says: run `make regenerate`";
        assert!(page[begin..end] == made, "{message}");
    }
}
