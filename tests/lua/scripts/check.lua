-- What the tests assert with; a failed assertion names the test's line.
local check = {}

local function show(value)
  return type(value) == "string" and string.format("%q", value) or tostring(value)
end

function check.equal(found, expected)
  if found ~= expected then
    error("expected " .. show(expected) .. ", found " .. show(found), 2)
  end
end

function check.truthy(found)
  if not found then
    error("expected something, found " .. show(found), 2)
  end
end

-- The call raises an ErrorModel with this status, whose detail has these words. Returns it.
function check.raises(f, status, words)
  local done, failure = pcall(f)
  if done then
    error("expected an error", 2)
  end
  if type(failure) ~= "table" then
    error("expected an ErrorModel, found " .. show(failure), 2)
  end
  if failure.status ~= status or not (failure.detail or ""):find(words, 1, true) then
    error("expected " .. status .. " and " .. show(words) .. ", found " .. show(failure.status) .. ": " .. show(failure.detail), 2)
  end
  return failure
end

-- How many runs a host has.
function check.count(host, selector)
  local count = 0
  for _ in host:runs(selector or { match_all = true }) do
    count = count + 1
  end
  return count
end

return check
