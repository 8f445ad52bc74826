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
}

impl Cut {
    fn lets_the_request_through(self) -> bool {
        !matches!(self, Cut::BeforeCommit | Cut::ForGood)
    }

    fn lets_the_answer_through(self) -> bool {
        matches!(self, Cut::Never | Cut::AfterAnswerForGood)
    }

    /// What becomes of the requests after the COMMIT.
    fn afterwards(self) -> Cut {
        match self {
            Cut::AfterCommitForGood | Cut::AfterAnswerForGood | Cut::ForGood => Cut::ForGood,
            Cut::Never | Cut::BeforeCommit | Cut::AfterCommit => Cut::Never,
        }
    }
}

pub struct Proxy {
    port: u16,
    cut: Arc<Mutex<Cut>>,
}

impl Proxy {
    pub fn start(server: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(Mutex::new(Cut::Never));
        let when = Arc::clone(&cut);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if *when.lock().unwrap() == Cut::ForGood {
                    continue;
                }
                let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
                let (answers, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let when = Arc::clone(&when);
                thread::spawn(move || requests(client, server, &when));
                thread::spawn(move || copy(answers, to_client));
            }
        });
        Proxy { port, cut }
    }

    /// An address that leads through here.
    pub fn through(&self, url: &str) -> String {
        let (before, rest) = url.split_once("127.0.0.1:").unwrap();
        let (_, path) = rest.split_once('/').unwrap();
        format!("{before}127.0.0.1:{}/{path}", self.port)
    }

    /// Cuts the wire at the next COMMIT.
    pub fn cut(&self, when: Cut) {
        *self.cut.lock().unwrap() = when;
    }
}

fn requests(mut client: TcpStream, mut server: TcpStream, when: &Mutex<Cut>) {
    let mut buffer = [0; 65_536];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let request = &buffer[..length];
        let cut = {
            let mut when = when.lock().unwrap();
            let now = *when;
            let commits = request.windows(7).any(|bytes| bytes == b"COMMIT\0");
            if commits {
                *when = now.afterwards();
            }
            if commits || now == Cut::ForGood { now } else { Cut::Never }
        };
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
