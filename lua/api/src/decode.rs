//! JSON to Lua values.
//!
//! Objects and arrays become tables; arrays are marked (see `encode.rs`), so that an empty one stays
//! one. `null` becomes `bulk_rerun.null`, but is left out of a run's own columns.

use std::fmt;

use mlua::{Lua, Table, Value};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::encode;

/// Any JSON text. A field that stands twice is an error: a table can hold one only.
pub(crate) fn value(lua: &Lua, json: &str) -> serde_json::Result<Value> {
    read(json, Json(lua))
}

/// A run's JSON as the core writes it: columns that are null are left out, and `params`, the host's own text,
/// becomes a table where it is a JSON object or array. The text itself goes to `params_text`.
pub(crate) fn run(lua: &Lua, json: &str) -> serde_json::Result<Value> {
    read(json, Run(lua))
}

fn read<'de, S: DeserializeSeed<'de>>(json: &'de str, seed: S) -> serde_json::Result<S::Value> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let value = seed.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Reads any value.
#[derive(Clone, Copy)]
struct Json<'lua>(&'lua Lua);

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
        Ok(Value::String(self.0.create_string(text).map_err(E::custom)?))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let array = self.0.create_table().map_err(A::Error::custom)?;
        encode::mark_array(self.0, &array).map_err(A::Error::custom)?;
        let mut length = 0;
        while let Some(item) = items.next_element_seed(self)? {
            length += 1;
            array.raw_set(length, item).map_err(A::Error::custom)?;
        }
        Ok(Value::Table(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let object = self.0.create_table().map_err(A::Error::custom)?;
        while let Some(name) = fields.next_key_seed(Name(self.0))? {
            if object.raw_get::<Value>(&name).is_ok_and(|there| !there.is_nil()) {
                return Err(A::Error::custom(format!("the field `{}` is given twice", name.to_string_lossy())));
            }
            let value = fields.next_value_seed(self)?;
            object.raw_set(name, value).map_err(A::Error::custom)?;
        }
        Ok(Value::Table(object))
    }
}

/// Reads a field's name.
struct Name<'lua>(&'lua Lua);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = mlua::LuaString;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<mlua::LuaString, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'_> {
    type Value = mlua::LuaString;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a field's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<mlua::LuaString, E> {
        self.0.create_string(name).map_err(E::custom)
    }
}

/// Reads a run.
struct Run<'lua>(&'lua Lua);

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
        let run = self.0.create_table_with_capacity(0, COLUMNS).map_err(A::Error::custom)?;
        while let Some(name) = columns.next_key_seed(Name(self.0))? {
            let value = columns.next_value_seed(Json(self.0))?;
            match value {
                Value::LightUserData(_) => {}
                Value::String(text) if name.as_bytes() == *b"params" => {
                    set_params(self.0, &run, text).map_err(A::Error::custom)?;
                }
                value => run.raw_set(name, value).map_err(A::Error::custom)?,
            }
        }
        Ok(Value::Table(run))
    }
}

/// How many columns a run has, with `params_text`.
const COLUMNS: usize = 10;

fn set_params(lua: &Lua, run: &Table, text: mlua::LuaString) -> mlua::Result<()> {
    let params = match text.to_str() {
        Ok(json) if json.trim_start().starts_with(['{', '[']) => value(lua, &json).ok(),
        _ => None,
    };
    run.raw_set("params", params.unwrap_or_else(|| Value::String(text.clone())))?;
    run.raw_set("params_text", text)
}
