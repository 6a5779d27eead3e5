// Who is there: users.getPresence and .setPresence by Slack's SDK, presence_sub and presence_query over RTM.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { WebClient } from '@slack/web-api';
import { RTMClient } from '@slack/rtm-api';
import { once } from 'node:events';
import { Parley, eventually, sleep } from './harness.mjs';
import { rtm, Ws } from './ws.mjs';

let parley, demo, ada, grace;
const client = (token) => new WebClient(token, { slackApiUrl: parley.api, retryConfig: { retries: 0 } });
const fails = (promise, error) => assert.rejects(promise, (e) => e.data?.error === error || assert.fail(`${e.data?.error ?? e}, not ${error}`));
const presence = async (c, user) => (await c.users.getPresence({ user })).presence;
const changes = (socket) => socket.events.filter((e) => e.type === 'presence_change').map((e) => [e.user ?? e.users, e.presence]);

before(async () => {
  parley = await Parley.start();
  demo = parley.demo();
  ada = client(demo.users[0].token);
  grace = client(demo.users[1].token);
});
after(() => parley.stop());

test('who has a socket is active; of oneself one learns more', async () => {
  const [, { id }] = demo.users;
  assert.equal(await presence(ada, id), 'away');
  const socket = await rtm(parley, demo.users[1].token), second = await rtm(parley, demo.users[1].token);
  await eventually(async () => await presence(ada, id) === 'active', 'she is there');
  const { ok, presence: own, online, auto_away, manual_away, connection_count, last_activity } = await grace.users.getPresence();
  assert.deepEqual([ok, own, online, auto_away, manual_away, connection_count], [true, 'active', true, false, false, 2]);
  assert.ok(Math.abs(last_activity - Date.now() / 1000) < 60);
  assert.deepEqual(Object.keys(await ada.users.getPresence({ user: id })).sort(), ['ok', 'presence', 'response_metadata']);
  socket.destroy();
  await eventually(async () => (await grace.users.getPresence()).connection_count === 1, 'one is gone');
  assert.equal(await presence(ada, id), 'active');
  second.destroy();
  await eventually(async () => await presence(ada, id) === 'away', 'she is gone');
  assert.equal((await grace.users.getPresence()).auto_away, true);
  await fails(ada.users.getPresence({ user: 'U0NOBODY' }), 'user_not_found');
});

test('away by hand: her own sockets hear it, those that watch her too', async () => {
  const [, { id, token }] = demo.users;
  const socket = await rtm(parley, token), watcher = await rtm(parley, demo.users[0].token), other = await rtm(parley, demo.users[2].token);
  watcher.send({ id: 1, type: 'presence_sub', ids: [id, demo.users[2].id, 'U0NOBODY'] });
  await watcher.event((e) => e.type === 'presence_change' && e.user === id && e.presence === 'active');
  await fails(grace.users.setPresence({ presence: 'asleep' }), 'invalid_presence');
  await grace.users.setPresence({ presence: 'away' });
  await socket.event((e) => e.type === 'manual_presence_change' && e.presence === 'away');
  await watcher.event((e) => e.type === 'presence_change' && e.user === id && e.presence === 'away');
  const { presence: own, online, manual_away } = await grace.users.getPresence();
  assert.deepEqual([own, online, manual_away], ['away', true, true]);
  await grace.users.setPresence({ presence: 'auto' });
  await socket.event((e) => e.type === 'manual_presence_change' && e.presence === 'active');
  await eventually(() => changes(watcher).length === 4, 'and back');
  assert.deepEqual(changes(watcher).filter(([who]) => who === id), [[id, 'active'], [id, 'away'], [id, 'active']]);
  assert.deepEqual(changes(other), [], 'who asks for nobody hears of nobody');
  watcher.send({ id: 2, type: 'presence_sub', ids: [] });
  socket.destroy();
  await sleep(2500);
  assert.equal(changes(watcher).length, 4);
  [watcher, other].forEach((w) => w.destroy());
});

test('a query; lists for who takes lists; nobody of another workspace', async () => {
  const socket = await rtm(parley, demo.users[1].token);
  const { url } = await parley.call('rtm.connect', demo.users[0].token, { batch_presence_aware: 1 });
  const w = await Ws.open(url);
  await w.event((e) => e.type === 'hello');
  parley.ctl('workspace', 'add', 'elsewhere');
  parley.ctl('--workspace', 'elsewhere', 'user', 'add', 'mallory');
  const mallory = parley.ctlJson('--workspace', 'elsewhere', 'user', 'list').users.find((u) => u.name === 'mallory').id;
  await fails(ada.users.getPresence({ user: mallory }), 'user_not_found');
  w.send({ id: 1, type: 'presence_query', ids: [demo.users[1].id, demo.users[2].id, demo.users[0].id, mallory] });
  await eventually(() => changes(w).length === 2, 'both lists');
  assert.deepEqual(changes(w), [[[demo.users[1].id, demo.users[0].id], 'active'], [[demo.users[2].id], 'away']]);
  socket.destroy();
  await sleep(1500);
  assert.equal(changes(w).length, 2, 'a query is no subscription');
  w.destroy();
});

test("Slack's RTM client subscribes", async () => {
  const bot = new RTMClient(demo.bot.token, { slackApiUrl: parley.api });
  const heard = [];
  bot.on('presence_change', (e) => heard.push([e.user, e.presence]));
  await Promise.all([once(bot, 'ready'), bot.start()]);
  await bot.subscribePresence([demo.users[1].id]);
  await eventually(() => heard.length === 1, 'as it is');
  const socket = await rtm(parley, demo.users[1].token);
  await eventually(() => heard.length === 2, 'as it becomes');
  assert.deepEqual(heard, [[demo.users[1].id, 'away'], [demo.users[1].id, 'active']]);
  bot.awaitingReplyList = bot.awaitingReplyList.filter(Boolean);
  await Promise.all([once(bot, 'disconnected'), bot.disconnect()]);
  socket.destroy();
});
