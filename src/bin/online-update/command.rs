//! START, COMPLETE and REVERT on one node. They may take long, so their answer is waited for as
//! long as the node says on another connection that it works at it. Where a host cannot hold an
//! answer back (ARCUS memcached), the node answers that it has begun, and is asked until it has
//! ended.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::clock::Until;
use crate::decision::{Mark, Part};
use crate::nodes::Node;
use crate::packet::{Answer, Request, opcode, status};
use crate::window::{State, Vbuckets, Window};

/// Between two looks at a node.
const PAUSE: Duration = Duration::from_millis(200);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The command never left.
    NotSent(String),
    /// It may have been carried out.
    Unanswered(String),
    /// The node has begun, and says no more.
    Begun,
}

/// Told how far a node is.
pub(crate) type Watch<'a> = &'a (dyn Fn(&Window) + Sync);

/// The place of the node that is sent a command before the others are: of those that `fit` the one
/// with the lowest address, whoever asks and in whatever order nodes are named. So of two operators
/// one wins.
pub(crate) fn first(nodes: &[Node], fit: impl Fn(usize) -> bool) -> Option<usize> {
    let fitting = nodes.iter().enumerate().filter(|(index, _)| fit(*index));
    let lowest = fitting.min_by_key(|(_, node)| node.address);
    lowest.map(|(index, _)| index)
}

/// Sends a command and waits for its answer.
pub(crate) fn send(
    client: &Client,
    node: &Node,
    (opcode, extras): (u8, &[u8]),
    watch: Watch<'_>,
) -> Result<Answer, Trouble> {
    let mut link = client.open(node).map_err(Trouble::NotSent)?;
    let request = Request {
        opcode,
        extras,
        ..Request::default()
    };
    link.send(&request).map_err(Trouble::Unanswered)?;
    let mut beside = None;
    let mut idle = Until::after(client.timeout);
    while !link.arrives(PAUSE).map_err(Trouble::Unanswered)? {
        let other = match beside.take() {
            Some(other) => Ok(other),
            None => client.open(node),
        };
        let mut other = other.map_err(Trouble::Unanswered)?;
        let window = Window::read(&mut other).map_err(Trouble::Unanswered)?;
        beside = Some(other);
        watch(&window);
        if matches!(window.state, State::Completing | State::Reverting) {
            idle = Until::after(client.timeout);
        } else if idle.left().is_none() {
            let text = format!(
                "no answer to the command within {} s",
                client.timeout.as_secs_f32()
            );
            return Err(Trouble::Unanswered(text));
        }
    }
    let answer = link.receive(opcode).map_err(Trouble::Unanswered)?;
    let begun = answer.status() == status::SUCCESS && !answer.value().is_empty();
    if begun && matches!(opcode, opcode::COMPLETE | opcode::REVERT) {
        return Err(Trouble::Begun);
    }
    Ok(answer)
}

/// Waits until a node neither completes nor reverts; what it says then.
///
/// # Errors
/// It does not answer.
pub(crate) fn settle(client: &Client, node: &Node, watch: Watch<'_>) -> Result<Window, String> {
    let mut link = client.open(node)?;
    loop {
        let window = Window::read(&mut link)?;
        watch(&window);
        if !matches!(window.state, State::Completing | State::Reverting) {
            return Ok(window);
        }
        thread::sleep(PAUSE);
    }
}

/// COMPLETE on a node whose window was open at the time that is given.
pub(crate) fn complete(client: &Client, node: &Node, open_at: Instant, watch: Watch<'_>) -> Part {
    match send(client, node, (opcode::COMPLETE, &[]), watch) {
        Ok(answer) if answer.status() == status::SUCCESS => Part::new(Mark::Good, "completed"),
        Ok(answer) => match settle(client, node, watch) {
            // Somebody else's COMPLETE was first.
            Ok(window)
                if answer.status() == status::NOT_SUPPORTED
                    && window.has_completed_since(open_at) =>
            {
                Part::new(Mark::Good, "completed by somebody else")
            }
            now => failed("COMPLETE", &answer, now),
        },
        Err(Trouble::NotSent(text)) => {
            Part::new(Mark::Silent, format!("{text}; COMPLETE was not sent"))
        }
        Err(Trouble::Begun) => match settle(client, node, watch) {
            Ok(window) if window.state == State::None && window.last_outcome == "completed" => {
                Part::new(Mark::Good, "completed")
            }
            Ok(window) => after("COMPLETE", reason(&window), &window),
            Err(again) => Part::new(Mark::Unknown, format!("COMPLETE has begun, but {again}")),
        },
        Err(Trouble::Unanswered(text)) => match settle(client, node, watch) {
            Ok(window) if window.state == State::None && window.last_outcome == "completed" => {
                Part::new(Mark::Good, format!("completed ({text}; asked again)"))
            }
            Ok(window) if window.state != State::None => may_arrive("COMPLETE", &text),
            Ok(window) => after("COMPLETE", &text, &window),
            Err(again) => Part::new(
                Mark::Unknown,
                format!("COMPLETE was sent, but {text}; asked again: {again}"),
            ),
        },
    }
}

