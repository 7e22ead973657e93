//! A configuration for people to read.
//!
//! **Invariant:** no secret is in it. A [`Secret`] shows nothing; of a plugin's own keys, whose
//! meaning only the plugin knows, numbers and switches are shown and texts are not.

use std::{fmt::Display, net::SocketAddr, path::PathBuf, time::Duration};

use serde_json::Value;

use super::{
    AccountRule, Accounts, Agent, Algorithm, Audit, Backend, Cidr, Config, Device, LogFormat,
    LogLevel, Metrics, Origin, Passwords, Registration, Server, Sharing, Throttle, Tls, Tokens,
    Tracing, Webhook,
};
use crate::{secret::Secret, tls::Version};

/// Keys and values of a table.
type Rows = Vec<(String, String)>;

/// What people read of a value.
trait Shown {
    fn shown(&self) -> String;
}

const HIDDEN: &str = "set, not shown";

macro_rules! shown_as_text {
    ($($type:ty),*) => {$(impl Shown for $type {
        fn shown(&self) -> String {
            self.to_string()
        }
    })*};
}
shown_as_text!(
    bool, f64, u32, u64, usize, String, SocketAddr, Origin, Cidr, Algorithm
);

macro_rules! shown_as_word {
    ($($type:ty),*) => {$(impl Shown for $type {
        fn shown(&self) -> String {
            format!("{self:?}").to_lowercase()
        }
    })*};
}
shown_as_word!(AccountRule, LogFormat, LogLevel, Registration);

impl Shown for Version {
    fn shown(&self) -> String {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
        .to_owned()
    }
}

