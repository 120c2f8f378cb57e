//! The moment at which a window reverts by itself: moved by hand, and held while nodes complete.

use std::time::Duration;

use crate::client::Client;
use crate::decision::{Decision, Mark, Part};
use crate::each::each;
use crate::exit::Exit;
use crate::judge::Case;
use crate::nodes::Node;
use crate::packet::{Request, opcode, status};
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

/// Takes the deadlines of the nodes that are to complete away. The parts of all nodes, if one of
/// them refuses.
pub(crate) fn hold(
    client: &Client,
    nodes: &[Node],
    cases: &[Case],
    lefts: &[Left],
) -> Option<Vec<Part>> {
    let parts = each(nodes, |index, node| {
        let ready = matches!(cases.get(index), Some(Case::Ready(_)));
        if !ready || !matches!(lefts.get(index), Some(Left::Seconds(_))) {
            return Part::new(Mark::Good, "nothing was sent");
        }
        match set(client, node, 0) {
            Ok(Ok(())) => Part::new(Mark::Good, "it can complete"),
            Ok(Err(words)) => Part::new(Mark::Bad, format!("its deadline: {words}")),
            Err(text) => Part::new(Mark::Unknown, text),
        }
    });
    let refused = parts.iter().any(|part| part.mark != Mark::Good);
    refused.then_some(parts)
}

/// Gives the nodes back what was left of their deadlines.
pub(crate) fn restore(client: &Client, nodes: &[Node], lefts: &[Left], elapsed: Duration) {
    each(nodes, |index, node| {
        if let Some(Left::Seconds(left)) = lefts.get(index) {
            let left = left.saturating_sub(elapsed.as_secs()).max(1);
            // A node that refuses has no window any more; the report says so.
            let _ = set(client, node, u32::try_from(left).unwrap_or(u32::MAX));
        }
    });
}

/// Sets one. The inner error is the node's refusal, the outer one a node that does not answer.
fn set(client: &Client, node: &Node, seconds: u32) -> Result<Result<(), String>, String> {
    let mut link = client.open(node)?;
    let answer = link.call(&Request {
        opcode: opcode::DEADLINE,
        extras: &seconds.to_be_bytes(),
        ..Request::default()
    })?;
    Ok(match answer.status() {
        status::SUCCESS => Ok(()),
        status::UNKNOWN_COMMAND => Err("its engine knows no deadlines".to_owned()),
        _ => Err(answer.words()),
    })
}
