//! Clients that do not do as most do: they don't read, don't finish, don't listen while they talk, or hang up early.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use bulk_rerun::Config;
use bulk_rerun::http::{HttpConfig, ServerConfig, Token};

use crate::server::{RERUN, Server};
use crate::support::Store;
use crate::{DRY_RUN, night, serve, slow_to_spawn};

const BUNDLE: &str = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn serve_with(store: &Store, http: HttpConfig, listener: ServerConfig) -> Server {
    Server::start(&Config::new(store.path_str()), http, listener)
}

fn head(length: usize, headers: &str) -> String {
    format!("POST {RERUN} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n")
}

fn request(body: &str) -> String {
    head(body.len(), "") + body
}

/// All that comes until the server closes the connection, which must not be a reset.
fn read_all(mut stream: &TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Whether the server has broken the connection off: it takes nothing more.
fn is_cut_off(stream: &mut TcpStream) -> bool {
    stream.write_all(b"GET / HTTP/1.1\r\n").is_err_and(|error| error.kind() != ErrorKind::WouldBlock)
}

/// Asks for more than the system's buffers hold, and reads none of it.
fn never_reads(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    stream.write_all(BUNDLE.repeat(60).as_bytes()).unwrap();
    stream.set_nonblocking(true).unwrap();
    stream
}

#[test]
fn who_never_reads_is_cut_off() {
    let store = night();
    let limits = ServerConfig { write_timeout: Duration::from_secs(1), ..ServerConfig::default() };
    let server = serve_with(&store, HttpConfig::default(), limits);
    for mut client in [never_reads(&server), never_reads(&server), never_reads(&server)] {
        while !is_cut_off(&mut client) {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// By itself Linux keeps megabytes for each of them; a thousand use up what it has for all connections.
#[test]
#[cfg(target_os = "linux")]
fn the_system_keeps_little_for_who_never_reads() {
    let store = night();
    let server = serve(&store);
    let client = never_reads(&server);
    let port = client.peer_addr().unwrap().port();
    let mut before = 0;
    let kept = loop {
        thread::sleep(Duration::from_millis(300));
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let kept: usize = fields
            .filter(|fields| fields[1].ends_with(&format!(":{port:04X}")))
            .map(|fields| usize::from_str_radix(fields[4].split(':').next().unwrap(), 16).unwrap())
            .sum();
        if kept > 0 && kept == before {
            break kept;
        }
        before = kept;
    };
    assert!(kept < 512 << 10, "{kept} bytes wait for a client that never reads");
}

#[test]
fn who_reads_slowly_gets_all_of_it() {
    let store = night();
    let limits = ServerConfig {
        write_timeout: Duration::from_secs(1),
        header_timeout: Duration::from_secs(1),
        ..ServerConfig::default()
    };
    let server = serve_with(&store, HttpConfig::default(), limits);
    let mut client = server.connect();
    let last = BUNDLE.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    client.write_all((BUNDLE.repeat(19) + &last).as_bytes()).unwrap();
    let (mut read, mut buffer) = (0, vec![0; 1 << 20]);
    loop {
        match client.read(&mut buffer).unwrap() {
            0 => break,
            more => read += more,
        }
        thread::sleep(Duration::from_millis(200));
    }
    assert!(read > 20 * 400_000, "{read} bytes");
}

#[test]
fn where_every_place_is_taken_the_one_who_lets_us_wait_longest_makes_room() {
    let store = slow_to_spawn();
    let server = serve_with(&store, HttpConfig::default(), ServerConfig { connections: 8, ..ServerConfig::default() });
    thread::scope(|scope| {
        let mut working = server.connect();
        working
            .write_all(request(r#"{"ids": ["a1"]}"#).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes())
            .unwrap();
        let working = scope.spawn(move || read_all(&working));
        while server.get("/metrics").text.contains("bulk_rerun_queue_occupied 0") {
            thread::sleep(Duration::from_millis(5));
        }
        let mut idle: Vec<TcpStream> = Vec::new();
        for round in 0..40 {
            idle.push(if round % 2 == 0 { server.connect() } else { never_reads(&server) });
            assert_eq!(server.get("/healthz").status, 200);
        }
        // What is worked on is nobody's to take away, however long it takes.
        let answer = working.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"triggered\":[{"), "{answer}");
    });
}

#[test]
fn who_has_just_come_has_a_moment_for_its_first_word() {
    let store = night();
    let server = serve_with(&store, HttpConfig::default(), ServerConfig { connections: 2, ..ServerConfig::default() });
    let mut fresh = server.connect();
    let mut idle = server.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(idle.read(&mut [0; 1_000]).unwrap() > 0);
    // There is no place for a third: the idle one goes, though the other has been silent for longer.
    assert_eq!(server.get("/healthz").status, 200);
    fresh.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let answer = read_all(&fresh);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn who_has_just_come_does_not_make_room_before_it_could_say_a_word() {
    let store = night();
    let server = serve_with(&store, HttpConfig::default(), ServerConfig { connections: 2, ..ServerConfig::default() });
    let mut fresh = [server.connect(), server.connect()];
    thread::scope(|scope| {
        let third = scope.spawn(|| server.get("/healthz").status);
        // It waits for a place, and looks for one much more often than this.
        thread::sleep(Duration::from_millis(700));
        for client in &mut fresh {
            client.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
            let answer = read_all(client);
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
        assert_eq!(third.join().unwrap(), 200);
    });
}

#[test]
fn bodies_share_a_room_and_small_ones_need_none() {
    let store = night();
    let http = HttpConfig { body_limit: 1_000_000, body_budget: 1_000_000, ..HttpConfig::default() };
    let server = serve_with(&store, http, ServerConfig::default());
    let half = " ".repeat(600_000);
    let unfinished = || {
        let mut stream = server.connect();
        stream.write_all((head(1_000_000, "") + &half).as_bytes()).unwrap();
        stream
    };
    let (first, second) = (unfinished(), unfinished());
    // One of them is turned away, or both where neither has all of it yet; nobody else need be waited for.
    let turned_away = [&first, &second].map(|stream| {
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut answer = [0; 1_000];
        let read = (&*stream).read(&mut answer).unwrap_or(0);
        String::from_utf8_lossy(&answer[..read]).into_owned()
    });
    assert!(turned_away.iter().any(|answer| !answer.is_empty()));
    for answer in turned_away.iter().filter(|answer| !answer.is_empty()) {
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
        assert!(answer.contains("take up all the room that there is; nothing was changed"), "{answer}");
    }
    // What almost everybody sends fits in any case.
    assert_eq!(server.post(&format!("{DRY_RUN}{}", " ".repeat(16_000))).status, 200);
    drop((first, second));
    let long = format!("{DRY_RUN}{half}");
    while server.post(&long).status == 503 {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(server.post(&long).status, 200);
}

#[test]
fn ten_thousand_probes_are_all_answered() {
    let store = night();
    let server = serve(&store);
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let mut stream = server.connect();
                stream.write_all("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(499).as_bytes()).unwrap();
                stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
                assert_eq!(read_all(&stream).matches("HTTP/1.1 200 OK\r\n").count(), 500);
            });
        }
    });
}

/// What is turned away before its body is read, with the status.
fn refusals() -> [(&'static str, u16); 4] {
    [
        ("Authorization: Bearer s3cret-token\r\n", 413),
        ("Authorization: Bearer s3cret-token\r\nContent-Type: text/plain\r\n", 415),
        ("", 401),
        ("Authorization: Bearer s3cret-token\r\nOrigin: https://evil.example\r\n", 403),
    ]
}

fn with_token(store: &Store) -> Server {
    let tokens = vec![Token::new("s3cret-token").unwrap()];
    Server::over(&store.path, HttpConfig { tokens, ..HttpConfig::default() })
}

#[test]
fn who_sends_all_before_it_reads_sees_why_it_was_turned_away() {
    let store = night();
    let server = with_token(&store);
    let body = vec![b' '; 30_000_000];
    for (headers, status) in refusals() {
        let mut stream = server.connect();
        stream.write_all(head(body.len(), headers).as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
        let answer = read_all(&stream);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}: {answer}");
        // The same from one who does not know how much it is to be.
        let mut stream = server.connect();
        stream
            .write_all(head(0, headers).replace("Content-Length: 0", "Transfer-Encoding: chunked").as_bytes())
            .unwrap();
        stream.write_all(format!("{:x}\r\n", body.len()).as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
        stream.write_all(b"\r\n0\r\n\r\n").unwrap();
        let answer = read_all(&stream);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}: {answer}");
    }
}

/// What a program prints that is given the server's address.
fn run(program: &str, arguments: &[&str], server: &Server) -> String {
    let output = Command::new(program)
        .args(arguments)
        .arg(format!("http://{}{RERUN}", server.address()))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn pythons_and_nodes_clients_see_it_too() {
    let store = night();
    let server = with_token(&store);
    let python = "
import sys, urllib.error, urllib.request
for headers in [{'Authorization': 'Bearer s3cret-token'}, {'Authorization': 'Bearer s3cret-token', 'Content-Type': 'text/plain'},
                {}, {'Authorization': 'Bearer s3cret-token', 'Origin': 'https://evil.example'}]:
    headers = {'Content-Type': 'application/json'} | headers
    try:
        urllib.request.urlopen(urllib.request.Request(sys.argv[1], b' ' * 30_000_000, headers))
    except urllib.error.HTTPError as error:
        print(error.code)
";
    assert_eq!(run("python3", &["-c", python], &server), "413\n415\n401\n403\n");
    let node = "
const token = { authorization: 'Bearer s3cret-token' };
for (const headers of [token, { ...token, 'content-type': 'text/plain' }, {}, { ...token, 'sec-fetch-site': 'cross-site' }]) {
    const body = Buffer.alloc(30_000_000, ' ');
    console.log((await fetch(process.argv[1], { method: 'POST', headers, body })).status);
}
";
    let seen = run("node", &["--input-type=module", "-e", node], &server);
    assert_eq!(seen.lines().take(3).collect::<Vec<_>>(), ["413", "415", "401"], "{seen}");
}

#[test]
fn who_closes_its_half_gets_its_answer() {
    let store = slow_to_spawn();
    let server = serve(&store);
    for body in [DRY_RUN, r#"{"ids": ["a1"]}"#] {
        let mut stream = server.connect();
        stream.write_all(request(body).as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = read_all(&stream);
        // Whoever has to wait is asked whether it is still there.
        let answer = answer.trim_start_matches("HTTP/1.1 100 Continue\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(store.dump().len(), 3 + 1);
    // Not if it has closed it in the middle of what it had to say.
    let mut stream = server.connect();
    stream.write_all(head(100, "").as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let answer = read_all(&stream);
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("body broke off"), "{answer}");
}
