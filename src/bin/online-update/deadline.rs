//! The moment at which a window reverts by itself: moved by hand, and held while nodes complete.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::client::Client;
use crate::clock::{self, Until};
use crate::decision::{Decision, Mark, Part};
use crate::each::each;
use crate::exit::Exit;
use crate::judge::Case;
use crate::link::Link;
use crate::nodes::Node;
use crate::packet::{Answer, Request, opcode, status};
use crate::text;
use crate::window::{self, Left};

/// Moves the deadline of every node's window to `time` from now; `None` takes it away.
pub(crate) fn extend(client: &Client, nodes: &[Node], time: Option<Duration>) -> Decision {
    let done = time.map_or("it has no deadline any more".to_owned(), |time| {
        format!("it reverts by itself in {}", text::seconds(time.as_secs()))
    });
    let seconds = time.map_or(0, |time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
    let results = each(nodes, |_, node| {
        let answer = ask(client, node, seconds).map(|(answer, mut link)| {
            let refused = answer.status() == status::NOT_SUPPORTED;
            (answer, refused && !window::is_being_ended(&mut link))
        });
        let none = matches!(answer, Ok((_, true)));
        (part(answer.map(|(answer, _)| answer), &done), none)
    });
    let none = results.iter().all(|(_, none)| *none);
    let parts: Vec<Part> = results.into_iter().map(|(part, _)| part).collect();
    let good = parts.iter().filter(|part| part.mark == Mark::Good).count();
    let unknown = parts.iter().any(|part| part.mark == Mark::Unknown);
    let all = text::count(parts.len() as u64, "node");
    let (exit, text) = match good {
        _ if none => (Exit::NoWindow, "no node has a window open".to_owned()),
        0 if unknown => (
            Exit::Partly,
            "whether a deadline was set is not known".to_owned(),
        ),
        good if good == parts.len() => (Exit::Done, format!("deadline set on {all}")),
        0 => (Exit::Refused, format!("deadline set on 0 of {all}")),
        good => (Exit::Partly, format!("deadline set on {good} of {all}")),
    };
    Decision { parts, text, exit }
}

/// For how long no deadline passes while nodes complete. Not for ever: if this program is killed in
/// between, nothing else ends windows that nobody decides.
const HOLD_SECONDS: u64 = 3_600;
/// Between two times that deadlines are put off: while nodes complete they never pass.
const RENEW_SECONDS: u64 = 300;

/// The nodes that are still to complete, and when their windows revert by themselves: for whoever
/// ends this program meanwhile. Guards nothing but these words, and nobody waits while he has it.
static PENDING: Mutex<Vec<(String, Option<Until>)>> = Mutex::new(Vec::new());

fn pending<T>(work: impl FnOnce(&mut Vec<(String, Option<Until>)>) -> T) -> T {
    work(&mut PENDING.lock())
}

/// What is left to do if this program ends now.
pub(crate) fn left_undone() -> Option<String> {
    pending(|nodes| {
        let nodes = nodes.iter().map(|(name, until)| {
            let left = until.map(|until| until.left().unwrap_or_default().as_secs());
            (name.as_str(), left)
        });
        undone(&nodes.collect::<Vec<_>>())
    })
}

fn undone(nodes: &[(&str, Option<u64>)]) -> Option<String> {
    if nodes.is_empty() {
        return None;
    }
    let nodes = nodes.iter().map(|(name, left)| match left {
        Some(left) => format!(
            "{name} (its window reverts by itself in {})",
            text::seconds(*left)
        ),
        None => format!("{name} (its window stays open)"),
    });
    Some(format!(
        "ended by a second signal; not known to be completed: {}; complete again before windows \
         revert",
        nodes.collect::<Vec<_>>().join(", ")
    ))
}

/// Seconds that a node has from now, of which `left` were left.
fn held_for(left: u64) -> u64 {
    HOLD_SECONDS.max(left)
}

/// Deadlines that do not pass while nodes complete.
#[derive(Debug)]
pub(crate) struct Hold<'a> {
    client: &'a Client,
    nodes: &'a [Node],
    /// What a node is given each time; `None`: it has no deadline, or is not to complete.
    seconds: Vec<Option<u32>>,
    begun: Instant,
    turns: Turns,
}

