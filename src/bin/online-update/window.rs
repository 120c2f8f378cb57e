//! What a node says of itself and of its window.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::clock;
use crate::link::{Link, Statistics};
use crate::progress::Steps;
use crate::text;

/// Largest number that is believed: JSON says no larger one exactly, and sums of a few fit.
const NUMBER_MAX: u64 = 1 << 53;

/// What a `flush_all` in a window has done, in words.
pub(crate) const FLUSHED: &str = "a flush_all took every key that was there";

/// Where a node's window stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    None,
    Open,
    Completing,
    Reverting,
}

impl State {
    /// The word of the engine's statistics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Open => "open",
            Self::Completing => "completing",
            Self::Reverting => "reverting",
        }
    }
}

/// How long a window has before it reverts by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It stays open; or the engine knows no deadlines.
    Forever,
    Seconds(u64),
}

/// What `stats onlineupdate` says, and of which process.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) state: State,
    pub(crate) seconds_open: u64,
    pub(crate) added: u64,
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
    pub(crate) vanished: u64,
    /// A `flush_all` took every key that was there; what nothing else touched is not counted.
    pub(crate) flushed: bool,
    pub(crate) touched: u64,
    pub(crate) bytes: u64,
    pub(crate) done: u64,
    pub(crate) total: u64,
    pub(crate) last_outcome: String,
    /// How many seconds ago that was; none: before the node started, or the engine does not say.
    pub(crate) outcome_age: Option<u64>,
    pub(crate) left: Left,
    /// `None`: the engine does not say.
    pub(crate) bytes_left: Option<u64>,
    /// Why a COMPLETE could not commit now.
    pub(crate) hindrance: Option<String>,
    pub(crate) process: Process,
}

/// Which process answers at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: String,
    pub(crate) uptime: u64,
}

impl Process {
    /// Whether it can be the same as an earlier one, `elapsed` seconds later.
    pub(crate) fn continues(&self, earlier: &Self, elapsed: u64) -> bool {
        // Hosts tick once a second, and some of them late.
        let slack = 5 + elapsed / 100;
        self.pid == earlier.pid && self.uptime + slack >= earlier.uptime + elapsed
    }
}

/// Which window it is: the checkpoint of each active vbucket that has one. Ids are never used
/// again, and go along when a vbucket is handed over or its replica takes its place.
pub(crate) type Identity = BTreeMap<u16, u64>;

impl Window {
    /// Asks a node.
    ///
    /// # Errors
    /// No answer, or another engine.
    pub(crate) fn read(link: &mut Link) -> Result<Self, String> {
        let general = link.statistics("")?.unwrap_or_default();
        let found = link.statistics("onlineupdate")?;
        let found = found.ok_or("its engine knows no online updates (stats onlineupdate)")?;
        Self::parse(&general, &found)
    }

    fn parse(general: &Statistics, found: &Statistics) -> Result<Self, String> {
        let state = match found.get("state").map(String::as_str) {
            Some("none") => State::None,
            Some("open") => State::Open,
            Some("completing") => State::Completing,
            Some("reverting") => State::Reverting,
            other => {
                let other = other.unwrap_or("no word");
                return Err(format!(
                    "its online update is in a state unknown here: {other}"
                ));
            }
        };
        let number = |from: &Statistics, name: &str| {
            let number = from.get(name)?.parse::<u64>().ok()?;
            Some(number.min(NUMBER_MAX))
        };
        let count = |name| number(found, name).unwrap_or(0);
        let can = found.get("can_complete").map_or("yes", String::as_str);
        Ok(Self {
            state,
            seconds_open: count("seconds_open"),
            added: count("added_keys"),
            updated: count("updated_keys"),
            deleted: count("deleted_keys"),
            vanished: count("vanished_keys"),
            flushed: found.get("flushed").is_some_and(|it| it == "true"),
            touched: count("touched_keys"),
            bytes: count("window_bytes"),
            done: count("progress_done"),
            total: count("progress_total"),
            last_outcome: found.get("last_outcome").cloned().unwrap_or_default(),
            outcome_age: number(found, "last_outcome_seconds"),
            left: number(found, "seconds_left").map_or(Left::Forever, Left::Seconds),
            bytes_left: number(found, "bytes_left"),
            hindrance: can.strip_prefix("no").map(|why| {
                let why = why.trim_start_matches([':', ' ']);
                if why.is_empty() {
                    "it does not say why"
                } else {
                    why
                }
                .to_owned()
            }),
            process: Process {
                pid: general.get("pid").cloned().unwrap_or_default(),
                uptime: number(general, "uptime").unwrap_or(0),
            },
        })
    }

