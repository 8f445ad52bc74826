//! A listener of the door's own: bounded connections, time-outs, and an end that finishes what spawns.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::connection::converse;
use super::wire::Client;

/// What the system holds of one connection in either direction, in bytes (Linux doubles it for its own bookkeeping). By
/// itself it holds some megabytes of an answer that nobody reads: a thousand such clients used up the memory that the
/// machine has for TCP, and honest ones came to a halt for seconds.
const SYSTEM_BUFFER: usize = 128 << 10;

/// How long a client that has just come may take to its first word before it lets us wait. On a busy machine it is we who
/// have not listened yet, for a second and more: until then it does not make room, whoever waits for that.
const FIRST_SILENCE: Duration = Duration::from_secs(3);

/// How often in a row it is looked, some milliseconds apart, for somebody who lets us wait, before one who may be silent
/// has to go.
const TRIES: u32 = 20;

/// How a listener treats its connections.
#[derive(Debug, Clone, Copy)]
pub struct ServerConfig {
    /// How many connections are open at once, as far as the system's limit on open files allows. For a further one
    /// the connection is closed that has let us wait for the longest time; none whose request is being worked on.
    pub connections: usize,
    /// How long a client may take for the head of a request, and how long a connection may be idle.
    pub header_timeout: Duration,
    /// How long a client may take nothing of an answer before it is cut off.
    pub write_timeout: Duration,
    /// How long requests may go on after the end was asked for. What spawns by then completes.
    pub grace: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            connections: 512,
            header_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(15),
            grace: Duration::from_secs(10),
        }
    }
}

/// Serves `app` until `end` is ready, and then until its last request is answered or the grace is
/// over. Nothing that spawns is cut off: the runtime waits for its blocking threads.
pub async fn serve(listener: TcpListener, app: Router, config: ServerConfig, end: impl Future<Output = ()>) {
    let mut crowd = Crowd::new(config.connections);
    let (tell_end, ending) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut end = std::pin::pin!(end);
    loop {
        let next = async {
            let (stream, peer) = accept(&listener, &mut crowd).await;
            (stream, peer, crowd.enter().await)
        };
        let (stream, peer, client) = tokio::select! {
            () = &mut end => break,
            next = next => next,
        };
        connections.spawn(converse(stream, peer, client, app.clone(), config, ending.clone()));
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let _ = tell_end.send(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(config.grace, all).await.is_err() {
        tracing::warn!("requests are still searching after {} s: they are given up", config.grace.as_secs_f64());
        connections.shutdown().await;
    }
}

/// The next connection.
async fn accept(listener: &TcpListener, crowd: &mut Crowd) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Err(error) = prepare(&stream) {
                    tracing::debug!(%error, %peer, "a connection is as the system makes it");
                }
                return (stream, peer);
            }
            // Out of file descriptors, most likely: trying again at once would only spin.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                let _ = crowd.make_room(true);
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // An answer is one write: it should not wait for another.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_send_buffer_size(SYSTEM_BUFFER)?;
    socket.set_recv_buffer_size(SYSTEM_BUFFER)
}

/// All who are connected, but for those who were told to leave.
struct Crowd {
    size: usize,
    clients: Vec<Arc<Client>>,
    /// How often nobody was found who lets us wait, since somebody was.
    tries: u32,
}

impl Crowd {
    fn new(connections: usize) -> Self {
        Crowd { size: connections.min(affordable()).max(1), clients: Vec::new(), tries: 0 }
    }

    /// Lets one more in, if need be for another.
    async fn enter(&mut self) -> Arc<Client> {
        while self.clients.len() >= self.size {
            self.forget_the_gone();
            if self.clients.len() < self.size {
                break;
            }
            if self.make_room(false) {
                self.tries = 0;
            } else if self.tries < TRIES {
                self.tries += 1;
                sleep(Duration::from_millis(10)).await;
            } else if !self.make_room(true) {
                // Everybody is being worked for.
                sleep(Duration::from_millis(10)).await;
            }
        }
        let client = Arc::new(Client::new(FIRST_SILENCE));
        self.clients.push(Arc::clone(&client));
        client
    }

    /// Tells the one to leave who lets us wait for the longest time. Those who wait for us stay, and so do those who have just
    /// come. Who has had its answer and is still sending stays as well, unless there is nobody else.
    fn make_room(&mut self, even_of_the_busy: bool) -> bool {
        self.forget_the_gone();
        let now = Instant::now();
        let may_go = |client: &Client, since: Instant| since <= now || (even_of_the_busy && client.is_heard());
        let since = |client: &Client| client.awaited_since().filter(|since| may_go(client, *since));
        let awaited = self.clients.iter().enumerate().filter_map(|(at, client)| Some((since(client)?, at)));
        let Some((_, longest)) = awaited.min() else { return false };
        self.clients.swap_remove(longest).leave.notify_one();
        true
    }

    /// The connection of everybody else has a share of its client.
    fn forget_the_gone(&mut self) {
        self.clients.retain(|client| Arc::strong_count(client) > 1);
    }
}

/// As many connections as leave the store and the runtime some files of those that the process may open.
fn affordable() -> usize {
    const SPARE: u64 = 128;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: it writes to `limit`, and to nothing else.
    let is_known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0;
    if is_known { usize::try_from(limit.rlim_cur.saturating_sub(SPARE)).unwrap_or(usize::MAX) } else { usize::MAX }
}
