//! Numbers and names that an operator's tools need, for `include/checkpoint_engine.h`. A test of
//! this module compares the configuration keys with [`crate::config`], which is their home.

use std::ffi::CStr;

/// Stops the flusher; what is written stays in memory.
pub const CHECKPOINT_ENGINE_CMD_STOP_PERSISTENCE: u8 = 0x80;
/// Starts the flusher again.
pub const CHECKPOINT_ENGINE_CMD_START_PERSISTENCE: u8 = 0x81;
/// Changes a parameter of the flusher, of checkpoints or of memory: the key is its name, the value
/// a decimal number.
pub const CHECKPOINT_ENGINE_CMD_SET_FLUSH_PARAM: u8 = 0x82;
/// Changes a parameter of TAP, in the same form.
pub const CHECKPOINT_ENGINE_CMD_SET_TAP_PARAM: u8 = 0x92;
/// Sets the state of the vbucket in the header, at once: 4 bytes of extras. Answered when the store
/// has noted it.
pub const CHECKPOINT_ENGINE_CMD_SET_VBUCKET: u8 = 0x3d;
/// Answers the state of the vbucket in the header: 4 bytes of body.
pub const CHECKPOINT_ENGINE_CMD_GET_VBUCKET: u8 = 0x3e;
/// Deletes the vbucket in the header, which must be dead. Answered when the store has noted it.
pub const CHECKPOINT_ENGINE_CMD_DEL_VBUCKET: u8 = 0x3f;
/// Sets the expiry of a key: 4 bytes of extras.
pub const CHECKPOINT_ENGINE_CMD_TOUCH: u8 = 0x1c;
/// TOUCH that answers the value.
pub const CHECKPOINT_ENGINE_CMD_GAT: u8 = 0x1d;
/// GAT that does not answer a miss.
pub const CHECKPOINT_ENGINE_CMD_GATQ: u8 = 0x1e;
/// Takes the value of a key out of memory, if it is on disk.
pub const CHECKPOINT_ENGINE_CMD_EVICT_KEY: u8 = 0x93;
/// Answers the value of a key and locks it, for the seconds in 4 bytes of extras (none or 0: the
/// configured time; what else there is is ignored). SET, REPLACE, APPEND, PREPEND and DELETE with the CAS
/// of the answer change the key, which ends the lock, and `UNLOCK_KEY` ends it. Until then incr and
/// decr, which carry no CAS, are refused; TOUCH and GAT go on, and the key stays locked.
pub const CHECKPOINT_ENGINE_CMD_GET_LOCKED: u8 = 0x94;
/// Ends the lock of a key: the CAS of the header is that of the lock, in either byte order.
pub const CHECKPOINT_ENGINE_CMD_UNLOCK_KEY: u8 = 0x95;
/// Waits until keys are durable, on other nodes, or changed. The value: 4 bytes of options, 2 bytes
/// number of keys, and for each key CAS (8; 0: any), vbucket (2), length (2) and the key. The answer
/// has the number of keys and for each of them CAS, vbucket, length, event (1) and the key. What
/// takes longer than `sync_cmd_timeout` is a temporary failure.
pub const CHECKPOINT_ENGINE_CMD_SYNC: u8 = 0x96;
/// Option of SYNC: these bits are the number of other nodes that are to have it.
pub const CHECKPOINT_ENGINE_SYNC_REPLICAS: u32 = 0xf0;
/// Option of SYNC: it is to be durable.
pub const CHECKPOINT_ENGINE_SYNC_PERSISTENCE: u32 = 0x08;
/// Option of SYNC: it is to be changed; stands alone.
pub const CHECKPOINT_ENGINE_SYNC_MUTATION: u32 = 0x04;
/// Option of SYNC: with replicas and persistence, both are waited for and not either.
pub const CHECKPOINT_ENGINE_SYNC_BOTH: u32 = 0x02;
/// Event of SYNC: the key is durable.
pub const CHECKPOINT_ENGINE_SYNC_EVENT_PERSISTED: u8 = 1;
/// Event of SYNC: it was changed.
pub const CHECKPOINT_ENGINE_SYNC_EVENT_MODIFIED: u8 = 2;
/// Event of SYNC: it was deleted.
pub const CHECKPOINT_ENGINE_SYNC_EVENT_DELETED: u8 = 3;
/// Event of SYNC: other nodes have it.
pub const CHECKPOINT_ENGINE_SYNC_EVENT_REPLICATED: u8 = 4;
/// Event of SYNC: there is no such key, or its vbucket is not active here.
pub const CHECKPOINT_ENGINE_SYNC_EVENT_NO_KEY: u8 = 5;
/// Event of SYNC: it has another CAS.
pub const CHECKPOINT_ENGINE_SYNC_EVENT_OTHER_CAS: u8 = 6;
/// Answers the id of the vbucket's last closed checkpoint: 8 bytes of body.
pub const CHECKPOINT_ENGINE_CMD_LAST_CLOSED_CHECKPOINT: u8 = 0x97;
/// In ep-engine 1.7: restores the file that is named by the key. This engine opens no file that a
/// client names, and answers NOT_SUPPORTED.
pub const CHECKPOINT_ENGINE_CMD_RESTORE_FILE: u8 = 0x98;
/// Ends the restore that runs, if one does; what is in place stays. NOT_SUPPORTED outside of restore
/// mode.
pub const CHECKPOINT_ENGINE_CMD_RESTORE_ABORT: u8 = 0x99;
/// Ends restore mode: all keys are there. EBUSY while another connection restores; NOT_SUPPORTED
/// outside of restore mode.
pub const CHECKPOINT_ENGINE_CMD_RESTORE_COMPLETE: u8 = 0x9a;
/// Opens the window of an online update on all active vbuckets: from now on nothing reaches the
/// disk. Answered when the store has it on record; if that cannot be, the window is closed again.
/// Extras: none, or 4 bytes, the seconds after which it reverts by itself (0: never).
pub const CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_START: u8 = 0x9b;
/// Ends the window and makes its writes durable; answered when they are.
pub const CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_COMPLETE: u8 = 0x9c;
/// Ends the window and takes its writes back; answered when all of them are.
pub const CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_REVERT: u8 = 0x9d;
/// Ends the TAP stream of the client whose name is the key, and forgets its cursors.
pub const CHECKPOINT_ENGINE_CMD_DEREGISTER_TAP_CLIENT: u8 = 0x9e;
/// Has every TAP stream to a replica begin with the whole state again.
pub const CHECKPOINT_ENGINE_CMD_RESET_REPLICATION_CHAIN: u8 = 0x9f;
/// Answers a page of the keys that the open windows have touched, by prefix and with a cursor:
/// `docs/protocol.md` has the shapes.
pub const CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_LOOK: u8 = 0xe8;
/// Answers what a key was before the open window: its value with 8 bytes of extras (flags, expiry)
/// and the CAS of then.
pub const CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_BEFORE: u8 = 0xe9;
/// Gives a key back what it was before the open window, as an ordinary change within it. The CAS of
/// the header is 0 or the key's own; that of the answer is the new one, 0 if the key is gone.
pub const CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_UNDO: u8 = 0xea;
/// Moves the deadline of the open windows: 4 bytes of extras, the seconds from now after which they
/// revert by themselves (0: never).
pub const CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_DEADLINE: u8 = 0xeb;
/// Has this connection restore a backup, which may be named by the key: the node is in restore mode
/// until RESTORE_COMPLETE, RESTORE_ABORT, or the end of the connection.
pub const CHECKPOINT_ENGINE_CMD_RESTORE_BEGIN: u8 = 0xec;
/// Puts a key of a backup in place where there is none and no client has deleted it since
/// RESTORE_BEGIN: 8 bytes of extras (flags, expiry in Unix seconds) and its value; the CAS of the
/// header is the key's. Without extras and value: it was deleted, and no older backup brings it
/// back. The newest version of a key comes first.
pub const CHECKPOINT_ENGINE_CMD_RESTORE_KEY: u8 = 0xed;
/// Has expired keys looked for at once. Answered when that begins; see the group `scrub`.
pub const CHECKPOINT_ENGINE_CMD_SCRUB: u8 = 0xf0;

/// Done.
pub const CHECKPOINT_ENGINE_STATUS_SUCCESS: u16 = 0x00;
/// No such key.
pub const CHECKPOINT_ENGINE_STATUS_KEY_ENOENT: u16 = 0x01;
/// The key exists, or its CAS differs, or it is locked.
pub const CHECKPOINT_ENGINE_STATUS_KEY_EEXISTS: u16 = 0x02;
/// Key or value too long.
pub const CHECKPOINT_ENGINE_STATUS_E2BIG: u16 = 0x03;
/// The request makes no sense.
pub const CHECKPOINT_ENGINE_STATUS_EINVAL: u16 = 0x04;
/// The condition of the command does not hold.
pub const CHECKPOINT_ENGINE_STATUS_NOT_STORED: u16 = 0x05;
/// The value is not a decimal number.
pub const CHECKPOINT_ENGINE_STATUS_DELTA_BADVAL: u16 = 0x06;
/// The vbucket is not served here.
pub const CHECKPOINT_ENGINE_STATUS_NOT_MY_VBUCKET: u16 = 0x07;
/// The engine does not know the opcode.
pub const CHECKPOINT_ENGINE_STATUS_UNKNOWN_COMMAND: u16 = 0x81;
/// No memory.
pub const CHECKPOINT_ENGINE_STATUS_ENOMEM: u16 = 0x82;
/// Not in this state: for online updates, no window is open, or one is, or it is being ended.
pub const CHECKPOINT_ENGINE_STATUS_NOT_SUPPORTED: u16 = 0x83;
/// A defect of the engine; see its log.
pub const CHECKPOINT_ENGINE_STATUS_EINTERNAL: u16 = 0x84;
/// Another connection does that.
pub const CHECKPOINT_ENGINE_STATUS_EBUSY: u16 = 0x85;
/// Not now; try again.
pub const CHECKPOINT_ENGINE_STATUS_ETMPFAIL: u16 = 0x86;

/// Code of a `TAP_OPAQUE` message: a window begins. The code is 4 engine-specific bytes in network
/// order; an announcement of 12 bytes, code and checkpoint id, precedes it.
pub const CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_START: u32 = 4;
/// Code of a `TAP_OPAQUE` message: the window was completed.
pub const CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_END: u32 = 5;
/// Code of a `TAP_OPAQUE` message: the window was reverted.
pub const CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_REVERT: u32 = 6;
/// Code of a `TAP_OPAQUE` message of 16 engine-specific bytes: code, id of the window's checkpoint,
/// and the seconds that it has left (4 bytes; all ones: no deadline). It precedes the announcement
/// of the window's begin, and comes again when the deadline is moved. Who does not know it
/// acknowledges it and goes on.
pub const CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_DEADLINE: u32 = 0xeb;

