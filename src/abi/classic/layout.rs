//! Which of its two layouts a host's cookie table has.
//!
//! Nothing in the server table says it, and the wrong guess would count connections down where it
//! should count them up. So it is found out from what the host does (`docs/hosts.md`,
//! "Cookies"), a configuration key overrides, and an engine that is not sure refuses to start.

use std::ffi::c_void;
use std::ptr;

use super::server::Server;
use crate::abi::bindings::{config_datatype, config_item, config_value};
use crate::config::HostAbi;

/// What the test applications of all hosts answer as their version.
const MOCK_VERSION: &str = "mock server";

/// A layout of the cookie table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::abi) enum Layout {
    /// memcached.org, branch engine-pu: no `set_tap_nack_mode`.
    Memcached,
    /// Membase 1.7 and Couchbase 1.8.
    Membase,
    /// A test application: what differs does nothing there, so it is not called at all.
    Mock,
}

/// What calling the function at offset 40 did to a zeroed connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    /// Nothing: "errors not answered" was written over the same.
    Unchanged,
    /// One byte became 1: a reference was counted.
    Counted,
    /// Something else, or there is no function.
    Unclear,
}

/// What the host was seen to do.
#[derive(Clone, Copy, Debug)]
struct Evidence {
    probe: Probe,
    /// Whether the host has a setting that only the Membase line has; `None` if it would not say.
    has_topkeys: Option<bool>,
}

/// A layout, and what the operator should know about how it was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The layout.
    pub(super) layout: Layout,
    /// A sentence for the log, if there is something odd.
    pub(super) warning: Option<&'static str>,
}

/// Finds the layout.
///
/// # Errors
/// A sentence for the operator when the evidence does not suffice.
pub(super) fn find(server: &Server, wanted: HostAbi) -> Result<Found, String> {
    let sure = |layout| {
        Ok(Found {
            layout,
            warning: None,
        })
    };
    match wanted {
        HostAbi::Memcached => return sure(Layout::Memcached),
        HostAbi::Membase => return sure(Layout::Membase),
        HostAbi::Auto => {}
        HostAbi::Arcus => {
            return Err(
                "host_abi=arcus, but this host was recognised as Membase, Couchbase or \
                 memcached.org when it loaded the engine: remove host_abi from the configuration"
                    .to_owned(),
            );
        }
    }
    if server.version() == MOCK_VERSION {
        return sure(Layout::Mock);
    }
    judge(Evidence {
        probe: probe(server),
        has_topkeys: has_topkeys(server),
    })
    .ok_or_else(|| {
        "cannot find out which layout the host's cookie functions have: add host_abi=membase to \
         the configuration for Membase 1.7 or Couchbase 1.8, host_abi=memcached for memcached.org \
         (branch engine-pu)"
            .to_owned()
    })
}

/// What the evidence says. The probe tests the very thing; the setting is a cross-check that can
/// only make it doubtful where the probe saw nothing happen.
const fn judge(evidence: Evidence) -> Option<Found> {
    let (layout, warning) = match (evidence.probe, evidence.has_topkeys) {
        (Probe::Counted, Some(true)) => (
            Layout::Memcached,
            Some(
                "the host counts references at offset 40 of its cookie table (memcached.org \
                 layout), although it has the setting topkeys (Membase): the former is believed; \
                 host_abi=membase overrides",
            ),
        ),
        (Probe::Counted, Some(false) | None) => (Layout::Memcached, None),
        (Probe::Unchanged, Some(true) | None) => (Layout::Membase, None),
        (Probe::Unchanged, Some(false)) | (Probe::Unclear, _) => return None,
    };
    Some(Found { layout, warning })
}

/// Calls the function at offset 40 with a zeroed stand-in for a connection and `false`.
///
/// In the Membase layout it is `set_tap_nack_mode` and stores the `false`; in the other one it is
/// `reserve`, which takes no second argument and counts a one-byte counter up. Both only touch the
/// connection's memory, which is a few hundred bytes on every host.
fn probe(server: &Server) -> Probe {
    let Some(function) = server.slot_40() else {
        return Probe::Unclear;
    };
    let mut connection = Box::new([0_u64; 1024]);
    // SAFETY: contract 5. The stand-in is larger than any host's connection and aligned for it. A
    // C function of one argument may be called with two on the platforms this engine supports.
    unsafe { function((&raw mut *connection).cast_const().cast::<c_void>(), false) };
    let mut changed = connection
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .filter(|byte| *byte != 0);
    match (changed.next(), changed.next()) {
        (None, _) => Probe::Unchanged,
        (Some(1), None) => Probe::Counted,
        (Some(_), _) => Probe::Unclear,
    }
}

/// Asks the host for a setting that the Membase line has.
fn has_topkeys(server: &Server) -> Option<bool> {
    let get_config = server.get_config?;
    let mut size = 0_usize;
    let entry = |key: *const std::ffi::c_char, size: *mut usize| config_item {
        key,
        datatype: config_datatype::DT_SIZE,
        value: config_value { dt_size: size },
        found: false,
    };
    let mut items = [
        entry(c"topkeys".as_ptr(), &raw mut size),
        entry(ptr::null(), ptr::null_mut()),
    ];
    // SAFETY: contract 5; the list ends with a NULL key and the one value has a place to go.
    let read = unsafe { get_config(items.as_mut_ptr()) };
    read.then(|| items.first().is_some_and(|item| item.found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_agreeing_or_positive_evidence_decides() {
        let judged = |probe, has_topkeys| judge(Evidence { probe, has_topkeys });
        let layout = |probe, topkeys| judged(probe, topkeys).map(|found| found.layout);
        assert_eq!(layout(Probe::Counted, Some(false)), Some(Layout::Memcached));
        assert_eq!(layout(Probe::Counted, None), Some(Layout::Memcached));
        assert_eq!(layout(Probe::Unchanged, Some(true)), Some(Layout::Membase));
        assert_eq!(layout(Probe::Unchanged, None), Some(Layout::Membase));
        assert_eq!(layout(Probe::Unchanged, Some(false)), None);
        for topkeys in [None, Some(true), Some(false)] {
            assert_eq!(layout(Probe::Unclear, topkeys), None);
        }
        assert_eq!(layout(Probe::Counted, Some(true)), Some(Layout::Memcached));
        assert!(judged(Probe::Counted, Some(true)).is_some_and(|found| found.warning.is_some()));
        assert!(judged(Probe::Counted, None).is_some_and(|found| found.warning.is_none()));
    }
}
