//! The machine: its clock and its disk, and when what is on it was last backed up.

use std::{fs, path::Path, time::UNIX_EPOCH};

use omnigent_server::{clock::Timestamp, config::Config};

use serde_json::Value;

use super::finding::Findings;
use crate::{admin::Admin, when};

/// With less free than this the server refuses to write.
const RESERVE: u64 = 32 << 20;

/// Below this it is time to make room.
const LITTLE: u64 = 1 << 30;

/// How far ahead of the clock a file may be, in seconds: file systems of other machines.
const LEEWAY: u64 = 120;

/// After so many seconds a backup is old.
const OLD: u64 = 7 * 86_400;

pub(super) fn examine(
    findings: &mut Findings,
    config: &Config,
    running: Option<&Admin>,
    now: Timestamp,
) {
    clock(findings, &config.server.data_dir, now);
    disk(findings, &config.server.data_dir);
    if let Some(admin) = running {
        backup(findings, admin, now);
    }
}

/// Time that was seen in the data directory and has not come yet: the clock was set back.
fn clock(findings: &mut Findings, dir: &Path, now: Timestamp) {
    let files = [dir.join("store"), dir.to_owned()];
    let files = files.iter().flat_map(|folder| fs::read_dir(folder).ok());
    let newest = files
        .flatten()
        .flatten()
        .filter_map(|file| file.metadata().ok()?.modified().ok())
        .filter_map(|at| Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs()))
        .max();
    match newest {
        Some(newest) if newest > now.seconds() + LEEWAY => findings.fail(
            "clock",
            format!(
                "the clock is at least {} s behind the newest file of the data directory: it was set back",
                newest - now.seconds()
            ),
            "set the clock and keep it right with NTP: tokens end and begin by it",
        ),
        // Providers' clocks are compared where they are asked.
        _ => findings.ok("clock", "not behind anything in the data directory"),
    }
}

fn disk(findings: &mut Findings, dir: &Path) {
    let existing = dir.ancestors().find(|dir| dir.exists());
    let Some(Ok(disk)) = existing.map(rustix::fs::statvfs) else {
        return findings.warn(
            "disk",
            format!("the disk of {} cannot be looked at", dir.display()),
            "run this as the server's own user",
        );
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let message = format!("{} MiB are free for {}", free >> 20, dir.display());
    if free < RESERVE {
        findings.fail(
            "disk",
            message,
            "make room: below 32 MiB writes are refused",
        );
    } else if free < LITTLE {
        findings.warn(
            "disk",
            message,
            "make room: below 32 MiB writes are refused",
        );
    } else {
        findings.ok("disk", message);
    }
}

/// The last backup of a running server, as its audit trail has it.
fn backup(findings: &mut Findings, admin: &Admin, now: Timestamp) {
    let trail = admin.get::<Value>("/auth/audit?event=data.read&limit=1000");
    let Ok(trail) = trail else { return };
    let entries = trail["entries"].as_array().into_iter().flatten();
    let last = entries
        .filter(|entry| entry["reason"] == "backup")
        .filter_map(|entry| humantime::parse_rfc3339(entry["at"].as_str()?).ok())
        .filter_map(|at| Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs()))
        .max();
    let advice =
        "`omnigent backup FILE` every day, to another machine; `omnigent backup verify` proves it";
    match last {
        // A trail that is longer than what was looked at may hold one.
        None if !trail["next"].is_null() => {}
        None => findings.warn("backup", "the audit trail knows of no backup", advice),
        Some(at) => {
            let message = format!("the last backup was begun on {}", when::day(at));
            if now.seconds().saturating_sub(at) > OLD {
                findings.warn("backup", message, advice);
            } else {
                findings.ok("backup", message);
            }
        }
    }
}