/// Statistic, as in memcached: bytes of the items, without what else `mem_used` counts.
pub const CHECKPOINT_ENGINE_STAT_BYTES: &CStr = c"bytes";
/// Statistic, as in memcached: `max_size`; without one, the memory of the machine or container.
pub const CHECKPOINT_ENGINE_STAT_ENGINE_MAXBYTES: &CStr = c"engine_maxbytes";
/// Statistic, as in memcached: items stored since the start, overwritten ones included.
pub const CHECKPOINT_ENGINE_STAT_TOTAL_ITEMS: &CStr = c"total_items";
/// Statistic, as in memcached: the same as `ep_expired`.
pub const CHECKPOINT_ENGINE_STAT_RECLAIMED: &CStr = c"reclaimed";
/// Statistic: version of this engine.
pub const CHECKPOINT_ENGINE_STAT_VERSION: &CStr = c"ep_version";
/// Statistic: always `featured`.
pub const CHECKPOINT_ENGINE_STAT_STORAGE_TYPE: &CStr = c"ep_storage_type";
/// Statistic: directory of the database; empty for a memory-only node.
pub const CHECKPOINT_ENGINE_STAT_DBNAME: &CStr = c"ep_dbname";
/// Statistic: whether the database was loaded at the start.
pub const CHECKPOINT_ENGINE_STAT_WARMUP: &CStr = c"ep_warmup";
/// Statistic: `running`, `complete`, or `failed`: vbuckets that are not loaded answer with temporary
/// failures until the next start.
pub const CHECKPOINT_ENGINE_STAT_WARMUP_THREAD: &CStr = c"ep_warmup_thread";
/// Statistic: keys loaded at the start.
pub const CHECKPOINT_ENGINE_STAT_WARMED_UP: &CStr = c"ep_warmed_up";
/// Statistic: how many of them with their value.
pub const CHECKPOINT_ENGINE_STAT_WARMED_UP_VALUES: &CStr = c"ep_warmed_up_values";
/// Statistic: how long that took, in microseconds.
pub const CHECKPOINT_ENGINE_STAT_WARMUP_TIME: &CStr = c"ep_warmup_time";
/// Statistic: seconds between two runs that delete expired items; 0 never.
pub const CHECKPOINT_ENGINE_STAT_EXP_PAGER_STIME: &CStr = c"ep_exp_pager_stime";
/// Statistic: seconds that a named TAP producer outlives its connection.
pub const CHECKPOINT_ENGINE_STAT_TAP_KEEPALIVE: &CStr = c"ep_tap_keepalive";
/// Statistic: mutations that wait to be written.
pub const CHECKPOINT_ENGINE_STAT_QUEUE_SIZE: &CStr = c"ep_queue_size";
/// Statistic: mutations that the flusher has taken and not yet written.
pub const CHECKPOINT_ENGINE_STAT_FLUSHER_TODO: &CStr = c"ep_flusher_todo";
/// Statistic: the same: what is taken is one transaction.
pub const CHECKPOINT_ENGINE_STAT_UNCOMMITTED_ITEMS: &CStr = c"ep_uncommitted_items";
/// Statistic: mutations that are not durable yet, waiting or taken.
pub const CHECKPOINT_ENGINE_STAT_DISKQUEUE_ITEMS: &CStr = c"ep_diskqueue_items";
/// Statistic: `running`, `pausing` (told to stop, the last commit is under way), `paused`, or `dead`
/// after a defect.
pub const CHECKPOINT_ENGINE_STAT_FLUSHER_STATE: &CStr = c"ep_flusher_state";
/// Statistic: mutations logged since the start, also those that a later one replaced before they
/// were written.
pub const CHECKPOINT_ENGINE_STAT_TOTAL_ENQUEUED: &CStr = c"ep_total_enqueued";
/// Statistic: the same.
pub const CHECKPOINT_ENGINE_STAT_DISKQUEUE_FILL: &CStr = c"ep_diskqueue_fill";
/// Statistic: the same as `ep_total_persisted`.
pub const CHECKPOINT_ENGINE_STAT_DISKQUEUE_DRAIN: &CStr = c"ep_diskqueue_drain";
/// Statistic: mutations written since the start.
pub const CHECKPOINT_ENGINE_STAT_TOTAL_PERSISTED: &CStr = c"ep_total_persisted";
/// Statistic: calls of flush_all.
pub const CHECKPOINT_ENGINE_STAT_FLUSH_ALL: &CStr = c"ep_flush_all";
/// Statistic: seconds that a mutation waits before it is written.
pub const CHECKPOINT_ENGINE_STAT_MIN_DATA_AGE: &CStr = c"ep_min_data_age";
/// Statistic: seconds after which it is written anyway.
pub const CHECKPOINT_ENGINE_STAT_QUEUE_AGE_CAP: &CStr = c"ep_queue_age_cap";
/// Statistic: mutations that one transaction of the flusher holds.
pub const CHECKPOINT_ENGINE_STAT_MAX_TXN_SIZE: &CStr = c"ep_max_txn_size";
/// Statistic: commits.
pub const CHECKPOINT_ENGINE_STAT_COMMIT_NUM: &CStr = c"ep_commit_num";
/// Statistic: times that the store gave space on the disk back that it no longer needed.
pub const CHECKPOINT_ENGINE_STAT_STORE_TIDIED: &CStr = c"ep_store_tidied";
/// Statistic: duration of the latest commit, in milliseconds.
pub const CHECKPOINT_ENGINE_STAT_COMMIT_TIME: &CStr = c"ep_commit_time";
/// Statistic: duration of all commits, in milliseconds.
pub const CHECKPOINT_ENGINE_STAT_COMMIT_TIME_TOTAL: &CStr = c"ep_commit_time_total";
/// Statistic: duration of the latest flush, until nothing was left to write, in seconds.
pub const CHECKPOINT_ENGINE_STAT_FLUSH_DURATION: &CStr = c"ep_flush_duration";
/// Statistic: duration of all flushes, in seconds.
pub const CHECKPOINT_ENGINE_STAT_FLUSH_DURATION_TOTAL: &CStr = c"ep_flush_duration_total";
/// Statistic: duration of the longest flush, in seconds.
pub const CHECKPOINT_ENGINE_STAT_FLUSH_DURATION_HIGHWAT: &CStr = c"ep_flush_duration_highwat";
/// Statistic: how long the oldest mutation of the latest commit had waited, in seconds.
pub const CHECKPOINT_ENGINE_STAT_STORAGE_AGE: &CStr = c"ep_storage_age";
/// Statistic: the longest such wait, in seconds.
pub const CHECKPOINT_ENGINE_STAT_STORAGE_AGE_HIGHWAT: &CStr = c"ep_storage_age_highwat";
/// Statistic: the same as `ep_storage_age`: a mutation that is superseded keeps its age.
pub const CHECKPOINT_ENGINE_STAT_DATA_AGE: &CStr = c"ep_data_age";
/// Statistic: the same as `ep_storage_age_highwat`.
pub const CHECKPOINT_ENGINE_STAT_DATA_AGE_HIGHWAT: &CStr = c"ep_data_age_highwat";
/// Statistic: times that the flusher waited because of `min_data_age`.
pub const CHECKPOINT_ENGINE_STAT_TOO_YOUNG: &CStr = c"ep_too_young";
/// Statistic: times that it wrote because of `queue_age_cap`.
pub const CHECKPOINT_ENGINE_STAT_TOO_OLD: &CStr = c"ep_too_old";
/// Statistic: rows that were deleted from the store.
pub const CHECKPOINT_ENGINE_STAT_TOTAL_DEL_ITEMS: &CStr = c"ep_total_del_items";
/// Statistic: mutations in commits that failed.
pub const CHECKPOINT_ENGINE_STAT_ITEM_FLUSH_FAILED: &CStr = c"ep_item_flush_failed";
/// Statistic: commits that the store did not begin.
pub const CHECKPOINT_ENGINE_STAT_ITEM_BEGIN_FAILED: &CStr = c"ep_item_begin_failed";
/// Statistic: pause before the next attempt, in milliseconds; 0 when the store can be written.
pub const CHECKPOINT_ENGINE_STAT_STORE_RETRY: &CStr = c"ep_store_retry";
/// Statistic: why the store could not be written; empty when it can.
pub const CHECKPOINT_ENGINE_STAT_STORE_LAST_ERROR: &CStr = c"ep_store_last_error";
/// Statistic: threads of the engine that have died of a defect; empty when there are none.
pub const CHECKPOINT_ENGINE_STAT_DEAD_THREADS: &CStr = c"ep_dead_threads";
/// Statistic: commits that failed and were tried again.
pub const CHECKPOINT_ENGINE_STAT_ITEM_COMMIT_FAILED: &CStr = c"ep_item_commit_failed";
/// Statistic: times that old checkpoints were looked for.
pub const CHECKPOINT_ENGINE_STAT_NUM_CHECKPOINT_REMOVER_RUNS: &CStr =
    c"ep_num_checkpoint_remover_runs";
/// Statistic: changes in checkpoints that were freed.
pub const CHECKPOINT_ENGINE_STAT_ITEMS_RM_FROM_CHECKPOINTS: &CStr = c"ep_items_rm_from_checkpoints";
/// Statistic: streams that were dropped because they held back too much memory.
pub const CHECKPOINT_ENGINE_STAT_CURSORS_DROPPED: &CStr = c"ep_cursors_dropped";
/// Statistic: items in active vbuckets.
pub const CHECKPOINT_ENGINE_STAT_CURR_ITEMS: &CStr = c"curr_items";
/// Statistic: items in active, replica and pending vbuckets.
pub const CHECKPOINT_ENGINE_STAT_CURR_ITEMS_TOT: &CStr = c"curr_items_tot";
/// Statistic: those of them whose value is not in memory.
pub const CHECKPOINT_ENGINE_STAT_NUM_NON_RESIDENT: &CStr = c"ep_num_non_resident";
/// Statistic: items in active vbuckets whose value is not in memory.
pub const CHECKPOINT_ENGINE_STAT_NUM_ACTIVE_NON_RESIDENT: &CStr = c"ep_num_active_non_resident";
/// Statistic: items found expired and deleted; one that a REVERT brings back counts again.
pub const CHECKPOINT_ENGINE_STAT_EXPIRED: &CStr = c"ep_expired";
/// Statistic: keys evicted from a memory-only node.
pub const CHECKPOINT_ENGINE_STAT_EVICTIONS: &CStr = c"evictions";
/// Statistic: bytes in use by the engine, counted exactly.
pub const CHECKPOINT_ENGINE_STAT_MEM_USED: &CStr = c"mem_used";
/// Statistic: bytes of items: keys, values and their headers; with the entries of the logs and the
/// versions that only those have.
pub const CHECKPOINT_ENGINE_STAT_KV_SIZE: &CStr = c"ep_kv_size";
/// Statistic: the same with the items of dead vbuckets.
pub const CHECKPOINT_ENGINE_STAT_TOTAL_CACHE_SIZE: &CStr = c"ep_total_cache_size";
/// Statistic: bytes in use for everything else: tables, logs, the database library.
pub const CHECKPOINT_ENGINE_STAT_OVERHEAD: &CStr = c"ep_overhead";
/// Statistic: memory quota in bytes; 2^64-1 for none.
pub const CHECKPOINT_ENGINE_STAT_MAX_DATA_SIZE: &CStr = c"ep_max_data_size";
/// Statistic: bytes at which eviction stops.
pub const CHECKPOINT_ENGINE_STAT_MEM_LOW_WAT: &CStr = c"ep_mem_low_wat";
/// Statistic: bytes at which eviction starts.
pub const CHECKPOINT_ENGINE_STAT_MEM_HIGH_WAT: &CStr = c"ep_mem_high_wat";
/// Statistic: writes refused for want of memory, to be tried again.
pub const CHECKPOINT_ENGINE_STAT_TMP_OOM_ERRORS: &CStr = c"ep_tmp_oom_errors";
/// Statistic: writes refused because nothing in memory can be freed.
pub const CHECKPOINT_ENGINE_STAT_OOM_ERRORS: &CStr = c"ep_oom_errors";
/// Statistic: values refused because they would never fit into `max_size`.
pub const CHECKPOINT_ENGINE_STAT_TOO_BIG_ERRORS: &CStr = c"ep_too_big_errors";
/// Statistic: bytes of values that clients have announced and not sent yet, but for short ones.
/// They evict nothing.
pub const CHECKPOINT_ENGINE_STAT_ANNOUNCED_BYTES: &CStr = c"ep_announced_bytes";
/// Statistic: values refused because such bytes had used up their share of `max_size`.
pub const CHECKPOINT_ENGINE_STAT_ANNOUNCED_REFUSALS: &CStr = c"ep_announced_refusals";
/// Statistic: times that eviction began.
pub const CHECKPOINT_ENGINE_STAT_NUM_PAGER_RUNS: &CStr = c"ep_num_pager_runs";
/// Statistic: values evicted from memory.
pub const CHECKPOINT_ENGINE_STAT_NUM_VALUE_EJECTS: &CStr = c"ep_num_value_ejects";
/// Statistic: EVICT_KEY for values that had to stay.
pub const CHECKPOINT_ENGINE_STAT_NUM_EJECT_FAILURES: &CStr = c"ep_num_eject_failures";
/// Statistic: times that all expired items were looked for.
pub const CHECKPOINT_ENGINE_STAT_NUM_EXPIRY_PAGER_RUNS: &CStr = c"ep_num_expiry_pager_runs";
/// Statistic: vbuckets.
pub const CHECKPOINT_ENGINE_STAT_VB_TOTAL: &CStr = c"ep_vb_total";
/// Statistic: vbuckets in state dead.
pub const CHECKPOINT_ENGINE_STAT_VB_DEAD_NUM: &CStr = c"vb_dead_num";
/// Statistic: operations on vbuckets that are not served here.
pub const CHECKPOINT_ENGINE_STAT_NUM_NOT_MY_VBUCKETS: &CStr = c"ep_num_not_my_vbuckets";
/// Statistic: vbuckets deleted.
pub const CHECKPOINT_ENGINE_STAT_VBUCKET_DEL: &CStr = c"ep_vbucket_del";
/// Statistic: deletions of vbuckets that were refused.
pub const CHECKPOINT_ENGINE_STAT_VBUCKET_DEL_FAIL: &CStr = c"ep_vbucket_del_fail";
/// Statistic: longest DEL_VBUCKET that deleted one, in microseconds; absent before the first.
pub const CHECKPOINT_ENGINE_STAT_VBUCKET_DEL_MAX_WALLTIME: &CStr = c"ep_vbucket_del_max_walltime";
/// Statistic: all of them together.
pub const CHECKPOINT_ENGINE_STAT_VBUCKET_DEL_TOTAL_WALLTIME: &CStr =
    c"ep_vbucket_del_total_walltime";
