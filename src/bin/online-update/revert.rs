//! REVERT on every node, to the end, whatever one of them says.

use crate::client::Client;
use crate::command;
use crate::decision::{Decision, Mark};
use crate::each::each;
use crate::exit::Exit;
use crate::nodes::Node;
use crate::progress::Show;
use crate::text;
use crate::window::{State, Window};

/// REVERT on every node.
pub(crate) fn revert(client: &Client, nodes: &[Node], show: Show) -> Decision {
    show.say(&format!(
        "REVERT on {}",
        text::count(nodes.len() as u64, "node")
    ));
    let steps = show.nodes(nodes);
    let results = each(nodes, |index, node| {
        let watch = |window: &Window| steps.at(index, window);
        let before = client
            .open(node)
            .and_then(|mut link| Window::read(&mut link));
        let open = before.map_or(true, |window| window.state != State::None);
        let part = command::revert(client, node, &watch);
        steps.end(index);
        (open, part)
    });
    let any = results.iter().any(|(open, _)| *open);
    let parts: Vec<_> = results.into_iter().map(|(_, part)| part).collect();
    let bad = parts.iter().filter(|part| part.mark != Mark::Good).count();
    let all = text::count(parts.len() as u64, "node");
    let (text, exit) = match (any, bad) {
        (false, _) => ("no node has a window open".to_owned(), Exit::NoWindow),
        (true, 0) => (format!("reverted on {all}"), Exit::Done),
        (true, bad) => (
            format!("not reverted on {bad} of {all}: they are named above; revert again"),
            Exit::Partly,
        ),
    };
    Decision { parts, text, exit }
}
