//! From an author's types to the exported symbol: [`export_backend!`](crate::export_backend).

use crate::{Backend, Methods};

/// What the macro needs of abi_stable, so that authors need not depend on it.
pub mod reexport {
    pub use abi_stable;

    pub use crate::instance::{Opened, manifest, open};
}

/// What `export_backend!` says of a backend.
pub trait Exported: Backend {
    /// The plugin's name.
    const NAME: &'static str;
    /// What people read.
    const TITLE: &'static str;
    /// The plugin's version.
    const VERSION: &'static str;

    /// The capabilities named in the macro.
    fn methods() -> Methods<Self>;
}

/// Exports a backend from a `cdylib`: its type, its capabilities, its name and its title.
///
/// A crate that uses it can `#![forbid(unsafe_code)]`: what it needs of that is in this macro.
#[macro_export]
macro_rules! export_backend {
    ($backend:ty: $($capability:ident),+ $(,)?; name = $name:expr, title = $title:expr $(,)?) => {
        const _: () = {
            use $crate::reexport::abi_stable;

            impl $crate::Exported for $backend {
                const NAME: &'static str = $name;
                const TITLE: &'static str = $title;
                const VERSION: &'static str = env!("CARGO_PKG_VERSION");

                fn methods() -> $crate::Methods<Self> {
                    $crate::Methods::default()$(.$capability())+
                }
            }

            extern "C" fn manifest() -> abi_stable::std_types::RString {
                $crate::reexport::manifest::<$backend>()
            }

            extern "C" fn open(
                opening: abi_stable::std_types::RVec<u8>,
                host: $crate::abi::HostObject,
            ) -> $crate::reexport::Opened {
                $crate::reexport::open::<$backend>(opening, host)
            }

            fn root() -> $crate::abi::PluginRootRef {
                use abi_stable::prefix_type::PrefixTypeTrait;
                $crate::abi::PluginRoot { manifest, open }.leak_into_prefix()
            }

            extern "C" fn loader() -> abi_stable::library::RootModuleResult {
                abi_stable::library::__call_root_module_loader(root)
            }

            // SAFETY: what `#[export_root_module]` of abi_stable 0.11 expands to. The name is the
            // loader's own; the header is made of the module type that `loader` returns.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static ROOT_MODULE: abi_stable::library::LibHeader = unsafe {
                abi_stable::library::LibHeader::from_constructor::<$crate::abi::PluginRootRef>(
                    loader,
                    abi_stable::library::CheckTypeLayout::Yes,
                )
            };
        };
    };
}
