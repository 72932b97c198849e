import { hash } from "node:crypto";

/**
 * The scripts that Redis runs: one for each call of the store, so that each is one atomic step.
 *
 * All keys of a session begin with the same two characters in braces, which puts them in one slot:
 *
 * - `{ab}.…`, the session's key: a hash of
 *   `m`, "createdAt startedAt seenAt idle absolute publicId";
 *   `r`, its recent operations, a line for each: time, name;
 *   `k`, if it was renewed, as JSON: the keys that it had before, the latest first, 8 at most;
 *   `o`, if it has owners, as JSON: until when their lists hold it, owner, owner, …;
 *   and its entries, each under its name behind a `=`.
 *   When a session has been ended, `r` stays for a minute, together with `e`, the operation that
 *   ended it, `p`, the public id, and `w`, the former value of `o`.
 * - A key that it had before, for a minute: a hash of `>`, the key that came next, and `!` if the
 *   renewal changed the user: it and the keys before it accept no commit any more.
 * - `{ab}:<publicId>`, if it has owners: likewise, for as long as the session lives.
 *
 * An owner's list, `owner:<owner>`, has a slot of its own: a sorted set of `ab<publicId>`, scored
 * by the time until which it is known that the session may live.
 *
 * If all keys are on one node, the script of the sign-in limits the number of an owner's sessions,
 * and stores which ones it ended in `ended:<operation>` for a minute, for a repeat. On a cluster, a
 * sign-in first reserves a place: `!ab<publicId> <operation>` in the owner's list, scored by its
 * time, in one step with reading the list. So of two sign-ins the later one knows of the earlier.
 * It ends sessions, or is refused, as if those with an earlier reservation lived already; then it
 * is applied and gives the reservation back. A reservation counts for 10 s. Whoever ends it, or
 * finds it older, bars it where its session is: the key `{ab}:<publicId> <operation>`, for an hour.
 * A sign-in that is barred ends its session in the step in which it is applied.
 *
 * The first argument is the first key without its prefix, so that a script knows the prefix also
 * where the client has one besides.
 *
 * While a cluster moves a slot, a session's keys may be on two nodes. A script that needs one from
 * the other node changes nothing and returns `TRYAGAIN`; the client then repeats the command.
 */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

export function script(...parts: string[]): Script {
  const text = parts.join("\n");
  return { text, sha: hash("sha1", text) };
}

export const NOW: string = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local MINUTE, HOUR = 60000, 3600000
`;

export const MOVING: string = `
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

-- The key to which a key leads, what is there, if anything is, and whether a renewal on the way has
-- changed the user. Nothing: try again. One step, but for what an older version has left.
local function find(key)
  local barred = false
  for _ = 1, 32 do
    local next, bar, state, operations, owned =
      unpack(redis.call('HMGET', prefix .. key, '>', '!', 'm', 'r', 'o'))
    -- What has a state is a session, whatever else somebody has written there.
    if not next or state then return key, state, operations, owned, barred end
    if isAway(prefix .. next, true) then return end
    key, barred = next, barred or bar
  end
  -- No chain of sessions is this long: it is a cycle, which this store didn't write.
  return key
end

-- Under which a session is found by its public id: what an owner's list holds leads here.
local function handle(key, publicId)
  return prefix .. string.match(key, '{..}') .. ':' .. publicId
end

-- Says that a sign-in comes too late to make the session with that handle its owner's.
local function bar(handle, signIn)
  return handle .. ' ' .. signIn
end

-- Ends a session. Its operations stay: one that is sent again does no more. So does what the operation
-- that ended it has returned.
local function finish(key, publicId, owned, operation)
  local record = prefix .. key
  for _, name in ipairs(redis.call('HKEYS', record)) do
    if name ~= 'r' then redis.call('HDEL', record, name) end
  end
  if operation then
    redis.call('HSET', record, 'e', operation, 'p', publicId, 'w', owned or '[0]')
  end
  redis.call('PEXPIRE', record, MINUTE)
  if owned and operation then redis.call('PEXPIRE', handle(key, publicId), MINUTE)
  elseif owned then redis.call('DEL', handle(key, publicId)) end
end
`;

/** Reads what a record holds as JSON, and its state. What is damaged is as if it weren't there. */
const READ = `
-- JSON as Redis reads it has numbers that it can't write again.
local function isFinite(item)
  return type(item) == 'number' and item == item and math.abs(item) < math.huge
