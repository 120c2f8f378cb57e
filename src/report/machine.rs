//! How much memory there is for a node without a quota.

use std::fs;
use std::sync::OnceLock;

/// Limits of the control group of the process as seen from inside a container, by the second and
/// by the first version of the interface.
const GROUP_LIMITS: [&str; 2] = [
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
];

/// What is taken when nothing says how much there is: a number that signed readers take too.
const UNKNOWN: u64 = i64::MAX as u64;

/// Memory of the machine, or of the container if that is less; looked up once.
pub(super) fn memory_bytes() -> u64 {
    static BYTES: OnceLock<u64> = OnceLock::new();
    *BYTES.get_or_init(|| {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let groups = GROUP_LIMITS.map(read);
        smallest(
            &read("/proc/meminfo"),
            groups.each_ref().map(String::as_str),
        )
    })
}

/// The least of the total in `meminfo` and of the limits, each a number or something else for none.
fn smallest(meminfo: &str, limits: [&str; 2]) -> u64 {
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.strip_suffix("kB"))
        .and_then(|kilobytes| kilobytes.trim().parse::<u64>().ok())
        .map(|kilobytes| kilobytes.saturating_mul(1024));
    let limits = limits.map(|limit| limit.trim().parse::<u64>().ok());
    let known = limits.into_iter().flatten().chain(total);
    known.filter(|bytes| *bytes > 0).min().unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_counts_and_there_always_is_one() {
        let meminfo = "MemTotal:        2048 kB\nMemFree:         1 kB\n";
        assert_eq!(smallest(meminfo, ["max\n", ""]), 2 << 20);
        assert_eq!(smallest(meminfo, ["1048576\n", ""]), 1 << 20);
        assert_eq!(smallest(meminfo, ["", "9223372036854771712\n"]), 2 << 20);
        assert_eq!(smallest(meminfo, ["0", "x"]), 2 << 20);
        assert_eq!(smallest("", ["", ""]), i64::MAX as u64);
        assert!((1 << 20..=UNKNOWN).contains(&memory_bytes()));
    }
}
