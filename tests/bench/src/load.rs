//! Closed-loop load: so many connections, each sending its next request when the answer is there.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Answers with a 2xx status.
    pub good: u64,
    /// All other answers.
    pub bad: u64,
    /// How long it went on.
    pub elapsed: Duration,
    /// The time of each answer, sorted, in microseconds.
    pub micros: Vec<u32>,
}

impl Outcome {
    /// Answers per second.
    pub fn per_second(&self) -> f64 {
        (self.good + self.bad) as f64 / self.elapsed.as_secs_f64()
    }

    /// The time within which this share of the answers came.
    pub fn quantile(&self, share: f64) -> Duration {
        let at = (self.micros.len().saturating_sub(1) as f64 * share) as usize;
        Duration::from_micros(u64::from(self.micros.get(at).copied().unwrap_or_default()))
    }
}

/// A whole HTTP/1.1 request as bytes.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
    }
    (text + "\r\n" + body).into_bytes()
}

/// Sends `requests` in rotation over `connections` for as long as `duration`, each connection as
/// fast as it is answered.
pub async fn run(
    port: u16,
    connections: usize,
    duration: Duration,
    requests: Arc<Vec<Vec<u8>>>,
) -> io::Result<Outcome> {
    drive(port, connections, duration, requests, Duration::ZERO).await
}

/// As [`run`], by a client that never sleeps: whoever answers faster than it asks never has to wake
/// it, and whoever does not would pay for that.
pub async fn run_awake(
    port: u16,
    connections: usize,
    duration: Duration,
    requests: Arc<Vec<Vec<u8>>>,
) -> io::Result<Outcome> {
    let awake = tokio::spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let outcome = run(port, connections, duration, requests).await;
    awake.abort();
    outcome
}

/// As [`run`], with a pause after each answer: a load that leaves the machine idle most of the time.
pub async fn run_paced(
    port: u16,
    connections: usize,
    duration: Duration,
    requests: Arc<Vec<Vec<u8>>>,
    pause: Duration,
) -> io::Result<Outcome> {
    drive(port, connections, duration, requests, pause).await
}

async fn drive(
    port: u16,
    connections: usize,
    duration: Duration,
    requests: Arc<Vec<Vec<u8>>>,
    pause: Duration,
) -> io::Result<Outcome> {
    let stop = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let tasks: Vec<_> = (0..connections)
        .map(|i| {
            let (stop, requests) = (Arc::clone(&stop), Arc::clone(&requests));
            tokio::spawn(
                async move { connection(port, i, connections, &stop, &requests, pause).await },
            )
        })
        .collect();
    tokio::time::sleep(duration).await;
    stop.store(true, Ordering::Relaxed);
    let mut all = Outcome::default();
    for task in tasks {
        let one = task.await.map_err(io::Error::other)??;
        all.good += one.good;
        all.bad += one.bad;
        all.micros.extend(one.micros);
    }
    all.elapsed = began.elapsed();
    all.micros.sort_unstable();
    Ok(all)
}

async fn connection(
    port: u16,
    first: usize,
    step: usize,
    stop: &AtomicBool,
    requests: &[Vec<u8>],
    pause: Duration,
) -> io::Result<Outcome> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let mut outcome = Outcome::default();
    let mut buffer = vec![0; 64 * 1024];
    let mut next = first % requests.len();
    while !stop.load(Ordering::Relaxed) {
        let sent = Instant::now();
        stream.write_all(&requests[next]).await?;
        next = (next + step) % requests.len();
        let status = answer(&mut stream, &mut buffer).await?;
        outcome
            .micros
            .push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
        if (200..300).contains(&status) {
            outcome.good += 1;
        } else {
            outcome.bad += 1;
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(outcome)
}

/// Reads one whole answer and returns its status.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<u16> {
    let mut length = 0;
    loop {
        length += more(stream, &mut buffer[length..]).await?;
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut headers);
        let parsed = head.parse(&buffer[..length]).map_err(io::Error::other)?;
        let (httparse::Status::Complete(end), Some(status)) = (parsed, head.code) else {
            continue;
        };
        let body = head.headers.iter().find_map(|header| {
            header
                .name
                .eq_ignore_ascii_case("content-length")
                .then(|| {
                    std::str::from_utf8(header.value)
                        .ok()?
                        .parse::<usize>()
                        .ok()
                })?
        });
        let mut missing = (end + body.unwrap_or(0)).saturating_sub(length);
        while missing > 0 {
            missing = missing.saturating_sub(more(stream, buffer).await?);
        }
        return Ok(status);
    }
}

async fn more(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    match stream.read(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => Ok(read),
    }
}
