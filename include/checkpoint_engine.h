/*
 * What the checkpoint engine adds to the engine interface: its entry point, and the opcodes, TAP
 * messages, configuration keys and statistics that it knows.
 *
 * Generated from src/constants.rs and src/abi/table.rs by `make regenerate`.
 */

#ifndef CHECKPOINT_ENGINE_H
#define CHECKPOINT_ENGINE_H

#include <stdint.h>
#include "memcached/engine.h"

/* Version of the engine that this file belongs to. */
#define CHECKPOINT_ENGINE_VERSION "0.1.0"

/* Stops the flusher; what is written stays in memory. */
#define CHECKPOINT_ENGINE_CMD_STOP_PERSISTENCE 0x80

/* Starts the flusher again. */
#define CHECKPOINT_ENGINE_CMD_START_PERSISTENCE 0x81

/* Sets the state of the vbucket in the header: 4 bytes of extras. */
#define CHECKPOINT_ENGINE_CMD_SET_VBUCKET 0x3d

/* Answers the state of the vbucket in the header: 4 bytes of body. */
#define CHECKPOINT_ENGINE_CMD_GET_VBUCKET 0x3e

/* Deletes the vbucket in the header, which must be dead. */
#define CHECKPOINT_ENGINE_CMD_DEL_VBUCKET 0x3f

/* Sets the expiry of a key: 4 bytes of extras. */
#define CHECKPOINT_ENGINE_CMD_TOUCH 0x1c

/* TOUCH that answers the value. */
#define CHECKPOINT_ENGINE_CMD_GAT 0x1d

/* GAT that does not answer a miss. */
#define CHECKPOINT_ENGINE_CMD_GATQ 0x1e

/* Answers the id of the vbucket's last closed checkpoint: 8 bytes of body. */
#define CHECKPOINT_ENGINE_CMD_LAST_CLOSED_CHECKPOINT 0x97

/*
 * Opens the window of an online update on all active vbuckets: from now on nothing reaches the
 * disk.
 */
#define CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_START 0x9b

/* Ends the window and makes its writes durable; answered when they are. */
#define CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_COMPLETE 0x9c

/* Ends the window and takes its writes back; answered when all of them are. */
#define CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_REVERT 0x9d

/* Done. */
#define CHECKPOINT_ENGINE_STATUS_SUCCESS 0x00

/* No such key. */
#define CHECKPOINT_ENGINE_STATUS_KEY_ENOENT 0x01

/* The key exists, or its CAS differs, or it is locked. */
#define CHECKPOINT_ENGINE_STATUS_KEY_EEXISTS 0x02

/* Key or value too long. */
#define CHECKPOINT_ENGINE_STATUS_E2BIG 0x03

/* The request makes no sense. */
#define CHECKPOINT_ENGINE_STATUS_EINVAL 0x04

/* The condition of the command does not hold. */
#define CHECKPOINT_ENGINE_STATUS_NOT_STORED 0x05

/* The value is not a decimal number. */
#define CHECKPOINT_ENGINE_STATUS_DELTA_BADVAL 0x06

/* The vbucket is not served here. */
#define CHECKPOINT_ENGINE_STATUS_NOT_MY_VBUCKET 0x07

/* The engine does not know the opcode. */
#define CHECKPOINT_ENGINE_STATUS_UNKNOWN_COMMAND 0x81

/* No memory. */
#define CHECKPOINT_ENGINE_STATUS_ENOMEM 0x82

/* Not in this state: for online updates, no window is open, or one is, or it is being ended. */
#define CHECKPOINT_ENGINE_STATUS_NOT_SUPPORTED 0x83

/* A defect of the engine; see its log. */
#define CHECKPOINT_ENGINE_STATUS_EINTERNAL 0x84

/* Not now; try again. */
#define CHECKPOINT_ENGINE_STATUS_ETMPFAIL 0x86

/*
 * Code of a `TAP_OPAQUE` message: a window begins. The code is 4 engine-specific bytes in network
 * order; an announcement of 12 bytes, code and checkpoint id, precedes it.
 */
#define CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_START 4

/* Code of a `TAP_OPAQUE` message: the window was completed. */
#define CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_END 5

/* Code of a `TAP_OPAQUE` message: the window was reverted. */
#define CHECKPOINT_ENGINE_TAP_OPAQUE_ONLINE_UPDATE_REVERT 6

