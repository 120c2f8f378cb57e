//! Three small things: refuses to build when the committed bindings are older than the C headers,
//! sets linker flags of the shared library, and, with feature `regenerate`, runs bindgen and
//! cbindgen into `OUT_DIR` for `tests/generated.rs` to compare. Never writes the source tree.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Headers of a kind of host, and what bindgen makes of them.
struct Kind {
    headers: &'static str,
    bindings: &'static str,
    /// What bindgen reads.
    #[cfg(feature = "regenerate")]
    wrapper: &'static str,
    /// Name of the result.
    #[cfg(feature = "regenerate")]
    result: &'static str,
    /// Types that come from elsewhere.
    #[cfg(feature = "regenerate")]
    uses: &'static str,
    /// Whether it has what other headers of the same folder define.
    #[cfg(feature = "regenerate")]
    recursive: bool,
}

const KINDS: [Kind; 2] = [
    Kind {
        headers: "include/memcached",
        bindings: "src/abi/bindings.rs",
        #[cfg(feature = "regenerate")]
        wrapper: "src/abi/bindings.h",
        #[cfg(feature = "regenerate")]
        result: "bindings.rs",
        #[cfg(feature = "regenerate")]
        uses: "use libc::{FILE, iovec, time_t};",
        #[cfg(feature = "regenerate")]
        recursive: true,
    },
    Kind {
        headers: "include/arcus",
        bindings: "src/abi/arcus/bindings.rs",
        #[cfg(feature = "regenerate")]
        wrapper: "include/arcus/engine.h",
        #[cfg(feature = "regenerate")]
        result: "arcus_bindings.rs",
        #[cfg(feature = "regenerate")]
        uses: "use libc::{FILE, time_t};

use crate::abi::bindings::{
    ADD_RESPONSE, ADD_STAT, ENGINE_ERROR_CODE, ENGINE_HANDLE, ENGINE_STORE_OPERATION,
    SERVER_CALLBACK_API, SERVER_EXTENSION_API, SERVER_LOG_API, SERVER_STAT_API, config_item,
    engine_info, item, protocol_binary_request_header, rel_time_t, token_t,
};",
        #[cfg(feature = "regenerate")]
        recursive: false,
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    for kind in KINDS {
        let headers = headers(&kind)?;
        for path in headers
            .iter()
            .map(PathBuf::as_path)
            .chain([Path::new(kind.headers), Path::new(kind.bindings)])
        {
            println!("cargo::rerun-if-changed={}", path.display());
        }
        let stamp = stamp(&kind, &headers)?;
        #[cfg(not(feature = "regenerate"))]
        check(&kind, &stamp)?;
        #[cfg(feature = "regenerate")]
        regenerate(&kind, &stamp)?;
    }
    #[cfg(feature = "regenerate")]
    regenerate_header()?;
    // Threads of the database library may outlive the last handle: never unmap the code.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // rustc exports create_instance alone; this keeps the C allocator's symbols inside too.
    println!("cargo::rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
    println!("cargo::rustc-check-cfg=cfg(checkpoint_engine_system_alloc)");
    Ok(())
}

/// The C headers that the bindings were made of, sorted by name.
fn headers(kind: &Kind) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut headers = Vec::new();
    for entry in fs::read_dir(kind.headers)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "h") {
            headers.push(path);
        }
    }
    headers.sort();
    Ok(headers)
}

/// First line of the bindings: says which headers they were made of.
fn stamp(kind: &Kind, headers: &[PathBuf]) -> Result<String, Box<dyn Error>> {
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
        "// Generated from {}/*.h (FNV-1a {hash:016x}) by `make regenerate`.",
        kind.headers
    ))
}

/// Refuses to build with stale bindings.
#[cfg(not(feature = "regenerate"))]
fn check(kind: &Kind, stamp: &str) -> Result<(), Box<dyn Error>> {
    let Kind {
        headers, bindings, ..
    } = kind;
    let found = fs::read_to_string(bindings)?;
    if found.lines().next() != Some(stamp) {
        println!(
            "cargo::error={bindings} does not belong to the headers in {headers}: run `make \
             regenerate` (or BLESS=1 cargo test --features regenerate --test generated)"
        );
        return Err("stale bindings".into());
    }
    Ok(())
}

#[cfg(feature = "regenerate")]
fn out_dir() -> Result<PathBuf, Box<dyn Error>> {
    Ok(PathBuf::from(
        std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?,
    ))
}

/// Runs bindgen into `OUT_DIR`.
#[cfg(feature = "regenerate")]
fn regenerate(kind: &Kind, stamp: &str) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", kind.wrapper);
    let bindings = bindgen::Builder::default()
        .header(kind.wrapper)
        .clang_arg("-std=c11")
        .raw_line(stamp)
        .disable_header_comment()
        .allowlist_file(format!(".*{}/[a-z_]+\\.h", kind.headers))
        .allowlist_recursively(kind.recursive)
        .blocklist_type("iovec|__.*|(u?int(8|16|32|64)|s?size|time)_t|_?FILE|_IO_.*")
        .raw_line(kind.uses)
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
    bindings.write_to_file(out_dir()?.join(kind.result))?;
    Ok(())
}

/// Runs cbindgen into `OUT_DIR`.
#[cfg(feature = "regenerate")]
fn regenerate_header() -> Result<(), Box<dyn Error>> {
    const CONSTANTS: &str = "src/constants.rs";
    const SYMBOL: &str = "src/abi/load.rs";
    for path in [CONSTANTS, SYMBOL, "cbindgen.toml"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let mut config = cbindgen::Config::from_file("cbindgen.toml")?;
    let version = std::env::var("CARGO_PKG_VERSION")?;
    config.after_includes = Some(format!(
        "\n/* Version of the engine that this file belongs to. */\n\
         #define CHECKPOINT_ENGINE_VERSION \"{version}\"\n{}",
        defines(&fs::read_to_string(CONSTANTS)?)?
    ));
    cbindgen::Builder::new()
        .with_config(config)
        .with_src(SYMBOL)
        .generate()?
        .write_to_file(out_dir()?.join("checkpoint_engine.h"));
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
