//! JSON as it was written: unlike `serde_json::Value`, an object keeps a field that stands twice,
//! so that the request's reader can refuse it instead of picking one in silence.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::ErrorModel;

/// A JSON value whose objects keep every field, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    /// A number that is too large for any type of numbers, as it was written.
    HugeNumber(String),
    String(String),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    /// Reads a text that must be one JSON object; `what` and `example` are for the message if it is not.
    pub(super) fn object_from_json(json: &[u8], what: &str, example: &str) -> Result<Node, ErrorModel> {
        let bad = |detail: String| Err(ErrorModel::new(400, detail));
        // Some programs put UTF-8's mark at the beginning of a file.
        let json = json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json);
        if json.iter().all(u8::is_ascii_whitespace) {
            return bad(format!("no {what}: expected a JSON object such as {example}"));
        }
        if json.starts_with(b"\xff\xfe") || json.starts_with(b"\xfe\xff") {
            return bad(format!("the {what} is in UTF-16; save it as UTF-8"));
        }
        match serde_json::from_slice(json).or_else(|error| with_huge_numbers(json).ok_or(error)) {
            Ok(object @ Node::Object(_)) => Ok(object),
            Ok(other) => bad(format!("the {what} is {}; expected a JSON object", other.kind())),
            Err(error) => bad(format!("the {what} is not JSON: {error}")),
        }
    }

    /// What a message calls a value of this kind.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Node::Null => "null",
            Node::Bool(_) => "a boolean",
            Node::Number(_) | Node::HugeNumber(_) => "a number",
            Node::String(_) => "a string",
            Node::Array(_) => "an array",
            Node::Object(_) => "an object",
        }
    }

    /// The value for a violation's `value`: what is long is cut, and ends in `…`. Of a field that stands twice the last
    /// one is shown.
    pub(super) fn to_value(&self) -> Value {
        self.shown(&mut SHOWN_MAX.clone())
    }

    /// As much of it as there is room for.
    fn shown(&self, room: &mut usize) -> Value {
        // What each item takes, however short it is.
        let takes_one = |room: &mut usize| {
            let fits = ITEM <= *room;
            *room = room.saturating_sub(ITEM);
            fits
        };
        match self {
            Node::Null => Value::Null,
            Node::Bool(flag) => Value::Bool(*flag),
            Node::Number(number) => Value::Number(number.clone()),
            Node::String(text) | Node::HugeNumber(text) => Value::String(shortened(text, room)),
            Node::Array(items) => {
                let mut shown = Vec::new();
                for item in items {
                    if !takes_one(room) {
                        shown.push(Value::from("…"));
                        break;
                    }
                    shown.push(item.shown(room));
                }
                Value::Array(shown)
            }
            Node::Object(fields) => {
                let mut shown = Map::new();
                for (name, value) in fields {
                    if !takes_one(room) {
                        shown.insert("…".to_owned(), Value::from("…"));
                        break;
                    }
                    shown.insert(shortened(name, room), value.shown(room));
                }
                Value::Object(shown)
            }
        }
    }
}

/// How much of a value a violation shows, in bytes, and what an item takes of that besides its text.
const SHOWN_MAX: usize = 1_000;
const ITEM: usize = 4;

/// A text, cut where the room ends.
fn shortened(text: &str, room: &mut usize) -> String {
    let shown = cut(text, *room);
    *room = room.saturating_sub(shown.len());
    shown.into_owned()
}

/// A text of so many bytes at most, and a mark where something is left out.
pub(super) fn cut(text: &str, room: usize) -> Cow<'_, str> {
    if text.len() <= room {
        return Cow::Borrowed(text);
    }
    let end = (0..=room).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default();
    Cow::Owned(format!("{}…", &text[..end]))
}

/// In front of a number that stands as a string for a moment.
const HUGE: &str = "\u{10ffff}";

