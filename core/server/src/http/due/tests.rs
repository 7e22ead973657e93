#![allow(clippy::unwrap_used, clippy::panic)]

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::JoinHandle,
    time::Instant,
};

use super::*;
use crate::http::connection::{self, Drain};

const TIMES: Times = Times {
    header: Duration::from_secs(10),
    idle: Duration::from_secs(60),
    write: Duration::from_secs(30),
};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// A client's end of a connection that answers everything with `size` bytes.
fn connect(drain: &Drain, size: usize) -> (DuplexStream, JoinHandle<()>) {
    let (client, server) = tokio::io::duplex(4096);
    let due = Due::new(TIMES);
    let stream = TokioIo::new(Watched::new(server, Arc::clone(&due)));
    let hearing = drain.hear();
    let closing = Arc::clone(&hearing.began);
    let service = service_fn(move |_: Request<Incoming>| {
        let mut response = Response::new(Full::new(Bytes::from(vec![b'x'; size])));
        if closing.load(Relaxed) {
            let close = http::HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        async move { Ok::<_, Infallible>(response) }
    });
    let task = tokio::spawn(connection::run(stream, service, due, 16 * 1024, hearing));
    (client, task)
}

/// Seconds until the server hangs up, with the clock running ahead of time.
async fn hangs_up(client: &mut DuplexStream) -> (u64, String) {
    let began = Instant::now();
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    let said = String::from_utf8(said).unwrap();
    (began.elapsed().as_secs(), said)
}

async fn ask(client: &mut DuplexStream) -> String {
    client.write_all(REQUEST).await.unwrap();
    let mut said = [0; 1024];
    let length = client.read(&mut said).await.unwrap();
    String::from_utf8(said[..length].to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_has_the_time_of_a_header() {
    let (mut client, _task) = connect(&Drain::new(), 2);
    assert_eq!(hangs_up(&mut client).await.0, 10);
}

#[tokio::test(start_paused = true)]
async fn a_header_that_drips_has_no_more_time_than_any() {
    let (client, _task) = connect(&Drain::new(), 2);
    let (mut read, mut write) = tokio::io::split(client);
    let drip = tokio::spawn(async move {
        for byte in REQUEST.iter().cycle() {
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(9)).await;
        }
    });
    let began = Instant::now();
    let mut said = Vec::new();
    read.read_to_end(&mut said).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 10);
    drip.abort();
}

#[tokio::test(start_paused = true)]
async fn between_requests_there_is_more_time_until_the_next_begins() {
    let (mut client, _task) = connect(&Drain::new(), 2);
    for _ in 0..3 {
        assert!(ask(&mut client).await.starts_with("HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_secs(50)).await;
    }
    assert!(ask(&mut client).await.starts_with("HTTP/1.1 200"));
    let after = hangs_up(&mut client).await.0;
    assert!((60..=75).contains(&after), "{after}");

    let (mut client, _task) = connect(&Drain::new(), 2);
    ask(&mut client).await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    client.write_all(b"GET").await.unwrap();
    assert_eq!(hangs_up(&mut client).await.0, 10);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_is_cut_off() {
    let (mut client, task) = connect(&Drain::new(), 100_000);
    client.write_all(REQUEST).await.unwrap();
    let began = Instant::now();
    task.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_taken_slowly_but_taken_is_not() {
    let (mut client, _task) = connect(&Drain::new(), 100_000);
    client.write_all(REQUEST).await.unwrap();
    let mut taken = 0;
    let mut buffer = [0; 4096];
    while taken < 100_000 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        match client.read(&mut buffer).await.unwrap() {
            0 => panic!("cut off after {taken}"),
            more => taken += more,
        }
    }
    // And that was that: the connection is good for another.
    tokio::time::sleep(Duration::from_secs(20)).await;
    client.write_all(REQUEST).await.unwrap();
    assert_ne!(client.read(&mut buffer).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_byte_at_a_time_is_not_taking_it() {
    let (mut client, task) = connect(&Drain::new(), 100_000);
    client.write_all(REQUEST).await.unwrap();
    let began = Instant::now();
    let drip = tokio::spawn(async move {
        let mut one = [0];
        while client.read_exact(&mut one).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    task.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 30);
    drip.abort();
}

#[tokio::test(start_paused = true)]
async fn in_a_drain_each_answer_is_the_last_and_who_asks_nothing_is_let_go() {
    let drain = Drain::new();
    let (mut busy, _one) = connect(&drain, 2);
    let (mut quiet, _two) = connect(&drain, 2);
    let (mut fresh, _three) = connect(&drain, 2);
    let (mut begun, _four) = connect(&drain, 2);
    assert!(!ask(&mut busy).await.contains("connection: close"));
    ask(&mut quiet).await;
    begun.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    tokio::task::yield_now().await;
    drain.begin();
    let end = tokio::spawn(drain.end());
    // What was on its way when the drain began is answered, and then it is over.
    let answer = ask(&mut busy).await;
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(hangs_up(&mut busy).await.0, 0);
    assert_eq!(hangs_up(&mut quiet).await, (0, String::new()));
    assert_eq!(hangs_up(&mut fresh).await, (0, String::new()));
    begun.write_all(b"Host: x\r\n\r\n").await.unwrap();
    let (_, answer) = hangs_up(&mut begun).await;
    assert!(answer.contains("connection: close"), "{answer}");
    end.await.unwrap();
}

#[test]
fn small_answers_are_sent_from_one_place_and_no_others() {
    let gathered = |slices: &[&[u8]]| {
        let slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        gather(&slices, &mut [0; SMALL]).map(<[u8]>::to_vec)
    };
    assert_eq!(gathered(&[b"head", b"", b"body"]).unwrap(), b"headbody");
    assert_eq!(gathered(&[]).unwrap(), b"");
    let (head, rest) = ([1; 200], [2; SMALL - 200]);
    assert_eq!(
        gathered(&[&head, &rest]).unwrap(),
        [&head[..], &rest].concat()
    );
    assert_eq!(gathered(&[&head, &rest, b"x"]), None);
}
