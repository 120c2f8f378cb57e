//! The targets of the library. The environment variable `FUZZ_TARGET` says which it is.
#![no_main]

use checkpoint_engine::fuzzing;
use libfuzzer_sys::fuzz_target;

mod choice;

const TARGETS: &[(&str, choice::Target)] = &[
    ("configuration", fuzzing::configuration),
    ("journal", fuzzing::journal),
    ("manifest", fuzzing::manifest),
    ("packet", fuzzing::packet),
    ("records", fuzzing::records),
    ("requests", fuzzing::requests),
    ("tap_connect", fuzzing::tap_connect),
    ("tap_notify", fuzzing::tap_notify),
];

fuzz_target!(|data: &[u8]| choice::run(TARGETS, data));
