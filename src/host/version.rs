//! The version of a runner's schema: those that a profile is for, and the one that a store has.

use std::cmp::Ordering;
use std::fmt::{Display, Formatter};
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

/// The versions of a schema that a generation is for.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
pub struct Version {
    /// A SELECT of the schema's version.
    pub query: String,
    /// Which ones it is for.
    pub known: Known,
}

/// Versions of a schema.
#[derive(Debug, Clone)]
pub enum Known {
    /// All between these, both included.
    Between(Number, Number),
    /// These, as they are spelled: hashes, words.
    AnyOf(Vec<String>),
}

/// A version in numbers: 7, or 1.16.4.
#[derive(Debug, Clone)]
pub struct Number(Vec<i64>);

/// The version that a store's schema has, as it is spelled there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaVersion(pub(super) String);

impl Version {
    /// Whether a schema that has this version (or none) is one that it is for.
    pub(super) fn is_met_by(&self, found: Option<&SchemaVersion>) -> bool {
        found.is_some_and(|SchemaVersion(found)| match &self.known {
            Known::Between(from, to) => found.parse().is_ok_and(|found: Number| {
                // All that begins with the last one is of that version: 1.16.4 is 1.16.
                let as_far = &found.0[..found.0.len().min(to.0.len())];
                compare(&found.0, &from.0).is_ge() && compare(as_far, &to.0).is_le()
            }),
            Known::AnyOf(words) => words.contains(found),
        })
    }

    /// What a schema that has another one lacks, in words.
    pub(super) fn wanted(&self, found: Option<&SchemaVersion>) -> String {
        let wanted = match &self.known {
            Known::Between(..) => "a schema version from",
            Known::AnyOf(_) => "the schema version",
        };
        format!("{wanted} {} (it is {})", self.known, self.in_words(found).unwrap_or("none".to_owned()))
    }

    /// The version that a schema has, and what is strange about it.
    pub(super) fn in_words(&self, found: Option<&SchemaVersion>) -> Option<String> {
        let SchemaVersion(found) = found?;
        let is_strange = matches!(self.known, Known::Between(..)) && found.parse::<Number>().is_err();
        let why =
            if is_strange { ", which is no number as 7 and 1.16.4 are; a profile lists words as any_of" } else { "" };
        Some(format!("{found}{why}"))
    }
}

impl Display for Known {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Known::Between(from, to) => write!(formatter, "{from} to {to}"),
            Known::AnyOf(words) => formatter.write_str(&words.join(" or ")),
        }
    }
}

/// Numbers that are not there are 0.
fn compare(one: &[i64], other: &[i64]) -> Ordering {
    let padded = |numbers: &[i64], at: usize| numbers.get(at).copied().unwrap_or_default();
    (0..one.len().max(other.len()))
        .map(|at| padded(one, at).cmp(&padded(other, at)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Number, String> {
        let numbers = text.split('.').map(str::parse).collect::<Result<_, _>>();
        numbers.map(Number).map_err(|_| format!("the version {text} is no number as 7 and 1.16.4 are"))
    }
}

impl Display for Number {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        let numbers: Vec<_> = self.0.iter().map(i64::to_string).collect();
        formatter.write_str(&numbers.join("."))
    }
}

impl Display for SchemaVersion {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A whole number is one in JSON too.
impl Serialize for SchemaVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.parse::<i64>() {
            Ok(number) => serializer.serialize_i64(number),
            Err(_) => serializer.serialize_str(&self.0),
        }
    }
}

/// A [`Version`] as a profile has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    query: String,
    from: Option<Spelled>,
    to: Option<Spelled>,
    any_of: Option<Vec<Spelled>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a version is a whole number, or a text such as \"1.16.4\"")]
enum Spelled {
    Number(i64),
    Text(String),
}

impl From<Spelled> for String {
    fn from(spelled: Spelled) -> String {
        match spelled {
            Spelled::Number(number) => number.to_string(),
            Spelled::Text(text) => text,
        }
    }
}

impl TryFrom<Written> for Version {
    type Error = String;

    fn try_from(Written { query, from, to, any_of }: Written) -> Result<Version, String> {
        let known = match (from, to, any_of) {
            (Some(from), Some(to), None) => Known::Between(String::from(from).parse()?, String::from(to).parse()?),
            (None, None, Some(words)) => Known::AnyOf(words.into_iter().map(String::from).collect()),
            _ => return Err("the versions are given by `from` and `to`, or by `any_of`, a list of them".to_owned()),
        };
        Ok(Version { query, known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meets(known: &str, found: &str) -> bool {
        let version: Version = toml::from_str(&format!("query = ''\n{known}")).unwrap();
        version.is_met_by(Some(&SchemaVersion(found.to_owned())))
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let dotted = "from = '1.9'\nto = '1.16.4'";
        for (found, is_met) in [
            ("1.9", true),
            ("1.9.0", true),
            ("1.8.99", false),
            ("1.10", true),
            ("1.16", true),
            ("1.16.4", true),
            ("1.16.4.1", true),
            ("1.16.5", false),
            ("1.16.10", false),
            ("2", false),
            ("01.16.04", true),
            ("1.16.4-rc1", false),
            ("v1.16.4", false),
            ("1..9", false),
            ("", false),
            ("1.99999999999999999999", false),
        ] {
            assert_eq!(meets(dotted, found), is_met, "{found}");
        }
        for (found, is_met) in
            [("4", true), ("4.2.1", true), ("5.0", false), ("3", false), ("3.9", false), ("4.0", true)]
        {
            assert_eq!(meets("from = 4\nto = 4", found), is_met, "{found}");
        }
        assert!(meets("any_of = ['b1c2', 7]", "b1c2") && meets("any_of = ['b1c2', 7]", "7"));
        assert!(!meets("any_of = ['b1c2']", "B1C2") && !meets("any_of = []", ""));
    }
}
