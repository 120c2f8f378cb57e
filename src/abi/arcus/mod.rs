//! ARCUS memcached 1.15: a table of 560 bytes, most of it for collections, which are refused; times
//! that arrive converted; values with CR LF behind them ([`tail`]); and a host that never makes a
//! call again ([`waiting`]). It changes its tables with every minor version, so only those are
//! served whose tables are known; the operator can say that another one has the same.

use std::ffi::c_void;
use std::sync::Arc;
use std::time::Duration;

use super::bindings::{ENGINE_HANDLE, GET_SERVER_API};
use super::convert::Code;
use super::instance::{Handle, Running};
use super::kind::{Connected, Kind};
use super::load::Third;
use super::log::Log;
use super::ports::Ports;
use super::rules::Entry;
use crate::config::{Config, HostAbi};
use crate::error::{Error, Result};
use crate::ffi::symbols::is_linked;
use crate::host::Cookie;

mod codes;
mod command;
mod server;
mod table;
mod tail;
#[cfg(test)]
mod tests;
mod times;
mod waiting;
mod workers;

use server::{ArcusConnections, Server};
use times::Times;

/// The host's types, made by bindgen from `include/arcus`.
#[allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    dead_code,
    non_camel_case_types,
    non_upper_case_globals,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    clippy::indexing_slicing,
    reason = "generated code, with the names of the C header"
)]
pub(super) mod bindings {
    include!("bindings.rs");
}

/// The versions whose tables are known: major and minor number.
const KNOWN: &[&str] = &["1.15"];

/// A host of this kind.
pub(super) struct Arcus {
    get_server_api: GET_SERVER_API,
    version: String,
}

/// Makes a handle if the host is of this kind. Whether its version is one that is known decides
/// `initialize`, which knows what the operator says; until then only what all versions have alike
/// is touched.
///
/// # Safety
/// Contract 5, as far as `third` says that it is of this kind.
pub(super) unsafe fn recognise(
    third: &Third,
    get_server_api: GET_SERVER_API,
) -> Option<std::result::Result<*mut ENGINE_HANDLE, String>> {
    let Third::Version(version) = third else {
        return None;
    };
    let log = if is_known(version) {
        // SAFETY: contract 5, for a version whose tables are known.
        unsafe { server::log(get_server_api) }
    } else {
        Ok(Log::STDERR)
    };
    let kind = Arcus {
        get_server_api,
        version: version.clone(),
    };
    Some(log.map(|log| Handle::leak(kind, log)))
}

/// Whether the tables of that version are known. Between releases something follows a dash.
fn is_known(version: &str) -> bool {
    let number = version.split('-').next().unwrap_or_default();
    let mut parts = number.rsplitn(2, '.');
    let (patch, minor) = (parts.next(), parts.next());
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    patch.is_some_and(is_number) && minor.is_some_and(|minor| KNOWN.contains(&minor))
}

impl Arcus {
    fn check(&self, said: HostAbi) -> std::result::Result<(), String> {
        match said {
            HostAbi::Arcus => Ok(()),
            HostAbi::Auto if is_known(&self.version) => Ok(()),
            HostAbi::Auto => Err(format!(
                "the host looks like ARCUS memcached, but its version is \"{}\", and this engine \
                 knows the tables of {} only: another version has members in other places. If \
                 yours has the tables of that one, add host_abi=arcus to the configuration",
                self.version,
                KNOWN.join(", ")
            )),
            HostAbi::Memcached | HostAbi::Membase => Err(format!(
                "host_abi contradicts the host, which looks like ARCUS memcached (version \"{}\"): \
                 remove host_abi from the configuration",
                self.version
            )),
        }
    }
}

impl Kind for Arcus {
    type Table = table::Table;
    type Connections = ArcusConnections;

    const ANSWERS_ALWAYS: bool = true;

    fn table() -> table::Table {
        table::table()
    }

    fn code(entry: Entry, error: Error) -> Code {
        codes::code(entry, error)
    }

    unsafe fn connect(
        &self,
        config: &Config,
        _warn: &dyn Fn(&str),
    ) -> std::result::Result<Connected<Self>, String> {
        self.check(config.host_abi)?;
        if !config.waitforwarmup {
            return Err(
                "waitforwarmup=false has no meaning on ARCUS memcached, where no operation can \
                 wait for the keys: remove it"
                    .to_owned(),
            );
        }
        // SAFETY: contract 5; the version is known, or the operator says that it is like that.
        let server = unsafe { Server::read(self.get_server_api) }?;
        let most = Duration::from_millis(config.worker_wait_max.into());
        let connections = server.connections(config.sync_writes, most)?;
        Ok(Connected {
            host: Arc::new(Ports::new(server.clock, server.log, connections)),
            registry: server.registry,
        })
    }

    fn finish<T>(
        running: &Running<Self>,
        entry: Entry,
        cookie: Cookie,
        call: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let connections = &running.host.connections;
        let result = connections
            .waiting
            .finish(cookie, connections.wait_max, call);
        // What the text protocol would call a miss, and is none.
        let lost = |error: &Error| entry == Entry::Get && codes::closes(entry, *error);
        if result.as_ref().err().is_some_and(lost) {
            connections.hang_up(cookie);
        }
        result
    }

    fn written(running: &Running<Self>, cookie: Cookie, vbucket: u16) -> Result<()> {
        let connections = &running.host.connections;
        let held = connections.may_hold(cookie)
            && running
                .engine
                .answer_when_written(cookie, vbucket, &|| connections.hold(cookie));
        if held { Err(Error::WouldBlock) } else { Ok(()) }
    }

    fn ascii_commands(handle: *mut ENGINE_HANDLE, is_first: bool) -> Vec<*mut c_void> {
        command::descriptors(handle, is_first, is_linked(c"sasl_server_init"))
    }
}
