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
