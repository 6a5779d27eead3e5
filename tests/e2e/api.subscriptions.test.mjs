// Threads that a user follows: by writing, replying, saying so; what conversations.replies tells of them, and the user's own sockets.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Parley, eventually } from './harness.mjs';
import { rtm } from './ws.mjs';

let parley, ada, grace, third, channel, sockets;
const call = async (who, method, args) => {
  const a = await parley.call(method, who.token, args);
  assert.ok(a.ok, `${method}: ${a.error}`);
  return a;
};
const say = async (who, text, thread_ts) => (await call(who, 'chat.postMessage', { channel, text, thread_ts })).ts;
const parent = async (who, ts) => (await call(who, 'conversations.replies', { channel, ts })).messages[0];
const follows = (m) => [m.subscribed, m.last_read, m.unread_count];
const heard = (who, type, thread_ts) => sockets[who.name].events.filter((e) => e.type === type && e.subscription.thread_ts === thread_ts);

before(async () => {
  parley = await Parley.start();
  const demo = parley.demo();
  [ada, grace] = demo.users;
  parley.ctl('--workspace', demo.team.id, 'user', 'add', 'third');
  third = { name: 'third', token: parley.ctlJson('--workspace', demo.team.id, 'token', 'issue', 'third').token };
  third.id = (await call(third, 'auth.test')).user_id;
  channel = (await call(ada, 'conversations.create', { name: 'followed' })).channel.id;
  await call(ada, 'conversations.invite', { channel, users: `${grace.id},${third.id}` });
  ada.name = 'ada';
  grace.name = 'grace';
  sockets = { ada: await rtm(parley, ada.token), again: await rtm(parley, ada.token), grace: await rtm(parley, grace.token), third: await rtm(parley, third.token) };
});
after(async () => {
  for (const s of Object.values(sockets)) s.destroy();
  await parley.stop();
});

test('who wrote the message and who replies follow the thread', async () => {
  const ts = await say(ada, 'a question');
  assert.equal('subscribed' in await parent(ada, ts), false, 'no thread yet');
  const first = await say(grace, 'an answer', ts);
  assert.deepEqual(follows(await parent(ada, ts)), [true, ts, 1]);
  assert.deepEqual(follows(await parent(grace, ts)), [true, first, 0]);
  assert.deepEqual(follows(await parent(third, ts)), [false, undefined, undefined]);
  for (const socket of ['ada', 'again', 'grace']) await sockets[socket].event((e) => e.type === 'thread_subscribed' && e.subscription.thread_ts === ts);
  const [event] = heard(grace, 'thread_subscribed', ts);
  assert.deepEqual({ ...event.subscription, date_create: 0 }, { type: 'thread', channel, thread_ts: ts, date_create: 0, active: true, last_read: first });
  assert.ok(Math.abs(event.subscription.date_create - Date.now() / 1000) < 60);
  const last = await say(grace, 'and another', ts);
  assert.deepEqual(follows(await parent(ada, ts)), [true, ts, 2]);
  await call(grace, 'chat.delete', { channel, ts: last });
  assert.deepEqual(follows(await parent(ada, ts)), [true, ts, 1]);
  await sockets.third.event((e) => e.subtype === 'message_deleted' && e.deleted_ts === last);
  assert.deepEqual([heard(grace, 'thread_subscribed', ts).length, heard(third, 'thread_subscribed', ts).length], [1, 0]);
});

