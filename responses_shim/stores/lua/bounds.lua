-- What is done to the keys that are about all owners: how much each of them has, and which runs there are.
--
-- KEYS: owners, sizes, due, totals, runs.  ARGV: the operation, and its arguments in msgpack.

local owners, sizes, due, totals, runs = unpack(KEYS)
local call = redis.call
local a = cmsgpack.unpack(ARGV[2])

local time = call('TIME')
local now = a.now or time[1] + time[2] / 1000000

-- These keys are small, and what frees memory must not fail for want of it: of a script, Redis refuses only the first
-- write, and only if it is one that may take memory. This one is not.
call('DEL', totals .. '-')

local function exact(number)
  return string.format('%.17g', number)
end

local function keep()
  for _, key in ipairs(KEYS) do
    call('PEXPIRE', key, 2 * math.ceil(math.min(a.age, 1e9) * 1000))
  end
end

local operations = {}

-- Note what an owner has now, unless something newer is known. No report is late by a minute: what is newer by that
-- much comes from before the clock of the server was put back.
-- Returns an owner who has to drop what is too old (0), or else one who has to evict a tree (1), or nothing.
function operations.report()
  local known = call('HGET', owners, a.owner)
  local version, size, trees = 0, 0, 0
  if known then
    version, size, trees = unpack(cmsgpack.unpack(known))
  end
  if a.version > version or a.version < version - 60000000 then
    call('HINCRBY', totals, 'size', string.format('%d', a.size - size))
    call('HINCRBY', totals, 'trees', string.format('%d', a.trees - trees))
    if a.trees == 0 then
      call('HDEL', owners, a.owner)
      call('ZREM', sizes, a.owner)
      call('ZREM', due, a.owner)
      if call('HLEN', owners) == 0 then
        call('DEL', totals)
      end
    else
      call('HSET', owners, a.owner, cmsgpack.pack({a.version, a.size, a.trees}))
      call('ZADD', sizes, a.size, a.owner)
      call('ZADD', due, exact(a.due), a.owner)
    end
  end
  if a.evicted > 0 then
    call('HINCRBY', totals, 'evicted', a.evicted)
  end
  if a.ended then
    call('ZREM', runs, a.ended)
  end
  keep()
  local late = call('ZRANGEBYSCORE', due, '-inf', '(' .. exact(now), 'LIMIT', 0, 1)[1]
  if late then
    return {late, 0}
  end
  local all_size, all_trees = unpack(call('HMGET', totals, 'size', 'trees'))
  if tonumber(all_size or 0) > a.max_size or tonumber(all_trees or 0) > a.max_trees then
    local largest = call('ZREVRANGE', sizes, 0, 0)[1]
    return largest and {largest, 1}
  end
  return false
end

-- Note a run, before its record is added: who dies between the two leaves a note too many, never a run without one.
function operations.enroll()
  call('ZADD', runs, exact(now), a.run)
  keep()
  return true
end

-- The time, and the runs whose leases may have expired, each with the time that is noted for it.
function operations.runs()
  return {exact(now), call('ZRANGEBYSCORE', runs, '-inf', exact(now), 'WITHSCORES')}
end

-- Note when the leases of these runs expire, pairs of run and time; without a time, forget the run.
function operations.reschedule()
  for _, each in ipairs(a.runs) do
    if each[2] then
      call('ZADD', runs, 'XX', exact(each[2]), each[1])
    else
      call('ZREM', runs, each[1])
    end
  end
  return true
end

-- How many trees have been evicted.
function operations.evicted()
  return call('HGET', totals, 'evicted') or '0'
end

-- Some owners, with the time before which nothing of theirs will be too old.
function operations.owners()
  return call('ZRANGE', due, a.start, a.start + a.limit - 1, 'WITHSCORES')
end

return operations[ARGV[1]]()
