//! Three small things: refuses to build when the committed bindings are older than the C headers,
//! sets linker flags of the shared library, and, with feature `regenerate`, runs bindgen and
//! cbindgen into `OUT_DIR` for `tests/generated.rs` to compare. Never writes the source tree.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

const HEADERS: &str = "include/memcached";
const BINDINGS: &str = "src/abi/bindings.rs";

fn main() -> Result<(), Box<dyn Error>> {
    let headers = headers()?;
    for path in headers.iter().map(PathBuf::as_path).chain([
        Path::new(HEADERS),
        Path::new(BINDINGS),
        Path::new("build.rs"),
    ]) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let stamp = stamp(&headers)?;
    #[cfg(not(feature = "regenerate"))]
    check(&stamp)?;
    #[cfg(feature = "regenerate")]
    regenerate(&stamp)?;
    // Threads of the database library may outlive the last handle: never unmap the code.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // rustc exports create_instance alone; this keeps the C allocator's symbols inside too.
    println!("cargo::rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
    println!("cargo::rustc-check-cfg=cfg(checkpoint_engine_system_alloc)");
    Ok(())
}

/// The C headers that the bindings were made of, sorted by name.
fn headers() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut headers = Vec::new();
    for entry in fs::read_dir(HEADERS)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "h") {
            headers.push(path);
        }
    }
    headers.sort();
    Ok(headers)
}

/// First line of the bindings: says which headers they were made of.
fn stamp(headers: &[PathBuf]) -> Result<String, Box<dyn Error>> {
    // FNV-1a, 64 bits: the standard library has no hash that stays the same over its releases.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    for path in headers {
        add(path.file_name().unwrap_or_default().as_encoded_bytes());
        add(&[0]);
        add(&fs::read(path)?);
        add(&[0]);
    }
    Ok(format!(
        "// Generated from {HEADERS}/*.h (FNV-1a {hash:016x}) by `make regenerate`."
    ))
}

/// Refuses to build with stale bindings.
#[cfg(not(feature = "regenerate"))]
fn check(stamp: &str) -> Result<(), Box<dyn Error>> {
    let bindings = fs::read_to_string(BINDINGS)?;
    if bindings.lines().next() != Some(stamp) {
        println!(
            "cargo::error={BINDINGS} does not belong to the headers in {HEADERS}: run `make \
             regenerate` (or BLESS=1 cargo test --features regenerate --test generated)"
        );
        return Err("stale bindings".into());
    }
    Ok(())
}

/// Runs both generators into `OUT_DIR`.
#[cfg(feature = "regenerate")]
fn regenerate(stamp: &str) -> Result<(), Box<dyn Error>> {
    const WRAPPER: &str = "src/abi/bindings.h";
    const CONSTANTS: &str = "src/constants.rs";
    for path in [WRAPPER, CONSTANTS, "src/abi/table.rs", "cbindgen.toml"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let bindings = bindgen::Builder::default()
        .header(WRAPPER)
        .clang_arg("-std=c11")
        .raw_line(stamp)
        .disable_header_comment()
        .allowlist_file(format!(".*{HEADERS}/.*\\.h"))
        .allowlist_recursively(true)
        .blocklist_type("iovec|__.*|(u?int(8|16|32|64)|s?size|time)_t|_?FILE|_IO_.*")
        .raw_line("use libc::{FILE, iovec, time_t};")
        .default_enum_style(bindgen::EnumVariation::NewType {
            is_bitfield: false,
            is_global: false,
        })
        .prepend_enum_name(false)
        .merge_extern_blocks(true)
        .derive_default(false)
        .derive_debug(true)
        .generate_comments(true)
        .layout_tests(true)
        .use_core()
        .rust_target(bindgen::RustTarget::stable(85, 0).map_err(|_| "rust target")?)
        .rust_edition(bindgen::RustEdition::Edition2024)
        .formatter(bindgen::Formatter::Rustfmt)
        .generate()?;
    bindings.write_to_file(out.join("bindings.rs"))?;

    let mut config = cbindgen::Config::from_file("cbindgen.toml")?;
    let version = std::env::var("CARGO_PKG_VERSION")?;
    config.after_includes = Some(format!(
        "\n/* Version of the engine that this file belongs to. */\n\
         #define CHECKPOINT_ENGINE_VERSION \"{version}\"\n{}",
        defines(&fs::read_to_string(CONSTANTS)?)?
    ));
    cbindgen::Builder::new()
        .with_config(config)
        .with_src("src/abi/table.rs")
        .generate()?
        .write_to_file(out.join("checkpoint_engine.h"));
    Ok(())
}

/// The constants as C macros. cbindgen has no strings and turns opcodes into decimal numbers.
#[cfg(feature = "regenerate")]
fn defines(source: &str) -> Result<String, Box<dyn Error>> {
    use std::fmt::Write as _;

    let mut text = String::new();
    let mut comment: Vec<&str> = Vec::new();
    let source = source
        .split("#[cfg(test)]")
        .next()
        .unwrap_or_default()
        .replace("=\n    ", "= ");
    for line in source.lines() {
        if let Some(sentence) = line.strip_prefix("/// ") {
            comment.push(sentence);
        } else if let Some(constant) = line.strip_prefix("pub const ") {
            let (name, value) = constant
                .split_once(": ")
                .ok_or("a constant without a type")?;
            let (_, value) = value
                .split_once(" = ")
                .ok_or("a constant without a value")?;
            let value = value.trim_start_matches('c').trim_end_matches(';');
            let comment = match std::mem::take(&mut comment)[..] {
                [] => return Err(format!("{name} has no comment").into()),
                [line] if line.len() + 6 <= 100 => format!("/* {line} */"),
                ref lines => format!("/*\n * {}\n */", lines.join("\n * ")),
            };
            write!(text, "\n{comment}\n#define {name} {value}\n")?;
        }
    }
    Ok(text.trim_end().to_owned())
}
