// Reminders with Slack's SDK: kept, said at their time in one's own conversation, also across a kill.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { WebClient } from '@slack/web-api';
import { Parley, eventually, slow } from './harness.mjs';
import { rtm } from './ws.mjs';

let parley, demo, ada, grace;
const client = (token) => new WebClient(token, { slackApiUrl: parley.api, retryConfig: { retries: 0 } });
const refusal = (promise) => promise.then(() => 'ok', (e) => e.data?.error ?? e.code);
const now = () => Math.floor(Date.now() / 1000);

before(async () => {
  parley = await Parley.start();
  demo = parley.demo();
  ada = client(demo.users[0].token);
  grace = client(demo.users[1].token);
});
after(() => parley.stop());

test('said at its time to oneself only, and once', async () => {
  const sockets = await Promise.all([0, 1].map((i) => rtm(parley, demo.users[i].token)));
  const time = now() + 2 * slow;
  const { reminder } = await ada.reminders.add({ text: 'water the "plants"', time });
  assert.match(reminder.id, /^Rm/);
  assert.deepEqual([reminder.creator, reminder.user, reminder.text, reminder.recurring, reminder.time, reminder.complete_ts], [demo.users[0].id, demo.users[0].id, 'water the "plants"', false, time, 0]);
  assert.deepEqual((await ada.reminders.add({ text: 'water the "plants"', time })).reminder, reminder, 'asked for again it is the same one');
  assert.deepEqual((await ada.reminders.list()).reminders, [reminder]);
  assert.deepEqual((await grace.reminders.list()).reminders, []);
  assert.deepEqual((await ada.reminders.info({ reminder: reminder.id })).reminder, reminder);
  assert.equal(await refusal(grace.reminders.info({ reminder: reminder.id })), 'not_found');
  await parley.kill();
  await parley.restart();
  const event = await eventually(async () => (await ada.conversations.history({ channel: reminder.channel })).messages.find((m) => m.text === 'Reminder: water the "plants"'), 'it is said');
  assert.ok(Number(event.ts) >= time);
  const { id } = (await ada.conversations.list({ types: 'im' })).channels.find((c) => c.id === reminder.channel);
  assert.equal(id, (await ada.conversations.open({ users: demo.users[0].id })).channel.id, 'the conversation with oneself');
  assert.equal((await ada.conversations.history({ channel: reminder.channel })).messages.length, 1);
  sockets.forEach((s) => s.destroy());
});

test('complete and delete take it back', async () => {
  const add = async (text) => (await ada.reminders.add({ text, time: now() + 86400 })).reminder;
  const [done, gone] = [await add('done early'), await add('never mind')];
  await ada.reminders.complete({ reminder: done.id });
  await ada.reminders.complete({ reminder: done.id });
  const kept = (await ada.reminders.info({ reminder: done.id })).reminder;
  assert.ok(Math.abs(kept.complete_ts - now()) < 60);
  assert.deepEqual({ ...kept, complete_ts: 0 }, done);
  await ada.reminders.delete({ reminder: gone.id });
  assert.equal(await refusal(ada.reminders.delete({ reminder: gone.id })), 'not_found');
  assert.equal(await refusal(grace.reminders.complete({ reminder: done.id })), 'not_found');
  assert.deepEqual((await ada.chat.scheduledMessages.list()).scheduled_messages, [], 'neither will be said');
});

test('times', async () => {
  const at = async (time) => (await ada.reminders.add({ text: `at ${time}`, time })).reminder.time - now();
  for (const [time, ahead] of [['in 10 minutes', 600], ['in 1 hour', 3600], ['in 2 days', 172800], ['in 3 weeks', 1814400], ['90', 90], [String(now() + 500), 500]])
    assert.ok(Math.abs(await at(time) - ahead) <= 2, time);
  const tomorrow = await at('tomorrow') + now();
  assert.ok(tomorrow % 86400 === 32400 && tomorrow > now() && tomorrow - now() < 2 * 86400);
  for (const time of ['soon', 'in a while', 'in 5', 'in 5 moons', '', 'in 99999999999 days', String(now() - 5), 'in 200 days'])
    assert.ok(['cannot_parse', 'missing_argument'].includes(await refusal(ada.reminders.add({ text: 'x', time }))), time);
  assert.equal(await refusal(ada.reminders.add({ text: 'x', time: '60', user: demo.users[1].id })), 'cannot_add_others');
  assert.equal(await refusal(ada.reminders.add({ text: 'x', time: '60', recurrence: { frequency: 'daily' } })), 'cannot_parse');
  assert.equal(await refusal(client(demo.bot.token).reminders.add({ text: 'x', time: '60' })), 'not_allowed_token_type');
});

test('200 of them', async () => {
  const { reminders } = await ada.reminders.list();
  for (let i = reminders.length; i < 200; i++) await ada.reminders.add({ text: `number ${i}`, time: String(now() + 1000 + i) });
  assert.equal(await refusal(ada.reminders.add({ text: 'one more', time: '60' })), 'too_many_items');
  assert.equal((await ada.reminders.list()).reminders.length, 200);
});
