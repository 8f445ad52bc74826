-- Waiting, on a host whose runs are in a table; at each look something has happened to them.
local bulk_rerun = require "bulk_rerun"
local check = dofile(arg[0]:match "^.*/" .. "check.lua")

-- A runner with a failed run of each of these tasks.
local function runner(tasks)
  local self = { runs = {}, asked = {} }
  for _, task_name in ipairs(tasks) do
    self.runs[#self.runs + 1] = { id = "1", task_name = task_name, phase = "ended", end_reason = "failed", exit_code = 1 }
  end
  local host = bulk_rerun.attach {
    runs = function(selector, emit)
      self.asked[#self.asked + 1] = selector.ids
      if self.busy then
        self.busy()
      end
      for _, run in ipairs(self.runs) do
        emit(run)
      end
    end,
    spawn = function(run)
      local new = { id = tostring(#self.runs + 1), task_name = run.task_name, phase = "pending" }
      self.runs[#self.runs + 1] = new
      return new.id
    end,
  }
  local report = host:rerun { match_all = true }
  self.asked = {}
  return host, report, self
end

-- What happens at each look, one step after the other; and what was seen at each of them.
local function watching(steps)
  local seen = {}
  return seen, function(states)
    seen[#seen + 1] = states
    local step = table.remove(steps, 1)
    if step then
      step()
    end
  end
end

local host, report, self = runner { "backup", "import", "mail" }
local backup, import, mail = self.runs[4], self.runs[5], self.runs[6]
local seen, each = watching {
  function() backup.phase = "running" end,
  function() backup.phase, backup.end_reason, backup.exit_code = "ended", "success", 0 end,
  function() import.phase, import.end_reason, import.exit_code = "ended", "timeout", 137 end,
  function() table.remove(self.runs) end,
}
local outcome = host:wait(report, { interval = "10ms", each = each })
check.equal(#seen, 5)
check.equal(seen[1].pending, 3)
check.equal(seen[2].running, 1)
check.equal(seen[2].pending, 2)
check.equal(seen[4].success, 1)
check.equal(seen[4].timeout, 1)
check.equal(seen[4].pending, 1)
check.equal(seen[5].gone, 1)
check.equal(outcome.states.gone, 1)
check.equal(outcome.succeeded, false)
check.equal(outcome.timed_out, false)
check.equal(#outcome.runs, 3)
local first = outcome.runs[1]
check.equal(first.task_name, "backup")
check.equal(first.rerun_of, "1")
check.equal(first.run_id, "4")
check.equal(first.phase, "ended")
check.equal(first.end_reason, "success")
check.equal(first.exit_code, 0)
check.equal(outcome.runs[2].exit_code, 137)
check.equal(outcome.runs[3].phase, "gone")
check.equal(outcome.runs[3].end_reason, nil)
-- Who has ended is not asked for again.
local asked = {}
for look, ids in ipairs(self.asked) do
  asked[look] = table.concat(ids, ",")
end
check.equal(table.concat(asked, " "), "4,5,6 4,5,6 4,5,6 5,6 6")

-- All have succeeded, or are gone, which is no fault.
host, report, self = runner { "backup", "import" }
self.runs[3].phase, self.runs[3].end_reason = "ended", "succeeded"
table.remove(self.runs)
outcome = host:wait(report)
check.equal(outcome.succeeded, true)
check.equal(outcome.states.succeeded, 1)
check.equal(outcome.states.gone, 1)
check.equal(#self.asked, 1)
-- An end without a word is none to trust.
self.runs[3].end_reason = nil
check.equal(host:wait(report).succeeded, false)
check.equal(host:wait(report).states.ended, 1)

-- A run is its task and its id: another task's run with that id has ended, and says nothing.
host, report, self = runner { "backup" }
self.runs[3] = { id = "2", task_name = "import", phase = "ended", end_reason = "success" }
outcome = host:wait(report, { timeout = "0s" })
check.equal(outcome.timed_out, true)
check.equal(outcome.states.pending, 1)
check.equal(outcome.succeeded, false)
-- And one that has no phase is waited for, as everywhere.
self.runs[2].phase = nil
check.equal(host:wait(report, { timeout = "0s" }).states.pending, 1)

-- The time is up in the midst of a pause, and the report can be waited for again.
local looks = 0
outcome = host:wait(report, { timeout = "300ms", interval = "1h", each = function() looks = looks + 1 end })
check.equal(outcome.timed_out, true)
check.truthy(looks <= 2) -- the pause is cut short
self.runs[2].phase, self.runs[2].end_reason = "ended", "success"
check.equal(host:wait(report, { timeout = "0s" }).timed_out, false)
check.equal(host:wait(outcome).succeeded, true)

-- Nothing was started: there is nothing to wait for.
outcome = host:wait(host:plan { match_all = true })
check.equal(outcome.succeeded, true)
check.equal(bulk_rerun.to_json(outcome), '{"runs":[],"states":{},"succeeded":true,"timed_out":false}')

-- In camelCase.
local camel = host:rerun { matchAll = true }
for _, run in ipairs(self.runs) do
  run.phase, run.end_reason = "ended", "success"
end
outcome = host:wait(camel)
check.equal(outcome.succeeded, true)
check.equal(outcome.runs[1].run_id, camel.triggered[1].runId)
check.equal(outcome.runs[1].rerun_of, camel.triggered[1].rerunOf)

-- A host that is busy for a moment is asked again; what else goes wrong ends the waiting.
host, report, self = runner { "backup" }
self.runs[2].phase, self.runs[2].end_reason = "ended", "success"
local tries, busy = 0, setmetatable({ status = 503, detail = "busy" }, { __tostring = function() return "busy" end })
self.busy = function()
  tries = tries + 1
  if tries < 3 then
    error(busy, 0)
  end
end
check.equal(host:wait(report).succeeded, true)
check.equal(tries, 3)
tries, self.busy = 0, function()
  tries = tries + 1
  error(busy, 0)
end
local done, cause = pcall(host.wait, host, report)
check.equal(done, false)
check.equal(cause, busy)
check.equal(tries, 5)
tries, self.busy = 0, function()
  tries = tries + 1
  error("the runner is down", 0)
end
done, cause = pcall(host.wait, host, report)
check.equal(cause, "the runner is down")
check.equal(tries, 1)
self.busy = nil
-- So does what `each` raises, and closing the host there.
self.runs[2].phase, self.runs[2].end_reason = "pending", nil
done, cause = pcall(host.wait, host, report, { each = function() error("enough", 0) end })
check.equal(cause, "enough")
check.raises(function() host:wait(report, { interval = "1ms", each = function() host:close() end }) end, 409, "closed")

-- Nonsense.
host, report = runner { "backup" }
for _, name in ipairs { "timeout", "interval" } do
  for _, duration in ipairs { "", "30", "x", "-1s", "\255", 30, true } do
    check.raises(function() host:wait(report, { [name] = duration }) end, 400, name .. " is a duration such as")
  end
end
local failure = check.raises(function() host:wait(report, { timout = "1s" }) end, 400, "no option timout")
check.truthy(failure.where:match "wait%.lua:%d+$")
check.raises(function() host:wait(report, { each = 1 }) end, 400, "each must be a function")
check.raises(function() host:wait(report, "30m") end, 400, "takes a table")
check.raises(function() host:wait { triggered = { { run_id = "1" } } } end, 400, "the run 1 has no task_name and run_id")
check.raises(function() host:wait {} end, 400, "no operation_id")
check.raises(function() host.wait(report) end, 400, "with a colon")