    /// Whether the last window ended before one that has been open for so many seconds began.
    pub(crate) fn ended_before(&self, open_for: u64) -> bool {
        // An end without an age is of before the process began, which says 2 s more than it is up:
        // memcached's clock begins there. All are whole seconds of clocks of two machines.
        let up = self.process.uptime.saturating_sub(2);
        self.outcome_age.unwrap_or(up) > open_for + 2
    }

    /// Whether the last window was completed, and not before the time that is given.
    pub(crate) fn has_completed_since(&self, time: Instant) -> bool {
        let elapsed = clock::now().duration_since(time).as_secs();
        self.state == State::None && self.last_outcome == "completed" && !self.ended_before(elapsed)
    }

    /// How the last window ended, and when.
    pub(crate) fn outcome_in_words(&self) -> String {
        let age = self.outcome_age.map(text::seconds);
        let age = age.map_or_else(String::new, |age| format!(", {age} ago"));
        format!("{}{age}", self.last_outcome)
    }

    /// What has been touched, in words.
    pub(crate) fn touched_in_words(&self) -> String {
        let gone = match self.vanished {
            0 => String::new(),
            vanished => format!(", {vanished} added and gone again"),
        };
        let flushed = if self.flushed {
            format!("; {FLUSHED}")
        } else {
            String::new()
        };
        format!(
            "{} touched: {} added, {} updated, {} deleted{gone}; {}{flushed}",
            text::count(self.touched, "key"),
            self.added,
            self.updated,
            self.deleted,
            text::size(self.bytes)
        )
    }
}

/// Which window is open on a node.
///
/// # Errors
/// No answer.
pub(crate) fn identity(link: &mut Link) -> Result<Identity, String> {
    let windows = link.statistics("onlineupdate-vb")?.unwrap_or_default();
    let roles = link.statistics("vbucket")?.unwrap_or_default();
    let checkpoints = link.statistics("checkpoint")?.unwrap_or_default();
    Ok(identity_in(&windows, &roles, &checkpoints))
}

/// The open checkpoint of each vbucket of a node, with a window or not.
///
/// # Errors
/// No answer.
pub(crate) fn checkpoints(link: &mut Link) -> Result<Identity, String> {
    let found = link.statistics("checkpoint")?.unwrap_or_default();
    let checkpoints = found.iter().filter_map(|(name, id)| {
        let vbucket = name
            .strip_prefix("vb_")?
            .strip_suffix(":open_checkpoint_id")?;
        Some((vbucket.parse().ok()?, id.parse().ok()?))
    });
    Ok(checkpoints.collect())
}

/// Whether a node that refused a command because of its window has one all the same: it is being
/// ended.
pub(crate) fn is_being_ended(link: &mut Link) -> bool {
    matches!(Window::read(link), Ok(window) if window.state != State::None)
}

/// Which vbuckets a node has, as far as its own commands care.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vbuckets {
    /// Active or pending: commands act on them.
    pub(crate) served: BTreeSet<u16>,
    /// Of those, the pending ones.
    pub(crate) pending: BTreeSet<u16>,
    pub(crate) dead: BTreeSet<u16>,
}

impl Vbuckets {
    /// Asks a node.
    ///
    /// # Errors
    /// No answer.
    pub(crate) fn read(link: &mut Link) -> Result<Self, String> {
        let mut found = Self::default();
        for (name, role) in link.statistics("vbucket")?.unwrap_or_default() {
            let Some(Ok(id)) = name.strip_prefix("vb_").map(str::parse) else {
                continue;
            };
            if role == "pending" {
                found.pending.insert(id);
            }
            match role.as_str() {
                "active" | "pending" => found.served.insert(id),
                "dead" => found.dead.insert(id),
                _ => continue,
            };
        }
        Ok(found)
    }
}

