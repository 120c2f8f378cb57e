//! `watch`: what each node is at, until no window is open. A terminal shows it in place; elsewhere
//! a line says what is new. A node that does not answer is at what it said last, for a while.

use std::io::{self, IsTerminal as _};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::clock;
use crate::exit::Exit;
use crate::nodes::Node;
use crate::output::{self, Style};
use crate::status::{self, Found};
use crate::text;
use crate::window::State;

/// Clears the terminal and begins at its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// How long none may answer of the nodes that may have a window.
const SILENCE: Duration = Duration::from_mins(1);

/// Since when none of them has answered.
#[derive(Debug, Default)]
struct Silence(Option<Instant>);

impl Silence {
    /// Whether it has lasted too long, at a moment when one was `heard` or none.
    fn lasts(&mut self, heard: bool, now: Instant) -> bool {
        if heard {
            self.0 = None;
            return false;
        }
        let since = *self.0.get_or_insert(now);
        now.duration_since(since) >= SILENCE
    }
}

/// Watches the nodes.
pub(crate) fn watch(client: &Client, nodes: &[Node], every: Duration, style: Style) -> Exit {
    let in_place = style == Style::Text && io::stdout().is_terminal();
    let mut told: Vec<String> = vec![String::new(); nodes.len()];
    let mut open = vec![false; nodes.len()];
    let mut silence = Silence::default();
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
        let heard = open.iter().zip(&found).any(|it| *it.0 && it.1.is_ok());
        if silence.lasts(heard, clock::now()) {
            let text = format!(
                "no node that may have a window open has answered for {}: whether windows are \
                 open is not known",
                text::seconds(SILENCE.as_secs())
            );
            style.failure(&text, Exit::Partly);
            return Exit::Partly;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_borne_for_a_while() {
        let begun = clock::now();
        let mut silence = Silence::default();
        let mut lasts = |heard, seconds| silence.lasts(heard, begun + Duration::from_secs(seconds));
        assert!(!lasts(true, 0));
        assert!(!lasts(false, 100) && !lasts(false, 159));
        // An answer begins it anew.
        assert!(!lasts(true, 160));
        assert!(!lasts(false, 161) && !lasts(false, 220) && lasts(false, 221));
    }
}
