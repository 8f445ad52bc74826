//! Values between Lua and the core: a value becomes the JSON that it is, or an error that names its place; and JSON
//! becomes a value that is that JSON again.

use std::ffi::{CStr, c_void};
use std::sync::LazyLock;

use arbitrary::{Arbitrary, Result, Unstructured};
use bulk_rerun::capi;
use bulk_rerun_lua_api::{Core, module};
use mlua::{Function, Lua, Table, Value};
use serde_json::{Map, Number, Value as Json};

/// A value of a script's.
#[derive(Debug)]
enum Node {
    Nil,
    Null,
    Flag(bool),
    Integer(i64),
    Float(f64),
    Text(Vec<u8>),
    /// A table, its list, its fields, and whether it is marked as a list.
    Table(Vec<Node>, Vec<(Vec<u8>, Node)>, bool),
    Function,
    /// The table that it is in.
    Circle,
}

#[derive(Debug)]
enum Input {
    Value(Node),
    Json(Vec<u8>),
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        match bytes.arbitrary()? {
            true => Ok(Input::Value(Node::of(bytes, 0)?)),
            false => Ok(Input::Json(bytes.bytes(bytes.len())?.to_vec())),
        }
    }
}

impl Node {
    fn of(bytes: &mut Unstructured<'_>, depth: usize) -> Result<Node> {
        Ok(match bytes.int_in_range(0..=12)? {
            0 => Node::Nil,
            1 => Node::Null,
            2 => Node::Flag(bytes.arbitrary()?),
            3 => Node::Integer(bytes.arbitrary()?),
            4 => Node::Float(bytes.arbitrary()?),
            5 => Node::Float(f64::from(bytes.arbitrary::<i32>()?)),
            6 => Node::Text(bytes.arbitrary()?),
            7 => Node::Text(bytes.arbitrary::<String>()?.into_bytes()),
            8 if depth > 0 => Node::Circle,
            9 => Node::Function,
            // As deep as it may be, and a little deeper.
            _ if depth > 103 => Node::Flag(true),
            _ => {
                let mut list = Vec::new();
                for _ in 0..bytes.int_in_range(0..=3)? {
                    list.push(Node::of(bytes, depth + 1)?);
                }
                let mut fields = Vec::new();
                if list.is_empty() || bytes.ratio(1, 8)? {
                    for _ in 0..bytes.int_in_range(0..=3)? {
                        fields.push((bytes.arbitrary()?, Node::of(bytes, depth + 1)?));
                    }
                }
                Node::Table(list, fields, bytes.arbitrary()?)
            }
        })
    }

    fn to_lua(&self, lua: &Lua, array: &Function, outer: Option<&Table>) -> mlua::Result<Value> {
        Ok(match self {
            Node::Nil => Value::Nil,
            Node::Null => Value::NULL,
            Node::Flag(flag) => Value::Boolean(*flag),
            Node::Integer(number) => Value::Integer(*number),
            Node::Float(number) => Value::Number(*number),
            Node::Text(text) => Value::String(lua.create_string(text)?),
            // Not a copy of ours: the leak checker does not see that mlua holds on to what copies share.
            Node::Function => lua.globals().get("next")?,
            Node::Circle => outer.map_or(Value::Nil, |outer| Value::Table(outer.clone())),
            Node::Table(list, fields, marked) => {
                let table = lua.create_table()?;
                for (index, item) in list.iter().enumerate() {
                    table.raw_set(index + 1, item.to_lua(lua, array, Some(&table))?)?;
                }
                for (name, value) in fields {
                    table.raw_set(lua.create_string(name)?, value.to_lua(lua, array, Some(&table))?)?;
                }
                if *marked { array.call(table)? } else { Value::Table(table) }
            }
        })
    }

    /// What it is in JSON, read naively; `None` if it is nothing in JSON, or if that is left open (holes).
    fn to_json(&self, depth: usize) -> Option<Json> {
        Some(match self {
            Node::Nil | Node::Null => Json::Null,
            Node::Flag(flag) => Json::Bool(*flag),
            Node::Integer(number) => Json::from(*number),
            Node::Float(number) => Json::Number(Number::from_f64(*number)?),
            Node::Text(text) => Json::String(String::from_utf8(text.clone()).ok()?),
            Node::Function | Node::Circle => return None,
            Node::Table(list, fields, marked) => {
                let there: Vec<&(Vec<u8>, Node)> =
                    fields.iter().filter(|(_, value)| !matches!(value, Node::Nil)).collect();
                if depth == 100 || list.iter().any(|item| matches!(item, Node::Nil)) {
                    return None;
                }
                if *marked || !list.is_empty() {
                    let items: Option<Vec<Json>> = list.iter().map(|item| item.to_json(depth + 1)).collect();
                    return items.filter(|_| fields.is_empty()).map(Json::Array);
                }
                let mut object = Map::new();
                for (name, value) in there {
                    object.insert(String::from_utf8(name.clone()).ok()?, value.to_json(depth + 1)?);
                }
                // The last of two that have one name.
                let names: Vec<&Vec<u8>> = fields.iter().map(|(name, _)| name).collect();
                let once = names.iter().enumerate().all(|(place, name)| !names[..place].contains(name));
                return once.then(|| Json::Object(sorted(object)));
            }
        })
    }

