//! How runs are sought by their ids, so that the key's index is used: in the key's own type, or taken apart.

use tokio_postgres::types::{Kind, Type};

use super::dialect::storable;
use crate::host::taken_apart::TakenApart;

/// More digits than these are no id's.
const DIGITS_MAX: usize = 1_000;

/// The type of the view's ids.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum IdType {
    Text,
    /// `char(n)`: the blanks at its end mean nothing.
    Padded,
    Integer,
    Numeric,
    Uuid,
    Bytes,
    /// One of these labels, of the type with this name.
    Enum(String, Vec<String>),
    /// Any other is compared as text, without an index.
    Other,
}

impl IdType {
    pub(super) fn of(kind: &Type) -> IdType {
        match (kind.kind(), kind) {
            (_, &(Type::TEXT | Type::VARCHAR)) => IdType::Text,
            (_, &Type::BPCHAR) => IdType::Padded,
            (_, &(Type::INT2 | Type::INT4 | Type::INT8)) => IdType::Integer,
            (_, &Type::NUMERIC) => IdType::Numeric,
            (_, &Type::UUID) => IdType::Uuid,
            (_, &Type::BYTEA) => IdType::Bytes,
            (Kind::Enum(labels), _) => {
                IdType::Enum(format!("{}.{}", quoted(kind.schema()), quoted(kind.name())), labels.clone())
            }
            _ => IdType::Other,
        }
    }

    /// The type that texts are cast to, to be compared with the view's ids.
    fn cast(&self) -> &str {
        match self {
            IdType::Text | IdType::Other => "text",
            IdType::Padded => "bpchar",
            IdType::Integer => "bigint",
            IdType::Numeric => "numeric",
            IdType::Uuid => "uuid",
            IdType::Bytes => "bytea",
            IdType::Enum(name, _) => name,
        }
    }

