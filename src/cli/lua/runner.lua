-- Runs a script as the stock interpreter does. Returns nothing, or the message of the error it ended with.
local source, name = ...

-- A first line that begins with # is for the shell. It stays a line, so that the others keep their numbers.
source = source:gsub("^\xEF\xBB\xBF", ""):gsub("^#[^\n]*", "")

local script, message = load(source, name)
if not script then
  return message
end

local function explain(cause)
  if type(cause) == "string" or type(cause) == "number" then
    return debug.traceback(tostring(cause), 2)
  end
  local metatable = debug.getmetatable(cause)
  if metatable and metatable.__tostring then
    return tostring(cause)
  end
  return debug.traceback("(error object is a " .. type(cause) .. " value)", 2)
end

local done, text = xpcall(script, explain, table.unpack(arg))
if not done then
  return text
end
