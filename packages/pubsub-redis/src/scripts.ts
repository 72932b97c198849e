import { hash } from "node:crypto";

/**
 * What Redis runs, so that each is one atomic step.
 *
 * The id of a message in a stream is `<ms>-<n>`: the time, which never goes back, and a counter
 * without holes, by which whoever follows sees that something is missing.
 */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

const script = (...parts: readonly string[]): Script => {
  const text = parts.join("");
  return { text, sha: hash("sha1", text) };
};

/** Opens a stream: what is known of it, or a new epoch, and nothing that is left of an old one. */
const OPEN = `
local stream, meta = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function integer(number) return string.format('%.0f', number) end

local epoch, last, count
local function open(fresh)
  epoch, last, count = unpack(redis.call('HMGET', meta, 'epoch', 'last', 'count'))
  if epoch then
    last, count = tonumber(last), tonumber(count)
    return
  end
  epoch, last, count = fresh, 0, 0
  redis.call('HSET', meta, 'epoch', epoch, 'last', 0, 'count', 0)
  redis.call('DEL', stream)
end
local function head() return integer(last) .. '-' .. integer(count) end

local function trim(maxMsgs, maxAge)
  redis.call('XTRIM', stream, 'MAXLEN', '=', maxMsgs)
  if maxAge ~= '' then
    redis.call('XTRIM', stream, 'MINID', '=', integer(math.max(0, now - maxAge + 1)))
  end
end
`;

/**
 * Stores messages and sends them to those who follow the stream. `done` remembers the last batch of
 * each publisher, which sends one at a time: a client may send it again after a lost connection.
 */
export const STORE: Script = script(
  OPEN,
  `
local done = KEYS[3]
local batch, fresh, maxMsgs, maxAge, publish, channel = unpack(ARGV, 1, 6)
if redis.call('GET', done) == batch then return end
open(fresh)
for n = 7, #ARGV, 3 do
  local subject, data, messageId = unpack(ARGV, n, n + 2)
  local once = stream .. ':once:' .. messageId
  if messageId == '' or redis.call('SET', once, '', 'NX', 'PX', 120000) then
    last, count = math.max(last, now), count + 1
    redis.call('XADD', stream, head(), 's', subject, 'd', data)
    redis.call(publish, channel, epoch .. ' ' .. head() .. ' ' .. subject .. '\\n' .. data)
  end
end
redis.call('HSET', meta, 'last', integer(last), 'count', integer(count))
trim(maxMsgs, maxAge)
redis.call('SET', done, batch, 'PX', 600000)
`,
);

/** Sends plain messages, if the sender knows the streams of this moment: else one may be retained. */
export const SEND: Script = script(`
local streams, done = KEYS[1], KEYS[2]
local batch, version = ARGV[1], ARGV[2]
if redis.call('GET', done) == batch then return end
if (redis.call('HGET', streams, 'version') or '') ~= version then return 'stale' end
for n = 3, #ARGV, 2 do redis.call('PUBLISH', ARGV[n], ARGV[n + 1]) end
redis.pcall('SET', done, batch, 'PX', 600000)
`);

/** The same through a sharded channel, whose node knows nothing of the streams. */
export const SEND_SHARDED: Script = script(`
local done, batch, channel = KEYS[1], ARGV[1], ARGV[2]
if redis.call('GET', done) == batch then return end
for n = 3, #ARGV do redis.call('SPUBLISH', channel, ARGV[n]) end
redis.pcall('SET', done, batch, 'PX', 600000)
`);

/** Answers the epoch of a stream, with no more in it than its limits allow, and the id of its last message. */
export const HEAD: Script = script(
  OPEN,
  `
open(ARGV[1])
trim(ARGV[2], ARGV[3])
return {epoch, head()}
`,
);

/**
 * Reads a page behind `from`: at most some 100 messages or 1 MiB, of at most 1,000 looked at.
 * Answers the epoch, the id of the first message there is and of the last looked at, `end` if that
 * was all or `unknown` if `from` was never there, the id of the last message there is, and of each
 * message that matches its id, subject and data.
 */
export const READ: Script = script(
  OPEN,
  `
local fresh, maxMsgs, maxAge, from, pattern = unpack(ARGV)
open(fresh)
trim(maxMsgs, maxAge)
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

/** Looks back from `to` for the last `limit` messages that match; answers behind which id they are. */
export const LOOK_BACK: Script = script(
  OPEN,
  `
local fresh, maxMsgs, maxAge, to, pattern, limit = unpack(ARGV)
open(fresh)
trim(maxMsgs, maxAge)
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
  OPEN,
  `
open(ARGV[1])
if epoch == ARGV[2] then redis.call('HSET', meta, 'epoch', ARGV[1]) end
`,
);

/** The list of streams: its version, and name after name with the settings. */
export const STREAMS: Script = script("return redis.call('HGETALL', KEYS[1])");

/** Changes the list of streams, if it is still the one that was read. */
export const CHANGE_STREAMS: Script = script(`
local version, next, channel = unpack(ARGV, 1, 3)
if (redis.call('HGET', KEYS[1], 'version') or '') ~= version then return 'stale' end
redis.call('HSET', KEYS[1], 'version', next, unpack(ARGV, 4))
redis.call('PUBLISH', channel, next)
`);
