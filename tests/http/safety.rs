//! Who is turned away: other sites' pages, other hosts' names, wrong tokens, and clients that only take up room.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use bulk_rerun::Config;
use bulk_rerun::http::{HttpConfig, ServerConfig, Token};

use crate::server::{RERUN, Server};
use crate::{DRY_RUN, night, serve};

const NAMED: &str = r#"{"ids": ["a1"]}"#;

#[test]
fn another_sites_page_is_refused() {
    let store = night();
    let server = serve(&store);
    let own = format!("http://{}", server.address());
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), ("origin", own.as_str())],
        // Another port is another origin.
        &[("origin", "http://127.0.0.1:1")],
    ] {
        let answer = server.send("POST", RERUN, headers, NAMED);
        assert_eq!(answer.status, 403, "{headers:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    // A form of another site needs no permission to be sent, so its kinds are refused in any case.
    let form = [("content-type", "text/plain")];
    assert_eq!(server.send("POST", RERUN, &form, NAMED).status, 415);
    assert_eq!(store.dump().len(), 3);
    for headers in
        [&[("origin", own.as_str())][..], &[("sec-fetch-site", "same-origin")], &[("sec-fetch-site", "none")], &[]]
    {
        assert_eq!(server.send("POST", RERUN, headers, DRY_RUN).status, 200, "{headers:?}");
    }
}

#[test]
fn another_hosts_name_is_refused_on_every_path() {
    let store = night();
    let allow_hosts = vec!["ops.example.com".parse().unwrap()];
    let server = Server::over(&store.path, HttpConfig { allow_hosts, ..HttpConfig::default() });
    let status = |path: &str, host: &str| server.send("GET", path, &[("host", host)], "").status;
    for path in ["/", "/openapi.json", "/healthz", "/metrics", "/docs/", "/nope"] {
        for host in [
            "evil.example",
            "evil.example:9477",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "x.ops.example.com",
        ] {
            assert_eq!(status(path, host), 403, "{host}{path}");
        }
    }
    for host in [
        "localhost",
        "LOCALHOST:9477",
        "app.localhost",
        "127.0.0.1",
        "[::1]:9477",
        "192.168.1.7",
        "OPS.example.com",
        "ops.example.com:443",
        "ops.example.com.",
    ] {
        assert_eq!(status("/healthz", host), 200, "{host}");
    }
    let rebound = server.send("POST", RERUN, &[("host", "evil.example"), ("origin", "http://evil.example")], NAMED);
    assert_eq!(rebound.status, 403);
    assert_eq!(store.dump().len(), 3);
    for head in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n",
    ] {
        let answer = server.exchange(&format!("{head}Connection: close\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer}");
    }
}

#[test]
fn an_allowed_origin_may_ask_and_read() {
    let store = night();
    let allow_origins = vec!["https://ops.example.com".parse().unwrap()];
    let server = Server::over(&store.path, HttpConfig { allow_origins, ..HttpConfig::default() });
    let from = ("origin", "https://ops.example.com");
    let ask = [from, ("access-control-request-method", "POST"), ("access-control-request-headers", "content-type")];
    let preflight = server.send("OPTIONS", RERUN, &ask, "");
    assert_eq!(preflight.status, 200);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://ops.example.com"));
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("authorization"));
    let answer = server.send("POST", RERUN, &[from, ("sec-fetch-site", "cross-site")], DRY_RUN);
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("https://ops.example.com")));
    for other in ["https://ops.example.com.evil.example", "http://ops.example.com", "https://ops.example.com:444"] {
        assert_eq!(server.send("POST", RERUN, &[("origin", other)], DRY_RUN).status, 403, "{other}");
    }
}

