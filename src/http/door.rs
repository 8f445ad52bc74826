//! What the routes share.

use std::sync::Arc;

use super::click::Clicks;
use super::config::HttpConfig;
use super::metrics::Metrics;
use super::openapi::Documents;
use super::queue::Queue;
use crate::Plugin;

/// A plugin, and how it is asked over HTTP.
pub(super) struct Door {
    pub(super) plugin: Arc<Plugin>,
    pub(super) config: HttpConfig,
    pub(super) queue: Queue,
    /// The queue of those who ask how we are.
    pub(super) health: Queue,
    pub(super) clicks: Clicks,
    pub(super) metrics: Metrics,
    pub(super) documents: Documents,
}

impl Door {
    pub(super) fn new(plugin: Arc<Plugin>, config: HttpConfig) -> Arc<Self> {
        Arc::new(Door {
            queue: Queue::new(config.workers, config.queue),
            health: Queue::new(1, 8),
            clicks: Clicks::default(),
            metrics: Metrics::new(),
            documents: Documents::new(config.token.is_some()),
            plugin,
            config,
        })
    }
}
