-- What comes after a re-run: the ledger's operations, undoing one, and waiting until the new runs have ended. These become
-- methods of Host; `of` has functions of `bulk_rerun.lua`.

local native, array, Host, of = ...
-- A script may change these.
local error, ipairs, min, pairs, pcall, tostring, type = error, ipairs, math.min, pairs, pcall, tostring, type
local fail = of.fail

-- The ledger --------------------------------------------------------------------------------------

-- The answer of one of the core's functions to a question of its own.
local function ask(host, method, question, root)
  local plugin = of.open_plugin(host, method)
  local json = of.must(native.encode(question, root))
  local call = of.new_call()
  return of.conclude(call, native[method](plugin, json, of.dispatcher(host, call)))
end

-- An operation whose fields without a value are not there.
local function without_nulls(operation)
  for name, value in pairs(operation) do
    if value == native.null then
      operation[name] = nil
    end
  end
  return operation
end

-- The id of an operation, which may be a report's, or an operation's itself.
local function id_of(host, operation, method)
  of.open_plugin(host, method)
  local id = operation
  if type(operation) == "table" then
    id = operation.operation_id or operation.operationId
    if id == nil then
      fail(400, "the report has no operation_id, since the store has no ledger: bulk_rerun.open { ledger = true } makes one")
    end
  end
  if type(id) ~= "string" then
    fail(400, "host:" .. method .. " takes an operation's id, or the report that has it; got a " .. type(id))
  end
  return id
end

function Host:operations(query)
  if query ~= nil and type(query) ~= "table" then
    fail(400, "host:operations takes a table such as { limit = 10 }, got a " .. type(query))
  end
  local answer = ask(self, "operations", query or {}, "query")
  local operations = answer.operations or array { answer }
  for _, operation in ipairs(operations) do
    without_nulls(operation)
  end
  return operations
end

function Host:operation(id)
  return without_nulls(ask(self, "operations", { operation_id = id_of(self, id, "operation") }, "query"))
end

function Host:undo(id)
  return ask(self, "undo", { operation_id = id_of(self, id, "undo") }, "body")
end

-- Waiting -----------------------------------------------------------------------------------------

-- In seconds: how long it is from one look at the runs to the next, at first and at most; and how often a busy store is asked.
local FIRST_PAUSE, LONGEST_PAUSE, TRIES = 0.5, 5, 5

local function has_ended(run)
  return run.phase ~= nil and run.phase ~= "pending" and run.phase ~= "running"
end

local function has_succeeded(run)
  return run.phase == "gone" or run.phase == "ended" and (run.end_reason == "success" or run.end_reason == "succeeded")
end

-- The runs to wait for, each with as much as is known of it; and their operation's id, where there is one.
local function new_runs(host, subject)
  local about = subject
  if type(subject) ~= "table" or type(subject.runs or subject.triggered) ~= "table" then
    about = host:operation(id_of(host, subject, "wait"))
  end
  local runs = array()
  for place, new in ipairs(about.runs or about.triggered) do
    local run = {
      task_name = new.task_name or new.taskName,
      rerun_of = new.rerun_of or new.rerunOf,
      run_id = new.run_id or new.runId,
      phase = new.phase,
      end_reason = new.end_reason or new.endReason,
      exit_code = new.exit_code or new.exitCode,
    }
    if type(run.task_name) ~= "string" or type(run.run_id) ~= "string" then
      fail(400, "host:wait takes a report, or an operation: the run " .. place .. " has no task_name and run_id")
    end
    runs[place] = run
  end
  return runs, about.operation_id or about.operationId
end