/// Statistic: their mean.
pub const CHECKPOINT_ENGINE_STAT_VBUCKET_DEL_AVG_WALLTIME: &CStr = c"ep_vbucket_del_avg_walltime";
/// Statistic: values read from the disk for waiting clients.
pub const CHECKPOINT_ENGINE_STAT_BG_FETCHED: &CStr = c"ep_bg_fetched";
/// Statistic: such reads that failed.
pub const CHECKPOINT_ENGINE_STAT_BG_FETCH_FAILED: &CStr = c"ep_bg_fetch_failed";
/// Statistic: reads that the following times are of, in microseconds; absent before the first.
pub const CHECKPOINT_ENGINE_STAT_BG_NUM_SAMPLES: &CStr = c"ep_bg_num_samples";
/// Statistic: shortest time until a read began.
pub const CHECKPOINT_ENGINE_STAT_BG_MIN_WAIT: &CStr = c"ep_bg_min_wait";
/// Statistic: longest time until a read began.
pub const CHECKPOINT_ENGINE_STAT_BG_MAX_WAIT: &CStr = c"ep_bg_max_wait";
/// Statistic: mean time until a read began.
pub const CHECKPOINT_ENGINE_STAT_BG_WAIT_AVG: &CStr = c"ep_bg_wait_avg";
/// Statistic: time until reads began, summed.
pub const CHECKPOINT_ENGINE_STAT_BG_WAIT: &CStr = c"ep_bg_wait";
/// Statistic: shortest read.
pub const CHECKPOINT_ENGINE_STAT_BG_MIN_LOAD: &CStr = c"ep_bg_min_load";
/// Statistic: longest read.
pub const CHECKPOINT_ENGINE_STAT_BG_MAX_LOAD: &CStr = c"ep_bg_max_load";
/// Statistic: mean read.
pub const CHECKPOINT_ENGINE_STAT_BG_LOAD_AVG: &CStr = c"ep_bg_load_avg";
/// Statistic: all reads together.
pub const CHECKPOINT_ENGINE_STAT_BG_LOAD: &CStr = c"ep_bg_load";
/// Statistic: rows asked of the store for one key each.
pub const CHECKPOINT_ENGINE_STAT_IO_NUM_READ: &CStr = c"ep_io_num_read";
/// Statistic: keys and values read for that.
pub const CHECKPOINT_ENGINE_STAT_IO_READ_BYTES: &CStr = c"ep_io_read_bytes";
/// Statistic: mutations written.
pub const CHECKPOINT_ENGINE_STAT_IO_NUM_WRITE: &CStr = c"ep_io_num_write";
/// Statistic: keys and values written for that.
pub const CHECKPOINT_ENGINE_STAT_IO_WRITE_BYTES: &CStr = c"ep_io_write_bytes";
/// Statistic: clients that wait for a pending vbucket.
pub const CHECKPOINT_ENGINE_STAT_PENDING_OPS: &CStr = c"ep_pending_ops";
/// Statistic: clients that had to wait for one.
pub const CHECKPOINT_ENGINE_STAT_PENDING_OPS_TOTAL: &CStr = c"ep_pending_ops_total";
/// Statistic: how many of them waited at a time, at most.
pub const CHECKPOINT_ENGINE_STAT_PENDING_OPS_MAX: &CStr = c"ep_pending_ops_max";
/// Statistic: the longest of their waits, in microseconds.
pub const CHECKPOINT_ENGINE_STAT_PENDING_OPS_MAX_DURATION: &CStr = c"ep_pending_ops_max_duration";
/// Statistic: whether an online update is under way.
pub const CHECKPOINT_ENGINE_STAT_ONLINE_UPDATE: &CStr = c"ep_onlineupdate";
/// Statistic: keys that reverts removed, because they had been added in the window.
pub const CHECKPOINT_ENGINE_STAT_REVERT_ADD: &CStr = c"ep_onlineupdate_revert_add";
/// Statistic: keys that reverts brought back, because they had been deleted in the window.
pub const CHECKPOINT_ENGINE_STAT_REVERT_DELETE: &CStr = c"ep_onlineupdate_revert_delete";
/// Statistic: keys that reverts restored, because they had been changed in the window.
pub const CHECKPOINT_ENGINE_STAT_REVERT_UPDATE: &CStr = c"ep_onlineupdate_revert_update";
/// Statistic: how the last window ended: none, completed, reverted, reverted at deadline or lost at
/// restart. Of the node's active and pending vbuckets; of those that follow a master if there are
/// no others.
pub const CHECKPOINT_ENGINE_STAT_LAST_OUTCOME: &CStr = c"ep_onlineupdate_last_outcome";
/// Statistic: things that cannot be and were met all the same; anything but 0 is a bug.
pub const CHECKPOINT_ENGINE_STAT_DEFECTS: &CStr = c"ep_defects";
/// Statistic: values of masters that this node cannot keep: longer than `max_item_size`, or than
/// half of `max_size`. It deletes the key and goes on.
pub const CHECKPOINT_ENGINE_STAT_TAP_TOO_BIG: &CStr = c"ep_tap_too_big";
/// Statistic: keys that it lacks for that reason, up to 1,000; the group `lacking` names them.
pub const CHECKPOINT_ENGINE_STAT_TAP_LACKING_KEYS: &CStr = c"ep_tap_lacking_keys";
/// Statistic: calls that met a defect of the engine and were answered with an error.
pub const CHECKPOINT_ENGINE_STAT_PANICS: &CStr = c"ep_panics";

/// Statistic: how long the store took to open, in seconds.
pub const CHECKPOINT_ENGINE_STAT_DBINIT: &CStr = c"ep_dbinit";
/// Statistic: always `singleDB`: one store has all vbuckets.
pub const CHECKPOINT_ENGINE_STAT_DB_STRATEGY: &CStr = c"ep_db_strategy";
/// Statistic: always 1.
pub const CHECKPOINT_ENGINE_STAT_DBSHARDS: &CStr = c"ep_dbshards";
/// Statistic: always 3: threads that use the store at a time, but for streams and online updates.
pub const CHECKPOINT_ENGINE_STAT_STORE_MAX_CONCURRENCY: &CStr = c"ep_store_max_concurrency";
/// Statistic: always 2: those of them that read for clients.
pub const CHECKPOINT_ENGINE_STAT_STORE_MAX_READERS: &CStr = c"ep_store_max_readers";
/// Statistic: always 1: those that write.
pub const CHECKPOINT_ENGINE_STAT_STORE_MAX_READWRITE: &CStr = c"ep_store_max_readwrite";
/// Statistic: always 0: the store has no key twice.
pub const CHECKPOINT_ENGINE_STAT_WARMUP_DUPS: &CStr = c"ep_warmup_dups";
/// Statistic: always 0: no key is left out for want of memory.
pub const CHECKPOINT_ENGINE_STAT_WARMUP_OOM: &CStr = c"ep_warmup_oom";
/// Statistic: always 0: no read waits for the flusher.
pub const CHECKPOINT_ENGINE_STAT_FLUSH_PREEMPTS: &CStr = c"ep_flush_preempts";
/// Statistic: always 0: what is about to expire is written.
pub const CHECKPOINT_ENGINE_STAT_ITEM_FLUSH_EXPIRED: &CStr = c"ep_item_flush_expired";
/// Statistic: `running` while rows of deleted vbuckets are being deleted, else `complete`; absent
/// before the first deletion.
pub const CHECKPOINT_ENGINE_STAT_DB_CLEANER_STATUS: &CStr = c"ep_db_cleaner_status";
/// Statistic: memory of the mutations that are not durable yet, in bytes; for a checkpoint that is
/// durable in part an estimate.
pub const CHECKPOINT_ENGINE_STAT_DISKQUEUE_MEMORY: &CStr = c"ep_diskqueue_memory";
/// Statistic: the same without the entries of the log.
pub const CHECKPOINT_ENGINE_STAT_DISKQUEUE_PENDING: &CStr = c"ep_diskqueue_pending";
/// Statistic: rows that were written for keys that had none.
pub const CHECKPOINT_ENGINE_STAT_TOTAL_NEW_ITEMS: &CStr = c"ep_total_new_items";
/// Statistic: values evicted from replica vbuckets.
pub const CHECKPOINT_ENGINE_STAT_NUM_EJECT_REPLICAS: &CStr = c"ep_num_eject_replicas";

