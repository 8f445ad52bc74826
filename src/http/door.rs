//! What the routes share.

use std::sync::Arc;

use super::body::Room;
use super::click::Clicks;
use super::config::HttpConfig;
use super::look::Look;
use super::metrics::Metrics;
use super::openapi::Documents;
use super::queue::Queue;
use crate::Plugin;
use crate::host::StoreInfo;

/// A plugin, and how it is asked over HTTP.
pub(super) struct Door {
    pub(super) plugin: Arc<Plugin>,
    pub(super) config: HttpConfig,
    pub(super) advice: Advice,
    pub(super) room: Room,
    pub(super) queue: Queue,
    /// Whether the store can be read, for those who ask how we are.
    pub(super) health: Look<()>,
    /// What the store is, for the page.
    pub(super) about: Look<StoreInfo>,
    pub(super) clicks: Clicks,
    pub(super) metrics: Metrics,
    pub(super) documents: Documents,
}

impl Door {
    pub(super) fn new(plugin: Arc<Plugin>, config: HttpConfig, advice: Advice) -> Arc<Self> {
        Arc::new(Door {
            room: Room::new(&config),
            queue: Queue::new(config.workers, config.queue),
            health: Look::default(),
            about: Look::default(),
            clicks: Clicks::default(),
            metrics: Metrics::new(),
            documents: Documents::new(!config.tokens.is_empty()),
            plugin,
            config,
            advice,
        })
    }
}

/// How those who run the door let in whom it turns away.
#[derive(Debug, Clone, Copy)]
pub(super) struct Advice {
    pub(super) host: &'static str,
    pub(super) origin: &'static str,
}

impl Advice {
    /// In an app of their own.
    pub(super) const FIELDS: Advice =
        Advice { host: "`HttpConfig::allow_hosts`", origin: "`HttpConfig::allow_origins`" };
    /// With the command line tool.
    #[cfg(feature = "cli")]
    pub(super) const FLAGS: Advice = Advice { host: "--allow-host", origin: "--allow-origin" };
}
