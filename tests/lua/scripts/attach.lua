-- A host that is written in Lua: the core decides, the script's functions hand runs over and start them.
local bulk_rerun = require "bulk_rerun"
local check = dofile(arg[0]:match "^.*/" .. "check.lua")

-- A runner whose runs are in a table.
local function runner(change)
  local self = { log = {}, started = {}, runs = {
    { id = "1", task_name = "backup", phase = "ended", end_reason = "failed", exit_code = 1, created_at = "2026-04-15T01:00:00Z" },
    { id = "2", task_name = "backup", phase = "ended", end_reason = "failed", exit_code = 2, created_at = "2026-04-15T02:00:00+00:00",
      params_text = '{ "day":  "Mon", "n": 1.50, "x": [] }' },
    { id = "3", task_name = "mail", phase = "ended", end_reason = "succeeded", created_at = "2026-04-15T02:00:00Z" },
    { id = "4", task_name = "import", phase = "ended", end_reason = "failed", params = { b = 1, a = { "x" } } },
    { id = "5", task_name = "sync", phase = "ended", end_reason = "failed", params = "--all" },
  } }
  local host = {
    runs = function(selector, emit)
      self.selector = selector
      for _, run in ipairs(self.runs) do
        emit(run)
      end
    end,
    spawn = function(run)
      self.started[#self.started + 1] = run
      return "new-" .. run.id
    end,
  }
  for name, f in pairs(change or {}) do
    host[name] = f
  end
  self.host = host
  return bulk_rerun.attach(host), self
end
local failed = { match_all = true, filter = { status = "failed" } }

-- The script may hand over more than is asked for: the core checks every run.
local host, self = runner()
local report = host:rerun(failed)
check.equal(#report.triggered, 3)
check.equal(report.triggered[1].task_name, "backup")
check.equal(report.triggered[1].rerun_of, "2")
check.equal(report.triggered[1].run_id, "new-2")

-- Parameters come back byte for byte: the text that was handed over, or the one that a table was made into.
local started = {}
for _, run in ipairs(self.started) do
  started[run.id] = run
end
check.equal(started["2"].params_text, '{ "day":  "Mon", "n": 1.50, "x": [] }')
check.equal(started["2"].params.day, "Mon")
check.equal(started["4"].params_text, '{"a":["x"],"b":1}')
check.equal(started["5"].params_text, "--all")
check.equal(started["5"].params, "--all")
check.equal(started["2"].exit_code, 2)
check.equal(started["2"].created_at, "2026-04-15T02:00:00Z")

-- When a new run is due is told to a script that heeds it; to any other such a request can't be sent.
local later = { ids = { "1" }, options = { start_at = "2026-04-15T14:00:00+02:00" } }
check.raises(function() host:rerun(later) end, 422, "no due time")
local heeding, its = runner { heeds_due = true }
heeding:rerun(later)
check.equal(its.started[1].due, "2026-04-15T12:00:00.000000Z")
heeding:rerun { ids = { "1" } }
check.equal(its.started[2].due, nil)

-- The selector tells the script what is asked for.
for _ in host:runs(failed) do end
check.equal(self.selector.match_all, true)
check.equal(self.selector.filter.status, "failed")
check.equal(check.count(host), 5)
check.equal(check.count(host, { ids = { "3", "9" } }), 1)
check.equal(host:plan(failed, function(run) return run.id ~= "2" end).planned[1].rerun_of, "1")
check.equal(host:spawn "3", "new-3")

-- The script declines.
host = runner { spawn = function(run)
  if run.id == "4" then
    return nil, "imports are closed"
  end
  return "new-" .. run.id
end }
report = host:rerun(failed)
check.equal(#report.triggered, 2)
check.equal(report.skipped[1].reason, "refused")
check.truthy(report.skipped[1].detail:find("imports are closed", 1, true))
local none, reason, detail = host:spawn "4"
check.equal(none, nil)
check.equal(reason, "refused")
check.truthy(detail:find("imports are closed", 1, true))

-- What a function raises reaches the caller as it was raised, and nothing is started after it.
local cause = setmetatable({}, { __tostring = function() return "the runner is down" end })
for _, change in ipairs {
  { runs = function() error(cause, 0) end },
  { runs = function(_, emit) emit { id = "1", task_name = "t" } error(cause, 0) end },
  { spawn = function() error(cause, 0) end },
} do
  host, self = runner(change)
  local done, failure = pcall(host.rerun, host, failed)
  check.equal(done, false)
  check.equal(failure, cause)
  check.equal(#self.started, 0)
  done, failure = pcall(host.runs, host, failed)
  check.equal(done, change.spawn ~= nil)
  check.truthy(done or failure == cause)
end

-- Half way, without transactions: the error tells what has been started, and has the cause beside it.
local count = 0
host = runner { spawn = function(run)
  count = count + 1
  if count == 2 then
    error(cause, 0)
  end
  return "new-" .. run.id
end }
local failure = check.raises(function() host:rerun(failed) end, 500, "")
check.equal(failure.cause, cause)
check.equal(#failure.triggered, 1)
check.equal(failure.triggered[1].run_id, "new-2")
check.truthy(failure.detail:find("callback failed: the runner is down; 1 run was started before", 1, true))

-- With transactions: all or nothing.
local function with_transactions(change)
  local log = {}
  change = change or {}
  for _, step in ipairs { "begin", "commit", "rollback" } do
    local own = change[step]
    change[step] = function()
      log[#log + 1] = step
      if own then own() end
    end
  end
  host = runner(change)
  return log
end
local log = with_transactions()
check.equal(#host:rerun(failed).triggered, 3)
check.equal(table.concat(log, " "), "begin commit")
log = with_transactions()
host:plan(failed)
check.equal(#log, 0)
log = with_transactions { spawn = function() error(cause, 0) end }
local done, raised = pcall(host.rerun, host, failed)
check.equal(raised, cause)
check.equal(table.concat(log, " "), "begin rollback")
for _, step in ipairs { "begin", "commit" } do
  log = with_transactions { [step] = function() error(cause, 0) end }
  done, raised = pcall(host.rerun, host, failed)
  check.equal(done, false)
  check.equal(raised, cause)
end

-- Nonsense.
for _, nonsense in ipairs { false, true, 7, {}, print } do
  host = runner { spawn = function() return nonsense end }
  check.raises(function() host:rerun(failed) end, 500, "spawn must return the new run's id")
end
host = runner { spawn = function() end }
check.raises(function() host:rerun(failed) end, 500, "it returned nil and a nil")
for words, run in pairs {
  ["got a number"] = 7,
  ["run.params.x"] = { id = "1", task_name = "t", params = { x = print } },
  ["run.id"] = { id = "\255", task_name = "t" },
} do
  host = runner { runs = function(_, emit) emit(run) end }
  check.raises(function() host:rerun(failed) end, 422, words)
end
-- What the core can't read as a run it says itself.
for words, run in pairs {
  ["task_name"] = { id = "1" },
  ["phase"] = { id = "1", task_name = "t", phase = "asleep" },
  ["exit_code"] = { id = "1", task_name = "t", exit_code = "one" },
} do
  host = runner { runs = function(_, emit) emit(run) end }
  local _, model = pcall(host.rerun, host, failed)
  check.truthy(type(model) == "table" and model.status >= 400 and tostring(model):find(words, 1, true))
  -- Also where the script takes no notice.
  host = runner { runs = function(_, emit) pcall(emit, run) end }
  _, model = pcall(host.rerun, host, failed)
  check.truthy(type(model) == "table" and model.status >= 400 and tostring(model):find(words, 1, true))
end

-- emit is good while runs is at work.
local kept
host = runner { runs = function(_, emit) kept = emit end }
check.equal(#host:rerun(failed).triggered, 0)
check.raises(function() kept { id = "1", task_name = "t" } end, 409, "while the host's runs function is at work")

-- A function can't yield, close its host or call it.
host = runner { runs = function() coroutine.yield() end }
done, raised = coroutine.resume(coroutine.create(function() host:rerun(failed) end))
check.equal(done, false)
check.truthy(tostring(raised):find("yield", 1, true))
host = runner { runs = function() host:close() end }
check.raises(function() host:rerun(failed) end, 409, "can't close it")
host = runner { spawn = function(run) return host:spawn(run) end }
check.raises(function() host:rerun(failed) end, 409, "from within its own predicate or callback")
-- Another host it may use.
local inner = runner()
host = runner { spawn = function(run) return inner:spawn(run) end }
check.equal(#host:rerun(failed).triggered, 3)

-- Ids that are unique within a task only: a run is known by both.
local started
host = bulk_rerun.attach {
  runs = function(_, emit)
    for _, task_name in ipairs { "mail", "report" } do
      emit { id = "1", task_name = task_name, phase = "ended", end_reason = "failed" }
    end
    emit { id = "2", task_name = "mail", phase = "ended", end_reason = "failed" }
  end,
  spawn = function(run)
    started[#started + 1] = run.task_name .. " " .. run.id
    return "new"
  end,
}
for run in host:runs { ids = { "1" } } do
  started = {}
  check.equal(host:spawn(run), "new")
  check.equal(table.concat(started, ", "), run.task_name .. " 1")
end
started = {}
check.raises(function() host:spawn "1" end, 409, "several tasks bear the id 1 (mail, report)")
check.equal(#started, 0)
check.equal(host:spawn "2", "new")
check.equal(started[1], "mail 2")
none, reason = host:spawn { id = "2", task_name = "report" }
check.equal(none, nil)
check.equal(reason, "not_found")

-- What attach takes.
check.raises(function() bulk_rerun.attach() end, 400, "takes a table")
check.raises(function() bulk_rerun.attach { runs = print } end, 400, "needs the functions runs and spawn")
check.raises(function() bulk_rerun.attach { runs = print, spawn = "x" } end, 400, "spawn must be a function")
check.raises(function() bulk_rerun.attach { runs = print, spawn = print, begin = print } end, 400, "all three")
check.raises(function() bulk_rerun.attach { runs = print, spawn = print, wire = "kebab" } end, 422, "config.wire")
host = bulk_rerun.attach { runs = function() end, spawn = function() end, wire = "camel" }
check.equal(#host:rerun({ ids = { "x" } }).skipped, 1)
check.equal(host:rerun({ ids = { "x" } }).skipped[1].runId, "x")
host:close()
check.raises(function() host:rerun(failed) end, 409, "the host is closed")

-- A run may be an object, whose fields its class has; and a host one of a family.
local Job = { task_name = "mail", phase = "ended", run = print }
Job.__index = Job
local family = { wire = "camel", runs = function(_, emit) emit(setmetatable({ id = "7", end_reason = "failed" }, Job)) end }
host = bulk_rerun.attach(setmetatable({ spawn = function(run) return run.task_name end }, { __index = family }))
check.equal(host:rerun('{"match_all":true,"filter":{"status":"failed"}}').triggered[1].run_id, "mail")
check.equal(host:rerun({ ids = { "x" } }).skipped[1].runId, "x")
