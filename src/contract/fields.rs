//! Reads the fields of JSON objects and collects every violation on the way.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::Value;

use super::json::{Node, cut};
use super::run::nearest_writable;
use super::{ErrorModel, Instant, Spelling, Violation};

/// So many violations are listed; the others are counted.
const VIOLATIONS_MAX: usize = 100;

/// How much of a field's name a location shows, in bytes.
const NAME_MAX: usize = 200;

/// What reading a request has found out so far, beside the values themselves.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) violations: Vec<Violation>,
    /// How many more there are.
    left_out: usize,
    /// A field was spelled as only snake_case or only camelCase spells it.
    saw_snake: bool,
    saw_camel: bool,
}

impl Findings {
    pub(super) fn report(&mut self, location: &str, message: impl Into<String>, value: Value) {
        if self.has_room() {
            self.violations.push(Violation { location: location.to_owned(), message: message.into(), value });
        }
    }

    /// Whether a violation will be listed; else it is counted now, and need not be put into words.
    fn has_room(&mut self) -> bool {
        let has_room = self.violations.len() < VIOLATIONS_MAX;
        self.left_out += usize::from(!has_room);
        has_room
    }

    /// 422 with all that was found, if anything was.
    pub(super) fn unprocessable(&mut self) -> Result<(), ErrorModel> {
        if self.violations.is_empty() {
            return Ok(());
        }
        Err(ErrorModel::unprocessable(std::mem::take(&mut self.violations), self.left_out))
    }

    /// The client's spelling, where its fields show one. Any camelCase field makes it camelCase.
    pub(super) fn spelling(&self) -> Option<Spelling> {
        match (self.saw_camel, self.saw_snake) {
            (true, _) => Some(Spelling::Camel),
            (false, true) => Some(Spelling::Snake),
            (false, false) => None,
        }
    }
}

/// The known fields of one object; `null` and an absent field are the same.
pub(super) struct Fields<'a> {
    location: String,
    found: Vec<Field<'a>>,
}

struct Field<'a> {
    /// The name in snake_case.
    name: &'static str,
    /// As the client wrote it.
    written: &'a str,
    value: &'a Node,
}