impl<'a> Hold<'a> {
    /// Of the nodes that are to complete; where the decision `stands` already, of those too that
    /// cannot now.
    pub(crate) fn new(
        (client, nodes): (&'a Client, &'a [Node]),
        cases: &[Case],
        lefts: &[Option<Left>],
        stands: bool,
    ) -> Self {
        let to_complete = |case: &Case| match case {
            Case::Ready(_) => true,
            Case::Hindered(_) => stands,
            _ => false,
        };
        let seconds = cases.iter().zip(lefts).map(|(case, left)| match left {
            Some(Left::Seconds(left)) if to_complete(case) => {
                Some(u32::try_from(held_for(*left)).unwrap_or(u32::MAX))
            }
            _ => None,
        });
        let seconds: Vec<_> = seconds.collect();
        let until = |seconds: &u32| Until::after(Duration::from_secs(u64::from(*seconds)));
        let held = nodes.iter().zip(cases).zip(&seconds);
        let held = held.filter(|((_, case), _)| to_complete(case) || matches!(case, Case::Busy));
        let held =
            held.map(|((node, _), seconds)| (node.name.clone(), seconds.as_ref().map(until)));
        pending(|nodes| *nodes = held.collect());
        Self {
            client,
            nodes,
            seconds,
            begun: clock::now(),
            turns: Turns::default(),
        }
    }

    /// Puts them off for the first time. The parts of all nodes, if one of them refuses.
    pub(crate) fn begin(&self) -> Option<Vec<Part>> {
        let parts = each(self.nodes, |index, node| {
            match self.seconds.get(index).copied().flatten() {
                Some(seconds) => part(send(self.client, node, seconds), "it can complete"),
                None => Part::new(Mark::Good, "nothing was sent"),
            }
        });
        let refused = parts.iter().any(|part| part.mark != Mark::Good);
        refused.then_some(parts)
    }

    /// What is to be said of each node when nobody puts its deadline back.
    pub(crate) fn left_as_they_are(&self) -> Vec<Option<String>> {
        let said = |seconds: u32| {
            let held = text::seconds(u64::from(seconds));
            format!(
                "it may revert by itself only in {held}: somebody else's COMPLETE was under way"
            )
        };
        self.seconds
            .iter()
            .map(|seconds| seconds.map(said))
            .collect()
    }

    /// Puts them off again, if it is time. One that does not answer is asked the next time.
    pub(crate) fn renew(&self) {
        let elapsed = clock::now().duration_since(self.begun).as_secs();
        if !self.turns.is_due(elapsed) {
            return;
        }
        each(self.nodes, |index, node| {
            let open = pending(|nodes| nodes.iter().any(|(name, _)| *name == node.name));
            let Some(seconds) = self.seconds.get(index).copied().flatten().filter(|_| open) else {
                return;
            };
            let until = Until::after(Duration::from_secs(u64::from(seconds)));
            let answer = send(self.client, node, seconds);
            if matches!(answer, Ok(answer) if answer.status() == status::SUCCESS) {
                pending(|nodes| {
                    let of_node = nodes.iter_mut().filter(|(name, _)| *name == node.name);
                    of_node.for_each(|entry| entry.1 = Some(until));
                });
            }
        });
    }
}

/// A node has completed.
pub(crate) fn completed(node: &Node) {
    pending(|nodes| nodes.retain(|(name, _)| *name != node.name));
}

/// When deadlines were put off last, in seconds since they first were.
#[derive(Debug, Default)]
struct Turns(AtomicU64);

impl Turns {
    /// Whether it is time again: for one of those who ask.
    fn is_due(&self, elapsed: u64) -> bool {
        let last = self.0.load(Ordering::Relaxed);
        let due = elapsed >= last.saturating_add(RENEW_SECONDS);
        let (good, bad) = (Ordering::Relaxed, Ordering::Relaxed);
        due && self.0.compare_exchange(last, elapsed, good, bad).is_ok()
    }
}

/// Takes the deadlines away where COMPLETE was not `done`, although it was elsewhere; why not, for
/// each that still has one, or may have one for all that is known.
pub(crate) fn take_away(
    client: &Client,
    nodes: &[Node],
    done: &[Part],
    lefts: &[Option<Left>],
) -> Vec<Option<String>> {
    each(nodes, |index, node| {
        let mark = done.get(index).map(|part| part.mark);
        let ended = matches!(
            mark,
            Some(Mark::Good | Mark::Bad | Mark::Foreign | Mark::Against)
        );
        if ended || matches!(lefts.get(index), Some(Some(Left::Forever))) {
            return None;
        }
        failure(send(client, node, 0))
    })
}

