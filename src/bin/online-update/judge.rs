//! Whether all nodes together can COMPLETE: what each says, compared with what was started, or with
//! what the others say.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::Client;
use crate::clock;
use crate::each::each;
use crate::nodes::Node;
use crate::start::Started;
use crate::text;
use crate::window::{self, Identity, State, Vbuckets, Window};

/// A node as it is now.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) window: Window,
    pub(crate) identity: Identity,
    /// With a window or not.
    pub(crate) checkpoints: Identity,
    pub(crate) vbuckets: Vbuckets,
}

/// What COMPLETE means for a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// It can; with something to be said about it, or nothing.
    Ready(String),
    /// It is at it.
    Busy,
    /// It has.
    Done(String),
    /// Nothing is left to it: its vbuckets are on another node, with their window.
    Moved(String),
    /// Its window is open, but it cannot commit now.
    Hindered(String),
    /// Its window is not there any more.
    Gone(String),
    /// A window is there that is not to be completed: another one, or one that is being reverted.
    Foreign(String),
    /// It does not answer.
    Silent(String),
}

const REVERTING: &str = "its window is being reverted";

/// What happened since START.
#[derive(Clone, Copy, Debug)]
struct Since {
    /// The same process answers.
    same: bool,
    /// Seconds.
    elapsed: u64,
}

/// Looks at all nodes.
pub(crate) fn look(client: &Client, nodes: &[Node]) -> Vec<Result<Look, String>> {
    each(nodes, |_, node| {
        let mut link = client.open(node)?;
        let window = Window::read(&mut link)?;
        let identity = window::identity(&mut link)?;
        let checkpoints = window::checkpoints(&mut link)?;
        let vbuckets = Vbuckets::read(&mut link)?;
        Ok(Look {
            window,
            identity,
            checkpoints,
            vbuckets,
        })
    })
}

/// What COMPLETE means for each node.
pub(crate) fn judge(
    nodes: &[Node],
    looks: &[Result<Look, String>],
    started: Option<&Started>,
) -> Vec<Case> {
    let found: Vec<&Look> = looks.iter().flatten().collect();
    let open = found.iter().filter(|look| look.window.state != State::None);
    let longest = open.map(|look| look.window.seconds_open).max();
    let places = places(nodes, looks, started);
    let cases = looks.iter().enumerate().map(|(index, look)| {
        let look = match look {
            Ok(look) => look,
            Err(text) => return Case::Silent(text.clone()),
        };
        match started.and_then(|it| it.windows.get(index).map(|window| (it, window))) {
            Some((started, (identity, process))) => {
                let elapsed = clock::now().duration_since(started.at).as_secs();
                let since = Since {
                    same: look.window.process.continues(process, elapsed),
                    elapsed,
                };
                compare(look, identity, since, &places)
            }
            None => guess(look, longest),
        }
    });
    cases.collect()
}

/// Which windows of vbuckets are on a node that did not have them when all began. Nodes count their
/// checkpoints for themselves: the same number on a node that had one from the beginning says
/// nothing.
pub(crate) fn places(
    nodes: &[Node],
    looks: &[Result<Look, String>],
    started: Option<&Started>,
) -> BTreeMap<(u16, u64), String> {
    let mut places = BTreeMap::new();
    for (index, (node, look)) in nodes.iter().zip(looks).enumerate() {
        let own = started.and_then(|started| started.windows.get(index));
        let identity = look.iter().flat_map(|look| &look.identity);
        let new = identity
            .filter(|(vbucket, _)| own.is_none_or(|(identity, _)| !identity.contains_key(vbucket)));
        places.extend(new.map(|(vbucket, id)| ((*vbucket, *id), node.name.clone())));
    }
    places
}