/* Statistic: items in active vbuckets. */
#define CHECKPOINT_ENGINE_STAT_CURR_ITEMS "curr_items"

/* Statistic: bytes in use by the engine, counted exactly. */
#define CHECKPOINT_ENGINE_STAT_MEM_USED "mem_used"

/* Statistic: mutations that wait to be written. */
#define CHECKPOINT_ENGINE_STAT_QUEUE_SIZE "ep_queue_size"

/* Statistic: mutations that the flusher has taken and not yet written. */
#define CHECKPOINT_ENGINE_STAT_FLUSHER_TODO "ep_flusher_todo"

/* Statistic: what the flusher does. */
#define CHECKPOINT_ENGINE_STAT_FLUSHER_STATE "ep_flusher_state"

/* Statistic: mutations written since the start. */
#define CHECKPOINT_ENGINE_STAT_TOTAL_PERSISTED "ep_total_persisted"

/* Statistic: whether an online update is under way. */
#define CHECKPOINT_ENGINE_STAT_ONLINE_UPDATE "ep_onlineupdate"

/* Statistic: keys that reverts removed, because they had been added in the window. */
#define CHECKPOINT_ENGINE_STAT_REVERT_ADD "ep_onlineupdate_revert_add"

/* Statistic: keys that reverts brought back, because they had been deleted in the window. */
#define CHECKPOINT_ENGINE_STAT_REVERT_DELETE "ep_onlineupdate_revert_delete"

/* Statistic: keys that reverts restored, because they had been changed in the window. */
#define CHECKPOINT_ENGINE_STAT_REVERT_UPDATE "ep_onlineupdate_revert_update"

/* Statistic: how the last window ended: none, completed, reverted or lost at restart. */
#define CHECKPOINT_ENGINE_STAT_LAST_OUTCOME "ep_onlineupdate_last_outcome"

/* Statistic: calls that met a defect of the engine and were answered with an error. */
#define CHECKPOINT_ENGINE_STAT_PANICS "ep_panics"

/*
 * Directory of the database, created if absent. Without it everything is kept in memory only
 * and nothing survives the process.
 * Takes any text; default: none.
 */
#define CHECKPOINT_ENGINE_KEY_DBNAME "dbname"

/*
 * Layout of the host's cookie functions; `auto` finds it out and refuses to start when it
 * cannot be sure.
 * Takes one of auto, memcached, membase; default: auto.
 */
#define CHECKPOINT_ENGINE_KEY_HOST_ABI "host_abi"

/*
 * Memory quota; 0 stands for none, and is then read as 2^64-1. Alias: `cache_size`.
 * Takes a number, 0 or more (bytes); default: 0.
 */
#define CHECKPOINT_ENGINE_KEY_MAX_SIZE "max_size"

/*
 * Eviction stops when memory is back at this mark; 0 stands for 60 % of `max_size`.
 * Takes a number, 0 or more (bytes); default: 0.
 */
#define CHECKPOINT_ENGINE_KEY_MEM_LOW_WAT "mem_low_wat"

/*
 * Eviction starts when memory reaches this mark; 0 stands for 75 % of `max_size`.
 * Takes a number, 0 or more (bytes); default: 0.
 */
#define CHECKPOINT_ENGINE_KEY_MEM_HIGH_WAT "mem_high_wat"

/*
 * Share of `max_size` above which mutations get a temporary failure.
 * Takes a number from 0.01 to 1 (share of the quota); default: 0.9.
 */
#define CHECKPOINT_ENGINE_KEY_MUTATION_MEM_THRESHOLD "mutation_mem_threshold"

/*
 * Longest value. Alias: `item_size_max`.
 * Takes a number from 1 to 1073741824 (bytes); default: 20971520.
 */
#define CHECKPOINT_ENGINE_KEY_MAX_ITEM_SIZE "max_item_size"

/*
 * Vbucket ids from this one on do not exist.
 * Takes a number from 1 to 1024 (vbuckets); default: 1024.
 */
#define CHECKPOINT_ENGINE_KEY_MAX_VBUCKETS "max_vbuckets"

/*
 * Whether vbucket 0 is made active when a node starts without any.
 * Takes one of true, false, on, off; default: true.
 */
