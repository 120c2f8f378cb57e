//! The types that a configuration value can have, and how each is read from text.

use std::path::PathBuf;
use std::str::FromStr;

use super::text::size;
use super::{Delimiter, Durability, HostAbi, OnlineUpdateUndo};

/// What `max_size` and the watermarks are while there is no quota.
pub(crate) const UNLIMITED: u64 = u64::MAX;

/// What a key may be set to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Legal {
    /// A whole number, both ends included.
    Range(u64, u64),
    /// A decimal fraction, both ends included.
    Decimal(f64, f64),
    /// One of these words.
    Words(&'static [&'static str]),
    /// Any text.
    Text,
    /// One printable character.
    Character,
}

impl Legal {
    /// In words.
    pub(super) fn range(self, unit: &str) -> String {
        let unit = match unit {
            "" => String::new(),
            unit => format!(" ({unit})"),
        };
        match self {
            Self::Range(min, UNLIMITED) => format!("a number, {min} or more{unit}"),
            Self::Range(min, max) => format!("a number from {min} to {max}{unit}"),
            Self::Decimal(f64::MIN, f64::MAX) => format!("a number{unit}"),
            Self::Decimal(min, max) => format!("a number from {min} to {max}{unit}"),
            Self::Words(words) => format!("one of {}", words.join(", ")),
            Self::Text => "any text".to_owned(),
            Self::Character => "one printable character".to_owned(),
        }
    }

    /// Whether a text is legal.
    pub(super) fn allows(self, text: &str) -> bool {
        match self {
            Self::Range(..) => u64::read(text, self).is_some(),
            Self::Decimal(..) => f64::read(text, self).is_some(),
            Self::Words(words) => words.contains(&text) || words.contains(&&*text.to_lowercase()),
            Self::Text => true,
            Self::Character => Delimiter::read(text, self).is_some(),
        }
    }

    /// The legal number that is nearest to one of whatever size; `None` where none is wanted, and
    /// for what is no number.
    pub(super) fn nearest(self, text: &str) -> Option<String> {
        match self {
            Self::Range(min, max) => Some(size(text)?.clamp(min, max).to_string()),
            Self::Decimal(min, max) => {
                let number: f64 = text.parse().ok()?;
                number
                    .is_finite()
                    .then(|| number.clamp(min, max).to_string())
            }
            Self::Words(_) | Self::Text | Self::Character => None,
        }
    }
}

/// A type that a configuration value can have.
pub(super) trait Value: Sized {
    /// The value, or `None` when the text is not legal.
    fn read(text: &str, legal: Legal) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty),+) => {
        $(impl Value for $number {
            fn read(text: &str, legal: Legal) -> Option<Self> {
                let Legal::Range(min, max) = legal else { return None };
                let number = size(text).filter(|number| (min..=max).contains(number))?;
                Self::try_from(number).ok()
            }
        })+
    };
}
numbers!(u16, u32, u64, usize);

impl Value for f64 {
    fn read(text: &str, legal: Legal) -> Option<Self> {
        let Legal::Decimal(min, max) = legal else {
            return None;
        };
        Self::from_str(text)
            .ok()
            .filter(|number| (min..=max).contains(number))
    }
}

impl Value for bool {
    fn read(text: &str, _: Legal) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "on" => Some(true),
            "false" | "off" => Some(false),
            _ => None,
        }
    }
}

/// An empty text, which no user can write, stands for "not given".
impl<T: Value> Value for Option<T> {
    fn read(text: &str, legal: Legal) -> Option<Self> {
        if text.is_empty() {
            Some(None)
        } else {
            T::read(text, legal).map(Some)
        }
    }
}

impl Value for PathBuf {
    fn read(text: &str, _: Legal) -> Option<Self> {
        (!text.contains('\0')).then(|| Self::from(text))
    }
}

impl Value for HostAbi {
    fn read(text: &str, _: Legal) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "memcached" => Some(Self::Memcached),
            "membase" => Some(Self::Membase),
            "arcus" => Some(Self::Arcus),
            _ => None,
        }
    }
}

impl Value for Durability {
    fn read(text: &str, _: Legal) -> Option<Self> {
        match text {
            "sync" => Some(Self::Sync),
            "periodic" => Some(Self::Periodic),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}

impl Value for Delimiter {
    fn read(text: &str, _: Legal) -> Option<Self> {
        match *text.as_bytes() {
            [byte] if byte.is_ascii_graphic() => Some(Self(byte)),
            _ => None,
        }
    }
}

impl Value for OnlineUpdateUndo {
    fn read(text: &str, _: Legal) -> Option<Self> {
        match text {
            "disk" => Some(Self::Disk),
            "memory" => Some(Self::Memory),
            _ => None,
        }
    }
}