/// A node whose window is known.
fn compare(
    look: &Look,
    started: &Identity,
    Since { same, elapsed }: Since,
    places: &BTreeMap<(u16, u64), String>,
) -> Case {
    // A memory-only node counts its checkpoints anew when it restarts.
    let young = !same && look.window.seconds_open + 5 + elapsed / 100 < elapsed;
    let here = |entry: &(&u16, &u64)| look.identity.get(entry.0) == Some(entry.1);
    let missing: Vec<_> = started.iter().filter(|entry| !here(entry)).collect();
    match look.window.state {
        State::Completing => return Case::Busy,
        State::Reverting => return Case::Foreign(REVERTING.to_owned()),
        State::None | State::Open => {}
    }
    let moved: Vec<_> = missing
        .iter()
        .filter_map(|entry| places.get(&(*entry.0, *entry.1)))
        .collect();
    if let Some(place) = moved.first().filter(|_| moved.len() == missing.len()) {
        let what = text::count(missing.len() as u64, "vbucket");
        let text = format!("{what} moved to {place}, with their window");
        return if look.window.state == State::None {
            Case::Moved(text)
        } else {
            ready(look, text)
        };
    }
    // On a node from which the window moved away, this is the outcome of an earlier one.
    if look.window.state == State::None && look.window.last_outcome == "completed" {
        if let Some(text) = missed(look, started).filter(|_| !same) {
            return Case::Gone(text.to_owned());
        }
        if look.window.ended_before(elapsed) {
            return Case::Gone(completed_earlier(&look.window));
        }
        let since = if same { "" } else { ", and it restarted since" };
        return Case::Done(format!("it is completed already{since}"));
    }
    if missing.is_empty() && look.window.state == State::Open && !young {
        let text = if same {
            String::new()
        } else {
            "another process answers there: it took over the window that was started".to_owned()
        };
        return ready(look, text);
    }
    if look.window.state == State::Open {
        return foreign(look, &missing, same);
    }
    Case::Gone(if same {
        format!(
            "its window is gone ({}): ended there, or taken over by a node that is not named here",
            outcome(&look.window)
        )
    } else {
        lost(&look.window)
    })
}

/// Why another process than the one at START may never have had the window, though it has completed
/// one: a replica that has taken the node's place may have missed it.
fn missed(look: &Look, started: &Identity) -> Option<&'static str> {
    let Vbuckets {
        served, pending, ..
    } = &look.vbuckets;
    // Ids of what is active only rise: who never came past the window has not completed it. What is
    // not active goes back to its master's ids.
    let passed = |(vbucket, id): (&u16, &u64)| {
        let active = served.contains(vbucket) && !pending.contains(vbucket);
        let now = look.checkpoints.get(vbucket).filter(|_| active);
        now.map(|now| now > id)
    };
    let passed: BTreeSet<bool> = started.iter().filter_map(passed).collect();
    let left = started.keys().any(|vbucket| !served.contains(vbucket));
    if passed.contains(&false) {
        Some(
            "another process answers there, which never had the window: what it has completed is \
             an earlier one",
        )
    } else if passed.is_empty() && left {
        Some(
            "another process answers there, and has none of its vbuckets active that would tell \
             whether it has completed this window or an earlier one",
        )
    } else {
        None
    }
}

/// A node whose window is not the one that was started: of vbuckets that are `missing`.
fn foreign(look: &Look, missing: &[(&u16, &u64)], same: bool) -> Case {
    let gone = missing.iter().map(|(vbucket, _)| **vbucket);
    let gone: BTreeSet<u16> = gone
        .filter(|id| !look.vbuckets.served.contains(id))
        .collect();
    if !gone.is_empty() {
        let gone = text::vbuckets(&gone);
        return Case::Foreign(format!(
            "it does not serve {gone} any more: taken over by a node that is not named here, or \
             only made a replica, dead or deleted"
        ));
    }
    Case::Foreign(format!(
        "the window of {} is not the one that was started{}",
        text::count(missing.len() as u64, "vbucket"),
        if same {
            ""
        } else {
            "; another process answers there"
        }
    ))
}

/// A node of which only that is known that it says: `longest` is for how long a node has had its
/// window open.
fn guess(look: &Look, longest: Option<u64>) -> Case {
    let window = &look.window;
    match window.state {
        State::Open => return ready(look, String::new()),
        State::Completing => return Case::Busy,
        State::Reverting => return Case::Foreign(REVERTING.to_owned()),
        State::None => {}
    }
    let younger = longest.is_some_and(|longest| window.process.uptime < longest);
    match window.last_outcome.as_str() {
        "completed" if longest.is_some_and(|longest| window.ended_before(longest)) => {
            Case::Gone(completed_earlier(window))
        }
        "completed" => Case::Done("it is completed already: no window is open".to_owned()),
        "lost at restart" => Case::Gone(lost(window)),
        _ if younger => Case::Gone(lost(window)),
        _ if look.vbuckets.served.is_empty() => Case::Gone(
            "no vbucket is active there: name the node that took over its vbuckets instead"
                .to_owned(),
        ),
        _ => Case::Gone(format!("no window is open there ({})", outcome(window))),
    }
}

fn completed_earlier(window: &Window) -> String {
    format!(
        "no window is open there: what it completed is an earlier one ({})",
        outcome(window)
    )
}

fn ready(look: &Look, mut text: String) -> Case {
    if look.window.flushed {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(window::FLUSHED);
    }
    match &look.window.hindrance {
        Some(why) => Case::Hindered(format!("it cannot commit now: {why}")),
        None => Case::Ready(text),
    }
}

