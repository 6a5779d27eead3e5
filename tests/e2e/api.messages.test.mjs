// Messages that change: threads, edits, deletions, reactions, pins, reading marks, with Slack's SDKs and their events on sockets.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { WebClient } from '@slack/web-api';
import { WebClient as WebClient8 } from 'slack-web-api-8';
import { Parley, eventually } from './harness.mjs';
import { rtm } from './ws.mjs';

let parley, demo, ada, grace, bot, general, secret, socket;
const client = (token, Client = WebClient) => new Client(token, { slackApiUrl: parley.api, retryConfig: { retries: 0 } });
const fails = (promise, error) => assert.rejects(promise, (e) => e.data?.error === error || assert.fail(`${e.data?.error ?? e}, not ${error}`));
const event = (what) => eventually(async () => socket.events.find(what), 'the event');
const post = (text, more = {}) => ada.chat.postMessage({ channel: general, text, ...more });
const one = async (ts, who = ada) => (await who.conversations.history({ channel: general, latest: ts, inclusive: true, limit: 1 })).messages[0];

before(async () => {
  parley = await Parley.start();
  demo = parley.demo();
  ada = client(demo.users[0].token);
  grace = client(demo.users[1].token, WebClient8);
  bot = client(demo.bot.token);
  const list = await ada.conversations.list();
  general = list.channels.find((c) => c.name === 'general').id;
  secret = (await ada.conversations.create({ name: 'messages-secret', is_private: true })).channel.id;
  socket = await rtm(parley, demo.users[1].token);
});
after(() => parley.stop());

test('a thread: parent, replies, counts', async () => {
  const parent = await post('parent');
  const first = await grace.chat.postMessage({ channel: general, text: 'first', thread_ts: parent.ts });
  assert.equal(first.message.thread_ts, parent.ts);
  const second = await post('second', { thread_ts: parent.ts });
  const thread = await ada.conversations.replies({ channel: general, ts: parent.ts });
  assert.deepEqual(thread.messages.map((m) => m.text), ['parent', 'first', 'second']);
  const [p, r] = thread.messages;
  assert.equal(p.reply_count, 2);
  assert.equal(p.reply_users_count, 2);
  assert.equal(p.latest_reply, second.ts);
  assert.deepEqual(p.reply_users, [demo.users[1].id, demo.users[0].id]);
  assert.equal(p.thread_ts, parent.ts);
  assert.equal(r.parent_user_id, demo.users[0].id);
  const history = await ada.conversations.history({ channel: general });
  assert.ok(!history.messages.some((m) => m.ts === first.ts), 'replies are not in the channel');
  assert.deepEqual((await ada.conversations.replies({ channel: general, ts: first.ts })).messages.map((m) => m.text), ['parent', 'first', 'second']);
  const replied = await event((e) => e.subtype === 'message_replied' && e.message.ts === parent.ts && e.message.reply_count === 2);
  assert.equal(replied.channel, general);
  assert.ok(await event((e) => e.type === 'message' && e.ts === second.ts && e.thread_ts === parent.ts));
});

test('a broadcast reply is in both', async () => {
  const parent = await post('broadcast parent');
  const reply = await post('for all', { thread_ts: parent.ts, reply_broadcast: true });
  const quiet = await post('for few', { thread_ts: parent.ts });
  await fails(ada.chat.update({ channel: general, ts: quiet.ts, text: 'for all?', reply_broadcast: true }), 'cant_broadcast_message');
  await ada.chat.delete({ channel: general, ts: quiet.ts });
  await ada.chat.update({ channel: general, ts: reply.ts, text: 'for all', reply_broadcast: true });
  const shown = await one(reply.ts);
  assert.equal(shown.subtype, 'thread_broadcast');
  assert.equal(shown.thread_ts, parent.ts);
  const thread = await ada.conversations.replies({ channel: general, ts: parent.ts });
  assert.deepEqual(thread.messages.map((m) => m.text), ['broadcast parent', 'for all']);
  await fails(post('x', { thread_ts: reply.ts }), 'cannot_reply_to_message');
});

