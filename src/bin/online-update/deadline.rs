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
    let parts = each(nodes, |_, node| match set(client, node, seconds) {
        Ok(Ok(())) => Part::new(Mark::Good, done.clone()),
        Ok(Err(words)) => Part::new(Mark::Bad, words),
        Err(text) => Part::new(Mark::Unknown, text),
    });
    let good = parts.iter().filter(|part| part.mark == Mark::Good).count();
    let exit = match good {
        0 => Exit::Refused,
        _ if good == parts.len() => Exit::Done,
        _ => Exit::Partly,
    };
    let text = format!(
        "deadline set on {good} of {}",
        text::count(parts.len() as u64, "node")
    );
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
    lefts: &[Left],
    stands: bool,
) -> Option<Vec<Part>> {
    let parts = each(nodes, |index, node| {
        let ready = match cases.get(index) {
            Some(Case::Ready(_)) => true,
            Some(Case::Hindered(_)) => stands,
            _ => false,
        };
        let Some(Left::Seconds(left)) = lefts.get(index).filter(|_| ready) else {
            return Part::new(Mark::Good, "nothing was sent");
        };
        let seconds = u32::try_from(HOLD_SECONDS.max(*left)).unwrap_or(u32::MAX);
        match set(client, node, seconds) {
            Ok(Ok(())) => Part::new(Mark::Good, "it can complete"),
            Ok(Err(words)) => Part::new(Mark::Bad, format!("its deadline: {words}")),
            Err(text) => Part::new(Mark::Unknown, text),
        }
    });
    let refused = parts.iter().any(|part| part.mark != Mark::Good);
    refused.then_some(parts)
}

/// Takes the deadlines away where COMPLETE was not `done`, although it was elsewhere; why not, for
/// each that still has one.
pub(crate) fn take_away(
    client: &Client,
    nodes: &[Node],
    done: &[Part],
    lefts: &[Left],
) -> Vec<Option<String>> {
    each(nodes, |index, node| {
        let good = done.get(index).is_some_and(|part| part.mark == Mark::Good);
        if good || !matches!(lefts.get(index), Some(Left::Seconds(_))) {
            return None;
        }
        failure(send(client, node, 0))
    })
}

/// Gives the nodes back what was left of their deadlines; why not, for each that does not have it.
pub(crate) fn restore(
    client: &Client,
    nodes: &[Node],
    lefts: &[Left],
    elapsed: Duration,
) -> Vec<Option<String>> {
    each(nodes, |index, node| {
        let Some(Left::Seconds(left)) = lefts.get(index) else {
            return None;
        };
        let left = left.saturating_sub(elapsed.as_secs()).max(1);
        failure(send(client, node, u32::try_from(left).unwrap_or(u32::MAX)))
    })
}

/// Why a deadline is not as it should be. Without a window nothing is to end.
fn failure(answer: Result<Answer, String>) -> Option<String> {
    match answer {
        Ok(answer) if matches!(answer.status(), status::SUCCESS | status::NOT_SUPPORTED) => None,
        Ok(answer) => Some(answer.words()),
        Err(text) => Some(text),
    }
}

/// Sets one. The inner error is the node's refusal, the outer one a node that does not answer.
fn set(client: &Client, node: &Node, seconds: u32) -> Result<Result<(), String>, String> {
    let answer = send(client, node, seconds)?;
    Ok(match answer.status() {
        status::SUCCESS => Ok(()),
        status::UNKNOWN_COMMAND => Err("its engine knows no deadlines".to_owned()),
        _ => Err(answer.words()),
    })
}

fn send(client: &Client, node: &Node, seconds: u32) -> Result<Answer, String> {
    client.open(node)?.call(&Request {
        opcode: opcode::DEADLINE,
        extras: &seconds.to_be_bytes(),
        ..Request::default()
    })
}
