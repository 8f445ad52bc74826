-- What was taken back is told as that, whatever the runner's layout has for it.
local bulk_rerun = require "bulk_rerun"
local check = dofile(arg[0]:match "^.*/" .. "check.lua")

local host = bulk_rerun.open { store = arg[1], ledger = true }
local report = host:rerun { match_all = true }
check.equal(#host:undo(report).undone, #report.triggered)
for _, subject in ipairs { report, report.operation_id } do
  local outcome = host:wait(subject, { timeout = "0s" })
  check.equal(outcome.succeeded, false)
  check.equal(outcome.timed_out, false)
  check.equal(outcome.states.undone, #report.triggered)
  for _, run in ipairs(outcome.runs) do
    check.equal(run.phase, "undone")
    check.equal(run.end_reason, nil)
  end
end
host:close()
