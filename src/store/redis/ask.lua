-- KEYS: the lease, and the requests beside it.
-- ARGV, if there is something to put: which of the two, the channel that tells of
-- its changes, a new nonce, the record; then what is expected of it, its revision
-- and nonce, or neither if it is to be absent.

local function look(key)
  -- A write that changes nothing. A replica refuses it, and that is the point: what
  -- it would say may be old. And should somebody have made the key expire, this
  -- undoes it: whose lease vanished would still lead.
  redis.call('PERSIST', key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then
    return {}
  elseif kind ~= 'hash' then
    return {false, false, false}
  end
  return redis.call('HMGET', key, 'revision', 'nonce', 'record')
end

local now = {look(KEYS[1]), look(KEYS[2])}
local which, channel, nonce, record, revision_before, nonce_before = unpack(ARGV)
which = tonumber(which)
local done = 0
if which and now[which][1] == revision_before and now[which][2] == nonce_before then
  -- To fail at PUBLISH would be too late: no script undoes what it has done.
  if redis.acl_check_cmd and not redis.acl_check_cmd('PUBLISH', channel, '') then
    return redis.error_reply('NOPERM this user may not publish on the channel ' .. channel)
  end
  local key = KEYS[which]
  redis.call('HINCRBY', key, 'revision', 1)
  redis.call('HSET', key, 'nonce', nonce, 'record', record)
  now[which] = look(key)
  redis.call('PUBLISH', channel, table.concat(now[which], ' '))
  done = 1
end
return {done, now[1], now[2]}