/// REVERT on a node, whatever it is at.
pub(crate) fn revert(client: &Client, node: &Node, watch: Watch<'_>) -> Part {
    let window = match settle(client, node, watch) {
        Ok(window) => window,
        Err(text) => return Part::new(Mark::Silent, format!("{text}; REVERT was not sent")),
    };
    if window.state == State::None {
        return ended(client, node, &window);
    }
    match send(client, node, (opcode::REVERT, &[]), watch) {
        Ok(answer) if answer.status() == status::SUCCESS => Part::new(
            Mark::Good,
            format!("reverted; {}", window.touched_in_words()),
        ),
        // Somebody else, or the deadline, may have been first; or the window has ended, but the
        // store may not know it.
        Ok(answer) => {
            let in_memory_only = answer.status() == status::TEMPORARY;
            match settle(client, node, watch) {
                Ok(window) if window.state == State::None && !in_memory_only => {
                    ended(client, node, &window)
                }
                now => failed("REVERT", &answer, now),
            }
        }
        Err(Trouble::NotSent(text)) => {
            Part::new(Mark::Silent, format!("{text}; REVERT was not sent"))
        }
        Err(Trouble::Begun) => match settle(client, node, watch) {
            Ok(now) if now.state == State::None && now.last_outcome == "reverted" => Part::new(
                Mark::Good,
                format!("reverted; {}", window.touched_in_words()),
            ),
            Ok(now) if now.state == State::None => ended(client, node, &now),
            Ok(now) => after("REVERT", reason(&now), &now),
            Err(again) => Part::new(Mark::Unknown, format!("REVERT has begun, but {again}")),
        },
        Err(Trouble::Unanswered(text)) => match settle(client, node, watch) {
            Ok(window) if window.state == State::None => ended(client, node, &window),
            Ok(_) => may_arrive("REVERT", &text),
            Err(again) => Part::new(
                Mark::Unknown,
                format!("REVERT was sent, but {text}; asked again: {again}"),
            ),
        },
    }
}

/// Why a command that had begun did not end as it should, as far as the node says.
fn reason(window: &Window) -> &str {
    let hindrance = window.hindrance.as_deref();
    hindrance.unwrap_or("the node's log says why")
}

/// What is told of a node without a window, when it should be as it was before START.
pub(crate) fn ended(client: &Client, node: &Node, window: &Window) -> Part {
    // Whose vbuckets went to another node, with their windows, has none to take back.
    let vbuckets = client
        .open(node)
        .and_then(|mut link| Vbuckets::read(&mut link));
    let elsewhere = match vbuckets {
        Ok(vbuckets) if vbuckets.served.is_empty() => Some(
            "no vbucket is active there: name the node that took over its vbuckets, which may \
             have a window open"
                .to_owned(),
        ),
        Ok(_) => None,
        Err(text) => Some(format!("no window is open, but {text}")),
    };
    match (window.last_outcome.as_str(), elsewhere) {
        ("completed", None) => Part::new(
            Mark::Against,
            "no window is open, and the last one was completed: nothing to take back",
        ),
        ("completed", Some(why)) => Part::new(
            Mark::Against,
            format!("the last window was completed; {why}"),
        ),
        (_, Some(why)) => Part::new(Mark::Bad, why),
        ("lost at restart", None) => Part::new(
            Mark::Good,
            "it restarted in the window, so it is as before START",
        ),
        ("none", None) => Part::new(
            Mark::Good,
            "no window is open, and none was since it began: nothing to take back",
        ),
        (outcome, None) => Part::new(Mark::Good, format!("no window is open: {outcome}")),
    }
}

/// A command was not answered, and the window is open. It may be under way yet.
fn may_arrive(name: &str, words: &str) -> Part {
    let text =
        format!("{name} was sent, but {words}; the window is open, and {name} may still arrive");
    Part::new(Mark::Unknown, text)
}

/// A node refused a command; what it is at `now` tells what that means.
fn failed(name: &str, answer: &Answer, now: Result<Window, String>) -> Part {
    let words = answer.words();
    match now {
        Ok(window) => after(name, &words, &window),
        Err(again) => Part::new(
            Mark::Unknown,
            format!("{name} failed: {words}; then {again}"),
        ),
    }
}

fn after(name: &str, words: &str, window: &Window) -> Part {
    match window.state {
        State::None => {
            let reverted = window.last_outcome.starts_with("reverted");
            let mark = if name == "COMPLETE" && reverted {
                Mark::Against
            } else {
                Mark::Bad
            };
            let outcome = window.outcome_in_words();
            Part::new(
                mark,
                format!("{name}: {words}; no window is open now, last outcome: {outcome}"),
            )
        }
        _ => Part::new(
            Mark::Open,
            format!("{name} failed, the window is open: {words}"),
        ),
    }
}
