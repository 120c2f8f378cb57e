//! The configuration text of the engine, made into a validated [`Config`].
//!
//! The text is what the host hands to `initialize`: `key=value;key=value`, in the grammar of the
//! hosts' own parser (docs/hosts.md), read here because theirs runs beyond the
//! end of malformed texts. Differences, all of them where theirs crashes, swallows the rest of the
//! text or computes wrongly: an empty value is an error, an empty entry is skipped, blanks are
//! trimmed on both sides, `1t` is a tebibyte, and what follows a number must be a unit.
//!
//! Every key stands once, in the table below, with its type, default, legal range and unit; the
//! fields of [`Config`], its defaults, [`Config::describe`] and the error texts come from there.
//! No limit of the engine is defined elsewhere. Knows `std` only; reads no file but `config_file`.

use std::fmt::Write as _;
use std::path::PathBuf;

mod foreign;
mod text;
mod value;

use foreign::{FOREIGN, WITHOUT_EFFECT};
use text::{edit_distance, shorten, split_unescaped};
pub(crate) use value::UNLIMITED;
use value::{Legal, Value};

/// Longest value, in bytes: the hosts' limit.
const VALUE_BYTES_MAX: usize = 1023;
/// Longest configuration file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How deep configuration files may name further ones.
const FILE_DEPTH_MAX: usize = 4;
/// Largest value of an item that any configuration allows, in bytes.
pub(crate) const ITEM_BYTES_MAX: usize = 1 << 30;
/// End of every error about a key.
const WHERE_TO_LOOK: &str = "all keys are listed in include/checkpoint_engine.h";

/// Which layout the host's cookie functions have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum HostAbi {
    /// Found out when the engine starts.
    #[default]
    Auto,
    /// memcached.org, branch engine-pu.
    Memcached,
    /// Membase 1.7 and Couchbase 1.8.
    Membase,
    /// ARCUS memcached, with the tables of a version that is known.
    Arcus,
}

/// The character that ends a prefix of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delimiter(pub(crate) u8);

/// How hard a commit is pushed to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Durability {
    /// `fdatasync` before a commit returns.
    #[default]
    Sync,
    /// Handed to the kernel at once, synced by a timer about once a second.
    Periodic,
    /// Handed to the kernel only: survives a crash of the process, not of the machine.
    None,
}

/// Where pre-images of an online update are kept while the window is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnlineUpdateUndo {
    /// On the disk as far as they are there: a revert leaves values to be fetched.
    #[default]
    Disk,
    /// In memory while the quota allows: a revert needs no disk.
    Memory,
}

/// Documentation of one configuration key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyDoc {
    /// As it stands before the `=`.
    pub(crate) key: &'static str,
    /// Unit of the value, empty if it has none.
    pub(crate) unit: &'static str,
    /// Value that stands when the key is not given; empty if there is none.
    pub(crate) default: &'static str,
    /// What it does, in lines.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for the test of the C header's constants")
    )]
    pub(crate) effect: &'static [&'static str],
    legal: Legal,
    set: fn(&mut Config, &str, Legal) -> Option<()>,
}

impl KeyDoc {
    /// The legal values in words.
    pub(crate) fn range(&self) -> String {
        self.legal.range(self.unit)
    }
}

const SWITCH: Legal = Legal::Words(&["true", "false", "on", "off"]);
const ANY: Legal = Legal::Range(0, UNLIMITED);

/// One entry per key: documentation, name, type, default as a user would write it, what is legal,
/// unit.
macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $name:ident: $value:ty = $default:literal, $legal:expr,
        $unit:literal;)+) => {
        /// The validated configuration. One field per key, named like it.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct Config {
            $($(#[doc = $doc])+ #[doc = concat!("\n\nUnit: ", $unit, ". Default: ", $default, ".")]
            pub(crate) $name: $value,)+
            /// Keys that were given and have no effect here, and why.
            pub(crate) ignored: Vec<(&'static str, &'static str)>,
            /// What an operator should know about the text, although it is legal.
            pub(crate) warnings: Vec<String>,
        }

        impl Config {
            fn blank() -> Self {
                Self {
                    $($name: <$value as Default>::default(),)+
                    ignored: Vec::new(),
                    warnings: Vec::new(),
                }
            }
        }

        static KEYS: &[KeyDoc] = &[$(KeyDoc {
            key: stringify!($name),
            unit: $unit,
            default: $default,
            effect: &[$($doc.trim_ascii()),+],
            legal: $legal,
            set: |config, text, legal| {
                config.$name = <$value as Value>::read(text, legal)?;
                Some(())
            },
        },)+];
    };
}

