//! What tells one kind of host from another. A kind is a folder beside this file: the description
//! below, the table that its hosts read, how it is reached, what its calls may return and how they
//! wait. The engine and the other files of this module know none of it, and a further kind is one
//! more folder and one more line in [`super::load`].

use std::ffi::c_void;
use std::sync::Arc;

use super::bindings::ENGINE_HANDLE;
use super::convert::Code;
use super::instance::Running;
use super::ports::{Connections, Ports};
use super::registry::Registry;
use super::rules::Entry;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::host::Cookie;

/// A kind of host; the value is what `create_instance` has found out about the one at hand.
pub(super) trait Kind: Send + Sync + Sized + 'static {
    /// The table that its hosts read. Its first word is the version of the interface.
    type Table;
    /// What its hosts can do with connections.
    type Connections: Connections;

    /// Whether a binary command must have a response packet: success alone is an error there.
    const ANSWERS_ALWAYS: bool;

    /// The table, filled.
    fn table() -> Self::Table;

    /// The code that this entry may return on these hosts and that comes nearest to the error.
    fn code(entry: Entry, error: Error) -> Code;

    /// Reads the host's tables when the engine starts; `warn` takes what the operator must know.
    ///
    /// # Errors
    /// A sentence for the operator.
    ///
    /// # Safety
    /// Contract 5, for a host of this kind.
    unsafe fn connect(
        &self,
        config: &Config,
        warn: &dyn Fn(&str),
    ) -> std::result::Result<Connected<Self>, String>;

    /// Makes a call that may have to wait for an engine thread, as hosts of this kind want it.
    fn finish<T>(
        running: &Running<Self>,
        entry: Entry,
        cookie: Cookie,
        call: impl FnMut() -> Result<T>,
    ) -> Result<T>;

    /// A change was made: whether its answer goes out now.
    ///
    /// # Errors
    /// `WouldBlock` when it goes out later, on its own.
    fn written(running: &Running<Self>, cookie: Cookie, vbucket: u16) -> Result<()>;

    /// The descriptors of our ASCII commands, to be registered in this order; they live as long as
    /// the process. `is_first` says that the host has no other such commands.
    fn ascii_commands(handle: *mut ENGINE_HANDLE, is_first: bool) -> Vec<*mut c_void>;
}

/// What a host offers, once it is known.
pub(super) struct Connected<K: Kind> {
    /// The ports of the engine.
    pub(super) host: Arc<Ports<K::Connections>>,
    /// Where callbacks and commands are registered.
    pub(super) registry: Registry,
}
