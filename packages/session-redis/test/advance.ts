import { Redis } from "ioredis";
import type { RedisServer } from "../../../scripts/services/redis.ts";

/** Moves everything that was stored under a prefix into the past, in one step. */
const SHIFT = `
local prefix, ms, cursor = ARGV[1], tonumber(ARGV[2]), '0'
local keys = {}
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', '*' .. prefix .. '*', 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do keys[key] = true end
until cursor == '0'

local function past(time) return string.format('%.0f', time - ms) end

for key in pairs(keys) do
  local left = redis.call('PTTL', key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'zset' then
    local members = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
    for n = 1, #members, 2 do redis.call('ZINCRBY', key, -ms, members[n]) end
  elseif kind == 'hash' then
    local state, operations, owned = unpack(redis.call('HMGET', key, 'm', 'r', 'o'))
    if state then
      redis.call('HSET', key, 'm', (string.gsub(state, '^(%d+) (%d+) (%d+)', function(a, b, c)
        return past(a) .. ' ' .. past(b) .. ' ' .. past(c)
      end)))
    end
    if operations then
      redis.call('HSET', key, 'r', (string.gsub(operations, '(%d+)( [^\\n]*\\n)', function(time, name)
        return past(time) .. name
      end)))
    end
    if owned then
      local all = cjson.decode(owned)
      all[1] = all[1] - ms
      redis.call('HSET', key, 'o', cjson.encode(all))
    end
  end
  if left >= 0 then redis.call('PEXPIRE', key, left - ms) end
end
`;

/** On the one server, or each node of a cluster. */
export async function advance(
  servers: readonly Pick<RedisServer, "port">[],
  prefix: string,
  ms: number,
): Promise<void> {
  for (const { port } of servers) {
    const redis = new Redis(port);
    await redis.call("EVAL", SHIFT, "0", prefix, `${ms}`);
    redis.disconnect();
  }
}

/** Counts the keys under a prefix, on the one server or each node of a cluster. */
export async function countKeys(
  servers: readonly Pick<RedisServer, "port">[],
  prefix: string,
): Promise<number> {
  let count = 0;
  for (const { port } of servers) {
    const redis = new Redis(port);
    count += (await redis.keys(`*${prefix}*`)).length;
    redis.disconnect();
  }
  return count;
}