-- Asks for the runs that have not ended. A run is known by its task and its id together.
local function look(host, runs)
  local ids, waiting = array(), {}
  for _, run in ipairs(runs) do
    if not has_ended(run) then
      if not waiting[run.run_id] then
        waiting[run.run_id] = {}
        ids[#ids + 1] = run.run_id
      end
      waiting[run.run_id][run.task_name] = run
    end
  end
  if #ids == 0 then
    return
  end
  for found in host:runs { ids = ids } do
    local of_id = waiting[found.id]
    local run = of_id and of_id[found.task_name]
    if run then
      run.phase, run.end_reason, run.exit_code = found.phase or "pending", found.end_reason, found.exit_code
      of_id[found.task_name] = nil
    end
  end
  for _, of_id in pairs(waiting) do
    for _, run in pairs(of_id) do
      run.phase, run.end_reason, run.exit_code = "gone", nil, nil
    end
  end
end

-- Whether it may have been taken back: some hosts delete such a run, and others end it with a word of their own.
local function may_be_undone(run)
  return has_ended(run) and not (run.phase == "ended" and has_succeeded(run))
end

-- Which of them were taken back only the ledger knows, where it still has the operation.
local function look_into_ledger(host, operation_id, runs)
  local any = false
  for _, run in ipairs(runs) do
    any = any or may_be_undone(run)
  end
  if not any then
    return
  end
  local done, operation = pcall(host.operation, host, operation_id)
  if not done then
    if type(operation) ~= "table" or operation.status ~= 404 then
      error(operation, 0)
    end
    return
  end
  local undone = {}
  for _, run in ipairs(operation.runs) do
    undone[run.run_id] = undone[run.run_id] or {}
    undone[run.run_id][run.task_name] = run.phase == "undone"
  end
  for _, run in ipairs(runs) do
    if may_be_undone(run) and undone[run.run_id] and undone[run.run_id][run.task_name] then
      run.phase, run.end_reason, run.exit_code = "undone", nil, nil
    end
  end
end

-- How many stand where: by end reason, or by phase where that says it all. And whether all have ended, and succeeded.
local function count(runs)
  local states, all_ended, all_succeeded = {}, true, true
  for _, run in ipairs(runs) do
    local word = run.end_reason or run.phase
    states[word] = (states[word] or 0) + 1
    all_ended = all_ended and has_ended(run)
    all_succeeded = all_succeeded and has_succeeded(run)
  end
  return states, all_ended, all_succeeded
end

local function sleep_until(time)
  local left = time - native.clock()
  while left > 0 do
    -- A little at a time: between two calls an interpreter hears of Ctrl-C.
    native.sleep(min(left, 0.1))
    left = time - native.clock()
  end
end

-- A store that is busy for a moment does not end the waiting.
local function with_patience(f, ...)
  for try = 1, TRIES do
    local done, cause = pcall(f, ...)
    if done then
      return
    end
    if try == TRIES or type(cause) ~= "table" or cause.status ~= 503 then
      error(cause, 0)
    end
    sleep_until(native.clock() + FIRST_PAUSE)
  end
end

local function seconds(options, name)
  local duration = options[name]
  local length = type(duration) == "string" and native.seconds(duration)
  if duration ~= nil and not length then
    local got = type(duration) == "string" and '"' .. duration .. '"' or "a " .. type(duration)
    fail(400, "host:wait: " .. name .. ' is a duration such as "30m" or "1h 30m"; got ' .. got)
  end
  return length or nil
end

local OPTIONS = { timeout = true, interval = true, each = true }

local function check_options(options)
  if type(options) ~= "table" then
    fail(400, 'host:wait takes a table such as { timeout = "30m" } after the report, got a ' .. type(options))
  end
  for name in pairs(options) do
    if not OPTIONS[name] then
      fail(400, "host:wait has no option " .. tostring(name) .. ": it has timeout, interval and each")
    end
  end
  if options.each ~= nil and not of.is_callable(options.each) then
    fail(400, "host:wait: each must be a function, got a " .. type(options.each))
  end
end

function Host:wait(subject, options)
  of.open_plugin(self, "wait")
  options = options or {}
  check_options(options)
  local timeout, interval = seconds(options, "timeout"), seconds(options, "interval")
  local deadline = timeout and native.clock() + timeout
  local runs, operation_id = new_runs(self, subject)
  local pause = interval or FIRST_PAUSE
  while true do
    with_patience(look, self, runs)
    local states, all_ended, all_succeeded = count(runs)
    local now = native.clock()
    local time_is_up = deadline and now >= deadline
    if operation_id and (all_ended or time_is_up) then
      with_patience(look_into_ledger, self, operation_id, runs)
      states, all_ended, all_succeeded = count(runs)
    end
    if options.each then
      options.each(states)
    end
    if all_ended or time_is_up then
      return { runs = runs, states = states, succeeded = all_succeeded, timed_out = not all_ended }
    end
    sleep_until(deadline and min(now + pause, deadline) or now + pause)
    pause = interval or min(pause * 1.5, LONGEST_PAUSE)
  end
end
