#![allow(clippy::unwrap_used, clippy::panic)]

use std::{convert::Infallible, sync::atomic::AtomicUsize};

use h2::{Reason, client, client::SendRequest};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::JoinHandle,
    time::{Duration, Instant},
};

use super::*;
use crate::http::{
    connection::Drain,
    due::{Times, Watched},
};

const TIMES: Times = Times {
    header: Duration::from_secs(10),
    idle: Duration::from_secs(60),
    write: Duration::from_secs(30),
};

struct Server {
    task: JoinHandle<()>,
    served: Arc<AtomicUsize>,
}

/// A connection whose requests are answered with `size` bytes, or with what they looked like.
fn serve(stream: DuplexStream, drain: &Drain, size: usize) -> Server {
    let due = Due::new(TIMES);
    let stream = TokioIo::new(Watched::new(stream, Arc::clone(&due)));
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    let service = service_fn(move |request: Request<Lent<Incoming>>| {
        count.fetch_add(1, Ordering::Relaxed);
        let shown: Vec<String> = [header::HOST, header::COOKIE]
            .iter()
            .flat_map(|name| request.headers().get_all(name))
            .map(|value| value.to_str().unwrap().to_owned())
            .collect();
        let text = match size {
            0 => shown.join("|").into_bytes(),
            size => vec![b'x'; size],
        };
        async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text)))) }
    });
    let limits = Limits {
        header: 16 * 1024,
        streams: 8,
    };
    let task = tokio::spawn(run(stream, service, due, limits, drain.hear()));
    Server { task, served }
}

async fn connect(
    drain: &Drain,
    size: usize,
    window: u32,
) -> (SendRequest<Bytes>, JoinHandle<Option<Reason>>, Server) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let server = serve(theirs, drain, size);
    let mut builder = client::Builder::new();
    builder.initial_window_size(window);
    let (send, connection) = builder.handshake(ours).await.unwrap();
    let task = tokio::spawn(async move { connection.await.err().and_then(|e| e.reason()) });
    (send, task, server)
}

fn get() -> Request<()> {
    let request = Request::get("https://auth.example.com/v1/me");
    request.body(()).unwrap()
}

