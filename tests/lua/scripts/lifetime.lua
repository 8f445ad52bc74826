-- Hosts and loops end when they are closed, when nobody has them any more, and where <close> says so.
local bulk_rerun = require "bulk_rerun"
local check = dofile(arg[0]:match "^.*/" .. "check.lua")

-- How often this process has the store's files open.
local stat = io.open "/proc/self/stat"
local process = stat:read("*a"):match "^%d+"
stat:close()
local function files()
  local list = assert(io.popen("ls -l /proc/" .. process .. "/fd | grep -cF " .. arg[1]))
  local count = tonumber(list:read "*a")
  list:close()
  return count
end

-- Nothing else here has a SQLite: promised, connections rest between calls, so that it shows when they are closed.
local function use()
  local host = bulk_rerun.open { store = arg[1], sqlite = "shared" }
  check.equal(check.count(host), 6)
  return host
end

-- SQLite is loaded, and every module is there.
use():close()
local before = files()
local host = use()
check.equal(before, 0)
check.truthy(files() > before)
host:close()
host:close()
check.equal(tostring(host), "bulk_rerun.host (closed)")
check.equal(files(), before)
for _, method in ipairs { "runs", "plan", "rerun" } do
  check.raises(function() host[method](host, { match_all = true }) end, 409, "the host is closed")
end
check.raises(function() host:spawn "a1" end, 409, "the host is closed")

-- Collected.
for _ = 1, 5 do
  use()
end
collectgarbage()
collectgarbage()
check.equal(files(), before)

-- A script's own host is collected although its functions know it.
local collected = setmetatable({}, { __mode = "k" })
do
  local attached
  attached = bulk_rerun.attach {
    runs = function(_, emit) emit { id = "1", task_name = tostring(attached) } end,
    spawn = function() return "2" end,
  }
  check.equal(#attached:rerun({ match_all = true }).triggered, 1)
  collected[attached] = true
end
collectgarbage()
collectgarbage()
check.equal(next(collected), nil)

if load and pcall(load, "return 1") and load "local x <close> = nil" then
  local closing = load([[
    local use = ...
    local kept
    do
      local host <close> = use()
      kept = host
    end
    return tostring(kept)
  ]])
  check.equal(closing(use), "bulk_rerun.host (closed)")
  -- Also where an error, or a coroutine's end, leaves the block; a host at work stays open.
  local within = load([[
    local use, work = ...
    local host <close> = use()
    work(host)
  ]])
  local kept, said
  said = select(2, pcall(within, use, function(host) kept = host error("no", 0) end))
  check.equal(said, "no")
  check.equal(tostring(kept), "bulk_rerun.host (closed)")
  local walk = coroutine.create(within)
  coroutine.resume(walk, use, function(host) kept = host coroutine.yield() end)
  check.equal(tostring(kept), "bulk_rerun.host")
  check.truthy(coroutine.close(walk))
  check.equal(tostring(kept), "bulk_rerun.host (closed)")
  local one, other = use(), use()
  check.equal(#one:plan({ match_all = true }, function() return within(use, function() end) or other end).planned, 3)
  check.raises(function()
    one:plan({ match_all = true }, load("local host = ... return function() local again <close> = host end")(one))
  end, 409, "can't close it")
  check.equal(check.count(one), check.count(other))
  one:close()
  other:close()
  check.equal(files(), before)
end

-- A host of a script that changes what it finds in the globals.
local own = use()
local error_, pcall_, type_ = error, pcall, type
error, pcall, type, pairs, tostring, setmetatable = nil, nil, nil, nil, nil, nil
local done, failure = pcall_(own.rerun, own, { match_all = 1 })
error, pcall, type = error_, pcall_, type_
check.equal(done, false)
check.equal(failure.status, 422)
