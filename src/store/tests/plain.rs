//! What somebody else has put into the directory, and what somebody else may read there.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{open, refusal};
use crate::store::plain;

const NAMES: [&str; 7] = [
    "STORE",
    "STORE.next",
    "LOCK",
    "db",
    "db/version",
    "db/keyspaces/1/current",
    "db/keyspaces/1/tables",
];

/// Puts something in the place of whatever has that name.
fn replace(at: &Path, make: impl FnOnce(&Path)) {
    if at.is_dir() {
        fs::remove_dir_all(at).unwrap();
    } else if at.exists() {
        fs::remove_file(at).unwrap();
    }
    make(at);
}

fn fifo(at: &Path) {
    assert!(Command::new("mkfifo").arg(at).status().unwrap().success());
}

#[test]
fn links_and_fifos_are_neither_followed_nor_waited_for() {
    for name in NAMES {
        for link in [true, false] {
            let folder = TempDir::new().unwrap();
            let path = folder.path().join("store");
            let others = folder.path().join("other's");
            drop(open(&path));
            fs::write(&others, "not ours").unwrap();
            replace(&path.join(name), |at| {
                if link {
                    symlink(&others, at).unwrap();
                } else {
                    fifo(at);
                }
            });
            let sentence = refusal(&path);
            assert!(
                sentence.contains("is a link, a fifo or a device"),
                "{name}: {sentence}"
            );
            assert!(sentence.contains(name), "{name}: {sentence}");
            assert_eq!(fs::read(&others).unwrap(), b"not ours");
        }
    }
}

#[test]
fn an_empty_directory_with_a_link_is_not_written_through() {
    for name in ["STORE.next", "LOCK"] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("store");
        let others = folder.path().join("other's");
        fs::create_dir(&path).unwrap();
        symlink(&others, path.join(name)).unwrap();
        assert!(refusal(&path).contains("is a link"));
        assert!(!others.exists());
    }
}

#[test]
fn what_is_no_directory_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    fifo(&path);
    assert!(refusal(&path).contains("is not a directory"));
    let dangling = folder.path().join("dangling");
    symlink(folder.path().join("nowhere"), &dangling).unwrap();
    assert!(refusal(&dangling).contains("cannot create the store directory"));
}

#[test]
fn an_operator_is_told_who_else_can_read_the_store() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    drop(open(&path));
    let set = |name: &str, mode| {
        fs::set_permissions(path.join(name), Permissions::from_mode(mode)).unwrap();
    };
    assert_eq!(plain::exposed(&path), None);
    set("db", 0o755);
    assert_eq!(plain::exposed(&path), None, "nobody else gets there");
    set("", 0o711);
    assert!(plain::exposed(&path).unwrap().contains("db with mode 755"));
    set("db", 0o700);
    assert_eq!(plain::exposed(&path), None);
    set("", 0o770);
    assert!(plain::exposed(&path).unwrap().contains("has mode 770"));
    set("", 0o700);
    // Only root can give files away.
    if std::os::unix::fs::chown(&path, Some(4_242), None).is_ok() {
        assert!(plain::exposed(&path).unwrap().contains("user 4242"));
    }
}
