use std::sync::Arc;

use bulk_rerun::http::{self, HttpConfig, Token};
use bulk_rerun::{Config, Plugin};

fn app() -> Result<axum::Router, Box<dyn std::error::Error>> {
    let plugin = Arc::new(Plugin::open(&Config::new("demo/runwisp.db"))?);
    let config = HttpConfig { tokens: vec![Token::new("correct-horse-battery-staple")?.named("ada")], ..HttpConfig::default() };
    Ok(axum::Router::new().merge(http::api(plugin, config)))
}
