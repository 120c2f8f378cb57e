//! The types that a configuration value can have, and how each is read from text.

use std::path::PathBuf;
use std::str::FromStr;

use super::text::size;
use super::{Durability, HostAbi, OnlineUpdateUndo};

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

impl Value for OnlineUpdateUndo {
    fn read(text: &str, _: Legal) -> Option<Self> {
        match text {
            "disk" => Some(Self::Disk),
            "memory" => Some(Self::Memory),
            _ => None,
        }
    }
}
