//! One binary for all end-to-end tests: they share the linking, and each starts its own server.

mod access;
mod accounts;
mod assertions;
mod backend;
mod browser;
mod docs;
mod environment;
mod header;
mod hostile;
mod htpasswd;
mod ldap;
mod logins;
mod no_auth;
mod oauth;
mod oidc;
mod oidc_faults;
mod pages;
mod plugins;
mod restart;
mod sessions;
mod settings;
mod steps;
mod swap;
mod tickets;
mod tidy;
mod tokens;
