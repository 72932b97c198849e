import { hash } from "node:crypto";

/**
 * What Redis runs: a script for each call of the store, so that each is one atomic step.
 *
 * All keys of a session begin with the same two characters in braces, which puts them in one slot:
 *
 * - `{ab}.…`, the session's key: a hash of
 *   `m`, "createdAt startedAt seenAt idle absolute publicId";
 *   `r`, its recent operations, a line for each: time, name;
 *   `o`, if it has owners, as JSON: until when their lists hold it, owner, owner, …;
 *   and its entries, each under its name behind a `=`.
 *   Of a session that was ended `r` alone stays for a minute.
 * - A key that it had before, for a minute: a hash of `>`, the key that came next.
 * - `{ab}:<publicId>`, if it has owners: likewise, for as long as the session lives.
 *
 * An owner's list, `owner:<owner>`, has a slot of its own: a sorted set of `ab<publicId>`, scored by
 * the time until which it is known that the session may live.
 *
 * The first argument is the first key without its prefix, so that a script knows the prefix also
 * where the client has one besides.
 *
 * While a cluster moves a slot, a session's keys may be on two nodes. A script that needs one from
 * the other node changes nothing and answers `TRYAGAIN`, upon which the client does.
 */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

const script = (...parts: string[]): Script => {
  const text = parts.join("\n");
  return { text, sha: hash("sha1", text) };
};

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local MINUTE, HOUR = 60000, 3600000
`;

const MOVING = `
local TRY_AGAIN = {err = 'TRYAGAIN the slot of the session is being moved'}

-- Whether a key may be on another node. One that must be somewhere is, if it isn't here.
local function isAway(key, mustBe)
  local found = redis.pcall('EXISTS', key)
  if found == 1 or found == 0 and not mustBe then return false end
  local nodes = redis.pcall('CLUSTER', 'NODES')
  return type(nodes) == 'string' and string.find(nodes, ' [', 1, true) ~= nil
