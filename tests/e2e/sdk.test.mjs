// Slack's own SDKs, unmodified but for the base URL.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { WebClient } from '@slack/web-api';
import { WebClient as WebClient8 } from 'slack-web-api-8';
import { RTMClient } from '@slack/rtm-api';
import rtm6 from 'slack-rtm-api-6';
import { once } from 'node:events';
import { Parley, eventually } from './harness.mjs';

let parley, demo;
before(async () => {
  parley = await Parley.start();
  demo = parley.demo();
});
after(() => parley.stop());

for (const [name, Client] of [['7', WebClient], ['8', WebClient8]]) {
  test(`@slack/web-api ${name}: identity, team, users`, async () => {
    const client = new Client(demo.users[0].token, { slackApiUrl: parley.api });
    const me = await client.auth.test();
    assert.equal(me.user_id, demo.users[0].id);
    assert.equal(me.team_id, demo.team.id);
    assert.equal(me.user, 'ada');
    assert.equal(me.bot_id, undefined);
    const bot = await new Client(demo.bot.token, { slackApiUrl: parley.api }).auth.test();
    assert.equal(bot.bot_id, demo.bot.bot_id);
    const team = await client.team.info();
    assert.equal(team.team.domain, 'demo');
    const users = await client.users.list();
    assert.deepEqual(users.members.map((u) => u.name).sort(), ['ada', 'grace', 'linus', 'parrot']);
    const info = await client.users.info({ user: demo.users[1].id });
    assert.equal(info.user.profile.email, 'grace@example.com');
    assert.equal(info.user.is_bot, false);
    const echo = await client.api.test({ foo: 'bar' });
    assert.equal(echo.args.foo, 'bar');
    await assert.rejects(client.api.test({ error: 'my_error' }), (e) => e.data.error === 'my_error');
  });

  test(`@slack/web-api ${name}: channels, posting, paging`, async () => {
    const ada = new Client(demo.users[0].token, { slackApiUrl: parley.api });
    const grace = new Client(demo.users[1].token, { slackApiUrl: parley.api });
    const made = await ada.conversations.create({ name: `sdk-${name}` });
    const channel = made.channel.id;
    assert.equal(made.channel.name, `sdk-${name}`);
    assert.equal(made.channel.is_member, true);
    await assert.rejects(ada.conversations.create({ name: `sdk-${name}` }), (e) => e.data.error === 'name_taken');
    await assert.rejects(grace.chat.postMessage({ channel, text: 'x' }), (e) => e.data.error === 'not_in_channel');
    const joined = await grace.conversations.join({ channel });
    assert.equal(joined.channel.id, channel);
    const again = await grace.conversations.join({ channel });
    assert.equal(again.warning, 'already_in_channel');
    const texts = [];
    for (let i = 0; i < 25; i++) {
      const r = await (i % 2 ? ada : grace).chat.postMessage({ channel, text: `m${i} <@${demo.users[0].id}> &amp; ünï 🎉` });
      assert.equal(r.message.text, `m${i} <@${demo.users[0].id}> &amp; ünï 🎉`);
      assert.equal(r.message.user, demo.users[i % 2 ? 0 : 1].id);
      texts.push(r.ts);
    }
    const seen = [];
    for await (const page of ada.paginate('conversations.history', { channel, limit: 10 })) {
      assert.ok(page.messages.length <= 10);
      assert.equal(page.has_more, Boolean(page.response_metadata?.next_cursor));
      seen.push(...page.messages.map((m) => m.ts));
    }
    seen.pop(); // who joined
    assert.deepEqual(seen, [...texts].reverse());
    const one = await ada.conversations.history({ channel, latest: texts[7], inclusive: true, limit: 1 });
    assert.deepEqual(one.messages.map((m) => m.ts), [texts[7]]);
    const gap = await ada.conversations.history({ channel, oldest: texts[20] });
    assert.deepEqual(gap.messages.map((m) => m.ts), texts.slice(21).reverse());
    const members = await ada.conversations.members({ channel });
    assert.deepEqual(members.members.sort(), [demo.users[0].id, demo.users[1].id].sort());
    await ada.conversations.invite({ channel, users: demo.users[2].id });
    const info = await ada.conversations.info({ channel, include_num_members: true });
    assert.equal(info.channel.num_members, 3);
    await grace.conversations.leave({ channel });
    const left = await grace.conversations.leave({ channel });
    assert.equal(left.not_in_channel, true);
    const names = [];
    for await (const page of ada.paginate('conversations.list', { limit: 2 })) names.push(...page.channels.map((c) => c.name));
    assert.ok(['general', 'random', `sdk-${name}`].every((n) => names.includes(n)), names.join());
  });
}