/// Statistic by state: vbuckets in a state; `%s` is `active`, `replica` or `pending`.
pub const CHECKPOINT_ENGINE_STAT_STATE_NUM: &CStr = c"vb_%s_num";
/// Statistic by state: their items.
pub const CHECKPOINT_ENGINE_STAT_STATE_CURR_ITEMS: &CStr = c"vb_%s_curr_items";
/// Statistic by state: those of them whose value is not in memory.
pub const CHECKPOINT_ENGINE_STAT_STATE_NUM_NON_RESIDENT: &CStr = c"vb_%s_num_non_resident";
/// Statistic by state: share of them whose value is in memory, in percent.
pub const CHECKPOINT_ENGINE_STAT_STATE_PERC_MEM_RESIDENT: &CStr = c"vb_%s_perc_mem_resident";
/// Statistic by state: memory of the items, in bytes.
pub const CHECKPOINT_ENGINE_STAT_STATE_ITM_MEMORY: &CStr = c"vb_%s_itm_memory";
/// Statistic by state: their mutations that are not durable yet.
pub const CHECKPOINT_ENGINE_STAT_STATE_QUEUE_SIZE: &CStr = c"vb_%s_queue_size";
/// Statistic by state: memory of those mutations, in bytes, as in `ep_diskqueue_memory`.
pub const CHECKPOINT_ENGINE_STAT_STATE_QUEUE_MEMORY: &CStr = c"vb_%s_queue_memory";
/// Statistic by state: the same without the entries of the log.
pub const CHECKPOINT_ENGINE_STAT_STATE_QUEUE_PENDING: &CStr = c"vb_%s_queue_pending";
/// Statistic by state: how long they have waited, all together, in milliseconds; to within 4 s
/// each.
pub const CHECKPOINT_ENGINE_STAT_STATE_QUEUE_AGE: &CStr = c"vb_%s_queue_age";
/// Statistic by state: mutations logged.
pub const CHECKPOINT_ENGINE_STAT_STATE_QUEUE_FILL: &CStr = c"vb_%s_queue_fill";
/// Statistic by state: rows written and deleted.
pub const CHECKPOINT_ENGINE_STAT_STATE_QUEUE_DRAIN: &CStr = c"vb_%s_queue_drain";
/// Statistic by state: rows written for keys that had none.
pub const CHECKPOINT_ENGINE_STAT_STATE_OPS_CREATE: &CStr = c"vb_%s_ops_create";
/// Statistic by state: rows that took the place of others.
pub const CHECKPOINT_ENGINE_STAT_STATE_OPS_UPDATE: &CStr = c"vb_%s_ops_update";
/// Statistic by state: rows deleted.
pub const CHECKPOINT_ENGINE_STAT_STATE_OPS_DELETE: &CStr = c"vb_%s_ops_delete";
/// Statistic by state: mutations in commits that failed.
pub const CHECKPOINT_ENGINE_STAT_STATE_OPS_REJECT: &CStr = c"vb_%s_ops_reject";
/// Statistic by state: values evicted from memory.
pub const CHECKPOINT_ENGINE_STAT_STATE_EJECT: &CStr = c"vb_%s_eject";
/// Statistic by state: memory of their tables without the items, in bytes.
pub const CHECKPOINT_ENGINE_STAT_STATE_HT_MEMORY: &CStr = c"vb_%s_ht_memory";

/// Groups of statistics that memcached has, empty here: there are no slab classes.
pub const CHECKPOINT_ENGINE_GROUP_ITEMS: &CStr = c"items";
/// The same.
pub const CHECKPOINT_ENGINE_GROUP_SLABS: &CStr = c"slabs";
/// The same.
pub const CHECKPOINT_ENGINE_GROUP_SIZES: &CStr = c"sizes";
/// Group of statistics: `vb_N`, the states of the vbuckets.
pub const CHECKPOINT_ENGINE_GROUP_VBUCKET: &CStr = c"vbucket";
/// Group of statistics: `vb_N`, the states that the vbuckets had in the store at the start.
pub const CHECKPOINT_ENGINE_GROUP_PREV_VBUCKET: &CStr = c"prev-vbucket";
/// Group of statistics: the logs of the vbuckets.
pub const CHECKPOINT_ENGINE_GROUP_CHECKPOINT: &CStr = c"checkpoint";
/// Group of statistics: the tables of the vbuckets.
pub const CHECKPOINT_ENGINE_GROUP_HASH: &CStr = c"hash";
/// Group of statistics: the memory statistics of the general group.
pub const CHECKPOINT_ENGINE_GROUP_MEMORY: &CStr = c"memory";
/// Group of statistics: histograms: `NAME_FROM,TO` is how often it took FROM to less than TO
/// microseconds.
pub const CHECKPOINT_ENGINE_GROUP_TIMINGS: &CStr = c"timings";
/// Group of statistics: what the threads do that write to the store (`dispatcher`), read from it
/// for clients (`ro_dispatcher`) and do neither (`nio_dispatcher`).
pub const CHECKPOINT_ENGINE_GROUP_DISPATCHER: &CStr = c"dispatcher";
/// Group of statistics: what is known of a key: `key KEY [VBUCKET]`.
pub const CHECKPOINT_ENGINE_GROUP_KEY: &CStr = c"key";
/// Group of statistics: the same and whether the disk agrees; waits for the disk: `vkey KEY
/// [VBUCKET]`.
pub const CHECKPOINT_ENGINE_GROUP_VKEY: &CStr = c"vkey";
/// Group of statistics: the window of an online update.
pub const CHECKPOINT_ENGINE_GROUP_ONLINE_UPDATE: &CStr = c"onlineupdate";
/// Group of statistics: the same by vbucket.
pub const CHECKPOINT_ENGINE_GROUP_ONLINE_UPDATE_VB: &CStr = c"onlineupdate-vb";
/// Group of statistics: `vb_N:KEY`, the length of a value that a master has and that can never be
/// kept here, so that the key is not there; up to 1,000. KEY as in `onlineupdate-keys`.
pub const CHECKPOINT_ENGINE_GROUP_LACKING: &CStr = c"lacking";
/// Group of statistics: the restore that runs, or the last one; empty outside of restore mode.
pub const CHECKPOINT_ENGINE_GROUP_RESTORE: &CStr = c"restore";
/// Group of statistics: the SCRUB that runs, or the last one.
pub const CHECKPOINT_ENGINE_GROUP_SCRUB: &CStr = c"scrub";
/// Group of statistics: up to 100 of the keys that windows have touched: `onlineupdate-keys
/// [PREFIX]`. A line is named `vb_%u:KEY`, and its value is `added`, `updated`, `deleted` or
/// `vanished` with the lengths of the old and the new value, `-` for none. In KEY and PREFIX
/// spaces, backslashes and what cannot be printed stand as `\xNN`. Of each vbucket's window only
/// the part that was touched first is looked through.
pub const CHECKPOINT_ENGINE_GROUP_ONLINE_UPDATE_KEYS: &CStr = c"onlineupdate-keys";

/// Statistic of `vbucket` and `prev-vbucket`: the state of vbucket `%u`.
pub const CHECKPOINT_ENGINE_STAT_VB: &CStr = c"vb_%u";
/// Statistic of a vbucket: state of the vbucket; in `onlineupdate-vb` its window's: `none`, `open`,
/// `completing` or `reverting`.
pub const CHECKPOINT_ENGINE_STAT_VB_STATE: &CStr = c"vb_%u:state";
/// Statistic of a vbucket: id of the open checkpoint.
pub const CHECKPOINT_ENGINE_STAT_VB_OPEN_CHECKPOINT_ID: &CStr = c"vb_%u:open_checkpoint_id";
/// Statistic of a vbucket: id of the one before it. 0 where nobody else can mean it.
pub const CHECKPOINT_ENGINE_STAT_VB_LAST_CLOSED_CHECKPOINT_ID: &CStr =
    c"vb_%u:last_closed_checkpoint_id";
/// Statistic of a vbucket: id of the last one that is durable to its end.
pub const CHECKPOINT_ENGINE_STAT_VB_PERSISTED_CHECKPOINT_ID: &CStr =
    c"vb_%u:persisted_checkpoint_id";
/// Statistic of a vbucket: TAP streams that read the log.
pub const CHECKPOINT_ENGINE_STAT_VB_NUM_TAP_CURSORS: &CStr = c"vb_%u:num_tap_cursors";
/// Statistic of a vbucket: entries in memory, starts and ends of checkpoints included.
pub const CHECKPOINT_ENGINE_STAT_VB_NUM_CHECKPOINT_ITEMS: &CStr = c"vb_%u:num_checkpoint_items";
/// Statistic of a vbucket: checkpoints in memory.
pub const CHECKPOINT_ENGINE_STAT_VB_NUM_CHECKPOINTS: &CStr = c"vb_%u:num_checkpoints";
/// Statistic of a vbucket: mutations that are not durable yet.
pub const CHECKPOINT_ENGINE_STAT_VB_NUM_ITEMS_FOR_PERSISTENCE: &CStr =
    c"vb_%u:num_items_for_persistence";
/// Statistic of a vbucket: keys that fit the table before it grows.
pub const CHECKPOINT_ENGINE_STAT_VB_SIZE: &CStr = c"vb_%u:size";
/// Statistic of a vbucket: locks of the table.
pub const CHECKPOINT_ENGINE_STAT_VB_LOCKS: &CStr = c"vb_%u:locks";
/// Statistic of a vbucket: keys.
pub const CHECKPOINT_ENGINE_STAT_VB_REPORTED: &CStr = c"vb_%u:reported";
/// Statistic of a vbucket: entries of the table; deletions that are not durable yet are among them.
pub const CHECKPOINT_ENGINE_STAT_VB_COUNTED: &CStr = c"vb_%u:counted";
/// Statistic of a vbucket: how often the table has grown.
pub const CHECKPOINT_ENGINE_STAT_VB_RESIZED: &CStr = c"vb_%u:resized";
/// Statistic of a vbucket: memory of its items, in bytes.
pub const CHECKPOINT_ENGINE_STAT_VB_MEM_SIZE: &CStr = c"vb_%u:mem_size";
/// Statistic of a vbucket: the same.
pub const CHECKPOINT_ENGINE_STAT_VB_MEM_SIZE_COUNTED: &CStr = c"vb_%u:mem_size_counted";
/// Statistic of a vbucket: entries of the table's emptiest part; a part has about 1,100 at most.
pub const CHECKPOINT_ENGINE_STAT_VB_MIN_DEPTH: &CStr = c"vb_%u:min_depth";
/// Statistic of a vbucket: entries of its fullest part.
pub const CHECKPOINT_ENGINE_STAT_VB_MAX_DEPTH: &CStr = c"vb_%u:max_depth";
/// Statistic of a vbucket: parts with so many entries: from the first number to below the second.
pub const CHECKPOINT_ENGINE_STAT_VB_HISTO: &CStr = c"vb_%u:histo_%u,%u";
/// Statistic of a vbucket: memory of the table without the items, in bytes.
pub const CHECKPOINT_ENGINE_STAT_VB_TABLE_BYTES: &CStr = c"vb_%u:table_bytes";
/// Statistic of a vbucket: as in `onlineupdate`.
pub const CHECKPOINT_ENGINE_STAT_VB_SECONDS_OPEN: &CStr = c"vb_%u:seconds_open";
/// Statistic of a vbucket: seconds until the window reverts by itself, or `none`.
pub const CHECKPOINT_ENGINE_STAT_VB_SECONDS_LEFT: &CStr = c"vb_%u:seconds_left";
/// Statistic of a vbucket: keys that the window has touched.
pub const CHECKPOINT_ENGINE_STAT_VB_TOUCHED_KEYS: &CStr = c"vb_%u:touched_keys";
/// Statistic of a vbucket: as in `onlineupdate`.
pub const CHECKPOINT_ENGINE_STAT_VB_ADDED_KEYS: &CStr = c"vb_%u:added_keys";
/// Statistic of a vbucket: as in `onlineupdate`.
pub const CHECKPOINT_ENGINE_STAT_VB_UPDATED_KEYS: &CStr = c"vb_%u:updated_keys";
/// Statistic of a vbucket: as in `onlineupdate`.
pub const CHECKPOINT_ENGINE_STAT_VB_DELETED_KEYS: &CStr = c"vb_%u:deleted_keys";
/// Statistic of a vbucket: as in `onlineupdate`.
pub const CHECKPOINT_ENGINE_STAT_VB_VANISHED_KEYS: &CStr = c"vb_%u:vanished_keys";
/// Statistic of a vbucket: as in `onlineupdate`.
pub const CHECKPOINT_ENGINE_STAT_VB_FLUSHED: &CStr = c"vb_%u:flushed";
/// Statistic of a vbucket: keys and values logged in the window, in bytes.
pub const CHECKPOINT_ENGINE_STAT_VB_WINDOW_BYTES: &CStr = c"vb_%u:window_bytes";
/// Statistic of a vbucket: as in `onlineupdate`.
pub const CHECKPOINT_ENGINE_STAT_VB_UNSAVED_PRE_IMAGES: &CStr = c"vb_%u:unsaved_pre_images";
/// Statistic of a vbucket: as in `onlineupdate`.
pub const CHECKPOINT_ENGINE_STAT_VB_PROGRESS_DONE: &CStr = c"vb_%u:progress_done";
/// Statistic of a vbucket: as in `onlineupdate`.
pub const CHECKPOINT_ENGINE_STAT_VB_PROGRESS_TOTAL: &CStr = c"vb_%u:progress_total";

