//! The hosts of 2011 to 2013: Membase 1.7, Couchbase 1.8 and memcached.org, branch engine-pu. One
//! table of functions, cookie functions in two layouts ([`layout`]). A blocked call is made again
//! by the host after its notification, so nothing waits here.

use std::ffi::c_void;
use std::sync::Arc;

use super::bindings::{ENGINE_HANDLE, ENGINE_HANDLE_V1, GET_SERVER_API};
use super::convert::Code;
use super::instance::{Handle, Running};
use super::kind::{Connected, Kind};
use super::load::Third;
use super::ports::Ports;
use super::rules::Entry;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::host::Cookie;

mod codes;
mod command;
mod layout;
mod server;
mod table;
mod tap;
#[cfg(test)]
mod tests;

use server::{CookieFunctions, Server};

/// A host of this kind.
pub(super) struct Classic {
    get_server_api: GET_SERVER_API,
}

/// Makes a handle if the host is of this kind.
///
/// # Errors
/// It is, and lacks something: a sentence for the operator.
///
/// # Safety
/// Contract 5, as far as `third` says that it is of this kind.
pub(super) unsafe fn recognise(
    third: &Third,
    get_server_api: GET_SERVER_API,
) -> Option<std::result::Result<*mut ENGINE_HANDLE, String>> {
    if *third != Third::Abstime {
        return None;
    }
    // SAFETY: contract 5; the third function is that of these hosts.
    let server = unsafe { Server::read(get_server_api) };
    Some(server.map(|server| Handle::leak(Classic { get_server_api }, server.log)))
}

impl Kind for Classic {
    type Table = ENGINE_HANDLE_V1;
    type Connections = CookieFunctions;

    const ANSWERS_ALWAYS: bool = false;

    fn table() -> ENGINE_HANDLE_V1 {
        table::table()
    }

    fn code(entry: Entry, error: Error) -> Code {
        codes::code(entry, error)
    }

    unsafe fn connect(
        &self,
        config: &Config,
        warn: &dyn Fn(&str),
    ) -> std::result::Result<Connected<Self>, String> {
        // SAFETY: contract 5.
        let server = unsafe { Server::read(self.get_server_api) }?;
        let found = layout::find(&server, config.host_abi)?;
        if let Some(warning) = found.warning {
            warn(warning);
        }
        // SAFETY: `find` is sure of the layout, or the operator is.
        let connections = unsafe { server.cookie_functions(found.layout) }?;
        Ok(Connected {
            host: Arc::new(Ports::new(server.clock, server.log, connections)),
            registry: server.registry,
        })
    }

    fn finish<T>(
        _running: &Running<Self>,
        _entry: Entry,
        _cookie: Cookie,
        mut call: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        call()
    }

    fn written(_running: &Running<Self>, _cookie: Cookie, _vbucket: u16) -> Result<()> {
        Ok(())
    }

    fn ascii_commands(handle: *mut ENGINE_HANDLE, is_first: bool) -> Vec<*mut c_void> {
        vec![command::descriptor(handle, is_first)]
    }
}
