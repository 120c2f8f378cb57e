//! What a stream knows of its parts without looking at them: most have nothing to send at any time.

use std::time::Duration;

/// Of one part.
#[derive(Debug, Default)]
struct Watch {
    /// The vbucket's version as the part last had nothing to send.
    seen: u64,
    /// There may be something to send whatever that says.
    due: bool,
    /// The client has put off what the part has to say first.
    rests: Option<Duration>,
}

/// Of all parts, by their index.
#[derive(Debug, Default)]
pub(super) struct Watches {
    list: Vec<Watch>,
    /// When the first rest ends, if there is one.
    first_rest: Option<Duration>,
}

impl Watches {
    /// Adds a part, which is to be looked at.
    pub(super) fn add(&mut self) {
        self.list.push(Watch {
            due: true,
            ..Watch::default()
        });
    }

    /// Has a part looked at.
    pub(super) fn stir(&mut self, index: usize) {
        if let Some(watch) = self.list.get_mut(index) {
            watch.due = true;
        }
    }

    /// Whether a part is to be looked at, with its vbucket in that version.
    pub(super) fn is_due(&self, index: usize, version: u64, now: Duration) -> bool {
        let is_due = |watch: &Watch| {
            let rests = watch.rests.is_some_and(|until| now < until);
            !rests && (watch.due || watch.seen != version)
        };
        self.list.get(index).is_some_and(is_due)
    }

    /// A part was looked at, with its vbucket in that version or a later one, and had nothing.
    pub(super) fn has_nothing(&mut self, index: usize, version: u64) {
        if let Some(watch) = self.list.get_mut(index) {
            watch.seen = version;
            watch.due = false;
        }
    }

    /// Leaves a part alone until then.
    pub(super) fn rest(&mut self, index: usize, until: Duration) {
        if let Some(watch) = self.list.get_mut(index) {
            watch.rests = Some(until);
            self.first_rest = Some(self.first_rest.map_or(until, |first| first.min(until)));
        }
    }

    /// When the first rest ends, if there is one.
    pub(super) fn first_rest(&self) -> Option<Duration> {
        self.first_rest
    }

    /// Lets the parts go on whose rest has ended.
    pub(super) fn end_rests(&mut self, now: Duration) {
        if self.first_rest.is_none_or(|until| now < until) {
            return;
        }
        for watch in &mut self.list {
            if watch.rests.take_if(|until| now >= *until).is_some() {
                watch.due = true;
            }
        }
        self.first_rest = self.list.iter().filter_map(|watch| watch.rests).min();
    }
}