/// Statistic of `key` and `vkey`: 1 when the latest version is not durable yet, else 0.
pub const CHECKPOINT_ENGINE_STAT_KEY_IS_DIRTY: &CStr = c"key_is_dirty";
/// Statistic of `key` and `vkey`: expiry in Unix seconds; 0 never.
pub const CHECKPOINT_ENGINE_STAT_KEY_EXPTIME: &CStr = c"key_exptime";
/// Statistic of `key` and `vkey`: flags as the client sent them.
pub const CHECKPOINT_ENGINE_STAT_KEY_FLAGS: &CStr = c"key_flags";
/// Statistic of `key` and `vkey`: CAS.
pub const CHECKPOINT_ENGINE_STAT_KEY_CAS: &CStr = c"key_cas";
/// Statistic of `key` and `vkey`: 1 when the value is in memory, else 0.
pub const CHECKPOINT_ENGINE_STAT_KEY_IS_RESIDENT: &CStr = c"key_is_resident";
/// Statistic of `key` and `vkey`: since when the latest version waits to be durable, in Unix
/// seconds to within 4; 0 if it is.
pub const CHECKPOINT_ENGINE_STAT_KEY_DIRTIED: &CStr = c"key_dirtied";
/// Statistic of `key` and `vkey`: for how long, in seconds; 0 if it is durable.
pub const CHECKPOINT_ENGINE_STAT_KEY_DATA_AGE: &CStr = c"key_data_age";
/// Statistic of `key` and `vkey`: when it was written, in Unix seconds to within 4, and less well
/// if that is long ago; 0 if it was loaded at the start.
pub const CHECKPOINT_ENGINE_STAT_KEY_LAST_MODIFICATION_TIME: &CStr = c"key_last_modification_time";
/// Statistic of `key` and `vkey`: in `vkey` only: `valid`, `dirty`, `ram_but_not_disk`,
/// `length_mismatch`, `data_mismatch`, `flags_mismatch` or `item_deleted`.
pub const CHECKPOINT_ENGINE_STAT_KEY_VALID: &CStr = c"key_valid";

/// Statistic of `onlineupdate`: of the node: `none`, `open`, `completing` or `reverting`.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_STATE: &CStr = c"state";
/// Statistic of `onlineupdate`: age of the window.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_SECONDS_OPEN: &CStr = c"seconds_open";
/// Statistic of `onlineupdate`: seconds until the window reverts by itself, or `none`.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_SECONDS_LEFT: &CStr = c"seconds_left";
/// Statistic of `onlineupdate`: keys that it has touched.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_TOUCHED_KEYS: &CStr = c"touched_keys";
/// Statistic of `onlineupdate`: of these, keys that did not exist before START; during a REVERT,
/// here and in the next three, only keys that are not taken back yet.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_ADDED_KEYS: &CStr = c"added_keys";
/// Statistic of `onlineupdate`: keys that existed before START and still do.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_UPDATED_KEYS: &CStr = c"updated_keys";
/// Statistic of `onlineupdate`: keys that existed before START and do not any more.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_DELETED_KEYS: &CStr = c"deleted_keys";
/// Statistic of `onlineupdate`: keys that were added and are gone again: nothing is left of them.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_VANISHED_KEYS: &CStr = c"vanished_keys";
/// Statistic of `onlineupdate`: whether a flush_all deleted all keys, also those that are not
/// counted as touched.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_FLUSHED: &CStr = c"flushed";
/// Statistic of `onlineupdate`: keys and values logged in it, in bytes.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_BYTES: &CStr = c"window_bytes";
/// Statistic of `onlineupdate`: old values that are not on disk yet.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_UNSAVED_PRE_IMAGES: &CStr = c"unsaved_pre_images";
/// Statistic of `onlineupdate`: keys that a running COMPLETE has handed to the store, or a running
/// REVERT has taken back.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_PROGRESS_DONE: &CStr = c"progress_done";
/// Statistic of `onlineupdate`: keys that it has to deal with; 0 when none is running.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_PROGRESS_TOTAL: &CStr = c"progress_total";
/// Statistic of `onlineupdate`: whether values that a REVERT left on disk are being read back.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_REWARMING: &CStr = c"rewarming";
/// Statistic of `onlineupdate`: how many were read back in the background, of all reverts.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_REWARMED_VALUES: &CStr = c"rewarmed_values";
/// Statistic of `onlineupdate`: `disk` or `memory`: where pre-images are kept.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_UNDO: &CStr = c"undo";
/// Statistic of `onlineupdate`: about how many bytes more may be written until writes fail because
/// the window fills the memory; what eviction can take away counts as free.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_BYTES_LEFT: &CStr = c"bytes_left";
/// Statistic of `onlineupdate`: whether a COMPLETE could commit now: `yes`, or `no:` with the cause
/// and what to do.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_CAN_COMPLETE: &CStr = c"can_complete";
/// Statistic of `onlineupdate`: how the last window ended.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_LAST_OUTCOME: &CStr = c"last_outcome";
/// Statistic of `onlineupdate`: how many seconds ago that was; `none` if no window has ended since
/// this process began.
pub const CHECKPOINT_ENGINE_STAT_WINDOW_LAST_OUTCOME_SECONDS: &CStr = c"last_outcome_seconds";

/// Statistic of a TAP stream or sender: `producer` or `consumer`.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_TYPE: &CStr = c"eq_tapq:%s:type";
/// Statistic of a TAP stream or sender: when it began, in seconds since the engine did.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_CREATED: &CStr = c"eq_tapq:%s:created";
/// Statistic of a TAP stream or sender: changes that are still to be sent.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_QLEN: &CStr = c"eq_tapq:%s:qlen";
/// Statistic of a TAP stream or sender: changes that were sent.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_REC_FETCHED: &CStr = c"eq_tapq:%s:rec_fetched";
/// Statistic of a TAP stream or sender: 1 while it waits for something to send.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_PAUSED: &CStr = c"eq_tapq:%s:paused";
/// Statistic of a TAP stream or sender: 1 while it keeps its connection.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_RESERVED: &CStr = c"eq_tapq:%s:reserved";
/// Statistic of a TAP stream or sender: items of a backfill that wait to be sent.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_QUEUE_BACKFILLREMAINING: &CStr =
    c"eq_tapq:%s:queue_backfillremaining";
/// Statistic of a TAP stream or sender: changes that were sent.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_QUEUE_DRAIN: &CStr = c"eq_tapq:%s:queue_drain";
/// Statistic of a TAP stream or sender: times that the client refused something for now.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_QUEUE_BACKOFF: &CStr = c"eq_tapq:%s:queue_backoff";
/// Statistic of a TAP stream or sender: changes that are still to be sent.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_TOTAL_BACKLOG_SIZE: &CStr =
    c"eq_tapq:%s:total_backlog_size";
/// Statistic of a TAP stream or sender: NOOPs that were sent.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_TOTAL_NOOPS: &CStr = c"eq_tapq:%s:total_noops";
/// Statistic of a TAP stream or sender: the time that the client gave, in Unix seconds.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_BACKFILL_AGE: &CStr = c"eq_tapq:%s:backfill_age";
/// Statistic of a TAP stream or sender: messages that the client refused.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_NUM_TAP_NACK: &CStr = c"eq_tapq:%s:num_tap_nack";
/// Statistic of a TAP stream or sender: messages that were sent again.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_NUM_TAP_TMPFAIL_SURVIVORS: &CStr =
    c"eq_tapq:%s:num_tap_tmpfail_survivors";
/// Statistic of a TAP stream or sender: messages that are not acknowledged.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_ACK_LOG_SIZE: &CStr = c"eq_tapq:%s:ack_log_size";
/// Statistic of a TAP stream or sender: whether the connection is used.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_CONNECTED: &CStr = c"eq_tapq:%s:connected";
/// Statistic of a TAP stream or sender: whether it is about to be closed.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_PENDING_DISCONNECT: &CStr =
    c"eq_tapq:%s:pending_disconnect";
/// Statistic of a TAP stream or sender: whether the client acknowledges.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_SUPPORTS_ACK: &CStr = c"eq_tapq:%s:supports_ack";
/// Statistic of a TAP stream or sender: whether it pauses after a temporary failure.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_SUSPENDED: &CStr = c"eq_tapq:%s:suspended";
/// Statistic of a TAP stream or sender: whether a backfill is under way.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_PENDING_BACKFILL: &CStr =
    c"eq_tapq:%s:pending_backfill";
/// Statistic of a TAP stream or sender: the opposite.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_BACKFILL_COMPLETED: &CStr =
    c"eq_tapq:%s:backfill_completed";
