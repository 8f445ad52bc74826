#!/usr/bin/env lua
-- Re-runs what failed since last night, except what was killed for its memory (exit code 137): that would only be
-- killed again.
--
--     bulk-rerun lua last_night.lua STORE [HOURS]

local bulk_rerun = require "bulk_rerun"

local store, hours = arg[1], arg[2] or "12"
if not store then
  io.stderr:write("usage: last_night.lua STORE [HOURS]\n")
  os.exit(2)
end

local OUT_OF_MEMORY = 137
local killed = 0

local host = bulk_rerun.open { store = store }
local report = host:rerun({
  match_all = true,
  filter = { status = "failed,timeout,crashed", created_after = bulk_rerun.ago(hours .. "h") },
  options = { skip_active = true, skip_superseded = true },
}, function(run)
  if run.exit_code == OUT_OF_MEMORY then
    killed = killed + 1
    return false
  end
  return true
end)
host:close()

for _, new in ipairs(report.triggered) do
  print("started", new.task_name, new.run_id)
end
for _, skipped in ipairs(report.skipped or {}) do
  print("skipped", skipped.task_name, skipped.reason)
end
print(#report.triggered .. " started, " .. killed .. " runs left alone: out of memory")