#define CHECKPOINT_ENGINE_KEY_VB0 "vb0"

/*
 * The open checkpoint is closed when it holds this many keys.
 * Takes a number from 100 to 500000 (keys); default: 5000.
 */
#define CHECKPOINT_ENGINE_KEY_CHK_MAX_ITEMS "chk_max_items"

/*
 * The open checkpoint is closed when it is this old.
 * Takes a number from 60 to 3600 (s); default: 600.
 */
#define CHECKPOINT_ENGINE_KEY_CHK_PERIOD "chk_period"

/*
 * Checkpoints that a vbucket keeps for cursors that come back.
 * Takes a number from 2 to 5 (checkpoints); default: 2.
 */
#define CHECKPOINT_ENGINE_KEY_MAX_CHECKPOINTS "max_checkpoints"

/*
 * Time between two runs that free checkpoints.
 * Takes a number from 1 to 3600 (s); default: 5.
 */
#define CHECKPOINT_ENGINE_KEY_CHK_REMOVER_STIME "chk_remover_stime"

/*
 * Time between two runs that delete expired items; 0 never.
 * Takes a number from 0 to 31536000 (s); default: 3600.
 */
#define CHECKPOINT_ENGINE_KEY_EXP_PAGER_STIME "exp_pager_stime"

/*
 * Items that expire within this time are not written to disk.
 * Takes a number from 0 to 86400 (s); default: 3.
 */
#define CHECKPOINT_ENGINE_KEY_EXPIRY_WINDOW "expiry_window"

/*
 * Mutations that one transaction of the flusher holds.
 * Takes a number from 1 to 10000000 (items); default: 10000.
 */
#define CHECKPOINT_ENGINE_KEY_MAX_TXN_SIZE "max_txn_size"

/*
 * Items that changed more recently are not written yet.
 * Takes a number from 0 to 86400 (s); default: 0.
 */
#define CHECKPOINT_ENGINE_KEY_MIN_DATA_AGE "min_data_age"

/*
 * Items that waited this long are written although `min_data_age` says no.
 * Takes a number from 0 to 86400 (s); default: 900.
 */
#define CHECKPOINT_ENGINE_KEY_QUEUE_AGE_CAP "queue_age_cap"

/*
 * How hard a commit is pushed to the disk: `sync` survives a power failure, `periodic` loses
 * about a second then, `none` leaves it to the kernel.
 * Takes one of sync, periodic, none; default: sync.
 */
#define CHECKPOINT_ENGINE_KEY_DURABILITY "durability"

/*
 * Where pre-images of an online update are kept: with `memory` a revert needs no disk reads.
 * Takes one of disk, memory; default: disk.
 */
#define CHECKPOINT_ENGINE_KEY_ONLINE_UPDATE_UNDO "online_update_undo"

/*
 * Whether the database is loaded at start; with `false` the start is refused if it holds keys.
 * Takes one of true, false, on, off; default: true.
 */
#define CHECKPOINT_ENGINE_KEY_WARMUP "warmup"

/*
 * Whether the start waits until everything is loaded; with `false` operations wait for their
 * vbucket.
 * Takes one of true, false, on, off; default: true.
 */
#define CHECKPOINT_ENGINE_KEY_WAITFORWARMUP "waitforwarmup"

/*
 * Whether the start is refused when the keys alone do not fit into `max_size`.
 * Takes one of true, false, on, off; default: true.
 */
#define CHECKPOINT_ENGINE_KEY_FAILPARTIALWARMUP "failpartialwarmup"

/*
 * How long a key is locked by `GET_LOCKED` without a time of its own.
 * Takes a number from 1 to 86400 (s); default: 15.
 */
#define CHECKPOINT_ENGINE_KEY_GETL_DEFAULT_TIMEOUT "getl_default_timeout"

/*
 * Longest time for which `GET_LOCKED` may lock a key.
 * Takes a number from 1 to 86400 (s); default: 30.
 */
#define CHECKPOINT_ENGINE_KEY_GETL_MAX_TIMEOUT "getl_max_timeout"

/*
 * How long SYNC waits.
 * Takes a number from 10 to 60000 (ms); default: 2500.
 */
#define CHECKPOINT_ENGINE_KEY_SYNC_CMD_TIMEOUT "sync_cmd_timeout"

