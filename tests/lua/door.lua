-- The conformance suite's way through Lua: a request on standard input, its answer or its error on standard output.
local bulk_rerun = require "bulk_rerun"
local store, profile = arg[1], arg[2]
local request = io.read("*a")

local done, answer = pcall(function()
  local host = bulk_rerun.open { store = store, profile = profile }
  -- As a table, wherever a table can say it.
  local readable, selector = pcall(bulk_rerun.from_json, request)
  if not readable or type(selector) ~= "table" then
    selector = request
  end
  return host:rerun(selector)
end)
if not done and type(answer) ~= "table" then
  error(answer, 0)
end
io.write(bulk_rerun.to_json(answer))
