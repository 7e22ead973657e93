//! Telling another server what is in the audit trail: signed batches, as
//! [Standard Webhooks](https://www.standardwebhooks.com/) has them.
//!
//! Owns: the signature, trying again. Does not: keep a queue; what is told next follows from the
//! trail and a durable mark of how far it was told.
//!
//! **Invariants:** nobody waits for it; it is told in order and at least once, under an id that
//! stays when it is tried again; what is skipped, because it was pruned or too far behind, is
//! counted in the log; redirects are not followed.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::time::Duration;

use crate::{
    app::Running,
    audit::{Line, Query, ends, page},
    clock::Timestamp,
    config::Webhook,
    outgoing,
    store::{StoreError, Table},
};

/// The number of the newest entry that was told.
pub(crate) const TOLD: Table<(), u64> = Table::new(62, "audit-webhook");

/// Entries in a batch.
const BATCH: usize = 100;

/// Entries it may be behind.
const BEHIND: u64 = 100_000;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long entries gather before they are sent.
const GATHER: Duration = Duration::from_millis(500);

/// Longest time between two tries.
const LONGEST: Duration = Duration::from_secs(300);

/// Goes on until it is aborted.
pub(crate) async fn run(running: Arc<Running>) {
    let mut newest = running.current().live.audit.newest();
    let mut failures = 0_u32;
    loop {
        let wait = match failures {
            0 => GATHER,
            failures => backoff(failures),
        };
        tokio::time::sleep(wait).await;
        let webhook = running.current().config.audit.webhook.clone();
        let told = match webhook {
            Some(webhook) => tell(&running, &webhook).await,
            None => Ok(false),
        };
        match told {
            // There may be more.
            Ok(true) => failures = 0,
            Ok(false) => {
                failures = 0;
                // Looked at now and then all the same: a reload may have named a webhook.
                let _ = tokio::time::timeout(LONGEST, newest.changed()).await;
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                tracing::warn!(%error, failures, "the audit webhook was not told; it is tried again");
            }
        }
    }
}

/// Half a second doubled, up to five minutes; a little apart from others.
fn backoff(failures: u32) -> Duration {
    let longest = GATHER.saturating_mul(1 << failures.min(16)).min(LONGEST);
    let [random] = crate::id::random_bytes::<1>();
    longest.mul_f64(0.75 + f64::from(random) / 1024.0)
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}", outgoing::words(.0))]
    Sent(#[from] reqwest::Error),
    #[error("it answered {0}")]
    Answered(u16),
}

/// Tells the next batch. True when there was one.
async fn tell(running: &Running, webhook: &Webhook) -> Result<bool, Failed> {
    let app = running.current();
    let found = app
        .store
        .read(|reader| {
            let Some(ends) = ends(reader)? else {
                return Ok(None);
            };
            // Told for the first time: all there is.
            let told = TOLD.get(reader, &())?.unwrap_or(ends.first - 1);
            let oldest = ends.first.max(ends.next.saturating_sub(BEHIND));
            let from = told.max(oldest - 1);
            let query = Query {
                after: Some(from),
                limit: BATCH,
                ..Query::default()
            };
            let lines = page(reader, &query)?.lines;
            Ok::<_, StoreError>(Some((told, from, lines)))
        })
        .await?;
    let Some((told, from, lines)) = found else {
        return Ok(false);
    };
    if from > told && !lines.is_empty() {
        tracing::error!(
            count = from - told,
            "entries of the audit trail were never told to the webhook"
        );
    }
    let Some(last) = lines.last().map(|line| line.seq) else {
        return Ok(false);
    };
    send(webhook, &lines, app.clock.now()).await?;
    app.store.write(move |tx| TOLD.put(tx, &(), &last)).await?;
    Ok(true)
}

async fn send(webhook: &Webhook, lines: &[Line], now: Timestamp) -> Result<(), Failed> {
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    let body = format!(
        "{{\"type\":\"audit.entries\",\"entries\":[{}]}}",
        texts.join(",")
    );
    let id = id(lines);
    let at = now.seconds().to_string();
    let client = outgoing::client(PATIENCE).build()?;
    let answer = client
        .post(webhook.url.expose())
        .header("content-type", "application/json")
        .header("webhook-id", &id)
        .header("webhook-timestamp", &at)
        .header(
            "webhook-signature",
            signature(webhook.secret.expose(), &id, &at, &body),
        )
        .body(body)
        .send()
        .await?;
    let status = answer.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(Failed::Answered(status.as_u16()))
    }
}

/// The same for the same entries, and for no others: after a restore numbers are used anew.
fn id(lines: &[Line]) -> String {
    let number = |line: Option<&Line>| line.map_or(0, |line| line.seq);
    let hash = lines.last().map_or([0; 32], |line| line.hash);
    let (first, last) = (number(lines.first()), number(lines.last()));
    format!("audit_{first}_{last}_{}", hex::encode(&hash[..8]))
}

/// `v1,` and HMAC-SHA256 of id, time and body, in base64 (Standard Webhooks, "Signature scheme").
fn signature(secret: &[u8], id: &str, at: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signed = format!("{id}.{at}.{body}");
    let tag = hmac::sign(&key, signed.as_bytes());
    format!("v1,{}", STANDARD.encode(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_specification() {
        // The example of the Standard Webhooks libraries.
        let secret = STANDARD
            .decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
            .unwrap_or_default();
        let (id, at, body) = (
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(
            signature(&secret, id, at, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn ids_tell_entries_apart_that_have_the_same_numbers() {
        let line = |seq, hash| Line {
            seq,
            at: Timestamp::default(),
            text: String::new(),
            hash: [hash; 32],
        };
        assert_eq!(
            id(&[line(7, 1), line(9, 0xab)]),
            "audit_7_9_abababababababab"
        );
        assert_ne!(id(&[line(7, 1)]), id(&[line(7, 2)]));
        assert_eq!(id(&[line(7, 1)]), id(&[line(7, 1)]));
    }

    #[test]
    fn tries_grow_apart_up_to_five_minutes() {
        for (failures, least, most) in [(1, 700, 1_300), (4, 6_000, 8_100), (40, 225_000, 300_000)]
        {
            let wait = backoff(failures).as_millis();
            assert!((least..=most).contains(&wait), "{failures}: {wait}");
        }
    }
}