/// Reads a text in which a number is too large for any type of numbers; `None` if that is not what is wrong with it. No such
/// number is right anywhere, so a text that is read like this is refused, whatever else is in it.
fn with_huge_numbers(json: &[u8]) -> Option<Node> {
    let text = str::from_utf8(json).ok()?;
    let mut quoted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(sign) = rest.chars().next() {
        let length = match sign {
            '"' => string_length(rest),
            '-' | '0'..='9' => {
                rest.find(|sign: char| !matches!(sign, '-' | '+' | '.' | 'e' | 'E' | '0'..='9')).unwrap_or(rest.len())
            }
            _ => sign.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        match sign != '"' && token.parse().is_ok_and(f64::is_infinite) {
            true => quoted.extend(["\"", HUGE, token, "\""]),
            false => quoted.push_str(token),
        }
        rest = behind;
    }
    let mut node = serde_json::from_str(&quoted).ok()?;
    unquote(&mut node);
    Some(node)
}

/// How long the string is that a text begins with, its quotes included.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |end| end + 2)
}

fn unquote(node: &mut Node) {
    match node {
        Node::String(text) => {
            if let Some(number) = text.strip_prefix(HUGE) {
                *node = Node::HugeNumber(number.to_owned());
            }
        }
        Node::Array(items) => items.iter_mut().for_each(unquote),
        Node::Object(fields) => fields.iter_mut().for_each(|(_, value)| unquote(value)),
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::HugeNumber(_) => {}
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Node, E> {
        Ok(Node::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Number::from_f64(number).map_or(Node::Null, Node::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Node::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Node::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Node, A::Error> {
        let mut object = Vec::new();
        while let Some(field) = fields.next_entry()? {
            object.push(field);
        }
        Ok(Node::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: &str) -> Result<Node, ErrorModel> {
        Node::object_from_json(json.as_bytes(), "request", "{}")
    }

    #[test]
    fn a_mark_in_front_is_no_mistake_and_another_encoding_is_told() {
        assert_eq!(read("\u{feff}{}").unwrap(), Node::Object(Vec::new()));
        assert!(read("\u{feff} ").unwrap_err().detail.starts_with("no request"));
        // Only one, and only in front.
        assert!(read("\u{feff}\u{feff}{}").unwrap_err().detail.contains("not JSON"));
        for bytes in [&b"\xff\xfe{\0}\0"[..], b"\xfe\xff\0{\0}"] {
            let error = Node::object_from_json(bytes, "request", "{}").unwrap_err();
            assert!(error.status == 400 && error.detail.contains("UTF-16"), "{error}");
        }
    }

    #[test]
    fn a_number_that_no_type_holds_is_one_all_the_same() {
        let read = |json| read(json).unwrap().to_value();
        assert_eq!(
            read(r#"{"a": 1e400, "b": [-1E+999, 7], "c": "1e400 \" 1e400", "d\\": 1.0e309}"#),
            json!({"a": "1e400", "b": ["-1E+999", 7], "c": "1e400 \" 1e400", "d\\": "1.0e309"})
        );
        for json in [r#"{"a": 1e400"#, r#"{"a": 1e400x}"#, r#"{"a": -}"#, r#"{"a": 1e400, "b"#, r#"{"a": 1-e400}"#] {
            assert!(super::tests::read(json).unwrap_err().detail.contains("not JSON"), "{json}");
        }
    }

    #[test]
    fn a_long_value_is_cut() {
        let shown = |json: String| read(&json).unwrap().to_value();
        let text = "é".repeat(5_000);
        let value = shown(format!(r#"{{"a": "{text}"}}"#));
        assert!(value["a"].as_str().unwrap().ends_with("é…") && value.to_string().len() <= SHOWN_MAX + 20);
        for long in [
            format!(r#"{{"a": [{}1]}}"#, "1,".repeat(100_000)),
            format!(r#"{{"a": [{}1]}}"#, "[[[]]],".repeat(100_000)),
            format!(r#"{{{}"a": 1}}"#, r#""long name": {"b": null},"#.repeat(100_000)),
        ] {
            let value = shown(long).to_string();
            assert!(value.len() < 4 * SHOWN_MAX && value.contains('…'), "{value}");
        }
        let all = r#"{"a":[1,"two",{"three":null}]}"#;
        assert_eq!(shown(all.to_owned()).to_string(), all);
    }
}
