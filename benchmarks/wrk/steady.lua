-- Posts one file as JSON at a steady pace: each connection rests between its requests.
-- wrk ... -s steady.lua URL -- FILE

dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "post.lua")

function delay()
  return 10
end