/// Gives the nodes back what was left of their deadlines; why not, for each that does not have it,
/// and by when it reverts then.
pub(crate) fn restore(
    client: &Client,
    nodes: &[Node],
    lefts: &[Option<Left>],
    elapsed: Duration,
) -> Vec<Option<String>> {
    each(nodes, |index, node| {
        let Some(Some(Left::Seconds(left))) = lefts.get(index) else {
            return None;
        };
        let rest = left.saturating_sub(elapsed.as_secs()).max(1);
        let why = failure(send(client, node, u32::try_from(rest).unwrap_or(u32::MAX)))?;
        let held = text::seconds(held_for(*left));
        Some(format!("it may revert by itself only in {held}: {why}"))
    })
}

/// Why a deadline is not as it should be. Without a window nothing is to end, and an engine that
/// knows no deadlines has none.
fn failure(answer: Result<Answer, Trouble>) -> Option<String> {
    match answer {
        Ok(answer) => match answer.status() {
            status::SUCCESS | status::NOT_SUPPORTED | status::UNKNOWN_COMMAND => None,
            _ => Some(answer.words()),
        },
        Err(trouble) => Some(trouble.text),
    }
}

/// What came of setting one, with `done` for what is so then.
fn part(answer: Result<Answer, Trouble>, done: &str) -> Part {
    match answer {
        Ok(answer) => match answer.status() {
            status::SUCCESS => Part::new(Mark::Good, done),
            status::UNKNOWN_COMMAND => Part::new(Mark::Bad, "its engine knows no deadlines"),
            _ => Part::new(Mark::Bad, format!("its deadline: {}", answer.words())),
        },
        Err(Trouble { sent: false, text }) => Part::new(Mark::Silent, text),
        Err(Trouble { sent: true, text }) => {
            Part::new(Mark::Unknown, format!("its deadline was sent, but {text}"))
        }
    }
}

/// Why there is no answer.
struct Trouble {
    /// It may have been carried out.
    sent: bool,
    text: String,
}

fn send(client: &Client, node: &Node, seconds: u32) -> Result<Answer, Trouble> {
    ask(client, node, seconds).map(|(answer, _)| answer)
}

fn ask(client: &Client, node: &Node, seconds: u32) -> Result<(Answer, Link), Trouble> {
    let trouble = |sent| move |text| Trouble { sent, text };
    let mut link = client.open(node).map_err(trouble(false))?;
    let answer = link.call(&Request {
        opcode: opcode::DEADLINE,
        extras: &seconds.to_be_bytes(),
        ..Request::default()
    });
    Ok((answer.map_err(trouble(true))?, link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_put_off_every_few_minutes_and_by_one() {
        let turns = Turns::default();
        let due = |elapsed| turns.is_due(elapsed);
        assert!(!due(0) && !due(RENEW_SECONDS - 1));
        assert!(due(RENEW_SECONDS) && !due(RENEW_SECONDS));
        assert!(!due(2 * RENEW_SECONDS - 1) && due(HOLD_SECONDS) && !due(HOLD_SECONDS + 1));
    }

    #[test]
    fn a_deadline_that_was_put_off_and_stays_so_is_told() {
        let node = Node {
            name: "a".to_owned(),
            address: "127.0.0.1:1".parse().unwrap(),
        };
        let client = Client {
            credentials: None,
            timeout: Duration::from_secs(1),
        };
        let cases = [Case::Ready(String::new()), Case::Busy];
        let lefts = [Some(Left::Seconds(20)), Some(Left::Seconds(20))];
        let nodes = [node.clone(), node];
        let hold = Hold::new((&client, &nodes), &cases, &lefts, true);
        let [first, second] = hold.left_as_they_are().try_into().unwrap();
        let hour = text::seconds(HOLD_SECONDS);
        assert!(first.unwrap().contains(&format!("only in {hour}")));
        assert_eq!(second, None, "nothing was sent to it");
    }

    #[test]
    fn what_is_left_undone_is_named() {
        assert_eq!(undone(&[]), None);
        let text = undone(&[("a", Some(90)), ("b", None)]).unwrap();
        assert!(
            text.contains("a (its window reverts by itself in 90 s)"),
            "{text}"
        );
        assert!(text.contains("b (its window stays open)"), "{text}");
    }
}
