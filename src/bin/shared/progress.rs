//! What is shown while something runs: bars on a terminal, plain lines elsewhere, nothing beside
//! JSON. All of it goes to standard error; reports go to standard output.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::nodes::Node;

/// Percent between two plain lines of one node.
const STRIDE: u64 = 25;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    Bars,
    Lines,
    Nothing,
}

impl Show {
    /// What fits the place that this runs in.
    pub(crate) fn fitting(json: bool) -> Self {
        match (json, io::stderr().is_terminal()) {
            (true, _) => Self::Nothing,
            (false, true) => Self::Bars,
            (false, false) => Self::Lines,
        }
    }

    /// Says something.
    pub(crate) fn say(self, text: &str) {
        if self != Self::Nothing {
            warn(text);
        }
    }

    /// Begins to show the progress of nodes.
    pub(crate) fn nodes(self, nodes: &[Node]) -> Steps {
        let bars = (self == Self::Bars).then(|| {
            let all = MultiProgress::new();
            let style = ProgressStyle::with_template("{prefix:24} {wide_bar} {percent:>3}% {msg}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            let bars = nodes.iter().map(|node| {
                let bar = ProgressBar::new(1).with_style(style.clone());
                all.add(bar.with_prefix(node.name.clone()))
            });
            bars.collect::<Vec<_>>()
        });
        Steps {
            names: nodes.iter().map(|node| node.name.clone()).collect(),
            told: nodes.iter().map(|_| AtomicU64::new(0)).collect(),
            bars: bars.unwrap_or_default(),
            lines: self == Self::Lines,
        }
    }
}

/// Says something on standard error, whatever else is shown. That it cannot be said changes no
/// decision.
pub(crate) fn warn(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// The progress of nodes; forgotten when it is dropped.
#[derive(Debug)]
pub(crate) struct Steps {
    names: Vec<String>,
    /// The last multiple of the stride that was printed.
    told: Vec<AtomicU64>,
    bars: Vec<ProgressBar>,
    lines: bool,
}

impl Steps {
    /// Shows how much of a work a node has done.
    pub(crate) fn step(&self, index: usize, work: &'static str, (done, total): (u64, u64)) {
        if total == 0 {
            return;
        }
        let done = done.min(total);
        if let Some(bar) = self.bars.get(index) {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(work);
        }
        let (Some(name), Some(told)) = (self.names.get(index), self.told.get(index)) else {
            return;
        };
        let percent = done.saturating_mul(100) / total;
        let stride = percent - percent % STRIDE;
        if self.lines && told.fetch_max(stride, Ordering::Relaxed) < stride {
            warn(&format!("{name}: {work}, {percent}%"));
        }
    }

    /// A node is done.
    pub(crate) fn end(&self, index: usize) {
        if let Some(bar) = self.bars.get(index) {
            bar.finish();
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        for bar in &self.bars {
            bar.finish_and_clear();
        }
    }
}
