//! A document that the project names is in it, and has the heading that is named.

use std::cell::Cell;
use std::collections::HashSet;
use std::path::{Component, Path};

use super::{File, Findings, check, files};

/// Folders of documents that only their authors have.
const ELSEWHERE: &[&str] = &["facts/", "guide/", "design/"];

/// The paths of documents that a line names, each with what stands behind it.
fn named(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let ends = line.match_indices(".md").filter_map(|(at, end)| {
        let end = at + end.len();
        let behind = &line[end..];
        let goes_on = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        (!behind.starts_with(goes_on)).then_some(end)
    });
    ends.filter_map(|end| {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_-./{}*".contains(letter);
        let path = line[..end].rsplit(|letter| !is_part(letter)).next()?;
        // A pattern, or the ending alone.
        (path != ".md" && !path.contains(['{', '*'])).then_some((path, &line[end..]))
    })
}

/// A path without `.` and `..`, read from a folder.
fn from(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let path = Path::new(folder).join(path);
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::Normal(name) => parts.extend(name.to_str()),
            _ => {}
        }
    }
    parts.join("/")
}

/// The heading that `path, "Heading"` names.
fn heading(behind: &str) -> Option<&str> {
    let behind = behind.strip_prefix('`').unwrap_or(behind);
    let rest = behind.strip_prefix(", ")?.strip_prefix('"')?;
    rest.split_once('"').map(|(heading, _)| heading)
}

fn has_heading(document: &File, heading: &str) -> bool {
    let mut lines = document.text.lines();
    lines.any(|line| line.starts_with("##") && line.trim_start_matches('#').trim() == heading)
}

fn look(file: &File, documents: &[File], findings: &mut Findings) {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    for (number, line) in file.lines() {
        for (path, behind) in named(line) {
            let here = [from("", path), from(folder, path)];
            let found = documents.iter().find(|it| here.contains(&it.path));
            let Some(document) = found else {
                findings.push(file.finding(number, &format!("{path} is not in the project")));
                continue;
            };
            if let Some(heading) = heading(behind).filter(|it| !has_heading(document, it)) {
                findings.push(file.finding(number, &format!("{path} has no heading {heading:?}")));
            }
        }
        for word in ELSEWHERE {
            let beside = |at: usize| line[..at].ends_with(|it: char| it.is_ascii_alphanumeric());
            if line.match_indices(word).any(|(at, _)| !beside(at)) {
                findings.push(file.finding(number, &format!("{word} is not in the project")));
            }
        }
    }
}

#[test]
fn documents_that_are_named_exist() {
    let mut documents = files();
    documents.retain(|file| file.is(&["md"]));
    check("a document that does not exist", |file, findings| {
        if file.path != "tests/tidy/documents.rs" {
            look(file, &documents, findings);
        }
    });
}

#[test]
fn every_page_is_named_by_another() {
    let files = files();
    let pages = files
        .iter()
        .filter(|file| file.is(&["md"]) && file.path.starts_with("docs/"));
    let mut orphans: HashSet<&str> = pages.map(|file| file.path.as_str()).collect();
    for file in files.iter().filter(|file| file.is(&["md"])) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (path, _) in file.lines().flat_map(|(_, line)| named(line)) {
            let path = from(folder, path);
            if path != file.path {
                orphans.remove(path.as_str());
            }
        }
    }
    assert!(orphans.is_empty(), "no page names {orphans:?}");
}

/// The opcodes that the first cell of a row names, each with its name in the second one.
fn rows_of(page: &str) -> HashSet<(String, String)> {
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| 0x")?.split('|');
        let opcodes = cells.next()?.split(", ");
        let names = cells.next()?.split(", ");
        let clean = |text: &str| text.trim().trim_start_matches("0x").to_owned();
        Some(opcodes.map(clean).zip(names.map(clean)).collect::<Vec<_>>())
    });
    rows.flatten().collect()
}

#[test]
fn every_opcode_has_its_row() {
    let text = |path: &str| {
        let mut files = files();
        files.retain(|file| file.path == path);
        files.pop().expect(path).text
    };
    let rows = rows_of(&text("docs/protocol.md"));
    let constants = text("src/constants.rs");
    let opcodes = constants.lines().filter_map(|line| {
        let (name, rest) = line
            .strip_prefix("pub const CHECKPOINT_ENGINE_CMD_")?
            .split_once(": u8 = 0x")?;
        let name = name.trim_start_matches("ONLINE_UPDATE_");
        Some((rest.trim_end_matches(';').to_owned(), name.to_owned()))
    });
    let opcodes: Vec<_> = opcodes.collect();
    assert!(opcodes.len() > 20, "{opcodes:?}");
    for opcode in opcodes {
        assert!(
            rows.contains(&opcode),
            "docs/protocol.md has no row of {opcode:?}"
        );
    }
}

/// Names of tests among what a line has in backquotes: words with three underscores or more, and
/// what begins like a test of the clients.
fn tests_of(line: &str) -> Vec<&str> {
    let quoted = line.split('`').skip(1).step_by(2);
    let is_name = |word: &&str| {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_.".contains(letter);
        let named = word.starts_with("test_") || word.matches('_').count() > 2;
        named && word.chars().all(plain) && !word.starts_with("tap_ack")
    };
    quoted.filter(is_name).collect()
}

/// Whether there is such a test.
fn is_test(name: &str, files: &[File]) -> bool {
    let mut parts = name.split('.');
    let first = parts.next().unwrap_or_default();
    if !first.starts_with("test_") {
        let head = format!("fn {first}(");
        return files.iter().any(|file| file.text.contains(&head));
    }
    let of = |file: &&File| file.path.ends_with(&format!("/{first}.py"));
    let Some(file) = files.iter().find(of) else {
        return false;
    };
    let class = parts.next().map(|class| format!("class {class}("));
    let test = parts.next().map(|test| format!("def {test}("));
    let mut wanted = [class, test].into_iter().flatten();
    wanted.all(|head| file.text.contains(&head))
}

/// A claim is shown by a test, or it is not made.
#[test]
fn the_tests_that_the_page_on_security_names_exist() {
    let files = files();
    let names = Cell::new(0);
    check("named and not there", |page, findings| {
        if page.path != "docs/security.md" {
            return;
        }
        for (number, line) in page.lines() {
            for name in tests_of(line) {
                names.set(names.get() + 1);
                if !is_test(name, &files) {
                    findings.push(page.finding(number, &format!("no test {name}")));
                }
            }
        }
    });
    assert!(names.get() > 40, "{} names were found", names.get());
}

#[test]
fn the_look_for_documents_sees_what_it_should() {
    let line = "see [it](../src/a.md#b), `docs/c.md`, \"Two\" and x.mdx, {name}.md";
    let found: Vec<&str> = named(line).map(|(path, _)| path).collect();
    assert_eq!(found, ["../src/a.md", "docs/c.md"]);
    assert_eq!(heading("`, \"Two\" and"), Some("Two"));
    assert_eq!(from("docs", "../src/a.md"), "src/a.md");
    let document = File {
        path: "docs/c.md".to_owned(),
        text: "# One\n\n## Two\n".to_owned(),
    };
    let lines = "docs/c.md, \"Two\"\ndocs/c.md, \"Three\"\nother.md\nfacts/\n";
    let file = File {
        path: "src/x.rs".to_owned(),
        text: lines.to_owned(),
    };
    let mut findings = Findings::new();
    look(&file, &[document], &mut findings);
    assert_eq!(findings.len(), 3, "{findings:?}");
}
