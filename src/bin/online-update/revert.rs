//! REVERT on every node. One node is asked alone first: if it has completed, COMPLETE is the
//! decision, and nothing else is sent. Behind that all are reverted, whatever one of them says.

use crate::client::Client;
use crate::command;
use crate::decision::{Decision, Mark, Part};
use crate::each::each;
use crate::exit::Exit;
use crate::judge::{self, Look};
use crate::moved;
use crate::nodes::Node;
use crate::progress::Show;
use crate::start::Started;
use crate::text;
use crate::window::{Left, State, Window};

/// What a node says, or why it says nothing.
type Found = Result<Look, String>;

/// REVERT on every node.
pub(crate) fn revert(
    client: &Client,
    nodes: &[Node],
    started: Option<&Started>,
    show: Show,
) -> Decision {
    show.say(&format!(
        "REVERT on {}",
        text::count(nodes.len() as u64, "node")
    ));
    let looks = judge::look(client, nodes);
    let steps = show.nodes(nodes);
    let send = |index: usize, node: &Node| {
        let part = command::revert(client, node, &|window| steps.at(index, window));
        steps.end(index);
        part
    };
    let mut asked: Vec<Option<Part>> = vec![None; nodes.len()];
    while let Some((index, node)) = decider(nodes, &looks, &asked) {
        let part = send(index, node);
        let mark = part.mark;
        if let Some(place) = asked.get_mut(index) {
            *place = Some(part);
        }
        match mark {
            Mark::Against => return outdone(client, nodes, &looks, asked, node),
            // Who does not answer decides nothing: the next one does.
            Mark::Silent | Mark::Unknown => {}
            Mark::Good | Mark::Open | Mark::Bad | Mark::Foreign => break,
        }
    }
    let parts = each(nodes, |index, node| {
        let part = asked.get(index).cloned().flatten();
        part.unwrap_or_else(|| send(index, node))
    });
    let any = looks
        .iter()
        .any(|look| !matches!(look, Ok(it) if it.window.state == State::None));
    let (text, exit) = sum(&parts, any);
    let mut decision = Decision { parts, text, exit };
    moved::tell(&mut decision, (client, nodes), (&looks, started), |_| true);
    decision
}

/// The node that decides, of those that were not asked: the first that has a window, or had one
/// together with the others and has completed it.
fn decider<'a>(
    nodes: &'a [Node],
    looks: &[Found],
    asked: &[Option<Part>],
) -> Option<(usize, &'a Node)> {
    let windows = looks.iter().flatten().map(|look| &look.window);
    let open = windows.filter(|it| it.state != State::None);
    let longest = open.map(|it| it.seconds_open).max()?;
    let decides = |window: &Window| {
        let completed = window.last_outcome == "completed" && !window.ended_before(longest);
        window.state != State::None || completed
    };
    let index = command::first(nodes, |index| {
        let new = asked.get(index).is_some_and(Option::is_none);
        new && matches!(looks.get(index), Some(Ok(look)) if decides(&look.window))
    })?;
    nodes.get(index).map(|node| (index, node))
}

/// The node that decides has completed: the others are left as they are.
fn outdone(
    client: &Client,
    nodes: &[Node],
    looks: &[Found],
    asked: Vec<Option<Part>>,
    decider: &Node,
) -> Decision {
    let parts = asked.into_iter().zip(nodes).zip(looks);
    let parts: Vec<Part> = parts
        .map(|((part, node), look)| match (part, look) {
            (Some(part), _) => part,
            (None, Ok(Look { window, .. })) if window.state == State::None => {
                command::ended(client, node, window)
            }
            (None, Ok(look)) => Part::new(Mark::Open, spared(&look.window)),
            (None, Err(text)) => Part::new(Mark::Silent, format!("{text}; REVERT was not sent")),
        })
        .collect();
    let ends = |look: &Found| matches!(look, Ok(it) if matches!(it.window.left, Left::Seconds(_)));
    let in_time = if looks.iter().any(ends) {
        " before windows revert by themselves"
    } else {
        ""
    };
    let text = format!(
        "not reverted: {name} is asked first and has completed, so that COMPLETE is the decision, \
         and REVERT was sent to no other node; complete again{in_time}, or revert without naming \
         {name}",
        name = decider.name
    );
    let unknown = parts.iter().any(|part| part.mark == Mark::Unknown);
    let exit = if unknown { Exit::Partly } else { Exit::Refused };
    Decision { parts, text, exit }
}

/// What is said of a window that is left as it is, with its deadline: who completes is to know it.
fn spared(window: &Window) -> String {
    let what = "REVERT was not sent: its window was open";
    match window.left {
        Left::Seconds(left) => format!("{what}, and reverts by itself in {}", text::seconds(left)),
        Left::Forever => what.to_owned(),
    }
}

/// What came of all of it; `any` window may have been open.
fn sum(parts: &[Part], any: bool) -> (String, Exit) {
    let count = |wanted: &[Mark]| parts.iter().filter(|it| wanted.contains(&it.mark)).count();
    let all = text::count(parts.len() as u64, "node");
    let again = count(&[Mark::Open, Mark::Silent, Mark::Unknown]);
    let late = count(&[Mark::Bad, Mark::Against]);
    match (any, again, late) {
        (false, ..) => ("no node has a window open".to_owned(), Exit::NoWindow),
        (true, 0, 0) => (format!("reverted on {all}"), Exit::Done),
        (true, 0, late) => (
            format!("not reverted on {late} of {all}, which have no window open: named above"),
            Exit::Partly,
        ),
        (true, again, late) => (
            format!(
                "not reverted on {} of {all}: they are named above; revert again",
                again + late
            ),
            Exit::Partly,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_repeated_is_not_advised() {
        let parts = |mark| vec![Part::new(Mark::Good, ""), Part::new(mark, "")];
        for mark in [Mark::Open, Mark::Silent, Mark::Unknown] {
            let (text, exit) = sum(&parts(mark), true);
            assert!(
                text.ends_with("revert again") && exit == Exit::Partly,
                "{text}"
            );
        }
        for mark in [Mark::Bad, Mark::Against] {
            let (text, exit) = sum(&parts(mark), true);
            assert!(!text.contains("again") && exit == Exit::Partly, "{text}");
        }
        assert_eq!(sum(&parts(Mark::Good), true).1, Exit::Done);
        assert_eq!(sum(&parts(Mark::Good), false).1, Exit::NoWindow);
    }
}
