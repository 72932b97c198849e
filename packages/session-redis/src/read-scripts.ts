import { MOVING, NOW, type Script, script } from "./scripts.ts";

/** Returns the time, and the fields of each key; one more, `>`, if they now belong to another key. */
export const LOAD: Script = script(
  NOW,
  MOVING,
  `
local answers = {now}
for n, key in ipairs(KEYS) do
  local fields, moved = redis.pcall('HGETALL', key), false
  for _ = 1, 32 do
    if fields[1] ~= '>' then break end
    local next = string.sub(key, 1, -1 - #ARGV[n]) .. fields[2]
    if isAway(next, true) then return TRY_AGAIN end
    fields, moved = redis.pcall('HGETALL', next), true
  end
  if fields[1] == '>' then fields, moved = {}, false end
  if moved then
    fields[#fields + 1] = '>'
    fields[#fields + 1] = ''
  end
  answers[n + 1] = fields
end
return answers`,
);

/** As `LOAD`, with the entries alone whose names follow those of the keys. Leaves out what is elsewhere. */
export const LOAD_SOME: Script = script(
  NOW,
  MOVING,
  `
local names = {'>', 'm', 'r', 'o'}
for n = #KEYS + 1, #ARGV do names[#names + 1] = '=' .. ARGV[n] end
local answers = {now}
for n, key in ipairs(KEYS) do
  local moved = false
  local fields = redis.pcall('HMGET', key, unpack(names))
  for _ = 1, 32 do
    if fields.err or not fields[1] then break end
    local next = string.sub(key, 1, -1 - #ARGV[n]) .. fields[1]
    if isAway(next, true) then return TRY_AGAIN end
    fields, moved = redis.pcall('HMGET', next, unpack(names)), true
  end
  local answer = {}
  if fields.err then answer = fields
  elseif not fields[1] and fields[2] then
    for i = 2, #names do
      if fields[i] then
        answer[#answer + 1] = names[i]
        answer[#answer + 1] = fields[i]
      end
    end
    if moved then
      answer[#answer + 1] = '>'
      answer[#answer + 1] = ''
    end
  end
  answers[n + 1] = answer
end
return answers`,
);

/** Counts the keys that are those of live sessions. */
export const COUNT: Script = script(
  `
local count = 0
for _, key in ipairs(KEYS) do
  if redis.pcall('HEXISTS', key, 'm') == 1 then count = count + 1 end
end
return count`,
);
/** Returns a key as Redis has it: a client may put a prefix of its own before it. */
export const NAME: Script = script("return KEYS[1]");
