#!/usr/bin/env lua
-- A report of what a re-run of the failures since then (24h) would start, as CSV. Changes nothing.
--
--     bulk-rerun lua report.lua STORE [SINCE] > report.csv

local bulk_rerun = require "bulk_rerun"

local store, since = arg[1], arg[2] or "24h"
if not store then
  io.stderr:write("usage: report.lua STORE [SINCE]\n")
  os.exit(2)
end

-- A field as RFC 4180 has it.
local function csv(value)
  local text = value == nil and "" or tostring(value)
  if text:find('[",\r\n]') then
    text = '"' .. text:gsub('"', '""') .. '"'
  end
  return text
end

local function line(...)
  local fields = {}
  for index = 1, select("#", ...) do
    fields[index] = csv((select(index, ...)))
  end
  io.write(table.concat(fields, ","), "\r\n")
end

local host = bulk_rerun.open { store = store }
local plan = host:plan {
  match_all = true,
  filter = { is_failure = true, created_after = bulk_rerun.ago(since) },
}

local groups = {} -- by task
local sources = bulk_rerun.array()
for _, group in ipairs(plan.planned) do
  groups[group.task_name] = group
  sources[#sources + 1] = group.rerun_of
end

line("task", "source run", "created at", "ended", "exit code", "failures", "parameters")
if #sources > 0 then
  for run in host:runs { ids = sources } do
    local group = groups[run.task_name]
    -- Another task's run may bear the same id.
    if group and group.rerun_of == run.id then
      line(run.task_name, run.id, run.created_at, run.end_reason, run.exit_code, group.matched, run.params_text)
    end
  end
end
for _, skipped in ipairs(plan.skipped or {}) do
  line(skipped.task_name, skipped.run_id, nil, "skipped: " .. skipped.reason, nil, nil, nil)
end
host:close()
