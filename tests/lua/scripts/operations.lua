-- What the ledger has, and undoing it.
local bulk_rerun = require "bulk_rerun"
local check = dofile(arg[0]:match "^.*/" .. "check.lua")
local failed = { match_all = true, filter = { status = "failed" }, options = { reason = "the disk was full", actor = "ann" } }

-- Where there is no ledger.
local host = bulk_rerun.open { store = arg[1] }
for _, call in ipairs {
  function() host:operations() end,
  function() host:operation "01J" end,
  function() host:undo "01J" end,
  function() host:wait "01J" end,
} do
  check.raises(call, 404, "the store has no ledger")
end
local unrecorded = host:rerun { match_all = true, filter = failed.filter }
check.raises(function() host:undo(unrecorded) end, 400, "the report has no operation_id, since the store has no ledger")
host:close()

-- A list, the newest first.
host = bulk_rerun.open { store = arg[1], ledger = true }
check.equal(#host:operations(), 0)
check.equal(bulk_rerun.to_json(host:operations {}), "[]")
local first, second = host:rerun(failed), host:rerun { match_all = true, filter = { task_name = "import", status = "failed" } }
local all = host:operations()
check.equal(#all, 2)
check.equal(all[1].operation_id, second.operation_id)
check.equal(all[2].operation_id, first.operation_id)
check.equal(#host:operations { limit = 1 }, 1)
check.equal(host:operations({ before = second.operation_id })[1].operation_id, first.operation_id)
check.equal(#host:operations { created_after = bulk_rerun.ago "1h" }, 2)
check.equal(#host:operations { created_after = "2999-01-01T00:00:00Z" }, 0)
check.equal(#host:operations { run_id = first.triggered[1].run_id }, 1)
check.equal(#host:operations { run_id = second.triggered[1].rerun_of }, 2)
check.equal(host:operations({ runId = first.triggered[1].run_id })[1].operationId, first.operation_id)
check.equal(host:operations({ operation_id = first.operation_id })[1].runs[1].phase, "pending")

-- One, with its runs: by its id, or by the report. What it has not is nil.
for _, id in ipairs { first.operation_id, first, all[2] } do
  local operation = host:operation(id)
  check.equal(operation.door, "lua")
  check.equal(operation.actor, "ann")
  check.equal(operation.reason, "the disk was full")
  check.equal(operation.idempotency_key, nil)
  check.equal(operation.undone_at, nil)
  check.equal(operation.request.filter.status, "failed")
  check.equal(operation.triggered, 2)
  check.equal(#operation.runs, 2)
  check.equal(operation.runs[1].task_name, "backup")
  check.equal(operation.runs[1].rerun_of, "a2")
  check.equal(operation.runs[1].run_id, first.triggered[1].run_id)
  check.equal(operation.runs[1].end_reason, nil)
  check.equal(operation.states.pending, 2)
end
check.equal(all[2].runs, nil)

-- Nobody has begun them, so both are taken back; a second undo finds nothing.
local undone = host:undo(first.operation_id)
check.equal(#undone.undone, 2)
check.equal(#undone.kept, 0)
check.equal(undone.undone[1].run_id, first.triggered[1].run_id)
check.equal(#host:undo(first).undone, 0)
check.equal(host:operation(first).states.undone, 2)
check.equal(type(host:operation(first).undone_at), "string")
check.equal(host:operation(second).states.pending, 1)

-- There is nothing to wait for, and it is no success.
for _, subject in ipairs { first, first.operation_id, host:operation(first) } do
  local outcome = host:wait(subject)
  check.equal(outcome.succeeded, false)
  check.equal(outcome.timed_out, false)
  check.equal(outcome.states.undone, 2)
  check.equal(outcome.runs[1].phase, "undone")
  check.equal(outcome.runs[1].rerun_of, "a2")
end

-- Nonsense.
for _, method in ipairs { "operation", "undo", "wait" } do
  check.raises(function() host[method](host) end, 400, "host:" .. method .. " takes an operation's id")
  check.raises(function() host[method](host, 7) end, 400, "got a number")
  check.raises(function() host[method](host, "nobody's") end, 404, 'no operation "nobody\'s"')
  check.raises(function() host[method](first) end, 400, "with a colon")
end
check.raises(function() host:operations "01J" end, 400, "takes a table")
check.raises(function() host.operations { limit = 1 } end, 400, "with a colon")
local failure = check.raises(function() host:operations { limit = 0, since = "24h" } end, 422, "query.since")
check.equal(#failure.errors, 2)
check.truthy(failure.where:match "operations%.lua:%d+$")

-- A predicate can't ask its own host.
for _, call in ipairs {
  function() host:operations() end,
  function() host:undo(second) end,
  function() host:wait(second) end,
} do
  check.raises(function() host:rerun(failed, call) end, 409, "from within its own predicate")
end
check.equal(#host:operations(), 2)
host:close()
for _, method in ipairs { "operations", "operation", "undo", "wait" } do
  check.raises(function() host[method](host, method ~= "operations" and first or nil) end, 409, "the host is closed")
end

-- A script's own host has no ledger, and waiting needs none.
local own = bulk_rerun.attach { runs = function() end, spawn = function() end }
check.raises(function() own:operations() end, 404, "no ledger")