/// Statistic of a TAP stream or sender: whether all was sent and acknowledged.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_IDLE: &CStr = c"eq_tapq:%s:idle";
/// Statistic of a TAP stream or sender: whether all was sent.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_EMPTY: &CStr = c"eq_tapq:%s:empty";
/// Statistic of a TAP stream or sender: whether no backfill is under way.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_COMPLETE: &CStr = c"eq_tapq:%s:complete";
/// Statistic of a TAP stream or sender: whether its cursors outlive the connection.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_REGISTERED: &CStr = c"eq_tapq:%s:registered";
/// Statistic of a TAP stream or sender: whether it hands vbuckets over.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_TAKEOVER: &CStr = c"eq_tapq:%s:takeover";
/// Statistic of a TAP stream or sender: vbuckets that the client listed.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_VB_FILTERS: &CStr = c"eq_tapq:%s:vb_filters";
/// Statistic of a TAP stream or sender: the list.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_VB_FILTER: &CStr = c"eq_tapq:%s:vb_filter";
/// Statistic of a TAP stream or sender: what the client asked for.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_FLAGS: &CStr = c"eq_tapq:%s:flags";
/// Statistic of a TAP stream or sender: the last number given to a message.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_ACK_SEQNO: &CStr = c"eq_tapq:%s:ack_seqno";
/// Statistic of a TAP stream or sender: the last number acknowledged.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_RECV_ACK_SEQNO: &CStr = c"eq_tapq:%s:recv_ack_seqno";
/// Statistic of a TAP stream or sender: whether it waits for acknowledgements.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_ACK_WINDOW_FULL: &CStr = c"eq_tapq:%s:ack_window_full";
/// Statistic of a TAP stream or sender: messages about no change that wait to be sent.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_QLEN_HIGH_PRI: &CStr = c"eq_tapq:%s:qlen_high_pri";
/// Statistic of a TAP stream or sender: those of them that hand a vbucket over.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_QLEN_LOW_PRI: &CStr = c"eq_tapq:%s:qlen_low_pri";
/// Statistic of a TAP stream or sender: values that its backfills read from the disk.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_BG_QUEUED: &CStr = c"eq_tapq:%s:bg_queued";
/// Statistic of a TAP stream or sender: items of a backfill that wait to be sent.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_BG_RESULT_SIZE: &CStr = c"eq_tapq:%s:bg_result_size";
/// Statistic of a TAP stream or sender: the same as `bg_queued`.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_BG_RESULTS: &CStr = c"eq_tapq:%s:bg_results";
/// Statistic of a TAP stream or sender: the same as `bg_queued`.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_BG_JOBS_ISSUED: &CStr = c"eq_tapq:%s:bg_jobs_issued";
/// Statistic of a TAP stream or sender: the same as `bg_queued`.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_BG_JOBS_COMPLETED: &CStr =
    c"eq_tapq:%s:bg_jobs_completed";
/// Statistic of a TAP stream or sender: the same as `bg_result_size`.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_BG_BACKLOG_SIZE: &CStr = c"eq_tapq:%s:bg_backlog_size";
/// Statistic of a TAP stream or sender: always 0, no read waits in a queue.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_BG_QUEUE_SIZE: &CStr = c"eq_tapq:%s:bg_queue_size";
/// Statistic of a TAP stream or sender: whether a backfill has nothing to send at present.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_BG_WAIT_FOR_RESULTS: &CStr =
    c"eq_tapq:%s:bg_wait_for_results";
/// Statistic of a TAP stream or sender: bytes of the items that wait to be sent.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_QUEUE_MEMORY: &CStr = c"eq_tapq:%s:queue_memory";
/// Statistic of a TAP stream or sender: always 0.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_QUEUE_FILL: &CStr = c"eq_tapq:%s:queue_fill";
/// Statistic of a TAP stream or sender: always 0, as `bg_queue_size`.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_QUEUE_ITEMONDISK: &CStr =
    c"eq_tapq:%s:queue_itemondisk";
/// Statistic of a TAP stream or sender: whether a backfill is under way.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_PENDING_DISK_BACKFILL: &CStr =
    c"eq_tapq:%s:pending_disk_backfill";
/// Statistic of a TAP stream or sender: whether changes have been read that wait to be sent.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_HAS_ITEM: &CStr = c"eq_tapq:%s:has_item";
/// Statistic of a TAP stream or sender: whether there are changes that wait to be sent.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_HAS_QUEUED_ITEM: &CStr = c"eq_tapq:%s:has_queued_item";
/// Statistic of a TAP stream or sender: times that its connection ended, if one did.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_DISCONNECTS: &CStr = c"eq_tapq:%s:disconnects";
/// Statistic of a TAP stream or sender: times that its client came again, if it ever did.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_RECONNECTS: &CStr = c"eq_tapq:%s:reconnects";
/// Statistic of a TAP stream or sender: the same as `ack_log_size`.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_ACK_PLAYBACK_SIZE: &CStr =
    c"eq_tapq:%s:ack_playback_size";
/// Statistic of a TAP stream or sender: second since the engine's start at which it is given up, if it may not send.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_EXPIRES: &CStr = c"eq_tapq:%s:expires";
/// Statistic of a TAP stream or sender: always 0, the host refuses messages of unknown kinds.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_NUM_UNKNOWN: &CStr = c"eq_tapq:%s:num_unknown";
/// Statistic of `tap`: reads that the following times are of, in microseconds; absent before the
/// first.
pub const CHECKPOINT_ENGINE_STAT_TAP_BG_NUM_SAMPLES: &CStr = c"ep_tap_bg_num_samples";
/// Statistic of `tap`: shortest time until a read began.
pub const CHECKPOINT_ENGINE_STAT_TAP_BG_MIN_WAIT: &CStr = c"ep_tap_bg_min_wait";
/// Statistic of `tap`: longest time until a read began.
pub const CHECKPOINT_ENGINE_STAT_TAP_BG_MAX_WAIT: &CStr = c"ep_tap_bg_max_wait";
/// Statistic of `tap`: mean time until a read began.
pub const CHECKPOINT_ENGINE_STAT_TAP_BG_WAIT_AVG: &CStr = c"ep_tap_bg_wait_avg";
/// Statistic of `tap`: shortest read.
pub const CHECKPOINT_ENGINE_STAT_TAP_BG_MIN_LOAD: &CStr = c"ep_tap_bg_min_load";
/// Statistic of `tap`: longest read.
pub const CHECKPOINT_ENGINE_STAT_TAP_BG_MAX_LOAD: &CStr = c"ep_tap_bg_max_load";
/// Statistic of `tap`: mean read.
pub const CHECKPOINT_ENGINE_STAT_TAP_BG_LOAD_AVG: &CStr = c"ep_tap_bg_load_avg";
/// Statistic of `tap`: the configuration key of that name.
pub const CHECKPOINT_ENGINE_STAT_TAP_BG_MAX_PENDING: &CStr = c"ep_tap_bg_max_pending";
/// Statistic of `tap`: changes sent that were read from memory.
pub const CHECKPOINT_ENGINE_STAT_TAP_FG_FETCHED: &CStr = c"ep_tap_fg_fetched";
/// Statistic of `tap`: always 0, a read that fails ends its stream.
pub const CHECKPOINT_ENGINE_STAT_TAP_BG_FETCH_REQUEUED: &CStr = c"ep_tap_bg_fetch_requeued";
/// Statistic of `tap`: always 0.
pub const CHECKPOINT_ENGINE_STAT_TAP_QUEUE_FILL: &CStr = c"ep_tap_queue_fill";
/// Statistic of `tap`: always 0.
pub const CHECKPOINT_ENGINE_STAT_TAP_QUEUE_ITEMONDISK: &CStr = c"ep_tap_queue_itemondisk";
/// Statistic of `tap`: changes sent to all clients.
pub const CHECKPOINT_ENGINE_STAT_TAP_TOTAL_FETCHED: &CStr = c"ep_tap_total_fetched";
/// Statistic of `tap`: deletions sent.
pub const CHECKPOINT_ENGINE_STAT_TAP_DELETES: &CStr = c"ep_tap_deletes";
/// Statistic of `tap`: values that backfills read from the disk.
pub const CHECKPOINT_ENGINE_STAT_TAP_BG_FETCHED: &CStr = c"ep_tap_bg_fetched";
/// Statistic of `tap`: messages of peers that were refused for lack of memory.
pub const CHECKPOINT_ENGINE_STAT_TAP_THROTTLED: &CStr = c"ep_tap_throttled";
/// Statistic of `tap`: seconds between two NOOPs.
pub const CHECKPOINT_ENGINE_STAT_TAP_NOOP_INTERVAL: &CStr = c"ep_tap_noop_interval";
/// Statistic of `tap`: streams, and peers that send.
pub const CHECKPOINT_ENGINE_STAT_TAP_COUNT: &CStr = c"ep_tap_count";
/// Statistic of `tap`: changes that are still to be sent.
pub const CHECKPOINT_ENGINE_STAT_TAP_TOTAL_QUEUE: &CStr = c"ep_tap_total_queue";
/// Statistic of `tap`: changes sent to the present clients.
pub const CHECKPOINT_ENGINE_STAT_TAP_QUEUE_DRAIN: &CStr = c"ep_tap_queue_drain";
/// Statistic of `tap`: times that clients refused something for now.
pub const CHECKPOINT_ENGINE_STAT_TAP_QUEUE_BACKOFF: &CStr = c"ep_tap_queue_backoff";
/// Statistic of `tap`: items of backfills that wait to be sent.
pub const CHECKPOINT_ENGINE_STAT_TAP_QUEUE_BACKFILLREMAINING: &CStr =
    c"ep_tap_queue_backfillremaining";
/// Statistic of `tap`: changes that are still to be sent.
pub const CHECKPOINT_ENGINE_STAT_TAP_TOTAL_BACKLOG_SIZE: &CStr = c"ep_tap_total_backlog_size";
/// Statistic of `tap`: messages between two requests to acknowledge.
pub const CHECKPOINT_ENGINE_STAT_TAP_ACK_INTERVAL: &CStr = c"ep_tap_ack_interval";
/// Statistic of `tap`: such intervals that may be unacknowledged.
pub const CHECKPOINT_ENGINE_STAT_TAP_ACK_WINDOW_SIZE: &CStr = c"ep_tap_ack_window_size";
/// Statistic of `tap`: seconds after which a silent client is given up.
pub const CHECKPOINT_ENGINE_STAT_TAP_ACK_GRACE_PERIOD: &CStr = c"ep_tap_ack_grace_period";
/// Statistic of `tap`: seconds of a pause after a temporary failure.
pub const CHECKPOINT_ENGINE_STAT_TAP_BACKOFF_PERIOD: &CStr = c"ep_tap_backoff_period";
/// Statistic of a TAP sender: messages of that kind.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_NUM_MUTATION: &CStr = c"eq_tapq:%s:num_mutation";
/// Statistic of a TAP sender: those that failed.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_NUM_MUTATION_FAILED: &CStr =
    c"eq_tapq:%s:num_mutation_failed";
/// Statistic of a TAP sender: messages of that kind.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_NUM_DELETE: &CStr = c"eq_tapq:%s:num_delete";
/// Statistic of a TAP sender: those that failed.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_NUM_DELETE_FAILED: &CStr =
    c"eq_tapq:%s:num_delete_failed";
/// Statistic of a TAP sender: messages of that kind.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_NUM_FLUSH: &CStr = c"eq_tapq:%s:num_flush";
/// Statistic of a TAP sender: those that failed.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_NUM_FLUSH_FAILED: &CStr =
    c"eq_tapq:%s:num_flush_failed";
/// Statistic of a TAP sender: messages of that kind.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_NUM_OPAQUE: &CStr = c"eq_tapq:%s:num_opaque";
/// Statistic of a TAP sender: those that failed.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_NUM_OPAQUE_FAILED: &CStr =
    c"eq_tapq:%s:num_opaque_failed";
/// Statistic of a TAP sender: messages of that kind.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_NUM_VBUCKET_SET: &CStr = c"eq_tapq:%s:num_vbucket_set";
/// Statistic of a TAP sender: those that failed.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_NUM_VBUCKET_SET_FAILED: &CStr =
    c"eq_tapq:%s:num_vbucket_set_failed";
/// Statistic of a TAP sender: messages of that kind.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_NUM_CHECKPOINT_START: &CStr =
    c"eq_tapq:%s:num_checkpoint_start";
