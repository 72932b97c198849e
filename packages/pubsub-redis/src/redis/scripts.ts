import { hash } from "node:crypto";

/**
 * A Lua script, which Redis runs as one atomic step.
 *
 * The id of a message in a stream is `<ms>-<n>`: the time, which never goes back, and a counter
 * without holes, by which a reader notices that something is missing.
 */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

function script(...parts: readonly string[]): Script {
  const text = parts.join("");
  return { text, sha: hash("sha1", text) };
}

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function integer(number) return string.format('%.0f', number) end
`;

/** Opens a stream: what is known of it, or a new epoch, and nothing that is left of an old one. */
const OPEN = `
local function open(stream, meta, fresh)
  local epoch, last, count, passed, revision =
    unpack(redis.call('HMGET', meta, 'epoch', 'last', 'count', 'passed', 'revision'))
  if not epoch then
    epoch, last, count = fresh, 0, 0
    redis.call('HSET', meta, 'epoch', epoch, 'last', 0, 'count', 0)
    redis.call('DEL', stream)
  end
  return {
    key = stream, meta = meta, epoch = epoch, last = tonumber(last), count = tonumber(count),
    passed = tonumber(passed or 0), revision = tonumber(revision or 0)
  }
end
local function headOf(it) return integer(it.last) .. '-' .. integer(it.count) end

local function trim(stream, maxMsgs, maxAge)
  redis.call('XTRIM', stream, 'MAXLEN', '=', maxMsgs)
  if maxAge ~= '' then
    redis.call('XTRIM', stream, 'MINID', '=', integer(math.max(0, now - maxAge + 1)))
  end
end
`;

/** Opens the one stream of a script that reads, with no more in it than its limits allow. */
const OPEN_ONE = `${NOW}${OPEN}
local stream, fresh, revision, maxMsgs, maxAge = KEYS[1], unpack(ARGV, 1, 4)
local it = open(stream, KEYS[2], fresh)
local epoch, count = it.epoch, it.count
local function head() return headOf(it) end
if it.revision < tonumber(revision) then redis.call('HSET', it.meta, 'revision', revision) end
trim(stream, maxMsgs, maxAge)
`;

/**
 * Publishes a batch of messages, in order. A message is stored in a stream and sent to those who hear
 * the stream; or passed on to them without being stored, if the stream retained its subject once; or
 * sent on a channel of its own.
 *
 * `done` holds the number of the last batch of a publisher, which sends one at a time. The client may
 * send a batch again after a lost connection, also one that was given up long before:
 *
 * - whatever isn't newer than the last is skipped, so that it is done at most once, in order;
 * - if the last is older than `floor`, the last that the publisher knows to be done, then Redis has
 *   forgotten what it has done, and does nothing: `lost`.
 *
 * A message that fails doesn't keep the others from being published: the reply lists which failed, and
 * with what. Such a batch isn't done again, and a repeat of it is `lost`, too.
 *
 * `stale` says that the streams aren't those that the publisher knows, and nothing was done. A server
 * that has become a replica replies with the error `READONLY`, and has done nothing either: a client's
 * `reconnectOnError` sees replies that are errors, and not those in lists.
 * `forgot` says that all was done, but Redis has no memory left to remember the number.
 */
export const PUBLISH: Script = script(
  NOW,
  OPEN,
  `
local done = KEYS[1]
local batch, floor, version, publish, size = unpack(ARGV, 1, 5)
size = tonumber(size)
-- On a replica a message would reach its own subscribers alone, and what is stored would fail one by one.
local mayWrite = redis.pcall('PEXPIRE', done, 600000)
if type(mayWrite) == 'table' and string.find(mayWrite.err, 'READONLY', 1, true) then return mayWrite end
local known, failed = string.match(redis.call('GET', done) or '0', '^(%d+)(.*)$')
known = tonumber(known)
if known == tonumber(batch) and failed ~= '' or known < tonumber(floor) then return 'lost' end
if known >= tonumber(batch) then return end
local first = #KEYS - 2 * size
if first == 2 and (redis.call('HGET', KEYS[2], 'version') or '') ~= version then return 'stale' end
for n = 1, size do
  local revision = redis.call('HGET', KEYS[first + 2 * n], 'revision')
  if tonumber(revision or 0) > tonumber(ARGV[2 + 5 * n]) then return 'stale' end
end
local streams = {}
local function streamAt(n)
  local it = streams[n]
  if not it then
    it = open(KEYS[first + 2 * n - 1], KEYS[first + 2 * n], ARGV[1 + 5 * n])
    it.channel = ARGV[5 + 5 * n]
    streams[n] = it
  end
  return it
