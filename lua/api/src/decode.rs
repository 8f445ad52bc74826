//! JSON to Lua values.
//!
//! Objects and arrays become tables; arrays are marked (see `encode.rs`), so that an empty one stays
//! one. `null` becomes `bulk_rerun.null`.
//!
//! The text is read first, and then Lua is asked once for all of it: each time that Lua may say that it has no memory left
//! costs more than a value does.

use std::borrow::Cow;
use std::fmt;
use std::ptr;
use std::slice;

use mlua::ffi::{self, lua_State};
use mlua::{Lua, Value};
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
    let parts = read(json).map_err(Unreadable::Text)?;
    let arrays = encode::array_metatable(lua).map_err(Unreadable::Lua)?;
    let mut twice = None;
    let made = |state| {
        // SAFETY: the stack has the metatable alone, and Lua catches its own errors around this; nothing here is to be
        // dropped when it does.
        unsafe {
            twice = push(state, &mut parts.iter(), 1).err();
            ffi::lua_replace(state, 1);
            ffi::lua_settop(state, 1);
        }
    };
    // SAFETY: as above.
    let value = unsafe { lua.exec_raw(&arrays, made) }.map_err(Unreadable::Lua)?;
    match twice {
        None => Ok(value),
        Some(name) => Err(Unreadable::Text(Error::custom(format!("the field `{name}` is given twice")))),
    }
}

/// A part of a value.
pub(crate) enum Part<'j> {
    Null,
    Flag(bool),
    Integer(i64),
    Number(f64),
    Text(Cow<'j, str>),
    /// What an array or an object begins with; its items follow, or its names, each with its value.
    Array,
    Object,
    Name(Cow<'j, str>),
    End,
}

/// The parts that a JSON text consists of.
pub(crate) fn read(json: &str) -> Result<Vec<Part<'_>>, serde_json::Error> {
    let mut parts = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(json);
    Reader { parts: &mut parts, is_name: false }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(parts)
}

/// Pushes the next value on the stack, where the metatable of arrays is at `arrays`; or what stands there for a part of it,
/// and the name that stands twice.
///
/// # Safety
///
/// The parts are those of whole values, and Lua's errors are caught.
pub(crate) unsafe fn push<'p>(
    state: *mut lua_State,
    parts: &mut slice::Iter<'p, Part<'_>>,
    arrays: i32,
) -> Result<(), &'p str> {
    // SAFETY: there is room for what is pushed here, and every index is one of a value that was pushed before.
    unsafe {
        ffi::luaL_checkstack(state, 8, ptr::null());
        match parts.next() {
            None | Some(Part::Null | Part::Name(_) | Part::End) => ffi::lua_pushlightuserdata(state, ptr::null_mut()),
            Some(Part::Flag(flag)) => ffi::lua_pushboolean(state, (*flag).into()),
            Some(Part::Integer(number)) => push_integer(state, *number),
            Some(Part::Number(number)) => ffi::lua_pushnumber(state, *number),
            Some(Part::Text(text)) => push_text(state, text.as_bytes()),
            Some(Part::Array) => {
                ffi::lua_createtable(state, 0, 0);
                ffi::lua_pushvalue(state, arrays);
                ffi::lua_setmetatable(state, -2);
                let mut length = 0;
                while !matches!(parts.as_slice().first(), None | Some(Part::End)) {
                    push(state, parts, arrays)?;
                    length += 1;
                    ffi::lua_rawseti(state, -2, length);
                }
                parts.next();
            }
            Some(Part::Object) => {
                ffi::lua_createtable(state, 0, 4);
                while let Some(Part::Name(name)) = parts.next() {
                    push_text(state, name.as_bytes());
                    ffi::lua_pushvalue(state, -1);
                    ffi::lua_rawget(state, -3);
                    if ffi::lua_isnil(state, -1) == 0 {
                        return Err(name);
                    }
                    ffi::lua_pop(state, 1);
                    push(state, parts, arrays)?;
                    ffi::lua_rawset(state, -3);
                }
            }
        }
    }
    Ok(())
}

/// # Safety
///
/// There is room on the stack, and Lua's errors are caught.
pub(crate) unsafe fn push_text(state: *mut lua_State, text: &[u8]) {
    // SAFETY: as the caller says; Lua copies the text.
    unsafe { ffi::lua_pushlstring(state, text.as_ptr().cast(), text.len()) };
}

/// # Safety
///
/// There is room on the stack.
#[allow(clippy::useless_conversion, reason = "it is none where Lua's integers are shorter")]
pub(crate) unsafe fn push_integer(state: *mut lua_State, number: i64) {
    // SAFETY: as the caller says. Where Lua's own integers are shorter, it has none, and takes it for a number with a
    // fraction.
    unsafe {
        match ffi::lua_Integer::try_from(number) {
            Ok(integer) => ffi::lua_pushinteger(state, integer),
            Err(_) => ffi::lua_pushnumber(state, number as f64),
        }
    }
}

/// Reads any value, or a field's name.
struct Reader<'p, 'j> {
    parts: &'p mut Vec<Part<'j>>,
    is_name: bool,
}

impl<'j> DeserializeSeed<'j> for Reader<'_, 'j> {
    type Value = ();

    fn deserialize<D: Deserializer<'j>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.is_name {
            true => deserializer.deserialize_str(self),
            false => deserializer.deserialize_any(self),
        }
    }
}

impl<'j> Reader<'_, 'j> {
    fn text(self, text: Cow<'j, str>) {
        self.parts.push(if self.is_name { Part::Name(text) } else { Part::Text(text) });
    }
}

impl<'j> Visitor<'j> for Reader<'_, 'j> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.parts.push(Part::Null);
        Ok(())
    }

    fn visit_bool<E>(self, flag: bool) -> Result<(), E> {
        self.parts.push(Part::Flag(flag));
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.parts.push(Part::Integer(number));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.parts.push(i64::try_from(number).map_or(Part::Number(number as f64), Part::Integer));
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.parts.push(Part::Number(number));
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'j str) -> Result<(), E> {
        self.text(Cow::Borrowed(text));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.text(Cow::Owned(text.to_owned()));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'j>>(self, mut items: A) -> Result<(), A::Error> {
        self.parts.push(Part::Array);
        while items.next_element_seed(Reader { parts: &mut *self.parts, is_name: false })?.is_some() {}
        self.parts.push(Part::End);
        Ok(())
    }

    fn visit_map<A: MapAccess<'j>>(self, mut fields: A) -> Result<(), A::Error> {
        self.parts.push(Part::Object);
        while fields.next_key_seed(Reader { parts: &mut *self.parts, is_name: true })?.is_some() {
            fields.next_value_seed(Reader { parts: &mut *self.parts, is_name: false })?;
        }
        self.parts.push(Part::End);
        Ok(())
    }
}
