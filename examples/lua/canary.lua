#!/usr/bin/env lua
-- Re-runs one of the tasks that failed in the last day, waits for it to end, and re-runs the others only if it succeeded.
--
--     bulk-rerun lua canary.lua STORE [SECONDS TO WAIT]

local bulk_rerun = require "bulk_rerun"

local store, patience = arg[1], tonumber(arg[2] or "600")
if not store or not patience then
  io.stderr:write("usage: canary.lua STORE [SECONDS TO WAIT]\n")
  os.exit(2)
end

local host = bulk_rerun.open { store = store }
-- The times are fixed here, so that every step below means the same runs.
local failed = {
  match_all = true,
  filter = { status = "failed", created_after = bulk_rerun.ago "24h", created_before = bulk_rerun.ago "0s" },
}

local canary = host:plan(failed).planned[1]
if not canary then
  print("nothing has failed")
  os.exit(0)
end
local id = assert(host:spawn { id = canary.rerun_of, task_name = canary.task_name })
print("canary", canary.task_name, id)

local function end_reason(run_id)
  for run in host:runs { ids = { run_id } } do
    if run.task_name == canary.task_name and run.phase == "ended" then
      return run.end_reason or "without a word"
    end
  end
end

local deadline, ended = os.time() + patience, nil
repeat
  os.execute("sleep 1")
  ended = end_reason(id)
until ended or os.time() > deadline

if ended ~= "success" and ended ~= "succeeded" then
  print("the canary " .. (ended and "ended: " .. ended or "has not ended") .. "; the others are left alone")
  os.exit(1)
end

local report = host:rerun(failed, function(run)
  return run.task_name ~= canary.task_name
end)
for _, new in ipairs(report.triggered) do
  print("started", new.task_name, new.run_id)
end
host:close()
