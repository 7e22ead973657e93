//! `omnigent server`: configuration, then listeners, then the server, then the way down.

use std::{fmt::Write, net::SocketAddr, sync::Arc, time::Duration};

use omnigent_server::{
    app::{App, Loader, Running},
    audit::Scene,
    clock::Clock,
    config::Config,
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};

use crate::{failure::Failure, listeners, logging, output, settings::Settings, systemd};

/// Runs the server until it is told to stop (SIGTERM or Ctrl-C)
///
/// Without --config and without OMNIGENT_AUTH_ENABLED nobody needs to sign in, and only this
/// machine is served. Environment variables win over the file, options over both.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent server
  omnigent server --config config/accounts.toml --data-dir ./data
  OMNIGENT_AUTH_ENABLED=1 omnigent server --listen 0.0.0.0:6767

Exit codes: 0 stopped as told · 1 failed · 2 configuration refused · 3 another process uses the \
data directory · 4 the store is damaged")]
pub(crate) struct Args {
    #[command(flatten)]
    settings: Settings,
    /// Address and port to listen on
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.settings.load(args.listen.as_deref())?;
    logging::start(&config.server);
    crate::dumps::switch_off();
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let (settings, listen) = (args.settings.clone(), args.listen.clone());
    let load = Box::new(move || settings.read(listen.as_deref()));
    let runtime = runtime()?;
    let outcome = runtime.block_on(serve(config, load));
    // A plugin's call that never returns must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(config: Config, load: Loader) -> Result<(), Failure> {
    let listeners = listeners::open(&config).await?;
    let listening = listeners.address;
    let metrics = metrics_listener(&config).await?;
    let stop = stop_signal(&config)?;
    let app = App::open(&config, listening, Clock::system()).await?;
    let operator = app.operator_socket()?;
    let claim = if app.office.needs_setup() {
        Claim::Open {
            code: app.setup_code().map(|code| code.expose().clone()),
        }
    } else {
        Claim::Done
    };
    let running = Running::new(app, load);
    reload_on_hangup(&running)?;
    if let Some(metrics) = metrics {
        let address = metrics.local_addr().unwrap_or(listening);
        tracing::info!("metrics on http://{address}/metrics");
        running.show_metrics(metrics);
    }
    output::say(banner(&config, listening, &claim));
    if config.is_no_auth() {
        tracing::warn!("no-auth mode: everybody who reaches this server is an admin");
    }
    systemd::ready();
    let alive = tokio::spawn(systemd::stay_alive());
    let served = running.serve(Some(listeners.tcp), listeners.unix, operator, stop);
    let outcome = served.await;
    alive.abort();
    outcome?;
    Ok(())
}

/// Reads the configuration anew at every SIGHUP.
fn reload_on_hangup(running: &Arc<Running>) -> Result<(), Failure> {
    let mut hangup = signal(SignalKind::hangup())
        .map_err(|error| Failure::Failed(format!("no signals: {error}")))?;
    let running = Arc::downgrade(running);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let Some(running) = running.upgrade() else {
                return;
            };
            systemd::reloading();
            let asked = Scene::operator(running.current().clock.now());
            match running.reload(asked).await {
                Ok(reloaded) => {
                    for warning in &reloaded.warnings {
                        tracing::warn!("{warning}");
                    }
                    tracing::info!(changes = reloaded.changes.len(), "configuration reloaded");
                }
                Err(error) => {
                    tracing::error!(%error, "the configuration in force stays: the new one cannot work")
                }
            }
            systemd::ready();
        }
    });
    Ok(())
}

/// A plugin that never says who a request is from keeps the worker it is on: there is another.
const MIN_WORKERS: usize = 2;

fn runtime() -> Result<Runtime, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Builder::new_multi_thread()
        .worker_threads(cores.max(MIN_WORKERS))
        .thread_name("omnigent")
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start threads: {error}")))
}

/// Where Prometheus and health checks come in, if anywhere.
async fn metrics_listener(config: &Config) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = config.metrics.listen else {
        return Ok(None);
    };
    let bound = TcpListener::bind(address).await;
    let failed = |error| Failure::Failed(format!("[metrics]: cannot listen on {address}: {error}"));
    bound.map(Some).map_err(failed)
}

/// Ends at the first SIGTERM or SIGINT.
fn stop_signal(config: &Config) -> Result<impl Future<Output = ()> + use<>, Failure> {
    // Only a restart changes these.
    let at_most = config.server.drain_delay + config.server.shutdown_timeout;
    let listen =
        |kind| signal(kind).map_err(|error| Failure::Failed(format!("no signals: {error}")));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        systemd::stopping(at_most);
        tracing::info!("stopping: requests under way may finish");
    })
}

/// Whether somebody owns the server yet.
pub(crate) enum Claim {
    /// There is an account, or none is needed.
    Done,
    /// Nobody does. The code is needed from other machines.
    Open {
        /// The one-time setup code. Goes to the terminal, never to the log.
        code: Option<String>,
    },
}

/// What listens where and where to go next, for the person who started it.
fn banner(config: &Config, listening: SocketAddr, claim: &Claim) -> String {
    let url = config.base_url(listening);
    let mut text = format!(
        "omnigent {}, listening on {}://{listening}\n",
        env!("CARGO_PKG_VERSION"),
        match config.tls.certificate_file {
            Some(_) => "https",
            None => "http",
        }
    );
    let mut line = |label: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {label:<9}{value}");
    };
    line("address", &url.to_string());
    line("data", &config.server.data_dir.display().to_string());
    if config.is_no_auth() {
        line("sign-in", "none: whoever reaches this server is an admin");
    } else {
        let backends = config.auth.backends.iter();
        let backends: Vec<_> = backends
            .map(|b| format!("{} ({})", b.name, b.plugin))
            .collect();
        line("sign-in", &backends.join(", "));
    }
    match claim {
        Claim::Done => line("next", &format!("open {url}/")),
        Claim::Open { code } => {
            line("next", &format!("claim the server: open {url}/setup"));
            if let Some(code) = code {
                line("", &format!("setup code {code}"));
            }
        }
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use omnigent_server::config::{Env, Overrides};

    use super::*;

    fn shown(text: &str, claim: &Claim) -> String {
        let env: Env = [("HOME", "/home/someone")].into_iter().collect();
        let base = std::path::Path::new("/etc");
        let config = Config::parse(text, base, &env, &Overrides::default()).unwrap();
        banner(&config, "127.0.0.1:6767".parse().unwrap(), claim)
    }

    #[test]
    fn the_banner_says_that_nobody_signs_in() {
        let text = shown("", &Claim::Done);
        assert!(
            text.contains("whoever reaches this server is an admin"),
            "{text}"
        );
        assert!(text.contains("open http://127.0.0.1:6767/"), "{text}");
    }

    #[test]
    fn the_banner_leads_to_setup_while_unclaimed() {
        let file = "[auth]\nbackends = ['local']\n[backend.local]\nplugin = 'accounts'";
        let code = Some("ABCD-EFGH".to_owned());
        let text = shown(file, &Claim::Open { code });
        assert!(text.contains("local (accounts)"), "{text}");
        assert!(text.contains("http://127.0.0.1:6767/setup"), "{text}");
        assert!(text.contains("ABCD-EFGH"), "{text}");
        assert!(!shown(file, &Claim::Done).contains("setup"));
    }
}
