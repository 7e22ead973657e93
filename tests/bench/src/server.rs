//! The processes under test.

use std::{
    error::Error,
    future::Future,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use tokio::net::TcpListener;

/// What every step may fail with.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A running process and where it listens.
pub struct Process {
    child: Child,
    /// The port on 127.0.0.1.
    pub port: u16,
}

impl Process {
    /// This program again, as a peer.
    pub fn peer(role: &str) -> Outcome<Self> {
        Self::spawn(Command::new(std::env::current_exe()?).arg(role))
    }

    /// The omnigent server on `data`, with `config`.
    pub fn omnigent(data: &Path, config: &str) -> Outcome<Self> {
        let file = data.with_extension("toml");
        std::fs::write(&file, config)?;
        let binary = std::env::current_exe()?.with_file_name("omnigent");
        let mut command = Command::new(binary);
        command
            .args(["server", "--listen", "127.0.0.1:0", "--config"])
            .arg(file)
            .arg("--data-dir")
            .arg(data);
        Self::spawn(
            command
                .env_remove("OMNIGENT_AUTH_ENABLED")
                .env_remove("OMNIGENT_AUTH_PROVIDER"),
        )
    }

    fn spawn(command: &mut Command) -> Outcome<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (say, hear) = std::sync::mpsc::channel();
        let outputs: [Option<Box<dyn std::io::Read + Send>>; 2] = [
            child.stdout.take().map(|o| Box::new(o) as _),
            child.stderr.take().map(|e| Box::new(e) as _),
        ];
        for output in outputs.into_iter().flatten() {
            let say = say.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if let Some((_, rest)) = line.split_once("listening on http://127.0.0.1:") {
                        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
                        let _ = say.send(port.parse::<u16>().unwrap_or_default());
                    }
                }
            });
        }
        drop(say);
        let port = hear.recv().map_err(|_| "a server did not start")?;
        Ok(Self { child, port })
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) -> Outcome<()> {
        Command::new("kill").arg(self.pid().to_string()).status()?;
        self.child.wait()?;
        Ok(())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves as a peer and says where.
pub async fn serve_peer<F: Future<Output = ()>>(
    serve: impl FnOnce(TcpListener) -> F,
) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener).await;
    Ok(())
}