test('a reply needs a stored parent', async () => {
  await fails(post('x', { thread_ts: '1700000000.000100' }), 'cannot_reply_to_message');
  await fails(ada.conversations.replies({ channel: general, ts: '1700000000.000100' }), 'thread_not_found');
  const elsewhere = await ada.chat.postMessage({ channel: secret, text: 'elsewhere' });
  await fails(post('x', { thread_ts: elsewhere.ts }), 'cannot_reply_to_message');
  await fails(grace.conversations.replies({ channel: secret, ts: elsewhere.ts }), 'channel_not_found');
});

test('counts are exact under 20 who reply at once, and pages cover the thread', async () => {
  const parent = await post('busy');
  await Promise.all(Array.from({ length: 60 }, (_, i) => (i % 2 ? ada : grace).chat.postMessage({ channel: general, text: `r${i}`, thread_ts: parent.ts })));
  const p = await one(parent.ts);
  assert.equal(p.reply_count, 60);
  assert.equal(p.reply_users_count, 2);
  const seen = [];
  for await (const page of ada.paginate('conversations.replies', { channel: general, ts: parent.ts, limit: 7 })) {
    assert.equal(page.messages[0].ts, parent.ts);
    seen.push(...page.messages.slice(1).map((m) => m.ts));
  }
  assert.equal(seen.length, 60);
  assert.deepEqual(seen, [...seen].sort());
  assert.equal(p.latest_reply, seen.at(-1));
});

test('edits', async () => {
  const m = await post('bfore', { blocks: [{ type: 'section', text: { type: 'plain_text', text: 'block' } }], client_msg_id: 'edit-1' });
  const edited = await ada.chat.update({ channel: general, ts: m.ts, text: 'before & after' });
  assert.equal(edited.text, 'before &amp; after');
  assert.equal(edited.message.edited.user, demo.users[0].id);
  const now = await one(m.ts);
  assert.equal(now.text, 'before &amp; after');
  assert.equal(now.blocks[0].text.text, 'block', 'what was not given stays');
  assert.equal(now.client_msg_id, 'edit-1');
  assert.ok(now.edited.ts);
  const changed = await event((e) => e.subtype === 'message_changed' && e.message.ts === m.ts);
  assert.equal(changed.hidden, true);
  assert.equal(changed.previous_message.text, 'bfore');
  assert.equal(changed.message.text, 'before &amp; after');
  assert.notEqual(changed.ts, m.ts);
  await ada.chat.update({ channel: general, ts: m.ts, text: 'plain', blocks: [] });
  assert.equal((await one(m.ts)).blocks, undefined);
  await fails(ada.chat.update({ channel: general, ts: m.ts, text: 'x', reply_broadcast: true }), 'cant_broadcast_message');
  await fails(ada.chat.update({ channel: general, ts: m.ts, text: 'x', file_ids: ['F0'] }), 'unable_to_share_files');
  assert.equal((await one(m.ts)).text, 'plain');
  await ada.chat.update({ channel: general, ts: m.ts, text: 'plain', reply_broadcast: false, file_ids: [] });
  await fails(grace.chat.update({ channel: general, ts: m.ts, text: 'x' }), 'cant_update_message');
  await fails(ada.chat.update({ channel: general, ts: '1700000000.000100', text: 'x' }), 'message_not_found');
  await fails(ada.chat.update({ channel: general, ts: m.ts }), 'no_text');
  const again = await post('other words', { client_msg_id: 'edit-1' });
  assert.equal(again.ts, m.ts, 'the key is still the first message');
  assert.equal(again.message.text, 'plain');
});

test('deletions', async () => {
  const m = await post('doomed', { client_msg_id: 'del-1' });
  await fails(grace.chat.delete({ channel: general, ts: m.ts }), 'cant_delete_message');
  const gone = await ada.chat.delete({ channel: general, ts: m.ts });
  assert.equal(gone.ts, m.ts);
  assert.notEqual((await one(m.ts))?.ts, m.ts);
  const deleted = await event((e) => e.subtype === 'message_deleted' && e.deleted_ts === m.ts);
  assert.equal(deleted.previous_message.text, 'doomed');
  await fails(ada.chat.delete({ channel: general, ts: m.ts }), 'message_not_found');
  await fails(ada.chat.update({ channel: general, ts: m.ts, text: 'x' }), 'message_not_found');
  assert.equal((await post('doomed', { client_msg_id: 'del-1' })).ts, m.ts, 'a late retry does not bring it back');
  assert.notEqual((await one(m.ts))?.ts, m.ts);
});

