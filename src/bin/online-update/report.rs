//! The report of a decision.

use serde_json::{Value, json};

use crate::decision::{Decision, Mark};
use crate::nodes::Node;
use crate::output::{Style, json_line, line};

impl Style {
    /// Reports a decision.
    pub(crate) fn decision(self, command: &str, nodes: &[Node], decision: &Decision) {
        if self == Self::Json {
            json_line(&decision_json(command, nodes, decision));
            return;
        }
        let width = width(nodes);
        for (node, part) in nodes.iter().zip(&decision.parts) {
            let word = match part.mark {
                Mark::Good => "ok",
                Mark::Open => "OPEN",
                Mark::Bad | Mark::Foreign | Mark::Against => "FAILED",
                Mark::Silent | Mark::Unknown => "UNKNOWN",
            };
            line(&format!("{:width$}  {word:7}  {}", node.name, part.text));
        }
        line(&format!("{command}: {}", decision.text));
    }
}

/// Columns that the longest name takes.
fn width(nodes: &[Node]) -> usize {
    nodes.iter().map(|node| node.name.len()).max().unwrap_or(0)
}

fn decision_json(command: &str, nodes: &[Node], decision: &Decision) -> Value {
    let parts = nodes.iter().zip(&decision.parts);
    let parts: Vec<Value> = parts
        .map(|(node, part)| json!({"node": node.name, "mark": part.mark.name(), "text": part.text}))
        .collect();
    json!({
        "command": command,
        "result": decision.exit.name(),
        "exit": decision.exit as u8,
        "text": decision.text,
        "nodes": parts,
    })
}