impl<'a> Fields<'a> {
    /// Reads `node` as an object with the fields `known` (in snake_case), in either spelling.
    pub(super) fn read(
        node: &'a Node,
        location: &str,
        known: &'static [&'static str],
        findings: &mut Findings,
    ) -> Fields<'a> {
        let mut fields = Fields::none(location);
        let Node::Object(members) = node else {
            findings.report(location, format!("expected an object, got {}", node.kind()), node.to_value());
            return fields;
        };
        let mut seen = HashSet::new();
        for (written, value) in members {
            let place = || format!("{location}.{}", cut(written, NAME_MAX));
            let Some(&name) = known.iter().find(|&&name| written == name || *written == Spelling::Camel.of(name))
            else {
                if findings.has_room() {
                    findings.report(&place(), unknown_field(written, known), value.to_value());
                }
                continue;
            };
            if Spelling::Camel.of(name) != name {
                findings.saw_snake |= written == name;
                findings.saw_camel |= written != name;
            }
            if !seen.insert(name) {
                if findings.has_room() {
                    findings.report(&place(), "the field is given twice; keep one of the two", value.to_value());
                }
                continue;
            }
            if *value != Node::Null {
                fields.found.push(Field { name, written, value });
            }
        }
        fields
    }

    fn none(location: &str) -> Fields<'a> {
        Fields { location: location.to_owned(), found: Vec::new() }
    }

    /// The fields of an object in this one, as [`Fields::read`] reads them: none where it is absent.
    pub(super) fn object(&self, name: &str, known: &'static [&'static str], findings: &mut Findings) -> Fields<'a> {
        let place = self.place(name);
        self.node(name).map_or_else(|| Fields::none(&place), |node| Fields::read(node, &place, known, findings))
    }

    fn get(&self, name: &str) -> Option<&Field<'a>> {
        self.found.iter().find(|field| field.name == name)
    }

    /// A field's name, in the client's own spelling.
    pub(super) fn written<'n>(&'n self, name: &'n str) -> &'n str {
        self.get(name).map_or(name, |field| field.written)
    }

    /// Where a field stands, in the client's own spelling.
    pub(super) fn place(&self, name: &str) -> String {
        format!("{}.{}", self.location, self.written(name))
    }

    /// The field's value as it was given.
    pub(super) fn value(&self, name: &str) -> Value {
        self.get(name).map_or(Value::Null, |field| field.value.to_value())
    }

    pub(super) fn node(&self, name: &str) -> Option<&'a Node> {
        self.get(name).map(|field| field.value)
    }

    fn wrong(&self, name: &str, expected: &str, findings: &mut Findings) {
        let kind = self.get(name).map_or("nothing", |field| field.value.kind());
        findings.report(&self.place(name), format!("expected {expected}, got {kind}"), self.value(name));
    }

    pub(super) fn boolean(&self, name: &str, findings: &mut Findings) -> bool {
        match self.node(name) {
            None => false,
            Some(Node::Bool(flag)) => *flag,
            Some(_) => {
                self.wrong(name, "true or false", findings);
                false
            }
        }
    }

    pub(super) fn string(&self, name: &str, findings: &mut Findings) -> Option<&'a str> {
        match self.node(name)? {
            Node::String(text) => Some(text),
            _ => {
                self.wrong(name, "a string", findings);
                None
            }
        }
    }

    /// A whole number of 64 bits. `3.0` is one, as in JSON Schema.
    pub(super) fn integer(&self, name: &str, findings: &mut Findings) -> Option<i64> {
        const OUT_OF_RANGE: &str = "the number is out of range: expected an integer of 64 bits";
        let number = match self.node(name)? {
            Node::Number(number) => number,
            Node::HugeNumber(_) => {
                findings.report(&self.place(name), OUT_OF_RANGE, self.value(name));
                return None;
            }
            _ => {
                self.wrong(name, "an integer", findings);
                return None;
            }
        };
        let float = number.as_f64().unwrap_or(f64::NAN);
        if let Some(integer) = number.as_i64() {
            return Some(integer);
        }
        // Beyond 2^53 a float no longer holds every integer, so it can't be meant exactly.
        if float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0 {
            return Some(float as i64);
        }
        let message =
            if float.fract() == 0.0 { OUT_OF_RANGE } else { "expected an integer, got a number with a fraction" };
        findings.report(&self.place(name), message, self.value(name));
        None
    }

    /// A whole number from `least` on.
    pub(super) fn count(&self, name: &str, least: u64, findings: &mut Findings) -> Option<u64> {
        let integer = self.integer(name, findings)?;
        let count = u64::try_from(integer).ok().filter(|&count| count >= least);
        if count.is_none() {
            findings.report(&self.place(name), format!("expected an integer from {least}"), self.value(name));
        }
        count
    }

    /// One of a few words.
    pub(super) fn word(&self, name: &str, words: &[&str], findings: &mut Findings) -> Option<&'a str> {
        let word = self.string(name, findings)?;
        if words.contains(&word) {
            return Some(word);
        }
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        let expected = match words.as_slice() {
            [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
            _ => words.concat(),
        };
        findings.report(&self.place(name), format!("expected {expected}"), self.value(name));
        None
    }

    /// An RFC 3339 timestamp; an empty string is no condition.
    pub(super) fn instant(&self, name: &str, findings: &mut Findings) -> Option<Instant> {
        let text = self.string(name, findings).filter(|text| !text.is_empty())?;
        match chrono::DateTime::parse_from_rfc3339(text) {
            Ok(instant) => Some(nearest_writable(instant.to_utc())),
            Err(_) => {
                let message = "expected an RFC 3339 timestamp such as 2026-04-15T12:00:00Z";
                findings.report(&self.place(name), message, self.value(name));
                None
            }
        }
    }

    /// A length of time, such as `10m`.
    pub(super) fn duration(&self, name: &str, findings: &mut Findings) -> Option<Duration> {
        let text = self.string(name, findings)?;
        let duration = humantime::parse_duration(text).ok();
        if duration.is_none() {
            let message = "expected a length of time such as 90s, 10m or 1h 30m";
            findings.report(&self.place(name), message, self.value(name));
        }
        duration
    }

    /// A string without which the object means nothing.
    pub(super) fn required_string(&self, name: &str, findings: &mut Findings) -> Option<&'a str> {
        if self.node(name).is_none() {
            findings.report(&self.place(name), "the field is missing", Value::Null);
        }
        self.string(name, findings)
    }

    /// The fields of each object in an array, as [`Fields::read`] reads them.
    pub(super) fn objects(
        &self,
        name: &str,
        known: &'static [&'static str],
        findings: &mut Findings,
    ) -> Vec<Fields<'a>> {
        let items = match self.node(name) {
            None => return Vec::new(),
            Some(Node::Array(items)) => items,
            Some(_) => {
                self.wrong(name, "an array of objects", findings);
                return Vec::new();
            }
        };
        let place = self.place(name);
        let mut read = |(index, item): (usize, &'a Node)| {
            let fields = Fields::read(item, &format!("{place}[{index}]"), known, findings);
            // The fields of what is no object need not be missed as well.
            matches!(item, Node::Object(_)).then_some(fields)
        };
        items.iter().enumerate().filter_map(&mut read).collect()
    }

    pub(super) fn strings(&self, name: &str, findings: &mut Findings) -> Vec<String> {
        let items = match self.node(name) {
            None => return Vec::new(),
            Some(Node::Array(items)) => items,
            Some(_) => {
                self.wrong(name, "an array of strings", findings);
                return Vec::new();
            }
        };
        let mut strings = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            if let Node::String(text) = item {
                strings.push(text.clone());
            } else if findings.has_room() {
                let place = format!("{}[{index}]", self.place(name));
                findings.report(&place, format!("expected a string, got {}", item.kind()), item.to_value());
            }
        }
        strings
    }

    /// An object whose fields are anybody's, and texts.
    pub(super) fn texts(&self, name: &str, findings: &mut Findings) -> Option<BTreeMap<String, String>> {
        let members = match self.node(name)? {
            Node::Object(members) => members,
            _ => {
                self.wrong(name, "an object of strings", findings);
                return None;
            }
        };
        let mut texts = BTreeMap::new();
        for (member, value) in members {
            let wrong = match value {
                Node::Null => continue,
                Node::String(_) if texts.contains_key(member) => {
                    "the field is given twice; keep one of the two".to_owned()
                }
                Node::String(text) => {
                    texts.insert(member.clone(), text.clone());
                    continue;
                }
                other => format!("expected a string, got {}", other.kind()),
            };
            findings.report(&format!("{}.{}", self.place(name), cut(member, NAME_MAX)), wrong, value.to_value());
        }
        Some(texts)
    }
}

/// The message for an unknown field, with the known one that it most resembles.
fn unknown_field(written: &str, known: &[&str]) -> String {
    match nearest(written, known.iter().copied()) {
        _ if known.is_empty() => "unknown field; there are none here, so drop it".to_owned(),
        Some(name) => format!("unknown field; did you mean `{name}`?"),
        None => format!("unknown field; known here: {}", known.join(", ")),
    }
}

/// The known name that a mistyped one most resembles, if it resembles any; letters are equal in any case.
pub(crate) fn nearest<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    const LONGEST: usize = 100;
    if written.len() > LONGEST {
        return None;
    }
    let written = written.to_lowercase();
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(&written, &name.to_lowercase());
    let alike = known.filter(|name| name.len() <= LONGEST).map(|name| (likeness(name), name));
    alike.filter(|(likeness, _)| *likeness > 0.6).max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, name)| name)
}
