//! What a worker would hear.

use std::future::poll_fn;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use tokio_postgres::{AsyncMessage, NoTls};

use crate::support::runners::wait_for;

/// Somebody who listens on a channel, on a connection and a thread of its own.
pub struct Listener {
    heard: Receiver<String>,
    _thread: JoinHandle<()>,
}

impl Listener {
    pub fn on(url: &str, name: &str) -> Listener {
        let (said, heard) = channel();
        let (ready, is_ready) = channel();
        let (url, listen) = (url.to_owned(), format!("LISTEN {name}"));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (client, mut connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
                let hears = async {
                    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                        if let AsyncMessage::Notification(notification) = message {
                            let _ = said.send(notification.payload().to_owned());
                        }
                    }
                };
                let listens = async {
                    client.batch_execute(&listen).await.unwrap();
                    ready.send(()).unwrap();
                    // It stays until the server ends.
                    std::future::pending::<()>().await;
                };
                tokio::join!(hears, listens);
            });
        });
        is_ready.recv().unwrap();
        Listener { heard, _thread: thread }
    }

    /// The next notification's payload.
    pub fn next(&self) -> String {
        wait_for("the listener is told", || self.heard.try_recv().ok())
    }
}
