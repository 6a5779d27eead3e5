// search.messages with Slack's SDK: what is found, in which order, and that nobody finds what he may not read.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { WebClient } from '@slack/web-api';
import { Parley, eventually } from './harness.mjs';

let parley, demo, ada, grace, general, secret;
const client = (token) => new WebClient(token, { slackApiUrl: parley.api, retryConfig: { retries: 0 } });
const texts = (r) => r.messages.matches.map((m) => m.text);
const find = async (who, query, more = {}) => texts(await who.search.messages({ query, sort: 'timestamp', ...more }));

before(async () => {
  parley = await Parley.start();
  demo = parley.demo();
  ada = client(demo.users[0].token);
  grace = client(demo.users[1].token);
  const list = await ada.conversations.list();
  general = list.channels.find((c) => c.name === 'general').id;
  secret = (await ada.conversations.create({ name: 'search-secret', is_private: true })).channel.id;
  for (const text of ['The Quick brown fox', 'Ärger mit dem Zug', '日本語のテスト', 'привет Мир', 'مرحبا بالعالم', 'party 🎉 time', 'see https://parley.example/docs'])
    await ada.chat.postMessage({ channel: general, text });
  await grace.chat.postMessage({ channel: general, text: 'a quick answer' });
  await ada.chat.postMessage({ channel: secret, text: 'quick secret plan' });
  await eventually(async () => (await find(ada, 'plan')).length === 1, 'the index has the last message');
});
after(() => parley.stop());

test('words in any script, folded', async () => {
  assert.deepEqual(await find(ada, 'QUICK brown'), ['The Quick brown fox']);
  assert.deepEqual(await find(ada, 'arger'), ['Ärger mit dem Zug']);
  assert.deepEqual(await find(ada, '本語'), ['日本語のテスト']);
  assert.deepEqual(await find(ada, 'ПРИВЕТ мир'), ['привет Мир']);
  assert.deepEqual(await find(ada, 'مرحبا'), ['مرحبا بالعالم']);
  assert.deepEqual(await find(ada, '🎉'), ['party 🎉 time']);
  assert.deepEqual(await find(ada, '"quick brown"'), ['The Quick brown fox']);
  assert.deepEqual(await find(ada, '"brown quick"'), []);
  assert.deepEqual(await find(ada, 'pla*'), ['quick secret plan']);
});

test('newest first, or oldest, or the best', async () => {
  assert.deepEqual(await find(ada, 'quick'), ['quick secret plan', 'a quick answer', 'The Quick brown fox']);
  assert.deepEqual(await find(ada, 'quick', { sort_dir: 'asc' }), ['The Quick brown fox', 'a quick answer', 'quick secret plan']);
  const best = await ada.search.messages({ query: 'quick' });
  assert.equal(best.messages.total, 3);
  const scores = best.messages.matches.map((m) => m.score);
  assert.deepEqual(scores, [...scores].sort((a, b) => b - a));
});

test('modifiers', async () => {
  assert.deepEqual(await find(ada, 'quick from:grace'), ['a quick answer']);
  assert.deepEqual(await find(ada, `quick from:<@${demo.users[1].id}>`), ['a quick answer']);
  assert.deepEqual(await find(grace, 'from:me'), ['a quick answer']);
  assert.deepEqual(await find(ada, 'quick -from:me'), ['a quick answer']);
  assert.deepEqual(await find(ada, 'quick in:#search-secret'), ['quick secret plan']);
  assert.deepEqual(await find(ada, 'quick -in:general'), ['quick secret plan']);
  assert.deepEqual(await find(ada, 'has:link in:general'), ['see https://parley.example/docs']);
  assert.deepEqual(await find(ada, 'quick before:today'), []);
  assert.equal((await find(ada, 'quick after:yesterday')).length, 3);
  assert.deepEqual(await find(ada, 'quick from:nobody'), []);
  assert.deepEqual(await find(ada, 'quick -secret -answer'), ['The Quick brown fox']);
});

