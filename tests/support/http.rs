//! A real server on a port of its own, and clients that do as they are told.

#![allow(dead_code, reason = "every test uses some of it")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bulk_rerun::http::{HttpConfig, ServerConfig, app, serve};
use bulk_rerun::{Config, Plugin};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

pub const RERUN: &str = "/api/runs/bulk/rerun";

/// A server, until it is dropped.
pub struct Server {
    address: SocketAddr,
    end: Mutex<Option<oneshot::Sender<()>>>,
    thread: Option<JoinHandle<()>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub text: String,
}

impl Server {
    pub fn over(store: &Path, http: HttpConfig) -> Server {
        Server::start(&Config::new(store.to_str().unwrap()), http, ServerConfig::default())
    }

    pub fn start(config: &Config, http: HttpConfig, server: ServerConfig) -> Server {
        let plugin = Arc::new(Plugin::open(config).unwrap());
        Server::of(app(plugin, http), server)
    }

    pub fn of(app: axum::Router, config: ServerConfig) -> Server {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime.block_on(serve(listener, app, config, async { ended.await.unwrap_or(()) }));
        });
        Server { address, end: Mutex::new(Some(end)), thread: Some(thread) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks the server to end, without waiting for it.
    pub fn ask_to_end(&self) {
        self.end.lock().unwrap().take().map(|end| end.send(()));
    }

    /// Sends a request with these headers; `Content-Type` is JSON unless they say otherwise.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        if !body.is_empty() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .proxy(None)
            .build();
        let agent = ureq::Agent::new_with_config(config);
        let answer = match (method, body) {
            ("POST", _) => agent.run(request.body(body.to_owned()).unwrap()),
            _ => agent.run(request.body(()).unwrap()),
        };
        let mut answer = answer.unwrap();
        let headers =
            answer.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        Answer {
            status: answer.status().as_u16(),
            headers: headers.collect(),
            text: answer.body_mut().read_to_string().unwrap(),
        }
    }

    pub fn post(&self, body: &str) -> Answer {
        self.send("POST", RERUN, &[], body)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    /// A connection of its own.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends these bytes, and answers all that comes back until the server closes the connection.
    pub fn exchange(&self, bytes: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // The server may reset a connection whose request it has not read to its end.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ask_to_end();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().expect("the server ends in peace");
        }
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
