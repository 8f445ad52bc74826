-- Re-running, with a predicate and without, and what the answers look like.
local bulk_rerun = require "bulk_rerun"
local check = dofile(arg[0]:match "^.*/" .. "check.lua")
local host = bulk_rerun.open { store = arg[1] }
local before = check.count(host)
local failed = { match_all = true, filter = { status = "failed" } }

-- A plan changes nothing, neither in the store nor in the selector.
local plan = host:plan(failed)
check.equal(#plan.triggered, 0)
check.equal(plan.matched, 5)
check.equal(#plan.planned, 2)
check.equal(plan.planned[1].task_name, "backup")
check.equal(plan.planned[1].rerun_of, "a2")
check.equal(failed.options, nil)
check.equal(check.count(host), before)
check.equal(#host:plan('{"match_all":true,"filter":{"status":"failed"},"options":{"unique_by":"run","dry_run":false}}').planned, 5)
check.equal(#host:plan { matchAll = true, options = { dryRun = false, uniqueBy = "run" }, filter = { status = "failed" } }.planned, 5)
check.equal(#host:plan(failed, function(run) return run.id == "a1" end).planned, 1)
-- Lists within the options may be empty tables, too.
check.equal(#host:plan { match_all = true, options = { except_tasks = {}, take = 1 } }.planned, 1)
local without = { match_all = true, filter = { status = "failed" }, options = { except_tasks = { "backup" } } }
check.equal(#host:plan(without).planned, 1)
check.truthy(host:plan(without).planned[1].task_name ~= "backup")
for run in host:runs(without) do check.truthy(run.task_name ~= "backup") end
check.raises(function() host:runs { match_all = true, options = { take = 1 } } end, 422, "other than except_tasks")
check.raises(function() host:plan "{" end, 400, "not JSON")
check.raises(function() host:plan { match_all = true, options = "x" } end, 422, "body.options")

-- A predicate has its say before the runs are grouped: the newest that it keeps is the source.
local seen = {}
local report = host:rerun(failed, function(run)
  seen[#seen + 1] = run.id
  return run.id ~= "a2"
end)
check.equal(#seen, 5)
check.equal(#report.triggered, 2)
check.equal(report.triggered[1].task_name, "backup")
check.equal(report.triggered[1].rerun_of, "a1")
check.equal(report.skipped, nil)
check.equal(check.count(host), before + 2)
local new
for run in host:runs { ids = { report.triggered[2].run_id } } do
  new = run
end
check.equal(new.phase, "pending")
check.equal(new.params_text, '{"a":1,"a":2}')

-- Whatever Lua takes for true keeps; nil and false drop.
local function kept(answer)
  return host:plan(failed, function() return answer end).matched
end
check.equal(kept(true), 5)
check.equal(kept(0), 5)
check.equal(kept "", 5)
check.equal(kept {}, 5)
check.equal(kept(false), 0)
check.equal(kept(nil), 0)
check.equal(host:plan(failed, function() end).matched, 0)
check.equal(host:plan(failed, setmetatable({}, { __call = function(_, run) return run.exit_code == 137 end })).matched, 1)
check.raises(function() host:rerun(failed, "x") end, 400, "must be a function")

-- As it is asked, so it is answered.
local camel = host:rerun { matchAll = true, filter = { taskName = "backup", status = "failed" } }
check.truthy(camel.triggered[1].runId)

-- One run.
local id = host:spawn "b2"
check.equal(type(id), "string")
for run in host:runs { ids = { "b1" } } do
  check.equal(type(host:spawn(run)), "string")
end
local none, reason = host:spawn "nope"
check.equal(none, nil)
check.equal(reason, "not_found")
check.raises(function() host:spawn() end, 400, "takes a run")
check.raises(function() host:spawn {} end, 400, "takes a run")
check.raises(function() host:spawn(7) end, 400, "got a number")

-- A config: all that is wrong with it is told.
local failure = check.raises(function()
  bulk_rerun.open { stor = "x", busy_timeout_ms = "1" }
end, 422, "did you mean `store`?")
check.equal(#failure.errors, 2)
check.equal(failure.errors[1].location .. " " .. failure.errors[2].location, "config.stor config.busy_timeout_ms")
check.raises(function() bulk_rerun.open { store = "/no/such/folder/runs.db" } end, 500, "/no/such/folder/runs.db")
check.raises(function() bulk_rerun.open "runs.db" end, 400, "takes a table")
check.raises(function() bulk_rerun.open() end, 500, "no store")

-- An error reads well, has the script's line, and all of the contract's fields.
local done, model = pcall(function()
  host:rerun { match_all = true, filter = { exit_code_min = 5, exit_code_max = 3, status = 1 } }
end)
check.equal(done, false)
check.equal(model.status, 422)
check.equal(model.type, "about:blank")
check.equal(model.title, "Unprocessable Entity")
check.equal(#model.errors, 2)
check.equal(model.errors[2].value, 5)
check.truthy(model.where:match "rerun%.lua:%d+$")
local text = tostring(model)
check.equal(text:sub(1, #model.where + 2), model.where .. ": ")
check.truthy(text:find("body.filter.exit_code_min", 1, true) and text:find("body.filter.status", 1, true))
check.truthy(bulk_rerun.to_json(model):find('"status":422', 1, true))

-- Numbers that are whole are whole, however they came about.
check.equal(host:plan { match_all = true, filter = { exit_code_min = 274 / 2 } }.matched, 1)
