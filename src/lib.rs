//! checkpoint-engine: a memcached storage engine whose writes can be taken back.
//!
//! The library is loaded by a memcached that knows engine interface 1 (`-E`). `README.md` says what
//! it does for an operator; this page says how the code is laid out.
//!
//! # Modules
//! Each may use those of a lower rank only; `tests/tidy.rs` checks it.
//!
//! | rank | modules | what |
//! |---|---|---|
//! | 0 | `types`, `constants`, | ids and units; what the C header offers as constants; |
//! | | `ffi`, `latch` | the allocator, the scheduler, the cache; the lock of short work |
//! | 1 | `error`, `config`, `metrics`, | vocabulary; |
//! | | `announced`, `leaving` | bytes that clients have only announced, or a REVERT drops |
//! | 2 | `settings`, `host`, `item` | settings, ports to the host, the item |
//! | 3 | `worker`, `checkpoint`, `store` | threads, the log of a vbucket, the database; |
//! | | `bykey` | items in the order of the store |
//! | 4 | `vbucket`, `served` | hash table and log in agreement; values kept for slow clients |
//! | 5 | `flusher`, `pager`, `warmup` | what moves data between memory and disk |
//! | 6 | `bgfetch`, `rewarm`, | reads for waiting clients, and of what a revert left on disk; |
//! | | `tap` | streams to replicas |
//! | 7 | `engine` | builds and owns all of it; operations, online update, start and shutdown |
//! | 8 | `commands`, `report` | binary-protocol commands and statistics |
//! | 9 | `console` | the command of plain terminals |
//! | 10 | `abi` | the exported C tables and the hosts' tables; the only public module |
//! | 11 | `fuzzing` | with the feature of that name: what fuzzers call (docs/reliability.md) |
//!
//! # The path of a write
//! `abi`, `engine::ops`, `vbucket`: locks the key's stripe, then the log; decides; appends to the
//! log; puts the item into the table. The flusher reads the log up to a consistent point, commits
//! one atomic batch and moves the persistence cursor. A key is dirty when its log position is above
//! that cursor: there is no second account of it.
//!
//! # The window
//! START closes the open checkpoint of every active vbucket and opens one that the flusher does not
//! read. The first change of a key in it keeps the key's pre-image in its log entry. REVERT marks
//! the window's range of log positions: whoever meets a key whose latest position lies in it takes
//! that key back first, and a background thread takes back the rest. COMPLETE commits the range in
//! one batch.
//!
//! # Threads and locks
//! Host threads never wait for the disk, for a whole-vbucket job or for another client, and threads
//! that no client waits for make way for them (`worker::Class`). The lock order, outermost first:
//! gate of online update (`engine::update`), right to commit (`flusher`), one stripe, one log (all
//! logs in ascending order, with no stripe held, when a window begins or ends), and small locks
//! under which nothing else is locked. The host is called with no lock held.

mod announced;
mod aside;
mod bgfetch;
mod bykey;
mod checkpoint;
mod commands;
mod config;
mod console;
mod engine;
mod error;
mod ffi;
mod flusher;
mod host;
mod item;
mod keyhash;
mod latch;
mod leaving;
mod metrics;
mod pager;
mod report;
mod rewarm;
mod served;
mod settings;
mod store;
mod tap;
mod types;
mod vbucket;
mod warmup;
mod worker;

pub mod abi;
pub mod constants;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
