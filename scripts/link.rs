//! The build script of what is installed: relocations in their short form, and what is run together
//! next to each other.
//!
//! A start reads all relocations, and they stay resident: in the long form that is half a megabyte of
//! the program and a quarter of one of a plugin. The loader of glibc knows the short form since 2.36.
//!
//! Of code the kernel maps 64 KiB around each page that is run. A package with a file `layout`
//! (scripts/layout) has the functions named there in one place: they took half as much again elsewhere.

use std::{env, fs, io, path::Path, process::Command};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=../../scripts/link.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|it| it == value);
    if Path::new("layout").exists() {
        println!("cargo::rerun-if-changed=layout");
        if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") {
            lay_out()?;
        }
    }
    let is_built_for_here = env::var("HOST").is_ok_and(|host| is("TARGET", &host));
    let is_glibc = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if is_glibc && is_built_for_here && glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg=-Wl,-z,pack-relative-relocs");
    }
    Ok(())
}

/// The version of this machine's glibc.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let said = String::from_utf8(said.ok()?.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Has the linker place the functions of the list before all others, in its order.
fn lay_out() -> io::Result<()> {
    let list = fs::read_to_string("layout")?;
    let names = list.lines().filter(|line| !line.starts_with('#'));
    let patterns: String = names.map(|name| format!("    *(.text.{name})\n")).collect();
    let script =
        format!("SECTIONS {{\n  .text.together : {{\n{patterns}  }}\n}} INSERT BEFORE .text;\n");
    let folder = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    let path = Path::new(&folder).join("layout.ld");
    fs::write(&path, script)?;
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", path.display());
    Ok(())
}
