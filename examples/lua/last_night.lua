#!/usr/bin/env lua
-- Re-runs what failed since last night, except the tasks that were killed for their memory (exit code 137) when they failed
-- last: they would only be killed again. Told how long, it waits for the new runs, and says which of them failed again.
--
--     bulk-rerun lua last_night.lua STORE [HOURS [WAIT]]
--     bulk-rerun lua last_night.lua runwisp.db 12 30m

local bulk_rerun = require "bulk_rerun"

local store, hours, patience = arg[1], arg[2] or "12", arg[3]
if not store then
  io.stderr:write("usage: last_night.lua STORE [HOURS [WAIT]]\n")
  os.exit(2)
end

local OUT_OF_MEMORY = 137

local host = bulk_rerun.open { store = store }
-- The times are fixed here, so that both steps below mean the same runs.
local failed = {
  match_all = true,
  filter = {
    status = "failed,timeout,crashed",
    created_after = bulk_rerun.ago(hours .. "h"),
    created_before = bulk_rerun.ago "0s",
  },
  options = { skip_active = true, skip_superseded = true },
}

-- A plan says which run each task would be started from: its newest. To drop the killed runs alone would not do, for then a
-- task would be started from an older failure.
local source, ids = {}, bulk_rerun.array()
for _, group in ipairs(host:plan(failed).planned) do
  source[group.task_name] = group.rerun_of
  ids[#ids + 1] = group.rerun_of
end
local killed, left_alone = {}, 0
if #ids > 0 then
  for run in host:runs { ids = ids } do
    if run.id == source[run.task_name] and run.exit_code == OUT_OF_MEMORY then
      killed[run.task_name] = true
      left_alone = left_alone + 1
    end
  end
end

local report = host:rerun(failed, function(run)
  return not killed[run.task_name]
end)

for _, new in ipairs(report.triggered) do
  print("started", new.task_name, new.run_id)
end
for _, skipped in ipairs(report.skipped or {}) do
  print("skipped", skipped.task_name, skipped.reason)
end
print(#report.triggered .. " started, " .. left_alone .. " left alone: out of memory")

if patience then
  local outcome = host:wait(report, { timeout = patience })
  for _, run in ipairs(outcome.runs) do
    if run.end_reason ~= "success" and run.end_reason ~= "succeeded" and run.phase ~= "gone" then
      print(run.phase == "ended" and "failed again" or "not ended", run.task_name, run.run_id, run.end_reason or run.phase)
    end
  end
  if not outcome.succeeded then
    os.exit(1)
  end
  print("all have succeeded")
end
host:close()
