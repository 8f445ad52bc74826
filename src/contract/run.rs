//! A run in canonical columns, whatever runner it belongs to.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use super::run_text::{self, RunText};

/// A point in time. Instants are compared, never their texts.
pub type Instant = DateTime<Utc>;

/// The first and the last instant that RFC 3339 can write: its years are 0 to 9999.
fn writable() -> (Instant, Instant) {
    const FIRST: i64 = -62_167_219_200;
    const LAST: i64 = 253_402_300_799;
    let at = |seconds, nanoseconds| DateTime::from_timestamp(seconds, nanoseconds).unwrap_or_default();
    (at(FIRST, 0), at(LAST, 999_999_999))
}

/// Whether RFC 3339 can write an instant: a run's time of creation that it can't counts as unreadable.
pub(crate) fn is_writable(at: &Instant) -> bool {
    let (first, last) = writable();
    (first..=last).contains(at)
}

/// The nearest instant that RFC 3339 can write: as a bound, it lets the same runs through.
pub(crate) fn nearest_writable(at: Instant) -> Instant {
    let (first, last) = writable();
    at.clamp(first, last)
}

/// The end reasons that classify a run as a failure where the store has no mark of its own
/// (RunWisp's defaults before a task could choose its own).
pub const FAILURE_END_REASONS: [&str; 6] = ["failed", "timeout", "crashed", "log_overflow", "start_failed", "missed"];

/// Whether an end reason says that the run succeeded. RunWisp wrote `success` first and
/// `succeeded` later; the two are one word.
pub fn is_success(end_reason: &str) -> bool {
    matches!(end_reason, "success" | "succeeded")
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not started yet; also a failed run that its runner will retry by itself.
    Pending,
    /// At work.
    Running,
    /// Over, for whatever reason.
    Ended,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Phase; 3] = [Phase::Pending, Phase::Running, Phase::Ended];

    /// The word for it: `pending`, `running` or `ended`.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Pending => "pending",
            Phase::Running => "running",
            Phase::Ended => "ended",
        }
    }

    /// The phase that a word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Phase::ALL.into_iter().find(|phase| phase.as_str() == word)
    }
}

/// Whether a phase's word says that the run is over: one that is not has no exit code, whatever a store keeps there.
pub(crate) fn has_ended(phase: Option<&str>) -> bool {
    phase.and_then(Phase::from_word) == Some(Phase::Ended)
}

/// A run's parameters: the host's own text for them, byte for byte.
///
/// They are copied, grouped by and compared, never interpreted. Two are equal when their bytes are, whatever a store calls
/// them: none at all is not the same as an empty text.
#[derive(Debug, Clone, Default)]
pub enum Params<'a> {
    /// The run has none.
    #[default]
    None,
    /// A number, which is its decimal digits.
    Integer(i64),
    /// A number with a fraction, in as many digits as tell it from any other.
    Real(f64),
    /// Text, which need not be valid UTF-8.
    Text(Cow<'a, [u8]>),
    /// Bytes that the host does not call text.
    Blob(Cow<'a, [u8]>),
}

impl Params<'_> {
    /// Their bytes, if there are any parameters.
    pub fn bytes(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Params::None => None,
            Params::Integer(number) => Some(Cow::Owned(number.to_string().into_bytes())),
            Params::Real(number) => Some(Cow::Owned(number.to_string().into_bytes())),
            Params::Text(bytes) | Params::Blob(bytes) => Some(Cow::Borrowed(bytes)),
        }
    }

    /// The same parameters, with bytes of their own.
    pub fn into_owned(self) -> Params<'static> {
        match self {
            Params::None => Params::None,
            Params::Integer(number) => Params::Integer(number),
            Params::Real(number) => Params::Real(number),
            Params::Text(bytes) => Params::Text(Cow::Owned(bytes.into_owned())),
            Params::Blob(bytes) => Params::Blob(Cow::Owned(bytes.into_owned())),
        }
    }

    /// How many bytes of its own it takes at most.
    pub(crate) fn size(&self) -> usize {
        match self {
            Params::Text(bytes) | Params::Blob(bytes) => bytes.len(),
            Params::None | Params::Integer(_) | Params::Real(_) => 0,
        }
    }

    /// The parameters as text, for a person.
    pub fn to_text(&self) -> Option<Cow<'_, str>> {
        Some(match self.bytes()? {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(digits) => Cow::Owned(String::from_utf8_lossy(&digits).into_owned()),
        })
    }
}

impl PartialEq for Params<'_> {
    fn eq(&self, other: &Params<'_>) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Params<'_> {}

impl Serialize for Params<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_text().serialize(serializer)
    }
}

/// A run in canonical columns. `None` where a host has no such thing.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Run {
    /// The run's id, as text.
    pub id: String,
    /// The task that it is a run of.
    pub task_name: String,
    /// `pending`, `running` or `ended`.
    pub phase: Option<String>,
    /// How it ended, in the host's own word.
    pub end_reason: Option<String>,
    /// The exit code of a run that has ended.
    pub exit_code: Option<i64>,
    /// What triggered it (cron, api, service, …).
    pub triggered_by: Option<String>,
    /// When it was created; `None` where the host's text can't be read as a time.
    #[serde(serialize_with = "as_rfc3339")]
    #[cfg_attr(feature = "http", schema(value_type = Option<String>, format = DateTime))]
    pub created_at: Option<Instant>,
    /// 0 for a first attempt.
    pub retry_attempt: Option<i64>,
    /// Its parameters.
    #[cfg_attr(feature = "http", schema(value_type = Option<String>))]
    pub params: Params<'static>,
    /// Whether it counts as a failure, where the host has a mark of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_failure: Option<bool>,
    /// Why a run of its kind is never started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfit: Option<String>,
}

impl Run {
    /// The run as JSON text, in canonical columns: what predicates and cursors hand to scripts.
    pub fn to_json(&self) -> String {
        RunText::of(self).to_json()
    }
}

pub(super) fn as_rfc3339<S: Serializer>(instant: &Option<Instant>, serializer: S) -> Result<S::Ok, S::Error> {
    instant.as_ref().map(run_text::as_rfc3339).serialize(serializer)
}
