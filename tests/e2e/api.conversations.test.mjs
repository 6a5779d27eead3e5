// Channels administered and direct conversations, with Slack's SDKs and what sockets hear of it.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { WebClient } from '@slack/web-api';
import { WebClient as WebClient8 } from 'slack-web-api-8';
import { Parley, eventually } from './harness.mjs';
import { rtm } from './ws.mjs';

let parley, demo, ada, grace, linus, bot, sockets;
const client = (token, Client = WebClient) => new Client(token, { slackApiUrl: parley.api, retryConfig: { retries: 0 } });
const fails = (promise, error) => assert.rejects(promise, (e) => e.data?.error === error || assert.fail(`${e.data?.error ?? e}, not ${error}`));
const heard = (who, what) => eventually(async () => sockets[who].events.find(what), `${who} hears it`);
let serial = 0;
const channel = async (options = {}) => (await ada.conversations.create({ name: `conv-${++serial}`, ...options })).channel.id;

before(async () => {
  parley = await Parley.start();
  demo = parley.demo();
  ada = client(demo.users[0].token);
  grace = client(demo.users[1].token, WebClient8);
  linus = client(demo.users[2].token);
  bot = client(demo.bot.token);
  sockets = { ada: await rtm(parley, demo.users[0].token), grace: await rtm(parley, demo.users[1].token), linus: await rtm(parley, demo.users[2].token) };
});
after(() => parley.stop());

test('topic and purpose', async () => {
  const c = await channel();
  await grace.conversations.join({ channel: c });
  const set = await grace.conversations.setTopic({ channel: c, topic: 'the "topic" & more' });
  assert.equal(set.channel.topic.value, 'the "topic" & more');
  await ada.conversations.setPurpose({ channel: c, purpose: 'why' });
  const { channel: now } = await ada.conversations.info({ channel: c });
  assert.equal(now.topic.value, 'the "topic" & more');
  assert.equal(now.topic.creator, demo.users[1].id);
  assert.ok(now.topic.last_set > 1.7e9);
  assert.equal(now.purpose.value, 'why');
  const said = (await ada.conversations.history({ channel: c })).messages;
  assert.deepEqual(said.map((m) => m.subtype), ['channel_purpose', 'channel_topic', 'channel_join']);
  assert.equal(said[1].topic, 'the "topic" & more');
  assert.equal(said[1].text, `<@${demo.users[1].id}> set the channel topic: the "topic" & more`);
  assert.ok(await heard('ada', (e) => e.subtype === 'channel_topic' && e.channel === c));
  assert.equal((await ada.conversations.info({ channel: c })).channel.unread_count, 0, 'it is not unread');
  await grace.conversations.setTopic({ channel: c, topic: 'the "topic" & more' });
  assert.equal((await ada.conversations.history({ channel: c })).messages.length, 3, 'the same again says nothing');
  await fails(ada.conversations.setTopic({ channel: c, topic: 'x'.repeat(251) }), 'too_long');
  await fails(linus.conversations.setTopic({ channel: c, topic: 'x' }), 'not_in_channel');
  await fails(grace.conversations.setTopic({ channel: await channel({ is_private: true }), topic: 'x' }), 'channel_not_found');
});

test('who comes and who leaves is a message, unread to nobody', async () => {
  const c = await channel();
  await ada.chat.postMessage({ channel: c, text: 'before' });
  await grace.conversations.join({ channel: c });
  await ada.conversations.invite({ channel: c, users: demo.users[2].id });
  await grace.conversations.join({ channel: c });
  await linus.conversations.leave({ channel: c });
  const said = (await ada.conversations.history({ channel: c })).messages;
  assert.deepEqual(said.map((m) => [m.subtype, m.user, m.inviter]), [
    ['channel_leave', demo.users[2].id, undefined],
    ['channel_join', demo.users[2].id, demo.users[0].id],
    ['channel_join', demo.users[1].id, undefined],
    [undefined, demo.users[0].id, undefined],
  ]);
  assert.deepEqual(said.map((m) => m.text), [`<@${demo.users[2].id}> has left the channel`, `<@${demo.users[2].id}> has joined the channel`, `<@${demo.users[1].id}> has joined the channel`, 'before']);
  for (const who of ['ada', 'grace']) assert.ok(await heard(who, (e) => e.subtype === 'channel_join' && e.channel === c && e.ts === said[2].ts), 'also who comes');
  const { channel: seen } = await grace.conversations.info({ channel: c });
  assert.deepEqual([seen.unread_count, seen.last_read], [0, said[2].ts]);
  assert.equal((await ada.conversations.info({ channel: c })).channel.unread_count, 0);
  await fails(grace.chat.update({ channel: c, ts: said[2].ts, text: 'I was never here' }), 'cant_update_message');
  const hidden = await channel({ is_private: true });
  await ada.conversations.invite({ channel: hidden, users: demo.users[1].id });
  assert.deepEqual((await ada.conversations.history({ channel: hidden })).messages.map((m) => m.subtype), ['group_join']);
});

