//! Small functions over texts that [`super::Config::parse`] needs. They know no key.

/// Splits at the first `separator` that no backslash precedes.
pub(super) fn split_unescaped(text: &str, separator: char) -> (&str, Option<&str>) {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if character == separator && !escaped {
            let after = text.get(at + separator.len_utf8()..);
            return (text.get(..at).unwrap_or(text), after);
        }
        escaped = character == '\\';
    }
    (text, None)
}

/// A decimal number with an optional unit: k, m, g or t, alone or followed by b or ib, any case.
pub(super) fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let shift = match unit.trim_ascii().to_ascii_lowercase().as_str() {
        "" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Levenshtein distance without regard to case, counted in bytes. Texts beyond 80 bytes are cut.
pub(super) fn edit_distance(left: &str, right: &str) -> usize {
    const BYTES_MAX: usize = 80;
    let mut row: Vec<usize> = (0..=right.len().min(BYTES_MAX)).collect();
    for (i, a) in left.bytes().take(BYTES_MAX).enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (cell, b) in row
            .iter_mut()
            .zip(std::iter::once(None).chain(right.bytes().map(Some)))
        {
            let Some(b) = b else {
                *cell = i + 1;
                continue;
            };
            let changed = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = *cell;
            *cell = changed.min(before + 1).min(diagonal + 1);
            before = *cell;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// At most 64 characters of a text, for a message.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or("")),
        None => text.to_owned(),
    }
}
