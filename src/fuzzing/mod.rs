//! Targets for fuzzers: each takes bytes that a stranger chose and panics if something is wrong.
//!
//! Compiled with the tests and with feature `fuzzing`, which `tests/fuzz` switches on: nothing of
//! it is in what is installed. There each function is a program for libFuzzer (`make fuzz`); here
//! the tests run the inputs that are committed in `tests/fuzz/seeds` through the same functions, so
//! that no target rots where there is no fuzzer. docs/reliability.md says what is looked for.
//!
//! | target | what |
//! |---|---|
//! | [`requests`] | a sequence of everything that clients, peers and operators do to one node |
//! | [`tap_notify`] | a sequence of what TAP peers send to vbuckets of all states |
//! | [`tap_connect`] | the user data of TAP_CONNECT |
//! | [`packet`] | the lengths of a request |
//! | [`configuration`] | the text of a configuration |
//! | [`records`] | keys and records as they stand in the store |
//! | [`journal`] | journals that were damaged, with checksums that are right all the same |
//! | [`manifest`] | the files that say which tables a keyspace has |
//!
//! Threads: each call builds what it needs and ends it; calls may run in parallel.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a target fails by a panic"
)]

mod calls;
mod node;
mod shapes;
mod steps;
mod stored;
#[cfg(test)]
mod tests;
mod texts;

pub use steps::{requests, tap_notify};
pub use stored::{journal, manifest, records};
pub use texts::{configuration, packet, tap_connect};
