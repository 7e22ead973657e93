//! The build script of what is installed: relocations in their short form, and what is run together
//! next to each other.
//!
//! A start reads all relocations, and they stay resident: in the long form that is half a megabyte of
//! the program and a quarter of one of a plugin. The loader of glibc knows the short form since 2.36.
//!
//! Of code the kernel maps 64 KiB around each page that is run. A package with a file `layout`
//! (scripts/layout) has the functions named there in one place, where they take a third of the memory.

use std::{env, fmt::Write, fs, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=../../scripts/link.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|it| it == value);
    if Path::new("layout").exists() {
        println!("cargo::rerun-if-changed=layout");
        if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") {
            lay_out();
        }
    }
    let is_built_for_here = env::var("HOST").is_ok_and(|host| is("TARGET", &host));
    let is_glibc = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if is_glibc && is_built_for_here && glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's glibc.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let said = String::from_utf8(said.ok()?.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Has the linker place the functions of the list before all others, in its order.
fn lay_out() {
    let list = fs::read_to_string("layout").expect("a readable list");
    let mut script = String::from("SECTIONS {\n  .text.together : {\n");
    for name in list.lines().filter(|line| !line.starts_with('#')) {
        let _ = writeln!(script, "    *(.text.{name})");
    }
    script += "  }\n} INSERT BEFORE .text;\n";
    let path = Path::new(&env::var_os("OUT_DIR").expect("cargo says where")).join("layout.ld");
    fs::write(&path, script).expect("a writable folder");
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", path.display());
}
