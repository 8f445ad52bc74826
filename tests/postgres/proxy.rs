//! A wire to the server that can be cut at an awkward moment.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// When the wire is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cut {
    Never,
    /// The server never gets the COMMIT.
    BeforeCommit,
    /// The server's answer to the COMMIT is lost.
    AfterCommit,
    /// So is everything that is tried afterwards.
    AfterCommitForGood,
    /// The answer comes through; all that is tried afterwards is lost.
    AfterAnswerForGood,
    ForGood,
    /// The server never gets the request that comes after so many.
    BeforeRequest(u32),
    /// It gets that, and its answer is lost.
    AfterRequest(u32),
}

impl Cut {
    fn lets_the_request_through(self) -> bool {
        !matches!(self, Cut::BeforeCommit | Cut::ForGood | Cut::BeforeRequest(_))
    }

    fn lets_the_answer_through(self) -> bool {
        matches!(self, Cut::Never | Cut::AfterAnswerForGood)
    }

    /// Whether a request is the one at which something happens.
    fn is_at(self, request: &[u8]) -> bool {
        match self {
            Cut::BeforeRequest(left) | Cut::AfterRequest(left) => left == 0,
            _ => request.windows(7).any(|bytes| bytes == b"COMMIT\0"),
        }
    }

    /// What becomes of the requests after that one.
    fn afterwards(self) -> Cut {
        match self {
            Cut::AfterCommitForGood | Cut::AfterAnswerForGood | Cut::ForGood => Cut::ForGood,
            _ => Cut::Never,
        }
    }

    /// What becomes of the requests after one before it.
    fn nearer(self) -> Cut {
        match self {
            Cut::BeforeRequest(left) => Cut::BeforeRequest(left - 1),
            Cut::AfterRequest(left) => Cut::AfterRequest(left - 1),
            other => other,
        }
    }
}

/// What is to happen on the wire.
struct Plan {
    cut: Cut,
    /// The port of the server that new connections lead to.
    server: u16,
    /// The same from the next COMMIT on.
    next_server: Option<u16>,
    leaves_options_out: bool,
}

pub struct Proxy {
    port: u16,
    plan: Arc<Mutex<Plan>>,
}

impl Proxy {
    pub fn start(server: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let plan = Plan { cut: Cut::Never, server, next_server: None, leaves_options_out: false };
        let plan = Arc::new(Mutex::new(plan));
        let shared = Arc::clone(&plan);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (cut, server) = {
                    let plan = shared.lock().unwrap();
                    (plan.cut, plan.server)
                };
                if cut == Cut::ForGood {
                    continue;
                }
                // A server that is gone refuses its clients.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (answers, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let plan = Arc::clone(&shared);
                thread::spawn(move || requests(client, server, &plan));
                thread::spawn(move || copy(answers, to_client));
            }
        });
        Proxy { port, plan }
    }

    /// An address that leads through here.
    pub fn through(&self, url: &str) -> String {
        let (before, rest) = url.split_once("127.0.0.1:").unwrap();
        let (_, path) = rest.split_once('/').unwrap();
        format!("{before}127.0.0.1:{}/{path}", self.port)
    }

    /// Cuts the wire at the next COMMIT.
    pub fn cut(&self, when: Cut) {
        self.plan.lock().unwrap().cut = when;
    }

    /// Whether all that was to be cut has been.
    pub fn has_cut(&self) -> bool {
        self.plan.lock().unwrap().cut == Cut::Never
    }

    /// The same, and from then on it leads to another server.
    pub fn cut_and_lead_to(&self, when: Cut, server: u16) {
        let mut plan = self.plan.lock().unwrap();
        plan.cut = when;
        plan.next_server = Some(server);
    }

    /// From now on the server is not told the options that a client asks for.
    pub fn leave_options_out(&self) {
        self.plan.lock().unwrap().leaves_options_out = true;
    }
}

fn requests(mut client: TcpStream, mut server: TcpStream, plan: &Mutex<Plan>) {
    let mut buffer = [0; 65_536];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let request = &mut buffer[..length];
        let (cut, leaves_options_out) = {
            let mut plan = plan.lock().unwrap();
            let now = plan.cut;
            let is_at = now.is_at(request);
            plan.cut = if is_at { now.afterwards() } else { now.nearer() };
            if is_at {
                plan.server = plan.next_server.take().unwrap_or(plan.server);
            }
            let cut = if is_at || now == Cut::ForGood { now } else { Cut::Never };
            (cut, plan.leaves_options_out)
        };
        if leaves_options_out && let Some(at) = request.windows(9).position(|bytes| bytes == b"\0options\0") {
            // As long as it was, for a setting that says nothing.
            let value = at + 9;
            let end = value + request[value..].iter().position(|&byte| byte == 0).unwrap();
            request[value..end].fill(b' ');
        }
        let request = &*request;
        if !cut.lets_the_answer_through() {
            let _ = client.shutdown(Shutdown::Both);
        }
        if cut.lets_the_request_through() && server.write_all(request).is_err() || !cut.lets_the_answer_through() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Write);
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}
