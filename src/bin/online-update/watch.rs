//! `watch`: what each node is at, until no window is open. A terminal shows it in place; elsewhere
//! a line says what is new. A node that does not answer is at what it said last.

use std::io::{self, IsTerminal as _};
use std::thread;
use std::time::Duration;

use crate::client::Client;
use crate::exit::Exit;
use crate::nodes::Node;
use crate::output::{self, Style};
use crate::status::{self, Found};
use crate::window::State;

/// Clears the terminal and begins at its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Watches the nodes.
pub(crate) fn watch(client: &Client, nodes: &[Node], every: Duration, style: Style) -> Exit {
    let in_place = style == Style::Text && io::stdout().is_terminal();
    let mut told: Vec<String> = vec![String::new(); nodes.len()];
    let mut open = vec![false; nodes.len()];
    loop {
        let found = status::ask(client, nodes);
        if in_place {
            output::listed(&format!("{CLEAR}{}", status::in_words(nodes, &found)));
        } else {
            for ((node, found), told) in nodes.iter().zip(&found).zip(&mut told) {
                tell(node, found, told, style);
            }
        }
        for (open, found) in open.iter_mut().zip(&found) {
            if let Ok(window) = found {
                *open = window.state != State::None;
            }
        }
        if !open.contains(&true) {
            return status::exit(&found);
        }
        thread::sleep(every);
    }
}

/// Prints what a node says, in words only if it says something new.
fn tell(node: &Node, found: &Found, told: &mut String, style: Style) {
    if style == Style::Json {
        output::listed(&status::as_json(node, found).to_string());
        return;
    }
    let words = status::in_a_line(node, found);
    if *told != words {
        output::listed(&words);
        *told = words;
    }
}
