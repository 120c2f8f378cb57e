//! START on all nodes or on none.

use std::time::{Duration, Instant};

use crate::client::Client;
use crate::clock;
use crate::command::{self, Trouble};
use crate::decision::{Decision, Mark, Part};
use crate::each::each;
use crate::exit::Exit;
use crate::nodes::Node;
use crate::packet::{opcode, status};
use crate::progress::Show;
use crate::text;
use crate::window::{self, Identity, Process, State, Window};

/// What was started, to recognise it later.
#[derive(Clone, Debug)]
pub(crate) struct Started {
    pub(crate) at: Instant,
    /// One for each node, in their order.
    pub(crate) windows: Vec<(Identity, Process)>,
}

/// What came of START on one node.
enum Sent {
    Started(Identity, Process),
    Refused(String),
    /// It may have a window.
    Unanswered(String),
    /// START was not sent.
    Spared,
}

/// START on all nodes or on none.
pub(crate) fn start(
    client: &Client,
    nodes: &[Node],
    revert_after: Option<Duration>,
    show: Show,
) -> (Decision, Option<Started>) {
    if let Some(parts) = unfit(client, nodes) {
        let text = "not started: nothing was sent to any node".to_owned();
        let exit = Exit::Refused;
        return (Decision { parts, text, exit }, None);
    }
    show.say(&format!(
        "START on {}",
        text::count(nodes.len() as u64, "node")
    ));
    let at = clock::now();
    let sent = send_to_all(client, nodes, revert_after);
    let mut windows = Vec::with_capacity(nodes.len());
    for one in &sent {
        if let Sent::Started(identity, process) = one {
            windows.push((identity.clone(), process.clone()));
        }
    }
    if windows.len() < nodes.len() {
        return (take_back(client, nodes, &sent, at, show), None);
    }
    let limit = revert_after.map_or_else(String::new, |time| {
        format!("; reverts by itself in {}", text::seconds(time.as_secs()))
    });
    let part = Part::new(Mark::Good, format!("the window is open{limit}"));
    let decision = Decision {
        parts: vec![part; nodes.len()],
        text: format!("started on {}", text::count(nodes.len() as u64, "node")),
        exit: Exit::Done,
    };
    (decision, Some(Started { at, windows }))
}

/// What stands against a START, if anything does.
fn unfit(client: &Client, nodes: &[Node]) -> Option<Vec<Part>> {
    let parts = each(nodes, |_, node| {
        let window = client.open(node).and_then(|mut link| {
            let window = Window::read(&mut link)?;
            Ok((window, window::writes(&mut link)?))
        });
        match window {
            Err(text) => Part::new(Mark::Silent, text),
            Ok((_, false)) => Part::new(
                Mark::Bad,
                "persistence is stopped there: after a crash nothing would say that a window was \
                 open; start persistence first",
            ),
            Ok((window, _)) if window.state == State::None => {
                Part::new(Mark::Good, "no window is open")
            }
            Ok((window, _)) => Part::new(
                Mark::Bad,
                format!(
                    "a window is {} already, for {}: complete or revert it first (or is this node \
                     named twice?)",
                    window.state.name(),
                    text::seconds(window.seconds_open)
                ),
            ),
        }
    });
    let all = parts.iter().all(|part| part.mark == Mark::Good);
    (!all).then_some(parts)
}

/// START on one node first, the same one whoever begins, so that of two operators one wins; then on
/// the others, side by side.
fn send_to_all(client: &Client, nodes: &[Node], revert_after: Option<Duration>) -> Vec<Sent> {
    let seconds = revert_after.map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
    let extras = seconds.map(u32::to_be_bytes);
    let extras = extras.as_ref().map_or(&[][..], |bytes| &bytes[..]);
    let first = command::first(nodes, |_| true);
    let begun = first.and_then(|index| nodes.get(index));
    let begun = begun.map(|node| send_to(client, node, extras));
    let go_on = matches!(begun, Some(Sent::Started(..)));
    let mut sent = each(nodes, |index, node| {
        if Some(index) == first || !go_on {
            Sent::Spared
        } else {
            send_to(client, node, extras)
        }
    });
    if let (Some(begun), Some(place)) = (begun, first.and_then(|index| sent.get_mut(index))) {
        *place = begun;
    }
    sent
}

fn send_to(client: &Client, node: &Node, extras: &[u8]) -> Sent {
    match command::send(client, node, (opcode::START, extras), &|_| {}) {
        Ok(answer) if answer.status() == status::SUCCESS => {
            match client.open(node).and_then(|mut link| {
                Ok((
                    window::identity(&mut link)?,
                    Window::read(&mut link)?.process,
                ))
            }) {
                Ok((identity, process)) => Sent::Started(identity, process),
                Err(text) => Sent::Unanswered(format!("started, then {text}")),
            }
        }
        Ok(answer) if answer.status() == status::EINVAL && !extras.is_empty() => {
            Sent::Refused(format!(
                "{} (does its engine know no deadlines? --revert-after needs them)",
                answer.words()
            ))
        }
        Ok(answer) => Sent::Refused(answer.words()),
        Err(Trouble::NotSent(text)) => Sent::Refused(text),
        Err(Trouble::Unanswered(text)) => Sent::Unanswered(text),
        Err(Trouble::Begun) => Sent::Unanswered("it has begun to answer".to_owned()),
    }
}

/// Reverts what was started, because something else was not.
fn take_back(client: &Client, nodes: &[Node], sent: &[Sent], at: Instant, show: Show) -> Decision {
    show.say("one refused: reverting those that have begun");
    let steps = show.nodes(nodes);
    let parts = each(nodes, |index, node| {
        let watch = |window: &Window| steps.at(index, window);
        match sent.get(index) {
            Some(Sent::Started(..)) => {
                let part = command::revert(client, node, &watch);
                Part::new(part.mark, format!("was started; {}", part.text))
            }
            Some(Sent::Unanswered(text)) => doubtful(client, node, text, at),
            Some(Sent::Refused(text)) => Part::new(Mark::Bad, format!("refused: {text}")),
            Some(Sent::Spared) | None => Part::new(Mark::Good, "START was not sent"),
        }
    });
    let clean = parts
        .iter()
        .all(|part| matches!(part.mark, Mark::Good | Mark::Bad | Mark::Against));
    let (text, exit) = if clean {
        (
            "not started: no window is open from this START",
            Exit::Refused,
        )
    } else {
        (
            "not started, but a window may be open on the nodes named",
            Exit::Partly,
        )
    };
    Decision {
        parts,
        text: text.to_owned(),
        exit,
    }
}

/// A node that did not answer START: reverts its window if that is as young as the START.
fn doubtful(client: &Client, node: &Node, text: &str, at: Instant) -> Part {
    let look = client
        .open(node)
        .and_then(|mut link| Window::read(&mut link));
    match look {
        Err(again) => Part::new(
            Mark::Unknown,
            format!("START was sent, but {text}; asked again: {again}. Its window may be open"),
        ),
        Ok(window) if window.state == State::None => {
            // A START that is under way may open it yet.
            Part::new(
                Mark::Unknown,
                format!("START was sent, but {text}; no window is open there yet"),
            )
        }
        Ok(window) if window.seconds_open <= clock::now().duration_since(at).as_secs() + 1 => {
            let part = command::revert(client, node, &|_| {});
            let mark = if part.mark == Mark::Good {
                Mark::Bad
            } else {
                part.mark
            };
            Part::new(mark, format!("{text}; {}", part.text))
        }
        Ok(_) => Part::new(Mark::Bad, format!("{text}; its window is of somebody else")),
    }
}