keys! {
    /// Directory of the database, created if absent. Without it everything is kept in memory only
    /// and nothing survives the process.
    dbname: Option<PathBuf> = "", Legal::Text, "path";
    /// Layout of the host's tables; `auto` finds it out and refuses to start when it cannot be
    /// sure. `arcus` says that a version of ARCUS memcached which is not known has the tables of
    /// one that is.
    host_abi: HostAbi = "auto", Legal::Words(&["auto", "memcached", "membase", "arcus"]), "";
    /// ARCUS only: the answer of a write goes out when it is durable; all that wait at a time do so
    /// after one commit. Inside an online update answers do not wait: COMPLETE makes it durable.
    /// While a COMPLETE runs they wait for its end.
    sync_writes: bool = "false", SWITCH, "";
    /// ARCUS only, where calls wait on the host's own threads, for values from the disk above all:
    /// the connection of one that takes longer is closed.
    worker_wait_max: u32 = "5000", Legal::Range(10, 600_000), "ms";
    /// ARCUS only: what stands between a prefix and the rest of a key, for `flush_prefix`.
    prefix_delimiter: Delimiter = ":", Legal::Character, "";
    /// Memory quota; 0 stands for none, and is then read as 2^64-1. Alias: `cache_size`. A value
    /// may take half of it. What clients have announced and not sent may take up to a quarter and
    /// one value besides.
    max_size: u64 = "0", ANY, "bytes";
    /// Eviction stops when memory is back at this mark; 0 stands for 60 % of `max_size`.
    mem_low_wat: u64 = "0", ANY, "bytes";
    /// Eviction starts when memory reaches this mark; 0 stands for 75 % of `max_size`.
    mem_high_wat: u64 = "0", ANY, "bytes";
    /// Share of `max_size` above which mutations get a temporary failure.
    mutation_mem_threshold: f64 = "0.9", Legal::Decimal(0.01, 1.0), "share of the quota";
    /// Whether what is not used makes room when memory is full: values, which stay on the disk, or
    /// keys where nothing is kept on it. With `false` writes are refused then. `-M` of a host says
    /// so.
    eviction: bool = "true", SWITCH, "";
    /// Longest value. Alias: `item_size_max`.
    max_item_size: usize = "20971520", Legal::Range(1, ITEM_BYTES_MAX as u64), "bytes";
    /// Vbucket ids from this one on do not exist.
    max_vbuckets: u16 = "1024", Legal::Range(1, 1024), "vbuckets";
    /// Whether vbucket 0 is made active when a node starts without any.
    vb0: bool = "true", SWITCH, "";
    /// The open checkpoint is closed when it holds this many keys.
    chk_max_items: usize = "5000", Legal::Range(100, 500_000), "keys";
    /// The open checkpoint is closed when it is this old.
    chk_period: u32 = "600", Legal::Range(60, 3600), "s";
    /// With this many checkpoints in memory the open one grows, whatever its size in keys and its
    /// age.
    max_checkpoints: usize = "2", Legal::Range(2, 5), "checkpoints";
    /// Time between two looks at the age of checkpoints and at the memory that streams hold.
    chk_remover_stime: u32 = "5", Legal::Range(1, 3600), "s";
    /// Time between two runs that delete expired items; 0 never.
    exp_pager_stime: u32 = "3600", Legal::Range(0, 31_536_000), "s";
    /// Without effect: an item is written although it is about to expire, so that the store always
    /// holds a state that the vbucket was in. Its row goes when the item does.
    expiry_window: u32 = "3", Legal::Range(0, 86_400), "s";
    /// Mutations that one transaction of the flusher holds, unless very many wait.
    max_txn_size: usize = "10000", Legal::Range(1, 10_000_000), "items";
    /// Changes are written this long after the first of them, together with the younger ones that
    /// came meanwhile. START, COMPLETE and a shutdown do not wait for it.
    min_data_age: u32 = "0", Legal::Range(0, 86_400), "s";
    /// Changes are written after this time at the latest, whatever `min_data_age` says.
    queue_age_cap: u32 = "900", Legal::Range(0, 86_400), "s";
    /// How hard a commit is pushed to the disk: `sync` survives a power failure, `periodic` loses
    /// about a second then, `none` leaves it to the kernel.
    durability: Durability = "sync", Legal::Words(&["sync", "periodic", "none"]), "";
    /// Where pre-images of an online update are kept: with `memory` a revert needs no disk reads.
    online_update_undo: OnlineUpdateUndo = "disk", Legal::Words(&["disk", "memory"]), "";
    /// Whether the database is loaded at start; with `false` the start is refused if it holds keys.
    warmup: bool = "true", SWITCH, "";
    /// Whether the start waits until everything is loaded; with `false` operations wait for their
    /// vbucket.
    waitforwarmup: bool = "true", SWITCH, "";
    /// Whether the start is refused when the keys alone do not fit into `max_size`. Has no meaning
    /// with `waitforwarmup=false`, where the node serves clients by then.
    failpartialwarmup: bool = "true", SWITCH, "";
    /// Whether the node begins in restore mode: what is not in memory is a temporary failure and no
    /// miss, until RESTORE_COMPLETE.
    restore_mode: bool = "false", SWITCH, "";
    /// How long a key is locked by `GET_LOCKED` without a time of its own.
    getl_default_timeout: u32 = "15", Legal::Range(1, 86_400), "s";
    /// Longest time for which `GET_LOCKED` may lock a key.
    getl_max_timeout: u32 = "30", Legal::Range(1, 86_400), "s";
    /// How long SYNC waits.
    sync_cmd_timeout: u32 = "2500", Legal::Range(0, 86_400_000), "ms";
    /// How long the state of a named TAP producer is kept after its connection closed.
    tap_keepalive: u32 = "0", Legal::Range(0, 3600), "s";
    /// Time between two NOOPs on a silent TAP stream; 0 never.
    tap_noop_interval: u32 = "200", Legal::Range(0, 86_400), "s";
    /// If given, NOOPs are sent every third of it, and `tap_noop_interval` has no effect.
    tap_idle_timeout: Option<u32> = "", Legal::Range(0, 86_400), "s";
    /// Most TAP streams at a time; another TAP_CONNECT is refused. Their cursors may take a
    /// sixteenth of `max_size` besides.
    tap_streams_max: usize = "512", Legal::Range(1, 100_000), "streams";
    /// A TAP backfill pauses while more items than this are queued.
    tap_backlog_limit: usize = "5000", Legal::Range(1, 10_000_000), "items";
    /// Values that a TAP backfill reads from the store before another one has its turn.
    tap_bg_max_pending: usize = "500", Legal::Range(1, 1_000_000), "reads";
    /// Pause of a TAP stream after a temporary failure of its receiver; 0 none.
    tap_backoff_period: f64 = "5", Legal::Decimal(0.0, 3600.0), "s";
    /// Unanswered acknowledgement requests at which a TAP stream pauses.
    tap_ack_window_size: u32 = "10", Legal::Range(1, 1_000_000), "requests";
    /// Messages between two acknowledgement requests on TAP.
    tap_ack_interval: u32 = "1000", Legal::Range(1, 1_000_000), "messages";
    /// A TAP stream whose receiver does not acknowledge for this long is closed.
    tap_ack_grace_period: u32 = "300", Legal::Range(1, 86_400), "s";
    /// First sequence number on a TAP stream; 0 is read as 1.
    tap_ack_initial_sequence_number: u32 = "1", Legal::Range(0, 0xffff_ffff), "";
    /// How long a shutdown may go on writing before it gives up.
    shutdown_timeout: u32 = "60", Legal::Range(1, 86_400), "s";
    /// Memory that the database library may use for its cache of blocks; never more than a
    /// sixteenth of `max_size`. Its tables of recent changes take up to an eighth besides.
    store_cache_size: u64 = "67108864", Legal::Range(0, 1 << 40), "bytes";
}

