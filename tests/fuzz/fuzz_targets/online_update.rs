//! The target of `online-update`: its modules are compiled into this program.
#![no_main]
#![allow(dead_code, reason = "the tool does more with them")]

use libfuzzer_sys::fuzz_target;

#[path = "../../../src/bin/shared/client.rs"]
mod client;
#[path = "../../../src/bin/shared/clock.rs"]
mod clock;
#[path = "../../../src/bin/shared/disk.rs"]
mod disk;
#[path = "../../../src/bin/online-update/each.rs"]
mod each;
#[path = "../../../src/bin/shared/exit.rs"]
mod exit;
#[path = "../../../src/bin/online-update/fuzzing.rs"]
mod fuzzing;
#[path = "../../../src/bin/shared/link.rs"]
mod link;
#[path = "../../../src/bin/shared/nodes.rs"]
mod nodes;
#[path = "../../../src/bin/shared/output.rs"]
mod output;
#[path = "../../../src/bin/shared/packet.rs"]
mod packet;
#[path = "../../../src/bin/online-update/program.rs"]
mod program;
#[path = "../../../src/bin/shared/progress.rs"]
mod progress;
#[path = "../../../src/bin/shared/sasl.rs"]
mod sasl;
#[path = "../../../src/bin/online-update/status.rs"]
mod status;
#[path = "../../../src/bin/online-update/sums.rs"]
mod sums;
#[path = "../../../src/bin/shared/text.rs"]
mod text;
#[path = "../../../src/bin/online-update/touched.rs"]
mod touched;
#[path = "../../../src/bin/online-update/window.rs"]
mod window;

mod choice;

const TARGETS: &[(&str, choice::Target)] = &[("online_update", fuzzing::online_update)];

fuzz_target!(|data: &[u8]| choice::run(TARGETS, data));
