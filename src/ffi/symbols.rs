//! What the process is linked with.

use std::ffi::CStr;

/// Whether the executable, or a library that it is linked with, has a symbol of that name.
pub(crate) fn is_linked(name: &CStr) -> bool {
    // SAFETY: a C string; the handle is a constant of the system's.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    !address.is_null()
}

#[cfg(test)]
mod tests {
    use super::is_linked;

    #[test]
    #[cfg_attr(miri, ignore = "asks the system")]
    fn what_is_there_is_found() {
        assert!(is_linked(c"malloc"));
        assert!(!is_linked(c"a_function_that_nobody_has"));
    }
}