    /// Whether the model leaves open what comes of it.
    fn is_open(&self) -> bool {
        let Node::Table(list, fields, _) = self else { return false };
        let names: Vec<&Vec<u8>> = fields.iter().map(|(name, _)| name).collect();
        list.iter().any(|item| matches!(item, Node::Nil))
            || names.iter().enumerate().any(|(place, name)| names[..place].contains(name))
            || fields.iter().any(|(_, value)| matches!(value, Node::Nil))
            || list.iter().chain(fields.iter().map(|(_, value)| value)).any(Node::is_open)
    }
}

fn sorted(object: Map<String, Json>) -> Map<String, Json> {
    let mut fields: Vec<(String, Json)> = object.into_iter().collect();
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields.into_iter().collect()
}

/// Answers what a function raises as its second result.
const CAUGHT: &str = "function(f)
    return function(...)
        local done, result = pcall(f, ...)
        if done then return result end
        return nil, result
    end
end";

struct Api {
    lua: Lua,
    to_json: Function,
    from_json: Function,
    array: Function,
}

static CORE: LazyLock<Core> = LazyLock::new(|| {
    let function = |name: &CStr| capi::function(name).map(|function| function.cast::<c_void>());
    // SAFETY: each name is the function that the header declares under it, and code of this program never goes.
    unsafe { Core::find(function) }.unwrap()
});

impl Api {
    fn new() -> Api {
        let lua = Lua::new();
        let module: Table = module(&lua, &CORE).unwrap();
        let caught: Function = lua.load(CAUGHT).eval().unwrap();
        let of = |name: &str| caught.call::<Function>(module.get::<Function>(name).unwrap()).unwrap();
        Api { to_json: of("to_json"), from_json: of("from_json"), array: of("array"), lua }
    }

    fn check_value(&self, node: &Node) {
        let value = node.to_lua(&self.lua, &self.array, None).unwrap();
        let (text, error): (Option<String>, Option<Table>) = self.to_json.call(value).unwrap();
        match (node.to_json(0), text, error) {
            (Some(json), Some(text), None) => {
                assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), json);
                self.check_round(&text);
            }
            (None, None, Some(error)) => check_refused(&error, 422),
            (None, ..) if node.is_open() => {}
            (expected, text, _) => panic!("{node:?}: {text:?} should be {expected:?}"),
        }
    }

    fn check_round(&self, text: &str) {
        let (value, _): (Value, Value) = self.from_json.call(text).unwrap();
        let (again, _): (String, Value) = self.to_json.call(value).unwrap();
        let (first, second): (Json, Json) =
            (serde_json::from_str(text).unwrap(), serde_json::from_str(&again).unwrap());
        assert_eq!(numbers_as_lua_has_them(first), second, "{text}");
    }

    fn check_text(&self, text: &[u8]) {
        let (_, error): (Value, Option<Table>) = self.from_json.call(self.lua.create_string(text).unwrap()).unwrap();
        match error {
            Some(error) => check_refused(&error, 400),
            None => self.check_round(std::str::from_utf8(text).unwrap()),
        }
    }
}

/// What was raised says where the fault is.
fn check_refused(error: &Table, expected: u16) {
    let (status, detail): (u16, String) = (error.get("status").unwrap(), error.get("detail").unwrap());
    assert_eq!(status, expected, "{detail}");
    if status == 422 {
        let [violation]: [Table; 1] = error.get("errors").unwrap();
        assert!(violation.get::<String>("location").unwrap().starts_with("value"), "{detail}");
    }
}

/// Integers beyond 64 bits are floats in Lua.
fn numbers_as_lua_has_them(json: Json) -> Json {
    match json {
        Json::Number(number) if number.is_u64() && !number.is_i64() => Json::from(number.as_f64().unwrap()),
        Json::Array(items) => items.into_iter().map(numbers_as_lua_has_them).collect(),
        Json::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, numbers_as_lua_has_them(value))).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

thread_local! {
    static API: Api = Api::new();
}

pub fn run(input: &[u8]) {
    let Ok(input) = Input::arbitrary(&mut Unstructured::new(input)) else { return };
    API.with(|api| match &input {
        Input::Value(node) => api.check_value(node),
        Input::Json(text) => api.check_text(text),
    });
}
