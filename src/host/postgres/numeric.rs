//! A `numeric` as the server sends it, with the digits that it would spell: whole numbers are ordered as such.

use std::error::Error;
use std::fmt::Write;

use tokio_postgres::types::{FromSql, Type};

use crate::host::Key;

/// How many decimal digits one of the server's has.
const DIGITS: usize = 4;

pub(super) struct Numeric(Key<'static>);

impl Numeric {
    pub(super) fn into_key(self) -> Key<'static> {
        self.0
    }
}

impl<'a> FromSql<'a> for Numeric {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let text = spelled(bytes).ok_or("it is not a number")?;
        // All of a number's digits count, zeros behind the point too.
        let whole = text.parse().ok().filter(|number: &i64| number.to_string() == text);
        Ok(Numeric(whole.map_or_else(|| Key::Text(text.into_bytes().into()), Key::Integer)))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::NUMERIC
    }
}

/// As PostgreSQL's own text of it: how many digits of base 10,000 there are, the first one's place, the sign, how many
/// decimal digits are behind the point, and the digits.
fn spelled(bytes: &[u8]) -> Option<String> {
    let mut words = bytes.chunks_exact(2).map(|word| u16::from_be_bytes([word[0], word[1]]));
    let mut head = || words.next();
    let (count, first, sign, scale) = (head()?, head()?.cast_signed(), head()?, usize::from(head()?));
    let sign = match sign {
        0 => "",
        0x4000 => "-",
        // Neither a number, nor an id.
        _ => return None,
    };
    let digits: Vec<u16> = words.collect();
    (digits.len() == usize::from(count)).then_some(())?;
    let digit = |place: i32| {
        let index = usize::try_from(i32::from(first) - place).ok();
        index.and_then(|index| digits.get(index)).copied().unwrap_or_default()
    };
    let mut text = String::new();
    for place in (0..=i32::from(first)).rev() {
        // Writing to a String never fails.
        let _ = write!(text, "{:04}", digit(place));
    }
    let whole = text.trim_start_matches('0');
    let mut text = format!("{sign}{}", if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        let mut part = String::new();
        for place in 1..=i32::try_from(scale.div_ceil(DIGITS)).ok()? {
            let _ = write!(part, "{:04}", digit(-place));
        }
        text.push('.');
        text += part.get(..scale)?;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_spelled_as_the_server_spells_it() {
        let of = |words: &[u16]| spelled(&words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>());
        assert_eq!(of(&[0, 0, 0, 0]).unwrap(), "0");
        assert_eq!(of(&[0, 0, 0, 2]).unwrap(), "0.00");
        assert_eq!(of(&[1, 0, 0x4000, 2, 7]).unwrap(), "-7.00");
        assert_eq!(of(&[2, 1, 0, 0, 12, 34]).unwrap(), "120034");
        assert_eq!(of(&[1, 1, 0, 0, 12]).unwrap(), "120000");
        assert_eq!(of(&[2, 0, 0, 5, 1, 2300]).unwrap(), "1.23000");
        assert_eq!(of(&[1, u16::MAX - 1, 0, 6, 500]).unwrap(), "0.000005");
        assert_eq!((of(&[0, 0, 0xC000, 0]), of(&[2, 0, 0, 0, 1]), of(&[1])), (None, None, None));
    }
}