impl Shown for Duration {
    fn shown(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

impl Shown for PathBuf {
    fn shown(&self) -> String {
        self.display().to_string()
    }
}

impl Shown for [u8; 32] {
    fn shown(&self) -> String {
        hex::encode(self)
    }
}

impl<T: crate::secret::Wipe> Shown for Secret<T> {
    fn shown(&self) -> String {
        HIDDEN.to_owned()
    }
}

impl Shown for Webhook {
    fn shown(&self) -> String {
        HIDDEN.to_owned()
    }
}

impl Shown for (String, Secret<Vec<u8>>) {
    fn shown(&self) -> String {
        format!("{} ({HIDDEN})", self.0)
    }
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> String {
        self.as_ref().map_or_else(|| "–".to_owned(), T::shown)
    }
}

impl<T: Shown> Shown for Vec<T> {
    fn shown(&self) -> String {
        let items: Vec<_> = self.iter().map(T::shown).collect();
        if items.is_empty() {
            "–".to_owned()
        } else {
            items.join(", ")
        }
    }
}

/// The fields of a struct as rows. Fails to compile when a field is forgotten.
macro_rules! rows {
    ($value:expr, $type:ident { $($field:ident),* }) => {{
        let $type { $($field),* } = $value;
        vec![$((stringify!($field).to_owned(), $field.shown())),*]
    }};
}

impl Config {
    /// What is in force, table by table, without secrets.
    pub fn shown(&self) -> Vec<(String, Rows)> {
        let mut tables = vec![
            ("[server]".to_owned(), server(&self.server)),
            (
                "[tls]".to_owned(),
                rows!(
                    &self.tls,
                    Tls {
                        certificate_file,
                        key_file,
                        min_version,
                        handshake_timeout,
                        hsts
                    }
                ),
            ),
            ("[tokens]".to_owned(), tokens(&self.tokens)),
            (
                "[auth]".to_owned(),
                vec![
                    row(
                        "backends",
                        &self
                            .auth
                            .backends
                            .iter()
                            .map(|b| b.name.clone())
                            .collect::<Vec<_>>(),
                    ),
                    row(
                        "allow_no_auth_on_network",
                        &self.auth.allow_no_auth_on_network,
                    ),
                ],
            ),
        ];
        for backend in &self.auth.backends {
            tables.push((format!("[backend.{}]", backend.name), backend_rows(backend)));
        }
        let accounts = rows!(
            &self.accounts,
            Accounts {
                registration,
                invite_ttl,
                magic_ttl,
                admins,
                admin_list_file
            }
        );
        let passwords = rows!(
            &self.passwords,
            Passwords {
                memory,
                iterations,
                parallelism,
                threads,
                queue
            }
        );
        let throttle = rows!(
            &self.throttle,
            Throttle {
                account_failures,
                account_wait,
                stranger_failures,
                stranger_wait,
                failures_in_a_row,
                pause,
                address_failures,
                address_wait,
                begun_per_minute,
                registered_per_hour,
                writes_per_minute,
                max_tracked
            }
        );
        tables.extend([
            ("[accounts]".to_owned(), accounts),
            ("[passwords]".to_owned(), passwords),
            ("[throttle]".to_owned(), throttle),
            (
                "[device]".to_owned(),
                rows!(&self.device, Device { client_secret }),
            ),
            (
                "[metrics]".to_owned(),
                rows!(
                    &self.metrics,
                    Metrics {
                        listen,
                        allow_on_network
                    }
                ),
            ),
            (
                "[tracing]".to_owned(),
                rows!(
                    &self.tracing,
                    Tracing {
                        otlp_endpoint,
                        otlp_headers,
                        sample_ratio,
                        service_name,
                        max_queue,
                        export_timeout
                    }
                ),
            ),
            (
                "[sharing]".to_owned(),
                rows!(&self.sharing, Sharing { enabled, public }),
            ),
            (
                "[audit]".to_owned(),
                rows!(
                    &self.audit,
                    Audit {
                        retention,
                        max_entries,
                        webhook
                    }
                ),
            ),
        ]);
        for agent in &self.agents {
            let rows = rows!(
                agent,
                Agent {
                    name,
                    description,
                    version,
                    harness
                }
            );
            tables.push(("[[agent]]".to_owned(), rows));
        }
        tables
    }
}

fn row(key: &str, value: &impl Shown) -> (String, String) {
    (key.to_owned(), value.shown())
}

fn server(server: &Server) -> Rows {
    rows!(
        server,
        Server {
            listen,
            public_url,
            data_dir,
            plugin_dir,
            max_connections,
            max_connections_per_address,
            max_streams,
            header_timeout,
            idle_timeout,
            write_timeout,
            body_timeout,
            request_timeout,
            drain_delay,
            shutdown_timeout,
            max_body,
            trusted_proxies,
            proxy_protocol,
            unix_socket,
            unix_socket_uids,
            log_format,
            log_level
        }
    )
}

fn tokens(tokens: &Tokens) -> Rows {
    rows!(
        tokens,
        Tokens {
            access_ttl,
            refreshed_ttl,
            grant_max_lifetime,
            algorithm,
            issuer,
            audience,
            secret,
            previous_secret,
            api_default_ttl,
            api_max_ttl,
            api_allow_unlimited,
            api_creation_login_age,
            api_expiry_notice
        }
    )
}

fn backend_rows(backend: &Backend) -> Rows {
    let mut rows: Rows = rows!(
        backend,
        Backend {
            name,
            plugin,
            title,
            path,
            sha256,
            required,
            accounts,
            link_domains,
            allowed_domains,
            allowed_groups,
            admin_groups,
            allow_invites,
            session_ttl,
            timeout,
            concurrency,
            config
        }
    );
    // The name is in the table's; the plugin's own keys follow one by one.
    rows.retain(|(key, _)| key != "name" && key != "config");
    let own = backend.config.expose().iter();
    rows.extend(own.map(|(key, value)| (key.clone(), of_plugin(value))));
    rows
}

fn of_plugin(value: &Value) -> String {
    let text = |value: &dyn Display| value.to_string();
    match value {
        Value::Bool(value) => text(value),
        Value::Number(value) => text(value),
        Value::Null => "–".to_owned(),
        Value::String(_) | Value::Array(_) | Value::Object(_) => HIDDEN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::super::{Config, Env, Overrides};

    #[test]
    fn no_secret_is_shown() {
        let toml = "[tokens]\nsecret = \"8f1c3a7e5b9d024668ace13579bdf02c4e6a8b0d1f3957c2e4a6081b3d5f7092\"\n\
                    [device]\nclient_secret = \"hush-hush-hush-hush\"\n[auth]\nbackends = [\"corp\"]\n\
                    [backend.corp]\nplugin = \"oidc\"\nclient_secret = \"hush\"\nport = 7\n";
        let env = Env::default();
        let config = Config::parse(toml, Path::new("."), &env, &Overrides::default()).unwrap();
        let shown = format!("{:?}", config.shown());
        assert!(
            !shown.contains("hush") && !shown.contains("8f1c3a7e5b9d0246"),
            "{shown}"
        );
        assert!(
            shown.contains("[backend.corp]") && shown.contains("(\"port\", \"7\")"),
            "{shown}"
        );
        assert!(shown.contains("(\"access_ttl\", \"8h\")"), "{shown}");
    }
}
