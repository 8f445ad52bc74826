//! One connection: its requests one after the other, its client's silences, and its end.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode, Version};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest, Ready};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use super::config::FOR_EVER;
use super::observe::Peer;
use super::problem;
use super::server::ServerConfig;
use super::wire::{Client, Wire};

/// The longest head of a request, and what hyper holds of a body at once.
const BUFFER: usize = 16 << 10;

/// How often we look whether a client is still there while it is worked for.
const LOOK: Duration = Duration::from_millis(500);

/// An interim answer, which says no more than that we are at it.
const STILL_HERE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What is still read of a client that has had its last answer: this much, this long, and no longer silence than that.
const REST: u64 = 128 << 20;
const REST_TIME: Duration = Duration::from_secs(30);
const REST_SILENCE: Duration = Duration::from_secs(5);

/// Answers a client's requests until it goes, is told to leave, or the server ends.
pub(super) async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    client: Arc<Client>,
    app: Router,
    config: ServerConfig,
    mut end: watch::Receiver<bool>,
) {
    let stream = Arc::new(stream);
    let wire = Wire::new(Arc::clone(&stream), Arc::clone(&client), config.write_timeout.min(FOR_EVER));
    let service = {
        let (stream, client) = (Arc::clone(&stream), Arc::clone(&client));
        service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let version = request.version();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            let (app, stream, client) = (app.clone(), Arc::clone(&stream), Arc::clone(&client));
            async move {
                tokio::select! {
                    Ok(answer) = app.oneshot(request) => Ok(answer),
                    // Whoever works for it sees that nobody waits.
                    () = gone(&stream, &client, version) => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
                }
            }
        })
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout.min(FOR_EVER))
        // A client may close its half when it has said all.
        .half_close(true)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(wire), service);
    let mut is_ending = false;
    let done = loop {
        tokio::select! {
            done = &mut connection => break done,
            _ = end.changed(), if !is_ending => {
                is_ending = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
            () = client.leave.notified() => {
                tracing::debug!(%peer, "a connection was closed to make room for another");
                return forget(&stream, &client);
            }
        }
    };
    let unread = connection.into_parts().read_buf;
    if client.takes_nothing() {
        tracing::debug!(%peer, "a client does not read its answer");
        return forget(&stream, &client);
    }
    let Some(mut stream) = Arc::into_inner(stream) else { return };
    if let Err(error) = done {
        tracing::debug!(%error, %peer, "a connection broke off");
        if let Some(words) = last_words(&error, &client, &unread, config) {
            let _ = timeout(REST_SILENCE, stream.write_all(&words)).await;
        }
    }
    tokio::select! {
        () = read_the_rest(&mut stream, &client) => {}
        () = client.leave.notified() => {}
        () = async {
            if !is_ending {
                let _ = end.changed().await;
            }
            sleep(LOOK).await;
        } => {}
    }
}

/// What lies in the system's buffers for a client that does not read is thrown away with the connection.
fn forget(stream: &TcpStream, client: &Client) {
    if client.takes_nothing() {
        let _ = stream.set_zero_linger();
    }
}

/// Ready when the client of the request that is worked on has gone.
///
/// A client that closed its half looks like one that is gone. An interim answer tells one from the other: the former
/// reads it (RFC 9110 has every client of HTTP/1.1 do so), for the latter its system answers that there is nobody.
async fn gone(stream: &TcpStream, client: &Client, version: Version) {
    let mut looks = 0_u32;
    loop {
        sleep(LOOK).await;
        let state = state(stream).await;
        if state.is_write_closed() {
            return;
        }
        if state.is_read_closed() {
            looks += 1;
            // Most answers come sooner; and then ever more seldom. Not into an answer before this one that is still on
            // its way.
            if looks > 1 && looks.is_power_of_two() && version == Version::HTTP_11 && !client.takes_nothing() {
                match stream.try_write(STILL_HERE) {
                    Ok(written) if written == STILL_HERE.len() => {}
                    _ => return,
                }
            }
        }
    }
}

/// What is known of a stream at this moment.
async fn state(stream: &TcpStream) -> Ready {
    let mut ready = pin!(stream.ready(Interest::READABLE | Interest::WRITABLE));
    std::future::poll_fn(|cx| match ready.as_mut().poll(cx) {
        std::task::Poll::Ready(Ok(state)) => std::task::Poll::Ready(state),
        _ => std::task::Poll::Ready(Ready::EMPTY),
    })
    .await
}

/// The answer to what hyper refuses by itself.
fn last_words(error: &hyper::Error, client: &Client, unread: &[u8], config: ServerConfig) -> Option<Vec<u8>> {
    let (status, detail) = match client.refused().and_then(|status| StatusCode::from_u16(status).ok()) {
        Some(status @ StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => {
            (status, format!("the head of the request is longer than {BUFFER} bytes, or has too many headers"))
        }
        Some(status) => (status, format!("this is no request in HTTP/1.1: {error}")),
        None if error.is_parse_version_h2() => {
            (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "HTTP/2 is not spoken here, but HTTP/1.1 is".to_owned())
        }
        // Of a client that has sent nothing there is nothing to say.
        None if error.is_timeout() && !unread.is_empty() => {
            let waited = config.header_timeout.as_secs_f64();
            (StatusCode::REQUEST_TIMEOUT, format!("the head of the request did not arrive within {waited} s"))
        }
        None => return None,
    };
    Some(problem::bare(status, detail))
}

/// Says that there is no more to come, and reads what the client still sends. A connection that is closed with
/// something unread in it is reset, and the client, which is busy sending, would never see our answer.
async fn read_the_rest(stream: &mut TcpStream, client: &Client) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut buffer = vec![0; BUFFER];
    let _ = timeout(REST_TIME, async {
        let mut read = 0;
        while read < REST {
            // It has been answered, and is busy: it leaves room for others after those who wait for nothing.
            client.may_be_silent_for(REST_SILENCE);
            match timeout(REST_SILENCE, stream.read(&mut buffer)).await {
                Ok(Ok(more)) if more > 0 => read += more as u64,
                _ => break,
            }
        }
    })
    .await;
}
