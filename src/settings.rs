//! What an operator may change while the engine runs: SET_FLUSH_PARAM (0x82) and SET_TAP_PARAM
//! (0x92). The configuration gives the first values; names and legal ranges are those of ep-engine
//! 1.7. `docs/configuration.md` is made of the table below.
//!
//! Threads: any. Each value stands alone and is read where it is used, so a change takes effect at
//! the next use.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::Config;

/// A number that may change at any time.
#[derive(Debug)]
pub(crate) struct Setting(AtomicU64);

impl Setting {
    fn new(value: impl Into<u64>) -> Self {
        Self(AtomicU64::new(value.into()))
    }

    /// Its value now.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The same as a number of things in memory.
    pub(crate) fn count(&self) -> usize {
        usize::try_from(self.get()).unwrap_or(usize::MAX)
    }

    /// The same in seconds, as the clocks count them.
    pub(crate) fn seconds(&self) -> u32 {
        u32::try_from(self.get()).unwrap_or(u32::MAX)
    }

    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// The command a parameter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// SET_FLUSH_PARAM.
    Flush,
    /// SET_TAP_PARAM.
    Tap,
}

/// Why a parameter was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetError {
    /// No parameter of this family has that name.
    Unknown,
    /// The text is no number, or not one of the legal ones.
    OutOfRange,
}

/// A parameter that may be changed.
#[derive(Debug)]
pub(crate) struct Parameter {
    /// Which command changes it.
    pub(crate) family: Family,
    /// Its name, which is that of its configuration key if it has one.
    pub(crate) name: &'static str,
    /// What it is, in lines.
    #[cfg_attr(not(test), expect(dead_code, reason = "for docs/configuration.md"))]
    pub(crate) effect: &'static [&'static str],
    /// The smallest and the largest legal number.
    pub(crate) range: (u64, u64),
    of: fn(&Settings) -> &Setting,
}

const ANY: u64 = u64::MAX;

