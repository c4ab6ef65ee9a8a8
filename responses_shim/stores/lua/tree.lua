-- The records, items, logs and trees of one owner: what the operations in operations.lua, which follows, are made of.
--
-- redis.py says what the keys are. KEYS: index, used, ending. ARGV: an operation, and its arguments in msgpack.
-- Python puts the constants RECORD_SIZE, ITEM_SIZE, EVENT_SIZE, LOG_SIZE, LOG_AGE, READ_ENTRIES and READ_SIZE before
-- this.

local index, used, ending = KEYS[1], KEYS[2], KEYS[3]
local base = string.sub(index, 1, -string.len('index') - 1)
local call, pack, unpack_one = redis.call, cmsgpack.pack, cmsgpack.unpack
local a = unpack_one(ARGV[2])

local time = call('TIME')
local version = time[1] * 1000000 + time[2]
local now = a.now or version / 1000000
local oldest = now - a.age
local data_ttl = math.ceil(math.min(a.age, 1e9) * 1000)
local names_ttl = 2 * data_ttl

local RUNNING = {queued = true, in_progress = true}

local function has_ended(record)
  return record.kind == 'response' and not RUNNING[record.status]
end

-- Keys and fields ----------------------------------------------------------------------------------------------------

local function tree_key(root)
  return base .. 'tree:' .. root
end

local function items_key(root)
  return base .. 'items:' .. root
end

local function data_key(root)
  return base .. 'data:' .. root
end

local function log_key(log, id)
  return base .. log .. ':' .. id
end

-- The field for an item of a record, or something else of it. The length keeps apart item 2 of the record "a1" and item
-- 12 of the record "a".
local function field(kind, id, rest)
  return kind .. string.len(id) .. ':' .. id .. rest
end

-- A number with all its digits; Lua alone would write 14 of them.
local function exact(number)
  return string.format('%.17g', number)
end

-- Deletes and reads go on when memory is full: of a script, Redis refuses only the first write, and only if it is one
-- that may take memory. This one is not.
local function may_be_full()
  call('DEL', base .. '-')
end

-- Records ------------------------------------------------------------------------------------------------------------

local function load(root, id)
  local packed = call('HGET', tree_key(root), id)
  return packed and unpack_one(packed)
end

local function save(root, id, record)
  call('HSET', tree_key(root), id, pack(record))
end

-- The root of a record's tree and the record, unless it is too old, or hidden, or Redis has evicted it.
local function find(id, hidden_too)
  local root = call('HGET', index, 'r:' .. id)
  if not root then
    return nil
  end
  local used_at = call('ZSCORE', used, root)
  if not used_at or tonumber(used_at) < oldest or call('EXISTS', data_key(root)) == 0 then
    return nil
  end
  local record = load(root, id)
  if not record or (record.hidden and not hidden_too) then
    return nil
  end
  return root, record
end

local function use(root)
  call('ZADD', used, exact(now), root)
  call('PEXPIRE', data_key(root), data_ttl)
  call('PEXPIRE', tree_key(root), names_ttl)
  call('PEXPIRE', items_key(root), names_ttl)
  for _, key in ipairs(KEYS) do
    call('PEXPIRE', key, names_ttl)
  end
end

local function resize(root, bytes)
  if bytes ~= 0 then  -- Lua has a negative zero, which is no integer to Redis
    call('HINCRBY', index, 'z:' .. root, bytes)
    call('HINCRBY', index, 'size', bytes)
  end
end

-- Items --------------------------------------------------------------------------------------------------------------

-- Who has an item: ids of records and the item's numbers in them, one after the other, the latest last.
local function holders_of(item)
  local packed = call('HGET', index, 'i:' .. item)
  return packed and unpack_one(packed) or {}
end

-- The number of an item in a record.
local function number_of(item, id)
  local holders = holders_of(item)
  for i = 1, #holders, 2 do
    if holders[i] == id then
      return holders[i + 1]
    end
  end
end

