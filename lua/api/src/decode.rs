//! JSON to Lua values.
//!
//! Objects and arrays become tables; arrays are marked (see `encode.rs`), so that an empty one stays
//! one. `null` becomes `bulk_rerun.null`, but is left out of a run's own columns.

use std::cell::Cell;
use std::fmt;

use mlua::{Lua, LuaString, Table, Value};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::encode;

/// Why a text did not become a value.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// The text is no JSON, or says something twice.
    Text(serde_json::Error),
    /// Lua could not take it: it has no memory left.
    Lua(mlua::Error),
}

impl From<Unreadable> for mlua::Error {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Text(error) => mlua::Error::external(error),
            Unreadable::Lua(error) => error,
        }
    }
}

/// Any JSON text. A field that stands twice is an error: a table can hold one only.
pub(crate) fn value(lua: &Lua, json: &str) -> Result<Value, Unreadable> {
    let maker = Maker::new(lua);
    maker.read(json, Json(&maker))
}

/// A run's JSON as the core writes it: columns that are null are left out, and `params`, the host's own text,
/// becomes a table where it is a JSON object or array. The text itself goes to `params_text`.
pub(crate) fn run(lua: &Lua, json: &str) -> Result<Value, Unreadable> {
    let maker = Maker::new(lua);
    maker.read(json, Run(&maker))
}

/// Makes Lua's values, and remembers why it could not.
struct Maker<'lua> {
    lua: &'lua Lua,
    failure: Cell<Option<mlua::Error>>,
}

impl<'lua> Maker<'lua> {
    fn new(lua: &'lua Lua) -> Self {
        Maker { lua, failure: Cell::default() }
    }

    fn read<'de, S: DeserializeSeed<'de>>(&self, json: &'de str, seed: S) -> Result<S::Value, Unreadable> {
        let mut reader = serde_json::Deserializer::from_str(json);
        let read = seed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
        read.map_err(|error| self.failure.take().map_or(Unreadable::Text(error), Unreadable::Lua))
    }

    /// What Lua has made.
    fn made<T, E: Error>(&self, made: mlua::Result<T>) -> Result<T, E> {
        made.map_err(|error| {
            let said = E::custom(&error);
            self.failure.set(Some(error));
            said
        })
    }
}

/// Reads any value.
#[derive(Clone, Copy)]
struct Json<'a>(&'a Maker<'a>);

impl<'de> DeserializeSeed<'de> for Json<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::NULL)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Boolean(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Number(number as f64), Value::Integer))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(self.0.made(self.0.lua.create_string(text))?))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let Maker { lua, .. } = self.0;
        let array = self.0.made(lua.create_table())?;
        self.0.made(encode::mark_array(lua, &array))?;
        let mut length = 0;
        while let Some(item) = items.next_element_seed(self)? {
            length += 1;
            self.0.made(array.raw_set(length, item))?;
        }
        Ok(Value::Table(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let object = self.0.made(self.0.lua.create_table())?;
        while let Some(name) = fields.next_key_seed(Name(self.0))? {
            if !self.0.made(object.raw_get::<Value>(&name))?.is_nil() {
                return Err(A::Error::custom(format!("the field `{}` is given twice", name.to_string_lossy())));
            }
            let value = fields.next_value_seed(self)?;
            self.0.made(object.raw_set(name, value))?;
        }
        Ok(Value::Table(object))
    }
}

/// Reads a field's name.
struct Name<'a>(&'a Maker<'a>);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = LuaString;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<LuaString, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'_> {
    type Value = LuaString;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a field's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<LuaString, E> {
        self.0.made(self.0.lua.create_string(name))
    }
}

/// Reads a run.
struct Run<'a>(&'a Maker<'a>);

impl<'de> DeserializeSeed<'de> for Run<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Run<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a run")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut columns: A) -> Result<Value, A::Error> {
        let run = self.0.made(self.0.lua.create_table_with_capacity(0, COLUMNS))?;
        while let Some(name) = columns.next_key_seed(Name(self.0))? {
            let value = columns.next_value_seed(Json(self.0))?;
            let set = match value {
                Value::LightUserData(_) => Ok(()),
                Value::String(text) if name.as_bytes() == *b"params" => set_params(self.0.lua, &run, text),
                value => run.raw_set(name, value),
            };
            self.0.made(set)?;
        }
        Ok(Value::Table(run))
    }
}

/// How many columns a run has, with `params_text`.
const COLUMNS: usize = 10;

fn set_params(lua: &Lua, run: &Table, text: LuaString) -> mlua::Result<()> {
    let params = match text.to_str() {
        Ok(json) if json.trim_start().starts_with(['{', '[']) => match value(lua, &json) {
            Ok(params) => Some(params),
            Err(Unreadable::Text(_)) => None,
            Err(Unreadable::Lua(error)) => return Err(error),
        },
        _ => None,
    };
    run.raw_set("params", params.unwrap_or_else(|| Value::String(text.clone())))?;
    run.raw_set("params_text", text)
}
