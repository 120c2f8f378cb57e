//! Which C file may use which: only functions of files that have a lower rank.

use std::collections::{HashMap, HashSet};

use super::{File, Findings, check, files, has_word};

/// The files of each folder, by rank, the lowest first. Those of one rank do not know each other.
const RANKS: &[(&str, &[&str])] = &[
    (
        "c-host/host",
        &["clock config current hash", "log", "server_api", "loader"],
    ),
    (
        "c-host/server",
        &[
            "input output provoked queue stats",
            "cookie engine listener",
            "ascii_line bin_reply bin_request lifetime tap_stream",
            "ascii_extension ascii_stats ascii_store ascii_touch bin_stats bin_store tap",
            "ascii_get proto_bin",
            "proto_ascii",
            "connection",
            "thread",
            "main",
        ],
    ),
    ("c-host/faults", &["ask", "record", "calls", "trap"]),
    ("c-host/replicate", &["say", "link", "plan", "pump", "main"]),
    (
        "c-host/harness",
        &[
            "null_store proxy_engine rules",
            "cookie null_tap",
            "null_command wrapper",
            "arcus_engine",
            "child null_engine",
            "suite",
            "runner",
            "main",
        ],
    ),
    (
        "c-host/bench",
        &[
            "baseline cursors histogram memory",
            "client report",
            "json workload",
            "revert",
            "bench",
        ],
    ),
    (
        "c-host/bench/openloop",
        &[
            "common",
            "samples wire",
            "bulk loop",
            "operator",
            "json table",
            "main",
        ],
    ),
];

/// A C file's folder and its name without the ending.
fn place(path: &str) -> Option<(&str, &str)> {
    let (folder, name) = path.rsplit_once('/')?;
    Some((folder, name.strip_suffix(".c")?))
}

fn rank(path: &str) -> Option<usize> {
    let (folder, name) = place(path)?;
    let (_, ranks) = RANKS.iter().find(|(of, _)| *of == folder)?;
    ranks
        .iter()
        .position(|names| names.split(' ').any(|it| it == name))
}

fn in_ranked_folder(path: &str) -> bool {
    place(path).is_some_and(|(folder, _)| RANKS.iter().any(|(of, _)| *of == folder))
}

/// The code of a C file, line by line: without comments and the contents of strings.
fn code(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut in_comment = false;
    for line in text.lines() {
        let mut code = String::new();
        let mut rest = line;
        while !rest.is_empty() {
            if in_comment {
                let Some(end) = rest.find("*/") else { break };
                rest = &rest[end + 2..];
                in_comment = false;
            } else if let Some(after) = rest.strip_prefix("/*") {
                in_comment = true;
                rest = after;
            } else if let Some(after) = rest.strip_prefix('"') {
                code.push('"');
                let mut escaped = false;
                let end = after.find(|letter| {
                    let ends = letter == '"' && !escaped;
                    escaped = letter == '\\' && !escaped;
                    ends
                });
                rest = end.map_or("", |end| &after[end + 1..]);
            } else {
                let letter = rest.chars().next().unwrap_or_default();
                code.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
        lines.push(code);
    }
    lines
}

/// The functions that a file offers to others: a name in the first column's declaration, with `(`
/// behind it, that is not static and is followed by a body.
fn offered(lines: &[String]) -> HashSet<String> {
    let mut offered = HashSet::new();
    let mut head = String::new();
    for line in lines {
        if line.is_empty() || line.starts_with(['#', '}', ' ', '\t']) && head.is_empty() {
            head.clear();
            continue;
        }
        head.push_str(line);
        if line.ends_with(';') || line.ends_with('}') {
            head.clear();
        } else if line.ends_with('{') {
            let is_own = has_word(&head, "static");
            if let Some((before, _)) = head.split_once('(').filter(|_| !is_own) {
                let name = before.rsplit(|letter: char| !letter.is_alphanumeric() && letter != '_');
                offered.extend(name.take(1).filter(|it| !it.is_empty()).map(str::to_owned));
            }
            head.clear();
        }
    }
    offered
}

fn uses(file: &File, lines: &[String], owners: &HashMap<String, String>) -> Findings {
    let Some(own) = rank(&file.path) else {
        return vec![file.finding(1, "the file has no rank in tests/tidy/c_ranks.rs")];
    };
    let mut findings = Findings::new();
    for (number, line) in (1..).zip(lines) {
        for (name, owner) in owners {
            let is_foreign = *owner != file.path && has_word(line, name);
            if is_foreign && rank(owner).is_none_or(|other| other >= own) {
                let what = format!("uses {name} of {owner}, whose rank is not lower");
                findings.push(file.finding(number, &what));
            }
        }
    }
    findings.sort();
    findings
}

/// Each function of a folder, and the file that it is in.
fn owners(files: &[File], folder: &str) -> HashMap<String, String> {
    let mut owners = HashMap::new();
    for file in files {
        if place(&file.path).is_some_and(|(of, _)| of == folder) {
            for name in offered(&code(&file.text)) {
                owners.insert(name, file.path.clone());
            }
        }
    }
    // Every program has one.
    owners.remove("main");
    owners
}

#[test]
fn c_files_use_only_files_of_lower_rank() {
    let files = files();
    for (folder, ranks) in RANKS {
        let owners = owners(&files, folder);
        assert!(
            owners.len() >= ranks.len(),
            "{folder}: {} functions",
            owners.len()
        );
        check("C imports", |file, findings| {
            let (of, _) = place(&file.path).unwrap_or_default();
            if of == *folder && in_ranked_folder(&file.path) {
                findings.extend(uses(file, &code(&file.text), &owners));
            }
        });
    }
}

#[test]
fn every_c_rank_is_of_a_file() {
    let files = files();
    for (folder, ranks) in RANKS {
        for name in ranks.iter().flat_map(|names| names.split(' ')) {
            let path = format!("{folder}/{name}.c");
            assert!(files.iter().any(|file| file.path == path), "no {path}");
        }
    }
}

#[test]
fn the_scanner_of_c_sees_what_it_should() {
    let low = "static int a(int x) {\n    return x;\n}\n\nint b(int x,\n      int y) {\n\
               return a(x);\n}\n\
               struct s {\n    int z;\n};\nstatic const int t[] = {\n    1,\n};\n";
    let high = "/* b(1) */\nint c(void) {\n    puts(\"b\");\n    return b(1, 2);\n}\n";
    assert_eq!(offered(&code(low)), HashSet::from(["b".to_owned()]));
    assert_eq!(offered(&code(high)), HashSet::from(["c".to_owned()]));
    let file = |path: &str, text: &str| File {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let both = [
        file("c-host/replicate/say.c", high),
        file("c-host/replicate/link.c", low),
    ];
    let owners = owners(&both, "c-host/replicate");
    let found = uses(&both[0], &code(high), &owners);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(uses(&both[1], &code(low), &owners).is_empty());
    let unknown = file("c-host/replicate/novel.c", "");
    assert_eq!(uses(&unknown, &[], &owners).len(), 1);
}
