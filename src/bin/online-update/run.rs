//! `run`: START, the deployment, the check, and the decision that follows from them. Whatever goes
//! wrong before the decision ends in REVERT; a kill -9 of this program is what `--revert-after` is
//! for.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use serde_json::json;

use crate::client::Client;
use crate::clock::Until;
use crate::complete;
use crate::decision::{Decision, Mark};
use crate::exit::Exit;
use crate::nodes::Node;
use crate::output::Style;
use crate::process::{Event, Events, Group};
use crate::progress::Show;
use crate::revert;
use crate::start::{self, Started};

/// A check that ends with this status (EX_TEMPFAIL of sysexits.h) has not decided yet.
pub(crate) const UNDECIDED: i32 = 75;

/// What is to be run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) deploy: Vec<OsString>,
    pub(crate) check: Option<String>,
    /// Between two runs of a check that has not decided.
    pub(crate) pause: Duration,
    pub(crate) revert_after: Option<Duration>,
}

/// Why the deployment is not to stay.
#[derive(Clone, Debug)]
struct Failure {
    exit: Exit,
    text: String,
}

/// A run under way.
struct Run<'a> {
    client: &'a Client,
    nodes: &'a [Node],
    style: Style,
    show: Show,
    events: Events,
    /// When the time is over.
    until: Option<Until>,
}

/// Runs it. The exit status tells.
pub(crate) fn run(
    client: &Client,
    nodes: &[Node],
    plan: &Plan,
    (style, show): (Style, Show),
) -> Exit {
    let events = match Events::catch() {
        Ok(events) => events,
        Err(error) => {
            style.failure(&format!("signals cannot be caught: {error}"), Exit::Refused);
            return Exit::Refused;
        }
    };
    // Before START, so that this program's time is over before that of any node.
    let until = plan.revert_after.map(Until::after);
    let (decision, started) = start::start(client, nodes, plan.revert_after, show);
    style.decision("start", nodes, &decision);
    let Some(started) = started else {
        return decision.exit;
    };
    let run = Run {
        client,
        nodes,
        style,
        show,
        events,
        until,
    };
    let exit = match run.deploy_and_check(plan) {
        Ok(()) => run.complete(&started),
        Err(failure) => run.revert(&failure, &started),
    };
    let words = match exit {
        Exit::Done => "completed".to_owned(),
        Exit::Partly => "not decided everywhere, see above".to_owned(),
        other => format!("reverted ({})", other.name()),
    };
    let object = json!({"event": "end", "result": exit.name(), "exit": exit as u8});
    style.event(&format!("run: {words}"), &object);
    exit
}

