//! A store whose new runs are started by the runner's own daemon: RunWisp's, which is asked on its Unix socket. It looks
//! into its store for pending runs only when it starts, and so would not see what is put there meanwhile.
//!
//! Everything else is the store's affair as ever: runs are found and judged there, and what was started is looked at and
//! written down there. The daemon starts runs one by one, and at once: nothing can be taken back.
//!
//! Written from RunWisp's published API, and not yet tried on it.

mod api;
mod lock;
mod parameters;
mod session;
mod socket;

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, path};

use self::api::Api;
use self::session::DaemonSession;
use self::socket::Socket;
use super::profile::Profile;
use super::sqlite::SqliteHost;
use super::{DaemonInfo, Host, HostError, Session, StoreInfo};

/// Whose daemon can be asked.
const RUNNER: &str = "RunWisp";

/// Where it listens: this names another place than the file beside the store, to RunWisp and to us.
const VARIABLE: &str = "RUNWISP_SOCKET";
const BESIDE_THE_STORE: &str = "runwisp.sock";

/// A store, and the daemon that starts runs there.
pub(crate) struct DaemonHost {
    store: SqliteHost,
    /// The folder that the store is in, whatever path leads there.
    folder: PathBuf,
    socket: Socket,
}

impl DaemonHost {
    /// `limit`: how long an answer of the daemon's is waited for.
    ///
    /// # Errors
    ///
    /// The store is another runner's.
    pub(crate) fn new(store: SqliteHost, path: &Path, limit: Duration) -> Result<Self, HostError> {
        let runner = store.describe()?.runner;
        if runner != RUNNER {
            return Err(HostError::Unusable(format!(
                "the store {} is {runner}'s, and only {RUNNER}'s daemon can be asked to start runs: leave `via` out \
                 (--via), and the new runs are put into the store",
                path.display()
            )));
        }
        let folder = path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default();
        Ok(DaemonHost { store, folder, socket: Socket::new(place_beside(path), limit) })
    }
}

impl Host for DaemonHost {
    fn session(&self) -> Result<Box<dyn Session + '_>, HostError> {
        Ok(Box::new(DaemonSession::new(self.store.session()?, &self.folder, &self.socket)))
    }

    fn describe(&self) -> Result<StoreInfo, HostError> {
        let (version, fault) = match Api::reach(&self.socket) {
            Ok(api) => (Some(api.version), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let socket = self.socket.path.display().to_string();
        let daemon = DaemonInfo { socket, version, fault, is_asked: true };
        let start = match &daemon.fault {
            None => "RunWisp's daemon starts a re-run at once, as far as its task's max_concurrent lets it".to_owned(),
            Some(_) => "RunWisp's daemon is to start re-runs, and can't be asked now".to_owned(),
        };
        Ok(StoreInfo { daemon: Some(daemon), has_due_time: false, start, ..self.store.describe()? })
    }
}

/// The daemon that could be asked, where one listens.
pub(super) fn listening(profile: &Profile, store: &Path) -> Option<DaemonInfo> {
    let socket = place_beside(store);
    let listens = profile.runner == RUNNER && socket::listens(&socket);
    listens.then(|| DaemonInfo { socket: socket.display().to_string(), version: None, fault: None, is_asked: false })
}

fn place_beside(store: &Path) -> PathBuf {
    let named = env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let socket = named.unwrap_or_else(|| store.with_file_name(BESIDE_THE_STORE));
    // The process may change its folder.
    path::absolute(&socket).unwrap_or(socket)
}
