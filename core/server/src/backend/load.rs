//! Loading a checked plugin: the only unsafe code of the server.
//!
//! **Invariants:** what is loaded has been checked and sealed by `file`; abi_stable's header is
//! checked before anything behind it is believed, the layout before anything is called; a library
//! is never unloaded.

#![allow(unsafe_code, reason = "dlopen")]

use std::{error::Error as _, mem::ManuallyDrop};

use abi_stable::library::{
    AbiHeaderRef, LibraryError, ROOT_MODULE_LOADER_NAME_WITH_NUL, RootModule,
};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use omnigent_plugin::abi::PluginRootRef;

use super::{LoadError, file::Sealed};

/// Loads a plugin and returns what it exports.
pub(super) fn load(sealed: Sealed) -> Result<PluginRootRef, LoadError> {
    // SAFETY: dlopen runs the library's constructors. The operator named this file, it belongs to
    // root or to us, nobody else can write it, and it is whole: that is as much as can be known.
    // RTLD_NOW: a missing symbol is an error here and not the end of the process at the first call.
    let library =
        unsafe { Library::open(Some(sealed.path()), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
            LoadError::Linker {
                message: reason(&error),
            }
        })?;
    sealed.keep();
    // For ever, plugin or not: what it exports is used until the process ends, and a stranger's
    // threads may run in it.
    let library = ManuallyDrop::new(library);
    // SAFETY: the symbol, if it is there, is by its mangled name abi_stable's root module header,
    // whose first bytes are the same in every version of it. `upgrade` checks them before it
    // believes the rest.
    let header =
        unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) }
            .map(|symbol| *symbol)
            .map_err(|_| LoadError::NoRoot)?;
    let header = header.upgrade().map_err(|_| LoadError::OtherAbi)?;
    let theirs = header.version_strings().version.as_str();
    let ours = PluginRootRef::VERSION_STRINGS.version.as_str();
    if theirs.split('.').next() != ours.split('.').next() {
        return Err(LoadError::OtherContract {
            theirs: theirs.to_owned(),
            ours: ours.to_owned(),
        });
    }
    header.check_layout::<PluginRootRef>().map_err(|error| {
        if let LibraryError::AbiInstability(details) = &error {
            tracing::debug!(%details, "the plugin's layout differs");
        }
        LoadError::OtherLayout {
            theirs: theirs.to_owned(),
            ours: ours.to_owned(),
        }
    })
}

/// The linker's own words: libloading's `Display` says only that dlopen failed.
fn reason(error: &libloading::Error) -> String {
    let words = error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string);
    words.lines().next().unwrap_or_default().to_owned()
}