/// Second names of keys.
const ALIASES: &[(&str, &str)] = &[
    ("cache_size", "max_size"),
    ("item_size_max", "max_item_size"),
];

/// Keys that ep-engine did not have. A number of theirs that is out of range is refused; one of its
/// own keys started it, so the nearest legal number is taken.
const OWN: &[&str] = &[
    "worker_wait_max",
    "tap_streams_max",
    "shutdown_timeout",
    "store_cache_size",
];

/// Numbers out of range that ep-engine ignored with a warning.
const TOLERANT: &[&str] = &[
    "chk_max_items",
    "chk_period",
    "max_checkpoints",
    "mutation_mem_threshold",
    "sync_cmd_timeout",
];

/// The key whose value is a file with further entries.
const CONFIG_FILE: &str = "config_file";

impl Default for Config {
    fn default() -> Self {
        let mut config = Self::underived();
        config.derive();
        config
    }
}

impl Config {
    /// Reads a configuration text; an empty one gives the defaults.
    ///
    /// # Errors
    /// A sentence for the operator that names the key, its value and what is legal.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader {
            config: Self::underived(),
            given: Vec::new(),
        };
        reader.text(text, 0)?;
        let mut config = reader.config;
        config.derive();
        config.check();
        Ok(config)
    }

    /// Every key with its documentation, in the order of this file.
    #[cfg_attr(
        not(any(test, feature = "fuzzing")),
        expect(dead_code, reason = "for the test of the C header's constants")
    )]
    pub(crate) fn describe() -> &'static [KeyDoc] {
        KEYS
    }

    /// Second names of keys: alias, key.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for the test of the C header's constants")
    )]
    pub(crate) fn aliases() -> &'static [(&'static str, &'static str)] {
        ALIASES
    }

    /// Keys that are accepted and change nothing, and why.
    #[cfg(test)]
    pub(crate) fn without_effect() -> impl Iterator<Item = (&'static str, &'static str)> {
        let foreign = FOREIGN.iter().map(|foreign| (foreign.key, foreign.reason));
        foreign.chain(WITHOUT_EFFECT.iter().copied())
    }

    /// The watermarks that belong to a quota, low and high: 60 % and 75 %.
    pub(crate) fn watermarks(max_size: u64) -> (u64, u64) {
        if max_size == UNLIMITED {
            return (UNLIMITED, UNLIMITED);
        }
        let percent =
            |share: u128| u64::try_from(u128::from(max_size) * share / 100).unwrap_or(UNLIMITED);
        (percent(60), percent(75))
    }

    /// The defaults, before those that stand for others are replaced.
    fn underived() -> Self {
        let mut config = Self::blank();
        for key in KEYS {
            // The defaults are legal: a test of this module says so.
            let set = (key.set)(&mut config, key.default, key.legal);
            debug_assert!(set.is_some(), "default of {}", key.key);
        }
        config
    }

    /// Replaces the values that stand for others.
    fn derive(&mut self) {
        if self.max_size == 0 {
            self.max_size = UNLIMITED;
        }
        let (low, high) = Self::watermarks(self.max_size);
        // One that is given may lie beyond the other one's default.
        if self.mem_high_wat == 0 {
            self.mem_high_wat = high.max(self.mem_low_wat);
        }
        if self.mem_low_wat == 0 {
            self.mem_low_wat = low.min(self.mem_high_wat);
        }
        self.tap_ack_initial_sequence_number = self.tap_ack_initial_sequence_number.max(1);
    }

    /// Looks at what concerns more than one key.
    fn check(&mut self) {
        let found = Self::contradiction((self.mem_low_wat, self.mem_high_wat), self.max_size);
        self.warnings.extend(found.map(|found| {
            format!("{found}; without the first two, 60 % and 75 % of max_size are taken")
        }));
    }

    /// What is wrong with a quota and its watermarks, low and high.
    pub(crate) fn contradiction((low, high): (u64, u64), max_size: u64) -> Option<String> {
        (low > high || high > max_size).then(|| {
            format!(
                "mem_low_wat={low}, mem_high_wat={high} and max_size={max_size} contradict each \
                 other: each should be at most as large as the next ({UNLIMITED} stands for no \
                 limit), or nothing makes room when memory is full"
            )
        })
    }
}