fn lost(window: &Window) -> String {
    format!(
        "it restarted {} ago: its window is lost, and it is as it was before START",
        text::seconds(window.process.uptime)
    )
}

fn outcome(window: &Window) -> String {
    format!("last outcome: {}", window.outcome_in_words())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::{Left, Process};

    fn node(name: &str) -> Node {
        Node {
            name: name.to_owned(),
            address: "127.0.0.1:1".parse().unwrap(),
        }
    }

    fn process(pid: &str, uptime: u64) -> Process {
        Process {
            pid: pid.to_owned(),
            uptime,
        }
    }

    fn look(state: State, outcome: &str, ids: &[(u16, u64)], process: Process) -> Look {
        Look {
            window: Window {
                state,
                seconds_open: 50,
                added: 0,
                updated: 0,
                deleted: 0,
                vanished: 0,
                flushed: false,
                touched: 0,
                bytes: 0,
                done: 0,
                total: 0,
                last_outcome: outcome.to_owned(),
                outcome_age: None,
                left: Left::Forever,
                bytes_left: None,
                hindrance: None,
                process,
            },
            identity: ids.iter().copied().collect(),
            checkpoints: Identity::new(),
            vbuckets: Vbuckets {
                pending: BTreeSet::new(),
                served: ids.iter().map(|(vbucket, _)| *vbucket).collect(),
                dead: BTreeSet::new(),
            },
        }
    }

    /// The cases of two nodes, of which the first had vbucket 0 with checkpoint 5.
    fn cases(first: Look, second: Look) -> (Case, Case) {
        let nodes = [node("a"), node("b")];
        let started = Started {
            at: clock::now(),
            windows: vec![
                (Identity::from([(0, 5)]), process("1", 100)),
                (Identity::from([(1, 7)]), process("2", 100)),
            ],
        };
        let cases = judge(&nodes, &[Ok(first), Ok(second)], Some(&started));
        let [first, second] = cases.try_into().unwrap();
        (first, second)
    }

    fn text(case: &Case) -> &str {
        match case {
            Case::Busy => "",
            Case::Ready(text)
            | Case::Done(text)
            | Case::Moved(text)
            | Case::Hindered(text)
            | Case::Gone(text)
            | Case::Foreign(text)
            | Case::Silent(text) => text,
        }
    }

    #[test]
    fn a_window_is_recognised() {
        let good = || look(State::Open, "none", &[(1, 7)], process("2", 101));
        let (case, other) = cases(
            look(State::Open, "none", &[(0, 5)], process("1", 101)),
            good(),
        );
        assert_eq!(case, Case::Ready(String::new()));
        assert_eq!(other, Case::Ready(String::new()));

        let (case, _) = cases(
            look(State::None, "lost at restart", &[], process("9", 3)),
            good(),
        );
        assert!(matches!(case, Case::Gone(_)) && text(&case).contains("restarted 3 s ago"));

        let (case, _) = cases(look(State::None, "none", &[], process("1", 3)), good());
        assert!(matches!(case, Case::Gone(_)) && text(&case).contains("restarted 3 s ago"));

        let (case, _) = cases(
            look(State::Open, "none", &[(0, 6)], process("9", 3)),
            good(),
        );
        assert!(matches!(case, Case::Foreign(_)) && text(&case).contains("not the one"));

        let reverting = || look(State::Reverting, "none", &[(0, 5)], process("1", 101));
        let guessed = judge(&[node("a")], &[Ok(reverting())], None).remove(0);
        for case in [guessed, cases(reverting(), good()).0] {
            assert!(matches!(case, Case::Foreign(_)) && text(&case).contains("being reverted"));
        }

        let (case, _) = cases(
            look(State::Open, "none", &[(0, 5)], process("9", 3)),
            good(),
        );
        assert!(matches!(case, Case::Ready(_)) && text(&case).contains("took over"));

        let (case, _) = cases(
            look(State::None, "reverted", &[], process("1", 100)),
            good(),
        );
        assert!(matches!(case, Case::Gone(_)) && text(&case).contains("reverted"));

        let mut completed = look(State::None, "completed", &[], process("1", 100));
        completed.window.outcome_age = Some(0);
        let (case, _) = cases(completed, good());
        assert!(matches!(case, Case::Done(_)));

        // Another process: a restart after COMPLETE, or a replica that has missed the window.
        for (checkpoint, state, done) in [
            (4, "active", false),
            (5, "active", false),
            (6, "active", true),
            // Its ids are its master's again, and say nothing.
            (4, "pending", true),
            (6, "replica", false),
        ] {
            let mut other = look(State::None, "completed", &[], process("9", 1));
            other.checkpoints = Identity::from([(0, checkpoint)]);
            if state != "replica" {
                other.vbuckets.served.insert(0);
            }
            if state == "pending" {
                other.vbuckets.pending.insert(0);
            }
            let (case, _) = cases(other, good());
            assert_eq!(matches!(case, Case::Done(_)), done, "{state} {case:?}");
            assert!(done || text(&case).contains("an earlier one"), "{case:?}");
        }
    }

    #[test]
    fn a_window_that_moved_to_another_node_is_found_there() {
        // What became of an earlier window does not matter.
        for outcome in ["none", "completed"] {
            let moved = look(State::None, outcome, &[], process("1", 101));
            let other = look(State::Open, "none", &[(0, 5), (1, 7)], process("2", 101));
            let (case, other) = cases(moved, other);
            assert!(
                matches!(case, Case::Moved(_)) && text(&case).contains("moved to b"),
                "{case:?}"
            );
            assert_eq!(other, Case::Ready(String::new()));
        }
    }

    #[test]
    fn the_same_number_on_another_node_is_another_window() {
        let nodes = [node("a"), node("b")];
        let window = || (Identity::from([(0, 2)]), process("1", 100));
        let started = Started {
            at: clock::now(),
            windows: vec![window(), window()],
        };
        let lost = look(State::None, "lost at restart", &[], process("9", 1));
        let good = look(State::Open, "none", &[(0, 2)], process("1", 100));
        let cases = judge(&nodes, &[Ok(lost), Ok(good)], Some(&started));
        assert!(matches!(cases[0], Case::Gone(_)), "{cases:?}");
        assert_eq!(cases[1], Case::Ready(String::new()));
    }

    #[test]
    fn a_node_that_completed_before_the_window_of_the_others_began_did_not_complete_this_one() {
        let completed = |age| {
            let mut look = look(State::None, "completed", &[], process("1", 9_000));
            look.window.outcome_age = age;
            look
        };
        // The other one has been open for 50 seconds.
        for (age, done) in [
            // It has run for longer than that, and its last window ended before.
            (None, false),
            (Some(49), true),
            (Some(52), true),
            (Some(53), false),
        ] {
            let looks = [
                Ok(completed(age)),
                Ok(look(State::Open, "none", &[(1, 7)], process("2", 101))),
            ];
            let cases = judge(&[node("a"), node("b")], &looks, None);
            assert_eq!(matches!(cases[0], Case::Done(_)), done, "{age:?} {cases:?}");
            let said = age.map_or_else(String::new, |_| "53 s ago".to_owned());
            assert!(done || text(&cases[0]).contains(&said), "{cases:?}");
        }
        let mut restarted = completed(None);
        restarted.window.process.uptime = 3;
        let open = look(State::Open, "none", &[(1, 7)], process("2", 101));
        let cases_of = judge(&[node("a"), node("b")], &[Ok(restarted), Ok(open)], None);
        assert!(
            matches!(cases_of[0], Case::Done(_)),
            "it may have completed this one"
        );
        // With a record: it was made just now.
        let good = || look(State::Open, "none", &[(1, 7)], process("2", 101));
        let (case, _) = cases(completed(Some(1)), good());
        assert!(matches!(case, Case::Done(_)), "{case:?}");
        let (case, _) = cases(completed(Some(60)), good());
        assert!(matches!(case, Case::Gone(_)), "{case:?}");
    }

    #[test]
    fn a_flush_of_the_window_is_told() {
        let mut flushed = look(State::Open, "none", &[(0, 5)], process("1", 101));
        flushed.window.flushed = true;
        let cases = judge(&[node("a")], &[Ok(flushed)], None);
        assert_eq!(cases, [Case::Ready(window::FLUSHED.to_owned())]);
    }

    #[test]
    fn without_a_record_the_others_tell() {
        let nodes = [node("a"), node("b"), node("c"), node("d")];
        let mut full = look(State::Open, "none", &[(1, 7)], process("2", 101));
        full.window.hindrance = Some("the disk is full".to_owned());
        let mut completed = look(State::None, "completed", &[], process("1", 200));
        completed.window.outcome_age = Some(20);
        let looks = [
            Ok(full),
            Ok(look(State::None, "none", &[], process("1", 20))),
            Ok(completed),
            Err("no connection".to_owned()),
        ];
        let cases = judge(&nodes, &looks, None);
        assert!(matches!(cases[0], Case::Hindered(_)) && text(&cases[0]).contains("full"));
        assert!(matches!(cases[1], Case::Gone(_)) && text(&cases[1]).contains("restarted"));
        assert!(matches!(cases[2], Case::Done(_)));
        assert!(matches!(cases[3], Case::Silent(_)));
    }
}