#[test]
fn without_the_token_nothing_is_done() {
    let store = night();
    let tokens = vec![Token::new("s3cret-token\n").unwrap()];
    let server = Server::over(&store.path, HttpConfig { tokens, ..HttpConfig::default() });
    for (path, method) in [(RERUN, "POST"), ("/metrics", "GET"), ("/page/store.json", "GET")] {
        let bare = server.send(method, path, &[], "");
        assert_eq!((bare.status, bare.header("www-authenticate")), (401, Some(r#"Bearer realm="bulk-rerun""#)));
        for wrong in
            ["Bearer s3cret-toke", "Bearer s3cret-token2", "Bearer", "Bearer ", "Basic s3cret-token", "s3cret-token"]
        {
            let answer = server.send(method, path, &[("authorization", wrong)], "");
            assert_eq!(answer.status, 401, "{wrong}");
            assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
            assert!(!answer.text.contains("s3cret"), "{answer:?}");
        }
    }
    for right in ["Bearer s3cret-token", "bearer   s3cret-token"] {
        assert_eq!(server.send("POST", RERUN, &[("authorization", right)], DRY_RUN).status, 200, "{right}");
    }
    // What says nothing of the store is open: the page has to ask for the token somehow.
    for path in ["/", "/page/page.js", "/openapi.json", "/schemas/RunSelector.json", "/docs/", "/healthz"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
}

#[test]
fn a_token_for_previews_spawns_nothing() {
    let store = night();
    let tokens = Token::read_all("# the night shift\n\nanna:horse\n screen : battery : preview \nbare\n").unwrap();
    let server = Server::over(&store.path, HttpConfig { tokens, ..HttpConfig::default() });
    let send =
        |token: &str, body: &str| server.send("POST", RERUN, &[("authorization", &format!("Bearer {token}"))], body);
    let before = store.dump();
    assert_eq!(send("battery", DRY_RUN).status, 200);
    for body in [r#"{"match_all": true}"#, r#"{"ids": ["a1"], "options": {"dry_run": false}}"#] {
        let answer = send("battery", body);
        assert_eq!((answer.status, &answer.json()["title"]), (403, &"Forbidden".into()), "{answer:?}");
        assert_eq!(answer.json()["detail"], r#"the token "screen" may only preview: set `options.dry_run` to true"#);
    }
    assert_eq!(store.dump(), before);
    for (token, writes) in [("battery", false), ("horse", true), ("bare", true)] {
        let about = server.send("GET", "/page/store.json", &[("authorization", &format!("Bearer {token}"))], "");
        assert_eq!((about.status, &about.json()["may_spawn"]), (200, &writes.into()));
        assert_eq!(server.send("GET", "/metrics", &[("authorization", &format!("Bearer {token}"))], "").status, 200);
    }
    assert_eq!(send("horse", r#"{"ids": ["a1"]}"#).status, 200);
    assert_eq!(send("bare", r#"{"ids": ["b1"]}"#).status, 200);
    // A line is a name and a token, and never a token itself.
    for wrong in ["anna:horse", "anna", "screen:battery", "battery:preview", "preview", "# the night shift"] {
        assert_eq!(send(wrong, DRY_RUN).status, 401, "{wrong}");
    }
}

#[test]
fn a_file_of_tokens_is_read_whole_or_not_at_all() {
    for (file, reason) in [
        ("", "there is no token in it"),
        ("# nothing\n\n", "there is no token in it"),
        ("anna:horse\n:s3cret", "line 2: the token's name is empty"),
        ("anna:", "line 1: the token is empty"),
        ("anna:s3cret s3cret", "line 1: the token must be visible ASCII characters, without spaces"),
        ("anna:s3cret:previews", "line 1: expected `name:token`, or `name:token:preview`"),
        ("anna:s3cret:preview:", "line 1: expected `name:token`, or `name:token:preview`"),
        ("anna:s3cret\nscreen:s3cret:preview", "line 2: the same token stands on a line before"),
    ] {
        let error = Token::read_all(file).unwrap_err().to_string();
        assert_eq!(error, reason, "{file:?}");
    }
}

#[test]
fn a_token_is_never_printed() {
    let config = HttpConfig { tokens: vec![Token::new("s3cret-token").unwrap()], ..HttpConfig::default() };
    assert!(!format!("{config:?}").contains("s3cret"));
    for bad in ["", " \n", "two words", "naïve"] {
        assert!(Token::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn the_page_is_under_a_strict_policy() {
    let store = night();
    let server = serve(&store);
    for path in ["/", "/page/page.js", "/page/page.css", "/docs/"] {
        let answer = server.get(path);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"));
        assert!(path == "/docs/" || !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        // Nothing from outside, and nothing that the policy would stop.
        assert!(!answer.text.contains("http://") && !answer.text.contains("https://"), "{path}");
        assert!(
            !answer.text.contains("<style") && !answer.text.contains(" style=") && !answer.text.contains(" onclick=")
        );
    }
}

#[test]
fn a_body_that_is_too_long_is_refused_before_it_is_read() {
    let store = night();
    let server = Server::over(&store.path, HttpConfig { body_limit: 1_000, ..HttpConfig::default() });
    let head = "POST /api/runs/bulk/rerun HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let announced = server.exchange(&format!("{head}Content-Length: 999999999999\r\n\r\n{{"));
    assert!(announced.starts_with("HTTP/1.1 413 "), "{announced}");
    // A client that says nothing of the length is stopped at the limit.
    let chunk = format!("100\r\n{}\r\n", " ".repeat(256));
    let chunked = server.exchange(&format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(5)));
    assert!(chunked.starts_with("HTTP/1.1 413 "), "{chunked}");
    assert!(chunked.contains("longer than 1000 bytes"));
    let just_fits = format!("{DRY_RUN}{}", " ".repeat(1_000 - DRY_RUN.len()));
    assert_eq!(server.post(&just_fits).status, 200);
    assert_eq!(server.post(&format!("{just_fits} ")).status, 413);
}

#[test]
fn clients_that_only_take_up_room_are_cut_off_and_block_nobody() {
    let store = night();
    let http = HttpConfig { body_timeout: Duration::from_secs(1), ..HttpConfig::default() };
    let limits = ServerConfig { header_timeout: Duration::from_secs(1), ..ServerConfig::default() };
    let server = Server::start(&Config::new(store.path_str()), http, limits);
    let half_head = "POST /api/runs/bulk/rerun HTTP/1.1\r\nHost: loc";
    let half_body = "POST /api/runs/bulk/rerun HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{";
    // One whole request, and the half of another behind it.
    let pipelined = format!(
        "POST /api/runs/bulk/rerun HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{DRY_RUN}{half_head}",
        DRY_RUN.len()
    );
    thread::scope(|scope| {
        let slow: Vec<_> = [half_head, half_body, &pipelined, ""]
            .into_iter()
            .flat_map(|bytes| (0..50).map(move |_| bytes))
            .map(|bytes| {
                let mut stream = server.connect();
                stream.write_all(bytes.as_bytes()).unwrap();
                // Another byte now and then, as slowloris sends them; the time-out is for the whole of it.
                let mut drip = stream.try_clone().unwrap();
                scope.spawn(move || {
                    while !bytes.is_empty() && drip.write_all(b"a").is_ok() {
                        thread::sleep(Duration::from_millis(300))
                    }
                });
                (bytes, stream)
            })
            .collect();
        for _ in 0..20 {
            assert_eq!(server.post(DRY_RUN).status, 200);
        }
        for (bytes, mut stream) in slow {
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            // Its drip ends as well.
            let _ = stream.shutdown(Shutdown::Both);
            let answer = String::from_utf8_lossy(&answer);
            match bytes {
                bytes if bytes == half_body => assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}"),
                bytes if bytes == pipelined => assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}"),
                _ => assert!(!answer.contains("HTTP/1.1 200"), "{answer}"),
            }
        }
    });
    assert_eq!(store.dump().len(), 3);
}
