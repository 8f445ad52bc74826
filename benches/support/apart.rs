//! The peer in a process of its own. It takes hundreds of megabytes in a million pieces; in one
//! process with us, what follows it would pay for the heap and the caches that it leaves behind.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use bulk_rerun::Request;

use super::measure::{time, time_warm};
use super::peer::{Peer, Synchronous};
use super::spawn::on_a_copy;

/// What the child is started with: what to do, the store, and the request.
pub const ARGUMENT: &str = "--peer";

/// What the peer is to be timed at.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// Finding the runs.
    Resolve,
    /// Finding them and starting each again, in a fresh copy of the store.
    Rerun(Synchronous),
}

impl Work {
    fn word(self) -> &'static str {
        match self {
            Work::Resolve => "resolve",
            Work::Rerun(Synchronous::Full) => "full",
            Work::Rerun(Synchronous::Normal) => "normal",
        }
    }
}

/// The child, as its parent sees it.
pub struct Apart {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Apart {
    pub fn start(work: Work, store: &Path, request: &[u8]) -> Apart {
        let mut command = Command::new(std::env::current_exe().expect("this program's file"));
        command.args([ARGUMENT, work.word()]).arg(store).arg(String::from_utf8_lossy(request).as_ref());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a child process");
        let ask = child.stdin.take().expect("its input");
        let answers = BufReader::new(child.stdout.take().expect("its output"));
        Apart { child, ask, answers }
    }

    /// Lets it do its work once.
    pub fn turn(&mut self) -> Duration {
        writeln!(self.ask).expect("the child listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the child answers");
        Duration::from_nanos(line.trim().parse().expect("a number of nanoseconds"))
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child's side: a turn for each line.
pub fn serve(work: &str, store: &Path, request: &[u8]) {
    let request = Request::from_json(request).expect("a good request");
    let rerun = |synchronous| {
        on_a_copy(store, |copy| {
            let peer = Peer::open(copy, synchronous);
            time(|| peer.rerun(&request))
        })
    };
    let resolving = Peer::open(store, Synchronous::Full);
    for _ in io::stdin().lines() {
        let took = match work {
            "full" => rerun(Synchronous::Full),
            "normal" => rerun(Synchronous::Normal),
            _ => time_warm(|| resolving.resolve(&request)),
        };
        println!("{}", took.as_nanos());
    }
}
