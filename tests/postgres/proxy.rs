//! A wire to the server that can be cut at an awkward moment.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

/// When the wire is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(u8)]
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
    fn of(number: u8) -> Cut {
        const ALL: [Cut; 6] = [
            Cut::Never,
            Cut::BeforeCommit,
            Cut::AfterCommit,
            Cut::AfterCommitForGood,
            Cut::AfterAnswerForGood,
            Cut::ForGood,
        ];
        ALL[usize::from(number)]
    }
}

pub struct Proxy {
    port: u16,
    cut: Arc<AtomicU8>,
}

impl Proxy {
    pub fn start(server: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicU8::new(Cut::Never as u8));
        let when = Arc::clone(&cut);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if Cut::of(when.load(Ordering::SeqCst)) == Cut::ForGood {
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
        self.cut.store(when as u8, Ordering::SeqCst);
    }
}

fn requests(mut client: TcpStream, mut server: TcpStream, when: &AtomicU8) {
    let mut buffer = [0; 65_536];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let request = &buffer[..length];
        let now = Cut::of(when.load(Ordering::SeqCst));
        let commits = request.windows(7).any(|bytes| bytes == b"COMMIT\0");
        let cut = if commits || now == Cut::ForGood { now } else { Cut::Never };
        let then = match cut {
            Cut::AfterCommitForGood | Cut::AfterAnswerForGood | Cut::ForGood => Cut::ForGood,
            _ => Cut::Never,
        };
        let goes_on = matches!(cut, Cut::Never | Cut::AfterAnswerForGood);
        if cut != Cut::Never {
            when.store(then as u8, Ordering::SeqCst);
        }
        if !goes_on {
            // Nothing comes back any more.
            let _ = client.shutdown(Shutdown::Both);
        }
        if !matches!(cut, Cut::BeforeCommit | Cut::ForGood) && server.write_all(request).is_err() || !goes_on {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Write);
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}
