//! The deployment and the check as processes: each is a group of its own, so that all of it can be
//! ended, and what happens comes as one stream of events.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{self, Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use signal_hook::iterator::Signals;

use crate::clock::Until;
use crate::heeded::{SIGNALS, heeded};
use crate::progress;

/// What a group has between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(10);
/// Between two looks at a group that is to end.
const PAUSE: Duration = Duration::from_millis(20);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A process ended with this status; a signal counts as 128 and its number, as in a shell.
    Ended(Pid, i32),
    /// The program is asked to end.
    Signal(&'static str),
    /// The time is over.
    Late,
}

/// Where events arrive.
#[derive(Debug)]
pub(crate) struct Events {
    take: Receiver<Event>,
    give: Sender<Event>,
}

impl Events {
    /// From now on signals that are not ignored are events. Those that come while nobody waits
    /// wait.
    ///
    /// # Errors
    /// The system does not give what it takes.
    pub(crate) fn catch() -> io::Result<Self> {
        let (give, take) = mpsc::channel();
        let mut signals = Signals::new(heeded())?;
        let tell = give.clone();
        thread::Builder::new().spawn(move || {
            for signal in signals.forever() {
                let named = SIGNALS.iter().find(|it| it.0 == signal);
                let name = named.map_or("a signal", |(_, name)| name);
                // At the end of the program nobody listens.
                let _ = tell.send(Event::Signal(name));
            }
        })?;
        Ok(Self { take, give })
    }

    /// The next event, or `Late`.
    pub(crate) fn next(&self, until: Option<Until>) -> Event {
        let Some(until) = until else {
            // This end holds a sender too: it never ends.
            return self.take.recv().unwrap_or(Event::Late);
        };
        let left = until.left().unwrap_or(Duration::ZERO);
        match self.take.recv_timeout(left) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Event::Late,
        }
    }
}

/// From now on the first signal is only noted: what has begun on some nodes is ended on all, and
/// reported. The second one ends the program with `status`, after what there is to say then.
///
/// # Errors
/// The system does not give what it takes.
pub(crate) fn finish_first(status: i32, last: fn() -> Option<String>) -> io::Result<()> {
    let mut signals = Signals::new(heeded())?;
    thread::Builder::new().spawn(move || {
        if signals.forever().nth(1).is_some() {
            if let Some(text) = last() {
                progress::warn(&text);
            }
            process::exit(status);
        }
    })?;
    Ok(())
}

/// A process and its children.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Child,
    pub(crate) pid: Pid,
}

impl Group {
    /// Starts a command in a group of its own. It has no terminal to read from, which would stop it
    /// in the background; `aside`: what it prints goes to standard error.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(words: &[&OsStr], aside: bool, events: &Events) -> io::Result<Self> {
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .process_group(0)
            .stdin(Stdio::null());
        if aside {
            command.stdout(io::stderr());
        }
        let mut leader = command.spawn()?;
        let pid = i32::try_from(leader.id()).ok().and_then(Pid::from_raw);
        let Some(pid) = pid else {
            leader.kill()?;
            return Err(io::ErrorKind::InvalidData.into());
        };
        let tell = events.give.clone();
        // The process stays a zombie until it is reaped, so that its number is no other's.
        thread::Builder::new().spawn(move || {
            let status = wait(pid);
            // At the end of the program nobody listens.
            let _ = tell.send(Event::Ended(pid, status));
        })?;
        Ok(Self { leader, pid })
    }

    /// Ends all of the group: asks, and after a while makes it.
    pub(crate) fn end(mut self) {
        let until = Until::after(GRACE);
        let _ = rustix::process::kill_process_group(self.pid, Signal::TERM);
        let mut reaped = false;
        while until.left().is_some() {
            reaped = reaped || !matches!(self.leader.try_wait(), Ok(None));
            if reaped && !lives(self.pid) {
                return;
            }
            thread::sleep(PAUSE);
        }
        let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        if !reaped {
            let _ = self.leader.wait();
        }
    }
}

/// Whether a process of a group runs. One that has ended counts as one of the group for the system
/// until somebody reaps it, and what a container begins with may never do so.
fn lives(group: Pid) -> bool {
    if rustix::process::test_kill_process_group(group).is_err() {
        return false;
    }
    let Ok(processes) = fs::read_dir("/proc") else {
        return true;
    };
    processes.flatten().any(|process| {
        let text = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        // The name, in brackets, may contain anything.
        let fields = text.rsplit(')').next().unwrap_or_default();
        let mut fields = fields.split_ascii_whitespace();
        let (state, leader) = (fields.next(), fields.nth(1));
        let member =
            leader.and_then(|leader| leader.parse().ok()) == Some(group.as_raw_nonzero().get());
        member && !matches!(state, Some("Z" | "X"))
    })
}

/// Waits for the end of a process without reaping it.
fn wait(pid: Pid) -> i32 {
    loop {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        match rustix::process::waitid(WaitId::Pid(pid), options) {
            Ok(Some(status)) => {
                let signal = status.terminating_signal().map(|signal| 128 + signal);
                return status.exit_status().or(signal).unwrap_or(255);
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            // Somebody else has reaped it: its status is not known.
            Err(_) => return 255,
        }
    }
}
