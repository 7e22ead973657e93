//! What differs between two configurations, key by key.

use serde::{Deserialize, Serialize};

use super::{
    Accounts, Audit, Backend, Config, Device, Metrics, Passwords, Server, Sharing, Throttle, Tls,
    Tokens, Tracing,
};

/// A key whose value differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The key, such as `tokens.access_ttl`.
    pub key_path: String,
    /// Whether only a restart puts it in force.
    pub needs_restart: bool,
}

/// Compares two structs field by field. Fails to compile when a field is forgotten.
macro_rules! compare {
    ($changes:ident, $prefix:expr, $old:expr, $new:expr, $type:ident,
     now: [$($now:ident),*], restart: [$($restart:ident),*]) => {{
        let $type { $($now: _,)* $($restart: _),* } = $old;
        $(if $old.$now != $new.$now {
            $changes.push(change(format!("{}.{}", $prefix, stringify!($now)), false));
        })*
        $(if $old.$restart != $new.$restart {
            $changes.push(change(format!("{}.{}", $prefix, stringify!($restart)), true));
        })*
    }};
}

fn change(key_path: String, needs_restart: bool) -> Change {
    Change {
        key_path,
        needs_restart,
    }
}

impl Config {
    /// The keys whose values differ in `new`.
    pub fn changes(&self, new: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        compare!(changes, "server", &self.server, &new.server, Server,
            now: [public_url, plugin_dir, max_connections_per_address, max_streams, header_timeout,
                  idle_timeout, write_timeout, body_timeout, request_timeout, max_body,
                  trusted_proxies, proxy_protocol],
            restart: [listen, data_dir, max_connections, drain_delay, shutdown_timeout, unix_socket,
                      unix_socket_uids, log_format, log_level]);
        compare!(changes, "tls", &self.tls, &new.tls, Tls,
            now: [certificate_file, key_file, min_version, handshake_timeout, hsts], restart: []);
        compare!(changes, "tokens", &self.tokens, &new.tokens, Tokens,
            now: [access_ttl, refreshed_ttl, grant_max_lifetime, algorithm, issuer, secret,
                  previous_secret, api_default_ttl, api_max_ttl, api_creation_login_age,
                  api_expiry_notice],
            restart: [audience, api_allow_unlimited]);
        compare!(changes, "accounts", &self.accounts, &new.accounts, Accounts,
            now: [registration, invite_ttl, magic_ttl, admins, admin_list_file], restart: []);
        compare!(changes, "passwords", &self.passwords, &new.passwords, Passwords,
            now: [], restart: [memory, iterations, parallelism, threads, queue]);
        compare!(changes, "throttle", &self.throttle, &new.throttle, Throttle,
            now: [account_failures, account_wait, stranger_failures, stranger_wait, failures_in_a_row, pause, address_failures, address_wait, begun_per_minute, registered_per_hour, writes_per_minute],
            restart: [max_tracked]);
        compare!(changes, "device", &self.device, &new.device, Device,
            now: [client_secret], restart: []);
        compare!(changes, "sharing", &self.sharing, &new.sharing, Sharing,
            now: [enabled, public], restart: []);
        compare!(changes, "metrics", &self.metrics, &new.metrics, Metrics,
            now: [], restart: [listen, allow_on_network]);
        compare!(changes, "tracing", &self.tracing, &new.tracing, Tracing,
            now: [otlp_endpoint, otlp_headers, sample_ratio, service_name, max_queue, export_timeout], restart: []);
        compare!(changes, "audit", &self.audit, &new.audit, Audit,
            now: [retention, max_entries, webhook], restart: []);
        if self.agents != new.agents {
            changes.push(change("agent".to_owned(), false));
        }
        self.auth_changes(new, &mut changes);
        changes
    }

    fn auth_changes(&self, new: &Self, changes: &mut Vec<Change>) {
        let names = |config: &Self| -> Vec<String> {
            let backends = config.auth.backends.iter();
            backends.map(|backend| backend.name.clone()).collect()
        };
        if names(self) != names(new) {
            changes.push(change("auth.backends".to_owned(), false));
        }
        if self.auth.allow_no_auth_on_network != new.auth.allow_no_auth_on_network {
            changes.push(change("auth.allow_no_auth_on_network".to_owned(), false));
        }
        for old in &self.auth.backends {
            let same_name = |backend: &&Backend| backend.name == old.name;
            if let Some(new) = new.auth.backends.iter().find(same_name) {
                backend_changes(old, new, changes);
            }
        }
    }
}

fn backend_changes(old: &Backend, new: &Backend, changes: &mut Vec<Change>) {
    let prefix = format!("backend.{}", old.name);
    if old.name == new.name && old.config != new.config {
        let (before, after) = (old.config.expose(), new.config.expose());
        let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            if before.get(key) != after.get(key) {
                changes.push(change(format!("{prefix}.{key}"), false));
            }
        }
    }
    let keep = |backend: &Backend| Backend {
        config: Default::default(),
        ..backend.clone()
    };
    compare!(changes, prefix, &keep(old), &keep(new), Backend,
        now: [name, plugin, title, path, sha256, required, accounts, link_domains,
              allowed_domains, allowed_groups, admin_groups, allow_invites, session_ttl, timeout,
              concurrency, config],
        restart: []);
}
