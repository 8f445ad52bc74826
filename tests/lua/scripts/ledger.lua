-- A host that is written in Lua, and keeps the ledger: a key is one re-run, and can be undone.
local bulk_rerun = require "bulk_rerun"
local check = dofile(arg[0]:match "^.*/" .. "check.lua")

-- A runner whose runs and operations are in tables. It keeps operations as `keep` makes them: from the table and its text.
local function runner(keep, change)
  local self = { log = {}, operations = {}, runs = {
    { id = "1", task_name = "backup", phase = "ended", end_reason = "failed" },
    { id = "2", task_name = "mail", phase = "ended", end_reason = "failed" },
  } }
  local function note(what)
    self.log[#self.log + 1] = what
  end
  local function find(field, value)
    for place, kept in ipairs(self.operations) do
      if kept[field] == value then
        return kept, place
      end
    end
  end
  local host = {
    runs = function(_, emit)
      for _, run in ipairs(self.runs) do
        emit(run)
      end
    end,
    spawn = function(run)
      local id = "new-" .. #self.runs
      self.runs[#self.runs + 1] = { id = id, task_name = run.task_name, phase = "pending" }
      return id
    end,
    begin = function()
      note "begin"
      self.before = { #self.runs, #self.operations }
    end,
    commit = function() note "commit" end,
    rollback = function()
      note "rollback"
      while #self.runs > self.before[1] do table.remove(self.runs) end
      while #self.operations > self.before[2] do table.remove(self.operations) end
    end,
    undo = function(run)
      note("undo " .. run.id)
      for place, kept in ipairs(self.runs) do
        if kept.id == run.id and kept.phase == "pending" then
          table.remove(self.runs, place)
          return true
        end
      end
      return false
    end,
    record_operation = function(operation, json)
      note "record"
      local kept = { id = operation.operation_id, key = operation.idempotency_key, what = keep(operation, json) }
      local _, place = find("id", operation.operation_id)
      self.operations[place or #self.operations + 1] = kept
    end,
    find_operation = function(query)
      if query.limit then
        local all = {}
        for _, kept in ipairs(self.operations) do
          table.insert(all, 1, kept.what)
        end
        return all
      end
      local kept = query.operation_id and find("id", query.operation_id) or find("key", query.idempotency_key)
      return kept and kept.what
    end,
  }
  for name, f in pairs(change or {}) do
    host[name] = f
  end
  return bulk_rerun.attach(host), self
end

local function as_text(_, json)
  return json
end
local function as_table(operation)
  return operation
end
-- As a store of the script's own may have made it anew: without what marks a list.
local function as_copy(value)
  if type(value) ~= "table" then
    return value
  end
  local copy = {}
  for name, item in pairs(value) do
    copy[name] = as_copy(item)
  end
  return copy
end

local function keyed(key, ids)
  return { ids = ids or { "1", "2" }, options = { idempotency_key = key, reason = "the disk was full" } }
end

for _, keep in ipairs { as_text, as_table, as_copy } do
  local host, self = runner(keep)
  local first = host:rerun(keyed "k")
  check.equal(#first.triggered, 2)
  check.equal(first.replayed, nil)
  check.equal(first.operation_id, self.operations[1].id)
  check.equal(table.concat(self.log, " "), "begin record commit")
  local again = host:rerun(keyed "k")
  check.equal(again.replayed, true)
  check.equal(again.triggered[2].run_id, first.triggered[2].run_id)
  check.equal(#self.runs, 4)
  check.raises(function() host:rerun(keyed("k", { "1" })) end, 422, "another request")
  -- Nothing was found: neither list has an item.
  check.equal(#host:rerun({ match_all = true, filter = { task_name = "none" }, options = { idempotency_key = "n" } }).triggered, 0)
  check.equal(host:rerun({ match_all = true, filter = { task_name = "none" }, options = { idempotency_key = "n" } }).replayed, true)
end

-- What is pending is taken back, and the operation recorded once more in its place.
for _, keep in ipairs { as_text, as_table, as_copy } do
  local host, self = runner(keep)
  local report = host:rerun(keyed "k")
  self.runs[4].phase, self.log = "running", {}
  local undone = host:undo(report)
  check.equal(#undone.undone, 1)
  check.equal(undone.undone[1].run_id, "new-2")
  check.equal(undone.kept[1].run_id, "new-3")
  check.equal(table.concat(self.log, " "), "begin undo new-2 record commit")
  check.equal(#self.operations, 1)
  local operation = host:operation(report)
  check.equal(operation.states.undone, 1)
  check.equal(operation.states.running, 1)
  check.equal(operation.runs[1].phase, "undone")
  check.truthy(operation.undone_at)
  check.equal(#host:undo(report).undone, 0)

  local later = host:rerun { ids = { "2" } }
  local all = host:operations {}
  check.equal(#all, 2)
  check.equal(all[1].operation_id, later.operation_id)
  check.equal(all[2].operation_id, report.operation_id)
  check.equal(#host:operations { run_id = "1" }, 1)
  check.equal(#host:operations { limit = 1, before = report.operation_id }, 0)
end
local no_undo = runner(as_text, { undo = function() return "yes" end })
local report = no_undo:rerun(keyed "k")
check.raises(function() no_undo:undo(report) end, 500, "true or false; it returned a string")

-- What a script is given.
local host, self = runner(as_table)
host:rerun(keyed "k")
local operation = self.operations[1].what
check.equal(operation.door, "lua")
check.equal(operation.reason, "the disk was full")
check.equal(operation.actor, nil)
check.equal(operation.request.ids[1], "1")
check.equal(operation.runs[1].rerun_of, "1")
check.equal(operation.triggered, 2)

-- What can't be recorded is not done.
local cause = setmetatable({}, { __tostring = function() return "out of ink" end })
host, self = runner(function() error(cause, 0) end)
local done, raised = pcall(host.rerun, host, keyed "k")
check.equal(done, false)
check.equal(raised, cause)
check.equal(#self.runs, 2)
check.equal(table.concat(self.log, " "), "begin record rollback")

-- Without transactions it is, and that is told.
local function plain(f)
  return bulk_rerun.attach {
    runs = function(_, emit) emit { id = "1", task_name = "backup" } end,
    spawn = function() return "new" end,
    record_operation = f,
    find_operation = function() end,
  }
end
local failure = check.raises(function() plain(function() error(cause, 0) end):rerun(keyed "k") end, 500, "")
check.equal(failure.cause, cause)
check.equal(failure.triggered[1].run_id, "new")
check.truthy(failure.detail:find("callback failed: out of ink; 1 run was started before", 1, true))

-- What is found wrong starts nothing.
for words, found in pairs {
  ["must return operations as they were recorded, or nil; it returned a number"] = 7,
  ["what it found can't be read: `created_at` is missing"] = { operation_id = "x" },
  ["it is not JSON"] = "x",
} do
  host, self = runner(as_text, { find_operation = function() return found end })
  check.raises(function() host:rerun(keyed "k") end, 500, words)
  check.equal(#self.runs, 2)
end
host = runner(as_text, { find_operation = function() error(cause, 0) end })
done, raised = pcall(host.rerun, host, keyed "k")
check.equal(raised, cause)

-- What attach takes.
local both = { runs = print, spawn = print, find_operation = print }
check.raises(function() bulk_rerun.attach(both) end, 400, "find_operation and record_operation both, or neither")
both.record_operation, both.find_operation = print, nil
check.raises(function() bulk_rerun.attach(both) end, 400, "find_operation and record_operation both, or neither")
check.raises(function() bulk_rerun.attach { runs = print, spawn = print, undo = true } end, 400, "undo must be a function")
host = bulk_rerun.attach { runs = function() end, spawn = function() end }
check.raises(function() host:rerun(keyed "k") end, 422, "`find_operation` and `record_operation`")
