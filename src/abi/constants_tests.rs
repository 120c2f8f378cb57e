//! The constants of the C header against their sources: configuration, protocol.

use std::fmt::Write as _;

use crate::abi::bindings::{protocol_binary_command, protocol_binary_response_status};
use crate::config::Config;
use crate::constants;

/// The lines that belong between the two marks of this file.
fn expected() -> String {
    let mut text = String::new();
    for key in Config::describe() {
        for line in key.effect {
            writeln!(text, "/// {line}").unwrap();
        }
        let default = if key.default.is_empty() {
            "none"
        } else {
            key.default
        };
        let note = format!("Takes {}; default: {default}.", key.range());
        writeln!(text, "/// {note}").unwrap();
        writeln!(text, "{}", constant(key.key)).unwrap();
    }
    for (alias, key) in Config::aliases() {
        writeln!(text, "/// Configuration key: another name of `{key}`.").unwrap();
        writeln!(text, "{}", constant(alias)).unwrap();
    }
    text
}

fn constant(key: &str) -> String {
    let name = format!("CHECKPOINT_ENGINE_KEY_{}", key.to_uppercase());
    let line = format!("pub const {name}: &CStr = c\"{key}\";");
    if line.len() <= 100 {
        return line;
    }
    format!("pub const {name}: &CStr =\n    c\"{key}\";")
}

#[test]
fn the_configuration_keys_are_those_of_the_configuration() {
    const BEGIN: &str = "// Configuration keys begin.\n";
    const END: &str = "// Configuration keys end.\n";
    let source = include_str!("../constants.rs");
    let begin = source.find(BEGIN).unwrap() + BEGIN.len();
    let found = &source[begin..begin + source[begin..].find(END).unwrap()];
    let expected = expected();
    assert_eq!(found, expected, "put this between the marks:\n{expected}");
}

/// Commands that no host's protocol has a name for.
const OWN: [&str; 6] = [
    "RESTORE_BEGIN",
    "RESTORE_KEY",
    "ONLINE_UPDATE_LOOK",
    "ONLINE_UPDATE_BEFORE",
    "ONLINE_UPDATE_UNDO",
    "ONLINE_UPDATE_DEADLINE",
];

#[test]
fn opcodes_and_statuses_are_those_of_the_protocol() {
    let source = include_str!("../constants.rs");
    let bindings = include_str!("bindings.rs");
    for (kind, generated) in [
        ("CMD", "protocol_binary_command"),
        ("STATUS", "protocol_binary_response_status"),
    ] {
        let mut seen = 0;
        for line in source.lines().filter(|line| line.starts_with("pub const")) {
            let Some((_, rest)) = line.split_once(&format!("CHECKPOINT_ENGINE_{kind}_")) else {
                continue;
            };
            let (name, value) = rest.trim_end_matches(';').split_once(": ").unwrap();
            let value = value.split_once("= 0x").unwrap().1;
            let value = u32::from_str_radix(value, 16).unwrap();
            if kind == "CMD" && OWN.contains(&name) {
                let taken = format!(": {generated} = {generated}({value});");
                assert!(
                    !bindings.contains(&taken),
                    "{name} has the number of another"
                );
                continue;
            }
            let kind = if kind == "STATUS" { "RESPONSE" } else { kind };
            let wanted = format!("PROTOCOL_BINARY_{kind}_{name}: {generated} =");
            let at = bindings.find(&wanted).unwrap_or_else(|| panic!("{wanted}"));
            let number = bindings[at + wanted.len()..]
                .split(['(', ')'])
                .nth(1)
                .unwrap();
            assert_eq!(number, value.to_string(), "{name}");
            seen += 1;
        }
        assert!(seen > 5, "{kind}");
    }
    // What the texts above were compared with are these numbers.
    let start = protocol_binary_command::PROTOCOL_BINARY_CMD_ONLINE_UPDATE_START;
    assert_eq!(
        start.0,
        u32::from(constants::CHECKPOINT_ENGINE_CMD_ONLINE_UPDATE_START)
    );
    let success = protocol_binary_response_status::PROTOCOL_BINARY_RESPONSE_SUCCESS;
    assert_eq!(
        success.0,
        u32::from(constants::CHECKPOINT_ENGINE_STATUS_SUCCESS)
    );
}