/*
 * How long the state of a named TAP producer is kept after its connection closed.
 * Takes a number from 0 to 3600 (s); default: 0.
 */
#define CHECKPOINT_ENGINE_KEY_TAP_KEEPALIVE "tap_keepalive"

/*
 * Time between two NOOPs on a silent TAP stream; 0 never.
 * Takes a number from 0 to 86400 (s); default: 200.
 */
#define CHECKPOINT_ENGINE_KEY_TAP_NOOP_INTERVAL "tap_noop_interval"

/*
 * If given, NOOPs are sent every third of it, and `tap_noop_interval` has no effect.
 * Takes a number from 0 to 86400 (s); default: none.
 */
#define CHECKPOINT_ENGINE_KEY_TAP_IDLE_TIMEOUT "tap_idle_timeout"

/*
 * A TAP backfill pauses while more items than this are queued.
 * Takes a number from 1 to 10000000 (items); default: 5000.
 */
#define CHECKPOINT_ENGINE_KEY_TAP_BACKLOG_LIMIT "tap_backlog_limit"

/*
 * Disk reads that one TAP producer may have under way.
 * Takes a number from 1 to 1000000 (reads); default: 500.
 */
#define CHECKPOINT_ENGINE_KEY_TAP_BG_MAX_PENDING "tap_bg_max_pending"

/*
 * Pause of a TAP stream after a temporary failure of its receiver; 0 none.
 * Takes a number from 0 to 3600 (s); default: 5.
 */
#define CHECKPOINT_ENGINE_KEY_TAP_BACKOFF_PERIOD "tap_backoff_period"

/*
 * Unanswered acknowledgement requests at which a TAP stream pauses.
 * Takes a number from 1 to 1000000 (requests); default: 10.
 */
#define CHECKPOINT_ENGINE_KEY_TAP_ACK_WINDOW_SIZE "tap_ack_window_size"

/*
 * Messages between two acknowledgement requests on TAP.
 * Takes a number from 1 to 1000000 (messages); default: 1000.
 */
#define CHECKPOINT_ENGINE_KEY_TAP_ACK_INTERVAL "tap_ack_interval"

/*
 * A TAP stream whose receiver does not acknowledge for this long is closed.
 * Takes a number from 1 to 86400 (s); default: 300.
 */
#define CHECKPOINT_ENGINE_KEY_TAP_ACK_GRACE_PERIOD "tap_ack_grace_period"

/*
 * First sequence number on a TAP stream; 0 is read as 1.
 * Takes a number from 0 to 4294967295; default: 1.
 */
#define CHECKPOINT_ENGINE_KEY_TAP_ACK_INITIAL_SEQUENCE_NUMBER "tap_ack_initial_sequence_number"

/*
 * How long a shutdown may go on writing before it gives up.
 * Takes a number from 1 to 86400 (s); default: 60.
 */
#define CHECKPOINT_ENGINE_KEY_SHUTDOWN_TIMEOUT "shutdown_timeout"

/*
 * Memory that the database library may use for its cache of blocks; never more than a
 * sixteenth of `max_size`. Its tables of recent changes take up to an eighth besides.
 * Takes a number from 0 to 1099511627776 (bytes); default: 67108864.
 */
#define CHECKPOINT_ENGINE_KEY_STORE_CACHE_SIZE "store_cache_size"

/* Configuration key: another name of `max_size`. */
#define CHECKPOINT_ENGINE_KEY_CACHE_SIZE "cache_size"

/* Configuration key: another name of `max_item_size`. */
#define CHECKPOINT_ENGINE_KEY_ITEM_SIZE_MAX "item_size_max"

/**
 * The symbol that hosts look up: makes an engine that `initialize` will start.
 *
 * Returns `ENGINE_ENOTSUP` for another interface than 1, `ENGINE_EINVAL` for a NULL handle and
 * `ENGINE_FAILED` for a host whose tables lack something; the reason goes to the log or to
 * stderr.
 *
 * # Safety
 * `handle` is NULL or writable; `get_server_api` returns the server table of interface 1, which
 * lives as long as the process.
 */
ENGINE_ERROR_CODE create_instance(uint64_t interface,
                                  GET_SERVER_API get_server_api,
                                  ENGINE_HANDLE **handle);

#endif  /* CHECKPOINT_ENGINE_H */