end
`;

const FIND = `
local prefix = string.sub(KEYS[1], 1, -1 - #ARGV[1])

-- The key to which a key leads, and what is there, if anything is. Nothing: try again.
local function find(key)
  for _ = 1, 32 do
    local next, state, operations, owned =
      unpack(redis.call('HMGET', prefix .. key, '>', 'm', 'r', 'o'))
    if not next then return key, state, operations, owned end
    if isAway(prefix .. next, true) then return end
    key = next
  end
end

-- Under which a session is found by its public id: what an owner's list holds leads here.
local function handle(key, publicId)
  return prefix .. string.match(key, '{..}') .. ':' .. publicId
end

-- Ends a session. Its operations stay: one that is sent again does no more.
local function finish(key, publicId, isOwned)
  for _, name in ipairs(redis.call('HKEYS', prefix .. key)) do
    if name ~= 'r' then redis.call('HDEL', prefix .. key, name) end
  end
  redis.call('PEXPIRE', prefix .. key, MINUTE)
  if isOwned then redis.call('DEL', handle(key, publicId)) end
end
`;

const ENLIST = `
-- Kept for an hour more than needed: each node of a cluster has its own clock.
local function enlist(list, member, till)
  redis.call('ZADD', list, 'GT', till, member)
  redis.call('ZREMRANGEBYSCORE', list, '-inf', now - HOUR)
  local last = redis.call('ZRANGE', list, -1, -1, 'WITHSCORES')
  redis.call('PEXPIREAT', list, last[2] + HOUR)
end
`;

/** Answers the time, and for each key the fields; one more, `>`, if they are another key's by now. */
export const LOAD: Script = script(
  NOW,
  MOVING,
  `
local answers = {now}
for n, key in ipairs(KEYS) do
  local fields, moved = redis.pcall('HGETALL', key), false
  while fields[1] == '>' do
    local next = string.sub(key, 1, -1 - #ARGV[n]) .. fields[2]
    if isAway(next, true) then return TRY_AGAIN end
    fields, moved = redis.pcall('HGETALL', next), true
  end
  if moved then
    fields[#fields + 1] = '>'
    fields[#fields + 1] = ''
  end
  answers[n + 1] = fields
end
return answers`,
);

/** A create, if it brings a public id, or a commit. */
export const WRITE: Script = script(
  NOW,
  MOVING,
  FIND,
  ENLIST,
  `
local key, enlisted, operation, publicId, touch, restart, idle, absolute, renewTo =
  unpack(ARGV, 1, 9)
local isCreate, isRenewal = publicId ~= '', renewTo ~= ''

local at = 10
local function list()
  local items = {}
  for n = at + 1, at + ARGV[at] do items[#items + 1] = ARGV[n] end
  at = at + 1 + #items
  return items
end
local set, delete, expect, absent, add, remove = list(), list(), list(), list(), list(), list()

local now_ = string.format('%.0f', now)

-- With this operation, and without those of more than a minute ago, or beyond 4,000 bytes; but 400
-- bytes stay, however old. Nothing: it was applied before.
local function remember(operations)
  if string.find(operations, ' ' .. operation .. '\\n', 1, true) then return end
  while #operations > 4000 or #operations > 400 and
    (tonumber(string.match(operations, '^%d+')) or 0) < now - MINUTE do
    operations = string.sub(operations, string.find(operations, '\\n', 1, true) + 1)
  end
  return operations .. now_ .. ' ' .. operation .. '\\n'
end

local session, state, operations, owned = find(key)
if not session then return TRY_AGAIN end
operations = remember(operations or '')
if not operations then return {'saved', session} end

if isCreate then
  if state then return {'taken'} end
  session = key
  state = table.concat({now_, now_, now_, idle, absolute, publicId}, ' ')
elseif not state then
  return {'gone'}
elseif isRenewal and session ~= key then
  return {'renewed'}
end
local record = prefix .. session

local holds = true
for n = 1, #expect, 2 do
  holds = holds and redis.call('HGET', record, '=' .. expect[n]) == expect[n + 1]
end
for _, name in ipairs(absent) do
  holds = holds and redis.call('HEXISTS', record, '=' .. name) == 0
end
if not holds then return {'conflict', redis.call('HGETALL', record)} end

if isRenewal then
  local found, taken = find(renewTo)
  if not found then return TRY_AGAIN end
  if taken then return {'taken'} end
end

local created, started, seen, idled, limit
created, started, seen, idled, limit, publicId =
  string.match(state, '^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
if touch ~= '' then seen = now_ end
if restart ~= '' then started = now_ end
if idle ~= '' then idled = idle end
if absolute ~= '' then limit = absolute end
state = table.concat({created, started, seen, idled, limit, publicId}, ' ')

-- The last time that JSON here holds to the millisecond.
local FOREVER = 9e13
local deadline = math.ceil(math.min(started + limit, FOREVER))
local ends = math.ceil(math.min(seen + idled, deadline))

local owners, isNew, till = {}, false, 0
for n, owner in ipairs(owned and cjson.decode(owned) or {}) do
  if n == 1 then till = owner else owners[owner] = true end
end
for _, owner in ipairs(remove) do owners[owner] = nil end
for _, owner in ipairs(add) do
  isNew = isNew or not owners[owner]
  owners[owner] = true
end
local isOwned = next(owners) ~= nil
if (isOwned or owned) and isAway(handle(session, publicId), owned) then return TRY_AGAIN end

-- A session gets no owner and no longer life before its owners' lists hold it for as long: else a
-- sign-out everywhere might miss it. They hold it for longer, so that few touches change them; and
-- longer than to the deadline, which a restart moves on while the client sees to them.
if isOwned and (isNew or ends > till) then
  till = math.ceil(math.min(now + 2 * idled, deadline + MINUTE))
  local wanted = {till}
  for owner in pairs(owners) do wanted[#wanted + 1] = owner end
  if enlisted == 'here' then
    local member = string.match(session, '{(..)}') .. publicId
    for n = 2, #wanted do enlist(prefix .. 'owner:' .. wanted[n], member, till) end
  else
    -- In other slots: the client sees to it, and comes again.
    local listed = {}
    for n, owner in ipairs(enlisted ~= '' and cjson.decode(enlisted) or {0}) do
      if n == 1 then till = owner else listed[owner] = true end
    end
    local isListed = ends <= till
    for owner in pairs(owners) do isListed = isListed and listed[owner] end
    if not isListed then return {'enlist', cjson.encode(wanted), publicId} end
  end
end

-- If the memory is full, the first write is refused, and so nothing is applied.
redis.call('HSET', record, 'm', state, 'r', operations)
if isCreate then redis.call('HDEL', record, '>') end
if isRenewal then
  session = renewTo
  redis.call('RENAME', record, prefix .. session)
  redis.call('HSET', record, '>', session)
  redis.call('PEXPIRE', record, MINUTE)
  record = prefix .. session
end
for _, name in ipairs(delete) do redis.call('HDEL', record, '=' .. name) end
for n = 1, #set, 2 do redis.call('HSET', record, '=' .. set[n], set[n + 1]) end
if ends <= now then
  finish(session, publicId, isOwned or owned)
  return {'saved', session}
end
redis.call('PEXPIREAT', record, ends)
if isOwned then
  local all = {till}
  for owner in pairs(owners) do all[#all + 1] = owner end
  redis.call('HSET', record, 'o', cjson.encode(all))
  redis.call('HSET', handle(session, publicId), '>', session)
  redis.call('PEXPIREAT', handle(session, publicId), ends)
elseif owned then
  redis.call('HDEL', record, 'o')
  redis.call('DEL', handle(session, publicId))
end
return {'saved', session}
`,
);

/** Ends a session; with a second argument only if that is an owner of it. */
export const DESTROY: Script = script(
  NOW,
  MOVING,
  FIND,
  `
local session, state, _, owned = find(ARGV[1])
if not session then return TRY_AGAIN end
if not state then return end
local owner = ARGV[2]
local isOwner = owner == nil
for n, other in ipairs(owned and cjson.decode(owned) or {}) do
  isOwner = isOwner or n > 1 and other == owner
end
if not isOwner then return end

local publicId = string.match(state, '^%S+ %S+ %S+ %S+ %S+ (.*)$')
if owned and isAway(handle(session, publicId), true) then return TRY_AGAIN end
finish(session, publicId, owned)
return {publicId, owned or '[0]'}
`,
);

/** What is done to an owner's list alone, which may be in another slot than its sessions. */
export const LIST: Script = script("return redis.call('ZRANGE', KEYS[1], 0, -1)");
export const ENLIST_ONE: Script = script(NOW, ENLIST, "enlist(KEYS[1], ARGV[1], ARGV[2])");
export const FORGET: Script = script("redis.call('ZREM', KEYS[1], ARGV[1])");