test('another name', async () => {
  const c = await channel(), other = await channel(), hidden = await channel({ is_private: true });
  await grace.conversations.join({ channel: c });
  const name = async (channel) => (await ada.conversations.info({ channel })).channel.name;
  const old = await name(c);
  await fails(grace.conversations.rename({ channel: c, name: 'hers' }), 'not_authorized');
  await fails(linus.conversations.rename({ channel: hidden, name: 'his' }), 'channel_not_found');
  await fails(ada.conversations.rename({ channel: c, name: 'Not A Name' }), 'invalid_name_specials');
  await fails(ada.conversations.rename({ channel: c, name: await name(other) }), 'name_taken');
  await fails(ada.conversations.rename({ channel: c, name: '' }), 'invalid_name_required');
  const answer = await ada.conversations.rename({ channel: c, name: 'renamed' });
  assert.deepEqual([answer.channel.id, answer.channel.name], [c, 'renamed']);
  const event = await heard('linus', (e) => e.type === 'channel_rename' && e.channel.id === c);
  assert.deepEqual([event.channel.name, event.channel.name_normalized, typeof event.channel.created], ['renamed', 'renamed', 'number']);
  const [said] = (await grace.conversations.history({ channel: c })).messages;
  assert.deepEqual([said.subtype, said.old_name, said.name, said.text], ['channel_name', old, 'renamed', `<@${demo.users[0].id}> has renamed the channel from "${old}" to "renamed"`]);
  await ada.conversations.rename({ channel: c, name: 'renamed' });
  assert.equal((await grace.conversations.history({ channel: c })).messages[0].ts, said.ts, 'the same again says nothing');
  assert.equal((await ada.chat.postMessage({ channel: '#renamed', text: 'found by its name' })).channel, c);
  await fails(ada.chat.postMessage({ channel: `#${old}`, text: 'lost' }), 'channel_not_found');
  const again = (await grace.conversations.create({ name: old })).channel.id;
  await fails(ada.conversations.rename({ channel: c, name: old }), 'name_taken');
  await ada.conversations.archive({ channel: other });
  await fails(ada.conversations.rename({ channel: other, name: 'asleep' }), 'is_archived');
  await ada.conversations.rename({ channel: hidden, name: 'still-hidden' });
  assert.ok(!sockets.linus.events.some((e) => e.channel?.id === hidden));
  const all = (await ada.conversations.list({ types: 'public_channel,private_channel', limit: 1000 })).channels;
  assert.deepEqual(['renamed', old, 'still-hidden'].map((n) => all.filter((x) => x.name === n).map((x) => x.id)), [[c], [again], [hidden]]);
});

test('of many who want one name one gets it', async () => {
  const made = await Promise.all(Array.from({ length: 8 }, () => channel()));
  const outcomes = await Promise.all([
    ...made.map((c) => ada.conversations.rename({ channel: c, name: 'wanted' }).then(() => c, (e) => e.data.error)),
    ada.conversations.create({ name: 'wanted' }).then((m) => m.channel.id, (e) => e.data.error),
  ]);
  assert.equal(outcomes.filter((o) => o !== 'name_taken').length, 1, outcomes.join());
});

test('archive and unarchive', async () => {
  const c = await channel();
  await grace.conversations.join({ channel: c });
  await ada.chat.postMessage({ channel: c, text: 'before' });
  await fails(linus.conversations.archive({ channel: c }), 'not_in_channel');
  await grace.conversations.archive({ channel: c });
  await fails(ada.conversations.archive({ channel: c }), 'already_archived');
  await fails(ada.chat.postMessage({ channel: c, text: 'x' }), 'is_archived');
  await fails(ada.conversations.setTopic({ channel: c, topic: 'x' }), 'is_archived');
  await fails(linus.conversations.join({ channel: c }), 'is_archived');
  assert.ok(await heard('linus', (e) => e.type === 'channel_archive' && e.channel === c), 'a public channel is its team\'s to know');
  assert.equal((await ada.conversations.info({ channel: c })).channel.is_archived, true);
  const names = async (options) => (await ada.conversations.list({ limit: 1000, ...options })).channels.map((x) => x.id);
  assert.ok((await names()).includes(c));
  assert.ok(!(await names({ exclude_archived: true })).includes(c));
  assert.equal((await ada.conversations.history({ channel: c })).messages.length, 3);
  await ada.conversations.unarchive({ channel: c });
  await fails(ada.conversations.unarchive({ channel: c }), 'not_archived');
  await ada.chat.postMessage({ channel: c, text: 'after' });
  assert.ok((await names({ exclude_archived: true })).includes(c));
  const general = (await ada.conversations.list()).channels.find((x) => x.is_general);
  await fails(ada.conversations.archive({ channel: general.id }), 'cant_archive_general');
});

