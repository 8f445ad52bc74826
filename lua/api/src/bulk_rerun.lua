-- The Lua API, in the Lua that 5.1 to 5.5 and LuaJIT have in common. `native` has the calls of the core
-- (native.rs); each answers its result, or nil and an error. `script_host` is script_host.lua. How to use all
-- this: docs/lua.md.

local native, script_host, add_operations = ...
-- A script may change these.
local error, getmetatable, ipairs, pairs, pcall, setmetatable, tostring, type =
  error, getmetatable, ipairs, pairs, pcall, setmetatable, tostring, type
local find, gsub, sub, concat, sort = string.find, string.gsub, string.sub, table.concat, table.sort

local bulk_rerun = { _VERSION = "bulk_rerun " .. native.version, null = native.null }

-- Errors ------------------------------------------------------------------------------------------

local ErrorModel = { __name = "bulk_rerun.ErrorModel" }

function ErrorModel:__tostring()
  local lines = { (self.where and self.where .. ": " or "") .. tostring(self.detail) }
  if type(self.errors) == "table" and #self.errors > 1 then
    for _, violation in ipairs(self.errors) do
      lines[#lines + 1] = "  " .. tostring(violation.location) .. ": " .. tostring(violation.message)
    end
  end
  return concat(lines, "\n")
end

local titles = {
  [400] = "Bad Request",
  [409] = "Conflict",
  [422] = "Unprocessable Entity",
  [500] = "Internal Server Error",
}

-- The line of the script that is being run: `script.lua:7`.
local function script_line()
  for level = 3, 12 do
    local _, where = pcall(error, "", level)
    local last = find(where, ": $")
    if last and not find(where, "^bulk_rerun:") then
      return sub(where, 1, last - 1)
    end
  end
end

local function raise(model)
  -- Nothing is made here: where no memory is left, there is none for a table either.
  if model == true then
    error("not enough memory", 0)
  elseif type(model) == "number" then
    error(
      model > 0 and "not enough memory for the answer; the runs were started"
        or "not enough memory to roll back; what was started may still be there",
      0
    )
  end
  model.type = model.type or "about:blank"
  model.title = model.title or titles[model.status]
  model.where = script_line()
  error(setmetatable(model, ErrorModel), 0)
end

local function fail(status, detail)
  raise { status = status, detail = detail }
end

-- The result of a native function, or its error raised.
local function must(result, refused)
  if refused then
    raise(refused)
  end
  return result
end

-- Values ------------------------------------------------------------------------------------------

function bulk_rerun.array(items)
  if items ~= nil and type(items) ~= "table" then
    fail(400, "bulk_rerun.array takes a table, got a " .. type(items))
  end
  items = items or {}
  must(native.mark_array(items))
  return items
end

function bulk_rerun.to_json(value)
  return must(native.encode(value, "value"))
end

function bulk_rerun.from_json(text)
  if type(text) ~= "string" then
    fail(400, "bulk_rerun.from_json takes a text, got a " .. type(text))
  end
  return must(native.decode(text))
end

function bulk_rerun.ago(duration)
  if type(duration) ~= "string" then
    fail(400, 'bulk_rerun.ago takes a duration such as "24h", got a ' .. type(duration))
  end
  return must(native.ago(duration))
end

local function copy(fields)
  local copied = {}
  for name, value in pairs(fields) do
    copied[name] = value
  end
  return copied
end

local function is_callable(value)
  local metatable = getmetatable(value)
  return type(value) == "function" or type(metatable) == "table" and type(metatable.__call) == "function"
end

-- A selector as JSON: it is a table, or the JSON itself. `dry_run` sets that option.
local function request(selector, dry_run)
  if type(selector) == "string" then
    if not dry_run then
      return selector
    end
    selector = must(native.decode(selector))
  elseif type(selector) ~= "table" then
    fail(400, "a selector is a table such as { match_all = true }, or its JSON as a text; got a " .. type(selector))
  end
  return must(native.encode_request(selector, dry_run or false))
end

-- Calls -------------------------------------------------------------------------------------------

-- While the core is at work it calls functions of the script's: predicates, and a host's own. What they
-- raise is caught here, kept in `call`, and raised again when the core is back; the core is told by nil.
local function new_call()
  -- The fields are there from the beginning: to be set, they need no memory.
  return { failed = false, cause = false }
end

local function guarded(call, f)
  return function(...)
    local done, result = pcall(f, ...)
    if done then
      return result
    end
    if not call.failed then
      call.failed, call.cause = true, result
    end
    return nil
  end
end

-- What a call has come to; its error is raised.
local function conclude(call, result, refused)
  if not refused then
    return result
  end
  if not call.failed or type(refused) == "number" then
    raise(refused)
  end
  if type(refused) == "table" and type(refused.triggered) == "table" and #refused.triggered > 0 then
    -- The host has no transactions: what it has started already must not be lost sight of.
    refused.cause = call.cause
    refused.detail = gsub(refused.detail, "it returned %-1", function()
      return tostring(call.cause)
    end)
    raise(refused)
  end
  error(call.cause, 0)
end

-- A host's fields, under keys that nobody else has: its plugin, and its functions if it is a script's own.
local PLUGIN, FUNCTIONS = {}, {}

local function plugin_of(host, method)
  local plugin = type(host) == "table" and host[PLUGIN]
  if not plugin then
    fail(400, "call host:" .. method .. "(…) with a colon, on a host that open or attach has returned")
  end
  return plugin
end

local function open_plugin_of(host, method)
  local plugin = plugin_of(host, method)
  if not native.is_open(plugin) then
    fail(409, "the host is closed")
  end
  return plugin
end

-- A host's own functions ----------------------------------------------------------------------------

local steps = script_host(native, bulk_rerun.array, copy, fail, must)

-- What the core calls for a script's own host.
local function dispatcher(host, call)
  return host[FUNCTIONS] and guarded(call, function(step, argument)
    return steps[step](host[FUNCTIONS], argument, host[PLUGIN])
  end)
end

-- Hosts -------------------------------------------------------------------------------------------

local Host = { __name = "bulk_rerun.host" }
Host.__index = Host

local function rerun(host, method, json, predicate)
  local plugin = open_plugin_of(host, method)
  local call = new_call()
  local keep = predicate and guarded(call, function(run)
    return predicate(run) and true or false
  end)
  local done, answer, refused = pcall(native.call, plugin, json, keep, dispatcher(host, call))
  if not done or refused == true then
    -- No memory was left; what was started before it gave out must not be lost sight of.
    local started = native.started(plugin)
    answer, refused = nil, started > 0 and started or true
  end
  return conclude(call, answer, refused)
end

function Host:rerun(selector, predicate)
  if predicate ~= nil and not is_callable(predicate) then
    fail(400, "the predicate must be a function, got a " .. type(predicate))
  end
  return rerun(self, "rerun", request(selector), predicate)
end

function Host:plan(selector, predicate)
  if predicate ~= nil and not is_callable(predicate) then
    fail(400, "the predicate must be a function, got a " .. type(predicate))
  end
  return rerun(self, "plan", request(selector, true), predicate)
end

-- The task whose run bears an id; nil if there is none.
local function only_task_of(host, id)
  local tasks, seen = {}, {}
  for run in host:runs { ids = { id } } do
    if not seen[run.task_name] then
      seen[run.task_name] = true
      tasks[#tasks + 1] = run.task_name
    end
  end
  if #tasks > 1 then
    sort(tasks)
    fail(409, "runs of several tasks bear the id " .. id .. " (" .. concat(tasks, ", ") .. "): hand over the run itself")
  end
  return tasks[1]
end

function Host:spawn(run)
  local id = type(run) == "table" and run.id or run
  if type(id) ~= "string" then
    fail(400, "host:spawn takes a run or a run's id, got a " .. type(run))
  end
  open_plugin_of(self, "spawn")
  local task_name = type(run) == "table" and run.task_name or only_task_of(self, id)
  local json = must(native.encode({ ids = { id }, options = { unique_by = "run" } }, "body"))
  local answer = rerun(self, "spawn", json, function(found)
    return found.task_name == task_name
  end)
  local spawned, skipped = answer.triggered[1], answer.skipped and answer.skipped[1]
  if spawned then
    return spawned.run_id
  end
  -- Another task's run bears the id, and this one is gone.
  return nil, skipped and skipped.reason or "not_found", skipped and skipped.detail
end

function Host:runs(selector)
  local plugin = open_plugin_of(self, "runs")
  local call = new_call()
  local cursor = conclude(call, native.select(plugin, request(selector), dispatcher(self, call)))
  local function step()
    return must(native.next(cursor))
  end
  -- Lua 5.4 and later close the fourth value as soon as the loop is left.
  return step, nil, nil, setmetatable({}, {
    __close = function()
      native.close_cursor(cursor)
    end,
  })
end

function Host:close()
  if not native.close(plugin_of(self, "close")) then
    fail(409, "the host is at work: a predicate or a callback can't close it")
  end
end

Host.__close = Host.close

function Host:__tostring()
  return "bulk_rerun.host" .. (native.is_open(self[PLUGIN]) and "" or " (closed)")
end

local function new_host(plugin, functions)
  return setmetatable({ [PLUGIN] = plugin, [FUNCTIONS] = functions }, Host)
end

function bulk_rerun.open(config)
  if config ~= nil and type(config) ~= "table" then
    fail(400, 'bulk_rerun.open takes a table such as { store = "runs.db" }, got a ' .. type(config))
  end
  -- What a copy would lose, such as a metatable, is told first.
  must(native.encode(config or {}, "config"))
  config = copy(config or {})
  config.door = config.door or "lua"
  return new_host(must(native.open(must(native.encode(config, "config")))))
end

local FUNCTION_NAMES = {
  "runs", "spawn", "begin", "commit", "rollback", "undo", "find_operation", "record_operation",
}

function bulk_rerun.attach(host)
  if type(host) ~= "table" then
    fail(400, "bulk_rerun.attach takes a table such as { runs = …, spawn = … }, got a " .. type(host))
  end
  local config, functions, transactions = copy(host), {}, 0
  for _, name in ipairs { "tasks", "wire" } do
    config[name] = host[name]
  end
  for _, name in pairs(FUNCTION_NAMES) do
    local f = host[name]
    config[name], functions[name] = nil, f
    if f ~= nil and not is_callable(f) then
      fail(400, "bulk_rerun.attach: " .. name .. " must be a function, got a " .. type(f))
    end
  end
  if not (functions.runs and functions.spawn) then
    fail(400, "bulk_rerun.attach needs the functions runs and spawn")
  end
  for _, name in pairs { "begin", "commit", "rollback" } do
    transactions = transactions + (functions[name] and 1 or 0)
  end
  if transactions ~= 0 and transactions ~= 3 then
    fail(400, "bulk_rerun.attach takes begin, commit and rollback all three, or none of them")
  end
  if not functions.find_operation ~= not functions.record_operation then
    fail(400, "bulk_rerun.attach takes find_operation and record_operation both, or neither")
  end
  config.heeds_due = nil
  config.door = config.door or "lua"
  local json = must(native.encode(config, "config"))
  local heeds_due = host.heeds_due and true or false
  local undoes, has_ledger = functions.undo ~= nil, functions.find_operation ~= nil
  return new_host(must(native.attach(json, transactions == 3, heeds_due, undoes, has_ledger)), functions)
end

add_operations(native, bulk_rerun.array, Host, { fail = fail, must = must, is_callable = is_callable,
  new_call = new_call, conclude = conclude, open_plugin = open_plugin_of, dispatcher = dispatcher })
return bulk_rerun