/// Collects entries from the text and from files.
struct Reader {
    config: Config,
    /// Keys that were given so far, by their first name.
    given: Vec<&'static str>,
}

impl Reader {
    /// Reads all entries of one text.
    fn text(&mut self, text: &str, depth: usize) -> Result<(), String> {
        let mut rest = text.trim_ascii_start();
        while !rest.is_empty() {
            let (entry, after) = split_unescaped(rest, ';');
            if !entry.trim_ascii().is_empty() {
                self.entry(entry, depth)?;
            }
            rest = after.unwrap_or("").trim_ascii_start();
        }
        Ok(())
    }

    /// Reads one `key=value`.
    fn entry(&mut self, entry: &str, depth: usize) -> Result<(), String> {
        let (key, value) = split_unescaped(entry, '=');
        let Some(value) = value else {
            return Err(format!(
                "\"{}\" has no \"=\": an entry is written key=value, and entries are separated by \
                 \";\"",
                shorten(entry.trim_ascii())
            ));
        };
        let (key, value) = (self.unescape(key), self.unescape(value));
        if key.is_empty() {
            return Err(format!(
                "\"{}\" has no key before the \"=\"",
                shorten(entry.trim_ascii())
            ));
        }
        if value.is_empty() {
            return Err(format!(
                "key \"{}\" has an empty value: leave the key out to get its default",
                shorten(&key)
            ));
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(format!(
                "the value of key \"{}\" has {} bytes; at most {VALUE_BYTES_MAX} are legal",
                shorten(&key),
                value.len()
            ));
        }
        if key == CONFIG_FILE {
            self.file(&value, depth)
        } else {
            self.set_given(&key, &value)
        }
    }

