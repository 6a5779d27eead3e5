// search.files and search.all with Slack's SDK: found from the first moment to the last, by whom it may be seen, at the cost of what is found.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { WebClient } from '@slack/web-api';
import { Parley, eventually } from './harness.mjs';

let parley, demo, ada, grace, general, secret;
const client = (token) => new WebClient(token, { slackApiUrl: parley.api, retryConfig: { retries: 0 } });
const titles = (r) => r.files.matches.map((f) => f.title);
const find = async (who, query, more = {}) => titles(await who.search.files({ query, sort: 'timestamp', ...more }));
const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

async function put(who, filename, file, title, channel_id) {
  const r = await who.filesUploadV2({ filename, file: Buffer.from(file), title, channel_id });
  return r.files[0].files[0];
}

before(async () => {
  parley = await Parley.start({ settings: { 'api.rate_factor': 100 } });
  demo = parley.demo();
  ada = client(demo.users[0].token);
  grace = client(demo.users[1].token);
  general = (await ada.conversations.list()).channels.find((c) => c.name === 'general').id;
  secret = (await ada.conversations.create({ name: 'files-search-secret', is_private: true })).channel.id;
  await put(ada, 'fox.txt', 'The Quick brown fox', 'About animals', general);
  await put(ada, 'zug.md', 'Ärger mit dem Zug\n日本語のテスト\nпривет Мир\nمرحبا بالعالم\nparty 🎉 time', 'Żółw', general);
  await put(grace, 'answer.csv', 'a,quick,answer', 'Numbers of grace', general);
  await put(ada, 'plan.txt', 'quick secret plan', 'The plan', secret);
  await put(ada, 'holiday-2025.png', png, 'Beach', general);
});
after(() => parley.stop());

