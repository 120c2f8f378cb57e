//! COMPLETE on all nodes: asks each whether it can, and only then begins, with one node alone. Once
//! that has completed, the decision stands: what fails elsewhere keeps its window open, without a
//! deadline that would take back there what stays elsewhere, and the same command goes on with it.

use std::time::Instant;

use crate::client::Client;
use crate::clock;
use crate::command;
use crate::deadline::{self, Hold};
use crate::decision::{Decision, Mark, Part};
use crate::each::each;
use crate::exit::Exit;
use crate::judge::{self, Case, Look};
use crate::moved;
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
    let is_open = |case: &Case| {
        matches!(
            case,
            Case::Ready(_) | Case::Hindered(_) | Case::Busy | Case::Foreign(_)
        )
    };
    let stands = stands(&cases);
    let fit = |case: &Case| {
        matches!(
            case,
            Case::Ready(_) | Case::Done(_) | Case::Moved(_) | Case::Busy
        )
    };
    let gone = |case: &Case| matches!(case, Case::Gone(_) | Case::Foreign(_));
    let lost = !stands && cases.iter().any(gone);
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
    let decision = decide((client, nodes), started, cases, (&looks, looked), show);
    Completed {
        decision,
        lost: false,
    }
}

/// COMPLETE on nodes that can, or where somebody has decided so, and what becomes of deadlines.
/// `looks` are of the time that stands beside them.
fn decide(
    (client, nodes): (&Client, &[Node]),
    started: Option<&Started>,
    mut cases: Vec<Case>,
    (looks, looked): (&[Result<Look, String>], Instant),
    show: Show,
) -> Decision {
    let mut stands = stands(&cases);
    let lefts: Vec<Option<Left>> = looks
        .iter()
        .map(|look| look.as_ref().ok().map(|look| look.window.left))
        .collect();
    // From here on the nodes decide alike or wait: no deadline takes one back.
    let hold = Hold::new((client, nodes), &cases, &lefts, stands);
    let refused = hold.begin().filter(|_| !stands);
    if refused.is_some() {
        let looks = judge::look(client, nodes);
        stands = is_outrun(&looks, looked);
        cases = judge::judge(nodes, &looks, started);
    }
    let mut decision = if let Some(parts) = refused.filter(|_| !stands) {
        Decision {
            parts,
            text: "not completed: COMPLETE was not sent to any node, windows are as they were"
                .to_owned(),
            exit: Exit::Refused,
        }
    } else {
        let mut decision = carry_out((client, nodes), &cases, (&hold, looked), show);
        let sent = |index| matches!(cases.get(index), Some(Case::Ready(_) | Case::Busy));
        moved::tell(&mut decision, (client, nodes), (looks, started), sent);
        decision
    };
    if decision.exit == Exit::Partly {
        let failures = deadline::take_away(client, nodes, &decision.parts, &lefts);
        tell_of_deadlines(&mut decision, nodes, failures);
    }
    if decision.exit == Exit::Refused {
        // Who else completes may be at it again, and relies on deadlines that are put off.
        let failures = if stands {
            hold.left_as_they_are()
        } else {
            let elapsed = clock::now().duration_since(looked);
            deadline::restore(client, nodes, &lefts, elapsed)
        };
        tell(&mut decision, failures);
    }
    decision
}

/// Whether COMPLETE is the decision already.
fn stands(cases: &[Case]) -> bool {
    let mut cases = cases.iter();
    cases.any(|case| matches!(case, Case::Done(_) | Case::Busy))
}

