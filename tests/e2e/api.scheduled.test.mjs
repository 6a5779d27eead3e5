// Scheduled messages with Slack's SDK: posted once at their time, also when the daemon is killed before or at it.
import { describe, test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { WebClient } from '@slack/web-api';
import { Parley, at, eventually, sleep, slow } from './harness.mjs';
import { rtm } from './ws.mjs';

const client = (parley, token) => new WebClient(token, { slackApiUrl: parley.api, retryConfig: { retries: 0 }, rejectRateLimitedCalls: true });
const refusal = (promise) => promise.then(() => 'ok', (e) => e.data?.error ?? e.code);
const now = () => Math.floor(Date.now() / 1000);

describe('scheduled messages', at('people'), () => {
  let parley, demo, ada, grace, general;
  before(async () => {
    parley = await Parley.start();
    demo = parley.demo();
    ada = client(parley, demo.users[0].token);
    grace = client(parley, demo.users[1].token);
    general = demo.channels.general.id;
  });
  after(() => parley.stop());
  const texts = async (channel = general) => (await ada.conversations.history({ channel, limit: 100 })).messages.map((m) => m.text);
  const count = async (text) => (await texts()).filter((t) => t === text).length;

  test('posted at its time, pushed and stored like any other', async () => {
    const socket = await rtm(parley, demo.users[1].token);
    const far = await ada.chat.scheduleMessage({ channel: general, post_at: now() + 86400, text: 'the one that waits already' });
    await sleep(200);
    const post_at = now() + 2 * slow;
    const made = await ada.chat.scheduleMessage({ channel: general, post_at, text: 'from the past', metadata: { event_type: 'x', event_payload: { y: 1 } } });
    assert.match(made.scheduled_message_id, /^Q/);
    assert.deepEqual([made.channel, made.post_at, made.message.text], [general, post_at, 'from the past']);
    const list = (await ada.chat.scheduledMessages.list()).scheduled_messages.filter((m) => m.id !== far.scheduled_message_id);
    assert.deepEqual(list.map((m) => [m.id, m.channel_id, m.post_at, m.text]), [[made.scheduled_message_id, general, post_at, 'from the past']]);
    assert.deepEqual((await grace.chat.scheduledMessages.list()).scheduled_messages, []);
    assert.equal(await count('from the past'), 0);
    const event = await socket.event((m) => m.type === 'message' && m.text === 'from the past', 10000 * slow);
    assert.ok(Number(event.ts) >= post_at && Number(event.ts) < post_at + 3 * slow, `${event.ts} for ${post_at}`);
    assert.equal(event.user, demo.users[0].id);
    const stored = (await ada.conversations.history({ channel: general, include_all_metadata: true })).messages.find((m) => m.text === 'from the past');
    assert.deepEqual(stored.metadata, { event_type: 'x', event_payload: { y: 1 } });
    await ada.chat.deleteScheduledMessage({ channel: general, scheduled_message_id: far.scheduled_message_id });
    await eventually(async () => (await ada.chat.scheduledMessages.list()).scheduled_messages.length === 0, 'it has left the list');
    socket.destroy();
  });

  test('asked for again it is the same one', async () => {
    const message = { channel: general, post_at: now() + 3 * slow, text: 'said twice' };
    const ids = await Promise.all(Array.from({ length: 8 }, () => ada.chat.scheduleMessage(message)));
    await parley.kill();
    await parley.up();
    ids.push(await ada.chat.scheduleMessage(message));
    assert.equal(new Set(ids.map((m) => m.scheduled_message_id)).size, 1);
    const other = await ada.chat.scheduleMessage({ ...message, text: 'said once' });
    assert.notEqual(other.scheduled_message_id, ids[0].scheduled_message_id);
    await eventually(async () => (await ada.chat.scheduledMessages.list()).scheduled_messages.length === 0, 'all have left the list');
    assert.deepEqual([await count('said twice'), await count('said once')], [1, 1]);
  });

  test('killed before and at the time: once all the same', async () => {
    const post_at = now() + 3 * slow;
    for (let i = 0; i < 20; i++) await ada.chat.scheduleMessage({ channel: general, post_at, text: `survivor ${i}` });
    await parley.kill();
    await parley.up();
    assert.equal((await ada.chat.scheduledMessages.list()).scheduled_messages.length, 20);
    await eventually(async () => (await texts()).some((t) => t.startsWith('survivor')), 'the first is posted');
    await parley.kill();
    await parley.up();
    await eventually(async () => (await ada.chat.scheduledMessages.list()).scheduled_messages.length === 0, 'all have left the list');
    const all = (await texts()).filter((t) => t.startsWith('survivor')).sort();
    assert.deepEqual(all, Array.from({ length: 20 }, (_, i) => `survivor ${i}`).sort());
  });

  test('taken back it is not posted', async () => {
    const { scheduled_message_id: id } = await ada.chat.scheduleMessage({ channel: general, post_at: now() + 2, text: 'never mind' });
    assert.equal(await refusal(grace.chat.deleteScheduledMessage({ channel: general, scheduled_message_id: id })), 'invalid_scheduled_message_id');
    assert.equal(await refusal(ada.chat.deleteScheduledMessage({ channel: demo.channels.random.id, scheduled_message_id: id })), 'invalid_scheduled_message_id');
    await ada.chat.deleteScheduledMessage({ channel: general, scheduled_message_id: id });
    assert.equal(await refusal(ada.chat.deleteScheduledMessage({ channel: general, scheduled_message_id: id })), 'invalid_scheduled_message_id');
    await sleep(3500);
    assert.equal(await count('never mind'), 0);
  });

  test('of a direct conversation: its own id everywhere', async () => {
    const im = (await ada.conversations.open({ users: demo.users[1].id })).channel.id;
    assert.match(im, /^D/);
    const { channel, scheduled_message_id } = await ada.chat.scheduleMessage({ channel: im, post_at: now() + 86400, text: 'later, just to you' });
    assert.equal(channel, im);
    const [one] = (await ada.chat.scheduledMessages.list({ channel: im })).scheduled_messages;
    assert.deepEqual([one.channel_id, one.text], [im, 'later, just to you']);
    await ada.chat.deleteScheduledMessage({ channel: im, scheduled_message_id });
  });

  test('pages, filters, refusals', async () => {
    const later = now() + 86400;
    for (let i = 0; i < 5; i++) await ada.chat.scheduleMessage({ channel: i === 4 ? demo.channels.random.id : general, post_at: later + i, text: `later ${i}` });
    const all = [];
    for await (const page of ada.paginate('chat.scheduledMessages.list', { limit: 2 })) all.push(...page.scheduled_messages.map((m) => m.text));
    assert.deepEqual(all, [0, 1, 2, 3, 4].map((i) => `later ${i}`));
    assert.deepEqual((await ada.chat.scheduledMessages.list({ channel: demo.channels.random.id })).scheduled_messages.map((m) => m.text), ['later 4']);
    assert.deepEqual((await ada.chat.scheduledMessages.list({ oldest: String(later + 1), latest: String(later + 2) })).scheduled_messages.map((m) => m.text), ['later 1', 'later 2']);
    assert.equal(await refusal(ada.chat.scheduleMessage({ channel: general, post_at: now() - 5, text: 'x' })), 'time_in_past');
    assert.equal(await refusal(ada.chat.scheduleMessage({ channel: general, post_at: now() + 121 * 86400, text: 'x' })), 'time_too_far');
    assert.equal(await refusal(ada.chat.scheduleMessage({ channel: general, post_at: later, text: '' })), 'no_text');
    assert.equal(await refusal(ada.chat.scheduleMessage({ channel: general, post_at: later, text: 'x'.repeat(40001) })), 'msg_too_long');
    const secret = (await grace.conversations.create({ name: 'scheduled-secret', is_private: true })).channel.id;
    assert.equal(await refusal(ada.chat.scheduleMessage({ channel: secret, post_at: later, text: 'x' })), 'channel_not_found');
    await grace.conversations.leave({ channel: demo.channels.random.id });
    assert.equal(await refusal(grace.chat.scheduleMessage({ channel: demo.channels.random.id, post_at: later, text: 'x' })), 'not_in_channel');
  });

  test('what the channel does not take at the time is dropped, and said in the log', async () => {
    const channel = (await ada.conversations.create({ name: 'soon-archived' })).channel.id;
    await ada.chat.scheduleMessage({ channel, post_at: now() + 2, text: 'too late' });
    await ada.conversations.archive({ channel });
    await eventually(() => parley.log.includes('scheduled_message_dropped'), 'said in the log');
    await eventually(async () => !(await ada.chat.scheduledMessages.list({ channel })).scheduled_messages.length, 'gone');
    assert.ok(!(await texts(channel)).includes('too late'));
  });
});