/// Statistic of a TAP sender: those that failed.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_NUM_CHECKPOINT_START_FAILED: &CStr =
    c"eq_tapq:%s:num_checkpoint_start_failed";
/// Statistic of a TAP sender: messages of that kind.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_NUM_CHECKPOINT_END: &CStr =
    c"eq_tapq:%s:num_checkpoint_end";
/// Statistic of a TAP sender: those that failed.
pub const CHECKPOINT_ENGINE_STAT_TAP_STREAM_NUM_CHECKPOINT_END_FAILED: &CStr =
    c"eq_tapq:%s:num_checkpoint_end_failed";
/// Statistic of `dispatcher`: always `dispatcher_running`.
pub const CHECKPOINT_ENGINE_STAT_DISPATCHER_STATE: &CStr = c"%s:state";
/// Statistic of `dispatcher`: `running` or `idle`.
pub const CHECKPOINT_ENGINE_STAT_DISPATCHER_STATUS: &CStr = c"%s:status";
/// Statistic of `dispatcher`: what it does; absent when it is idle.
pub const CHECKPOINT_ENGINE_STAT_DISPATCHER_TASK: &CStr = c"%s:task";
/// Statistic of `dispatcher`: for how long, in microseconds.
pub const CHECKPOINT_ENGINE_STAT_DISPATCHER_RUNTIME: &CStr = c"%s:runtime";
/// Statistic of `dispatcher`: the same of the last 20 jobs, the latest first.
pub const CHECKPOINT_ENGINE_STAT_DISPATCHER_LOG_TASK: &CStr = c"%s:log:%u:task";
/// Statistic of `dispatcher`: when it began, in Unix seconds.
pub const CHECKPOINT_ENGINE_STAT_DISPATCHER_LOG_STARTTIME: &CStr = c"%s:log:%u:starttime";
/// Statistic of `dispatcher`: how long it took, in microseconds.
pub const CHECKPOINT_ENGINE_STAT_DISPATCHER_LOG_RUNTIME: &CStr = c"%s:log:%u:runtime";
/// Statistic of `dispatcher`: the last 20 jobs that took a second or longer.
pub const CHECKPOINT_ENGINE_STAT_DISPATCHER_SLOW_TASK: &CStr = c"%s:slow:%u:task";
/// Statistic of `dispatcher`: when it began, in Unix seconds.
pub const CHECKPOINT_ENGINE_STAT_DISPATCHER_SLOW_STARTTIME: &CStr = c"%s:slow:%u:starttime";
/// Statistic of `dispatcher`: how long it took, in microseconds.
pub const CHECKPOINT_ENGINE_STAT_DISPATCHER_SLOW_RUNTIME: &CStr = c"%s:slow:%u:runtime";
/// Statistic of `restore`: always `checkpoint-engine`.
pub const CHECKPOINT_ENGINE_STAT_RESTORE_ENGINE: &CStr = c"ep_restore:engine";
/// Statistic of `restore`: `running` while a connection restores, else `initialized`.
pub const CHECKPOINT_ENGINE_STAT_RESTORE_STATE: &CStr = c"ep_restore:state";
/// Statistic of `restore`: why the last restore ended early; empty if it did not.
pub const CHECKPOINT_ENGINE_STAT_RESTORE_LAST_ERROR: &CStr = c"ep_restore:last_error";
/// Statistic of `restore`: what its client calls the backup.
pub const CHECKPOINT_ENGINE_STAT_RESTORE_FILE: &CStr = c"ep_restore:file";
/// Statistic of `restore`: keys that were refused for the time being.
pub const CHECKPOINT_ENGINE_STAT_RESTORE_NUMBER_BUSY: &CStr = c"ep_restore:number_busy";
/// Statistic of `restore`: keys that were left out: they are there, or were deleted
/// meanwhile.
pub const CHECKPOINT_ENGINE_STAT_RESTORE_NUMBER_SKIPPED: &CStr = c"ep_restore:number_skipped";
/// Statistic of `restore`: keys that were put in place, or noted as deleted.
pub const CHECKPOINT_ENGINE_STAT_RESTORE_NUMBER_RESTORED: &CStr = c"ep_restore:number_restored";
/// Statistic of `restore`: keys that had expired.
pub const CHECKPOINT_ENGINE_STAT_RESTORE_NUMBER_EXPIRED: &CStr = c"ep_restore:number_expired";
/// Statistic of `restore`: keys of vbuckets that are not active here, or were not all the time.
pub const CHECKPOINT_ENGINE_STAT_RESTORE_NUMBER_WRONG_VBUCKET: &CStr =
    c"ep_restore:number_wrong_vbucket";
/// Statistic of `restore`: whether it was aborted.
pub const CHECKPOINT_ENGINE_STAT_RESTORE_TERMINATE: &CStr = c"ep_restore:terminate";
/// Statistic of `restore`: for how long the connection that restores has been silent; 0 without
/// one, and while it waits for an answer.
pub const CHECKPOINT_ENGINE_STAT_RESTORE_SECONDS_SILENT: &CStr = c"ep_restore:seconds_silent";
/// Statistic of `restore`: keys that clients have deleted since restore mode began.
pub const CHECKPOINT_ENGINE_STAT_RESTORE_NUMBER_NOTED: &CStr = c"ep_restore:number_noted";
/// Statistic of `restore`: about what the notes of them, and of evicted keys, take in memory, in
/// bytes: an eighth of `max_size` at most.
pub const CHECKPOINT_ENGINE_STAT_RESTORE_NOTED_BYTES: &CStr = c"ep_restore:noted_bytes";
/// Statistic of `scrub`: `running`, or `stopped`.
pub const CHECKPOINT_ENGINE_STAT_SCRUBBER_STATUS: &CStr = c"scrubber:status";
/// Statistic of `scrub`: seconds that the last one took.
pub const CHECKPOINT_ENGINE_STAT_SCRUBBER_LAST_RUN: &CStr = c"scrubber:last_run";
/// Statistic of `scrub`: keys of active vbuckets that it looked at.
pub const CHECKPOINT_ENGINE_STAT_SCRUBBER_VISITED: &CStr = c"scrubber:visited";
/// Statistic of `scrub`: those of them that had expired and were deleted.
pub const CHECKPOINT_ENGINE_STAT_SCRUBBER_CLEANED: &CStr = c"scrubber:cleaned";
/// Statistic of `tapagg`: streams of the group.
pub const CHECKPOINT_ENGINE_STAT_TAPAGG_COUNT: &CStr = c"%s:count";
/// Statistic of `tapagg`: changes that are still to be sent.
pub const CHECKPOINT_ENGINE_STAT_TAPAGG_QLEN: &CStr = c"%s:qlen";
/// Statistic of `tapagg`: always 0.
pub const CHECKPOINT_ENGINE_STAT_TAPAGG_FILL: &CStr = c"%s:fill";
/// Statistic of `tapagg`: always 0.
pub const CHECKPOINT_ENGINE_STAT_TAPAGG_ITEMONDISK: &CStr = c"%s:itemondisk";
/// Statistic of `tapagg`: changes that were sent.
pub const CHECKPOINT_ENGINE_STAT_TAPAGG_DRAIN: &CStr = c"%s:drain";
/// Statistic of `tapagg`: temporary failures.
pub const CHECKPOINT_ENGINE_STAT_TAPAGG_BACKOFF: &CStr = c"%s:backoff";
/// Statistic of `tapagg`: items of backfills that wait to be sent.
pub const CHECKPOINT_ENGINE_STAT_TAPAGG_BACKFILL_REMAINING: &CStr = c"%s:backfill_remaining";
/// Statistic of `tapagg`: changes that are still to be sent.
pub const CHECKPOINT_ENGINE_STAT_TAPAGG_TOTAL_BACKLOG_SIZE: &CStr = c"%s:total_backlog_size";

/// Histogram of `timings`: how long the oldest mutation of a commit had waited.
pub const CHECKPOINT_ENGINE_TIMING_STORAGE_AGE: &CStr = c"storage_age";
/// Histogram of `timings`: the same.
pub const CHECKPOINT_ENGINE_TIMING_DATA_AGE: &CStr = c"data_age";
/// Histogram of `timings`: from the wish of a stream for a value to the beginning of its read.
pub const CHECKPOINT_ENGINE_TIMING_BG_TAP_WAIT: &CStr = c"bg_tap_wait";
/// Histogram of `timings`: reads of values for streams.
pub const CHECKPOINT_ENGINE_TIMING_BG_TAP_LOAD: &CStr = c"bg_tap_load";
/// Histogram of `timings`: changes that a master sent.
pub const CHECKPOINT_ENGINE_TIMING_TAP_MUTATION: &CStr = c"tap_mutation";
/// Histogram of `timings`: states that another node sent.
pub const CHECKPOINT_ENGINE_TIMING_TAP_VB_SET: &CStr = c"tap_vb_set";
/// Histogram of `timings`: begins of backfills that a master sent.
pub const CHECKPOINT_ENGINE_TIMING_TAP_VB_RESET: &CStr = c"tap_vb_reset";
/// Histogram of `timings`: commits.
pub const CHECKPOINT_ENGINE_TIMING_DISK_COMMIT: &CStr = c"disk_commit";
/// Histogram of `timings`: from the wish for a value to the beginning of its read.
pub const CHECKPOINT_ENGINE_TIMING_BG_WAIT: &CStr = c"bg_wait";
/// Histogram of `timings`: reads of values.
pub const CHECKPOINT_ENGINE_TIMING_BG_LOAD: &CStr = c"bg_load";
/// Histogram of `timings`: clients that waited for a pending vbucket.
pub const CHECKPOINT_ENGINE_TIMING_PENDING_OPS: &CStr = c"pending_ops";
/// Histogram of `timings`: GET_VBUCKET.
pub const CHECKPOINT_ENGINE_TIMING_GET_VB_CMD: &CStr = c"get_vb_cmd";
/// Histogram of `timings`: SET_VBUCKET.
pub const CHECKPOINT_ENGINE_TIMING_SET_VB_CMD: &CStr = c"set_vb_cmd";
/// Histogram of `timings`: DEL_VBUCKET.
pub const CHECKPOINT_ENGINE_TIMING_DEL_VB_CMD: &CStr = c"del_vb_cmd";
/// Histogram of `timings`: the work of REVERT.
pub const CHECKPOINT_ENGINE_TIMING_REVERT: &CStr = c"online_update_revert";