impl Run<'_> {
    fn deploy_and_check(&self, plan: &Plan) -> Result<(), Failure> {
        let words: Vec<&OsStr> = plan.deploy.iter().map(OsString::as_os_str).collect();
        let shown = words.iter().map(|word| word.to_string_lossy().into_owned());
        let shown = shown.collect::<Vec<_>>().join(" ");
        self.wait(Duration::ZERO, "start")?;
        self.say("deploy", &format!("deploy: {shown}"), None);
        let (group, status) = self.carry_out("deploy", &words, Exit::DeployFailed)?;
        if status != 0 {
            group.end();
            let text = format!("the deployment ended with status {status}");
            return Err(Failure {
                exit: Exit::DeployFailed,
                text,
            });
        }
        let (last, checked) = match &plan.check {
            Some(check) => ("check", self.check(check, plan.pause)),
            None => ("deploy", Ok(())),
        };
        // Who was first wins, also over a check that ended well a moment later.
        let checked = checked.and_then(|()| self.wait(Duration::ZERO, last));
        if checked.is_err() {
            // What the deployment left running would go on changing what is reverted.
            group.end();
        }
        checked
    }

    /// Runs the check until it decides.
    fn check(&self, check: &str, pause: Duration) -> Result<(), Failure> {
        let words = ["sh", "-c", check].map(OsStr::new);
        self.say("check", &format!("check: {check}"), None);
        loop {
            let (group, status) = self.carry_out("check", &words, Exit::CheckFailed)?;
            group.end();
            match status {
                0 => return Ok(()),
                UNDECIDED => self.wait(pause, "check")?,
                _ => {
                    let text = format!("the check ended with status {status}");
                    return Err(Failure {
                        exit: Exit::CheckFailed,
                        text,
                    });
                }
            }
        }
    }

    /// Runs a command to its end; what interrupts it ends it.
    fn carry_out(&self, name: &str, words: &[&OsStr], exit: Exit) -> Result<(Group, i32), Failure> {
        let aside = self.style == Style::Json;
        let group = Group::start(words, aside, &self.events).map_err(|error| {
            let program = words
                .first()
                .map(|word| word.to_string_lossy().into_owned());
            let program = program.unwrap_or_default();
            let text = format!("{program} cannot be started: {error}");
            Failure { exit, text }
        })?;
        loop {
            match self.events.next(self.until) {
                Event::Ended(pid, status) if pid == group.pid => {
                    self.say(
                        name,
                        &format!("{name}: ended with status {status}"),
                        Some(status),
                    );
                    return Ok((group, status));
                }
                Event::Ended(..) => {}
                event => {
                    group.end();
                    return Err(broken_off(&event, name));
                }
            }
        }
    }

    /// Lets time pass, or none: what has come meanwhile breaks off.
    fn wait(&self, time: Duration, name: &str) -> Result<(), Failure> {
        let end = Until::after(time);
        let end = self.until.map_or(end, |until| until.min(end));
        let over = || self.until.is_some_and(|until| until.left().is_none());
        loop {
            match self.events.next(Some(end)) {
                Event::Ended(..) => {}
                Event::Late if !over() => return Ok(()),
                event => return Err(broken_off(&event, name)),
            }
        }
    }

    fn complete(&self, started: &Started) -> Exit {
        let completed = complete::complete(self.client, self.nodes, Some(started), self.show);
        self.style
            .decision("complete", self.nodes, &completed.decision);
        if completed.lost {
            let text = "a node's window is gone, so the update cannot be whole".to_owned();
            let exit = Exit::WindowLost;
            return self.revert(&Failure { exit, text }, started);
        }
        let Decision { parts, exit, .. } = &completed.decision;
        match exit {
            Exit::Done => Exit::Done,
            // Somebody else was first, with the same decision.
            Exit::NoWindow if parts.iter().all(|part| part.mark == Mark::Good) => Exit::Done,
            _ => Exit::Partly,
        }
    }

    fn revert(&self, failure: &Failure, started: &Started) -> Exit {
        self.say("failed", &format!("{}: reverting", failure.text), None);
        let decision = revert::revert(self.client, self.nodes, Some(started), self.show);
        // A window that its deadline has ended meanwhile is as good.
        let good = decision.parts.iter().all(|part| part.mark == Mark::Good);
        let decision = Decision {
            text: if good {
                "reverted on every node".to_owned()
            } else {
                decision.text
            },
            exit: if good { Exit::Done } else { Exit::Partly },
            ..decision
        };
        self.style.decision("revert", self.nodes, &decision);
        if good { failure.exit } else { Exit::Partly }
    }

    fn say(&self, event: &str, words: &str, status: Option<i32>) {
        self.style.event(
            words,
            &json!({"event": event, "text": words, "status": status}),
        );
    }
}

fn broken_off(event: &Event, name: &str) -> Failure {
    match event {
        Event::Signal(signal) => Failure {
            exit: Exit::Interrupted,
            text: format!("{signal} came during the {name}"),
        },
        _ => Failure {
            exit: Exit::TimedOut,
            text: format!("nothing was decided in time (--revert-after), the {name} was under way"),
        },
    }
}
