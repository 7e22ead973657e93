//! What systemd is told (`sd_notify(3)`). Without systemd, nothing is said.

use std::time::Duration;

use sd_notify::NotifyState;

/// The server serves.
pub(crate) fn ready() {
    say(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// A configuration is read anew; [`ready`] follows, whatever comes of it.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => say(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "no monotonic time"),
    }
}

/// The server drains, which takes this long at most: systemd gives it the time, whatever its unit says.
pub(crate) fn stopping(at_most: Duration) {
    let micros = at_most.saturating_add(MARGIN).as_micros();
    say(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(u32::try_from(micros).unwrap_or(u32::MAX)),
        NotifyState::Status("stopping: requests under way may finish"),
    ]);
}

/// For what follows the draining: the last write, and plugins that do not end.
const MARGIN: Duration = Duration::from_secs(10);

/// Tells systemd, as often as it wants, that tasks still run. Never ends; returns at once when
/// systemd does not want to know.
pub(crate) async fn stay_alive() {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return;
    };
    // Three times as often: one may be late.
    let mut tick = tokio::time::interval((patience / 3).max(Duration::from_millis(10)));
    loop {
        tick.tick().await;
        say(&[NotifyState::Watchdog]);
    }
}

fn say(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
