//! The moment at which a window reverts by itself: moved by hand, and held while nodes complete.

use std::time::Duration;

use crate::client::Client;
use crate::decision::{Decision, Mark, Part};
use crate::each::each;
use crate::exit::Exit;
use crate::judge::Case;
use crate::nodes::Node;
use crate::packet::{Answer, Request, opcode, status};
use crate::text;
use crate::window::Left;

/// Moves the deadline of every node's window to `time` from now; `None` takes it away.
pub(crate) fn extend(client: &Client, nodes: &[Node], time: Option<Duration>) -> Decision {
    let done = time.map_or("it has no deadline any more".to_owned(), |time| {
        format!("it reverts by itself in {}", text::seconds(time.as_secs()))
    });
    let seconds = time.map_or(0, |time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
    let results = each(nodes, |_, node| {
        let answer = send(client, node, seconds);
        let none = matches!(&answer, Ok(answer) if answer.status() == status::NOT_SUPPORTED);
        (part(answer, &done), none)
    });
    let none = results.iter().all(|(_, none)| *none);
    let parts: Vec<Part> = results.into_iter().map(|(part, _)| part).collect();
    let good = parts.iter().filter(|part| part.mark == Mark::Good).count();
    let unknown = parts.iter().any(|part| part.mark == Mark::Unknown);
    let all = text::count(parts.len() as u64, "node");
    let (exit, text) = match good {
        _ if none => (Exit::NoWindow, "no node has a window open".to_owned()),
        0 if unknown => (
            Exit::Partly,
            "whether a deadline was set is not known".to_owned(),
        ),
        good if good == parts.len() => (Exit::Done, format!("deadline set on {all}")),
        0 => (Exit::Refused, format!("deadline set on 0 of {all}")),
        good => (Exit::Partly, format!("deadline set on {good} of {all}")),
    };
    Decision { parts, text, exit }
}

/// For how long no deadline passes while nodes complete. Not for ever: if this program is killed in
/// between, nothing else ends windows that nobody decides.
const HOLD_SECONDS: u64 = 3_600;

/// Puts the deadlines of the nodes that are to complete off; where the decision `stands` already,
/// of those too that cannot now. The parts of all nodes, if one of them refuses.
pub(crate) fn hold(
    client: &Client,
    nodes: &[Node],
    cases: &[Case],
    lefts: &[Option<Left>],
    stands: bool,
) -> Option<Vec<Part>> {
    let parts = each(nodes, |index, node| {
        let ready = match cases.get(index) {
            Some(Case::Ready(_)) => true,
            Some(Case::Hindered(_)) => stands,
            _ => false,
        };
        let Some(Some(Left::Seconds(left))) = lefts.get(index).filter(|_| ready) else {
            return Part::new(Mark::Good, "nothing was sent");
        };
        let seconds = u32::try_from(HOLD_SECONDS.max(*left)).unwrap_or(u32::MAX);
        part(send(client, node, seconds), "it can complete")
    });
    let refused = parts.iter().any(|part| part.mark != Mark::Good);
    refused.then_some(parts)
}

/// Takes the deadlines away where COMPLETE was not `done`, although it was elsewhere; why not, for
/// each that still has one, or may have one for all that is known.
pub(crate) fn take_away(
    client: &Client,
    nodes: &[Node],
    done: &[Part],
    lefts: &[Option<Left>],
) -> Vec<Option<String>> {
    each(nodes, |index, node| {
        let mark = done.get(index).map(|part| part.mark);
        let ended = matches!(mark, Some(Mark::Good | Mark::Bad | Mark::Against));
        if ended || matches!(lefts.get(index), Some(Some(Left::Forever))) {
            return None;
        }
        failure(send(client, node, 0))
    })
}

/// Gives the nodes back what was left of their deadlines; why not, for each that does not have it.
pub(crate) fn restore(
    client: &Client,
    nodes: &[Node],
    lefts: &[Option<Left>],
    elapsed: Duration,
) -> Vec<Option<String>> {
    each(nodes, |index, node| {
        let Some(Some(Left::Seconds(left))) = lefts.get(index) else {
            return None;
        };
        let left = left.saturating_sub(elapsed.as_secs()).max(1);
        failure(send(client, node, u32::try_from(left).unwrap_or(u32::MAX)))
    })
}

/// Why a deadline is not as it should be. Without a window nothing is to end, and an engine that
/// knows no deadlines has none.
fn failure(answer: Result<Answer, Trouble>) -> Option<String> {
    match answer {
        Ok(answer) => match answer.status() {
            status::SUCCESS | status::NOT_SUPPORTED | status::UNKNOWN_COMMAND => None,
            _ => Some(answer.words()),
        },
        Err(trouble) => Some(trouble.text),
    }
}

/// What came of setting one, with `done` for what is so then.
fn part(answer: Result<Answer, Trouble>, done: &str) -> Part {
    match answer {
        Ok(answer) => match answer.status() {
            status::SUCCESS => Part::new(Mark::Good, done),
            status::UNKNOWN_COMMAND => Part::new(Mark::Bad, "its engine knows no deadlines"),
            _ => Part::new(Mark::Bad, format!("its deadline: {}", answer.words())),
        },
        Err(Trouble { sent: false, text }) => Part::new(Mark::Silent, text),
        Err(Trouble { sent: true, text }) => {
            Part::new(Mark::Unknown, format!("its deadline was sent, but {text}"))
        }
    }
}

/// Why there is no answer.
struct Trouble {
    /// It may have been carried out.
    sent: bool,
    text: String,
}

fn send(client: &Client, node: &Node, seconds: u32) -> Result<Answer, Trouble> {
    let trouble = |sent| move |text| Trouble { sent, text };
    let mut link = client.open(node).map_err(trouble(false))?;
    let answer = link.call(&Request {
        opcode: opcode::DEADLINE,
        extras: &seconds.to_be_bytes(),
        ..Request::default()
    });
    answer.map_err(trouble(true))
}
