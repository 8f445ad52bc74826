//! Whether a command prints what its page says.
//!
//! `…` stands for anything within a line, and alone on a line for any number of lines. A value that differs with each store (an id,
//! a time, a digest) stands for whatever value of its kind is printed in its place; a page's later commands then mean that one.

use std::collections::HashMap;

/// What the page's values stand for.
#[derive(Clone)]
pub struct Values {
    known: HashMap<String, String>,
    /// Every value stands for itself.
    are_exact: bool,
}

impl Values {
    /// Of a page on whose store the values are always the same, or not.
    pub fn of(are_exact: bool) -> Values {
        Values { known: HashMap::new(), are_exact }
    }

    /// A command of the page with what was printed in the place of the page's values.
    pub fn fill(&self, command: &str) -> String {
        self.known.iter().fold(command.to_owned(), |command, (page, printed)| command.replace(page, printed))
    }

    /// Two of the page's values are two, and one is always the same.
    fn may_be(&self, page: &str, printed: &str) -> bool {
        match self.known.get(page) {
            Some(known) => known == printed,
            None => !self.known.values().any(|known| known == printed),
        }
    }

    /// Whether the text is as the page says.
    pub fn explain(&mut self, printed: &str, page: &str) -> bool {
        let (printed, page) = (printed.lines().map(shrunk), page.lines().map(shrunk));
        let (printed, page): (Vec<_>, Vec<_>) = (printed.collect(), page.collect());
        match lines(&printed, &page, self) {
            Some(values) => {
                *self = values;
                true
            }
            None => false,
        }
    }
}

/// How wide a table's columns are, differs with what is in them.
fn shrunk(line: &str) -> String {
    let mut words = String::new();
    for sign in line.chars() {
        if !(sign == ' ' && words.ends_with(' ')) {
            words.push(sign);
        }
    }
    words.trim_end().to_owned()
}

fn lines(printed: &[String], page: &[String], values: &Values) -> Option<Values> {
    let Some((line, rest)) = page.split_first() else { return printed.is_empty().then(|| values.clone()) };
    if line.trim() == "…" {
        return (0..=printed.len()).find_map(|skipped| lines(&printed[skipped..], rest, values));
    }
    let (first, others) = printed.split_first()?;
    lines(others, rest, &signs(first, line, values)?)
}

fn signs(printed: &str, page: &str, values: &Values) -> Option<Values> {
    if page.is_empty() {
        return printed.is_empty().then(|| values.clone());
    }
    if let Some(rest) = page.strip_prefix('…') {
        let ends = printed.char_indices().map(|(at, _)| at).chain([printed.len()]);
        return ends.into_iter().find_map(|at| signs(&printed[at..], rest, values));
    }
    if let (Some(ours), Some(theirs)) = (value(printed), value(page))
        && ours.kind == theirs.kind
        && !values.are_exact
    {
        if ours.kind == Kind::Time || values.may_be(theirs.text, ours.text) {
            let mut values = values.clone();
            values.known.entry(theirs.text.to_owned()).or_insert_with(|| ours.text.to_owned());
            return signs(&printed[ours.text.len()..], &page[theirs.text.len()..], &values);
        }
        return None;
    }
    let sign = page.chars().next()?;
    signs(printed.strip_prefix(sign)?, &page[sign.len_utf8()..], values)
}

#[derive(PartialEq)]
enum Kind {
    Digest,
    Id,
    /// Two that are the same on the page may be two for all that.
    Time,
}

struct Value<'a> {
    kind: Kind,
    text: &'a str,
}

/// The value that a text begins with.
fn value(text: &str) -> Option<Value<'_>> {
    let ends = |length: usize| !text[length..].starts_with(|sign: char| sign.is_ascii_alphanumeric());
    let digits =
        text.strip_prefix("sha256:").map_or(0, |digits| digits.bytes().take_while(u8::is_ascii_hexdigit).count());
    if digits == 64 {
        return Some(Value { kind: Kind::Digest, text: &text[.."sha256:".len() + digits] });
    }
    let is_of_id = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    if text.starts_with('0') && text.bytes().take_while(|byte| is_of_id(*byte)).count() == 26 && ends(26) {
        return Some(Value { kind: Kind::Id, text: &text[..26] });
    }
    let date = text.get(..10).filter(|date| has_shape(date, "dddd-dd-dd"))?;
    Some(Value { kind: Kind::Time, text: &text[..date.len() + time(&text[date.len()..])] })
}

/// How long the time of day is that a text begins with, in UTC.
fn time(text: &str) -> usize {
    if !text.get(..9).is_some_and(|time| has_shape(time, "Tdd:dd:dd")) {
        return 0;
    }
    let fraction =
        text[9..].strip_prefix('.').map_or(0, |rest| 1 + rest.bytes().take_while(u8::is_ascii_digit).count());
    if text[9 + fraction..].starts_with('Z') { 9 + fraction + 1 } else { 0 }
}

fn has_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.chars().zip(shape.chars()).all(|(sign, of)| if of == 'd' { sign.is_ascii_digit() } else { sign == of })
}
