-- What a predicate does wrong fails the call, spawns nothing, and reaches the caller as it was raised.
local bulk_rerun = require "bulk_rerun"
local check = dofile(arg[0]:match "^.*/" .. "check.lua")
local host = bulk_rerun.open { store = arg[1] }
local before = check.count(host)
local failed = { match_all = true, filter = { status = "failed" } }

-- Raised at the third run, when others have been kept already.
local function raised(value)
  local count = 0
  local done, failure = pcall(host.rerun, host, failed, function()
    count = count + 1
    if count == 3 then
      error(value, 0)
    end
    return true
  end)
  check.equal(done, false)
  check.equal(count, 3)
  check.equal(check.count(host), before)
  return failure
end
check.equal(raised "no", "no")
check.equal(raised(7), 7)
check.equal(raised(false), false)
local table_of_ones_own = setmetatable({}, { __tostring = function() return "mine" end })
check.equal(raised(table_of_ones_own), table_of_ones_own)
check.equal(raised(print), print)
if _VERSION ~= "Lua 5.5" then -- which puts a text in place of nil itself
  check.equal(raised(nil), nil)
end

-- An error of the script's own has its line.
local done, failure = pcall(host.rerun, host, failed, function(run)
  return run.params.tenant.name
end)
check.equal(done, false)
check.truthy(failure:match "predicates%.lua:%d+: attempt to index")

-- An error of ours stays one.
check.raises(function()
  host:rerun(failed, function() bulk_rerun.ago "x" end)
end, 400, "how long ago")

-- Yielding is not possible in the midst of a call, in a coroutine or not.
local function yields()
  return host:rerun(failed, function() coroutine.yield(1) end)
end
local yielded, complaint = pcall(yields)
check.equal(yielded, false)
check.truthy(tostring(complaint):find("yield", 1, true))
local resumed, said = coroutine.resume(coroutine.create(yields))
check.equal(resumed, false)
check.truthy(tostring(said):find("yield", 1, true))

-- In a coroutine all else works as outside.
local report = coroutine.wrap(function()
  local planned = host:plan(failed, function(run) return coroutine.wrap(function() coroutine.yield(run.id == "a1") end)() end)
  coroutine.yield(planned)
end)()
check.equal(report.matched, 1)
local walk = coroutine.wrap(function()
  for run in host:runs(failed) do
    coroutine.yield(run.id)
  end
end)
check.truthy(walk())
check.truthy(walk())

-- What Lua takes for true keeps a run, and nothing else does.
for _, value in ipairs { 0, "", {}, 0 / 0, true } do
  check.equal(#host:plan(failed, function() return value end).planned, 2)
end
check.equal(#host:plan(failed, function() return false end).planned, 0)
check.equal(#host:plan(failed, function() return nil end).planned, 0)
check.equal(#host:plan(failed, function() end).planned, 0)
check.equal(#host:plan(failed, function() return nil, true end).planned, 0)
check.equal(#host:plan(failed, setmetatable({}, { __call = function() return 1 end })).planned, 2)

-- Calling the host again is refused: its transaction is open.
for _, again in ipairs {
  function() host:rerun(failed) end,
  function() host:plan(failed) end,
  function() host:spawn "a1" end,
  function() host:runs(failed) end,
} do
  check.raises(function() host:rerun(failed, again) end, 409, "from within its own predicate")
  -- Caught, it is the predicate's own affair.
  check.equal(#host:plan(failed, function() return not pcall(again) end).planned, 2)
end
-- So is closing it.
check.raises(function() host:rerun(failed, function() host:close() end) end, 409, "can't close it")
check.equal(#host:plan(failed, function() pcall(host.close, host) return true end).planned, 2)
-- Another host on the same store may read, and a loop that has begun goes on.
local other = bulk_rerun.open { store = arg[1] }
local step = host:runs(failed)
check.equal(#host:plan(failed, function() return check.count(other) == before and step() end).planned, 2)

check.equal(check.count(host), before)
-- None of this has hurt the host.
check.equal(#host:rerun(failed).triggered, 2)