/// Whether somebody else's COMPLETE is under way, or has ended since: that is the decision then.
fn is_outrun(looks: &[Result<Look, String>], since: Instant) -> bool {
    let mut windows = looks.iter().flatten().map(|look| &look.window);
    windows.any(|it| it.state == State::Completing || it.has_completed_since(since))
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

/// Says what is left of the decision: which windows stay open, and which of them keep a deadline
/// for all that is known, although others have completed.
fn tell_of_deadlines(decision: &mut Decision, nodes: &[Node], failures: Vec<Option<String>>) {
    let (mut open, mut doubtful) = (Vec::new(), Vec::new());
    let (mut without, mut foreign) = (Vec::new(), Vec::new());
    for ((part, node), failure) in decision.parts.iter_mut().zip(nodes).zip(failures) {
        match (part.mark, &failure) {
            (Mark::Good, _) => {}
            (Mark::Bad | Mark::Against, _) => without.push(node.name.as_str()),
            (Mark::Foreign, _) => foreign.push(node.name.as_str()),
            (Mark::Open, None) => open.push(node.name.as_str()),
            (Mark::Open | Mark::Silent | Mark::Unknown, _) => doubtful.push(node.name.as_str()),
        }
        if let Some(why) = failure {
            let more = format!("; a deadline may still revert it: {why}");
            part.text.push_str(&more);
        }
    }
    for (nodes, what) in [
        (&open, "the window stays open, without a deadline"),
        (&doubtful, "not known to be complete, nor to stay open"),
        (&without, "no window is open"),
        (
            &foreign,
            "its window is not the one to complete, as is said above",
        ),
    ] {
        if !nodes.is_empty() {
            let more = format!("; {}: {what}", nodes.join(", "));
            decision.text.push_str(&more);
        }
    }
    if !open.is_empty() || !doubtful.is_empty() {
        decision
            .text
            .push_str("; remove the cause, then complete again");
    }
}

/// Sends COMPLETE: to one node alone, unless one has completed already, and to the others when that
/// one has. It is the one that REVERT is sent to first: of two operators who disagree one wins.
fn carry_out(
    (client, nodes): (&Client, &[Node]),
    cases: &[Case],
    (hold, looked): (&Hold<'_>, Instant),
    show: Show,
) -> Decision {
    show.say("COMPLETE");
    let steps = show.nodes(nodes);
    let send = |index: usize, node: &Node| {
        let watch = |window: &Window| {
            steps.at(index, window);
            hold.renew();
        };
        let part = match cases.get(index) {
            Some(Case::Ready(note)) => {
                let part = command::complete(client, node, looked, &watch);
                let note = if note.is_empty() {
                    String::new()
                } else {
                    format!(" ({note})")
                };
                Part::new(part.mark, format!("{}{note}", part.text))
            }
            Some(Case::Busy) => finish(client, node, looked, &watch),
            Some(other) => as_it_was(other),
            None => Part::new(Mark::Silent, "not asked"),
        };
        steps.end(index);
        if part.mark == Mark::Good {
            deadline::completed(node);
        }
        part
    };
    let decider = decider(nodes, cases);
    let begun = decider.map(|(index, node)| (index, send(index, node)));
    let stop = matches!(&begun, Some((_, part)) if part.mark != Mark::Good);
    let parts = each(nodes, |index, node| match &begun {
        Some((first, part)) if *first == index => part.clone(),
        _ if stop => spared(cases.get(index)),
        _ => send(index, node),
    });
    let first = decider.map(|(_, node)| node.name.as_str()).filter(|_| stop);
    sum(parts, cases, first)
}

/// The node that decides, unless one has already.
fn decider<'a>(nodes: &'a [Node], cases: &[Case]) -> Option<(usize, &'a Node)> {
    if cases.iter().any(|case| matches!(case, Case::Done(_))) {
        return None;
    }
    let is = |index: usize, fit: fn(&Case) -> bool| cases.get(index).is_some_and(fit);
    // One that is at it goes on whatever is sent elsewhere.
    let busy = command::first(nodes, |index| is(index, |case| matches!(case, Case::Busy)));
    let ready = || command::first(nodes, |index| is(index, |it| matches!(it, Case::Ready(_))));
    let index = busy.or_else(ready)?;
    nodes.get(index).map(|node| (index, node))
}

/// A node that is left as it is, because the one that decides has not completed.
fn spared(case: Option<&Case>) -> Part {
    match case {
        Some(Case::Ready(_)) => Part::new(Mark::Open, "COMPLETE was not sent: its window was open"),
        Some(Case::Busy) => Part::new(Mark::Unknown, "it was completing, and was not waited for"),
        Some(other) => as_it_was(other),
        None => Part::new(Mark::Silent, "not asked"),
    }
}

/// Waits for a COMPLETE that somebody else has sent.
fn finish(client: &Client, node: &Node, looked: Instant, watch: command::Watch<'_>) -> Part {
    match command::settle(client, node, watch) {
        Err(text) => Part::new(Mark::Unknown, format!("it was completing, then {text}")),
        Ok(window) if window.state != State::None => command::complete(client, node, looked, watch),
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
        Case::Foreign(text) => Part::new(Mark::Foreign, text),
        Case::Silent(text) => Part::new(Mark::Silent, text),
    }
}

/// Adds what was not restored: such a window has the deadline that held while nodes completed.
fn tell(decision: &mut Decision, failures: Vec<Option<String>>) {
    for (part, failure) in decision.parts.iter_mut().zip(failures) {
        if let Some(why) = failure {
            let more = format!("; its deadline is not put back, and {why}");
            part.text.push_str(&more);
            if part.mark == Mark::Good {
                part.mark = Mark::Open;
            }
            "not completed on any node, and deadlines are not those of before where that is said"
                .clone_into(&mut decision.text);
            decision.exit = Exit::Partly;
        }
    }
}

/// What came of all of it: `Refused` if no node has completed. `first` is the node that was to
/// decide and has not completed.
fn sum(parts: Vec<Part>, cases: &[Case], first: Option<&str>) -> Decision {
    let all = parts.len();
    let good = parts.iter().filter(|part| part.mark == Mark::Good).count();
    let unknown = parts.iter().any(|part| part.mark == Mark::Unknown);
    // Where a window has moved away, nothing has completed.
    let completed =
        |(part, case): (&Part, &Case)| part.mark == Mark::Good && !matches!(case, Case::Moved(_));
    let completed = parts.iter().zip(cases).any(completed);
    let spared = first.map(|first| match all {
        1 => String::new(),
        _ => format!(": {first} is asked first, and COMPLETE was sent to no other node"),
    });
    let (text, exit) = match spared {
        Some(spared) if unknown => (
            format!("not known to be completed on any node{spared}"),
            Exit::Partly,
        ),
        Some(spared) => (format!("not completed on any node{spared}"), Exit::Refused),
        None if good == all => (
            format!("completed on {}", text::count(all as u64, "node")),
            Exit::Done,
        ),
        None if !completed && !unknown => ("not completed on any node".to_owned(), Exit::Refused),
        None => (format!("completed on {good} of {all} nodes"), Exit::Partly),
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
        assert_eq!(sum(parts(Mark::Open), &cases, None).exit, Exit::Refused);
        assert_eq!(sum(parts(Mark::Unknown), &cases, None).exit, Exit::Partly);
        assert_eq!(sum(parts(Mark::Good), &cases, None).exit, Exit::Done);
    }

    #[test]
    fn a_deadline_that_is_lost_is_told() {
        let cases = [Case::Ready(String::new()), Case::Ready(String::new())];
        let mut decision = sum(vec![Part::new(Mark::Open, "no"); 2], &cases, None);
        tell(&mut decision, vec![None, None]);
        assert_eq!(decision.exit, Exit::Refused);
        tell(&mut decision, vec![None, Some("no answer".to_owned())]);
        assert_eq!(decision.exit, Exit::Partly);
        assert_eq!(decision.parts[0].text, "no");
        assert!(
            decision.parts[1]
                .text
                .contains("not put back, and no answer")
        );
    }

    #[test]
    fn what_is_said_of_the_others_is_what_is_known_of_them() {
        use Mark::{Bad, Good, Open, Silent};
        let node = |name: &str| Node {
            name: name.to_owned(),
            address: "127.0.0.1:1".parse().unwrap(),
        };
        let nodes = ["a", "b", "c", "d"].map(node);
        let said = |marks: [Mark; 4], failures: Vec<Option<String>>| {
            let parts = marks.map(|mark| Part::new(mark, "it")).to_vec();
            let cases = vec![Case::Done(String::new()); 4];
            let mut decision = sum(parts, &cases, None);
            tell_of_deadlines(&mut decision, &nodes, failures);
            decision
        };
        let kept = || vec![None; 4];
        let silence = || Some("silence".to_owned());
        let found = said(
            [Good, Open, Open, Silent],
            vec![None, None, silence(), silence()],
        );
        assert_eq!(
            found.text,
            "completed on 1 of 4 nodes; b: the window stays open, without a deadline; c, d: not \
             known to be complete, nor to stay open; remove the cause, then complete again"
        );
        assert_eq!(found.parts[1].text, "it");
        assert!(found.parts[2].text.ends_with("revert it: silence"));
        assert!(found.parts[3].text.ends_with("revert it: silence"));
        let found = said([Good, Good, Good, Bad], kept());
        assert_eq!(
            found.text,
            "completed on 3 of 4 nodes; d: no window is open"
        );
        assert_eq!(found.exit, Exit::Partly);
        let found = said([Good, Good, Good, Mark::Foreign], kept());
        assert_eq!(
            found.text,
            "completed on 3 of 4 nodes; d: its window is not the one to complete, as is said above"
        );
    }

    #[test]
    fn one_node_has_no_others() {
        let cases = [Case::Ready(String::new())];
        for mark in [Mark::Open, Mark::Unknown] {
            let text = sum(vec![Part::new(mark, "")], &cases, Some("a")).text;
            assert!(text.ends_with("completed on any node"), "{text}");
        }
    }

    #[test]
    fn what_was_not_sent_has_not_begun() {
        let cases = [Case::Ready(String::new()), Case::Ready(String::new())];
        let parts = |mark| vec![Part::new(mark, ""), Part::new(Mark::Open, "")];
        assert_eq!(
            sum(parts(Mark::Silent), &cases, Some("a")).exit,
            Exit::Refused
        );
        assert_eq!(
            sum(parts(Mark::Unknown), &cases, Some("a")).exit,
            Exit::Partly
        );
        assert_eq!(sum(parts(Mark::Silent), &cases, None).exit, Exit::Refused);
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
