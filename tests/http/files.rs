//! What is sent as it is: it is kept by whoever has it, and asked for again only if it has changed.

use crate::server::RERUN;
use crate::{DRY_RUN, night, serve};

const FILES: [&str; 8] = [
    "/",
    "/page/page.js",
    "/docs/",
    "/docs/docs.js",
    "/docs/swagger-ui.css",
    "/docs/swagger-ui-bundle.js",
    "/openapi.json",
    "/schemas/RunSelector.json",
];

#[test]
fn a_file_is_not_sent_again_to_who_has_it() {
    let store = night();
    let server = serve(&store);
    let mut tags = Vec::new();
    for path in FILES {
        let whole = server.send("HEAD", path, &[], "");
        assert_eq!((whole.status, whole.header("cache-control")), (200, Some("no-cache")), "{path}");
        let tag = whole.header("etag").unwrap().to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let answer = server.send("GET", path, &[("if-none-match", &known)], "");
            assert_eq!((answer.status, answer.text.as_str()), (304, ""), "{path} {known}");
            assert_eq!((answer.header("etag"), answer.header("cache-control")), (Some(tag.as_str()), Some("no-cache")));
        }
        assert_eq!(server.send("HEAD", path, &[("if-none-match", "\"other\"")], "").status, 200, "{path}");
        assert!(!tags.contains(&tag), "{path} is taken for another");
        tags.push(tag);
    }
}

#[test]
fn whatever_is_no_file_is_never_kept_and_nothing_is_guessed_at() {
    let store = night();
    let server = serve(&store);
    let others = ["/healthz", "/metrics", "/page/store.json", "/docs", "/nope", "/docs/nope.js", "/schemas/nope.json"];
    for answer in others.map(|path| server.get(path)) {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
    }
    for answer in ["{", DRY_RUN, r#"{"ids": []}"#].map(|body| server.post(body)) {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
    }
    for answer in [server.send("PUT", RERUN, &[], ""), server.send("GET", "/", &[("host", "evil.example")], "")] {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
    }
    for path in FILES {
        assert_eq!(server.send("HEAD", path, &[], "").header("x-content-type-options"), Some("nosniff"), "{path}");
    }
}

/// What of the operator's page a browser asks for: its own files, as the page and its scripts name them.
fn page_files(server: &crate::server::Server) -> Vec<String> {
    let mut found = vec!["/".to_owned(), "/page/page.js".to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        let text = server.send("GET", &path, &[("accept-encoding", "identity")], "").text;
        let names = text.split('"').filter_map(|name| name.strip_prefix("./").or_else(|| name.strip_prefix("page/")));
        let files = names.filter(|name| name.ends_with(".js") || name.ends_with(".css"));
        for path in files.map(|name| format!("/page/{name}")) {
            if !found.contains(&path) {
                found.push(path);
            }
        }
        next += 1;
    }
    found
}

#[test]
fn the_page_is_sent_packed_to_who_can_unpack_it_and_is_small() {
    let store = night();
    let server = serve(&store);
    let files = page_files(&server);
    assert!(files.len() > 10, "{files:?}");
    let mut sum = 0;
    for path in &files {
        let head = |coding: &str| server.send("HEAD", path, &[("accept-encoding", coding)], "");
        for coding in ["gzip", "br, GZIP ;q=0.5", "gzip;q=1.0, identity"] {
            let packed = head(coding);
            assert_eq!(packed.header("content-encoding"), Some("gzip"), "{path} {coding}");
            assert_eq!(packed.header("vary"), Some("accept-encoding"), "{path}");
        }
        let packed = head("gzip");
        sum += packed.header("content-length").unwrap().parse::<u64>().unwrap();
        for coding in ["", "identity", "br", "gzip;q=0", "gzip; q=0.0, br", "x-gzipped"] {
            let whole = head(coding);
            assert_eq!((whole.status, whole.header("content-encoding")), (200, None), "{path} {coding}");
            assert_ne!(whole.header("etag"), packed.header("etag"), "{path}");
        }
        let known = packed.header("etag").unwrap().to_owned();
        let asked = [("accept-encoding", "gzip"), ("if-none-match", &*known)];
        assert_eq!(server.send("GET", path, &asked, "").status, 304, "{path}");
    }
    assert!(sum < 60_000, "{sum} bytes in all");
}