test('a deleted reply leaves the counts of those that are left', async () => {
  const parent = await post('to be thinned');
  const replies = [];
  for (const [who, text] of [[ada, 'a'], [grace, 'b'], [ada, 'c'], [grace, 'd']]) replies.push(await who.chat.postMessage({ channel: general, text, thread_ts: parent.ts, reply_broadcast: text === 'b' }));
  await grace.chat.delete({ channel: general, ts: replies[3].ts });
  let p = await one(parent.ts);
  assert.equal(p.reply_count, 3);
  assert.equal(p.latest_reply, replies[2].ts);
  await ada.chat.delete({ channel: general, ts: replies[2].ts });
  p = await one(parent.ts);
  assert.equal(p.latest_reply, replies[1].ts, 'the broadcast one');
  await grace.chat.delete({ channel: general, ts: replies[1].ts });
  p = await one(parent.ts);
  assert.deepEqual([p.reply_count, p.reply_users_count, p.latest_reply], [1, 1, replies[0].ts]);
  await ada.chat.delete({ channel: general, ts: parent.ts });
  const stone = (await ada.conversations.replies({ channel: general, ts: parent.ts })).messages;
  assert.equal(stone[0].subtype, 'tombstone');
  assert.equal(stone[1].text, 'a');
  await ada.chat.delete({ channel: general, ts: replies[0].ts });
  await fails(ada.conversations.replies({ channel: general, ts: parent.ts }), 'thread_not_found');
  assert.notEqual((await one(parent.ts))?.ts, parent.ts);
});

test('reactions', async () => {
  const m = await post('react to me');
  await grace.reactions.add({ channel: general, timestamp: m.ts, name: ':thumbsup:' });
  await ada.reactions.add({ channel: general, timestamp: m.ts, name: 'thumbsup' });
  await ada.reactions.add({ channel: general, timestamp: m.ts, name: 'tada::skin-tone-2' });
  await fails(ada.reactions.add({ channel: general, timestamp: m.ts, name: 'thumbsup' }), 'already_reacted');
  const got = await ada.reactions.get({ channel: general, timestamp: m.ts });
  assert.deepEqual(got.message.reactions, [
    { name: 'thumbsup', users: [demo.users[1].id, demo.users[0].id], count: 2 },
    { name: 'tada::skin-tone-2', users: [demo.users[0].id], count: 1 }]);
  const added = await event((e) => e.type === 'reaction_added' && e.item.ts === m.ts && e.user === demo.users[0].id);
  assert.equal(added.item_user, demo.users[0].id);
  assert.equal(added.item.channel, general);
  await grace.reactions.remove({ channel: general, timestamp: m.ts, name: 'thumbsup' });
  await fails(grace.reactions.remove({ channel: general, timestamp: m.ts, name: 'thumbsup' }), 'no_reaction');
  assert.equal((await one(m.ts)).reactions[0].count, 1);
  await fails(ada.reactions.add({ channel: general, timestamp: m.ts, name: 'Not a name' }), 'invalid_name');
  await fails(ada.reactions.add({ channel: general, timestamp: '1700000000.000100', name: 'x' }), 'message_not_found');
  const hidden = await ada.chat.postMessage({ channel: secret, text: 'hidden' });
  await fails(grace.reactions.add({ channel: secret, timestamp: hidden.ts, name: 'x' }), 'channel_not_found');
  await Promise.all(Array.from({ length: 20 }, (_, i) => ada.reactions.add({ channel: general, timestamp: m.ts, name: `e${i}` })));
  assert.equal((await one(m.ts)).reactions.length, 22);
  await ada.reactions.add({ channel: general, timestamp: m.ts, name: 'e20' });
  await fails(ada.reactions.add({ channel: general, timestamp: m.ts, name: 'e21' }), 'too_many_reactions');
});

