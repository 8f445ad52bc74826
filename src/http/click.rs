//! One click, one re-run. A browser whose kept connection dies sends a POST again by itself, and nothing that a page can
//! say keeps it from that; so the page names each click, and a click is heeded once.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::http::HeaderMap;
use serde_json::json;

use crate::contract::ErrorModel;

const HEADER: &str = "bulk-rerun-click";

/// Browsers send again at once: so many clicks are remembered.
const CLICKS: usize = 1_024;
const LENGTH: usize = 64;

/// The clicks that were heeded, oldest first. They are forgotten with the process.
#[derive(Debug, Default)]
pub(super) struct Clicks(Mutex<VecDeque<Box<[u8]>>>);

impl Clicks {
    /// Takes a click where the request names one; refuses one that was taken before.
    pub(super) fn take(&self, headers: &HeaderMap) -> Result<(), ErrorModel> {
        let Some(click) = headers.get(HEADER).map(|click| click.as_bytes()) else { return Ok(()) };
        let refuse = |message: &str| {
            let value = json!(String::from_utf8_lossy(click));
            Err(ErrorModel::violation("header.Bulk-Rerun-Click", message.to_owned(), value))
        };
        if click.len() > LENGTH {
            return refuse("longer than 64 bytes");
        }
        // Nothing panics while it is held.
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.iter().any(|known| **known == *click) {
            return refuse(
                "this click was sent before: what came of it is the first one's affair; this one did nothing",
            );
        }
        if taken.len() == CLICKS {
            taken.pop_front();
        }
        taken.push_back(click.into());
        Ok(())
    }
}
