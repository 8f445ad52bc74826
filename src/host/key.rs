//! A name or an id as its store has it: compared by its bytes, spelled for people, and handed back to its store as it was.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write;
use std::hash::{Hash, Hasher};

/// A task's name or a run's id.
///
/// Two are equal when their bytes are, whatever type or collation a column has: the number 7, the text `7` and the blob
/// `x'37'` are one. The type is kept all the same, since a store finds a key by it.
#[derive(Debug, Clone, Default)]
pub enum Key<'a> {
    /// The store has none. Equal to itself alone, as a task's name; as an id, equal to nothing.
    #[default]
    Null,
    /// A number.
    Integer(i64),
    /// A number with a fraction: nobody can tell whether its digits are all there.
    Real(f64),
    /// Text, which need not be UTF-8.
    Text(Cow<'a, [u8]>),
    /// Bytes that the store does not call text.
    Blob(Cow<'a, [u8]>),
}

/// Room for the digits of any number.
type Digits = [u8; 20];

/// A number's digits, in the room for them.
fn decimal(number: i64, room: &mut Digits) -> &[u8] {
    let mut start = room.len();
    let mut rest = number.unsigned_abs();
    loop {
        start -= 1;
        // Below ten.
        room[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        start -= 1;
        room[start] = b'-';
    }
    &room[start..]
}

impl<'a> Key<'a> {
    /// A text.
    pub fn text(text: &'a str) -> Self {
        Key::Text(Cow::Borrowed(text.as_bytes()))
    }

    /// Calls `work` with its bytes.
    fn with_bytes<T>(&self, work: impl FnOnce(Option<&[u8]>) -> T) -> T {
        match self {
            Key::Null => work(None),
            Key::Integer(number) => work(Some(decimal(*number, &mut Digits::default()))),
            Key::Real(number) => work(Some(number.to_string().as_bytes())),
            Key::Text(bytes) | Key::Blob(bytes) => work(Some(bytes)),
        }
    }

    /// Its bytes: a number's are its decimal digits.
    pub fn bytes(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Key::Text(bytes) | Key::Blob(bytes) => Some(Cow::Borrowed(bytes)),
            other => other.with_bytes(|bytes| bytes.map(|bytes| Cow::Owned(bytes.to_vec()))),
        }
    }

    /// Whether its bytes are those of a text.
    pub fn is(&self, text: &str) -> bool {
        self.with_bytes(|bytes| bytes == Some(text.as_bytes()))
    }

    /// Which of two ids is the higher one: numbers by their value, all others by their bytes. No id is lower than any,
    /// and a number lower than any text.
    pub fn order(&self, other: &Key<'_>) -> Ordering {
        let rank = |key: &Key<'_>| match key {
            Key::Null => 0,
            Key::Integer(_) => 1,
            Key::Real(_) => 2,
            Key::Text(_) | Key::Blob(_) => 3,
        };
        match (self, other) {
            (Key::Integer(one), Key::Integer(other)) => one.cmp(other),
            (Key::Text(one) | Key::Blob(one), Key::Text(other) | Key::Blob(other)) => one.cmp(other),
            _ => rank(self).cmp(&rank(other)),
        }
    }

    /// By their bytes, as answers are ordered; none comes first.
    pub fn order_of_bytes(&self, other: &Key<'_>) -> Ordering {
        self.with_bytes(|one| other.with_bytes(|other| one.cmp(&other)))
    }

    /// Why it can't be a run's name or id outside of its store, if it can't: what is not carried faithfully is not
    /// carried at all.
    pub fn fault(&self) -> Option<&'static str> {
        match self {
            Key::Null => Some("NULL"),
            Key::Integer(_) => None,
            Key::Real(_) => Some("a number with a fraction"),
            Key::Text(bytes) | Key::Blob(bytes) if bytes.is_empty() => Some("empty"),
            Key::Text(bytes) | Key::Blob(bytes) => str::from_utf8(bytes).err().map(|_| "not UTF-8"),
        }
    }

    /// Its text. What is no UTF-8 is written as SQLite writes a blob, `x'75ff'`.
    pub fn spelled(&self) -> Option<Cow<'_, str>> {
        let (Key::Text(bytes) | Key::Blob(bytes)) = self else {
            return self.bytes().map(|digits| String::from_utf8_lossy(&digits).into_owned().into());
        };
        Some(str::from_utf8(bytes).map_or_else(|_| Cow::Owned(hexadecimal(bytes)), Cow::Borrowed))
    }

    /// Its text, or an empty one.
    pub fn to_text(&self) -> String {
        self.spelled().map(Cow::into_owned).unwrap_or_default()
    }

    /// Its text, or an empty one, with its own bytes where they are one.
    pub(crate) fn into_text(self) -> String {
        match self {
            Key::Text(Cow::Owned(bytes)) => {
                String::from_utf8(bytes).unwrap_or_else(|error| Key::Text(error.into_bytes().into()).to_text())
            }
            other => other.to_text(),
        }
    }

    /// The same with bytes of its own.
    pub fn to_owned(&self) -> Key<'static> {
        match self {
            Key::Null => Key::Null,
            Key::Integer(number) => Key::Integer(*number),
            Key::Real(number) => Key::Real(*number),
            Key::Text(bytes) => Key::Text(Cow::Owned(bytes.to_vec())),
            Key::Blob(bytes) => Key::Blob(Cow::Owned(bytes.to_vec())),
        }
    }

    /// Becomes the same as another one, in the place of its own bytes where it can: a search does so with most of its rows.
    pub fn become_as(self: &mut Key<'a>, other: &Key<'_>) {
        match (self, other) {
            (Key::Text(Cow::Owned(bytes)), Key::Text(others)) => {
                bytes.clear();
                bytes.extend_from_slice(others);
            }
            (this, other) => *this = other.to_owned(),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2 + 3);
    text.push_str("x'");
    for byte in bytes {
        // Writing to a String never fails.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\'');
    text
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Key<'_>) -> bool {
        match (self, other) {
            (Key::Integer(one), Key::Integer(other)) => one == other,
            (Key::Text(one) | Key::Blob(one), Key::Text(other) | Key::Blob(other)) => one == other,
            _ => self.order_of_bytes(other).is_eq(),
        }
    }
}