test('pins', async () => {
  const m = await post('pin me');
  const reply = await post('and me', { thread_ts: m.ts });
  await ada.pins.add({ channel: general, timestamp: m.ts });
  await grace.pins.add({ channel: general, timestamp: reply.ts });
  await fails(ada.pins.add({ channel: general, timestamp: m.ts }), 'already_pinned');
  const pins = await ada.pins.list({ channel: general });
  assert.deepEqual(pins.items.map((i) => i.message.text), ['and me', 'pin me']);
  assert.equal(pins.items[1].created_by, demo.users[0].id);
  const history = await ada.conversations.history({ channel: general });
  assert.equal(history.pin_count, 2);
  assert.deepEqual((await one(m.ts)).pinned_to, [general]);
  assert.ok(await event((e) => e.type === 'pin_added' && e.item.message.ts === m.ts));
  await ada.pins.remove({ channel: general, timestamp: m.ts });
  await fails(ada.pins.remove({ channel: general, timestamp: m.ts }), 'no_pin');
  await ada.chat.delete({ channel: general, ts: reply.ts });
  assert.deepEqual((await ada.pins.list({ channel: general })).items, []);
  assert.equal((await ada.conversations.history({ channel: general })).pin_count, 0);
});

test('what one has read', async () => {
  const channel = (await ada.conversations.create({ name: 'unread' })).channel.id;
  await grace.conversations.join({ channel });
  const sent = [];
  for (let i = 0; i < 5; i++) sent.push((await ada.chat.postMessage({ channel, text: `${i}` })).ts);
  const unread = async () => (await grace.conversations.info({ channel })).channel.unread_count;
  assert.equal(await unread(), 5);
  await grace.conversations.mark({ channel, ts: sent[1] });
  assert.equal(await unread(), 3);
  assert.ok(await event((e) => e.type === 'channel_marked' && e.channel === channel && e.ts === sent[1]));
  await grace.conversations.mark({ channel, ts: sent[4] });
  assert.equal(await unread(), 0);
  const between = (Number(sent[2].replace('.', '')) + 1).toString();
  await grace.conversations.mark({ channel, ts: `${between.slice(0, 10)}.${between.slice(10)}` });
  assert.equal(await unread(), 2, 'a ts between two messages');
  await ada.chat.delete({ channel, ts: sent[4] });
  assert.equal(await unread(), 1, 'what is deleted is not unread');
  await ada.chat.postMessage({ channel, text: 'reply', thread_ts: sent[0] });
  assert.equal(await unread(), 1, 'nor is a reply in a thread');
  await fails(bot.conversations.mark({ channel, ts: sent[0] }), 'not_in_channel');
});

test('for one to see, what one does, where it is', async () => {
  await ada.chat.postEphemeral({ channel: general, user: demo.users[1].id, text: 'only you' });
  const seen = await event((e) => e.is_ephemeral && e.text === 'only you');
  assert.equal(seen.channel, general);
  assert.ok(!(await ada.conversations.history({ channel: general })).messages.some((m) => m.text === 'only you'));
  await fails(ada.chat.postEphemeral({ channel: secret, user: demo.users[1].id, text: 'x' }), 'user_not_in_channel');
  const me = await ada.chat.meMessage({ channel: general, text: 'is away' });
  assert.equal((await one(me.ts)).subtype, 'me_message');
  const m = await post('linked');
  const link = await ada.chat.getPermalink({ channel: general, message_ts: m.ts });
  assert.equal(link.permalink, `${parley.api.replace(/api\/$/, '')}archives/${general}/p${m.ts.replace('.', '')}`);
  const reply = await post('linked reply', { thread_ts: m.ts });
  const deep = await ada.chat.getPermalink({ channel: general, message_ts: reply.ts });
  assert.match(deep.permalink, new RegExp(`\\?thread_ts=${m.ts}&cid=${general}$`));
  await fails(ada.chat.getPermalink({ channel: general, message_ts: '1700000000.000100' }), 'message_not_found');
});

