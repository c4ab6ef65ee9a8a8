-- What a store does to one owner's records, in one step each: tree.lua comes before this, and has what is used here.

-- Operations that change how much there is: a result and the root of the tree ----------------------------------------

local counted = {}

function counted.add()
  local id, parent = a.id, a.parent
  local root = call('HGET', index, 'r:' .. id)
  if root then
    if find(id, true) then
      return true, root  -- added before, by a call whose answer was lost
    end
    drop(root)
  end
  root = id
  if parent then
    local above
    root, above = find(parent, true)
    if not root then
      return false
    end
    above.children = (above.children or 0) + 1
    save(root, parent, above)
  end
  local record = {
    parent = parent, kind = a.kind, status = a.status, created_at = a.created_at,
    size = string.len(a.data), last = 0, count = 0,
  }
  call('HSET', index, 'r:' .. id, root)
  call('HSET', data_key(root), 'r:' .. id, a.data)
  local bytes = RECORD_SIZE + string.len(a.data) + append(root, id, record, a.items)
  save(root, id, record)
  resize(root, bytes)
  use(root)
  return true, root
end

-- Append items to a conversation unless that was done before with this key. The ids that it has already.
local function append_once(root, id, record, items, key)
  local name, known = field('k', id, key), {}
  if call('HEXISTS', items_key(root), name) == 1 then
    return known
  end
  for _, item in ipairs(items) do
    if number_of(item[1], id) then
      known[#known + 1] = item[1]
    end
  end
  if #known == 0 then
    call('HSET', items_key(root), name, '')
    resize(root, append(root, id, record, items))
    save(root, id, record)
    use(root)
  end
  return known
end

-- What the end of a response does to its conversation; see ConversationTurn.
local function end_turn(id, holder, items, key)
  local root, record = find(id)
  if not root then
    return
  end
  if #items > 0 then
    append_once(root, id, record, items, key)
  end
  if record.holder == holder then
    record.holder, record.held_until = nil, nil
    save(root, id, record)
  end
end

function counted.change()
  local root, record = find(a.id)
  if not root then
    return false
  end
  local among = false
  for _, status in ipairs(a.among) do
    among = among or status == record.status
  end
  local last = record.events_last or -1
  for _, event in ipairs(a.events) do
    among = among and event[1] > last
    last = event[1]
  end
  if not among then
    return false
  end
  local bytes = append(root, a.id, record, a.items)
  if a.data then
    local grown = string.len(a.data) - call('HSTRLEN', data_key(root), 'r:' .. a.id)
    call('HSET', data_key(root), 'r:' .. a.id, a.data)
    record.size = record.size + grown
    bytes = bytes + grown
  end
  if a.events[1] then
    bytes = bytes + append_log(root, a.id, record, 'events', a.events)
  end
  if a.status then
    set_status(a.id, record, a.status)
  end
  save(root, a.id, record)
  resize(root, bytes)
  use(root)
  if a.turn then
    end_turn(unpack(a.turn))
  end
  return true, root
end

function counted.post()
  local root, record = find(a.id)
  if not root or not RUNNING[record.status] then
    return false
  end
  local number = (record.messages_last or -1) + 1
  local bytes = append_log(root, a.id, record, 'messages', {{number, a.message}})
  save(root, a.id, record)
  resize(root, bytes)
  return true, root
end

function counted.append_items()
  local root, record = find(a.id)
  if not root then
    return false
  end
  return append_once(root, a.id, record, a.items, a.key), root
end

function counted.delete()
  may_be_full()
  local root, record = find(a.id)
  if not root then
    return false
  end
  local id = a.id
  if a.item then
    local number = number_of(a.item, id)
    if not number then
      return false
    end
    local name = field('i', id, number)
    local bytes = call('HSTRLEN', data_key(root), name)
    forget(a.item, id, number)
    call('HDEL', items_key(root), name)
    call('HDEL', data_key(root), name)
    record.size, record.count = record.size - bytes, record.count - 1
    save(root, id, record)
    resize(root, -ITEM_SIZE - bytes)
    return true, root
  end
  record.hidden = true
  save(root, id, record)
  -- It goes, and those hidden ones above it that no descendant needs any more.
  while id and record.hidden and (record.children or 0) == 0 do
    release(root, id, record)
    id = record.parent
    if id then
      record = load(root, id)
      record.children = record.children - 1
      save(root, id, record)
    end
  end
  if not id then
    drop(root)
  end
  return true, root
end

-- Drop what is too old; if that is nothing and `evict` says so, the tree that was used longest ago. The roots, and that of
-- the tree that was evicted.
function counted.sweep()
  may_be_full()
  local roots = sweep()
  if not a.evict or #roots > 0 then
    return roots
  end
  roots = call('ZRANGE', used, 0, 0)
  if roots[1] then
    drop(roots[1])
  end
  return roots, roots[1]
end

-- Operations that do not ---------------------------------------------------------------------------------------------

local plain = {}

function plain.get()
  local root, record = find(a.id)
  if not root then
    return false
  end
  local found = nothing_found()
  if a.items then
    collect(root, a.id, record, found)
  end
  return as_history(root, a.id, record, found)
end

function plain.history()
  local root, record = find(a.id)
  if not root then
    return false
  end
  may_be_full()
  use(root)
  local line, id, each = {}, a.id, record
  while true do
    line[#line + 1] = {id, each}
    id = each.parent
    if not id then
      break
    end
    each = load(root, id)
  end
  local found = nothing_found()
  for i = #line, 1, -1 do
    collect(root, line[i][1], line[i][2], found)
  end
  return as_history(root, a.id, record, found)
end

-- How many items, whether there are more, and the items; -1 items if there is no item `after`.
function plain.page()
  local root, record = find(a.id)
  if not root then
    return false
  end
  local names, step, number, found = items_key(root), 1, 1, {}
  if a.newest_first then
    step, number = -1, record.last
  end
  local function is_shown(item)
    return item and (a.outputs or string.sub(item, 1, 1) == '0')
  end
  if a.after then
    number = number_of(a.after, a.id)
    if not number or not is_shown(call('HGET', names, field('i', a.id, number))) then
      return {-1, 0, ''}
    end
    number = number + step
  end
  while number >= 1 and number <= record.last do
    local name = field('i', a.id, number)
    if is_shown(call('HGET', names, name)) then
      if #found == a.limit then
        return {#found, 1, table.concat(found)}
      end
      found[#found + 1] = call('HGET', data_key(root), name)
    end
    number = number + step
  end
  return {#found, 0, table.concat(found)}
end

function plain.find_items()
  local found = {}
  for _, item in ipairs(a.ids) do
    local holders = holders_of(item)
    for i = #holders - 1, 1, -2 do
      local root = (not a.record or a.record == holders[i]) and find(holders[i])
      if root then
        found[#found + 1] = call('HGET', data_key(root), field('i', holders[i], holders[i + 1]))
        break
      end
    end
  end
  return {#found, table.concat(found)}
end

function plain.lease()
  local root, record = find(a.id)
  if not root or has_ended(record) then
    return false
  end
  if record.holder and record.holder ~= a.holder and record.held_until > now then
    return false
  end
  may_be_full()
  record.holder, record.held_until = a.holder, now + a.seconds
  if a.seconds == 0 then
    record.holder, record.held_until = nil, nil
  end
  save(root, a.id, record)
  return true
end

-- Of each of these ids: until when it is held, `ended`, or `gone`.
function plain.leases()
  local found = {}
  for _, id in ipairs(a.ids) do
    local root, record = find(id)
    found[#found + 1] = not root and 'gone' or not RUNNING[record.status] and 'ended' or exact(record.held_until or 0)
  end
  return found
end

-- Whether it has ended, the numbers of the first entry and of the last one that ever was, how many entries these are, and
-- the entries as msgpack [number, bytes].
function plain.read()
  local root, record = find(a.id)
  if not root then
    return false
  end
  local key, last, found, size = log_key(a.log, a.id), record[a.log .. '_last'] or -1, {}, 0
  local ended, first, behind = has_ended(record) and 1 or 0, last + 1, a.after
  if record.ended_at and record.ended_at + LOG_AGE < now then
    return {ended, first, last, 0, ''}
  end
  local oldest_entry = call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
  if oldest_entry then
    first = tonumber(string.match(oldest_entry[1], '%d+')) - 1
  end
  -- A few at a time: entries may be large, and those behind READ_SIZE are read for nothing.
  while #found < READ_ENTRIES and size < READ_SIZE do
    local count = math.min(20, READ_ENTRIES - #found)
    local entries = call('XRANGE', key, string.format('%d-0', behind + 2), '+', 'COUNT', count)
    for _, entry in ipairs(entries) do
      local data = entry[2][2]
      behind = tonumber(string.match(entry[1], '%d+')) - 1
      found[#found + 1] = '\146' .. pack(behind) .. struct.pack('>BI4', 198, string.len(data)) .. data
      size = size + string.len(data)
      if size >= READ_SIZE then
        break
      end
    end
    if #entries < count then
      break
    end
  end
  return {ended, first, last, #found, table.concat(found)}
end

-- How many records, and of each [id, kind, status, created_at, used_at, size], in msgpack.
function plain.scan()
  local found = {}
  local latest = exact(now - a.unused_for)
  local trees = call('ZRANGEBYSCORE', used, exact(oldest), latest, 'WITHSCORES', 'LIMIT', 0, a.limit)
  for i = 1, #trees, 2 do
    local records, here = call('HGETALL', tree_key(trees[i])), {}
    for j = 1, #records, 2 do
      local record = unpack_one(records[j + 1])
      if not record.hidden then
        here[#here + 1] = {
          records[j], record.kind, record.status, record.created_at, tonumber(trees[i + 1]), record.size,
        }
      end
    end
    table.sort(here, function(one, other)
      return one[4] < other[4] or (one[4] == other[4] and one[1] < other[1])
    end)
    for _, row in ipairs(here) do
      found[#found + 1] = pack(row)
    end
    if #found >= a.limit then
      break
    end
  end
  return {#found, table.concat(found)}
end

local operation = ARGV[1]
if plain[operation] then
  return plain[operation]()
end
sweep()
local result, root = counted[operation]()
return {result, root or false, totals()}