    /// Removes escapes and the blanks around. As in the hosts' parser a backslash cannot be
    /// written: it always disappears.
    fn unescape(&mut self, text: &str) -> String {
        let text = text.trim_ascii();
        let escapes = text.matches("\\;").count() + text.matches("\\=").count();
        if text.matches('\\').count() > escapes {
            self.config.warnings.push(format!(
                "the backslash in \"{}\" was dropped: it can only stand before \";\" or \"=\"",
                shorten(text)
            ));
        }
        text.replace('\\', "")
    }

    /// Reads the lines of a file.
    fn file(&mut self, path: &str, depth: usize) -> Result<(), String> {
        if depth >= FILE_DEPTH_MAX {
            return Err(format!(
                "{CONFIG_FILE}={path}: files name each other more than {FILE_DEPTH_MAX} deep"
            ));
        }
        let cannot = |error: std::io::Error| {
            format!("{CONFIG_FILE}={path} cannot be read: {error}; check the path and its rights")
        };
        let metadata = std::fs::metadata(path).map_err(cannot)?;
        if !metadata.is_file() {
            // A fifo or a device may never end.
            return Err(format!(
                "{CONFIG_FILE}={path} is no plain file; give the path of one"
            ));
        }
        let length = metadata.len();
        if length > FILE_BYTES_MAX {
            return Err(format!(
                "{CONFIG_FILE}={path} has {length} bytes; at most {FILE_BYTES_MAX} are read"
            ));
        }
        let text = std::fs::read_to_string(path).map_err(cannot)?;
        for (number, line) in text.lines().enumerate() {
            if !line.starts_with('#') {
                self.text(line, depth + 1)
                    .map_err(|error| format!("{path}, line {}: {error}", number + 1))?;
            }
        }
        Ok(())
    }