end

-- The texts of a list, and the number that it may begin with.
local function decoded(json)
  local isJson, list = pcall(cjson.decode, json or '[]')
  local texts, number = {}, 0
  for n, item in ipairs(isJson and type(list) == 'table' and list or {}) do
    if type(item) == 'string' then texts[#texts + 1] = item
    elseif n == 1 and isFinite(item) then number = item end
  end
  return texts, number
end

local function owns(owned, owner)
  for _, other in ipairs(decoded(owned)) do
    if other == owner then return true end
  end
  return false
end

-- Whether owners are damaged: they follow the time until which their lists hold the session.
local function isDamaged(owned)
  if not owned then return false end
  local isJson, list = pcall(cjson.decode, owned)
  if not isJson or type(list) ~= 'table' or not isFinite(list[1]) then return true end
  for n = 2, #list do
    if type(list[n]) ~= 'string' then return true end
  end
  return false
end

-- createdAt, startedAt, seenAt, idle, absolute and publicId, or nothing.
local function read(state)
  local created, started, seen, idle, absolute, publicId =
    string.match(state, '^(%d+) (%d+) (%d+) (%S+) (%S+) (.+)$')
  if not created then return end
  for _, text in ipairs({idle, absolute}) do
    local number = tonumber(text)
    if not number or number ~= number then return end
  end
  return created, started, seen, idle, absolute, publicId
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

/** A create, if it brings a public id, or a commit. */
export const WRITE: Script = script(
  NOW,
  MOVING,
  FIND,
  READ,
  ENLIST,
  `
local key, enlisted, operation, publicId, touch, restart, idle, absolute, renewTo, userChanged =
  unpack(ARGV, 1, 10)
local isCreate, isRenewal = publicId ~= '', renewTo ~= ''

local at = 11
local function list()
  local items = {}
  for n = at + 1, at + ARGV[at] do items[#items + 1] = ARGV[n] end
  at = at + 1 + #items
  return items
end
local set, delete, expect, absent, add, remove = list(), list(), list(), list(), list(), list()
-- If it is there, the key is a handle, and the session must have this owner.
local owner = list()[1]
local limited, limit, refuses = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2] == 'refuse'

local now_ = string.format('%.0f', now)

-- With this operation, and without those of more than a minute ago, or beyond 4,000 bytes; but 400
-- bytes stay, however old. Nothing: it was applied before.
local function remember(operations)
  if string.find(operations, ' ' .. operation .. '\\n', 1, true) then return end
  while #operations > 4000 or #operations > 400 and
    (tonumber(string.match(operations, '^%d+')) or 0) < now - MINUTE do
    operations = string.sub(operations, (string.find(operations, '\\n', 1, true) or #operations) + 1)
  end
  return operations .. now_ .. ' ' .. operation .. '\\n'
end

local session, state, operations, owned, barred = find(key)
if not session then return TRY_AGAIN end
if owner then
  -- A handle goes with the last owner: a repeat finds the session where the first has moved it.
  if not state then
    if not isRenewal then return {'gone'} end
    session, state, operations, owned = find(renewTo)
    if not session then return TRY_AGAIN end
    if not string.find(operations or '', ' ' .. operation .. '\\n', 1, true) then return {'gone'} end
  end
  key, barred = session, false
end
local isOld = session ~= key
-- The writer's own key: that of a successor made by somebody else is never returned.
local function saved(ended)
  if isRenewal then return {'saved', renewTo, '', ended} end
  return {'saved', key, isOld and 'renewed' or '', ended}
end
operations = remember(operations or '')
if not operations then
  return saved(limited and enlisted == 'here' and redis.call('GET', prefix .. 'ended:' .. operation))
end

if isCreate then
  if state then return {'taken'} end
  session = key
  state = table.concat({now_, now_, now_, idle, absolute, publicId}, ' ')
elseif not state then
  return {'gone'}
elseif isOld and (isRenewal or barred) then
  return {'renewed'}
end
if owner and not owns(owned, owner) then return {'gone'} end
local record = prefix .. session

local holds = true
for n = 1, #expect, 2 do
  holds = holds and redis.call('HGET', record, '=' .. expect[n]) == expect[n + 1]
end
for _, name in ipairs(absent) do
  holds = holds and redis.call('HEXISTS', record, '=' .. name) == 0
end
if not holds and isOld then return {'renewed'} end
if not holds then return {'conflict', redis.call('HGETALL', record)} end

if isRenewal then
  local found, taken = find(renewTo)
  if not found then return TRY_AGAIN end
  if taken then return {'taken'} end
end

local created, started, seen, idled, life
created, started, seen, idled, life, publicId = read(state)
if not created then return {'damaged'} end
if touch ~= '' then seen = now_ end
if restart ~= '' then started = now_ end
if idle ~= '' then idled = idle end
if absolute ~= '' then life = absolute end
state = table.concat({created, started, seen, idled, life, publicId}, ' ')

-- The last time that JSON here holds to the millisecond.
local FOREVER = 9e13
local deadline = math.ceil(math.min(started + life, FOREVER))
local ends = math.ceil(math.min(seen + idled, deadline))

local owners, isNew, before, till = {}, false, decoded(owned)
for _, owner in ipairs(before) do owners[owner] = true end
for _, owner in ipairs(remove) do owners[owner] = nil end
for _, owner in ipairs(add) do
  isNew = isNew or not owners[owner]
  owners[owner] = true
end
local isOwned = next(owners) ~= nil
local member = string.match(session, '{(..)}') .. publicId

-- The other sessions of the owner who is limited, the longest unused first.
local due = {}
if limited and enlisted == 'here' then
  for _, other in ipairs(redis.call('ZRANGE', prefix .. 'owner:' .. limited, 0, -1)) do
    local at, state, _, owned = find('{' .. string.sub(other, 1, 2) .. '}:' .. string.sub(other, 3))
    if other ~= member and state and owns(owned, limited) then
      local _, _, used = read(state)
      due[#due + 1] = {seen = tonumber(used) or 0, key = at, owned = owned, member = other}
    end
  end
  if refuses and #due >= limit then return {'full'} end
  table.sort(due, function(a, b) return a.seen < b.seen end)
end

if (isOwned or owned) and isAway(handle(session, publicId), owned) then return TRY_AGAIN end
local isBarred = false
if limited then
  local key = bar(handle(session, publicId), operation)
  if isAway(key) then return TRY_AGAIN end
  isBarred = redis.call('EXISTS', key) == 1
end

-- A session gets no owner and no longer life before its owners' lists hold it for as long: else a
-- sign-out everywhere might miss it. They hold it for longer, so that few touches change them; and
-- longer than to the deadline, which a restart moves on while the client sees to them.
if isOwned and (isNew or ends > till or limited) then
  till = math.ceil(math.min(now + 2 * idled, deadline + MINUTE))
  local wanted = {till, now}
  for owner in pairs(owners) do wanted[#wanted + 1] = owner end
  if enlisted == 'here' then
    for n = 3, #wanted do enlist(prefix .. 'owner:' .. wanted[n], member, till) end
  else
    -- In other slots: the client sees to it, and comes again. If it comes late, a bar may have gone.
    local listed, asked = {}, 0
    for n, owner in ipairs(enlisted ~= '' and cjson.decode(enlisted) or {0, 0}) do
      if n == 1 then till = owner elseif n == 2 then asked = owner else listed[owner] = true end
    end
    local isListed = ends <= till and now < asked + HOUR / 2
    for owner in pairs(owners) do isListed = isListed and listed[owner] end
    if not isListed then return {'enlist', cjson.encode(wanted), publicId} end
  end
end

-- If the memory is full, the first write is refused, and so nothing is applied.
redis.call('HSET', record, 'm', state, 'r', operations)
if isCreate then redis.call('HDEL', record, '>', '!', 'e', 'p', 'w') end
local ended = {}
for n = 1, #due + 1 - (limit or 1) do
  local other = due[n]
  local name = string.sub(other.member, 3)
  finish(other.key, name, other.owned)
  for _, owner in ipairs(decoded(other.owned)) do
    redis.call('ZREM', prefix .. 'owner:' .. owner, other.member)
  end
  ended[n] = {name, other.owned}
end
if isRenewal then
  session = renewTo
  local oldKeys = redis.call('HGET', record, 'k')
  redis.call('RENAME', record, prefix .. session)
  redis.call('HSET', record, '>', session)
  if userChanged ~= '' then redis.call('HSET', record, '!', '1') end
  redis.call('PEXPIRE', record, MINUTE)
  -- The keys that it had before lead here at once, so that no path grows with the renewals.
  local kept = {key}
  for n, old in ipairs(decoded(oldKeys)) do
    if n >= 8 then
      redis.call('DEL', prefix .. old)
    elseif redis.call('HEXISTS', prefix .. old, '>') == 1 then
      redis.call('HSET', prefix .. old, '>', session)
      if userChanged ~= '' then redis.call('HSET', prefix .. old, '!', '1') end
      kept[#kept + 1] = old
    end
  end
  redis.call('HSET', prefix .. session, 'k', cjson.encode(kept))
  record = prefix .. session
end
for _, name in ipairs(delete) do redis.call('HDEL', record, '=' .. name) end
for n = 1, #set, 2 do redis.call('HSET', record, '=' .. set[n], set[n + 1]) end
local all = {till}
for owner in pairs(owners) do all[#all + 1] = owner end
all = cjson.encode(all)
if isBarred then
  ended[1], ends = {publicId, all}, now
end
local told
if ended[1] then
  told = cjson.encode(ended)
  if enlisted == 'here' then redis.call('SET', prefix .. 'ended:' .. operation, told, 'PX', MINUTE) end
end
if ends <= now then
  finish(session, publicId, isOwned or owned)
  return saved(told)
end
redis.call('PEXPIREAT', record, ends)
if isOwned then
  redis.call('HSET', record, 'o', all)
  redis.call('HSET', handle(session, publicId), '>', session)
  redis.call('PEXPIREAT', handle(session, publicId), ends)
elseif owned then
  redis.call('HDEL', record, 'o')
  redis.call('DEL', handle(session, publicId))
end
return saved(told)
`,
);

/**
 * Ends a session by an operation, if it has a name; with a third argument only if that is an owner. The
 * fourth is the operation of a sign-in that is barred if the session isn't the owner's yet.
 */
export const DESTROY: Script = script(
  NOW,
  MOVING,
  FIND,
  READ,
  `
local session, state, _, owned = find(ARGV[1])
if not session then return TRY_AGAIN end
local operation, owner, signIn = ARGV[2] ~= '' and ARGV[2] or nil, ARGV[3], ARGV[4]
if signIn and not (state and owns(owned, owner)) then
  if isAway(bar(KEYS[1], signIn)) then return TRY_AGAIN end
  redis.call('SET', bar(KEYS[1], signIn), '', 'PX', HOUR)
end
local endedBy, ended
if not state then
  endedBy, ended, owned = unpack(redis.call('HMGET', prefix .. session, 'e', 'p', 'w'))
  if not operation or endedBy ~= operation then return end
end
-- The owner's list has led here: damaged owners are in the way of no sign-out.
if owner and not owns(owned, owner) and not isDamaged(owned) then return end
if ended then return {ended, owned} end

-- Also of a damaged record, for which its owner's list may know the name.
local _, _, _, _, _, publicId = read(state)
publicId = publicId or string.match(ARGV[1], '^{..}:(.+)$') or ''
if owned and isAway(handle(session, publicId), true) then return TRY_AGAIN end
finish(session, publicId, owned, operation)
return {publicId, owned or '[0]'}
`,
);

/** The commands on an owner's list alone, which may be in another slot than its sessions. */
export const LIST: Script = script("return redis.call('ZRANGE', KEYS[1], 0, -1)");
export const ENLIST_ONE: Script = script(NOW, ENLIST, "enlist(KEYS[1], ARGV[1], ARGV[2])");
/** Lists a session, reserves a place for it, and returns what else was in the list, and the time. */
export const RESERVE: Script = script(
  NOW,
  ENLIST,
  `
local before = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
enlist(KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[3])
before[#before + 1] = string.format('%.0f', now)
return before`,
);
/** Stores what an operation is to end, and returns what it stored the first time. */
export const ONCE: Script = script(
  `
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return ARGV[1] end
return redis.call('GET', KEYS[1])`,
);
/** Returns the sessions that a sign-in has ended for a limit, if the reply to it was lost. */
export const ENDED: Script = script("return redis.call('GET', KEYS[1])");
export const FORGET: Script = script("redis.call('ZREM', KEYS[1], ARGV[1])");