test('marks go forward, and only the reader\'s sockets hear of them', async () => {
  const ts = await say(ada, 'to be read');
  const replies = [await say(grace, 'one', ts), await say(grace, 'two', ts), await say(grace, 'three', ts)];
  await call(ada, 'subscriptions.thread.mark', { channel, thread_ts: ts, ts: replies[1] });
  assert.deepEqual(follows(await parent(ada, ts)), [true, replies[1], 1]);
  for (const socket of ['ada', 'again']) {
    const e = await sockets[socket].event((x) => x.type === 'thread_marked' && x.subscription.thread_ts === ts);
    assert.deepEqual([e.subscription.active, e.subscription.last_read], [true, replies[1]]);
  }
  await call(ada, 'subscriptions.thread.mark', { channel, thread_ts: ts, ts: replies[0] });
  assert.deepEqual(follows(await parent(ada, ts)), [true, replies[1], 1]);
  await call(ada, 'subscriptions.thread.mark', { channel, thread_ts: ts, ts: `${replies[2].slice(0, -7)}.999999` });
  assert.deepEqual(follows(await parent(ada, ts)), [true, replies[2], 0]);
  await call(third, 'subscriptions.thread.mark', { channel, thread_ts: ts, ts: replies[2] });
  assert.deepEqual(follows(await parent(third, ts)), [false, undefined, undefined], 'a mark follows nothing');
  const last = await say(ada, 'the last');
  await sockets.grace.event((e) => e.type === 'message' && e.ts === last);
  assert.equal(heard(grace, 'thread_marked', ts).length, 0);
});

test('following and leaving a thread by GET and by POST, over a restart', async () => {
  const ts = await say(ada, 'followed by hand');
  const reply = await say(grace, 'r', ts);
  const get = await fetch(`${parley.api}subscriptions.thread.add?channel=${channel}&thread_ts=${ts}&last_read=0000000000.000000`, { headers: { authorization: `Bearer ${third.token}` } });
  assert.deepEqual(await get.json(), { ok: true });
  assert.deepEqual(follows(await parent(third, ts)), [true, ts, 1]);
  await call(ada, 'subscriptions.thread.remove', { channel, thread_ts: ts, last_read: reply });
  assert.equal((await sockets.ada.event((e) => e.type === 'thread_unsubscribed' && e.subscription.thread_ts === ts)).subscription.active, false);
  assert.equal((await sockets.third.event((e) => e.type === 'thread_subscribed' && e.subscription.thread_ts === ts)).subscription.active, true);
  await parley.kill();
  await parley.up();
  assert.deepEqual(follows(await parent(third, ts)), [true, ts, 1]);
  assert.deepEqual(follows(await parent(ada, ts)), [false, undefined, undefined]);
  const again = await say(ada, 'replies again', ts);
  assert.deepEqual(follows(await parent(ada, ts)), [true, again, 0], 'a reply follows');
});

test('what is refused', async () => {
  const ts = await say(ada, 'root');
  const reply = await say(ada, 'reply', ts);
  const error = async (who, method, args) => (await parley.call(`subscriptions.thread.${method}`, who.token, args)).error;
  for (const method of ['add', 'remove', 'mark']) {
    assert.equal(await error(ada, method, { channel, thread_ts: '1700000000.000100', ts }), 'thread_not_found');
    assert.equal(await error(ada, method, { channel, thread_ts: reply, ts }), 'thread_not_found');
    assert.equal(await error(ada, method, { channel, thread_ts: 'x', ts }), 'invalid_thread_ts');
    assert.equal(await error(ada, method, { channel, ts }), 'missing_argument');
    assert.equal(await error(ada, method, { channel: 'C0NONE', thread_ts: ts, ts }), 'channel_not_found');
  }
  assert.equal(await error(ada, 'mark', { channel, thread_ts: ts, ts: 'x' }), 'invalid_timestamp');
  await call(third, 'conversations.leave', { channel });
  assert.equal(await error(third, 'add', { channel, thread_ts: ts }), 'not_in_channel');
});

test('auth.teams.list is the token\'s own workspace', async () => {
  const own = await call(ada, 'auth.test');
  const list = await call(ada, 'auth.teams.list', { limit: 10, include_icon: true });
  assert.deepEqual(list.teams, [{ id: own.team_id, name: own.team, icon: { image_default: true } }]);
  assert.equal(list.response_metadata.next_cursor, '');
  assert.equal('icon' in (await call(ada, 'auth.teams.list')).teams[0], false);
  assert.equal((await parley.call('auth.teams.list', ada.token, { cursor: 'dGVhbTox' })).error, 'invalid_cursor');
  assert.equal((await parley.call('auth.teams.list', ada.token, { limit: 0 })).error, 'invalid_limit');
});