end
local function publishFrom(n)
  local kind, name, data, messageId = unpack(ARGV, n, n + 3)
  local index = tonumber(kind)
  if not index then
    redis.call(publish, name, data)
  elseif index < 0 then
    local it = streamAt(-index)
    it.passed = it.passed + 1
    local place = headOf(it) .. '+' .. integer(it.passed)
    redis.call(publish, it.channel, it.epoch .. ' ' .. place .. ' ' .. name .. '\\n' .. data)
  else
    local it = streamAt(index)
    local once = it.key .. ':once:' .. messageId
    if messageId == '' or redis.call('SET', once, '', 'NX', 'PX', 120000) then
      local last, count = math.max(it.last, now), it.count + 1
      local id = integer(last) .. '-' .. integer(count)
      local added = redis.pcall('XADD', it.key, id, 's', name, 'd', data)
      if type(added) == 'table' and added.err then
        redis.pcall('DEL', once)
        error(added.err, 0)
      end
      it.last, it.count = last, count
      redis.call(publish, it.channel, it.epoch .. ' ' .. headOf(it) .. ' ' .. name .. '\\n' .. data)
    end
  end
end
local function save()
  for n, it in pairs(streams) do
    local revision, maxMsgs, maxAge = unpack(ARGV, 2 + 5 * n, 4 + 5 * n)
    redis.pcall(
      'HSET', it.meta, 'last', integer(it.last), 'count', integer(it.count),
      'passed', integer(it.passed), 'revision', integer(math.max(it.revision, tonumber(revision)))
    )
    pcall(trim, it.key, maxMsgs, maxAge)
  end
end
local failures = {}
for n = 6 + 5 * size, #ARGV, 4 do
  local isDone, problem = pcall(publishFrom, n)
  if not isDone then
    failures[#failures + 1] = integer((n - 6 - 5 * size) / 4)
    failures[#failures + 1] = type(problem) == 'table' and problem.err or problem
  end
end
save()
local mark = #failures > 0 and batch .. ' failed' or batch
local set = redis.pcall('SET', done, mark, 'PX', 600000)
if #failures > 0 then return failures end
if set.err then return 'forgot' end
`,
);

/** Returns where a stream is: its epoch, the id of its last message, and how many were passed on. */
export const HEAD: Script = script(OPEN_ONE, "return {epoch, head(), integer(it.passed)}");

/**
 * Reads a page after `from`: about 100 messages or 1 MiB at most, out of at most 1,000 that are
 * compared. Returns the epoch; the id of the first message in the stream and of the last one that was
 * compared; `end` if that was all, or `unknown` if `from` was never in the stream; the id of the last
 * message in the stream; and id, subject and data of each message that matches.
 */
export const READ: Script = script(
  OPEN_ONE,
  `
local from, pattern = unpack(ARGV, 5)
local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
local page = {epoch, first and first[1] or '', from, '', head()}
local function counter(id) return tonumber(string.match(id, '%d+$')) end
local isBefore = first and counter(from) < counter(first[1])
if counter(from) > count or first and not isBefore and #redis.call('XRANGE', stream, from, from) == 0 then
  page[4] = 'unknown'
  return page
end
local seen, found, bytes = 0, 0, 0
while seen < 1000 and found < 100 and bytes < 1048576 do
  local entries = redis.call('XRANGE', stream, '(' .. page[3], '+', 'COUNT', 32)
  for _, entry in ipairs(entries) do
    local id, fields = entry[1], entry[2]
    seen, page[3] = seen + 1, id
    if string.find(fields[2], pattern) then
      found, bytes = found + 1, bytes + #fields[4]
      page[#page + 1] = id
      page[#page + 1] = fields[2]
      page[#page + 1] = fields[4]
    end
  end
  if #entries < 32 then
    page[4] = 'end'
    break
  end
end
return page
`,
);

/** Looks back from `to` for the last `limit` messages that match. Returns the id before them. */
export const LOOK_BACK: Script = script(
  OPEN_ONE,
  `
local to, pattern, limit = unpack(ARGV, 5)
limit = tonumber(limit)
local seen, found = 0, 0
while seen < 1000 do
  local entries = redis.call('XREVRANGE', stream, to, '-', 'COUNT', 32)
  for _, entry in ipairs(entries) do
    seen = seen + 1
    if found == limit then return {epoch, entry[1], integer(found), 'end'} end
    if string.find(entry[2][2], pattern) then found = found + 1 end
    to = '(' .. entry[1]
  end
  if #entries < 32 then return {epoch, '0-0', integer(found), 'end'} end
end
return {epoch, to, integer(found), ''}
`,
);

/** Ends an epoch whose counter is behind one that was seen: the server has lost its last messages. */
export const NEW_EPOCH: Script = script(
  OPEN_ONE,
  `
if epoch == ARGV[5] then redis.call('HSET', it.meta, 'epoch', fresh) end
`,
);

/** Returns the list of streams: its version, and name after name with the settings. */
export const STREAMS: Script = script("return redis.call('HGETALL', KEYS[1])");

/** Changes the list of streams, if it is still the one that was read. */
export const CHANGE_STREAMS: Script = script(`
local version, next, channel = unpack(ARGV, 1, 3)
if (redis.call('HGET', KEYS[1], 'version') or '') ~= version then return 'stale' end
redis.call('HSET', KEYS[1], 'version', next, unpack(ARGV, 4))
redis.call('PUBLISH', channel, next)
`);
