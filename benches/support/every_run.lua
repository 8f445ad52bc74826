-- Goes over every run of a store; prints how many there were, the microseconds that it took, and the peak of memory in kB.
--
--     every_run.lua STORE loop|predicate
local bulk_rerun = require "bulk_rerun"
local host = bulk_rerun.open { store = arg[1] }
local everything = { match_all = true }
local seen = 0

local started = os.clock()
if arg[2] == "loop" then
  for run in host:runs(everything) do
    seen = seen + (run.id and 1 or 0)
  end
else
  host:plan(everything, function(run)
    seen = seen + (run.id and 1 or 0)
    return true
  end)
end
local microseconds = math.floor((os.clock() - started) * 1e6)

local status = io.open("/proc/self/status"):read "*a"
print(("%d %d %d"):format(seen, microseconds, status:match "VmHWM:%s*(%d+)"))
