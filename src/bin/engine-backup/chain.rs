//! Which backups belong together: a full one and those that go on from it, one after the other.

use std::path::Path;

use crate::reader::{self, Backup};

impl Backup {
    /// Whether it needs no older one.
    pub(crate) fn stands_alone(&self) -> bool {
        self.begin.is_full() || self.end.vbuckets.values().all(|it| it.whole)
    }

    fn goes_on_from(&self, other: &Self) -> bool {
        self.begin.base == other.begin.id
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// Reads backups to their ends and puts them in order, the oldest one first.
///
/// # Errors
/// Says which one is damaged, or why they do not fit together.
pub(crate) fn read<P: AsRef<Path>>(paths: &[P]) -> Result<Vec<Backup>, String> {
    let backups: Result<Vec<Backup>, String> = paths
        .iter()
        .map(|path| reader::read(path.as_ref(), &mut |_| {}))
        .collect();
    order(backups?)
}

/// Reads one that is not to be restored, whatever it goes on from.
///
/// # Errors
/// It is damaged.
pub(crate) fn read_one(path: &Path) -> Result<Backup, String> {
    reader::read(path, &mut |_| {})
}

fn order(mut rest: Vec<Backup>) -> Result<Vec<Backup>, String> {
    for (index, backup) in rest.iter().enumerate() {
        let same = |other: &&Backup| other.begin.id == backup.begin.id;
        if let Some(other) = rest.iter().skip(index + 1).find(same) {
            let (one, two) = (backup.name(), other.name());
            return Err(format!("{one} and {two} are the same backup"));
        }
    }
    let first = |backup: &Backup| !rest.iter().any(|other| backup.goes_on_from(other));
    let Some(at) = rest.iter().position(first) else {
        return Err("these backups go on from each other in a circle".to_owned());
    };
    let begin = rest.remove(at);
    if !begin.stands_alone() {
        return Err(format!(
            "{} goes on from an older backup that is not among these: name that, too",
            begin.name()
        ));
    }
    let mut ordered = vec![begin];
    while let Some(last) = ordered.last().filter(|_| !rest.is_empty()) {
        let mut next = (0..).zip(&rest).filter(|(_, it)| it.goes_on_from(last));
        let Some((at, found)) = next.next() else {
            let other = rest.first().map(Backup::name).unwrap_or_default();
            return Err(format!("{other} does not go on from {}", last.name()));
        };
        if let Some((_, other)) = next.next() {
            return Err(format!(
                "{} and {} both go on from {}: name one of them",
                found.name(),
                other.name(),
                last.name()
            ));
        }
        let mut vbuckets = found.end.vbuckets.iter().filter(|(_, it)| !it.whole);
        if let Some((vbucket, _)) = vbuckets.find(|(id, _)| !last.end.vbuckets.contains_key(id)) {
            return Err(format!(
                "{} has changes of vbucket {vbucket} only, and {} nothing of it",
                found.name(),
                last.name()
            ));
        }
        ordered.push(rest.remove(at));
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::writer::{Begin, Moment, Standing, Writer};

    struct Files(tempfile::TempDir);

    impl Files {
        fn write(&self, id: u8, base: u8, whole: bool, vbuckets: &[u16]) -> PathBuf {
            let path = self.0.path().join(format!("{id}-{base}"));
            let begin = Begin {
                id: [id; 16],
                base: [base; 16],
                ..Begin::default()
            };
            let writer = Writer::new(&path, &begin).unwrap();
            let standing = Standing { whole, next: 1 };
            let vbuckets = vbuckets.iter().map(|&vbucket| (vbucket, standing));
            writer
                .finish(Moment::EachItsOwn, vbuckets.collect())
                .unwrap();
            path
        }
    }

    #[test]
    fn they_are_put_in_order_however_they_are_named() {
        let files = Files(tempfile::tempdir().unwrap());
        let full = files.write(1, 0, true, &[0, 1]);
        let second = files.write(2, 1, false, &[0, 1]);
        let third = files.write(3, 2, false, &[1]);
        for paths in [
            [&full, &second, &third],
            [&third, &second, &full],
            [&second, &full, &third],
        ] {
            let ids: Vec<u8> = { read(&paths).unwrap() }
                .iter()
                .map(|backup| backup.begin.id[0])
                .collect();
            assert_eq!(ids, [1, 2, 3]);
        }
        // All states are in it, though it was made as an incremental one.
        let alone = files.write(4, 3, true, &[0]);
        assert_eq!(read(&[&alone]).unwrap().len(), 1);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let files = Files(tempfile::tempdir().unwrap());
        let full = files.write(1, 0, true, &[0]);
        let second = files.write(2, 1, false, &[0]);
        let third = files.write(3, 2, false, &[0]);
        let fork = files.write(4, 1, false, &[0]);
        let other = files.write(5, 0, true, &[0]);
        let lacking = files.write(6, 1, false, &[0, 9]);
        let copy = full.with_extension("copy");
        std::fs::copy(&full, &copy).unwrap();
        for (paths, words) in [
            (vec![&second], "not among these"),
            (vec![&full, &third], "does not go on from"),
            (vec![&full, &second, &fork], "both go on from"),
            (vec![&full, &other], "does not go on from"),
            (vec![&full, &copy], "the same backup"),
            (vec![&full, &lacking], "vbucket 9"),
        ] {
            let error = read(&paths).unwrap_err();
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