test('metadata, markdown, a bot under another name', async () => {
  const metadata = { event_type: 'deploy', event_payload: { id: 7 } };
  const m = await post('with metadata', { metadata });
  assert.equal((await one(m.ts)).metadata, undefined);
  const all = await ada.conversations.history({ channel: general, limit: 1, include_all_metadata: true });
  assert.deepEqual(all.messages[0].metadata, metadata);
  assert.deepEqual((await event((e) => e.ts === m.ts)).metadata, metadata);
  await fails(post('x', { metadata: { event_type: 'x' } }), 'invalid_metadata_format');
  assert.equal((await ada.chat.postMessage({ channel: general, markdown_text: '*hi*' })).message.text, '*hi*');
  await fails(post('x', { markdown_text: 'y' }), 'markdown_text_conflict');
  const named = await bot.chat.postMessage({ channel: general, text: 'deployed', username: 'Deploy', icon_emoji: ':rocket:' });
  const shown = await one(named.ts);
  assert.equal(shown.subtype, 'bot_message');
  assert.equal(shown.username, 'Deploy');
  assert.equal(shown.user, undefined);
  assert.equal(shown.bot_id, demo.bot.bot_id);
});

test('a text without formatting says so wherever it is shown', async () => {
  const plain = await post('*zeppelin*', { mrkdwn: false, unfurl_links: true, unfurl_media: false });
  assert.equal(plain.message.mrkdwn, false);
  assert.equal((await event((e) => e.type === 'message' && e.ts === plain.ts)).mrkdwn, false);
  const reply = await post('_reply_', { mrkdwn: false, thread_ts: plain.ts });
  assert.deepEqual((await ada.conversations.replies({ channel: general, ts: plain.ts })).messages.map((m) => m.mrkdwn), [false, false]);
  const found = await eventually(async () => (await ada.search.messages({ query: 'zeppelin' })).messages.matches[0], 'it is found');
  assert.equal(found.mrkdwn, false);
  const edited = await ada.chat.update({ channel: general, ts: plain.ts, text: '*edited*' });
  assert.equal(edited.message.mrkdwn, false);
  const shown = await one(plain.ts);
  assert.deepEqual([shown.text, shown.mrkdwn, reply.message.mrkdwn], ['*edited*', false, false]);
  assert.equal((await event((e) => e.subtype === 'message_changed' && e.message.ts === plain.ts)).message.mrkdwn, false);
  for (const more of [{}, { mrkdwn: true }, { mrkdwn: '' }]) assert.ok(!('mrkdwn' in (await one((await post('*bold*', more)).ts))));
  for (const name of ['mrkdwn', 'unfurl_links', 'unfurl_media']) await fails(post('x', { [name]: 'maybe' }), 'invalid_arguments');
});