async fn text(send: &mut SendRequest<Bytes>, request: Request<()>) -> String {
    *send = send.clone().ready().await.unwrap();
    let (answer, _) = send.send_request(request, true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    let mut text = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.unwrap();
        body.flow_control().release_capacity(chunk.len()).unwrap();
        text.extend_from_slice(&chunk);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_request_looks_as_over_http_1() {
    let (mut send, _client, _server) = connect(&Drain::new(), 0, 65_535).await;
    assert_eq!(text(&mut send, get()).await, "auth.example.com");
    let mut crumbs = get();
    for crumb in ["a=1", "b=2; c=3", "d=4"] {
        crumbs
            .headers_mut()
            .append(header::COOKIE, HeaderValue::from_static(crumb));
    }
    let shown = text(&mut send, crumbs).await;
    assert_eq!(shown, "auth.example.com|a=1; b=2; c=3; d=4");
    let mut other = get();
    let host = HeaderValue::from_static("evil.example");
    other.headers_mut().insert(header::HOST, host);
    // It stays what it is: the door refuses a target and a `Host` that differ.
    assert_eq!(text(&mut send, other).await, "evil.example");
}

#[tokio::test(start_paused = true)]
async fn large_answers_come_whole() {
    let (mut send, _client, _server) = connect(&Drain::new(), 300_000, 65_535).await;
    assert_eq!(text(&mut send, get()).await.len(), 300_000);
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nothing_is_asked_ends() {
    let (mut send, client, _server) = connect(&Drain::new(), 2, 65_535).await;
    let began = Instant::now();
    assert_eq!(text(&mut send, get()).await, "xx");
    client.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 60);

    let (_send, client, _server) = connect(&Drain::new(), 2, 65_535).await;
    let began = Instant::now();
    client.await.unwrap();
    assert_eq!(
        began.elapsed().as_secs(),
        10,
        "nor before the first request"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_ends_the_connection() {
    let (mut send, _client, server) = connect(&Drain::new(), 300_000, 1).await;
    let began = Instant::now();
    let (_answer, _) = send.send_request(get(), true).unwrap();
    server.task.await.unwrap();
    // The client answers pings all the while.
    assert_eq!(began.elapsed().as_secs(), 30);
}

/// Also when there is room for a byte of it, so that all of it is with h2.
#[tokio::test(start_paused = true)]
async fn a_small_answer_that_is_not_taken_ends_the_connection() {
    let (mut send, _client, server) = connect(&Drain::new(), 300, 1).await;
    let began = Instant::now();
    let (_answer, _) = send.send_request(get(), true).unwrap();
    server.task.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_head_says_how_long_it_would_be_and_has_no_content() {
    let (mut send, _client, _server) = connect(&Drain::new(), 300, 65_535).await;
    let mut head = get();
    *head.method_mut() = Method::HEAD;
    send = send.ready().await.unwrap();
    let (answer, _) = send.send_request(head, true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.headers()[header::CONTENT_LENGTH], "300");
    assert!(answer.into_body().data().await.is_none());
    assert_eq!(text(&mut send, get()).await.len(), 300, "it goes on");
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_at_once_than_allowed() {
    let (mut send, _client, server) = connect(&Drain::new(), 300_000, 0).await;
    let mut answers = Vec::new();
    for _ in 0..100 {
        let Ok(ready) = tokio::time::timeout(Duration::from_secs(1), send.clone().ready()).await
        else {
            break;
        };
        send = ready.unwrap();
        answers.push(send.send_request(get(), true).unwrap());
        tokio::task::yield_now().await;
    }
    assert!(server.served.load(Ordering::Relaxed) <= 8);
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

#[tokio::test(start_paused = true)]
async fn who_opens_requests_only_to_take_them_back_is_sent_away() {
    let (mut client, theirs) = tokio::io::duplex(1 << 20);
    let server = serve(theirs, &Drain::new(), 2);
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend(frame(4, 0, 0, &[]));
    for stream in (1..2001).step_by(2) {
        // `GET https://x/`, from the static table, and then CANCEL.
        sent.extend(frame(1, 5, stream, &[0x82, 0x87, 0x84, 0x41, 1, b'x']));
        sent.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    client.write_all(&sent).await.unwrap();
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    let enhance_your_calm = 11_u32.to_be_bytes();
    let is_goaway = |frame: &[u8]| frame[3] == 7 && frame[13..] == enhance_your_calm;
    assert!(said.windows(17).any(is_goaway), "{}", said.escape_ascii());
    server.task.await.unwrap();
    assert!(server.served.load(Ordering::Relaxed) < 100);
}

#[tokio::test(start_paused = true)]
async fn a_header_beyond_the_limit_is_refused() {
    let (mut send, _client, _server) = connect(&Drain::new(), 2, 65_535).await;
    let mut request = get();
    for index in 0..40 {
        let name = http::HeaderName::from_bytes(format!("x-{index}").as_bytes()).unwrap();
        let value = HeaderValue::from_bytes(&[b'a'; 1000]).unwrap();
        request.headers_mut().insert(name, value);
    }
    send = send.ready().await.unwrap();
    let (answer, _) = send.send_request(request, true).unwrap();
    match answer.await {
        Ok(answer) => assert_eq!(answer.status(), 431),
        Err(error) => assert!(error.reason().is_some(), "{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_answers_what_was_asked_and_takes_no_more() {
    let drain = Drain::new();
    let (mut send, client, server) = connect(&drain, 300_000, 65_535).await;
    send = send.ready().await.unwrap();
    let (answer, _) = send.send_request(get(), true).unwrap();
    tokio::task::yield_now().await;
    drain.begin();
    let end = tokio::spawn(drain.end());
    let mut body = answer.await.unwrap().into_body();
    let mut length = 0;
    while let Some(chunk) = body.data().await {
        let chunk = chunk.unwrap();
        body.flow_control().release_capacity(chunk.len()).unwrap();
        length += chunk.len();
    }
    assert_eq!(length, 300_000);
    assert_eq!(client.await.unwrap(), None);
    server.task.await.unwrap();
    end.await.unwrap();
    assert!(send.ready().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn who_is_still_sending_hears_the_answer_and_no_reset() {
    let (mut send, _client, _server) = connect(&Drain::new(), 2, 65_535).await;
    send = send.ready().await.unwrap();
    let (answer, mut body) = send.send_request(get(), false).unwrap();
    tokio::task::yield_now().await;
    body.send_data(Bytes::from(vec![b'x'; 50_000]), true)
        .unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    let reset = poll_fn(|cx| body.poll_reset(cx));
    let reset = tokio::time::timeout(Duration::from_secs(1), reset).await;
    assert!(!matches!(reset, Ok(Ok(_))), "{reset:?}");
    // But nobody is listened to for ever.
    let (answer, _body) = send.send_request(get(), false).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
}