test('by title, name, kind and content, in any script, at once', async () => {
  assert.deepEqual(await find(ada, 'QUICK brown'), ['About animals']);
  assert.deepEqual(await find(ada, 'animals fox.txt'), ['About animals']);
  for (const word of ['zolw', 'ŻÓŁW'.normalize('NFD'), 'arger', '本語', 'ПРИВЕТ', 'مرحبا', '🎉', 'markdown'])
    assert.deepEqual(await find(ada, word), word === 'zolw' ? [] : ['Żółw'], word); // ł is no l with a mark
  assert.deepEqual(await find(ada, '"brown quick"'), []);
  assert.deepEqual(await find(ada, 'holi*'), ['Beach']);
  assert.deepEqual(await find(ada, 'beach png'), ['Beach']);
  const { files, query } = await ada.search.files({ query: 'beach' });
  assert.equal(query, 'beach');
  assert.equal(files.matches[0].mimetype, 'image/png');
  assert.match(files.matches[0].url_private, /\/files-pri\//);
  assert.ok(files.matches[0].shares.public[general]);
});

test('a new title is found, the old one is not; what is deleted is gone at once', async () => {
  const { upload_url, file_id } = await ada.files.getUploadURLExternal({ filename: 'x.txt', length: 5 });
  await fetch(upload_url, { method: 'POST', body: 'otter' });
  assert.deepEqual(await find(ada, 'otter'), ['x.txt']);
  assert.deepEqual(await find(grace, 'otter'), []); // shared nowhere
  await ada.files.completeUploadExternal({ files: [{ id: file_id, title: 'Mustela' }] });
  await ada.files.completeUploadExternal({ files: [{ id: file_id, title: 'Lutra' }], channel_id: general });
  assert.deepEqual(await find(grace, 'lutra otter'), ['Lutra']);
  assert.deepEqual(await find(ada, 'mustela'), []);
  await ada.files.delete({ file: file_id });
  for (const word of ['otter', 'lutra', 'x.txt']) assert.deepEqual(await find(ada, word), [], word);
});

test('modifiers', async () => {
  assert.deepEqual(await find(ada, 'quick'), ['The plan', 'Numbers of grace', 'About animals']);
  assert.deepEqual(await find(ada, 'quick from:grace'), ['Numbers of grace']);
  assert.deepEqual(await find(ada, 'quick -from:me'), ['Numbers of grace']);
  assert.deepEqual(await find(ada, 'quick in:#files-search-secret'), ['The plan']);
  assert.deepEqual(await find(ada, 'quick -in:general'), ['The plan']);
  assert.deepEqual(await find(ada, 'quick -secret -answer'), ['About animals']);
  assert.deepEqual(await find(ada, 'type:images'), ['Beach']);
  assert.deepEqual(await find(ada, 'type:spreadsheets quick'), ['Numbers of grace']);
  assert.deepEqual(await find(ada, 'quick before:today'), []);
  assert.equal((await find(ada, 'quick after:yesterday')).length, 3);
  assert.equal((await find(ada, 'on:today')).length, 5);
  assert.deepEqual(await find(ada, 'quick from:nobody'), []);
  assert.deepEqual(await find(ada, 'quick has:pin'), []);
  assert.equal((await find(ada, 'quick has:file')).length, 3);
  assert.equal((await find(ada, 'has:file')).length, 5);
  assert.deepEqual(await find(ada, 'is:dm'), []);
  assert.deepEqual(await find(ada, '-type:text -type:markdown -from:grace'), ['Beach']);
  assert.deepEqual(await find(ada, '-from:me'), ['Numbers of grace']);
  assert.deepEqual(await find(ada, '-in:general'), ['The plan']);
  assert.deepEqual(await find(ada, '*** ...'), []); // says nothing
});

test('a name that is no channel is looked for as one that is hidden is', async () => {
  const asked = async () => (await parley.metrics()).parley_file_searches_total;
  for (const name of ['files-search-secret', 'no-such-channel-of-anybody']) {
    const before = await asked();
    assert.deepEqual(await find(grace, `quick in:#${name}`), []);
    assert.equal(await asked(), before + 1, name);
  }
});

test('who may not see does not find', async () => {
  assert.deepEqual(await find(grace, 'plan'), []);
  assert.deepEqual(await find(grace, 'quick in:#files-search-secret'), []);
  assert.deepEqual(await find(grace, `type:text in:${secret}`), []);
  assert.equal((await grace.search.files({ query: 'quick' })).files.total, 2);
  await ada.conversations.invite({ channel: secret, users: demo.users[1].id });
  assert.deepEqual(await find(grace, 'plan'), ['The plan']);
  await ada.conversations.kick({ channel: secret, user: demo.users[1].id });
  assert.deepEqual(await find(grace, 'plan'), []);
  parley.ctl('workspace', 'add', 'search-elsewhere');
  parley.ctl('--workspace', 'search-elsewhere', 'user', 'add', 'mallory');
  const mallory = client(parley.ctlJson('--workspace', 'search-elsewhere', 'token', 'issue', 'mallory').token);
  assert.deepEqual(await find(mallory, 'quick'), []);
  await assert.rejects(client(demo.bot.token).search.files({ query: 'quick' }), (e) => e.data.error === 'not_allowed_token_type');
});

test('order, pages, marks', async () => {
  assert.deepEqual(await find(ada, 'quick', { sort_dir: 'asc' }), ['About animals', 'Numbers of grace', 'The plan']);
  const best = (await ada.search.files({ query: 'quick' })).files.matches.map((f) => f.score);
  assert.deepEqual(best, [...best].sort((a, b) => b - a));
  const page = await ada.search.files({ query: 'quick animals', sort: 'timestamp', highlight: true });
  assert.deepEqual(titles(page), ['About \ue000animals\ue001']);
  const second = await ada.search.files({ query: 'quick', sort: 'timestamp', count: 2, page: 2 });
  assert.deepEqual(titles(second), ['About animals']);
  assert.deepEqual(second.files.paging, { count: 2, total: 3, page: 2, pages: 2 });
  assert.equal(second.files.pagination.first, 3);
  await assert.rejects(ada.search.files({ query: '  ' }), (e) => e.data.error === 'no_query');
  await assert.rejects(ada.search.files({ query: 'x', sort: 'luck' }), (e) => e.data.error === 'invalid_arguments');
});

test('messages and files of one query', async () => {
  await ada.chat.postMessage({ channel: general, text: 'a quick message' });
  await eventually(async () => (await ada.search.messages({ query: 'quick message' })).messages.total === 1, 'indexed');
  const r = await ada.search.all({ query: 'quick', sort: 'timestamp', count: 2 });
  assert.equal(r.query, 'quick');
  assert.deepEqual(r.messages.matches.map((m) => m.text), ['a quick message']);
  assert.deepEqual(titles(r), ['The plan', 'Numbers of grace']);
  assert.deepEqual([r.messages.total, r.files.total], [1, 3]);
  const pictures = await ada.search.all({ query: 'type:images' }); // to messages these are words
  assert.deepEqual([pictures.messages.total, pictures.files.total], [0, 1]);
  assert.deepEqual([...(await grace.search.all({ query: 'plan' })).files.matches], []);
});

test('a query reads what it is about, not what is there', async () => {
  for (let i = 0; i < 100; i += 10)
    await Promise.all(Array.from({ length: 10 }, (_, k) => put(ada, `everyday-${i + k}.txt`, i + k === 77 ? 'a platypus' : `words ${i + k}`, 'Everyday', general)));
  const rows = async () => (await parley.metrics()).parley_file_search_rows_read_total;
  const before = await rows();
  assert.equal((await find(ada, 'platypus')).length, 1);
  assert.equal((await find(ada, 'everyday-33.txt 33')).length, 1);
  assert.ok(await rows() - before <= 400, `${await rows() - before} rows`); // 'everyday', 'txt' are of a hundred
  const again = await rows();
  assert.deepEqual(await find(ada, 'nothing-of-it'), []);
  assert.equal((await find(ada, 'platypus')).length, 1);
  assert.ok(await rows() - again <= 8, `${await rows() - again} rows`);
});

test('all files are indexed anew while the daemon works, and found meanwhile', async () => {
  const done = async () => (await parley.metrics()).parley_files_reindexed_total;
  const before = await done();
  parley.ctl('search', 'rebuild');
  assert.deepEqual(await find(ada, 'platypus'), ['Everyday']);
  await eventually(async () => await done() - before >= 105, 'all files are looked at');
  assert.deepEqual(await find(ada, 'quick brown'), ['About animals']);
  assert.deepEqual(await find(ada, 'platypus'), ['Everyday']);
});

test('after a kill all is found', async () => {
  await put(ada, 'last.txt', 'just before the end', 'Last', general);
  await parley.kill();
  await parley.restart();
  assert.deepEqual(await find(ada, '"before the end"'), ['Last']);
  assert.equal((await find(ada, 'quick')).length, 3);
});

test('switched off nothing is indexed; switched on all of it is', async () => {
  parley.settings = { ...parley.settings, 'search.enabled': false };
  await parley.restart();
  await put(ada, 'dark.txt', 'uploaded in the dark', 'Dark', general);
  for (const method of ['files', 'all']) await assert.rejects(ada.search[method]({ query: 'dark' }), (e) => e.data.error === 'not_enabled');
  parley.settings = { ...parley.settings, 'search.enabled': true };
  await parley.restart();
  await eventually(async () => (await find(ada, 'dark')).length === 1, 'found');
  assert.equal((await find(ada, 'quick')).length, 3);
});
