// What a user has reacted to: order, pages and cursors, rights, what changes it, over a restart; with both majors of the SDK.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { WebClient } from '@slack/web-api';
import { WebClient as WebClient8 } from 'slack-web-api-8';
import { Parley } from './harness.mjs';

let parley, demo, ada, grace, bot, open, secret;
const sent = [];
const client = (token, Client = WebClient) => new Client(token, { slackApiUrl: parley.api, retryConfig: { retries: 0 } });
const fails = (promise, error) => assert.rejects(promise, (e) => e.data?.error === error || assert.fail(`${e.data?.error ?? e}, not ${error}`));
const texts = (a) => a.items.map((i) => i.message.text);

before(async () => {
  parley = await Parley.start();
  demo = parley.demo();
  ada = client(demo.users[0].token);
  grace = client(demo.users[1].token, WebClient8);
  bot = client(demo.bot.token);
  open = (await ada.conversations.create({ name: 'reacted-open' })).channel.id;
  secret = (await ada.conversations.create({ name: 'reacted-secret', is_private: true })).channel.id;
  await ada.conversations.invite({ channel: open, users: demo.users[1].id });
  for (let i = 0; i < 7; i++) {
    const channel = i % 3 === 0 ? secret : open;
    const { ts } = await ada.chat.postMessage({ channel, text: `m${i}` });
    await ada.reactions.add({ channel, timestamp: ts, name: 'eyes' });
    sent.push({ channel, ts });
  }
});
after(() => parley.stop());

test('newest first, each message once with all of its reactions', async () => {
  const { channel, ts } = sent[1];
  await ada.reactions.add({ channel, timestamp: ts, name: 'tada' });
  await grace.reactions.add({ channel, timestamp: ts, name: 'tada' });
  const list = await ada.reactions.list();
  assert.deepEqual(texts(list), ['m6', 'm5', 'm4', 'm3', 'm2', 'm1', 'm0']);
  assert.deepEqual(list.paging, { count: 100, total: 7, page: 1, pages: 1 });
  const item = list.items[5];
  assert.deepEqual([item.type, item.channel, item.message.ts], ['message', open, ts]);
  assert.deepEqual(item.message.reactions, [{ name: 'eyes', users: [demo.users[0].id], count: 1 }, { name: 'tada', users: [demo.users[0].id, demo.users[1].id], count: 2 }]);
  assert.deepEqual(texts(await grace.reactions.list()), ['m1']);
  assert.deepEqual((await bot.reactions.list()).items, []);
});

test('another user sees those that it may read, and no trace of others', async () => {
  const list = await grace.reactions.list({ user: demo.users[0].id });
  assert.deepEqual(texts(list), ['m5', 'm4', 'm2', 'm1']);
  assert.equal(list.paging.total, 4);
  await fails(ada.reactions.list({ user: 'U0NOBODY' }), 'user_not_found');
  const seen = [];
  for await (const page of grace.paginate('reactions.list', { user: demo.users[0].id, limit: 2 })) {
    assert.equal(page.paging, undefined);
    seen.push(...texts(page));
    assert.ok(seen.length < 4 || !page.response_metadata?.next_cursor, 'no cursor over what is hidden');
  }
  assert.deepEqual(seen, ['m5', 'm4', 'm2', 'm1']);
});

test('pages', async () => {
  const pages = await Promise.all([1, 2, 3, 4].map((page) => ada.reactions.list({ count: 3, page, full: true })));
  assert.deepEqual(pages.map(texts), [['m6', 'm5', 'm4'], ['m3', 'm2', 'm1'], ['m0'], []]);
  assert.deepEqual(pages[1].paging, { count: 3, total: 7, page: 2, pages: 3 });
  assert.deepEqual(texts(await ada.reactions.list({ cursor: pages[0].response_metadata.next_cursor, limit: 2 })), ['m3', 'm2']);
  await fails(ada.reactions.list({ cursor: 'bm9uc2Vuc2U=' }), 'invalid_cursor');
});

test('the last reaction and the message take it out; replies are in it', async () => {
  await ada.reactions.remove({ ...at(1), name: 'eyes' });
  assert.ok(texts(await ada.reactions.list()).includes('m1'), 'another one is left');
  await ada.reactions.remove({ ...at(1), name: 'tada' });
  await ada.chat.delete({ channel: open, ts: sent[2].ts });
  const reply = await grace.chat.postMessage({ channel: open, thread_ts: sent[4].ts, text: 'a reply' });
  await ada.reactions.add({ channel: open, timestamp: reply.ts, name: 'eyes' });
  const now = ['a reply', 'm6', 'm5', 'm4', 'm3', 'm0'];
  assert.deepEqual(texts(await ada.reactions.list()), now);
  assert.deepEqual(texts(await grace.reactions.list()), ['m1']);
  await parley.kill();
  await parley.up();
  assert.deepEqual(texts(await ada.reactions.list()), now);
});

function at(i) {
  return { channel: sent[i].channel, timestamp: sent[i].ts };
}
