-- Posts one file as JSON at a steady pace: each connection rests between its requests.
-- wrk ... -s steady.lua URL -- FILE REST_MS

dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "post.lua")
local post = init
local rest_ms

function init(args)
  post(args)
  rest_ms = tonumber(args[2])
end

function delay()
  return rest_ms
end
