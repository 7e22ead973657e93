//! Who looks after the trail while a server runs: writes the refusals, and the log line of every
//! entry.
//!
//! **Invariants:** a log line is written after its entry is on disk, or says that it is not; every
//! entry gets one, those too that commands wrote while no server ran, and after a crash those of the
//! last minute once more; what waits when the server stops is written before the store closes.

use std::sync::atomic::Ordering;

use serde::Deserialize;
use tokio::{sync::oneshot, task::JoinHandle, time::Duration};

use super::{
    Audit, Entry, Event, Query, Scene, ends, page,
    reports::{Report, Sums},
};
use crate::{
    account::NAMES,
    clock::Timestamp,
    store::{Reader, Store, StoreError, Table},
};

/// The number of the newest entry that has its log line, as of the last minute or the last stop.
pub(super) const LOGGED: Table<(), u64> = Table::new(34, "audit-logged");

/// How often sums are looked at.
const TICK: Duration = Duration::from_millis(TICK_MILLIS);
const TICK_MILLIS: u64 = 5000;

/// Refusals taken, and lines read, at once.
const BATCH: usize = 512;

/// Entries whose log line a start may owe.
const OWED: u64 = 10_000;

/// Milliseconds between two notes of how far the log has come.
const NOTED_EVERY: u64 = 60_000;

/// The keeper at work.
pub(crate) struct Keeper {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Begins. `is_serving`: whether people are served, which the trail then tells.
    pub(crate) fn start(audit: &Audit, store: &Store, is_serving: bool) -> Self {
        let (stop, stopped) = oneshot::channel();
        let work = Work {
            audit: audit.clone(),
            store: store.clone(),
            sums: Sums::default(),
            is_serving,
            logged: 0,
            noted: 0,
            noted_at: audit.0.clock.now(),
            lost_at: Timestamp::default(),
        };
        let task = tokio::spawn(work.run(stopped));
        Self { stop, task }
    }

