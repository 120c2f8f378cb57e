//! Keys that are accepted and change nothing: those of ep-engine 1.7 that tune what is not here,
//! and those that a host writes for its default engine. The log says once which were given, and
//! why they have no effect.

use super::value::Legal;
use super::{SWITCH, UNLIMITED};

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign {
    /// As it stands before the `=`.
    pub(crate) key: &'static str,
    /// What is legal: the rest was refused there, too.
    pub(super) legal: Legal,
    /// Why it has no effect.
    pub(crate) reason: &'static str,
}

const fn key(key: &'static str, legal: Legal, reason: &'static str) -> Foreign {
    Foreign { key, legal, reason }
}

const SIZE: Legal = Legal::Range(0, UNLIMITED);
const NUMBER: Legal = Legal::Decimal(f64::MIN, f64::MAX);

const ONE_STORE: &str = "dbname is a directory with one store";
const SCRIPT: &str = "the store is no SQL database";
const VOID_ROWS: &str = "the rows of a deleted vbucket are void at once, and go when there is time";
const OWN_TABLE: &str = "tables grow and shrink by themselves, in 64 parts with a lock each";
const ALLOCATOR: &str = "it is about the allocator of the host's default engine";
const ARCUS: &str = "ARCUS memcached writes it into every configuration";

/// All of them.
pub(super) const FOREIGN: &[Foreign] = &[
    key("shardpattern", Legal::Text, ONE_STORE),
    key("initfile", Legal::Text, SCRIPT),
    key("postInitfile", Legal::Text, SCRIPT),
    key(
        "db_strategy",
        Legal::Words(&[
            "multiDB",
            "singleDB",
            "singleMTDB",
            "multiMTDB",
            "multiMTVBDB",
        ]),
        ONE_STORE,
    ),
    key("db_shards", SIZE, ONE_STORE),
    key("vb_del_chunk_size", SIZE, VOID_ROWS),
    key("vb_chunk_del_time", SIZE, VOID_ROWS),
    key("concurrentDB", SWITCH, "reads never wait for the flusher"),
    key("ht_size", SIZE, OWN_TABLE),
    key("ht_locks", SIZE, OWN_TABLE),
    key(
        "stored_val_type",
        Legal::Text,
        "every item has a CAS, an expiry and a lock",
    ),
    key(
        "bf_resident_threshold",
        NUMBER,
        "a backfill reads what is in memory there, and from the store only what is not",
    ),
    key(
        "inconsistent_slave_chk",
        SWITCH,
        "an active vbucket numbers its checkpoints itself; ids that two nodes give would mean \
         nothing",
    ),
    key("factor", Legal::Text, ALLOCATOR),
    key("chunk_size", Legal::Text, ALLOCATOR),
    key("preallocate", Legal::Text, ALLOCATOR),
    key("use_cas", Legal::Text, ARCUS),
    key("num_threads", Legal::Text, ARCUS),
    key("verbose", Legal::Text, ARCUS),
    key("sticky_limit", Legal::Text, ARCUS),
    key("max_list_size", Legal::Text, ARCUS),
    key("max_set_size", Legal::Text, ARCUS),
    key("max_map_size", Legal::Text, ARCUS),
    key("max_btree_size", Legal::Text, ARCUS),
    key("max_element_bytes", Legal::Text, ARCUS),
    key("scrub_count", Legal::Text, ARCUS),
];

/// Keys of our own table that are checked and have no effect; why.
pub(super) const WITHOUT_EFFECT: &[(&str, &str)] = &[(
    "expiry_window",
    "an item is written although it is about to expire",
)];
