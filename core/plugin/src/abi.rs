//! The binary border: small, frozen, checked by abi_stable at load. Authors never see it.
//!
//! **Invariants:** nothing here changes within a major version of the crate; no panic crosses; what
//! a future that crosses is polled for is only the receiving end of work that runs elsewhere.

#![allow(
    unsafe_code,
    missing_docs,
    unused_qualifications,
    non_local_definitions,
    clippy::all,
    reason = "abi_stable's macros"
)]

use abi_stable::{
    StableAbi,
    library::RootModule,
    package_version_strings, sabi_trait,
    sabi_types::VersionStrings,
    std_types::{RBox, ROption, RResult, RSlice, RStr, RString, RVec},
};
pub use async_ffi::FfiFuture;

/// What a plugin library exports.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRootRef)))]
#[sabi(missing_field(panic))]
pub struct PluginRoot {
    /// [`Manifest`](crate::contract::Manifest) as JSON; empty when making it panicked.
    pub manifest: extern "C" fn() -> RString,
    /// Opens an instance: [`Opening`](crate::contract::Opening) as JSON, and the host it may ask.
    #[sabi(last_prefix_field)]
    pub open: extern "C" fn(
        opening: RVec<u8>,
        host: HostObject,
    ) -> FfiFuture<RResult<BackendObject, RVec<u8>>>,
}

impl RootModule for PluginRootRef {
    abi_stable::declare_root_module_statics! {PluginRootRef}
    const BASE_NAME: &'static str = "omnigent_auth";
    const NAME: &'static str = "omnigent_auth";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// An instance.
#[sabi_trait]
pub trait FfiBackend: Send + Sync + 'static {
    /// The fast lane: on the caller's thread.
    fn identify(&self, request: FfiRequest<'_>) -> FfiVerdict;

    /// The slow lane: on the plugin's runtime. JSON in, [`Reply`](crate::contract::Reply) as JSON out.
    fn call(&self, method: RStr<'_>, payload: RVec<u8>) -> FfiFuture<RVec<u8>>;

    /// Lets go of what the instance holds.
    #[sabi(last_prefix_field)]
    fn shutdown(&self);
}

/// An instance, owned.
pub type BackendObject = FfiBackend_TO<RBox<()>>;

/// What an instance may ask.
#[sabi_trait]
pub trait FfiHost: Send + Sync + 'static {
    /// Writes a line to the log.
    fn log(&self, level: u8, message: RStr<'_>);

    /// What can be answered at once.
    fn query(&self, service: RStr<'_>) -> RVec<u8>;

    /// Everything else.
    #[sabi(last_prefix_field)]
    fn call(&self, service: RStr<'_>, payload: RVec<u8>) -> FfiFuture<RVec<u8>>;
}

/// The host, owned by an instance.
pub type HostObject = FfiHost_TO<RBox<()>>;

/// A borrowed request.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct FfiRequest<'a> {
    pub method: RStr<'a>,
    pub path: RStr<'a>,
    pub peer: RStr<'a>,
    pub headers: RSlice<'a, FfiHeader<'a>>,
    /// What later minor versions may tell of a request, by name.
    pub more: RSlice<'a, FfiHeader<'a>>,
}

/// What [`FfiRequest::more`] calls the client's TLS certificate, in DER form.
pub const CLIENT_CERTIFICATE: &str = "tls.client_certificate";

/// What [`FfiRequest::more`] holds when the request came through a proxy the operator trusts.
pub const TRUSTED_PROXY: &str = "proxy.trusted";

/// A header line.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct FfiHeader<'a> {
    pub name: RStr<'a>,
    pub value: RSlice<'a, u8>,
}

impl<'a> FfiHeader<'a> {
    /// A line.
    pub const fn new(name: &'a str, value: &'a [u8]) -> Self {
        Self {
            name: RStr::from_str(name),
            value: RSlice::from_slice(value),
        }
    }
}

/// What the fast lane answers.
#[repr(u8)]
#[derive(StableAbi)]
pub enum FfiVerdict {
    NotMine,
    Denied(RString),
    Accepted(RBox<FfiIdentity>),
    /// A [`BackendError`](crate::BackendError) as JSON.
    Failed(RVec<u8>),
}

/// Who a request is from.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiIdentity {
    pub subject: RString,
    pub issuer: ROption<RString>,
    pub username: ROption<RString>,
    pub email: ROption<RString>,
    pub email_verified: bool,
    pub display_name: ROption<RString>,
    pub groups: RVec<RString>,
    /// What later minor versions may add, as a JSON object; empty for nothing.
    pub more: RString,
}
