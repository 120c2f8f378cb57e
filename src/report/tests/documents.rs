//! `docs/configuration.md` and `docs/statistics.md` are made from the code. `BLESS=1` writes them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::config::Config;
use crate::settings::{Family, PARAMETERS};

/// What a page begins with after its title.
const MADE: &str = "Made from the code by `make regenerate`: change it there.";

/// Beginnings of sentences in `constants.rs`, with the headings of what they are about.
const SECTIONS: &[(&str, &str)] = &[
    ("Group of statistics", "Groups"),
    (
        "Statistic, as in memcached",
        "General, as memcached has them",
    ),
    ("Statistic", "General"),
    (
        "Statistic by state",
        "General, by state: `%s` is `active`, `replica` or `pending`",
    ),
    ("Statistic of `onlineupdate`", "`onlineupdate`"),
    (
        "Statistic of a vbucket",
        "By vbucket (`checkpoint`, `hash`, `onlineupdate-vb`): `%u` is its id",
    ),
    (
        "Statistic of `vbucket` and `prev-vbucket`",
        "`vbucket`, `prev-vbucket`",
    ),
    ("Statistic of `key` and `vkey`", "`key`, `vkey`"),
    ("Statistic of `tap`", "`tap`, all streams"),
    (
        "Statistic of a TAP stream or sender",
        "`tap`, one stream or sender: `%s` is its name",
    ),
    (
        "Statistic of a TAP sender",
        "`tap`, one sender: `%s` is its name",
    ),
    (
        "Statistic of `dispatcher`",
        "`dispatcher`: `%s` is `dispatcher`, `ro_dispatcher` or `nio_dispatcher`",
    ),
    ("Statistic of `tapagg`", "`tapagg`: `%s` is the group"),
    ("Statistic of `restore`", "`restore`"),
    ("Statistic of `scrub`", "`scrub`"),
    ("Histogram of `timings`", "`timings`"),
];

fn compare(page: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    if std::env::var_os("BLESS").is_some_and(|bless| bless == "1") {
        fs::write(&path, made).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differs = (1..).zip(found.lines().zip(made.lines()));
    let line = differs
        .clone()
        .find(|(_, (left, right))| left != right)
        .map(|(line, _)| line);
    assert!(
        found == made,
        "{page} is not what the code says, first in line {line:?}: run `make regenerate`"
    );
}

/// A cell of a table.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn configuration() -> String {
    let mut page = format!(
        "# Configuration\n\n{MADE}\n\n\
         The text of `-e`: `key=value;key=value`. Numbers take k, m, g and t (of 1,024). A wrong \
         key or value is a message on stderr and no start.\n\n\
         ## Keys\n\n| key | takes | default | what it does |\n|---|---|---|---|\n"
    );
    for key in Config::describe() {
        let default = match key.default {
            "" => "none".to_owned(),
            default => format!("`{default}`"),
        };
        let (takes, effect) = (cell(&key.range()), cell(&key.effect.join(" ")));
        writeln!(page, "| `{}` | {takes} | {default} | {effect} |", key.key).unwrap();
    }
    page.push_str("| `config_file` | a path | none | a file with further entries, by lines |\n");
    page.push_str("\n## Second names\n\n| name | key |\n|---|---|\n");
    for (alias, key) in Config::aliases() {
        writeln!(page, "| `{alias}` | `{key}` |").unwrap();
    }
    page.push_str(
        "\n## Accepted and without effect\n\nKeys of ep-engine 1.7 and of the hosts' default \
         engine that make no sense here; the log says so once of those that were given. Values \
         that those refused are refused.\n\n| key | why |\n|---|---|\n",
    );
    for (key, reason) in Config::without_effect() {
        writeln!(page, "| `{key}` | {} |", cell(reason)).unwrap();
    }
    page.push_str(
        "\n## What may change while the engine runs\n\nThe key of the command is the name, its \
         value a decimal number.\n\n| name | command | takes | what it is |\n|---|---|---|---|\n",
    );
    for parameter in PARAMETERS {
        let command = match parameter.family {
            Family::Flush => "SET_FLUSH_PARAM (0x82)",
            Family::Tap => "SET_TAP_PARAM (0x92)",
        };
        let range = match parameter.range {
            (min, u64::MAX) => format!("{min} or more"),
            (min, max) => format!("{min} to {max}"),
        };
        let (name, effect) = (parameter.name, cell(&parameter.effect.join(" ")));
        writeln!(page, "| `{name}` | {command} | {range} | {effect} |").unwrap();
    }
    page
}

/// What `constants.rs` says of statistics: the beginning of each sentence, name, the rest.
pub(super) fn sentences() -> Vec<(String, String, String)> {
    let source = include_str!("../../constants.rs").replace("=\n    ", "= ");
    let mut sentences: Vec<(String, String, String)> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in source.lines() {
        if let Some(text) = line.strip_prefix("/// ") {
            comment.push(text);
        } else if let Some(constant) = line.strip_prefix("pub const CHECKPOINT_ENGINE_") {
            let comment = std::mem::take(&mut comment).join(" ");
            let is_one = ["STAT_", "GROUP_", "TIMING_"];
            if !is_one.iter().any(|kind| constant.starts_with(kind)) {
                continue;
            }
            let name = constant.split('"').nth(1).unwrap().to_owned();
            let (begins, rest) = match (comment.split_once(": "), sentences.last()) {
                (Some((begins, rest)), _) => (begins.to_owned(), rest.to_owned()),
                // "The same."
                (None, Some((begins, ..))) => (begins.clone(), comment),
                (None, None) => panic!("{name}: {comment}"),
            };
            let begins = if begins.starts_with("Groups of statistics") {
                "Group of statistics".to_owned()
            } else {
                begins
            };
            sentences.push((begins, name, rest));
        }
    }
    sentences
}

fn statistics() -> String {
    let mut page = format!(
        "# Statistics\n\n{MADE}\n\n\
         `stats` gives the general group, `stats GROUP` another one. Values are text. Names in C \
         are in `include/checkpoint_engine.h`.\n"
    );
    let sentences = sentences();
    for (beginning, heading) in SECTIONS {
        write!(page, "\n## {heading}\n\n| name | what |\n|---|---|\n").unwrap();
        let of = sentences.iter().filter(|(begins, ..)| begins == beginning);
        let mut count = 0;
        for (_, name, rest) in of {
            writeln!(page, "| `{name}` | {} |", cell(rest)).unwrap();
            count += 1;
        }
        assert!(count > 0, "nothing begins with {beginning:?}");
    }
    for (begins, name, _) in &sentences {
        let is_known = SECTIONS.iter().any(|(beginning, _)| beginning == begins);
        assert!(is_known, "{name}: no section for {begins:?}");
    }
    page
}

#[test]
fn the_page_on_configuration_is_what_the_tables_say() {
    compare("docs/configuration.md", &configuration());
}

#[test]
fn the_page_on_statistics_is_what_the_constants_say() {
    compare("docs/statistics.md", &statistics());
}