    /// Writes what waits, and ends.
    pub(crate) async fn end(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

struct Work {
    audit: Audit,
    store: Store,
    sums: Sums,
    /// Whether people are served. Or else there is no log.
    is_serving: bool,
    /// The newest entry that has its log line.
    logged: u64,
    /// What is stored of that, and when it was.
    noted: u64,
    noted_at: Timestamp,
    /// When it was last tried to tell of what was lost.
    lost_at: Timestamp,
}

impl Work {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let Some(mut inbox) = self.audit.0.inbox.lock().take() else {
            return;
        };
        let mut newest = self.audit.newest();
        self.noted = self.store.read(owed_after).await.unwrap_or_default();
        self.logged = self.noted;
        if self.is_serving {
            let version = env!("CARGO_PKG_VERSION");
            self.tell(Entry::new(Event::ServerStarted).detail(version))
                .await;
        }
        let mut tick = tokio::time::interval(TICK);
        let mut batch = Vec::new();
        loop {
            let is_over = tokio::select! {
                _ = inbox.recv_many(&mut batch, BATCH) => false,
                _ = newest.changed() => false,
                _ = tick.tick() => false,
                _ = &mut stopped => true,
            };
            if is_over {
                while let Ok(report) = inbox.try_recv() {
                    batch.push(report);
                }
            }
            self.take(std::mem::take(&mut batch), is_over).await;
            if is_over && self.is_serving {
                self.tell(Entry::new(Event::ServerStopped)).await;
            }
            if self.is_serving {
                self.log().await;
                self.note(is_over).await;
            }
            if is_over {
                return;
            }
        }
    }

    /// An entry of the server's own.
    async fn tell(&self, entry: Entry) {
        self.write(vec![Report {
            scene: Scene::system(self.audit.0.clock.now()),
            entry,
        }])
        .await;
    }

    /// Takes refusals in, and writes what is due.
    async fn take(&mut self, reports: Vec<Report>, all: bool) {
        let now = self.audit.0.clock.now();
        let mut due = Vec::new();
        for report in self.recognise(reports).await {
            due.extend(self.sums.take(report));
        }
        due.extend(self.sums.over(now, all));
        // Told with the others, or with the next sums: a full disk is not asked all the time.
        let is_due = !due.is_empty() || all || !now.is_near(self.lost_at, TICK_MILLIS);
        let lost = match is_due {
            true => self.audit.0.lost.swap(0, Ordering::Relaxed),
            false => 0,
        };
        if lost > 0 {
            self.lost_at = now;
            due.push(Report {
                scene: Scene::system(now),
                entry: Entry::new(Event::AuditLost).count(lost),
            });
        }
        if !due.is_empty() {
            self.write(due).await;
        }
    }

    /// Finds the accounts that typed names are of.
    async fn recognise(&self, mut reports: Vec<Report>) -> Vec<Report> {
        let typed = |report: &Report| {
            let typed = report.entry.typed.as_ref();
            typed.map(|typed| typed.trim().to_lowercase())
        };
        let names: Vec<_> = reports.iter().map(typed).collect();
        if names.iter().all(Option::is_none) {
            return reports;
        }
        let found = self
            .store
            .read(move |reader| {
                let account = |name: Option<String>| match name {
                    Some(name) => {
                        let uid = NAMES.get(reader, name.as_str())?;
                        Ok(uid.map(|uid| (uid, name)))
                    }
                    None => Ok(None),
                };
                names
                    .into_iter()
                    .map(account)
                    .collect::<Result<Vec<_>, StoreError>>()
            })
            .await;
        for (report, account) in reports.iter_mut().zip(found.unwrap_or_default()) {
            if account.is_some() {
                report.entry.account = account;
            }
        }
        reports
    }

    async fn write(&self, reports: Vec<Report>) {
        let mut lines = Vec::new();
        for Report { scene, entry } in &reports {
            let count = entry.count.unwrap_or(1);
            lines.push((entry.event, count, scene.address, entry.backend.clone()));
        }
        let audit = self.audit.clone();
        let written = self
            .store
            .write(move |tx| {
                for Report { scene, entry } in reports {
                    audit.record(tx, Some(&scene), entry)?;
                }
                Ok::<_, StoreError>(())
            })
            .await;
        let Err(error) = written else { return };
        for (event, count, address, backend) in lines {
            self.audit.0.lost.fetch_add(count, Ordering::Relaxed);
            if event != Event::AuditLost {
                let address = address.map(tracing::field::display);
                tracing::error!(target: "audit", event = event.name(), count, address, backend, %error, "not in the trail");
            }
        }
    }

    /// Stores how far the log has come, now and then and at the end.
    async fn note(&mut self, is_over: bool) {
        let (logged, now) = (self.logged, self.audit.0.clock.now());
        let is_due = is_over || !now.is_near(self.noted_at, NOTED_EVERY);
        if !is_due || logged == self.noted {
            return;
        }
        self.noted_at = now;
        let noted = self.store.write(move |tx| LOGGED.put(tx, &(), &logged));
        if noted.await.is_ok() {
            self.noted = logged;
        }
    }

    /// Writes the log lines of what is new.
    async fn log(&mut self) {
        loop {
            let query = Query {
                after: Some(self.logged),
                limit: BATCH,
                ..Query::default()
            };
            let found = self.store.read(move |reader| page(reader, &query)).await;
            let Ok(found) = found else { return };
            let Some(last) = found.lines.last() else {
                return;
            };
            self.logged = last.seq;
            for line in &found.lines {
                if let Ok(said) = serde_json::from_str(&line.text) {
                    write_line(&said);
                }
            }
        }
    }
}

/// The entry after which the log goes on.
fn owed_after(from: &Reader) -> Result<u64, StoreError> {
    let Some(ends) = ends(from)? else {
        return Ok(0);
    };
    let newest = ends.next - 1;
    let logged = LOGGED.get(from, &())?.unwrap_or(ends.first - 1);
    Ok(logged.clamp(newest.saturating_sub(OWED), newest))
}

/// What of an entry is in its log line.
#[derive(Deserialize)]
struct Said {
    seq: u64,
    event: String,
    actor: String,
    by: Option<String>,
    account: Option<String>,
    target: Option<String>,
    backend: Option<String>,
    address: Option<String>,
    request_id: Option<String>,
    reason: Option<String>,
    detail: Option<String>,
    count: Option<u64>,
    hash: String,
}

fn write_line(said: &Said) {
    let Said {
        seq,
        event,
        actor,
        by,
        account,
        target,
        backend,
        address,
        request_id,
        reason,
        detail,
        count,
        hash,
    } = said;
    tracing::info!(
        target: "audit",
        seq, actor, by, account, target, backend, address, request_id, reason, detail, count, hash,
        "{event}"
    );
}