test('kick', async () => {
  const c = await channel(), hidden = await channel({ is_private: true });
  for (const id of [c, hidden]) await ada.conversations.invite({ channel: id, users: `${demo.users[1].id},${demo.users[2].id}` });
  await fails(grace.conversations.kick({ channel: c, user: demo.users[2].id }), 'restricted_action');
  await grace.conversations.kick({ channel: hidden, user: demo.users[2].id });
  assert.ok(await heard('linus', (e) => e.type === 'group_left' && e.channel === hidden));
  await fails(linus.conversations.info({ channel: hidden }), 'channel_not_found');
  await ada.chat.postMessage({ channel: hidden, text: 'among us' });
  await ada.conversations.kick({ channel: c, user: demo.users[1].id });
  await fails(ada.conversations.kick({ channel: c, user: demo.users[1].id }), 'not_in_channel');
  await fails(ada.conversations.kick({ channel: c, user: demo.users[0].id }), 'cant_kick_self');
  await fails(ada.conversations.kick({ channel: c, user: 'U1' }), 'user_not_found');
  await heard('grace', (e) => e.text === 'among us');
  assert.ok(!sockets.linus.events.some((e) => e.text === 'among us'), 'who is gone hears nothing');
});

test('a direct conversation is one, however it is opened', async () => {
  const opened = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? ada : grace).conversations.open({ users: demo.users[i % 2 ? 1 : 0].id })));
  const ids = new Set(opened.map((o) => o.channel.id));
  assert.equal(ids.size, 1);
  const [id] = ids;
  assert.match(id, /^D/);
  assert.equal(opened.filter((o) => !o.already_open).length, 1);
  const whole = await ada.conversations.open({ users: demo.users[1].id, return_im: true });
  assert.equal(whole.channel.is_im, true);
  assert.equal(whole.channel.user, demo.users[1].id);
  assert.equal((await grace.conversations.info({ channel: id })).channel.user, demo.users[0].id);
  for (const who of ['ada', 'grace']) assert.ok(await heard(who, (e) => e.type === 'im_created' && e.channel.id === id));
  assert.ok(!sockets.linus.events.some((e) => e.type === 'im_created'));
  const sent = await ada.chat.postMessage({ channel: demo.users[1].id, text: 'directly' });
  assert.equal(sent.channel, id);
  const event = await heard('grace', (e) => e.text === 'directly');
  assert.equal(event.channel, id);
  assert.equal(event.channel_type, 'im');
  assert.ok(!sockets.linus.events.some((e) => e.text === 'directly'));
  assert.deepEqual((await grace.conversations.history({ channel: id })).messages.map((m) => m.text), ['directly']);
  for (const call of [() => linus.conversations.history({ channel: id }), () => linus.conversations.info({ channel: id }),
    () => linus.conversations.members({ channel: id }), () => linus.chat.postMessage({ channel: id, text: 'x' }),
    () => linus.conversations.join({ channel: id }), () => linus.conversations.open({ channel: id })]) await fails(call(), 'channel_not_found');
  await fails(ada.conversations.leave({ channel: id }), 'method_not_supported_for_channel_type');
  await fails(ada.conversations.archive({ channel: id }), 'method_not_supported_for_channel_type');
  assert.deepEqual((await ada.conversations.members({ channel: id })).members.sort(), [demo.users[0].id, demo.users[1].id].sort());
});

test('a group conversation, oneself, and who cannot be', async () => {
  const users = `${demo.users[1].id},${demo.users[2].id}`;
  const group = await ada.conversations.open({ users, return_im: true });
  assert.equal(group.channel.is_mpim, true);
  assert.match(group.channel.name, /^mpdm-ada--grace--linus-1/);
  assert.equal((await linus.conversations.open({ users: `${demo.users[0].id},${demo.users[1].id}` })).channel.id, group.channel.id);
  for (const who of ['ada', 'grace', 'linus']) assert.ok(await heard(who, (e) => e.type === 'mpim_joined' && e.channel.id === group.channel.id));
  await linus.chat.postMessage({ channel: group.channel.id, text: 'to the group' });
  assert.equal((await heard('grace', (e) => e.text === 'to the group')).channel_type, 'mpim');
  const self = await ada.conversations.open({ users: demo.users[0].id });
  assert.match(self.channel.id, /^D/);
  await fails(ada.conversations.open({ users: 'UZZZZZ' }), 'user_not_found');
  await fails(ada.conversations.open({}), 'users_list_not_supplied');
  await fails(linus.conversations.open({ users: demo.bot.user_id ?? demo.users[1].id, prevent_creation: true }), 'channel_not_found');
});

