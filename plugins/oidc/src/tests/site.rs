//! A web site on this machine that answers as it is told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The site. Answers 404 to what it was not told of; remembers every request whole.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) url: String,
    answers: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Site {
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            answers: Arc::default(),
            requests: Arc::default(),
        };
        let serving = site.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let site = serving.clone();
                tokio::spawn(async move { site.answer(stream).await });
            }
        });
        site
    }

    /// What to answer to `path`: a whole HTTP answer, written as it is. An empty one is never
    /// answered.
    pub(super) fn raw(&self, path: &str, answer: &[u8]) {
        let mut answers = self.answers.lock().unwrap();
        answers.insert(path.into(), answer.into());
    }

    pub(super) fn says(&self, path: &str, status: u16, kind: &str, body: &str) {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        );
        self.raw(path, answer.as_bytes());
    }

    pub(super) fn json(&self, path: &str, status: u16, body: &serde_json::Value) {
        self.says(path, status, "application/json", &body.to_string());
    }

    /// The requests to `path` so far.
    pub(super) fn requests(&self, path: &str) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        let to = |request: &&String| request.split(' ').nth(1) == Some(path);
        requests.iter().filter(to).cloned().collect()
    }

    async fn answer(&self, mut stream: TcpStream) {
        let mut request = Vec::new();
        while !is_whole(&request) {
            if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let request = String::from_utf8(request).unwrap();
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        self.requests.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().get(&path).cloned();
        let missing = b"HTTP/1.1 404 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
        let answer = answer.unwrap_or(missing);
        if answer.is_empty() {
            std::future::pending::<()>().await;
        }
        let _ = stream.write_all(&answer).await;
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    body.len() >= length.unwrap_or(0)
}
