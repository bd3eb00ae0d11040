-- The load that wrk makes in `served.py`, and how it reports: one line of JSON.
-- Its argument is the method; a POST has a JSON document of 1024 bytes.

function init(args)
  if args[1] == "POST" then
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.body = '{"text": "' .. string.rep("x", 1024 - 12) .. '"}'
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "p50": %.6f, "p99": %.6f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
