//! What is read by one function without a node.

use crate::abi::packet as parse_packet;
use crate::config::Config;
use crate::tap::Request;

/// The user data of TAP_CONNECT, behind four bytes of flags.
///
/// # Panics
/// When it takes memory that what came does not justify.
pub fn tap_connect(data: &[u8]) {
    let Some((flags, data)) = data.split_first_chunk::<4>() else {
        return;
    };
    let flags = u32::from_be_bytes(*flags);
    let Ok(request) = Request::parse(flags, data) else {
        return;
    };
    // Memory goes by what came.
    assert!(request.has.len() * 10 <= data.len());
    assert!(request.vbuckets.as_ref().map_or(0, Vec::len) * 2 <= data.len());
    assert!(request.words().starts_with(&flags.to_string()));
}

/// A request as it reaches `unknown_command`.
///
/// # Panics
/// When a part of it lies outside.
pub fn packet(data: &[u8]) {
    let Some(request) = parse_packet(data) else {
        return;
    };
    let parts = request.extras.len() + request.key.len() + request.value.len();
    assert!(parts + 24 <= data.len());
}

/// A configuration.
///
/// # Panics
/// When it is neither taken nor refused with a sentence.
pub fn configuration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // No other file is read: it could be a device.
    if text.contains("config_file") {
        return;
    }
    match Config::parse(&text) {
        Ok(config) => {
            assert!(config.mem_low_wat <= config.mem_high_wat);
            // The default may be the longer of the two.
            for seconds in [config.getl_default_timeout, config.getl_max_timeout] {
                assert!((1..=86_400).contains(&seconds));
            }
        }
        // A sentence for the operator, which goes to the log as one line of some length.
        Err(sentence) => assert!(!sentence.is_empty() && sentence.len() < 4096, "{sentence}"),
    }
}
