-- Spawns while it goes over the runs; what it has spawned is not gone over.
local bulk_rerun = require "bulk_rerun"
local host = bulk_rerun.open { store = arg[1] }
for run in host:runs { match_all = true } do
  assert(run.phase == "ended", run.id)
  assert(host:spawn(run))
end
