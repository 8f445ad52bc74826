-- Evaluating a selector: what a run looks like, and the loop over them.
local bulk_rerun = require "bulk_rerun"
local check = dofile(arg[0]:match "^.*/" .. "check.lua")
local host = bulk_rerun.open { store = arg[1] }
check.equal(tostring(host), "bulk_rerun.host")

local runs = {}
for run in host:runs { match_all = true } do
  runs[#runs + 1] = run
  runs[run.id] = run
end
check.equal(#runs, 6)

local run = runs.a1
check.equal(run.task_name, "backup")
check.equal(run.phase, "ended")
check.equal(run.end_reason, "failed")
check.equal(run.exit_code, 1)
check.equal(run.triggered_by, "cron")
check.equal(run.created_at, "2026-04-15T01:00:00Z")
check.equal(run.retry_attempt, 0)
-- What a run has none of is nil.
check.equal(run.params, nil)
check.equal(run.params_text, nil)
check.equal(runs.c1.end_reason, nil)
check.equal(runs.c1.phase, "running")

-- Parameters are a table where they are a JSON object or array, and the text beside it is the host's own.
local params = runs.b1.params
check.equal(params.tenant, "Łódzkie Meble")
check.equal(params.items[2], bulk_rerun.null)
check.equal(#params.items, 3)
check.equal(next(params.none), nil)
check.equal(runs.b1.params_text, '{ "tenant": "Łódzkie Meble", "items": [1, null, 3], "none": [] }')
-- Else they are the text: also where a table could not hold all of it.
check.equal(runs.b2.params, "--full  now")
check.equal(runs.b3.params, '{"a":1,"a":2}')
check.equal(runs.b3.params_text, '{"a":1,"a":2}')

-- Selectors: as a table or as JSON, by filter or by id.
check.equal(check.count(host, { match_all = true, filter = { task_name = "backup" } }), 2)
check.equal(check.count(host, { match_all = true, filter = { exit_code_min = 2, exit_code_max = 137 } }), 1)
check.equal(check.count(host, { ids = { "a1", "b1", "nope" } }), 2)
check.equal(check.count(host, { match_all = true, except_ids = { "a1" } }), 5)
check.equal(check.count(host, '{"matchAll":true,"filter":{"taskName":"backup"}}'), 2)
check.equal(check.count(host, { match_all = true, filter = { created_after = bulk_rerun.ago "1h" } }), 0)
check.raises(function()
  host:runs { ids = {} }
end, 400, "no runs are named")
check.raises(function()
  host:runs { match_all = true, options = { dry_run = true } }
end, 422, "body.options")
check.raises(function()
  host:runs(7)
end, 400, "got a number")
check.raises(function()
  host.runs { match_all = true }
end, 400, "with a colon")

-- A loop may be left, loops may be within loops, and what has begun goes on when the host is closed.
for _ in host:runs { match_all = true } do
  break
end
local pairs_of_runs = 0
for _ in host:runs { match_all = true } do
  for _ in host:runs { match_all = true } do
    pairs_of_runs = pairs_of_runs + 1
  end
end
check.equal(pairs_of_runs, 36)
local step = host:runs { match_all = true }
check.truthy(step())
host:close()
local rest = 0
while step() do
  rest = rest + 1
end
check.equal(rest, 5)
check.equal(step(), nil)
check.raises(function()
  host:runs { match_all = true }
end, 409, "closed")

-- Numbers as Lua has them, names of fields that are wrong, and fields that are nowhere to be seen.
local host = bulk_rerun.open { store = arg[1] }
local function exit_code(min, max)
  return check.count(host, { match_all = true, filter = { exit_code_min = min, exit_code_max = max } })
end
check.equal(exit_code(274 / 2), 1)
check.equal(exit_code(2 ^ 53, nil), 0)
for words, filter in pairs {
  ["body.filter.exit_code_min: JSON has no such number"] = { exit_code_min = 1 / 0 },
  ["body.filter.exit_code_max: JSON has no such number"] = { exit_code_max = 0 / 0 },
  ["body.filter.exit_code_min: expected an integer"] = { exit_code_min = 1.5 },
  ["body.filter.exit_code_min: the number is out of range"] = { exit_code_min = 1e300 },
  ["body.filter.task_name: the text is not UTF-8"] = { task_name = "\255" },
  ["body.filter.task_name: a function"] = { task_name = print },
  ["body.filter.status: "] = { status = { "failed" } },
  ["body.filter.stats"] = { stats = "failed" },
} do
  check.raises(function() host:runs { match_all = true, filter = filter } end, 422, words)
end
local hidden = setmetatable({ match_all = true }, { __index = { filter = { task_name = "backup" } } })
for _, method in ipairs { "runs", "plan", "rerun" } do
  check.raises(function() host[method](host, hidden) end, 422, "body: the table's metatable has __index")
end
check.raises(function()
  host:rerun { match_all = true, filter = setmetatable({}, { __index = { task_name = "backup" } }) }
end, 422, "body.filter: the table's metatable has __index")
check.raises(function() host:rerun { ids = { "a1", nil, "b1" } } end, 422, "hole")
-- A text that is no JSON is never more than planned.
for _, text in ipairs { '\239\187\191{"match_all":true}', '{"match_all":true,"match_all":true}', "{" } do
  check.raises(function() host:plan(text) end, 400, "not JSON")
end
check.equal(#host:plan('{"matchAll":true,"options":{"dryRun":false,"limit":9}}').planned, 3)
check.equal(check.count(host), 6)
