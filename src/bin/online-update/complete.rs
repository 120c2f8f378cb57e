//! COMPLETE on all nodes: asks each whether it can, and only then begins. Once a node has
//! completed, the decision stands: what fails keeps its window open, without a deadline that would
//! take back there what stays elsewhere, and the same command goes on with it.

use crate::client::Client;
use crate::clock;
use crate::command;
use crate::deadline;
use crate::decision::{Decision, Mark, Part};
use crate::each::each;
use crate::exit::Exit;
use crate::judge::{self, Case};
use crate::nodes::Node;
use crate::progress::Show;
use crate::start::Started;
use crate::text;
use crate::window::{Left, State, Window};

/// What a COMPLETE came to, for a program that decides.
#[derive(Clone, Debug)]
pub(crate) struct Completed {
    pub(crate) decision: Decision,
    /// A node lost its window, and none was completed.
    pub(crate) lost: bool,
}

/// COMPLETE on all nodes.
pub(crate) fn complete(
    client: &Client,
    nodes: &[Node],
    started: Option<&Started>,
    show: Show,
) -> Completed {
    show.say(&format!(
        "asking {} whether they can complete",
        text::count(nodes.len() as u64, "node")
    ));
    let looked = clock::now();
    let looks = judge::look(client, nodes);
    let cases = judge::judge(nodes, &looks, started);
    let is_open = |case: &Case| matches!(case, Case::Ready(_) | Case::Hindered(_) | Case::Busy);
    let stands = cases
        .iter()
        .any(|case| matches!(case, Case::Done(_) | Case::Busy));
    let fit = |case: &Case| {
        matches!(
            case,
            Case::Ready(_) | Case::Done(_) | Case::Moved(_) | Case::Busy
        )
    };
    let lost = !stands && cases.iter().any(|case| matches!(case, Case::Gone(_)));
    if !cases.iter().any(is_open) && !cases.iter().any(|case| matches!(case, Case::Silent(_))) {
        return Completed {
            decision: without_window(&cases),
            lost,
        };
    }
    if !cases.iter().all(fit) && !stands {
        let text = "not completed: nothing was sent to any node, windows are as they were";
        let decision = Decision {
            parts: cases.iter().map(as_it_was).collect(),
            text: text.to_owned(),
            exit: Exit::Refused,
        };
        return Completed { decision, lost };
    }
    let lefts: Vec<Left> = looks
        .iter()
        .map(|look| look.as_ref().map_or(Left::Forever, |look| look.window.left))
        .collect();
    // From here on the nodes decide alike or wait: no deadline takes one back.
    let held = deadline::hold(client, nodes, &cases, &lefts, stands);
    if let Some(parts) = held.filter(|_| !stands) {
        let text = "not completed: COMPLETE was not sent to any node, windows are as they were";
        let mut decision = Decision {
            parts,
            text: text.to_owned(),
            exit: Exit::Refused,
        };
        let elapsed = clock::now().duration_since(looked);
        let failures = deadline::restore(client, nodes, &lefts, elapsed);
        tell(&mut decision, failures);
        return Completed {
            decision,
            lost: false,
        };
    }
    let parts = carry_out(client, nodes, &cases, show);
    let mut decision = sum(parts, &cases);
    if decision.exit == Exit::Partly {
        let failures = deadline::take_away(client, nodes, &decision.parts, &lefts);
        tell_of_deadlines(&mut decision, failures);
    }
    if decision.exit == Exit::Refused {
        let elapsed = clock::now().duration_since(looked);
        let failures = deadline::restore(client, nodes, &lefts, elapsed);
        tell(&mut decision, failures);
    }
    Completed {
        decision,
        lost: false,
    }
}

/// No node has a window: nothing is sent, and some may have completed.
fn without_window(cases: &[Case]) -> Decision {
    let done = cases.iter().any(|case| matches!(case, Case::Done(_)));
    let gone = cases.iter().any(|case| matches!(case, Case::Gone(_)));
    let (text, exit) = if done && gone {
        let text = "completed on some nodes only, and no node has a window open";
        (text, Exit::Partly)
    } else {
        ("no node has a window open", Exit::NoWindow)
    };
    Decision {
        parts: cases.iter().map(as_it_was).collect(),
        text: text.to_owned(),
        exit,
    }
}

/// Adds which windows keep their deadline, although others have completed.
fn tell_of_deadlines(decision: &mut Decision, failures: Vec<Option<String>>) {
    for (part, failure) in decision.parts.iter_mut().zip(failures) {
        if let Some(why) = failure {
            let more = format!("; its deadline may still revert it: {why}");
            part.text.push_str(&more);
        }
    }
}

fn carry_out(client: &Client, nodes: &[Node], cases: &[Case], show: Show) -> Vec<Part> {
    show.say("COMPLETE");
    let steps = show.nodes(nodes);
    each(nodes, |index, node| {
        let watch = |window: &Window| steps.at(index, window);
        let part = match cases.get(index) {
            Some(Case::Ready(note)) => {
                let part = command::complete(client, node, &watch);
                let note = if note.is_empty() {
                    String::new()
                } else {
                    format!(" ({note})")
                };
                Part::new(part.mark, format!("{}{note}", part.text))
            }
            Some(Case::Busy) => finish(client, node, &watch),
            Some(other) => as_it_was(other),
            None => Part::new(Mark::Unknown, "not asked"),
        };
        steps.end(index);
        part
    })
}