/// Whether a node writes to its store, if it has one: nobody has stopped persistence.
///
/// # Errors
/// No answer.
pub(crate) fn writes(link: &mut Link) -> Result<bool, String> {
    let all = link.statistics("")?.unwrap_or_default();
    Ok(all
        .get("ep_flusher_state")
        .is_none_or(|state| state != "paused"))
}

fn identity_in(windows: &Statistics, roles: &Statistics, checkpoints: &Statistics) -> Identity {
    let mut identity = Identity::new();
    for (name, state) in windows {
        let Some(vbucket) = name.strip_suffix(":state").filter(|_| state != "none") else {
            continue;
        };
        // A replica's window is ended by its master.
        let role = roles.get(vbucket).map(String::as_str);
        if !matches!(role, Some("active" | "pending")) {
            continue;
        }
        let id = checkpoints.get(&format!("{vbucket}:open_checkpoint_id"));
        let id = id.and_then(|id| id.parse().ok());
        let number = vbucket
            .strip_prefix("vb_")
            .and_then(|number| number.parse().ok());
        if let (Some(number), Some(id)) = (number, id) {
            identity.insert(number, id);
        }
    }
    identity
}

impl Steps {
    /// Shows how far a node is.
    pub(crate) fn at(&self, index: usize, window: &Window) {
        self.step(index, window.state.name(), (window.done, window.total));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(lines: &[(&str, &str)]) -> Statistics {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        lines.iter().map(owned).collect()
    }

    #[test]
    fn the_identity_is_that_of_active_vbuckets() {
        let windows = [
            ("vb_0:state", "open"),
            ("vb_1:state", "open"),
            ("vb_2:state", "none"),
            ("vb_0:touched_keys", "7"),
        ];
        let roles = [("vb_0", "active"), ("vb_1", "replica"), ("vb_2", "active")];
        let checkpoints = ["vb_0", "vb_1", "vb_2"].map(|vb| format!("{vb}:open_checkpoint_id"));
        let checkpoints: Vec<_> = checkpoints
            .iter()
            .map(|name| (name.as_str(), "5"))
            .collect();
        let found = identity_in(
            &statistics(&windows),
            &statistics(&roles),
            &statistics(&checkpoints),
        );
        assert_eq!(found, Identity::from([(0, 5)]));
    }

    #[test]
    fn what_an_engine_does_not_say_is_not_guessed() {
        let none = statistics(&[]);
        let flushed = statistics(&[("state", "open"), ("flushed", "true")]);
        let flushed = Window::parse(&none, &flushed).unwrap();
        assert!(flushed.flushed && flushed.touched_in_words().ends_with(FLUSHED));
        let old = Window::parse(&none, &statistics(&[("state", "open")])).unwrap();
        assert_eq!(
            (old.left, old.bytes_left, old.hindrance),
            (Left::Forever, None, None)
        );
        let lines = [
            ("state", "open"),
            ("seconds_left", "30"),
            ("can_complete", "no: the disk is full"),
            ("bytes_left", "12"),
        ];
        let new = Window::parse(&none, &statistics(&lines)).unwrap();
        assert_eq!((new.left, new.bytes_left), (Left::Seconds(30), Some(12)));
        assert_eq!(new.hindrance.as_deref(), Some("the disk is full"));
        assert!(Window::parse(&none, &none).is_err());
        assert!(Window::parse(&none, &statistics(&[("state", "odd")])).is_err());
    }

    #[test]
    fn a_process_is_told_from_its_successor() {
        let process = |pid: &str, uptime| Process {
            pid: pid.to_owned(),
            uptime,
        };
        assert!(process("7", 130).continues(&process("7", 100), 31));
        assert!(!process("8", 130).continues(&process("7", 100), 30));
        assert!(!process("1", 3).continues(&process("1", 100), 30));
    }
}
