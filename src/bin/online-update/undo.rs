//! `undo`: single keys go back to what they were before the window, inside it.

use std::collections::BTreeSet;

use crate::client::Client;
use crate::decision::{Decision, Mark, Part};
use crate::each::each;
use crate::exit::Exit;
use crate::link::Link;
use crate::nodes::Node;
use crate::packet::{Request, opcode, status};
use crate::text;
use crate::touched::{self, Stop, Touched};

/// Failures that are named.
const NAMED: usize = 10;

/// Which keys are meant.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    Keys(Vec<Vec<u8>>),
    Prefix(Vec<u8>),
}

/// What was done on one node.
#[derive(Debug, Default)]
struct Undone {
    keys: BTreeSet<Vec<u8>>,
    failed: Vec<String>,
    failures: u64,
    count: u64,
    /// UNDO was sent, and nobody knows what came of it.
    unknown: bool,
}

/// Takes keys back.
pub(crate) fn undo(client: &Client, nodes: &[Node], which: &Which) -> Decision {
    let results = each(nodes, |_, node| {
        let mut undone = Undone::default();
        let end = on_node(client, node, which, &mut undone);
        (undone, end)
    });
    let none = results
        .iter()
        .all(|(_, end)| matches!(end, Err(Stop::NoWindow(_))));
    let mut found = BTreeSet::new();
    let mut count = 0;
    let parts: Vec<Part> = results
        .into_iter()
        .map(|(undone, end)| {
            count += undone.count;
            let part = part_of(&undone, end);
            found.extend(undone.keys);
            part
        })
        .collect();
    let mut text = format!("undid {}", text::count(count, "key"));
    let mut whole = parts.iter().all(|part| part.mark == Mark::Good);
    if none && count == 0 {
        let text = "no node has a window open".to_owned();
        let exit = Exit::NoWindow;
        return Decision { parts, text, exit };
    }
    // What a node did not say nobody knows.
    let silent = |part: &Part| matches!(part.mark, Mark::Silent | Mark::Unknown);
    if parts.iter().any(silent) {
        text.push_str("; not known on the nodes that do not tell");
    } else if let Which::Keys(keys) = which {
        let missing = keys.iter().filter(|key| !found.contains(*key));
        let missing: Vec<String> = missing.map(|key| text::escape(key)).collect();
        if !missing.is_empty() {
            whole = false;
            text.push_str("; not touched in any of these windows: ");
            text.push_str(&missing.join(" "));
        }
    }
    let unknown = parts.iter().any(|part| part.mark == Mark::Unknown);
    let exit = match (whole, count) {
        (true, _) => Exit::Done,
        (false, 0) if !unknown => Exit::Refused,
        (false, _) => Exit::Partly,
    };
    Decision { parts, text, exit }
}

fn part_of(undone: &Undone, end: Result<(), Stop>) -> Part {
    let mut text = format!("undid {}", text::count(undone.count, "key"));
    if undone.failures > 0 {
        text.push_str(&format_failures(undone));
    }
    match end {
        Ok(()) if undone.failures == 0 => Part::new(Mark::Good, text),
        Ok(()) => Part::new(Mark::Open, text),
        Err(Stop::NoWindow(why)) => Part::new(Mark::Bad, why),
        Err(Stop::Failed(why)) if undone.unknown => {
            Part::new(Mark::Unknown, format!("{text}, one more or not: {why}"))
        }
        Err(Stop::Failed(why)) => Part::new(Mark::Silent, format!("{text}, then {why}")),
    }
}

fn format_failures(undone: &Undone) -> String {
    let more = undone.failures.saturating_sub(undone.failed.len() as u64);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!(", not {}{more}", undone.failed.join(", "))
}

fn on_node(client: &Client, node: &Node, which: &Which, undone: &mut Undone) -> Result<(), Stop> {
    let mut link = client.open(node)?;
    let mut beside = client.open(node)?;
    match which {
        Which::Prefix(prefix) => touched::list(&mut link, prefix, &mut |touched| {
            take_back(&mut beside, &touched, undone)
        }),
        Which::Keys(keys) => {
            for key in keys {
                // To the end: each vbucket of the node may have the key.
                touched::list(&mut link, key, &mut |touched| {
                    if touched.key != *key {
                        return Ok(());
                    }
                    take_back(&mut beside, &touched, undone)?;
                    undone.keys.insert(touched.key);
                    Ok(())
                })?;
            }
            Ok(())
        }
    }
}

fn take_back(link: &mut Link, touched: &Touched, undone: &mut Undone) -> Result<(), Stop> {
    let answer = link.call(&Request {
        opcode: opcode::UNDO,
        vbucket: touched.vbucket,
        key: &touched.key,
        ..Request::default()
    });
    undone.unknown = answer.is_err();
    let answer = answer?;
    match answer.status() {
        status::SUCCESS => undone.count += 1,
        status::NOT_SUPPORTED => return Err(touched::not_open(link, &answer)),
        _ => {
            undone.failures += 1;
            if undone.failed.len() < NAMED {
                let key = text::escape(&touched.key);
                undone.failed.push(format!("{key} ({})", answer.words()));
            }
        }
    }
    Ok(())
}