/// Waits for a COMPLETE that somebody else has sent.
fn finish(client: &Client, node: &Node, watch: command::Watch<'_>) -> Part {
    match command::settle(client, node, watch) {
        Err(text) => Part::new(Mark::Unknown, format!("it was completing, then {text}")),
        Ok(window) if window.state != State::None => command::complete(client, node, watch),
        Ok(window) if window.last_outcome == "completed" => {
            Part::new(Mark::Good, "completed (it was at it already)")
        }
        Ok(window) => Part::new(
            Mark::Bad,
            format!(
                "it was completing; last outcome now: {}",
                window.outcome_in_words()
            ),
        ),
    }
}

/// A node to which nothing is sent.
fn as_it_was(case: &Case) -> Part {
    match case {
        Case::Ready(note) if note.is_empty() => Part::new(Mark::Good, "it can complete"),
        Case::Ready(note) => Part::new(Mark::Good, format!("it can complete ({note})")),
        Case::Busy => Part::new(Mark::Good, "it is completing"),
        Case::Done(text) | Case::Moved(text) => Part::new(Mark::Good, text),
        Case::Hindered(text) => Part::new(Mark::Open, text),
        Case::Gone(text) => Part::new(Mark::Bad, text),
        Case::Silent(text) => Part::new(Mark::Unknown, text),
    }
}

/// Adds what was not restored: such a window stays open for ever.
fn tell(decision: &mut Decision, failures: Vec<Option<String>>) {
    for (part, failure) in decision.parts.iter_mut().zip(failures) {
        if let Some(why) = failure {
            let more = format!("; its deadline is not restored: {why}");
            part.text.push_str(&more);
            if part.mark == Mark::Good {
                part.mark = Mark::Open;
            }
            "not completed on any node, and deadlines are lost on those named"
                .clone_into(&mut decision.text);
            decision.exit = Exit::Partly;
        }
    }
}

/// What came of all of it: `Refused` if no node has completed.
fn sum(parts: Vec<Part>, cases: &[Case]) -> Decision {
    let all = parts.len();
    let good = parts.iter().filter(|part| part.mark == Mark::Good).count();
    let unknown = parts.iter().any(|part| part.mark == Mark::Unknown);
    // Where a window has moved away, nothing has completed.
    let completed =
        |(part, case): (&Part, &Case)| part.mark == Mark::Good && !matches!(case, Case::Moved(_));
    let begun = unknown || parts.iter().zip(cases).any(completed);
    let (text, exit) = if good == all {
        (
            format!("completed on {}", text::count(all as u64, "node")),
            Exit::Done,
        )
    } else if !begun {
        (
            "not completed on any node; the windows are open".to_owned(),
            Exit::Refused,
        )
    } else {
        let text = format!(
            "completed on {good} of {all} nodes; the windows of the others stay open, without a \
             deadline: remove the cause, then complete again"
        );
        (text, Exit::Partly)
    };
    Decision { parts, text, exit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_moved_away_has_not_completed() {
        let cases = [Case::Moved(String::new()), Case::Ready(String::new())];
        let parts = |mark| vec![Part::new(Mark::Good, ""), Part::new(mark, "")];
        assert_eq!(sum(parts(Mark::Open), &cases).exit, Exit::Refused);
        assert_eq!(sum(parts(Mark::Unknown), &cases).exit, Exit::Partly);
        assert_eq!(sum(parts(Mark::Good), &cases).exit, Exit::Done);
    }

    #[test]
    fn a_deadline_that_is_lost_is_told() {
        let cases = [Case::Ready(String::new()), Case::Ready(String::new())];
        let mut decision = sum(vec![Part::new(Mark::Open, "no"); 2], &cases);
        tell(&mut decision, vec![None, None]);
        assert_eq!(decision.exit, Exit::Refused);
        tell(&mut decision, vec![None, Some("no answer".to_owned())]);
        assert_eq!(decision.exit, Exit::Partly);
        assert_eq!(decision.parts[0].text, "no");
        assert!(decision.parts[1].text.contains("not restored: no answer"));
    }

    #[test]
    fn a_deadline_that_could_not_be_taken_away_is_told() {
        let cases = [Case::Done(String::new()), Case::Ready(String::new())];
        let parts = vec![Part::new(Mark::Good, "done"), Part::new(Mark::Open, "no")];
        let mut decision = sum(parts, &cases);
        tell_of_deadlines(&mut decision, vec![None, Some("silence".to_owned())]);
        assert_eq!(decision.parts[0].text, "done");
        assert!(decision.parts[1].text.ends_with("revert it: silence"));
        assert_eq!(decision.exit, Exit::Partly);
    }

    #[test]
    fn what_is_done_in_part_is_told_from_what_is_not_begun() {
        let done = || Case::Done(String::new());
        let gone = || Case::Gone(String::new());
        let exit = |cases: &[Case]| without_window(cases).exit;
        assert_eq!(exit(&[done(), gone()]), Exit::Partly);
        assert_eq!(exit(&[done(), done()]), Exit::NoWindow);
        assert_eq!(exit(&[gone(), gone()]), Exit::NoWindow);
    }
}
