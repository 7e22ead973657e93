//! The process as Linux sees it, under the names all Prometheus clients use.

use std::{fs, io};

use super::family::Families;

/// Adds what the system says. What it does not say is left out.
pub(super) fn add(families: &mut Families) {
    let page = rustix::param::page_size() as f64;
    if let Ok(stat) = Stat::read() {
        families
            .counter(
                "process_cpu_seconds_total",
                "Processor time taken, in seconds.",
            )
            .value(&[], stat.cpu_seconds);
        families
            .gauge("process_resident_memory_bytes", "Memory in use, in bytes.")
            .value(&[], stat.resident_pages * page);
        families
            .gauge(
                "process_virtual_memory_bytes",
                "Address space in use, in bytes.",
            )
            .value(&[], stat.virtual_bytes);
        families
            .gauge("process_threads", "Threads.")
            .value(&[], stat.threads);
        if let Some(boot) = boot_time() {
            families
                .gauge(
                    "process_start_time_seconds",
                    "When the process started, in seconds since 1970.",
                )
                .value(&[], boot + stat.started_after_boot);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The one that reads the directory is not counted.
        let open = open.count().saturating_sub(1);
        families
            .gauge("process_open_fds", "Open file descriptors.")
            .value(&[], open as f64);
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if let Some(most) = limit.current {
        families
            .gauge("process_max_fds", "File descriptors that may be open.")
            .value(&[], most as f64);
    }
}

/// What of `/proc/self/stat` is of use (proc_pid_stat(5)).
struct Stat {
    cpu_seconds: f64,
    threads: f64,
    started_after_boot: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

impl Stat {
    fn read() -> io::Result<Self> {
        let text = fs::read_to_string("/proc/self/stat")?;
        Self::parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn parse(text: &str) -> Option<Self> {
        // The name of the program may hold anything, also `)`.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // The first one here is the third of the manual page.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let second = rustix::param::clock_ticks_per_second() as f64;
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / second,
            threads: field(20)?,
            started_after_boot: field(22)? / second,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// When the machine was started, in seconds since 1970.
fn boot_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_bracket_does_not_shift_the_fields() {
        let fields: Vec<_> = (3..=52).map(|field| field.to_string()).collect();
        let text = format!("1 (a) b) c) {}", fields.join(" "));
        let stat = Stat::parse(&text).map(|stat| (stat.threads, stat.resident_pages));
        assert_eq!(stat, Some((20.0, 24.0)));
        assert!(Stat::parse("1 (a) S 1").is_none());
    }
}