    /// Sets a key that the operator gave.
    fn set_given(&mut self, name: &str, value: &str) -> Result<(), String> {
        if let Some(foreign) = FOREIGN.iter().find(|foreign| foreign.key == name) {
            if !foreign.legal.allows(value) {
                return Err(illegal(name, value, &foreign.legal.range(""), ""));
            }
            self.ignore((foreign.key, foreign.reason));
            return Ok(());
        }
        let key = self.set(name, value)?;
        if let Some(without_effect) = WITHOUT_EFFECT.iter().find(|it| it.0 == key) {
            self.ignore(*without_effect);
        }
        if self.given.contains(&key) {
            self.config.warnings.push(format!(
                "key \"{key}\" is given twice: the last value holds"
            ));
        } else {
            self.given.push(key);
        }
        Ok(())
    }

    fn ignore(&mut self, key: (&'static str, &'static str)) {
        if !self.config.ignored.contains(&key) {
            self.config.ignored.push(key);
        }
    }

    /// Sets a key by either name and returns the first one.
    fn set(&mut self, name: &str, value: &str) -> Result<&'static str, String> {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
        let first = alias.map_or(name, |(_, key)| key);
        let Some(key) = KEYS.iter().find(|key| key.key == first) else {
            return Err(unknown(name));
        };
        if (key.set)(&mut self.config, value, key.legal).is_none() {
            let error = illegal(name, value, &key.range(), key.default);
            let nearest = key.legal.nearest(value);
            let nearest = nearest.filter(|_| !OWN.contains(&key.key));
            let Some(nearest) = nearest else {
                return Err(error);
            };
            let instead = if TOLERANT.contains(&key.key) {
                "It is ignored, as if it had not been given".to_owned()
            } else {
                // A number within the range is legal.
                let _ = (key.set)(&mut self.config, &nearest, key.legal);
                format!("{nearest} is taken")
            };
            self.config.warnings.push(format!("{error}. {instead}"));
        }
        Ok(key.key)
    }
}

/// The sentence about a value that is not legal.
fn illegal(name: &str, value: &str, range: &str, default: &str) -> String {
    let default = match default {
        "" => String::new(),
        default => format!(" (default {default})"),
    };
    let value = shorten(value);
    format!("{name}={value} is not legal: {name} takes {range}{default}; {WHERE_TO_LOOK}")
}