    /// The view's ids as they are compared.
    fn column(&self) -> &'static str {
        if *self == IdType::Other { "run.id::text" } else { "run.id" }
    }

    /// The view's id as it is read: numbers are ordered as such, and the server spells a uuid more slowly than we do.
    pub(super) fn read(&self) -> &'static str {
        match self {
            IdType::Uuid | IdType::Bytes | IdType::Numeric => "id",
            IdType::Integer => "id::bigint",
            _ => self.spelled(),
        }
    }

    /// The view's id as a text. How bytes are spelled is a setting of the server's, but for this.
    pub(super) fn spelled(&self) -> &'static str {
        if *self == IdType::Bytes { r"('\x' || encode(id, 'hex'))" } else { "id::text" }
    }

    /// The condition that the view's id is this one.
    pub(super) fn is(&self, id: &str) -> String {
        format!("{} = (SELECT '{id}'::{})", self.column(), self.cast())
    }

    /// Whether a text can be an id at all. Only the server's own spelling is: `007` is not the id `7`.
    pub(super) fn has(&self, id: &str) -> bool {
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match self {
            IdType::Text | IdType::Other => storable(id).is_some(),
            IdType::Padded => storable(id).is_some() && !id.ends_with(' '),
            IdType::Integer => id.parse::<i64>().is_ok_and(|number| number.to_string() == id),
            IdType::Numeric => {
                let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let mut parts = id.strip_prefix('-').unwrap_or(id).splitn(2, '.');
                id.len() <= DIGITS_MAX && parts.all(digits)
            }
            IdType::Uuid => {
                let fits =
                    |(at, byte): (usize, u8)| if [8, 13, 18, 23].contains(&at) { byte == b'-' } else { hex(byte) };
                id.len() == 36 && id.bytes().enumerate().all(fits)
            }
            IdType::Bytes => {
                id.strip_prefix(r"\x").is_some_and(|digits| digits.len() % 2 == 0 && digits.bytes().all(hex))
            }
            IdType::Enum(_, labels) => labels.iter().any(|label| label == id),
        }
    }

    /// An id that is found again in a plan.
    pub(super) fn an_id(&self) -> &str {
        match self {
            IdType::Text | IdType::Padded | IdType::Other => "a run that bulk_rerun looks for",
            IdType::Integer | IdType::Numeric => "7261839405172634",
            IdType::Uuid => "5eed5eed-5eed-4eed-8eed-5eed5eed5eed",
            IdType::Bytes => r"\x5eed5eed5eed4eed8eed5eed5eed5eed",
            IdType::Enum(_, labels) => labels.first().map(String::as_str).unwrap_or_default(),
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// How a store's runs are sought by their ids.
pub(super) struct Ids<'f> {
    pub(super) kind: &'f IdType,
    /// How an id is taken apart, if it must be.
    pub(super) key: &'f TakenApart,
}

impl Ids<'_> {
    /// What stands for an id that is taken apart, in statements and in their plans.
    pub(super) const WANTED: &'static str = "wanted.wanted_id";

    /// The condition on the view's ids; `$1` is an array of texts. (Of how many ids an array has, the planner knows, and may
    /// have each run looked for in a hash of them. Of `IN (SELECT unnest($1))` it thinks that there are 200.)
    pub(super) fn condition(&self) -> String {
        if self.key.is_empty() {
            return format!("{} = ANY($1::text[]::{}[])", self.kind.column(), self.kind.cast());
        }
        let columns: Vec<_> = self.key.columns().map(|column| format!("run.{column}")).collect();
        let values: Vec<_> = self.key.values(Self::WANTED).collect();
        let (columns, values) = (columns.join(", "), values.join(", "));
        format!("({columns}) IN (SELECT {values} FROM unnest($1::text[]) AS wanted(wanted_id))")
    }

    /// What joins the view with the wanted runs: `$1` is an array of their tasks, `$2` of their ids; each has its `place`
    /// in them, from 1.
    pub(super) fn join(&self) -> String {
        let (cast, is_it) = match self.key.is_empty() {
            true => (self.kind.cast(), format!("{} = {}", self.kind.column(), Self::WANTED)),
            false => ("text", self.key.condition("run.", Self::WANTED)),
        };
        format!(
            "JOIN unnest($1::text[], $2::text[]::{cast}[]) WITH ORDINALITY AS wanted(wanted_task, wanted_id, place)
             ON {is_it} AND run.task_name::text = wanted_task"
        )
    }

    /// What takes ids apart and does nothing else, with `$1` an array of texts: it fails where one can't be.
    pub(super) fn take_apart(&self) -> String {
        let values: Vec<_> = self.key.values(Self::WANTED).map(|value| format!("count({value})")).collect();
        format!("SELECT {} FROM unnest($1::text[]) AS wanted(wanted_id)", values.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_own_spelling_is_an_id() {
        let has = |kind: IdType, ids: &[&str]| ids.iter().map(|id| kind.has(id)).collect::<Vec<_>>();
        assert_eq!(has(IdType::Integer, &["7", "-7", "9223372036854775807"]), [true; 3]);
        let none = ["", "007", "+7", " 7", "7.0", "9223372036854775808", "seven", "7\0"];
        assert_eq!(has(IdType::Integer, &none), [false; 8]);
        assert_eq!(has(IdType::Uuid, &["3f2c9a7e-0000-4000-8000-00000000000f"]), [true]);
        let none = ["", "3F2C9A7E-0000-4000-8000-000000000001", "3f2c9a7e00004000800000000000000f", "é"];
        assert_eq!(has(IdType::Uuid, &none), [false; 4]);
        assert_eq!(has(IdType::Text, &["é", "a ", "a\0b"]), [true, true, false]);
        assert_eq!(has(IdType::Padded, &["é", "a ", "a\0b"]), [true, false, false]);
        assert_eq!(has(IdType::Numeric, &["7", "-7.50", "18446744073709551616"]), [true; 3]);
        assert_eq!(has(IdType::Numeric, &["", "-", "--7", ".5", "7.", "1e3", "NaN", "7 "]), [false; 8]);
        assert_eq!(
            has(IdType::Bytes, &[r"\x00ff", r"\x", "00ff", r"\x0", r"\xFF", r"\"]),
            [true, true, false, false, false, false]
        );
        let colours = IdType::Enum("public.colour".to_owned(), vec!["red".to_owned()]);
        assert_eq!(has(colours, &["red", "green"]), [true, false]);
    }
}
