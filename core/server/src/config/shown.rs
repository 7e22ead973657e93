//! A configuration for people to read, and sealed, to tell later what differs.
//!
//! **Invariant:** what is whole leaves this file under a seal only.

use std::collections::BTreeMap;

use zeroize::Zeroize;

use super::{
    Accounts, Agent, Audit, Backend, Config, Device, Metrics, Passwords, Server, Sharing, Throttle,
    Tls, Tokens, Tracing,
    view::{Shown, View},
};

/// Keys and values of a table.
type Rows = Vec<(String, String)>;

/// The tables of agents: one key, for [`Config::changes`].
const AGENT: &str = "agent";

/// The fields of a struct as rows. Fails to compile when a field is forgotten.
macro_rules! rows {
    ($view:expr, $value:expr, $type:ident { $($field:ident),* }) => {{
        let $type { $($field),* } = $value;
        vec![$((stringify!($field).to_owned(), $field.shown($view))),*]
    }};
}

impl Config {
    /// What is in force, table by table, without secrets.
    pub fn shown(&self) -> Vec<(String, Rows)> {
        self.tables(View::Shown)
    }

    /// What is in force, key by key as [`Config::changes`] names them, each `key=value` under `seal`,
    /// which must keep it secret.
    pub fn sealed<T>(&self, seal: impl Fn(&str) -> T) -> BTreeMap<String, T> {
        let mut keys = BTreeMap::new();
        let mut agents = String::new();
        for (table, rows) in self.tables(View::Whole) {
            let table = table.trim_matches(['[', ']']).to_owned();
            for (key, mut value) in rows {
                let path = format!("{table}.{key}");
                let mut whole = format!("{path}={value}\n");
                if table == AGENT {
                    agents.push_str(&whole);
                } else {
                    keys.insert(path, seal(&whole));
                }
                value.zeroize();
                whole.zeroize();
            }
        }
        keys.insert(AGENT.to_owned(), seal(&agents));
        keys
    }

    fn tables(&self, view: View) -> Vec<(String, Rows)> {
        let mut tables = vec![
            ("[server]".to_owned(), server(view, &self.server)),
            (
                "[tls]".to_owned(),
                rows!(
                    view,
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
            ("[tokens]".to_owned(), tokens(view, &self.tokens)),
            (
                "[auth]".to_owned(),
                vec![
                    row(
                        view,
                        "backends",
                        &self
                            .auth
                            .backends
                            .iter()
                            .map(|b| b.name.clone())
                            .collect::<Vec<_>>(),
                    ),
                    row(
                        view,
                        "allow_no_auth_on_network",
                        &self.auth.allow_no_auth_on_network,
                    ),
                ],
            ),
        ];
        for backend in &self.auth.backends {
            tables.push((
                format!("[backend.{}]", backend.name),
                backend_rows(view, backend),
            ));
        }
        let accounts = rows!(
            view,
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
            view,
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
            view,
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
                rows!(view, &self.device, Device { client_secret }),
            ),
            (
                "[metrics]".to_owned(),
                rows!(
                    view,
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
                    view,
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
                rows!(view, &self.sharing, Sharing { enabled, public }),
            ),
            (
                "[audit]".to_owned(),
                rows!(
                    view,
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
                view,
                agent,
                Agent {
                    name,
                    description,
                    version,
                    harness
                }
            );
            tables.push((format!("[[{AGENT}]]"), rows));
        }
        tables
    }
}

fn row(view: View, key: &str, value: &impl Shown) -> (String, String) {
    (key.to_owned(), value.shown(view))
}

fn server(view: View, server: &Server) -> Rows {
    rows!(
        view,
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

fn tokens(view: View, tokens: &Tokens) -> Rows {
    rows!(
        view,
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

fn backend_rows(view: View, backend: &Backend) -> Rows {
    let mut rows: Rows = rows!(
        view,
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
    rows.extend(own.map(|(key, value)| (key.clone(), value.shown(view))));
    rows
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

    #[test]
    fn what_is_sealed_differs_where_the_configurations_do() {
        let parsed = |toml: &str| {
            let toml = format!("[auth]\nbackends = [\"corp\"]\n{toml}");
            let env = Env::default();
            Config::parse(&toml, Path::new("."), &env, &Overrides::default()).unwrap()
        };
        let agent = "[[agent]]\nname = \"helper\"\n";
        let corp = "[backend.corp]\nplugin = \"oidc\"\n";
        let one = parsed(&format!(
            "{corp}client_secret = \"hush\"\nissuer = \"https://a\"\nport = 7\n\
             [audit]\nwebhook_url = \"https://told/1\"\nwebhook_secret = \"{0}\"\n\
             [device]\nclient_secret = \"{0}\"\n{agent}",
            "one".repeat(12)
        ));
        let other = parsed(&format!(
            "{corp}client_secret = \"other\"\nissuer = \"https://b\"\nport = 8\ntimeout = \"3s\"\n\
             [audit]\nwebhook_url = \"https://told/1\"\nwebhook_secret = \"{0}\"\n\
             [device]\nclient_secret = \"{0}\"\n{agent}[server]\nmax_streams = 7\n{1}",
            "two".repeat(12),
            agent.replace("helper", "another")
        ));
        let whole = |config: &Config| config.sealed(str::to_owned);
        assert_eq!(whole(&one), whole(&one.clone()));
        let (one_sealed, other_sealed) = (whole(&one), whole(&other));
        let keys = one_sealed.keys().chain(other_sealed.keys());
        let mut differ: Vec<_> = keys
            .filter(|key| one_sealed.get(*key) != other_sealed.get(*key))
            .cloned()
            .collect();
        differ.sort_unstable();
        differ.dedup();
        let mut changes: Vec<_> = one
            .changes(&other)
            .into_iter()
            .map(|c| c.key_path)
            .collect();
        changes.sort_unstable();
        assert_eq!(differ, changes);
        assert!(differ.len() >= 8, "{differ:?}");
    }
}
