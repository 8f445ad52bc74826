//! `bulk-rerun serve`: the HTTP door with a listener of its own.

use std::env::{self, VarError};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::arguments::StoreArguments;
use super::log::LogFormat;
use super::{Failure, interrupt, log};
use crate::contract::{ErrorModel, Spelling};
use crate::http::{self, Hostname, HttpConfig, Origin, ServerConfig, Token};

/// Never an argument: everybody on the machine can read those.
const TOKEN_VARIABLE: &str = "BULK_RERUN_TOKEN";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    store: StoreArguments,
    /// The address to listen on; anything but a loopback address needs a token
    #[arg(
        long,
        env = "BULK_RERUN_LISTEN",
        hide_env_values = true,
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:9477"
    )]
    listen: SocketAddr,
    /// A file of tokens, one a line, of which clients must send one: `name:token`, or `name:token:preview` for one that
    /// may only preview. Else BULK_RERUN_TOKEN has it, if there is one
    #[arg(long, value_name = "FILE", help_heading = "Safety")]
    token_file: Option<PathBuf>,
    /// Host names to answer for, beside localhost and IP addresses
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', help_heading = "Safety")]
    allow_host: Vec<Hostname>,
    /// Other sites whose pages may use this server: https://ops.example.com
    #[arg(long, value_name = "ORIGIN,…", value_delimiter = ',', help_heading = "Safety")]
    allow_origin: Vec<Origin>,
    /// Refuse a `match_all` with nothing in its filter
    #[arg(long, help_heading = "Safety")]
    require_filter: bool,
    /// The longest request body, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = HttpConfig::default().body_limit, help_heading = "Limits")]
    body_limit: usize,
    /// How long a request may wait and search before it is given up
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration, help_heading = "Limits")]
    request_timeout: Duration,
    /// How many requests work on the store at once
    #[arg(long, value_name = "N", default_value_t = HttpConfig::default().workers, help_heading = "Limits")]
    workers: usize,
    /// How many more may wait; beyond them the answer is 503
    #[arg(long, value_name = "N", default_value_t = HttpConfig::default().queue, help_heading = "Limits")]
    queue: usize,
    /// How to spell the answer to a request whose fields show no spelling
    #[arg(long, value_name = "SPELLING", default_value = "snake")]
    wire: Wire,
    /// How to write the access log on standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

const EXAMPLES: &str = "\
Examples:
  # On this machine only; then open http://127.0.0.1:9477/ in a browser
  bulk-rerun serve --store .runwisp/runwisp.db --tasks runwisp.toml

  # For others too, behind a proxy that speaks TLS for ops.example.com
  BULK_RERUN_TOKEN=$(cat token) bulk-rerun serve --store runwisp.db \\
    --listen 0.0.0.0:9477 --allow-host ops.example.com

  # Ask it
  curl -H 'Content-Type: application/json' \\
    -d '{\"match_all\":true,\"options\":{\"dry_run\":true}}' \\
    http://127.0.0.1:9477/api/runs/bulk/rerun

The first Ctrl-C lets what is under way finish; a second one ends at once.";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Wire {
    Snake,
    Camel,
}

impl Arguments {
    fn http(&self) -> Result<HttpConfig, Failure> {
        let tokens = self.tokens()?;
        if tokens.is_empty() && !self.listen.ip().is_loopback() {
            let detail = format!(
                "{} can be reached from other machines, so a token is needed: put one into {TOKEN_VARIABLE} or a file \
                 (--token-file), or listen on 127.0.0.1",
                self.listen
            );
            return Err(usage(detail));
        }
        Ok(HttpConfig {
            tokens,
            allow_hosts: self.allow_host.clone(),
            allow_origins: self.allow_origin.clone(),
            require_filter: self.require_filter,
            body_limit: self.body_limit,
            request_timeout: self.request_timeout,
            workers: self.workers,
            queue: self.queue,
            ..HttpConfig::default()
        })
    }

    fn tokens(&self) -> Result<Vec<Token>, Failure> {
        if let Some(file) = &self.token_file {
            let place = file.display();
            let text = fs::read_to_string(file).map_err(|error| usage(format!("{place} can't be read: {error}")))?;
            return Token::read_all(&text).map_err(|error| usage(format!("{place}: {error}")));
        }
        match env::var(TOKEN_VARIABLE) {
            Ok(secret) => match Token::new(&secret) {
                Ok(token) => Ok(vec![token]),
                Err(error) => Err(usage(format!("{TOKEN_VARIABLE}: {error}"))),
            },
            Err(VarError::NotPresent) => Ok(Vec::new()),
            Err(VarError::NotUnicode(_)) => Err(usage(format!("{TOKEN_VARIABLE} is not UTF-8"))),
        }
    }
}

fn usage(detail: String) -> Failure {
    Failure::Usage(ErrorModel::new(400, detail))
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let log = log::requests(arguments.log_format);
    let config = arguments.http()?;
    few_heaps();
    let tokens = config.tokens.len();
    let wire = match arguments.wire {
        Wire::Snake => Spelling::Snake,
        Wire::Camel => Spelling::Camel,
    };
    let plugin = Arc::new(arguments.store.open_with(wire)?);
    if arguments.store.ledger {
        plugin.create_ledger()?;
    }
    let store = plugin.describe()?;
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let cannot = |error: io::Error| {
            Failure::Failed(ErrorModel::new(500, format!("{} can't be listened on: {error}", arguments.listen)))
        };
        let listener = TcpListener::bind(arguments.listen).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        interrupt::let_a_second_one_end()?;
        let end = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("ending: what is under way is finished first; a second Ctrl-C ends it at once");
        };
        tracing::info!(store = store.store, runner = store.runner, tokens, "serving on http://{address}/");
        http::serve(listener, http::tool(plugin, config), ServerConfig::default(), end).await;
        Ok::<(), Failure>(())
    })?;
    // Waits for what still spawns.
    drop(runtime);
    tracing::info!("ended");
    drop(log);
    Ok(ExitCode::SUCCESS)
}

/// Keeps glibc from giving almost every thread a heap of its own: what clients leave behind in one is no use to the
/// others. A thousand greedy clients took 105 MB and not 85 so.
#[cfg(target_env = "gnu")]
fn few_heaps() {
    // SAFETY: it changes a setting of the allocator, under the allocator's own lock.
    let _is_set = unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
}

/// Other allocators have their own ways.
#[cfg(not(target_env = "gnu"))]
fn few_heaps() {}
