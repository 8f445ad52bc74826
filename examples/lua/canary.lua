#!/usr/bin/env lua
-- Re-runs one of the tasks that failed in the last day, waits for it to end, and re-runs the others only if it succeeded.
--
--     bulk-rerun lua canary.lua STORE [WAIT]

local bulk_rerun = require "bulk_rerun"

local store, patience = arg[1], arg[2] or "10m"
if not store then
  io.stderr:write("usage: canary.lua STORE [WAIT]\n")
  os.exit(2)
end

local host = bulk_rerun.open { store = store }
-- The times are fixed here, so that every step below means the same runs.
local failed = {
  match_all = true,
  filter = { status = "failed", created_after = bulk_rerun.ago "24h", created_before = bulk_rerun.ago "0s" },
  options = { take = 1 },
}

local first = host:rerun(failed)
local canary = first.triggered[1]
if not canary then
  print("nothing was started")
  os.exit(0)
end
print("canary", canary.task_name, canary.run_id)

local outcome = host:wait(first, { timeout = patience })
if not outcome.succeeded then
  local run = outcome.runs[1]
  local ended = run.phase == "ended" and "ended: " .. (run.end_reason or "without a word") or "has not ended"
  print("the canary " .. ended .. "; the others are left alone")
  os.exit(1)
end

failed.options = nil
local report = host:rerun(failed, function(run)
  return run.task_name ~= canary.task_name
end)
for _, new in ipairs(report.triggered) do
  print("started", new.task_name, new.run_id)
end
host:close()
