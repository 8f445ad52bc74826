//! A listener of the door's own: bounded connections, time-outs, and an end that finishes what spawns.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use super::config::FOR_EVER;
use super::observe::Peer;

/// How a listener treats its connections.
#[derive(Debug, Clone, Copy)]
pub struct ServerConfig {
    /// How many connections are open at once; further ones wait in the system's backlog.
    pub connections: usize,
    /// How long a client may take for the head of a request, and how long a connection may be idle.
    pub header_timeout: Duration,
    /// How long requests may go on after the end was asked for. What spawns by then completes.
    pub grace: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig { connections: 1_024, header_timeout: Duration::from_secs(15), grace: Duration::from_secs(10) }
    }
}

/// Serves `app` until `end` is ready, and then until its last request is answered or the grace is
/// over. Nothing that spawns is cut off: the runtime waits for its blocking threads.
pub async fn serve(listener: TcpListener, app: Router, config: ServerConfig, end: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(config.connections.min(Semaphore::MAX_PERMITS)));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut end = std::pin::pin!(end);
    loop {
        let accept = async {
            // Never closed, so there is always a permit at last.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            () = &mut end => break,
            accepted = accept => accepted,
        };
        let Some((stream, peer)) = usable(accepted).await else { continue };
        let app = app.clone();
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            app.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(config.header_timeout.min(FOR_EVER))
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            let _place = place;
            // A client that breaks off, or is too slow: not worth more than a look.
            if let Err(error) = connection.await {
                tracing::debug!(%error, %peer, "a connection broke off");
            }
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    if timeout(config.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests are still searching after {} s: they are given up", config.grace.as_secs_f64());
        connections.shutdown().await;
    }
}

/// A connection that was accepted. Out of file descriptors, trying again at once would only spin.
async fn usable(accepted: io::Result<(TcpStream, std::net::SocketAddr)>) -> Option<(TcpStream, std::net::SocketAddr)> {
    match accepted {
        Ok((stream, peer)) => {
            // An answer is one write: it should not wait for another.
            let _ = stream.set_nodelay(true);
            Some((stream, peer))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            sleep(Duration::from_millis(100)).await;
            None
        }
    }
}
