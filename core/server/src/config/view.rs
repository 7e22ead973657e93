//! Values of a configuration as text.
//!
//! **Invariant:** no secret is in what people read. A [`Secret`] shows nothing; of a plugin's own keys,
//! whose meaning only the plugin knows, numbers and switches are shown and texts are not.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde_json::{Map, Value};

use super::{AccountRule, Algorithm, Cidr, LogFormat, LogLevel, Origin, Registration, Webhook};
use crate::{secret::Secret, tls::Version};

/// How much of a value is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// What people may read.
    Shown,
    /// All of it.
    Whole,
}

/// A value as text.
pub(super) trait Shown {
    fn shown(&self, view: View) -> String;
}

/// A value that people do not see.
fn hidden(view: View, whole: impl FnOnce() -> String) -> String {
    match view {
        View::Shown => "set, not shown".to_owned(),
        View::Whole => whole(),
    }
}

macro_rules! shown_as_text {
    ($($type:ty),*) => {$(impl Shown for $type {
        fn shown(&self, _: View) -> String {
            self.to_string()
        }
    })*};
}
shown_as_text!(
    bool, f64, u32, u64, usize, String, SocketAddr, Origin, Cidr, Algorithm
);

macro_rules! shown_as_word {
    ($($type:ty),*) => {$(impl Shown for $type {
        fn shown(&self, _: View) -> String {
            format!("{self:?}").to_lowercase()
        }
    })*};
}
shown_as_word!(AccountRule, LogFormat, LogLevel, Registration);

impl Shown for Version {
    fn shown(&self, _: View) -> String {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
        .to_owned()
    }
}

impl Shown for Duration {
    fn shown(&self, _: View) -> String {
        humantime::format_duration(*self).to_string()
    }
}

impl Shown for PathBuf {
    fn shown(&self, _: View) -> String {
        self.display().to_string()
    }
}

impl Shown for [u8; 32] {
    fn shown(&self, _: View) -> String {
        hex::encode(self)
    }
}

impl Shown for Secret<String> {
    fn shown(&self, view: View) -> String {
        hidden(view, || self.expose().clone())
    }
}

impl Shown for Secret<Vec<u8>> {
    fn shown(&self, view: View) -> String {
        hidden(view, || hex::encode(self.expose()))
    }
}

/// Of a plugin's own key.
impl Shown for Value {
    fn shown(&self, view: View) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Null => "–".to_owned(),
            Self::String(_) | Self::Array(_) | Self::Object(_) => hidden(view, || self.to_string()),
        }
    }
}

/// Of all of a plugin's own keys, which are rows of their own.
impl Shown for Secret<Map<String, Value>> {
    fn shown(&self, view: View) -> String {
        hidden(view, String::new)
    }
}

impl Shown for Webhook {
    fn shown(&self, view: View) -> String {
        let Self { url, secret } = self;
        hidden(view, || {
            format!("{} {}", url.shown(view), secret.shown(view))
        })
    }
}

impl Shown for (String, Secret<Vec<u8>>) {
    fn shown(&self, view: View) -> String {
        format!("{} ({})", self.0, self.1.shown(view))
    }
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self, view: View) -> String {
        let shown = |value: &T| value.shown(view);
        self.as_ref().map_or_else(|| "–".to_owned(), shown)
    }
}

impl<T: Shown> Shown for Vec<T> {
    fn shown(&self, view: View) -> String {
        let items: Vec<_> = self.iter().map(|item| item.shown(view)).collect();
        if items.is_empty() {
            "–".to_owned()
        } else {
            items.join(match view {
                View::Shown => ", ",
                View::Whole => "\0",
            })
        }
    }
}
