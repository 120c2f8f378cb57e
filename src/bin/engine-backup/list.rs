//! What backups say, without a node.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::chain;
use crate::create::moment;
use crate::output::{self, Style};
use crate::reader::{self, Backup};
use crate::record::Record;
use crate::text;

/// Reads backups to their ends and says what they are, and whether they fit together.
///
/// # Errors
/// Says which one is damaged, or why they do not fit together.
pub(crate) fn verify(files: &[PathBuf], style: Style) -> Result<(), String> {
    if let [file] = files {
        let backup = chain::read_one(file)?;
        tell(&backup, style);
        if !backup.stands_alone() {
            let words = "what it goes on from was not looked at, and is needed to restore it: name \
                         all of them to verify that";
            let object = json!({"result": "done", "exit": 0, "backups": 1, "base_read": false});
            style.event(words, &object);
        }
        return Ok(());
    }
    let backups = chain::read(files)?;
    for backup in &backups {
        tell(backup, style);
    }
    let words = format!("they fit together: {} in this order", files.len());
    style.event(
        &words,
        &json!({"result": "done", "exit": 0, "backups": files.len()}),
    );
    Ok(())
}

fn tell(backup: &Backup, style: Style) {
    let Backup { begin, end, .. } = backup;
    let kind = if begin.is_full() {
        "full".to_owned()
    } else {
        format!("goes on from {}", text::hex(&begin.base))
    };
    let words = format!(
        "{}: whole, {kind}; id {}, of {} at {} (Unix seconds); {} and {} of {}, {}; state: {}",
        backup.path.display(),
        text::hex(&begin.id),
        begin.node,
        begin.created,
        text::count(end.values, "value"),
        text::count(end.deletions, "deletion"),
        text::count(end.vbuckets.len() as u64, "vbucket"),
        text::size(backup.bytes),
        moment(end.moment),
    );
    let vbuckets: serde_json::Map<_, _> = { end.vbuckets.iter() }
        .map(|(id, it)| (id.to_string(), json!({"whole": it.whole, "next": it.next})))
        .collect();
    let object = json!({
        "file": backup.path.display().to_string(),
        "id": text::hex(&begin.id),
        "base": (!begin.is_full()).then(|| text::hex(&begin.base)),
        "node": begin.node,
        "created": begin.created,
        "kept_as": (!begin.place.is_empty()).then_some(&begin.place),
        "values": end.values,
        "deletions": end.deletions,
        "vbuckets": vbuckets,
        "bytes": backup.bytes,
        "state": moment(end.moment),
    });
    style.event(&words, &object);
}

/// Lists what a backup says of keys that begin with `prefix`, oldest first.
///
/// # Errors
/// It is damaged.
pub(crate) fn list(file: &Path, prefix: &[u8], style: Style) -> Result<(), String> {
    // Nothing is told of one that is damaged.
    chain::read_one(file)?;
    reader::read(file, &mut |record| match *record {
        Record::Deleted { vbucket, key } if key.starts_with(prefix) => {
            let key = text::escape(key);
            output::listed(&match style {
                Style::Text => format!("{vbucket} {key} deleted"),
                Style::Json => json!({"vbucket": vbucket, "key": key, "deleted": true}).to_string(),
            });
        }
        Record::Value {
            vbucket,
            key,
            value,
            flags,
            expiry,
            cas,
        } if key.starts_with(prefix) => {
            let (key, bytes) = (text::escape(key), value.len());
            output::listed(&match style {
                Style::Text => format!(
                    "{vbucket} {key} {bytes} bytes, flags {flags:#x}, expiry {expiry}, cas {cas}"
                ),
                Style::Json => json!({
                    "vbucket": vbucket,
                    "key": key,
                    "bytes": bytes,
                    "flags": flags,
                    "expiry": expiry,
                    "cas": cas,
                })
                .to_string(),
            });
        }
        _ => {}
    })?;
    Ok(())
}
