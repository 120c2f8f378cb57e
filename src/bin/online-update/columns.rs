//! Two values side by side: as text where they are text, else as hexadecimal digits.

use std::fmt::Write as _;

use crate::text;

/// Characters of a column.
const WIDTH: usize = 36;
/// Most lines of a value that are shown.
const LINES_MAX: usize = 24;
/// Bytes on a line of digits.
const HEX_BYTES: usize = 12;

/// The lines of a value, none longer than a column.
pub(crate) fn lines(value: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(text) = text::as_text(value) {
        for line in text.lines() {
            let letters: Vec<char> = line.replace('\t', "    ").chars().collect();
            if letters.is_empty() {
                lines.push(String::new());
            }
            lines.extend(
                letters
                    .chunks(WIDTH)
                    .map(|part| part.iter().collect::<String>()),
            );
            if lines.len() > LINES_MAX {
                break;
            }
        }
    } else {
        for part in value.chunks(HEX_BYTES).take(LINES_MAX + 1) {
            let mut line = String::new();
            for byte in part {
                // Writing to a String does not fail.
                let _ = write!(line, "{byte:02x} ");
            }
            lines.push(line.trim_end().to_owned());
        }
    }
    if lines.len() > LINES_MAX {
        lines.truncate(LINES_MAX);
        lines.push(format!("... ({} in all)", text::size(value.len() as u64)));
    }
    if lines.is_empty() {
        lines.push("(empty)".to_owned());
    }
    lines
}

/// Rows with the lines of both.
pub(crate) fn side_by_side(old: &[String], new: &[String]) -> Vec<String> {
    let rows = (0..old.len().max(new.len())).map(|index| {
        let left = old.get(index).map_or("", String::as_str);
        let right = new.get(index).map_or("", String::as_str);
        format!("{left:WIDTH$} | {right}").trim_end().to_owned()
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_as_text_and_the_rest_as_digits() {
        assert_eq!(lines(b"one\n\ntwo\n"), ["one", "", "two"]);
        assert_eq!(lines(b"\0\xff"), ["00 ff"]);
        assert_eq!(lines(b""), ["(empty)"]);
        assert_eq!(lines(&[b'x'; 50]), ["x".repeat(36), "x".repeat(14)]);
        let long = lines(&vec![0; 10_000]);
        assert_eq!(
            (long.len(), long.last().unwrap().as_str()),
            (25, "... (9.7 KiB in all)")
        );
        let long = lines("line\n".repeat(100_000).as_bytes());
        assert_eq!(long.len(), 25);
    }

    #[test]
    fn the_shorter_side_has_empty_rows() {
        let rows = side_by_side(&lines(b"a"), &lines(b"b\nc"));
        assert_eq!(rows, [format!("{:36} | b", "a"), format!("{:36} | c", "")]);
    }
}