test('private channels are invisible to others', async () => {
  const ada = new WebClient(demo.users[0].token, { slackApiUrl: parley.api });
  const grace = new WebClient(demo.users[1].token, { slackApiUrl: parley.api });
  const { channel } = await ada.conversations.create({ name: 'secret', is_private: true });
  await Promise.all([
    grace.conversations.info({ channel: channel.id }),
    grace.conversations.history({ channel: channel.id }),
    grace.conversations.join({ channel: channel.id }),
    grace.conversations.members({ channel: channel.id }),
    grace.chat.postMessage({ channel: channel.id, text: 'x' }),
    grace.conversations.info({ channel: 'CZZZZZZZZZ' }),
  ].map((p) => assert.rejects(p, (e) => e.data.error === 'channel_not_found')));
  const list = await grace.conversations.list({ types: 'public_channel,private_channel' });
  assert.ok(!list.channels.some((c) => c.name === 'secret'));
  const own = await ada.conversations.list({ types: 'private_channel' });
  assert.deepEqual(own.channels.map((c) => c.name), ['secret']);
});

// rtm-api 7.0.4 throws on disconnect after any sendMessage: it cancels the holes of a sparse array.
function leave(client) {
  client.awaitingReplyList = client.awaitingReplyList.filter(Boolean);
  return Promise.all([once(client, 'disconnected'), client.disconnect()]);
}

for (const [major, Client] of [['7', RTMClient], ['6', rtm6.RTMClient]]) test(`@slack/rtm-api ${major}: hello, messages, typing, ping, sending`, async () => {
  const rtm = new Client(demo.users[1].token, { slackApiUrl: parley.api });
  const events = [];
  rtm.on('slack_event', (type, e) => events.push(e));
  await Promise.all([once(rtm, 'ready'), rtm.start()]); // start() resolves before the socket is open
  const ada = new WebClient(demo.users[0].token, { slackApiUrl: parley.api });
  const channel = demo.channels.random.id;
  const posted = await ada.chat.postMessage({ channel, text: 'to the socket', client_msg_id: `b3c6f1de-0000-4000-8000-00000000000${major}` });
  const got = await eventually(() => events.find((e) => e.type === 'message' && e.ts === posted.ts), 'message event');
  assert.equal(got.text, 'to the socket');
  assert.equal(got.channel, channel);
  assert.equal(got.user, demo.users[0].id);
  assert.equal(got.client_msg_id, `b3c6f1de-0000-4000-8000-00000000000${major}`);
  const sent = await rtm.sendMessage('from the socket', channel);
  assert.match(sent.ts, /^\d{10}\.\d{6}$/);
  const stored = await ada.conversations.history({ channel, limit: 1 });
  assert.equal(stored.messages[0].ts, sent.ts);
  assert.equal(stored.messages[0].text, 'from the socket');

  const other = new Client(demo.users[0].token, { slackApiUrl: parley.api });
  await Promise.all([once(other, 'ready'), other.start()]);
  await other.sendTyping(channel);
  await eventually(() => events.find((e) => e.type === 'user_typing' && e.user === demo.users[0].id && e.channel === channel), 'typing');
  await rtm.send('ping', { time: 12345 });

  const made = await ada.conversations.create({ name: `rtm-made-${major}` });
  await eventually(() => events.find((e) => e.type === 'channel_created' && e.channel.id === made.channel.id), 'channel_created');
  await ada.conversations.invite({ channel: made.channel.id, users: demo.users[1].id });
  await eventually(() => events.find((e) => e.type === 'channel_joined' && e.channel.id === made.channel.id), 'channel_joined');
  await eventually(() => events.find((e) => e.type === 'member_joined_channel' && e.channel === made.channel.id), 'member_joined_channel');
  const there = await ada.chat.postMessage({ channel: made.channel.id, text: 'welcome' });
  await eventually(() => events.find((e) => e.ts === there.ts && e.type === 'message'), 'message in the new channel');
  await ada.conversations.leave({ channel: made.channel.id });
  await eventually(() => events.find((e) => e.type === 'member_left_channel' && e.user === demo.users[0].id), 'member_left_channel');
  await Promise.all([rtm, other].map(leave));
});

test('rtm.start gives the snapshot', async () => {
  const r = await parley.call('rtm.start', demo.users[0].token);
  assert.equal(r.ok, true);
  assert.equal(r.self.id, demo.users[0].id);
  assert.equal(r.team.domain, 'demo');
  assert.equal(r.users.length, 4);
  const random = r.channels.find((c) => c.name === 'random');
  assert.equal(random.is_member, true);
  assert.equal(typeof random.unread_count, 'number');
  assert.match(r.url, /^ws:\/\/127\.0\.0\.1:\d+\/rtm\/[0-9a-f]+$/);
  assert.ok(r.headers.get('deprecation'));
});