impl Eq for Key<'_> {}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.with_bytes(|bytes| bytes.hash(hasher));
    }
}

/// Which run: its task and its id together, since a host's ids may be unique within a task or a queue only.
#[derive(Debug, Clone, Copy)]
pub struct RunRef<'a> {
    /// Its task.
    pub task_name: &'a Key<'a>,
    /// Its id.
    pub id: &'a Key<'a>,
}

impl RunRef<'_> {
    /// Whether a row is this run's.
    pub fn is(&self, task_name: &Key<'_>, id: &Key<'_>) -> bool {
        self.id == id && self.task_name == task_name
    }

    /// Why this run can be started on no host, if so.
    pub fn fault(&self) -> Option<String> {
        let fault = |what, key: &Key<'_>| key.fault().map(|fault| format!("its {what} is {fault}"));
        fault("task name", self.task_name).or_else(|| fault("id", self.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_equal_when_their_bytes_are() {
        let (number, text, blob) = (Key::Integer(7), Key::text("7"), Key::Blob(b"7".as_slice().into()));
        assert!(number == text && text == blob && blob == number);
        for other in [Key::Null, Key::text("07"), Key::text(""), Key::Integer(70), Key::Integer(-7)] {
            assert!(number != other && text != other, "{other:?}");
        }
        assert!(Key::Null == Key::Null && Key::Null != Key::text(""));
    }

    #[test]
    fn numbers_are_ordered_by_their_value_and_answers_by_their_digits() {
        let (nine, ten) = (Key::Integer(9), Key::Integer(10));
        assert_eq!((nine.order(&ten), nine.order_of_bytes(&ten)), (Ordering::Less, Ordering::Greater));
        assert_eq!(Key::text("9").order(&Key::text("10")), Ordering::Greater);
        assert!(Key::Null.order(&nine).is_lt() && nine.order(&Key::text("")).is_lt());
    }

    #[test]
    fn what_can_not_be_carried_is_said() {
        let broken = Key::Text(b"u\xff".as_slice().into());
        assert_eq!(broken.spelled().as_deref(), Some("x'75ff'"));
        let faults = [&broken, &Key::Null, &Key::text(""), &Key::Integer(0), &Key::text("é")].map(Key::fault);
        assert_eq!(faults, [Some("not UTF-8"), Some("NULL"), Some("empty"), None, None]);
        for number in [0, 7, -7, i64::MAX, i64::MIN] {
            assert_eq!(Key::Integer(number).spelled().as_deref(), Some(&*number.to_string()));
        }
    }
}
