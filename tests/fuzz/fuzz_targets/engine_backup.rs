//! The targets of `engine-backup`: its modules are compiled into this program. The environment
//! variable `FUZZ_TARGET` says which target it is.
#![no_main]
#![allow(dead_code, reason = "the tool does more with them")]

use libfuzzer_sys::fuzz_target;

#[path = "../../../src/bin/engine-backup/block.rs"]
mod block;
#[path = "../../../src/bin/shared/client.rs"]
mod client;
#[path = "../../../src/bin/shared/clock.rs"]
mod clock;
#[path = "../../../src/bin/shared/disk.rs"]
mod disk;
#[path = "../../../src/bin/engine-backup/fuzzing.rs"]
mod fuzzing;
#[path = "../../../src/bin/shared/heeded.rs"]
mod heeded;
#[path = "../../../src/bin/shared/link.rs"]
mod link;
#[path = "../../../src/bin/shared/nodes.rs"]
mod nodes;
#[path = "../../../src/bin/shared/packet.rs"]
mod packet;
#[path = "../../../src/bin/engine-backup/program.rs"]
mod program;
#[path = "../../../src/bin/engine-backup/reader.rs"]
mod reader;
#[path = "../../../src/bin/engine-backup/record.rs"]
mod record;
#[path = "../../../src/bin/shared/sasl.rs"]
mod sasl;
#[path = "../../../src/bin/engine-backup/signals.rs"]
mod signals;
#[path = "../../../src/bin/engine-backup/stream.rs"]
mod stream;
#[path = "../../../src/bin/shared/text.rs"]
mod text;
#[path = "../../../src/bin/engine-backup/writer.rs"]
mod writer;

mod choice;

const TARGETS: &[(&str, choice::Target)] = &[
    ("backup_file", fuzzing::backup_file),
    ("backup_stream", fuzzing::backup_stream),
];

fuzz_target!(|data: &[u8]| choice::run(TARGETS, data));
