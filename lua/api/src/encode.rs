//! Lua values to JSON.
//!
//! A table is an array if it is marked as one (`bulk_rerun.array`, or read from JSON) or if its keys
//! are 1 to n; else it is an object, and so an empty table is `{}`. What JSON can't hold is refused with
//! its place, never bent.

use mlua::{Lua, Table, Value};
use serde_json::{Map, Number, Value as Json};

/// Tables within tables may go so deep; the core reads no deeper.
const DEPTH_MAX: usize = 100;

/// Where the metatable of arrays is kept.
const ARRAY: &str = "bulk_rerun.array";

/// Marks a table as an array, whatever it holds.
pub(crate) fn mark_array(lua: &Lua, table: &Table) -> mlua::Result<()> {
    table.set_metatable(Some(array_metatable(lua)?))
}

pub(crate) fn array_metatable(lua: &Lua) -> mlua::Result<Table> {
    if let Ok(metatable) = lua.named_registry_value(ARRAY) {
        return Ok(metatable);
    }
    let metatable = lua.create_table()?;
    metatable.raw_set("__name", ARRAY)?;
    lua.set_named_registry_value(ARRAY, &metatable)?;
    Ok(metatable)
}

/// Why a value did not become JSON.
pub(crate) enum Unwritable {
    /// JSON can't hold it.
    Misfit(Misfit),
    /// Lua could not hand it over: it has no memory left.
    Lua(mlua::Error),
}

impl From<mlua::Error> for Unwritable {
    fn from(error: mlua::Error) -> Self {
        Unwritable::Lua(error)
    }
}

/// What of a value JSON can't hold.
pub(crate) struct Misfit {
    /// Where it stands: `body.filter.exit_code_min`.
    pub(crate) location: String,
    pub(crate) message: String,
    /// The value, as Lua prints it.
    pub(crate) value: String,
}

/// A value as JSON; `root` is what its place is called.
pub(crate) fn to_json(lua: &Lua, value: &Value, root: &str) -> Result<Json, Unwritable> {
    let arrays = array_metatable(lua)?;
    Encoder { arrays, place: vec![root.to_owned()], within: Vec::new() }.value(value)
}

struct Encoder {
    /// The metatable that marks arrays.
    arrays: Table,
    /// The way to the value at hand.
    place: Vec<String>,
    /// The tables that the value at hand is in.
    within: Vec<*const std::ffi::c_void>,
}

impl Encoder {
    fn value(&mut self, value: &Value) -> Result<Json, Unwritable> {
        match value {
            Value::Nil => Ok(Json::Null),
            Value::LightUserData(null) if null.0.is_null() => Ok(Json::Null),
            Value::Boolean(flag) => Ok(Json::Bool(*flag)),
            Value::Integer(number) => Ok(Json::from(*number)),
            Value::Number(number) => {
                Number::from_f64(*number).map(Json::Number).ok_or_else(|| self.misfit("JSON has no such number", value))
            }
            Value::String(text) => self.text(text).map(Json::String),
            Value::Table(table) => self.table(table),
            other => Err(self.misfit(&format!("a {} can't be sent as JSON", other.type_name()), value)),
        }
    }

    fn text(&self, text: &mlua::LuaString) -> Result<String, Unwritable> {
        match text.to_str() {
            Ok(valid) => Ok((*valid).to_owned()),
            Err(_) => Err(self.misfit("the text is not UTF-8", &Value::String(text.clone()))),
        }
    }

    fn table(&mut self, table: &Table) -> Result<Json, Unwritable> {
        let this = table.to_pointer();
        let whole = Value::Table(table.clone());
        if self.within.contains(&this) {
            return Err(self.misfit("the table is inside of itself", &whole));
        }
        if self.within.len() == DEPTH_MAX {
            return Err(self.misfit(&format!("tables are more than {DEPTH_MAX} deep"), &whole));
        }
        self.within.push(this);
        let marked = self.is_array(table)?;
        let length = table.raw_len();
        let json = if marked || length > 0 { self.array(table, length) } else { self.object(table) };
        self.within.pop();
        json
    }

    fn array(&mut self, table: &Table, length: usize) -> Result<Json, Unwritable> {
        let mut items = Vec::new();
        for index in 1..=length {
            let item = self.step(format!("[{}]", index - 1), |encoder| match table.raw_get(index)? {
                Value::Nil => Err(encoder.misfit("the list has a hole: put bulk_rerun.null there", &Value::Nil)),
                item => encoder.value(&item),
            })?;
            items.push(item);
        }
        // What is not in 1 to n would be lost.
        for pair in table.pairs::<Value, Value>() {
            let (key, _) = pair?;
            let listed = matches!(key, Value::Integer(index) if (1..=length as i64).contains(&index));
            if !listed {
                let message =
                    "the table has both a list and named fields, or a list with holes; JSON has no such thing";
                return Err(self.misfit(message, &key));
            }
        }
        Ok(Json::Array(items))
    }

    fn object(&mut self, table: &Table) -> Result<Json, Unwritable> {
        let mut fields = Vec::new();
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            let Value::String(name) = &key else {
                return Err(self.misfit("the names of fields must be strings", &key));
            };
            let name = self.text(name)?;
            let json = self.step(format!(".{name}"), |encoder| encoder.value(&value))?;
            fields.push((name, json));
        }
        // Lua has no order of fields; sorted, the same table always makes the same text.
        fields.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Json::Object(Map::from_iter(fields)))
    }

    fn step<T>(&mut self, place: String, work: impl FnOnce(&mut Self) -> T) -> T {
        self.place.push(place);
        let done = work(self);
        self.place.pop();
        done
    }

    /// Whether a table is marked as an array. What another metatable answers in a table's place is not looked for: a
    /// selector without its filter would mean everything.
    fn is_array(&self, table: &Table) -> Result<bool, Unwritable> {
        let Some(metatable) = table.metatable().filter(|metatable| *metatable != self.arrays) else {
            return Ok(table.metatable().is_some());
        };
        for event in ["__index", "__pairs"] {
            if !metatable.raw_get::<Value>(event)?.is_nil() {
                let message = format!(
                    "the table's metatable has {event}, so its fields may be elsewhere: copy them into a plain table"
                );
                return Err(self.misfit(&message, &Value::Table(table.clone())));
            }
        }
        Ok(false)
    }

    fn misfit(&self, message: &str, value: &Value) -> Unwritable {
        let value = match value {
            Value::String(text) => text.to_string_lossy(),
            other => other.to_string().unwrap_or_else(|_| value.type_name().to_owned()),
        };
        Unwritable::Misfit(Misfit { location: self.place.concat(), message: message.to_owned(), value })
    }
}