test('names become mentions on demand', async () => {
  const [a, g] = demo.users.map((u) => u.id);
  const me = (await ada.users.info({ user: a })).user.name;
  await grace.users.profile.set({ profile: { display_name: 'Amazing Grace' } });
  const { usergroup } = await ada.usergroups.create({ name: 'Mentioned', handle: 'mentioned' });
  const text = `@amazing grace, @${me}, @Mentioned, @here: #general #messages-secret #nowhere @nobody \`@${me}\` https://x.com/?a=1&b=2`;
  const want = (secretly, url) => `<@${g}>, <@${a}>, <!subteam^${usergroup.id}>, <!here>: <#${general}|general> ${secretly} #nowhere @nobody \`@${me}\` ${url}`;
  const mine = want(`<#${secret}|messages-secret>`, 'https://x.com/?a=1&amp;b=2');
  assert.equal((await post(text)).message.text, text.replace('a=1&b', 'a=1&amp;b'));
  const m = await post(text, { link_names: true, client_msg_id: 'mentions' });
  assert.equal(m.message.text, mine);
  assert.equal((await one(m.ts)).text, mine);
  assert.equal((await event((e) => e.ts === m.ts)).text, mine);
  const hers = await grace.chat.postMessage({ channel: general, text, parse: 'full' });
  assert.equal(hers.message.text, want('#messages-secret', '<https://x.com/?a=1&amp;b=2>'), 'she does not see the channel');
  await ada.chat.postEphemeral({ channel: general, user: g, text: `one: @${me}`, link_names: true });
  await event((e) => e.is_ephemeral && e.text === `one: <@${a}>`);
  const edited = await ada.chat.update({ channel: general, ts: m.ts, text: `edited: @${me}`, parse: 'full' });
  assert.equal(edited.text, `edited: <@${a}>`);
  assert.equal((await one(m.ts)).text, `edited: <@${a}>`);
  const later = await ada.chat.scheduleMessage({ channel: general, text: `later: @${me}`, post_at: Math.floor(Date.now() / 1000) + 3600, link_names: true, unfurl_links: false });
  assert.equal(later.message.text, `later: <@${a}>`);
  const list = await ada.chat.scheduledMessages.list({ channel: general });
  assert.ok(list.scheduled_messages.some((s) => s.id === later.scheduled_message_id && s.text === `later: <@${a}>`));
  // The name means somebody else by then: the first message is the answer.
  await grace.users.profile.set({ profile: { display_name: '' } });
  const again = await post(text, { link_names: true, client_msg_id: 'mentions' });
  assert.deepEqual([again.ts, again.message.text], [m.ts, `edited: <@${a}>`]);
  assert.match((await post(text, { link_names: true })).message.text, /^@amazing grace, /);
  const hundred = await post(`@${me} `.repeat(101).trim(), { link_names: true });
  assert.equal(hundred.message.text, `<@${a}> `.repeat(100) + `@${me}`);
  const full = 'x'.repeat(39_998 - me.length) + ` @${me}`; // no room for the mention
  const stays = await post(full, { link_names: true, client_msg_id: 'full' });
  assert.equal(stays.message.text, full);
  assert.equal((await post(full, { link_names: true, client_msg_id: 'full' })).ts, stays.ts);
  await fails(post('x' + full, { link_names: true }), 'msg_too_long');
  // What two have is nobody's, nor does it mean who has the beginning of it.
  for (const w of [ada, grace]) await w.users.profile.set({ profile: { display_name: `${me} King` } });
  assert.equal((await post(`@${me} King, @${me} Queen`, { link_names: true })).message.text, `@${me} King, <@${a}> Queen`);
  for (const w of [ada, grace]) await w.users.profile.set({ profile: { display_name: '' } });
  // Groups are kept, and a change of them is seen at once.
  const { usergroup: other } = await grace.usergroups.create({ name: 'Others', handle: 'others' });
  assert.equal((await post('@others @mentioned', { link_names: true })).message.text, `<!subteam^${other.id}> <!subteam^${usergroup.id}>`);
  await ada.usergroups.disable({ usergroup: other.id });
  assert.equal((await post('@others @mentioned', { link_names: true })).message.text, `@others <!subteam^${usergroup.id}>`);
  for (const more of [{ parse: 'half' }, { link_names: 'maybe' }]) await fails(post('x', more), 'invalid_arguments');
});

test('attachments have their number', async () => {
  const attachments = Array.from({ length: 100 }, (_, i) => ({ text: `a${i}` }));
  assert.equal((await post('x', { attachments })).message.attachments.length, 100);
  for (const more of [{ text: 'x' }, { user: demo.users[1].id, text: 'x' }]) {
    const call = more.user ? ada.chat.postEphemeral : ada.chat.postMessage;
    await fails(call({ channel: general, attachments: [...attachments, {}], ...more }), 'too_many_attachments');
  }
  await fails(post('x', { blocks: Array.from({ length: 51 }, () => ({ type: 'divider' })) }), 'invalid_blocks');
});

test('all of it is there after a kill', async () => {
  const parent = await post('survivor');
  const reply = await grace.chat.postMessage({ channel: general, text: 'reply', thread_ts: parent.ts });
  await ada.chat.update({ channel: general, ts: parent.ts, text: 'survivor, edited' });
  await grace.reactions.add({ channel: general, timestamp: parent.ts, name: 'eyes' });
  await grace.chat.update({ channel: general, ts: reply.ts, text: 'reply, edited' });
  await ada.pins.add({ channel: general, timestamp: parent.ts });
  const before = (await ada.conversations.replies({ channel: general, ts: parent.ts })).messages;
  await parley.kill();
  await parley.restart();
  const after = (await ada.conversations.replies({ channel: general, ts: parent.ts })).messages;
  assert.deepEqual(after, before);
  assert.equal(after[0].reactions[0].name, 'eyes');
  assert.equal(after[1].text, 'reply, edited');
});