test('a direct conversation out of sight comes back with the next message', async () => {
  const { channel: { id } } = await ada.conversations.open({ users: demo.users[1].id });
  await grace.chat.postMessage({ channel: id, text: 'still here?' });
  const open = async (c) => [(await c.conversations.info({ channel: id })).channel.is_open, (await c.conversations.list({ types: 'im' })).channels.find((x) => x.id === id).is_open];
  assert.deepEqual(await open(ada), [true, true]);
  const first = await ada.conversations.close({ channel: id });
  assert.deepEqual([first.no_op, first.already_closed], [undefined, undefined]);
  assert.ok(await heard('ada', (e) => e.type === 'im_close' && e.channel === id && e.user === demo.users[0].id));
  const again = await ada.conversations.close({ channel: id });
  assert.deepEqual([again.no_op, again.already_closed], [true, true]);
  assert.deepEqual([await open(ada), await open(grace)], [[false, false], [true, true]], 'out of her own sight only');
  await grace.chat.postMessage({ channel: id, text: 'hello?' });
  assert.deepEqual(await open(ada), [true, true], 'something was said');
  await ada.conversations.close({ channel: id });
  const reopened = await ada.conversations.open({ channel: id });
  assert.deepEqual([reopened.already_open, reopened.channel.is_open], [false, true]);
  assert.ok(await heard('ada', (e) => e.type === 'im_open' && e.channel === id));
  assert.equal((await ada.conversations.open({ users: demo.users[1].id })).already_open, true);
  await ada.conversations.close({ channel: id });
  assert.equal((await ada.conversations.open({ users: demo.users[1].id, return_im: true })).channel.is_open, true);
  assert.ok(!sockets.grace.events.some((e) => /^im_(close|open)$/.test(e.type) && e.channel === id));
  await fails(linus.conversations.close({ channel: id }), 'channel_not_found');
  await fails(ada.conversations.close({ channel: demo.channels.general.id }), 'method_not_supported_for_channel_type');
});

test('lists: each sees its own direct conversations, in pages', async () => {
  const all = [];
  for await (const page of ada.paginate('conversations.list', { types: 'public_channel,private_channel,im,mpim', limit: 2 })) all.push(...page.channels);
  assert.equal(new Set(all.map((c) => c.id)).size, all.length);
  assert.equal(all.filter((c) => c.is_im).length, 2);
  assert.equal(all.filter((c) => c.is_mpim).length, 1);
  assert.ok(all.some((c) => c.name === 'general'));
  assert.ok(all.filter((c) => c.is_im).every((c) => c.name === undefined && c.user));
  const linusOnes = (await linus.conversations.list({ types: 'im,mpim' })).channels;
  assert.deepEqual(linusOnes.map((c) => c.is_mpim), [true]);
  const own = await ada.users.conversations({ types: 'im' });
  assert.equal(own.channels.length, 2);
  const others = await ada.users.conversations({ user: demo.users[2].id, types: 'public_channel,private_channel,im,mpim', limit: 1000 });
  assert.ok(others.channels.some((c) => c.name === 'general'));
  assert.ok(others.channels.every((c) => !c.is_private || c.is_member), 'nothing that the caller may not see');
});

test('all of it is there after a kill', async () => {
  const before = await ada.conversations.open({ users: demo.users[1].id });
  const c = await channel();
  await ada.conversations.setTopic({ channel: c, topic: 'kept' });
  await ada.conversations.rename({ channel: c, name: 'another-name' });
  await fails(ada.conversations.rename({ channel: before.channel.id, name: 'two-of-us' }), 'method_not_supported_for_channel_type');
  await ada.conversations.archive({ channel: c });
  await parley.kill();
  await parley.restart();
  assert.equal((await grace.conversations.open({ users: demo.users[0].id })).channel.id, before.channel.id);
  const { channel: now } = await ada.conversations.info({ channel: c });
  assert.equal(now.topic.value, 'kept');
  assert.equal(now.name, 'another-name');
  await fails(ada.conversations.create({ name: 'another-name' }), 'name_taken');
  assert.equal(now.is_archived, true);
  await fails(ada.chat.postMessage({ channel: c, text: 'x' }), 'is_archived');
});
