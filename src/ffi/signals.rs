//! The one signal that a write can raise.

use std::mem::MaybeUninit;
use std::ptr;

/// Makes a limit of file sizes (`ulimit -f`) an error of the write that meets it: by default the
/// system ends the process with SIGXFSZ then. The disposition is the whole process's, so only the
/// default is replaced, by ignoring it: a handler that the host has stays, and returns to the
/// write, which fails in any case. Nothing of the engine's is called by the system, so the engine
/// may be unloaded afterwards. Programs that the host starts inherit it.
pub(crate) fn survive_file_limit() {
    let mut found = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is set; what was found is of the call's own type.
    if unsafe { libc::sigaction(libc::SIGXFSZ, ptr::null(), found.as_mut_ptr()) } != 0 {
        return;
    }
    // SAFETY: the call has returned 0, and so has written all of it.
    if unsafe { found.assume_init() }.sa_sigaction == libc::SIG_DFL {
        // SAFETY: no function is handed over.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use super::*;

    extern "C" fn handler(_: libc::c_int) {}

    fn set(to: libc::sighandler_t) -> libc::sighandler_t {
        // SAFETY: what is set is one of the system's, or does nothing.
        unsafe { libc::signal(libc::SIGXFSZ, to) }
    }

    #[test]
    fn the_default_is_replaced_and_a_handler_of_the_host_is_not() {
        let before = set(libc::SIG_DFL);
        survive_file_limit();
        assert_eq!(
            set(handler as *const () as libc::sighandler_t),
            libc::SIG_IGN
        );
        survive_file_limit();
        assert_eq!(set(before), handler as *const () as libc::sighandler_t);
    }
}