local function forget(item, id, number)
  local kept, holders = {}, holders_of(item)
  for i = 1, #holders, 2 do
    if holders[i] ~= id or holders[i + 1] ~= number then
      kept[#kept + 1], kept[#kept + 2] = holders[i], holders[i + 1]
    end
  end
  if #kept == 0 then
    call('HDEL', index, 'i:' .. item)
  else
    call('HSET', index, 'i:' .. item, pack(kept))
  end
end

-- Items are {id, whether it is output, all of it as Python packs it}. The record is not saved here.
local function append(root, id, record, items)
  local bytes = 0
  for _, item in ipairs(items) do
    record.last = record.last + 1
    local name, holders = field('i', id, record.last), holders_of(item[1])
    holders[#holders + 1], holders[#holders + 2] = id, record.last
    call('HSET', index, 'i:' .. item[1], pack(holders))
    call('HSET', items_key(root), name, (item[2] and '1' or '0') .. item[1])
    call('HSET', data_key(root), name, item[3])
    bytes = bytes + string.len(item[3])
  end
  record.count = record.count + #items
  record.size = record.size + bytes
  return bytes + ITEM_SIZE * #items
end

-- What `collect` has found so far: strings of some items each, how many items these are, and the fields to get next.
local function nothing_found()
  return {strings = {}, count = 0, fields = {}}
end

local function get_fields(root, found)
  local items = {}
  for _, item in ipairs(call('HMGET', data_key(root), unpack(found.fields))) do
    if item then  -- it has not been removed
      items[#items + 1] = item
    end
  end
  found.strings[#found.strings + 1] = table.concat(items)
  found.count = found.count + #items
  found.fields = {}
end

-- Find a record's items, in order. A few of them make up one string: to put all into one is slow in Lua, and to give
-- each its own is slow for Python, which reads them one by one.
local function collect(root, id, record, found)
  local prefix = field('i', id, '')
  for number = 1, record.last do
    found.fields[#found.fields + 1] = prefix .. number
    if #found.fields == 4 then
      get_fields(root, found)
    end
  end
end

local function as_history(root, id, record, found)
  if #found.fields > 0 then
    get_fields(root, found)
  end
  local data = call('HGET', data_key(root), 'r:' .. id)
  return {record.parent or false, record.status, record.kind, record.created_at, data, found.count, found.strings}
end

-- Logs ---------------------------------------------------------------------------------------------------------------

local function wake(id)
  call('PUBLISH', log_key('events', id), '')
  call('PUBLISH', log_key('messages', id), '')
end

-- Entries are {number, data}. The number of an entry in the stream is one more, for a stream has no entry 0.
local function append_log(root, id, record, log, entries)
  local key, before = log_key(log, id), record[log .. '_size'] or 0
  local size = call('EXISTS', key) == 1 and before or 0  -- it may have become too old
  for _, entry in ipairs(entries) do
    call('XADD', key, string.format('%d-0', entry[1] + 1), 'data', entry[2])
    size = size + EVENT_SIZE + string.len(entry[2])
    record[log .. '_last'] = entry[1]
  end
  while size > LOG_SIZE do
    local first = call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
    call('XDEL', key, first[1])
    size = size - EVENT_SIZE - string.len(first[2][2])
  end
  call('PEXPIRE', key, data_ttl)
  call('PUBLISH', key, '')
  record[log .. '_size'] = size
  return size - before
end

local function clear_logs(id, record)
  if record.events_last or record.messages_last then
    call('UNLINK', log_key('events', id), log_key('messages', id))
    call('ZREM', ending, id)
  end
  local size = (record.events_size or 0) + (record.messages_size or 0)
  record.events_size, record.messages_size = 0, 0
  return size
end

local function set_status(id, record, status)
  record.status = status
  if has_ended(record) then
    record.ended_at = now
    wake(id)
    if record.events_last or record.messages_last then
      call('ZADD', ending, exact(now + LOG_AGE), id)
      call('PEXPIRE', log_key('events', id), LOG_AGE * 1000)
      call('PEXPIRE', log_key('messages', id), LOG_AGE * 1000)
    end
  end
end

-- Trees --------------------------------------------------------------------------------------------------------------

-- Give up what a record holds outside of its tree, and, unless all of the tree goes, what it holds there.
local function release(root, id, record, all)
  local names, data = items_key(root), data_key(root)
  for number = 1, record.last do
    local name = field('i', id, number)
    local item = call('HGET', names, name)
    if item then
      forget(string.sub(item, 2), id, number)
      if not all then
        call('HDEL', names, name)
        call('HDEL', data, name)
      end
    end
  end
  local logs = clear_logs(id, record)
  call('HDEL', index, 'r:' .. id)
  if RUNNING[record.status] then
    wake(id)
  end
  if not all then
    call('HDEL', tree_key(root), id)
    call('HDEL', data, 'r:' .. id)
    resize(root, -RECORD_SIZE - record.size - ITEM_SIZE * record.count - logs)
  end
end

local function drop(root)
  local records = call('HGETALL', tree_key(root))
  for i = 1, #records, 2 do
    release(root, records[i], unpack_one(records[i + 1]), true)
  end
  resize(root, -(call('HGET', index, 'z:' .. root) or 0))
  call('HDEL', index, 'z:' .. root)
  call('UNLINK', tree_key(root), items_key(root), data_key(root))
  call('ZREM', used, root)
  if call('ZCARD', used) == 0 then
    call('UNLINK', index, used, ending)
  end
end

-- Drop some trees and logs that are too old; the roots of those trees.
local function sweep()
  local roots = call('ZRANGEBYSCORE', used, '-inf', '(' .. exact(oldest), 'LIMIT', 0, 10)
  for _, root in ipairs(roots) do
    drop(root)
  end
  for _, id in ipairs(call('ZRANGEBYSCORE', ending, '-inf', '(' .. exact(now), 'LIMIT', 0, 100)) do
    local root = call('HGET', index, 'r:' .. id)
    local record = root and load(root, id)
    if record then
      resize(root, -clear_logs(id, record))
      save(root, id, record)
    else
      call('ZREM', ending, id)
    end
  end
  return roots
end

-- What the bounds have to know of this owner: how many bytes and trees, and when something will be too old.
local function totals()
  local due = 1e15
  local tree, log = call('ZRANGE', used, 0, 0, 'WITHSCORES'), call('ZRANGE', ending, 0, 0, 'WITHSCORES')
  if tree[2] then
    due = tree[2] + a.age
  end
  if log[2] then
    due = math.min(due, tonumber(log[2]))
  end
  return version, call('HGET', index, 'size') or '0', call('ZCARD', used), exact(due)
end
