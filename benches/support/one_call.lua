-- Calls a store again and again with a selector that means nothing; prints the seconds that a call took.
--
--     one_call.lua STORE CALLS
local bulk_rerun = require "bulk_rerun"
local host = bulk_rerun.open { store = arg[1] }
local nothing = { match_all = true, filter = { task_name = "no such task" } }
local calls = tonumber(arg[2])

local started = os.clock()
for _ = 1, calls do
  host:rerun(nothing)
end
print((os.clock() - started) / calls)
