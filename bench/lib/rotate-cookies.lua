-- wrk … -s rotate-cookies.lua URL -- PATH COOKIES: requests PATH with one line of the file COOKIES
-- after the other ("-": with none). Each of the two threads has half of them, and they are more than
-- its connections: no session is in two requests at once. Prints one line of JSON.
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  local path, file = args[1], args[2]
  requests, at = {}, 0
  if file == "-" then
    requests[1] = wrk.format("GET", path, {})
    return
  end
  local i = 0
  for line in io.lines(file) do
    if i % 2 == number then
      requests[#requests + 1] = wrk.format("GET", path, { ["Cookie"] = line })
    end
    i = i + 1
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'JSON{"requests":%d,"seconds":%f,"errors":%d,"p99":%f}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status,
    latency:percentile(99) / 1000))
end
