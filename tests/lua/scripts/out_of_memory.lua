-- Every call, with a little more memory each time, until it has enough: before that it says so, has changed nothing, and the
-- host is as good as new.
local bulk_rerun = require "bulk_rerun"
local check = dofile(arg[0]:match "^.*/" .. "check.lua")
local limit = limit or require "limit"
if jit then
  jit.off() -- which crashes by itself where there is no memory (2.1.0-beta3)
end
local failed = { match_all = true, filter = { status = "failed" } }

-- A call that goes on until its memory is enough; `after` looks at what it has left. Answers how often it was not enough.
local function with_ever_more(work, after)
  local failures = 0
  for bytes = 0, 1e6, 41 do
    collectgarbage()
    limit(bytes)
    local done, result = pcall(work)
    limit()
    after(done, result)
    if done then
      return failures
    end
    failures = failures + 1
    -- What Lua itself, or this library, says; whatever a script raises with it is the script's own.
    check.truthy(tostring(result):find("not enough memory", 1, true))
  end
  error "there never was enough"
end

local host = bulk_rerun.open { store = arg[1] }
local runs = check.count(host)
local function nothing_was_started()
  check.equal(check.count(host), runs)
  check.equal(#host:plan(failed).planned, 2)
end

local function keep(run)
  return #{ run.id, run.task_name } > 0
end
for _, work in ipairs {
  function() return host:plan(failed) end,
  function() return host:plan(failed, keep) end,
  function() return host:plan('{"match_all":true}') end,
  function() for run in host:runs(failed) do keep(run) end end,
  function() return host:rerun { match_all = true, filter = { status = "nothing has this" } } end,
  function() return host:wait { triggered = { { task_name = "a", run_id = "nobody's" }, { task_name = "b", run_id = "b1" } } } end,
  function() return bulk_rerun.from_json '{"a":[1,2,{"b":"c"}]}' end,
  function() return bulk_rerun.to_json { a = { 1, 2, { b = "c" } } } end,
} do
  check.truthy(with_ever_more(work, nothing_was_started) > 0)
end

-- A selector never loses a part of itself: less than all of it would mean more runs.
with_ever_more(function()
  return bulk_rerun.to_json(failed)
end, function(done, json)
  check.truthy(not done or json == '{"filter":{"status":"failed"},"match_all":true}')
end)

-- What has been started before the memory gave out is told.
local untold = 0
with_ever_more(function()
  return host:rerun(failed, keep)
end, function(done, result)
  local now = check.count(host)
  if done then
    check.equal(now, runs + #result.triggered)
  elseif result == "not enough memory for the answer; the runs were started" then
    check.equal(now, runs + 2)
    untold = untold + 1
  else
    check.equal(now, runs)
  end
  runs = now
end)
check.truthy(untold < 400)

if jit then
  host:close()
  return -- LuaJIT 2.1.0-beta3 crashes in its own interpreter where a function that is called from C finds no memory
end

-- A host of the script's own: its functions may be what runs out of memory.
local function attached(started)
  return bulk_rerun.attach {
    runs = function(_, emit)
      for id = 1, 3 do
        emit { id = tostring(id), task_name = "task " .. id, phase = "ended", end_reason = "failed", params = { n = id } }
      end
    end,
    spawn = function(run)
      started[#started + 1] = run.id
      return "new " .. run.id
    end,
    begin = function() started.now = #started end,
    commit = function() end,
    rollback = function()
      for place = #started, started.now + 1, -1 do
        started[place] = nil
      end
    end,
  }
end
local started = { now = 0, 0, 0, 0, 0 }
for place = 1, 4 do
  started[place] = nil
end
local own = attached(started)
check.truthy(with_ever_more(function()
  return own:rerun(failed)
end, function(done, result)
  if result == "not enough memory to roll back; what was started may still be there" then
    check.truthy(_VERSION == "Lua 5.1") -- which collects nothing when the memory gives out
  else
    check.equal(#started, (done or result == "not enough memory for the answer; the runs were started") and 3 or 0)
  end
  for place = 1, 3 do
    started[place] = nil
  end
end) > 3)
check.equal(#own:rerun(failed).triggered, 3)

-- Opening one, too; and all of them close.
with_ever_more(function()
  return bulk_rerun.open { store = arg[1] }:close()
end, function() end)
own:close()
host:close()
check.equal(tostring(host), "bulk_rerun.host (closed)")
