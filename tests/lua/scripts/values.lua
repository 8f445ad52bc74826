-- Values cross to JSON and back unharmed, or are refused with their place.
local bulk_rerun = require "bulk_rerun"
local to_json, from_json, null, array = bulk_rerun.to_json, bulk_rerun.from_json, bulk_rerun.null, bulk_rerun.array
local check = dofile(arg[0]:match "^.*/" .. "check.lua")

check.equal(to_json(nil), "null")
check.equal(to_json(null), "null")
check.equal(to_json { a = true, b = false, c = "x", d = 1.5, e = null }, '{"a":true,"b":false,"c":"x","d":1.5,"e":null}')
check.equal(to_json { 1, 2, { 3 } }, "[1,2,[3]]")

-- Empty tables.
check.equal(to_json {}, "{}")
check.equal(to_json(array()), "[]")
check.equal(to_json(array {}), "[]")
check.equal(to_json(array { 1 }), "[1]")
for _, text in ipairs { "[]", "{}", "[[],{}]", '{"a":[],"b":{}}', "[null]", "[1,null,3]", '{"a":{"b":{"c":[{}]}}}' } do
  check.equal(to_json(from_json(text)), text)
end
check.equal(#from_json "[1,null,3]", 3)
check.equal(from_json "[null]"[1], null)
check.equal(from_json "null", null)
local list = from_json "[1,2]"
list[#list + 1], list[1] = 3, 0
check.equal(to_json(list), "[0,2,3]")

-- Integers of 64 bits, where Lua has them; elsewhere all that a float holds.
for _, text in ipairs { "0", "-1", "9007199254740992", "-9007199254740992", "1e300", "0.1", "-1.5" } do
  check.equal(from_json(to_json(from_json(text))), from_json(text))
end
check.equal(from_json "3" + 1, 4)
check.equal(to_json(from_json "137"), "137")
check.equal(to_json(137), "137")
if math.type then
  for _, text in ipairs { "9223372036854775807", "-9223372036854775808", "9007199254740993", "1.0" } do
    check.equal(to_json(from_json(text)), text)
  end
  check.equal(math.type(from_json "7"), "integer")
  check.equal(math.type(from_json "7.0"), "float")
end

-- Text.
for _, text in ipairs { "", "Łódź ☃ 株式会社 \240\159\154\128", "a\0b\0", '"\\/\8\12\n\r\t', "\127", "\1\31" } do
  check.equal(from_json(to_json(text)), text)
  check.equal(from_json(to_json { [text] = text })[text], text)
end
check.equal(to_json "a\0b", '"a\\u0000b"')
check.equal(from_json '"\\u0141\\ud83d\\ude80"', "Ł\240\159\154\128")

-- What JSON can't hold.
local function refused(value, location, words)
  local failure = check.raises(function()
    to_json(value)
  end, 422, words)
  check.equal(failure.errors[1].location, location)
end
refused(0 / 0, "value", "no such number")
refused({ a = { 1, 1 / 0 } }, "value.a[1]", "no such number")
refused({ a = print }, "value.a", "function")
refused({ a = { b = coroutine.create(function() end) } }, "value.a.b", "thread")
refused(io.stdout, "value", "userdata")
refused({ a = "\255" }, "value.a", "not UTF-8")
refused({ ["\255"] = 1 }, "value", "not UTF-8")
refused({ 1, 2, a = 3 }, "value", "both a list and named fields")
check.raises(function() -- which of the two is said depends on what Lua takes for the list's length
  to_json { 1, 2, nil, 4, nil, nil, nil, 8 }
end, 422, "hole")
refused({ [true] = 1 }, "value", "must be strings")
refused({ [1.5] = 1 }, "value", "must be strings")
refused(array { a = 1 }, "value", "both a list and named fields")
local circle = { inner = {} }
circle.inner.outer = circle
refused(circle, "value.inner.outer", "inside of itself")
local deep = {}
for _ = 1, 200 do
  deep = { deep }
end
check.raises(function()
  to_json(deep)
end, 422, "deep")
-- The same table twice is no circle.
local twice = { 1 }
check.equal(to_json { twice, twice }, "[[1],[1]]")

-- Texts that are no JSON.
for _, text in ipairs { "", "{", "[1,]", "{'a':1}", "nul", "1 2", "\255", '"\255"', '{"a":1,"a":2}', "01" } do
  check.raises(function()
    from_json(text)
  end, 400, "not JSON")
end
check.raises(function()
  from_json(1)
end, 400, "takes a text")
check.raises(function()
  array "x"
end, 400, "takes a table")

-- Times.
check.truthy(bulk_rerun.ago("24h"):match "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$")
check.truthy(bulk_rerun.ago "1h" < bulk_rerun.ago "0s")
check.truthy(bulk_rerun.ago "1w 1s" < bulk_rerun.ago "7d")
check.truthy(bulk_rerun.ago "90m" < bulk_rerun.ago "1h 29m 30s")
check.truthy(bulk_rerun.ago "2 days" < bulk_rerun.ago "1day 23hours")
for _, text in ipairs { "", "24", "h", "yesterday", "-1h", "1x", "999999999999w", "\255", "1h\0" } do
  check.raises(function()
    bulk_rerun.ago(text)
  end, 400, "how long ago")
end
check.raises(function()
  bulk_rerun.ago(24)
end, 400, "a duration")

check.truthy(bulk_rerun._VERSION:match "^bulk_rerun %d+%.%d+%.%d+")

-- A float is the one that Lua reads.
for _, text in ipairs { "-4.133472439098259e+150", "0.1", "1.7976931348623157e+308", "5e-324", "123456789012345.67" } do
  check.equal(from_json(text), tonumber(text))
end

-- Lists with holes, however far they reach, are never made longer or shorter.
local sparse = {}
for power = 0, 40 do
  sparse[2 ^ power] = true
end
check.raises(function() to_json(sparse) end, 422, "hole")
check.raises(function() to_json { [1000000] = 1 } end, 422, "must be strings")
check.raises(function() to_json { [0] = "a", "b" } end, 422, "both a list and named fields")

-- What only a metatable knows is not left out in silence: a selector without its filter would mean everything.
local base = { filter = { status = "failed" } }
for event, with in pairs { __index = base, __pairs = function() return pairs(base) end } do
  local table_of_ones_own = setmetatable({ match_all = true }, { [event] = with })
  refused(table_of_ones_own, "value", "metatable has " .. event)
  refused({ a = { table_of_ones_own } }, "value.a[0]", "metatable has " .. event)
end
check.equal(to_json(setmetatable({ a = 1 }, { __tostring = print })), '{"a":1}')
refused(setmetatable({}, { __index = print, __tostring = function() error "no" end }), "value", "metatable has __index")
check.raises(function() bulk_rerun.open(setmetatable({}, { __index = { store = "x" } })) end, 422, "config: the table's metatable")
