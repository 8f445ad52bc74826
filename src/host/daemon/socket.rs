//! One exchange over a Unix socket: HTTP, with a limit of time, and with nobody but our own user or root.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use socket2::{Domain, SockAddr, Type};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::host::HostError;

/// More than a list of all tasks takes.
const ANSWER_MAX: usize = 16 << 20;

/// Where a daemon listens.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) path: PathBuf,
    limit: Duration,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoReply {
    /// Nothing was asked.
    Unasked(HostError),
    /// It was asked, and nothing came in time.
    Silent,
    /// It was asked, and what came is no answer.
    Unreadable(String),
}

/// Whether somebody listens there, without a word to them.
pub(super) fn listens(path: &Path) -> bool {
    let connect = || -> io::Result<()> {
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // Where many wait to be let in already, this would wait as well.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    connect().is_ok()
}

impl Socket {
    pub(super) fn new(path: PathBuf, limit: Duration) -> Self {
        Socket { path, limit }
    }

    /// Asks, on a connection of its own: a daemon that was started anew is a new peer.
    pub(super) fn ask(
        &self,
        runtime: &Runtime,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Reply, NoReply> {
        runtime.block_on(async {
            let stream = self.connect().await.map_err(NoReply::Unasked)?;
            match timeout(self.limit, exchange(stream, method, path, body)).await {
                Ok(answered) => answered.map_err(|error| NoReply::Unreadable(error.to_string())),
                Err(_) => Err(NoReply::Silent),
            }
        })
    }

    async fn connect(&self) -> Result<UnixStream, HostError> {
        let stream = match timeout(self.limit, UnixStream::connect(&self.path)).await {
            Ok(connected) => connected.map_err(|error| self.cant_be_reached(&error))?,
            Err(_) => return Err(self.silent()),
        };
        let peer = stream.peer_cred().map_err(|error| self.cant_be_reached(&error))?.uid();
        // SAFETY: the call takes nothing, and never fails.
        let us = unsafe { libc::geteuid() };
        if peer != us && peer != 0 {
            return Err(HostError::Unusable(format!(
                "what listens on {} is a process of user {peer}'s, and we are user {us}: only our own daemon, or root's, is \
                 asked to start runs; run this as the daemon's user, or see who has put a socket there",
                self.path.display()
            )));
        }
        Ok(stream)
    }

    fn cant_be_reached(&self, error: &io::Error) -> HostError {
        let why = match error.kind() {
            ErrorKind::NotFound => "there is no such socket".to_owned(),
            ErrorKind::ConnectionRefused => "nobody listens on it".to_owned(),
            _ => error.to_string(),
        };
        HostError::Unusable(format!(
            "RunWisp's daemon can't be asked on {}: {why}; start it (RUNWISP_SOCKET names its socket, where it is another \
             one), or leave `via` out (--via): then the new runs are put into the store, and start when it is started next",
            self.path.display()
        ))
    }

    /// What is said where nothing is done yet.
    pub(super) fn silent(&self) -> HostError {
        HostError::TryAgain(format!(
            "RunWisp's daemon does not answer on {} within {}; try again, or wait longer with a larger busy time-out",
            self.path.display(),
            humantime::format_duration(self.limit)
        ))
    }

    /// How long what the daemon has done may take to be seen.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }
}

async fn exchange(
    stream: UnixStream,
    method: Method,
    path: &str,
    body: Option<String>,
) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    // The host's name means nothing on a socket, and RunWisp's own tool says this.
    let mut request = Request::builder().method(method).uri(path).header(HOST, "runwisp");
    request = request.header(USER_AGENT, concat!("bulk-rerun/", env!("CARGO_PKG_VERSION")));
    request = request.header(ACCEPT, "application/json").header(CONNECTION, "close");
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await?.to_bytes().to_vec();
    driver.abort();
    Ok(Reply { status, body })
}