/// One entry per parameter: documentation, name, command, legal range.
macro_rules! parameters {
    ($($(#[doc = $doc:literal])+ $name:ident: $family:ident, $min:literal to $max:expr;)+) => {
        /// The settings, each named like its configuration key.
        #[derive(Debug)]
        pub(crate) struct Settings {
            $($(#[doc = $doc])+ pub(crate) $name: Setting,)+
        }

        /// What may be changed, in the order of this file.
        pub(crate) static PARAMETERS: &[Parameter] = &[$(Parameter {
            family: Family::$family,
            name: stringify!($name),
            effect: &[$($doc.trim_ascii()),+],
            range: ($min, $max),
            of: |settings| &settings.$name,
        },)+];
    };
}

parameters! {
    /// Memory quota in bytes; `u64::MAX` for none: 0, which is none in the configuration, would
    /// leave no write any room, as in ep-engine, and is refused. The watermarks follow it.
    max_size: Flush, 1 to ANY;
    /// Eviction stops here, in bytes.
    mem_low_wat: Flush, 0 to ANY;
    /// Eviction begins here, in bytes.
    mem_high_wat: Flush, 0 to ANY;
    /// Mutations that one transaction of the flusher holds, unless very many wait.
    max_txn_size: Flush, 1 to 10_000_000;
    /// Seconds between the first change that waits and the batch with it and all younger ones.
    min_data_age: Flush, 0 to 86_400;
    /// The same at most, whatever `min_data_age` says.
    queue_age_cap: Flush, 0 to 86_400;
    /// Seconds by which every read of a value from the store is delayed: a test aid.
    bg_fetch_delay: Flush, 0 to 900;
    /// The open checkpoint is closed at this many keys.
    chk_max_items: Flush, 100 to 500_000;
    /// The open checkpoint is closed at this age in seconds.
    chk_period: Flush, 60 to 3600;
    /// With this many checkpoints in memory the open one grows instead of being closed.
    max_checkpoints: Flush, 2 to 5;
    /// Seconds between two runs that delete expired items; 0 never.
    exp_pager_stime: Flush, 0 to ANY;
    /// Milliseconds that SYNC waits.
    sync_cmd_timeout: Flush, 10 to 60_000;
    /// Seconds that a named TAP producer outlives its connection.
    tap_keepalive: Tap, 0 to 3600;
}

impl Settings {
    /// As configured.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            max_size: Setting::new(config.max_size),
            mem_low_wat: Setting::new(config.mem_low_wat),
            mem_high_wat: Setting::new(config.mem_high_wat),
            max_txn_size: Setting::new(config.max_txn_size as u64),
            min_data_age: Setting::new(config.min_data_age),
            queue_age_cap: Setting::new(config.queue_age_cap),
            bg_fetch_delay: Setting::new(0_u32),
            chk_max_items: Setting::new(config.chk_max_items as u64),
            chk_period: Setting::new(config.chk_period),
            max_checkpoints: Setting::new(config.max_checkpoints as u64),
            exp_pager_stime: Setting::new(config.exp_pager_stime),
            sync_cmd_timeout: Setting::new(config.sync_cmd_timeout),
            tap_keepalive: Setting::new(config.tap_keepalive),
        }
    }

    /// What is wrong with the quota and its watermarks together.
    pub(crate) fn contradiction(&self) -> Option<String> {
        let watermarks = (self.mem_low_wat.get(), self.mem_high_wat.get());
        Config::contradiction(watermarks, self.max_size.get())
    }

    /// Changes the parameter `name` to the decimal number in `text`. (ep-engine took text that is
    /// no number for 0; here it is refused.)
    ///
    /// # Errors
    /// Nothing was changed.
    pub(crate) fn set(&self, family: Family, name: &str, text: &str) -> Result<(), SetError> {
        let mut parameters = PARAMETERS.iter();
        let parameter = parameters.find(|it| it.family == family && it.name == name);
        let parameter = parameter.ok_or(SetError::Unknown)?;
        let value = text.parse().map_err(|_| SetError::OutOfRange)?;
        let (min, max) = parameter.range;
        if !(min..=max).contains(&value) {
            return Err(SetError::OutOfRange);
        }
        if name == "max_size" {
            let (low, high) = Config::watermarks(value);
            self.mem_low_wat.set(low);
            self.mem_high_wat.set(high);
        }
        (parameter.of)(self).set(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::new(&Config::parse("max_size=1000").unwrap())
    }

    #[test]
    fn a_parameter_takes_the_numbers_of_its_range_only() {
        let settings = settings();
        for (name, text) in [
            ("chk_max_items", "99"),
            ("chk_max_items", "500001"),
            ("chk_period", "59"),
            ("max_checkpoints", "6"),
            ("min_data_age", "abc"),
            ("min_data_age", "-1"),
            ("min_data_age", ""),
            ("bg_fetch_delay", "901"),
        ] {
            let result = settings.set(Family::Flush, name, text);
            assert_eq!(result, Err(SetError::OutOfRange), "{name}={text}");
        }
        assert_eq!(settings.chk_max_items.get(), 5000);
        settings.set(Family::Flush, "chk_max_items", "100").unwrap();
        assert_eq!(settings.chk_max_items.count(), 100);
    }

    /// None in the configuration; ep-engine took it here, and no write had room from then on.
    #[test]
    fn a_quota_of_nothing_is_refused() {
        let settings = settings();
        let refused = settings.set(Family::Flush, "max_size", "0");
        assert_eq!(refused, Err(SetError::OutOfRange));
        assert_eq!(settings.max_size.get(), 1000);
    }

    #[test]
    fn each_family_has_its_own_names() {
        let settings = settings();
        let unknown = Err(SetError::Unknown);
        assert_eq!(settings.set(Family::Tap, "max_size", "1"), unknown);
        assert_eq!(settings.set(Family::Flush, "tap_keepalive", "1"), unknown);
        assert_eq!(settings.set(Family::Tap, "tap_keepalive", "7"), Ok(()));
        assert_eq!(settings.tap_keepalive.seconds(), 7);
    }

    #[test]
    fn a_new_quota_brings_its_watermarks() {
        let settings = settings();
        assert_eq!(
            (settings.mem_low_wat.get(), settings.mem_high_wat.get()),
            (600, 750)
        );
        settings.set(Family::Flush, "max_size", "2000").unwrap();
        assert_eq!(
            (settings.mem_low_wat.get(), settings.mem_high_wat.get()),
            (1200, 1500)
        );
    }
}
