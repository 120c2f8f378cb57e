//! Compares the committed generated files byte for byte with what the generators make of today's
//! sources. `BLESS=1` rewrites the committed files instead.
//!
//! Needs feature `regenerate`, which needs libclang (Debian: libclang1-14 libclang-common-14-dev).
#![cfg(feature = "regenerate")]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::Path;

fn compare(committed: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(committed);
    if std::env::var_os("BLESS").is_some_and(|bless| bless == "1") {
        fs::write(&path, generated).unwrap();
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differs = found
        .lines()
        .zip(generated.lines())
        .position(|(left, right)| left != right);
    let line = differs.unwrap_or(found.lines().count().min(generated.lines().count())) + 1;
    assert!(
        found == generated,
        "{committed} differs from what is generated, first in line {line}: run `make regenerate`"
    );
}

#[test]
fn the_bindings_are_what_bindgen_makes_of_the_host_headers() {
    compare(
        "src/abi/bindings.rs",
        include_str!(concat!(env!("OUT_DIR"), "/bindings.rs")),
    );
}

#[test]
fn the_bindings_of_arcus_are_what_bindgen_makes_of_its_header() {
    compare(
        "src/abi/arcus/bindings.rs",
        include_str!(concat!(env!("OUT_DIR"), "/arcus_bindings.rs")),
    );
}

#[test]
fn the_header_is_what_cbindgen_makes_of_the_sources() {
    let generated = include_str!(concat!(env!("OUT_DIR"), "/checkpoint_engine.h"));
    compare("include/checkpoint_engine.h", generated);
}
