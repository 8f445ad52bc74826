#!/usr/bin/env lua
-- Re-runs the failed runs that had a parameter of a certain value: one new run for each distinct set of parameters.
--
--     bulk-rerun lua by_parameter.lua STORE tenant "Müller & Söhne"

local bulk_rerun = require "bulk_rerun"

local store, name, value = arg[1], arg[2], arg[3]
if not value then
  io.stderr:write("usage: by_parameter.lua STORE NAME VALUE\n")
  os.exit(2)
end

local host = bulk_rerun.open { store = store }
local report = host:rerun({
  match_all = true,
  filter = { is_failure = true },
  options = { unique_by = "params" },
}, function(run)
  -- Where a run's parameters are no JSON object, they are a text.
  local found = type(run.params) == "table" and run.params[name]
  return found ~= nil and tostring(found) == value
end)
host:close()

for _, new in ipairs(report.triggered) do
  print("started", new.task_name, new.run_id)
end
for _, skipped in ipairs(report.skipped or {}) do
  print("skipped", skipped.task_name, skipped.reason)
end
print(#report.triggered .. " started")
