-- What the core calls where the host is a script's own: its functions, and what they hand over as the core reads it.
-- Each step gets the host's functions, what the core has said, and the plugin.

local native, array, copy, fail, must = ...
-- A script may change these.
local error, ipairs, next, pairs, pcall, type = error, ipairs, next, pairs, pcall, type
local concat = table.concat

local steps = {}

local COLUMNS = {
  "id", "task_name", "phase", "end_reason", "exit_code", "triggered_by", "created_at", "retry_attempt", "params",
  "params_text", "is_failure", "unfit",
}

-- A run as the core reads it: parameters are the host's own text.
local function emitted(run)
  if type(run) ~= "table" then
    fail(422, "emit takes a run, a table such as { id = …, task_name = … }; got a " .. type(run))
  end
  local columns = copy(run)
  -- Those that a metatable of the script's answers.
  for _, name in ipairs(COLUMNS) do
    columns[name] = run[name]
  end
  if columns.params_text ~= nil then
    columns.params = columns.params_text
  elseif type(columns.params) == "table" then
    columns.params = must(native.encode(columns.params, "run.params"))
  end
  columns.params_text = nil
  return must(native.encode(columns, "run"))
end

function steps.runs(functions, selector, plugin)
  local at_work = true
  local function emit(run)
    if not at_work then
      fail(409, "emit works only while the host's runs function is at work")
    end
    return must(native.emit(plugin, emitted(run)))
  end
  local done, cause = pcall(functions.runs, selector, emit)
  at_work = false
  if not done then
    error(cause, 0)
  end
  return 0
end

function steps.spawn(functions, run)
  local id, reason = functions.spawn(run)
  if type(id) == "string" then
    return must(native.encode({ run_id = id }, "spawn"))
  elseif id == nil and type(reason) == "string" then
    return must(native.encode({ skipped = reason }, "spawn"))
  end
  local got = id == nil and "nil and a " .. type(reason) or "a " .. type(id)
  fail(500, "the host's spawn must return the new run's id, a string, or nil and a reason; it returned " .. got)
end

function steps.undo(functions, run)
  local undone = functions.undo(run)
  if type(undone) ~= "boolean" then
    fail(500, "the host's undo must return whether it took the run back, true or false; it returned a " .. type(undone))
  end
  return must(native.encode({ undone = undone }, "undo"))
end

-- An operation as the core reads it: the text that was recorded, or a table with all that was in it.
local function found_operation(operation)
  if type(operation) == "string" then
    return operation
  elseif type(operation) ~= "table" then
    local got = type(operation)
    fail(500, "the host's find_operation must return operations as they were recorded, or nil; it returned a " .. got)
  end
  operation = copy(operation)
  for _, name in ipairs { "runs", "skipped_list" } do
    -- In a table of the script's own, an empty list can't be told from an empty object.
    if type(operation[name]) == "table" and next(operation[name]) == nil then
      operation[name] = array()
    end
  end
  return must(native.encode(operation, "operation"))
end

function steps.find_operation(functions, query)
  local found = functions.find_operation(query)
  if found == nil then
    return "{}"
  elseif not query.limit then
    return found_operation(found)
  elseif type(found) ~= "table" then
    fail(500, "the host's find_operation must return a list where the query has a limit; it returned a " .. type(found))
  end
  local operations = {}
  for place, operation in ipairs(found) do
    operations[place] = found_operation(operation)
  end
  return '{"operations":[' .. concat(operations, ",") .. "]}"
end

function steps.record_operation(functions, json)
  functions.record_operation(must(native.decode(json)), json)
  return 0
end

for _, step in pairs { "begin", "commit", "rollback" } do
  steps[step] = function(functions)
    functions[step]()
    return 0
  end
end

return steps