/// The sentence about a key that does not exist.
fn unknown(name: &str) -> String {
    let names = KEYS
        .iter()
        .map(|key| key.key)
        .chain(ALIASES.iter().map(|(alias, _)| *alias));
    let nearest = names
        .chain(FOREIGN.iter().map(|foreign| foreign.key))
        .chain([CONFIG_FILE])
        .map(|known| (edit_distance(name, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().div_ceil(3));
    let mut sentence = format!("unknown key \"{}\"", shorten(name));
    if let Some((_, known)) = nearest {
        // Writing to a String cannot fail.
        let _ = write!(sentence, "; did you mean \"{known}\"?");
    }
    let _ = write!(sentence, " ({WHERE_TO_LOOK})");
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse(text).unwrap()
    }

    fn refusal(text: &str) -> String {
        Config::parse(text).unwrap_err()
    }

    #[test]
    fn every_default_is_legal_and_an_empty_text_gives_them() {
        let mut config = Config::blank();
        for key in Config::describe() {
            assert_eq!(
                (key.set)(&mut config, key.default, key.legal),
                Some(()),
                "{}",
                key.key
            );
            assert!(
                !key.effect.is_empty() && !key.range().is_empty(),
                "{}",
                key.key
            );
        }
        assert_eq!(parse(""), Config::default());
        assert_eq!(parse(" ; ;; "), Config::default());
        let config = Config::default();
        assert_eq!(
            (config.dbname, config.max_item_size),
            (None, 20 * 1024 * 1024)
        );
        assert_eq!((config.max_size, config.mem_high_wat), (u64::MAX, u64::MAX));
        assert_eq!(
            (config.vb0, config.warmup, config.durability),
            (true, true, Durability::Sync)
        );
        assert!((config.mutation_mem_threshold - 0.9).abs() < f64::EPSILON);
    }

    #[test]
    fn a_text_in_the_hosts_grammar_is_read() {
        let config = parse(
            "dbname=/data/a\\;b=c; max_size = 10kb ;vb0=OFF;durability=none;tap_idle_timeout=30;\
             online_update_undo=memory;host_abi=membase;warmup=on;tap_backoff_period=0.5",
        );
        assert_eq!(config.dbname, Some(PathBuf::from("/data/a;b=c")));
        assert_eq!(
            (config.max_size, config.mem_low_wat, config.mem_high_wat),
            (10240, 6144, 7680)
        );
        assert_eq!((config.vb0, config.durability), (false, Durability::None));
        assert_eq!(
            (config.host_abi, config.tap_idle_timeout),
            (HostAbi::Membase, Some(30))
        );
        assert_eq!(config.online_update_undo, OnlineUpdateUndo::Memory);
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }

    #[test]
    fn units_multiply_and_a_tebibyte_is_one() {
        for (text, expected) in [
            ("max_size=1t", 1 << 40),
            ("max_size=2G", 2 << 30),
            ("cache_size=3MiB", 3 << 20),
            ("max_size=18446744073709551615", u64::MAX),
            ("max_size=0", u64::MAX),
        ] {
            assert_eq!(parse(text).max_size, expected, "{text}");
        }
        for text in [
            "-1",
            "0x10",
            "1.5k",
            "1mk",
            "10 foo",
            "18446744073709551616",
            "99999999t",
            "k",
        ] {
            assert!(
                Config::parse(&format!("max_size={text}")).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn malformed_texts_are_refused_with_a_sentence() {
        for (text, part) in [
            ("vb0", "\"vb0\" has no \"=\""),
            ("=x", "no key before"),
            ("vb0=", "empty value"),
            ("vb0=;max_size=1", "empty value"),
            (
                "vb0=yes",
                "vb0=yes is not legal: vb0 takes one of true, false, on, off",
            ),
            (
                "chk_period=5x",
                "a number from 60 to 3600 (s) (default 600)",
            ),
            (
                "store_cache_size=2t",
                "store_cache_size takes a number from 0 to 1099511627776 (bytes)",
            ),
            ("max_vbuckets=-1", "from 1 to 1024 (vbuckets)"),
            (
                "mutation_mem_threshold=nan",
                "from 0.01 to 1 (share of the quota)",
            ),
            ("durability=fsync", "one of sync, periodic, none"),
            (
                "ht_size=many",
                "ht_size=many is not legal: ht_size takes a number",
            ),
            (
                "db_strategy=oneDB",
                "db_strategy takes one of multiDB, singleDB",
            ),
            ("concurrentDB=2", "takes one of true, false"),
            ("bf_resident_threshold=x", "takes a number"),
            ("config_file=/nonexistent/file", "cannot be read"),
            ("config_file=/dev/zero", "is no plain file"),
            ("config_file=/tmp", "is no plain file"),
        ] {
            let sentence = refusal(text);
            assert!(sentence.contains(part), "{text}: {sentence}");
        }
        let long = format!("dbname={}", "x".repeat(1024));
        assert!(refusal(&long).contains("has 1024 bytes; at most 1023"));
    }

    #[test]
    fn an_unknown_key_gets_a_suggestion_when_one_is_near() {
        assert!(refusal("max_sise=1").contains("did you mean \"max_size\"?"));
        assert!(refusal("DBNAME=x").contains("did you mean \"dbname\"?"));
        assert!(refusal("ht_sizes=1").contains("did you mean \"ht_size\"?"));
        let sentence = refusal("q=1");
        assert!(!sentence.contains("did you mean"), "{sentence}");
        assert!(sentence.contains("unknown key \"q\"") && sentence.contains(WHERE_TO_LOOK));
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
    }

    #[test]
    fn keys_of_other_engines_are_listed_once_and_repeated_keys_warned_about() {
        let config = parse("ht_size=7;factor=1.5;ht_size=8;max_size=1m;cache_size=2m;vb0=on");
        let keys: Vec<&str> = config.ignored.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ["ht_size", "factor"]);
        assert_eq!(config.max_size, 2 << 20);
        assert_eq!(
            config.warnings,
            ["key \"max_size\" is given twice: the last value holds"]
        );
        let config = parse("dbname=C:\\dir");
        assert_eq!(config.dbname, Some(PathBuf::from("C:dir")));
        assert_eq!(config.warnings.len(), 1);
    }

    #[test]
    fn what_ep_engine_started_with_starts_here() {
        let config = parse("chk_max_items=99;chk_period=3601;max_checkpoints=1");
        let default = Config::default();
        assert_eq!(config.chk_max_items, default.chk_max_items);
        assert_eq!(config.chk_period, default.chk_period);
        assert_eq!(config.max_checkpoints, default.max_checkpoints);
        assert_eq!(config.warnings.len(), 3, "{:?}", config.warnings);
        assert!(config.warnings[0].contains("chk_max_items=99 is not legal"));
        let config = parse("mutation_mem_threshold=1.5");
        assert!((config.mutation_mem_threshold - 0.9).abs() < f64::EPSILON);
        assert_eq!(parse("getl_max_timeout=10").getl_default_timeout, 15);
        assert_eq!(parse("sync_cmd_timeout=0").sync_cmd_timeout, 0);
        // Weeks are a slip of the pen, and nobody could end them.
        let config = parse("sync_cmd_timeout=4294967295");
        assert_eq!((config.sync_cmd_timeout, config.warnings.len()), (2500, 1));
        let config = parse("max_vbuckets=4096;item_size_max=2g;tap_keepalive=4000;max_txn_size=0");
        assert_eq!(
            (config.max_vbuckets, config.max_item_size),
            (1024, ITEM_BYTES_MAX)
        );
        assert_eq!((config.tap_keepalive, config.max_txn_size), (3600, 1));
        assert_eq!(config.warnings.len(), 4, "{:?}", config.warnings);
        assert!(config.warnings[0].ends_with(". 1024 is taken"));
        for text in [
            "max_size=100;mem_low_wat=90;mem_high_wat=80",
            "max_size=100;mem_high_wat=101",
        ] {
            let warnings = parse(text).warnings.join("");
            assert!(warnings.contains("contradict"), "{text}: {warnings}");
        }
        let config = parse("max_size=100;mem_low_wat=80");
        assert_eq!((config.mem_low_wat, config.mem_high_wat), (80, 80));
        let config = parse("max_size=100;mem_high_wat=50");
        assert_eq!((config.mem_low_wat, config.mem_high_wat), (50, 50));
        let config = parse("db_strategy=singleMTDB;bf_resident_threshold=0.5;expiry_window=5");
        let reasons = config.ignored.iter().map(|(_, reason)| reason.len());
        assert_eq!(reasons.filter(|length| *length > 10).count(), 3);
    }

    #[test]
    fn a_file_adds_its_lines_and_its_errors_name_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.conf");
        std::fs::write(
            &path,
            "# comment\nvb0=false;chk_max_items=100\r\n\nmax_txn_size=7\n",
        )
        .unwrap();
        let config = parse(&format!("config_file={};max_txn_size=8", path.display()));
        assert_eq!(
            (config.vb0, config.chk_max_items, config.max_txn_size),
            (false, 100, 8)
        );
        std::fs::write(&path, "vb0=false\nvb1=false\n").unwrap();
        let sentence = refusal(&format!("config_file={}", path.display()));
        assert!(
            sentence.contains("engine.conf, line 2: unknown key \"vb1\""),
            "{sentence}"
        );
        std::fs::write(&path, format!("config_file={}\n", path.display())).unwrap();
        assert!(refusal(&format!("config_file={}", path.display())).contains("deep"));
    }

    #[test]
    fn watermarks_follow_the_quota_without_overflow() {
        assert_eq!(Config::watermarks(100), (60, 75));
        assert_eq!(Config::watermarks(u64::MAX), (u64::MAX, u64::MAX));
        assert!(Config::watermarks(u64::MAX - 1).1 < u64::MAX - 1);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(
            text in ".{0,80}",
            key in 0_usize..40,
            value in "[-0-9a-zA-Z.;=\\\\ ]{0,20}",
        ) {
            let _ = Config::parse(&text);
            let key = Config::describe().get(key).map_or("vb0", |key| key.key);
            let _ = Config::parse(&format!("{key}={value}"));
        }
    }
}
