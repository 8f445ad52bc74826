//! `target_session_attrs`: which of several servers will do.

use std::pin::pin;

use futures_util::future::{Either, select};
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use super::address::Driver;

/// Which server will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

impl Target {
    const WORDS: [(&str, Target); 6] = [
        ("any", Target::Any),
        ("read-write", Target::ReadWrite),
        ("read-only", Target::ReadOnly),
        ("primary", Target::Primary),
        ("standby", Target::Standby),
        ("prefer-standby", Target::PreferStandby),
    ];

    pub(super) fn read(word: &str) -> Result<Target, String> {
        let found = Target::WORDS.into_iter().find(|(known, _)| *known == word);
        found.map(|(_, target)| target).ok_or_else(|| {
            let words = Target::WORDS.map(|(known, _)| known).join(", ");
            format!("{word} is none of {words}")
        })
    }

    fn word(self) -> &'static str {
        Target::WORDS.into_iter().find(|(_, target)| *target == self).map_or("any", |(word, _)| word)
    }

    /// What is sought, one after the other, among all servers.
    pub(super) fn rounds(self) -> &'static [Target] {
        match self {
            Target::Any => &[Target::Any],
            Target::ReadWrite => &[Target::ReadWrite],
            Target::ReadOnly => &[Target::ReadOnly],
            Target::Primary => &[Target::Primary],
            Target::Standby => &[Target::Standby],
            Target::PreferStandby => &[Target::Standby, Target::Any],
        }
    }

    /// Asks a server that has let us in what it is, and says in words why it will not do.
    pub(super) async fn misses(self, client: &Client, driver: &mut Driver) -> Result<Option<String>, Error> {
        if self == Target::Any {
            return Ok(None);
        }
        let asked = pin!(client.simple_query("SELECT pg_is_in_recovery(), current_setting('transaction_read_only')"));
        let answer = match select(asked, driver).await {
            Either::Left((answer, _)) => answer?,
            // The connection is gone, and the question knows why.
            Either::Right(((), asked)) => asked.await?,
        };
        let is = |column: usize, value: &str| {
            answer.iter().any(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(column) == Some(value),
                _ => false,
            })
        };
        let (is_standby, is_read_only) = (is(0, "t"), is(1, "on"));
        let will_do = match self {
            Target::Any | Target::PreferStandby => true,
            Target::ReadWrite => !is_read_only,
            Target::ReadOnly => is_read_only,
            Target::Primary => !is_standby,
            Target::Standby => is_standby,
        };
        let is_a = match (is_standby, is_read_only) {
            (true, _) => "is a standby",
            (false, true) => "is a primary that is read-only (default_transaction_read_only)",
            (false, false) => "is a primary that takes writes",
        };
        Ok((!will_do).then(|| format!("the server {is_a}, and target_session_attrs={} wants another", self.word())))
    }
}
