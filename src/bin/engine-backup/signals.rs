//! Signals that ask the program to end: noted first, so that what was begun is taken back.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::flag;

use crate::heeded::{SIGNALS, heeded};

/// The signal that has come. The default notes none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked(Arc<AtomicUsize>);

impl Asked {
    /// From now on the first signal is only noted. The second one ends the program.
    ///
    /// # Errors
    /// The system does not give what it takes.
    pub(crate) fn note() -> io::Result<Self> {
        let noted = Arc::new(AtomicBool::new(false));
        let which = Arc::new(AtomicUsize::new(0));
        for signal in heeded() {
            // In this order: the one that notes it is not to end the program as well.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&noted))?;
            flag::register(signal, Arc::clone(&noted))?;
            flag::register_usize(signal, Arc::clone(&which), signal.unsigned_abs() as usize)?;
        }
        Ok(Self(which))
    }

    /// Goes on while none has come.
    ///
    /// # Errors
    /// Names the one that has.
    pub(crate) fn check(&self) -> Result<(), String> {
        let which = self.0.load(Ordering::Relaxed);
        let name = SIGNALS
            .iter()
            .find(|it| it.0.unsigned_abs() as usize == which);
        name.map_or(Ok(()), |(_, name)| Err(format!("asked to end, by {name}")))
    }
}