test('who may not read does not find', async () => {
  assert.deepEqual(await find(grace, 'plan'), []);
  assert.deepEqual(await find(grace, 'quick in:#search-secret'), []);
  assert.deepEqual(await find(grace, `in:${secret}`), []);
  assert.equal((await grace.search.messages({ query: 'quick' })).messages.total, 2);
  await assert.rejects(client(demo.bot.token).search.messages({ query: 'quick' }), (e) => e.data.error === 'not_allowed_token_type');
});

test('pages, marks, links', async () => {
  const page = await ada.search.messages({ query: 'quick', sort: 'timestamp', count: 2, page: 2, highlight: true });
  assert.deepEqual(texts(page), ['The \ue000Quick\ue001 brown fox']);
  assert.deepEqual(page.messages.paging, { count: 2, total: 3, page: 2, pages: 2 });
  assert.equal(page.messages.pagination.first, 3);
  const [m] = page.messages.matches;
  assert.equal(m.channel.name, 'general');
  assert.equal(m.username, 'ada');
  assert.match(m.permalink, new RegExp(`/archives/${general}/p\\d{16}$`));
  const seen = [];
  for await (const p of ada.paginate('search.messages', { query: 'quick', sort: 'timestamp', count: 1, cursor: '*' })) seen.push(...texts(p));
  assert.deepEqual(seen, ['quick secret plan', 'a quick answer', 'The Quick brown fox']);
  for (const cursor of ['x', Buffer.from('page:1').toString('base64'), Buffer.from('page:101').toString('base64'), Buffer.from('next_ts:2').toString('base64')]) {
    await assert.rejects(ada.search.messages({ query: 'quick', cursor }), (e) => e.data.error === 'invalid_cursor', cursor);
  }
  await assert.rejects(ada.search.messages({ query: '  ' }), (e) => e.data.error === 'no_query');
  await assert.rejects(ada.search.messages({ query: 'x', sort: 'luck' }), (e) => e.data.error === 'invalid_arguments');
});

test('the index is made anew while the daemon works', async () => {
  const before = (await parley.metrics()).parley_search_channels_indexed_total;
  parley.ctl('search', 'rebuild');
  await eventually(async () => (await parley.metrics()).parley_search_channels_indexed_total > before, 'channels are indexed again');
  await eventually(async () => (await find(ada, 'quick')).length === 3 && (await find(ada, '日本語')).length === 1, 'all is found again');
});

test('a query reads what it is about, not what is there', async () => {
  for (let i = 0; i < 200; i += 20)
    await Promise.all(Array.from({ length: 20 }, (_, k) => ada.chat.postMessage({ channel: general, text: `everyday words ${i + k === 77 ? 'platypus' : ''}` })));
  await eventually(async () => (await find(ada, 'platypus')).length === 1, 'indexed');
  const rows = async () => (await parley.metrics()).parley_search_rows_read_total;
  const before = await rows();
  assert.equal((await find(ada, 'platypus words')).length, 1);
  assert.ok(await rows() - before <= 16, `${await rows() - before} rows`);
});

test('after a kill the index goes on where it was', async () => {
  await ada.chat.postMessage({ channel: general, text: 'just before the end' });
  await parley.kill();
  await parley.restart();
  await eventually(async () => (await find(ada, '"before the end"')).length === 1, 'found after the restart');
  assert.equal((await find(ada, 'quick')).length, 3);
});

test('switched off nothing is indexed; switched on all of it is', async () => {
  parley.settings = { ...parley.settings, 'search.enabled': false };
  await parley.restart();
  await ada.chat.postMessage({ channel: general, text: 'posted in the dark' });
  await assert.rejects(ada.search.messages({ query: 'dark' }), (e) => e.data.error === 'not_enabled');
  assert.throws(() => parley.ctl('search', 'rebuild'), /not_enabled/);
  parley.settings = { ...parley.settings, 'search.enabled': true };
  await parley.restart();
  await eventually(async () => (await find(ada, 'dark')).length === 1, 'found');
});
