//! The C edge: the tables that hosts call, and the hosts' tables that we call. The only module that
//! knows a C type, and the only one that turns a cookie back into a pointer.
//!
//! A kind of host is a folder ([`kind`] says what belongs into one): `classic` are Membase,
//! Couchbase and memcached.org, `arcus` is ARCUS memcached. What they have in common stands beside
//! the folders, once. `create_instance` finds out which kind it is that calls it ([`load`]).
//!
//! # Contract common to all entry points
//! What a `SAFETY` comment in this module calls *contract n* is one of these. They are promises of
//! the host, seen in every host that this engine supports (`docs/hosts.md`).
//!
//! 1. *Handle.* The first argument is the address that [`create_instance`] stored, or NULL, and the
//!    table is that of the host's kind. That memory is never freed, so a late call (a disconnect
//!    after `destroy`) finds it.
//! 2. *Arguments.* A pointer is NULL or points to what the member's row in section 2.1 says, for
//!    the duration of the call: a key is `nkey` readable bytes, an out parameter is writable.
//!    Lengths are promised only where section 5 says that the host checks them; the others are
//!    checked here before a pointer is touched.
//! 3. *Items.* An `item *` came from `allocate` or `get` of an engine of this library, and the
//!    host still holds the reference that it was given there.
//! 4. *End.* `destroy` is called once, last, when no other call is under way: the host has joined
//!    its threads. Only `release`, `get_item_info` and event callbacks may follow.
//! 5. *Server tables.* They live as long as the process, do not change, and their members may be
//!    called from any thread.
//! 6. *Callbacks.* `ADD_STAT` and `ADD_RESPONSE` may be called with the cookie of the call, on its
//!    thread, until it returns; they copy.
//!
//! What the host may count on in turn: nothing unwinds into it ([`guard`]); a code that it cannot
//! cope with is never returned ([`kind::Kind::code`]); a NULL where a pointer belongs gives an
//! error, not a crash; before `initialize` and after `destroy` every call gets a harmless answer;
//! one library can serve several handles.
//!
//! # Threads and locks
//! Entry points run on the host's threads, in parallel. This module has no mutable static but what
//! a thread knows of its own calls ([`refused`]): what a handle knows is written by `initialize`,
//! before other threads exist. Its locks are those of a kind whose calls wait on their threads
//! (`arcus::waiting`, `arcus::workers`).
#![expect(unsafe_code, reason = "this is the boundary to C")]

mod arcus;
mod ascii;
mod classic;
mod clock;
#[cfg(test)]
mod constants_tests;
mod convert;
mod guard;
mod handle;
mod instance;
mod kind;
mod load;
mod log;
mod members;
mod output;
mod ports;
mod refused;
mod registry;
mod request;
mod rules;

pub use load::create_instance;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use request::parse_bytes as packet;

/// The host's types, made by bindgen from `include/memcached`.
#[allow(
    missing_docs,
    missing_debug_implementations,
    non_camel_case_types,
    non_upper_case_globals,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    clippy::indexing_slicing,
    reason = "generated code, with the names of the C headers"
)]
pub mod bindings {
    include!("bindings.rs");
}
