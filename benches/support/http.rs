//! What the HTTP door adds to a request: beside a JSON echo in axum, behind the same server, asked by wrk.

use std::fs;
use std::process::Command;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use bulk_rerun::http::{HttpConfig, ServerConfig};
use serde_json::Value;

use super::measure::{Contender, take_turns};
use super::report::{Report, Row};
use super::server::{RERUN, Server};
use super::store::{self, Kind};

const REQUEST: &str = r#"{"match_all": true, "filter": {"task_name": "no such task"}}"#;

/// How long wrk asks in each turn.
const TURN: &str = "1s";

pub fn bench(report: &mut Report) {
    let ours = Server::over(&store::kept(Kind::Failures, 1_000), HttpConfig::default());
    let echo = Server::of(Router::new().route(RERUN, post(echo)), ServerConfig::default());
    assert_eq!(ours.post(REQUEST).json()["triggered"], serde_json::json!([]), "it selects nothing");
    assert_eq!(echo.post(REQUEST).json()["match_all"], true, "it is an echo");

    for (connections, goal) in [(1, "8: ours / limit ≤ 2"), (64, "8: ours / limit ≤ 3")] {
        eprintln!("HTTP at {connections} connections: ours and an echo");
        let contenders: Vec<Contender<'_>> =
            vec![Box::new(|| ask(&ours, connections)), Box::new(|| ask(&echo, connections))];
        let times = take_turns(contenders);
        report.add(&Row {
            name: format!("a request over HTTP at {connections} connections, and an echo"),
            limit: Some(times.median(1)),
            ours: Some(times.median(0)),
            ours_to_limit: Some(times.ratio(0, 1)),
            goal: goal.to_owned(),
            ..Row::default()
        });
    }
}

async fn echo(body: Bytes) -> ([(axum::http::HeaderName, &'static str); 1], String) {
    let value: Value = serde_json::from_slice(&body).expect("wrk sends JSON");
    ([(CONTENT_TYPE, "application/json")], value.to_string())
}

/// The time that a request takes on average: a second, divided by the requests in it.
fn ask(server: &Server, connections: u32) -> Duration {
    let script = tempfile::NamedTempFile::new().expect("a temporary file");
    let text = format!(
        "wrk.method = \"POST\"\nwrk.body = [[{REQUEST}]]\nwrk.headers[\"Content-Type\"] = \"application/json\"\n"
    );
    fs::write(&script, text).expect("wrk's script");
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "-d", TURN, "-c", &connections.to_string(), "-s"]).arg(script.path());
    let output = wrk.arg(format!("http://{}{RERUN}", server.address())).output();
    let output = output.expect("wrk (Debian's package wrk) can be started").stdout;
    let printed = String::from_utf8_lossy(&output);
    assert!(!printed.contains("Non-2xx") && !printed.contains("Socket errors"), "{printed}");
    let rate = printed.lines().find_map(|line| line.strip_prefix("Requests/sec:")).expect("wrk tells the rate");
    Duration::from_secs_f64(1.0 / rate.trim().parse::<f64>().expect("a number"))
}
