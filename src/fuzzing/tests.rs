//! The committed inputs through the functions that fuzzers call.

#[path = "../bin/shared/replay.rs"]
mod replay;

macro_rules! targets {
    ($($target:ident),+) => {$(
        #[test]
        fn $target() {
            replay::run(stringify!($target), super::$target);
        }
    )+};
}

targets!(
    configuration,
    journal,
    manifest,
    packet,
    records,
    requests,
    tap_connect,
    tap_notify
);
