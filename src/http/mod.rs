//! The HTTP door: `POST /api/runs/bulk/rerun` and what belongs to it, for axum.
//!
//! `bulk-rerun serve` is this door with a listener of its own. A host's own axum app merges
//! [`router`], or [`api`] alone where it has a `/` and a `/healthz` already:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use bulk_rerun::http::{self, HttpConfig};
//! use bulk_rerun::{Config, Plugin};
//!
//! let plugin = Arc::new(Plugin::open(&Config::new(".runwisp/runwisp.db"))?);
//! let app: axum::Router = axum::Router::new()
//!     .route("/", axum::routing::get(async || "the host's own page"))
//!     .merge(http::api(plugin, HttpConfig::default()));
//! # Ok::<(), bulk_rerun::ErrorModel>(())
//! ```
//!
//! The way of one request, from the outside in: it is observed (`observe`: request id, access log,
//! metrics); whatever fails further in becomes a problem document (`problem`); the guard looks at
//! its Host and Origin (`guard`) and at its token (`token`); and then its route answers. The
//! operation runs where the request was read if it is over in moments and writes nothing (`rerun`), else
//! on a blocking thread, behind a bounded queue (`queue`).
//!
//! Below that are the listener (`server`), each of its connections (`connection`), and its bytes (`wire`).

mod base;
mod body;
mod click;
mod config;
mod connection;
mod docs;
mod door;
mod files;
mod guard;
mod health;
mod idempotency_key;
mod look;
mod metrics;
mod observe;
mod openapi;
mod operations;
mod page;
mod problem;
mod queue;
mod rerun;
mod router;
mod server;
mod token;
mod wire;

pub use config::{BadConfig, Hostname, HttpConfig, Origin};
#[cfg(feature = "cli")]
pub(crate) use router::tool;
pub use router::{api, app, router};
pub use server::{ServerConfig, serve};
pub use token::Token;
