//! How bytes, durations and sizes are written and read.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

/// Longest text of a node that is shown, in characters.
const WORDS_MAX: usize = 400;
/// Longest duration that is accepted: a year.
const SECONDS_MAX: u64 = 366 * 24 * 3600;
/// Vbuckets that are named one by one.
const NAMED: usize = 10;

/// A key as it is shown: backslashes, spaces and what is not printable as `\xNN`, like the
/// statistics of the engine show it.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_graphic() && byte != b'\\' {
            text.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The bytes of a key as an operator writes it: `\xNN` is a byte, `\\` a backslash.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (plain, escaped) = rest.split_at(at);
        bytes.extend_from_slice(plain.as_bytes());
        if let Some(after) = escaped.strip_prefix("\\\\") {
            bytes.push(b'\\');
            rest = after;
            continue;
        }
        let digits = escaped.strip_prefix("\\x").and_then(|hex| hex.get(..2));
        // A number may have a sign, a digit has none.
        let digits = digits.filter(|it| it.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (Some(byte), Some(after)) = (byte, escaped.get(4..)) else {
            return Err(format!(
                "{text:?}: a backslash begins \\xNN (a byte, two hexadecimal digits) or \\\\"
            ));
        };
        bytes.push(byte);
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// The bytes as text, if that is what they are: no control characters but line ends and tabs.
pub(crate) fn as_text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    // Alone, a carriage return would let what follows hide what stands before.
    let strange = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    let tame = !text.split("\r\n").any(|line| line.contains(strange));
    tame.then_some(text)
}

/// Two hexadecimal digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Vbuckets as they are told.
pub(crate) fn vbuckets(ids: &BTreeSet<u16>) -> String {
    let named = ids.iter().take(NAMED).map(u16::to_string);
    let named = named.collect::<Vec<_>>().join(", ");
    let plural = if ids.len() == 1 { "" } else { "s" };
    match ids.len().saturating_sub(NAMED) {
        0 => format!("vbucket{plural} {named}"),
        more => format!("vbucket{plural} {named} and {more} more"),
    }
}

/// What a node says, for a terminal: bounded, on one line, nothing that a terminal would obey.
pub(crate) fn words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..WORDS_MAX * 4).unwrap_or(bytes));
    let shown = text.chars().take(WORDS_MAX);
    let tame = shown.map(|letter| if letter.is_control() { ' ' } else { letter });
    tame.collect::<String>().trim().to_owned()
}

/// Reads `90`, `90s`, `15m`, `2h` or `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!("{text:?} is no duration: write seconds, or 90s, 15m, 2h, 1h30m (at most 366 days)")
    };
    let (mut total, mut number) = (0_u64, String::new());
    for letter in text.chars() {
        let factor = match letter {
            '0'..='9' => {
                number.push(letter);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 24 * 3600,
            _ => return Err(wrong()),
        };
        let count: u64 = number.parse().map_err(|_| wrong())?;
        number.clear();
        let seconds = count.checked_mul(factor).ok_or_else(wrong)?;
        total = total.checked_add(seconds).ok_or_else(wrong)?;
    }
    if !number.is_empty() {
        let seconds: u64 = number.parse().map_err(|_| wrong())?;
        total = total.checked_add(seconds).ok_or_else(wrong)?;
    }
    if total == 0 || total > SECONDS_MAX {
        return Err(wrong());
    }
    Ok(Duration::from_secs(total))
}

/// Seconds as people say them.
pub(crate) fn seconds(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Bytes as people say them.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let (mut whole, mut tenths, mut unit) = (bytes, 0, "B");
    for larger in units {
        if whole < 1024 {
            break;
        }
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit = larger;
    }
    if unit == "B" {
        return format!("{whole} B");
    }
    format!("{whole}.{tenths} {unit}")
}

/// `1 key`, `2 keys`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_and_read_back() {
        for key in [&b"plain:key"[..], b"with space", b"\\x41", b"\0\xff\n", b""] {
            assert_eq!(unescape(&escape(key)).unwrap(), key);
        }
        assert_eq!(unescape("a\\\\b").unwrap(), b"a\\b");
        for wrong in ["\\", "\\x", "\\x4", "\\n", "\\xzz", "\\x+4"] {
            assert!(
                unescape(wrong).unwrap_err().contains("backslash"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("90", 90),
            ("90s", 90),
            ("15m", 900),
            ("1h30m", 5400),
            ("1d", 86_400),
        ] {
            assert_eq!(
                duration(text).unwrap(),
                Duration::from_secs(seconds),
                "{text}"
            );
        }
        for wrong in [
            "",
            "0",
            "m",
            "5x",
            "-1",
            "1.5h",
            "99999999999999999999h",
            "400d",
        ] {
            assert!(
                duration(wrong).unwrap_err().contains("no duration"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_a_node_says_is_tame() {
        assert_eq!(words(b"no\x1b[2J\r\nroom "), "no [2J  room");
        assert_eq!(words(&vec![b'x'; 100_000]).len(), WORDS_MAX);
        assert_eq!(as_text(b"line\n"), Some("line\n"));
        assert_eq!(as_text(b"\ttwo\r\nlines\r\n"), Some("\ttwo\r\nlines\r\n"));
        assert_eq!(as_text(b"secret\rshown"), None);
        assert_eq!(as_text(b"secret\r\r\n"), None);
        assert_eq!(as_text(b"\x1b[2J"), None);
        assert_eq!(as_text(b"\xff"), None);
        assert_eq!(hex(b"\0\xff"), "00ff");
    }

    #[test]
    fn sizes_and_times() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(5 << 30), "5.0 GiB");
        assert_eq!(seconds(119), "119 s");
        assert_eq!(seconds(3601), "60 min 1 s");
        assert_eq!(count(1, "key"), "1 key");
    }
}