// Configuration keys begin.
/// Directory of the database, created if absent. Without it everything is kept in memory only
/// and nothing survives the process.
/// Takes any text; default: none.
pub const CHECKPOINT_ENGINE_KEY_DBNAME: &CStr = c"dbname";
/// Layout of the host's tables; `auto` finds it out and refuses to start when it cannot be
/// sure. `arcus` says that a version of ARCUS memcached which is not known has the tables of
/// one that is.
/// Takes one of auto, memcached, membase, arcus; default: auto.
pub const CHECKPOINT_ENGINE_KEY_HOST_ABI: &CStr = c"host_abi";
/// ARCUS only: the answer of a write goes out when it is durable; all that wait at a time do so
/// after one commit. Inside an online update answers do not wait: COMPLETE makes it durable.
/// While a COMPLETE runs they wait for its end.
/// Takes one of true, false, on, off; default: false.
pub const CHECKPOINT_ENGINE_KEY_SYNC_WRITES: &CStr = c"sync_writes";
/// ARCUS only, where calls wait on the host's own threads, for values from the disk above all:
/// the connection of one that takes longer is closed.
/// Takes a number from 10 to 600000 (ms); default: 5000.
pub const CHECKPOINT_ENGINE_KEY_WORKER_WAIT_MAX: &CStr = c"worker_wait_max";
/// ARCUS only: what stands between a prefix and the rest of a key, for `flush_prefix`.
/// Takes one printable character; default: :.
pub const CHECKPOINT_ENGINE_KEY_PREFIX_DELIMITER: &CStr = c"prefix_delimiter";
/// Memory quota; 0 stands for none, and is then read as 2^64-1. Alias: `cache_size`. A value
/// may take half of it. What clients have announced and not sent may take up to a quarter and
/// one value besides.
/// Takes a number, 0 or more (bytes); default: 0.
pub const CHECKPOINT_ENGINE_KEY_MAX_SIZE: &CStr = c"max_size";
/// Eviction stops when memory is back at this mark; 0 stands for 60 % of `max_size`.
/// Takes a number, 0 or more (bytes); default: 0.
pub const CHECKPOINT_ENGINE_KEY_MEM_LOW_WAT: &CStr = c"mem_low_wat";
/// Eviction starts when memory reaches this mark; 0 stands for 75 % of `max_size`.
/// Takes a number, 0 or more (bytes); default: 0.
pub const CHECKPOINT_ENGINE_KEY_MEM_HIGH_WAT: &CStr = c"mem_high_wat";
/// Share of `max_size` above which mutations get a temporary failure.
/// Takes a number from 0.01 to 1 (share of the quota); default: 0.9.
pub const CHECKPOINT_ENGINE_KEY_MUTATION_MEM_THRESHOLD: &CStr = c"mutation_mem_threshold";
/// Whether what is not used makes room when memory is full: values, which stay on the disk, or
/// keys where nothing is kept on it. With `false` writes are refused then. `-M` of a host says
/// so.
/// Takes one of true, false, on, off; default: true.
pub const CHECKPOINT_ENGINE_KEY_EVICTION: &CStr = c"eviction";
/// Longest value. Alias: `item_size_max`.
/// Takes a number from 1 to 1073741824 (bytes); default: 20971520.
pub const CHECKPOINT_ENGINE_KEY_MAX_ITEM_SIZE: &CStr = c"max_item_size";
/// Vbucket ids from this one on do not exist.
/// Takes a number from 1 to 1024 (vbuckets); default: 1024.
pub const CHECKPOINT_ENGINE_KEY_MAX_VBUCKETS: &CStr = c"max_vbuckets";
/// Whether vbucket 0 is made active when a node starts without any.
/// Takes one of true, false, on, off; default: true.
pub const CHECKPOINT_ENGINE_KEY_VB0: &CStr = c"vb0";
/// The open checkpoint is closed when it holds this many keys.
/// Takes a number from 100 to 500000 (keys); default: 5000.
pub const CHECKPOINT_ENGINE_KEY_CHK_MAX_ITEMS: &CStr = c"chk_max_items";
/// The open checkpoint is closed when it is this old.
/// Takes a number from 60 to 3600 (s); default: 600.
pub const CHECKPOINT_ENGINE_KEY_CHK_PERIOD: &CStr = c"chk_period";
/// With this many checkpoints in memory the open one grows, whatever its size in keys and its
/// age.
/// Takes a number from 2 to 5 (checkpoints); default: 2.
pub const CHECKPOINT_ENGINE_KEY_MAX_CHECKPOINTS: &CStr = c"max_checkpoints";
/// Time between two looks at the age of checkpoints and at the memory that streams hold.
/// Takes a number from 1 to 3600 (s); default: 5.
pub const CHECKPOINT_ENGINE_KEY_CHK_REMOVER_STIME: &CStr = c"chk_remover_stime";
/// Time between two runs that delete expired items; 0 never.
/// Takes a number from 0 to 31536000 (s); default: 3600.
pub const CHECKPOINT_ENGINE_KEY_EXP_PAGER_STIME: &CStr = c"exp_pager_stime";
/// Without effect: an item is written although it is about to expire, so that the store always
/// holds a state that the vbucket was in. Its row goes when the item does.
/// Takes a number from 0 to 86400 (s); default: 3.
pub const CHECKPOINT_ENGINE_KEY_EXPIRY_WINDOW: &CStr = c"expiry_window";
/// Mutations that one transaction of the flusher holds, unless very many wait.
/// Takes a number from 1 to 10000000 (items); default: 10000.
pub const CHECKPOINT_ENGINE_KEY_MAX_TXN_SIZE: &CStr = c"max_txn_size";
/// Changes are written this long after the first of them, together with the younger ones that
/// came meanwhile. START, COMPLETE and a shutdown do not wait for it.
/// Takes a number from 0 to 86400 (s); default: 0.
pub const CHECKPOINT_ENGINE_KEY_MIN_DATA_AGE: &CStr = c"min_data_age";
/// Changes are written after this time at the latest, whatever `min_data_age` says.
/// Takes a number from 0 to 86400 (s); default: 900.
pub const CHECKPOINT_ENGINE_KEY_QUEUE_AGE_CAP: &CStr = c"queue_age_cap";
/// How hard a commit is pushed to the disk: `sync` survives a power failure, `periodic` loses
/// about a second then, `none` leaves it to the kernel.
/// Takes one of sync, periodic, none; default: sync.
pub const CHECKPOINT_ENGINE_KEY_DURABILITY: &CStr = c"durability";
/// Where pre-images of an online update are kept: with `memory` a revert needs no disk reads.
/// Takes one of disk, memory; default: disk.
pub const CHECKPOINT_ENGINE_KEY_ONLINE_UPDATE_UNDO: &CStr = c"online_update_undo";
/// Whether the database is loaded at start; with `false` the start is refused if it holds keys.
/// Takes one of true, false, on, off; default: true.
pub const CHECKPOINT_ENGINE_KEY_WARMUP: &CStr = c"warmup";
/// Whether the start waits until everything is loaded; with `false` operations wait for their
/// vbucket.
/// Takes one of true, false, on, off; default: true.
pub const CHECKPOINT_ENGINE_KEY_WAITFORWARMUP: &CStr = c"waitforwarmup";
/// Whether the start is refused when the keys alone do not fit into `max_size`. Has no meaning
/// with `waitforwarmup=false`, where the node serves clients by then.
/// Takes one of true, false, on, off; default: true.
pub const CHECKPOINT_ENGINE_KEY_FAILPARTIALWARMUP: &CStr = c"failpartialwarmup";
/// Whether the node begins in restore mode: what is not in memory is a temporary failure and no
/// miss, until RESTORE_COMPLETE.
/// Takes one of true, false, on, off; default: false.
pub const CHECKPOINT_ENGINE_KEY_RESTORE_MODE: &CStr = c"restore_mode";
/// How long a key is locked by `GET_LOCKED` without a time of its own.
/// Takes a number from 1 to 86400 (s); default: 15.
pub const CHECKPOINT_ENGINE_KEY_GETL_DEFAULT_TIMEOUT: &CStr = c"getl_default_timeout";
/// Longest time for which `GET_LOCKED` may lock a key.
/// Takes a number from 1 to 86400 (s); default: 30.
pub const CHECKPOINT_ENGINE_KEY_GETL_MAX_TIMEOUT: &CStr = c"getl_max_timeout";
/// How long SYNC waits.
/// Takes a number from 0 to 86400000 (ms); default: 2500.
pub const CHECKPOINT_ENGINE_KEY_SYNC_CMD_TIMEOUT: &CStr = c"sync_cmd_timeout";
/// How long the state of a named TAP producer is kept after its connection closed.
/// Takes a number from 0 to 3600 (s); default: 0.
pub const CHECKPOINT_ENGINE_KEY_TAP_KEEPALIVE: &CStr = c"tap_keepalive";
/// Time between two NOOPs on a silent TAP stream; 0 never.
/// Takes a number from 0 to 86400 (s); default: 200.
pub const CHECKPOINT_ENGINE_KEY_TAP_NOOP_INTERVAL: &CStr = c"tap_noop_interval";
/// If given, NOOPs are sent every third of it, and `tap_noop_interval` has no effect.
/// Takes a number from 0 to 86400 (s); default: none.
pub const CHECKPOINT_ENGINE_KEY_TAP_IDLE_TIMEOUT: &CStr = c"tap_idle_timeout";
/// Most TAP streams at a time; another TAP_CONNECT is refused. Their cursors may take a
/// sixteenth of `max_size` besides.
/// Takes a number from 1 to 100000 (streams); default: 512.
pub const CHECKPOINT_ENGINE_KEY_TAP_STREAMS_MAX: &CStr = c"tap_streams_max";
/// A TAP backfill pauses while more items than this are queued.
/// Takes a number from 1 to 10000000 (items); default: 5000.
pub const CHECKPOINT_ENGINE_KEY_TAP_BACKLOG_LIMIT: &CStr = c"tap_backlog_limit";
/// Values that a TAP backfill reads from the store before another one has its turn.
/// Takes a number from 1 to 1000000 (reads); default: 500.
pub const CHECKPOINT_ENGINE_KEY_TAP_BG_MAX_PENDING: &CStr = c"tap_bg_max_pending";
/// Pause of a TAP stream after a temporary failure of its receiver; 0 none.
/// Takes a number from 0 to 3600 (s); default: 5.
pub const CHECKPOINT_ENGINE_KEY_TAP_BACKOFF_PERIOD: &CStr = c"tap_backoff_period";
/// Unanswered acknowledgement requests at which a TAP stream pauses.
/// Takes a number from 1 to 1000000 (requests); default: 10.
pub const CHECKPOINT_ENGINE_KEY_TAP_ACK_WINDOW_SIZE: &CStr = c"tap_ack_window_size";
/// Messages between two acknowledgement requests on TAP.
/// Takes a number from 1 to 1000000 (messages); default: 1000.
pub const CHECKPOINT_ENGINE_KEY_TAP_ACK_INTERVAL: &CStr = c"tap_ack_interval";
/// A TAP stream whose receiver does not acknowledge for this long is closed.
/// Takes a number from 1 to 86400 (s); default: 300.
pub const CHECKPOINT_ENGINE_KEY_TAP_ACK_GRACE_PERIOD: &CStr = c"tap_ack_grace_period";
/// First sequence number on a TAP stream; 0 is read as 1.
/// Takes a number from 0 to 4294967295; default: 1.
pub const CHECKPOINT_ENGINE_KEY_TAP_ACK_INITIAL_SEQUENCE_NUMBER: &CStr =
    c"tap_ack_initial_sequence_number";
/// How long a shutdown may go on writing before it gives up.
/// Takes a number from 1 to 86400 (s); default: 60.
pub const CHECKPOINT_ENGINE_KEY_SHUTDOWN_TIMEOUT: &CStr = c"shutdown_timeout";
/// Memory that the database library may use for its cache of blocks; never more than a
/// sixteenth of `max_size`. Its tables of recent changes take up to an eighth besides.
/// Takes a number from 0 to 1099511627776 (bytes); default: 67108864.
pub const CHECKPOINT_ENGINE_KEY_STORE_CACHE_SIZE: &CStr = c"store_cache_size";
/// Configuration key: another name of `max_size`.
pub const CHECKPOINT_ENGINE_KEY_CACHE_SIZE: &CStr = c"cache_size";
/// Configuration key: another name of `max_item_size`.
pub const CHECKPOINT_ENGINE_KEY_ITEM_SIZE_MAX: &CStr = c"item_size_max";
// Configuration keys end.
