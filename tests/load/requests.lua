-- wrk's requests: good and bad ones by turns, each with the statuses that it may have.

local path = "/api/runs/bulk/rerun"
local json = { ["Content-Type"] = "application/json" }

local kinds = {
   { "POST", path, '{"match_all":true,"filter":{"status":"failed","task_name":"nightly-invoices"},"options":{"dry_run":true}}' },
   { "POST", path, '{"matchAll":true,"filter":{"taskName":"nothing"}}' },
   { "POST", path, '{"ids":["01HELLO"]}' },
   { "POST", path, '{"match_all":true,"filter":{"task_name":"backup-postgres"},"options":{"skip_active":true}}' },
   { "POST", path, '{"match_all":true,"ids":["x"]}' },
   { "POST", path, '{"match_all":true,"filter":{"exit_code_min":"x"}}' },
   { "POST", path, '{"ids":["01HELLO"],"options":{"expect_plan":"sha256:0"}}' },
   { "POST", path, "{" },
   { "PUT", path, "{}" },
   { "GET", "/nope", nil },
   { "GET", "/healthz", nil },
   { "GET", "/metrics", nil },
}
local expected = { [200] = true, [400] = true, [404] = true, [405] = true, [409] = true, [422] = true, [503] = true }

local threads = {}
function setup(thread)
   table.insert(threads, thread)
end

function init()
   unexpected, seen, turn = 0, {}, 0
end

function request()
   turn = turn % #kinds + 1
   local method, where, body = unpack(kinds[turn])
   return wrk.format(method, where, json, body)
end

function response(status)
   seen[status] = (seen[status] or 0) + 1
   if not expected[status] then unexpected = unexpected + 1 end
end

function done()
   local all, sum = {}, 0
   for _, thread in ipairs(threads) do
      sum = sum + thread:get("unexpected")
      for status, times in pairs(thread:get("seen")) do all[status] = (all[status] or 0) + times end
   end
   for status, times in pairs(all) do print(status .. ": " .. times) end
   print("unexpected: " .. sum)
end
