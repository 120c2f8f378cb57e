//! Vbuckets that a node had in its window and does not serve any more: their windows went along
//! with them, and what is sent to the node does not reach them.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::Client;
use crate::decision::{Decision, Mark};
use crate::each::each;
use crate::exit::Exit;
use crate::judge::{self, Look};
use crate::nodes::Node;
use crate::start::Started;
use crate::text;
use crate::window::{Identity, State, Vbuckets};

/// Adds to a decision which vbuckets were not in it, of the nodes where it was `carried_out`.
/// `looks` are of before.
pub(crate) fn tell(
    decision: &mut Decision,
    (client, nodes): (&Client, &[Node]),
    (looks, started): (&[Result<Look, String>], Option<&Started>),
    carried_out: impl Fn(usize) -> bool,
) {
    // Without a record a window elsewhere that has the number need not be the same.
    let places = started.map(|_| judge::places(nodes, looks, started));
    let places = places.unwrap_or_default();
    let now = each(nodes, |_, node| {
        client
            .open(node)
            .and_then(|mut link| Vbuckets::read(&mut link))
    });
    let found = nodes.iter().zip(looks).zip(&now).enumerate();
    for (index, ((node, look), now)) in found.filter(|(index, _)| carried_out(*index)) {
        let (Ok(now), Some(part)) = (now, decision.parts.get_mut(index)) else {
            continue;
        };
        if part.mark != Mark::Good {
            continue;
        }
        let recorded = started.and_then(|started| started.windows.get(index));
        let seen = look.as_ref().map(|look| &look.identity).ok();
        let had = recorded.map(|(identity, _)| identity).or(seen);
        let gone = had.map(|had| gone(had, now, &places)).unwrap_or_default();
        let in_window = matches!(look, Ok(look) if look.window.state != State::None);
        if !gone.is_empty() {
            let gone = text::vbuckets(&gone);
            part.mark = Mark::Bad;
            part.text.push_str("; not in it: ");
            part.text.push_str(&gone);
            let more = format!(
                "; {gone} of {} not in it: the node that took over may have the window open",
                node.name
            );
            decision.text.push_str(&more);
            decision.exit = Exit::Partly;
        } else if recorded.is_none() && in_window && !now.dead.is_empty() {
            // Since when, nobody says.
            part.text.push_str("; dead there and not in it: ");
            part.text.push_str(&text::vbuckets(&now.dead));
        }
    }
}

/// Which vbuckets of a window are not served there any more, nor have it on a node of `places`.
fn gone(had: &Identity, now: &Vbuckets, places: &BTreeMap<(u16, u64), String>) -> BTreeSet<u16> {
    let gone = had.iter().filter(|&(vbucket, id)| {
        !now.served.contains(vbucket) && !places.contains_key(&(*vbucket, *id))
    });
    gone.map(|(vbucket, _)| *vbucket).collect()
}
