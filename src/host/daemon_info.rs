//! What is known of a runner's own daemon, which may start the new runs.

use serde::Serialize;

/// A runner's own daemon, which starts new runs if it is asked to (`via`).
#[derive(Debug, Clone, Serialize)]
pub struct DaemonInfo {
    /// Where it listens.
    pub socket: String,
    /// Its version, as it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Why it can't be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// It is the one that starts them; else it only listens.
    pub is_asked: bool,
}

impl DaemonInfo {
    /// What there is to know of it, in one sentence.
    pub fn in_words(&self) -> String {
        let socket = &self.socket;
        match (self.is_asked, &self.fault) {
            (false, _) => format!("RunWisp's listens on {socket}; with `via` (--via daemon) it starts re-runs at once"),
            (true, Some(fault)) => fault.clone(),
            (true, None) => {
                let version = self.version.as_deref().unwrap_or_default();
                format!("RunWisp {version} answers on {socket}, and starts re-runs at once, one by one")
            }
        }
    }
}
