//! What START opened, in a file: so that a later `complete`, another process, knows it again.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::clock;
use crate::disk;
use crate::nodes::Node;
use crate::start::Started;
use crate::window::{Identity, Process};

/// Tries whether one can be written there, before anything depends on it.
///
/// # Errors
/// Says which file and why.
pub(crate) fn attempt(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Err(disk::failed(path, &ErrorKind::IsADirectory.into()));
    }
    let fresh = fresh(path, "{}\n")?;
    fs::remove_file(&fresh).map_err(|error| disk::failed(&fresh, &error))
}

/// Writes where it stands until it is whole: into a file that is nobody else's. What is there
/// already stays as it is, and half of ours does not stay.
fn fresh(path: &Path, text: &str) -> Result<PathBuf, String> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{}.new", process::id()));
    let fresh = PathBuf::from(fresh);
    let failed = |error: io::Error| disk::failed(&fresh, &error);
    let mut file = File::create_new(&fresh).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(|error| {
        let _ = fs::remove_file(&fresh);
        failed(error)
    })?;
    Ok(fresh)
}

/// Writes it, whole or not at all.
///
/// # Errors
/// Says which file and why.
pub(crate) fn write(path: &Path, nodes: &[Node], started: &Started) -> Result<(), String> {
    let mut windows = Map::new();
    for (node, (identity, process)) in nodes.iter().zip(&started.windows) {
        let checkpoints: Map<String, Value> = identity
            .iter()
            .map(|(vbucket, id)| (vbucket.to_string(), json!(id)))
            .collect();
        let window = json!({
            "checkpoints": checkpoints,
            "pid": process.pid,
            "uptime": process.uptime,
        });
        windows.insert(node.name.clone(), window);
    }
    let begun = clock::today().saturating_sub(clock::now().duration_since(started.at));
    let object = json!({"started": begun.as_secs(), "nodes": windows});
    let fresh = fresh(path, &format!("{object}\n"))?;
    fs::rename(&fresh, path).map_err(|error| {
        let _ = fs::remove_file(&fresh);
        disk::failed(path, &error)
    })
}

/// Reads what was started on these nodes.
///
/// # Errors
/// The file cannot be read, or tells of other nodes: a decision is for all of them.
pub(crate) fn read(path: &Path, nodes: &[Node]) -> Result<Started, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let object: Value = serde_json::from_str(&text)
        .map_err(|error| format!("{} is no record of a START: {error}", path.display()))?;
    let told = object.get("nodes").and_then(Value::as_object);
    let names = told.into_iter().flat_map(Map::keys);
    let missing: Vec<&str> = names
        .filter(|name| nodes.iter().all(|node| node.name != **name))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        return Err(format!(
            "{} tells of {} too: name the same nodes",
            path.display(),
            missing.join(", ")
        ));
    }
    let begun = object.get("started").and_then(Value::as_u64).unwrap_or(0);
    let elapsed = clock::today().saturating_sub(Duration::from_secs(begun));
    let mut windows = Vec::with_capacity(nodes.len());
    for node in nodes {
        let window = object.get("nodes").and_then(|all| all.get(&node.name));
        let window = window.and_then(parse).ok_or_else(|| {
            format!(
                "{} does not tell of {}: name the same nodes",
                path.display(),
                node.name
            )
        })?;
        windows.push(window);
    }
    let now = clock::now();
    let at = now.checked_sub(elapsed).unwrap_or(now);
    Ok(Started { at, windows })
}

fn parse(window: &Value) -> Option<(Identity, Process)> {
    let mut identity = Identity::new();
    for (vbucket, id) in window.get("checkpoints")?.as_object()? {
        identity.insert(vbucket.parse().ok()?, id.as_u64()?);
    }
    let process = Process {
        pid: window.get("pid")?.as_str()?.to_owned(),
        uptime: window.get("uptime")?.as_u64()?,
    };
    Some((identity, process))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_somebody_elses_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let theirs = fresh(&path, "theirs").unwrap();
        let started = Started {
            at: clock::now(),
            windows: Vec::new(),
        };
        assert!(attempt(&path).unwrap_err().contains(".new: File exists"));
        assert!(write(&path, &[], &started).is_err() && !path.exists());
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
        fs::remove_file(&theirs).unwrap();
        attempt(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let node = |name: &str| Node {
            name: name.to_owned(),
            address: "127.0.0.1:1".parse().unwrap(),
        };
        let seven = Process {
            pid: "7".to_owned(),
            uptime: 9,
        };
        let started = Started {
            at: clock::now(),
            windows: vec![(Identity::from([(0, 5), (1023, u64::MAX)]), seven); 2],
        };
        write(&path, &[node("a:1"), node("c:1")], &started).unwrap();
        let error = read(&path, &[node("a:1")]).unwrap_err();
        assert!(
            error.contains("c:1 too") && !error.contains("a:1"),
            "{error}"
        );
        let started = Started {
            windows: started.windows[..1].to_vec(),
            ..started
        };
        write(&path, &[node("a:1")], &started).unwrap();
        let read_back = read(&path, &[node("a:1")]).unwrap();
        assert_eq!(read_back.windows, started.windows);
        let error = read(&path, &[node("a:1"), node("b:1")]).unwrap_err();
        assert!(error.contains("b:1"), "{error}");
        fs::write(&path, "{").unwrap();
        assert!(
            read(&path, &[node("a:1")])
                .unwrap_err()
                .contains("no record")
        );
    }
}
