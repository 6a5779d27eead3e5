// Files with Slack's SDKs and with what browsers and curl send: up, down, seen, gone; memory flat; nothing left behind.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import net from 'node:net';
import { WebClient } from '@slack/web-api';
import { WebClient as WebClient8 } from 'slack-web-api-8';
import { Parley, eventually, raw, sleep, some, sanitized } from './harness.mjs';
import { rtm } from './ws.mjs';

let parley, demo, ada, grace, general, secret, tokens;
const options = () => ({ slackApiUrl: parley.api, retryConfig: { retries: 0 } });
const get = (path, token, headers = {}) =>
  fetch(new URL(path, parley.url), { headers: token ? { authorization: `Bearer ${token}`, ...headers } : headers });
const bytes = (n, seed = 7) => Buffer.from(Array.from({ length: Math.min(n, 65536) }, (_, i) => (i * seed + (i >> 8)) & 255));
const big = (n, seed) => Buffer.concat(Array.from({ length: Math.ceil(n / 65536) }, () => bytes(65536, seed))).subarray(0, n);
const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

function files(dir) {
  return readdirSync(dir, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? files(join(dir, e.name)) : [join(dir, e.name)]));
}

async function upload(client, body, more = {}) {
  const { upload_url, file_id } = await client.files.getUploadURLExternal({ filename: 'a.bin', length: body.length });
  const r = await fetch(upload_url, { method: 'POST', body });
  assert.equal(r.status, 200);
  assert.equal(await r.text(), `OK - ${body.length}`);
  const done = await client.files.completeUploadExternal({ files: [{ id: file_id, title: 'A' }], ...more });
  return done.files[0];
}

before(async () => {
  parley = await Parley.start({ settings: { 'http.body_timeout_ms': 30000 } });
  demo = parley.demo();
  tokens = demo.users.map((u) => u.token);
  ada = new WebClient(tokens[0], options());
  grace = new WebClient(tokens[1], options());
  general = (await ada.conversations.list()).channels.find((c) => c.name === 'general').id;
  secret = (await ada.conversations.create({ name: 'files-secret', is_private: true })).channel.id;
});
after(() => parley.stop());

test('uploadV2 of both majors', async () => {
  for (const Client of [WebClient, WebClient8]) {
    const body = big(300000, Client === WebClient ? 3 : 5);
    const client = new Client(tokens[0], options());
    const r = await client.filesUploadV2({ channel_id: general, file: body, filename: 'données.bin', title: 'T', initial_comment: 'look & see' });
    const file = r.files[0].files[0];
    assert.equal(file.size, 300000);
    assert.equal(file.title, 'T');
    const [message] = (await grace.conversations.history({ channel: general, limit: 1 })).messages;
    assert.equal(message.text, 'look &amp; see');
    assert.equal(message.upload, true);
    assert.equal(message.subtype, undefined);
    assert.equal(message.files[0].id, file.id);
    const down = await get(message.files[0].url_private, tokens[1]);
    assert.equal(down.status, 200);
    assert.deepEqual(Buffer.from(await down.arrayBuffer()), body);
    assert.equal(down.headers.get('etag'), `"${createHash('sha256').update(body).digest('hex')}"`);
    assert.match(down.headers.get('content-disposition'), /^attachment; filename="donn_es.bin"; filename\*=UTF-8''donn%C3%A9es.bin$/);
    assert.deepEqual(file.shares.public[general], [{ ts: message.ts, team_id: file.user_team }]);
  }
});

test('the same call again posts nothing twice', async () => {
  const { upload_url, file_id } = await ada.files.getUploadURLExternal({ filename: 'b', length: 3 });
  const form = new FormData();
  form.append('x', 'y');
  form.append('any', new Blob(['abc']), 'b');
  assert.equal((await fetch(upload_url, { method: 'POST', body: form })).status, 200);
  assert.equal((await fetch(upload_url, { method: 'POST', body: 'abc' })).status, 404); // once
  const before = (await ada.conversations.history({ channel: general })).messages.length;
  for (let i = 0; i < 3; i++) await ada.files.completeUploadExternal({ files: [{ id: file_id }], channel_id: general });
  assert.equal((await ada.conversations.history({ channel: general })).messages.length, before + 1);
  assert.equal(Object.values((await ada.files.info({ file: file_id })).file.shares.public)[0].length, 1);
  const other = { files: [{ id: file_id }], channel_id: general, initial_comment: 'once more' };
  for (let i = 0; i < 2; i++) await ada.files.completeUploadExternal(other);
  const { messages } = await ada.conversations.history({ channel: general });
  assert.equal(messages.length, before + 2);
  assert.equal(Object.values((await ada.files.info({ file: file_id })).file.shares.public)[0].length, 2);
  await ada.chat.delete({ channel: general, ts: messages[0].ts }); // its key stays
  await ada.files.completeUploadExternal(other);
  assert.equal((await ada.conversations.history({ channel: general })).messages.length, before + 1);
});

test('who is there hears of it, others do not', async () => {
  const [one, two] = [await rtm(parley, tokens[0]), await rtm(parley, tokens[1])];
  const file = await upload(ada, bytes(10), { channel_id: secret });
  await one.until(() => one.events.some((e) => e.type === 'file_created' && e.file_id === file.id), 'file_created');
  await one.until(() => one.events.some((e) => e.subtype === 'file_share' && e.files[0].id === file.id), 'the message');
  await one.until(() => one.events.some((e) => e.type === 'file_shared' && e.channel_id === secret), 'file_shared');
  await ada.files.delete({ file: file.id });
  await one.until(() => one.events.some((e) => e.type === 'file_deleted' && e.file_id === file.id), 'file_deleted');
  await ada.chat.postMessage({ channel: general, text: 'end' });
  await two.until(() => two.events.some((e) => e.text === 'end'), 'the end');
  assert.deepEqual(two.events.filter((e) => JSON.stringify(e).includes(file.id)), []);
  const [message] = (await ada.conversations.history({ channel: secret, limit: 1 })).messages;
  assert.deepEqual(message.files, [{ id: file.id, mode: 'tombstone' }]);
  one.bye();
  two.bye();
});

test('only who may see it gets it, and cannot tell it from none', async () => {
  const file = await upload(ada, bytes(20), { channel_id: secret });
  assert.equal((await get(file.url_private, tokens[0])).status, 200);
  const none = file.url_private.replace(file.id, file.id.slice(0, -1) + (file.id.endsWith('0') ? '1' : '0'));
  const [unseen, absent] = [await get(file.url_private, tokens[1]), await get(none, tokens[1])];
  assert.equal(unseen.status, 404);
  assert.deepEqual(await unseen.text(), await absent.text());
  assert.equal((await get(file.url_private)).status, 403);
  assert.equal((await get(`${file.url_private}?token=${tokens[0]}`)).status, 403);
  await assert.rejects(grace.files.info({ file: file.id }), /file_not_found/);
  assert.ok(!(await grace.files.list()).files.some((f) => f.id === file.id));
  await ada.conversations.invite({ channel: secret, users: demo.users[1].id });
  assert.equal((await get(file.url_private, tokens[1])).status, 200);
  await ada.conversations.kick({ channel: secret, user: demo.users[1].id });
  assert.equal((await get(file.url_private, tokens[1])).status, 404);
  const link = (await ada.files.sharedPublicURL({ file: file.id })).file.permalink_public;
  assert.equal((await get(link)).status, 200);
  await ada.files.revokePublicURL({ file: file.id });
  assert.equal((await get(link)).status, 404);
});

test('ranges, conditions, images', async () => {
  const body = big(1000000);
  const file = await upload(ada, body);
  const part = await get(file.url_private, tokens[0], { range: 'bytes=400000-799999' });
  assert.equal(part.status, 206);
  assert.equal(part.headers.get('content-range'), 'bytes 400000-799999/1000000');
  assert.deepEqual(Buffer.from(await part.arrayBuffer()), body.subarray(400000, 800000));
  assert.equal((await get(file.url_private, tokens[0], { range: 'bytes=1000000-' })).status, 416);
  const etag = part.headers.get('etag');
  assert.equal((await get(file.url_private, tokens[0], { 'if-none-match': etag })).status, 304);
  const head = await fetch(file.url_private, { method: 'HEAD', headers: { authorization: `Bearer ${tokens[0]}` } });
  assert.equal(head.headers.get('content-length'), '1000000');
  const image = await upload(ada, png);
  const shown = await get(image.url_private, tokens[0]);
  assert.equal(shown.headers.get('content-type'), 'image/png');
  assert.match(shown.headers.get('content-disposition'), /^inline/);
  assert.match(shown.headers.get('content-security-policy'), /sandbox/);
  assert.match((await get(image.url_private_download, tokens[0])).headers.get('content-disposition'), /^attachment/);
});

test('the old way, in one call', async () => {
  const r = await ada.files.upload({ channels: 'general', file: big(600000, 11), filename: 'old.bin', title: 'Old', initial_comment: 'old way' });
  assert.equal(r.file.size, 600000);
  const s = await ada.files.upload({ channels: general, content: 'line\n'.repeat(100000), filename: 'a.txt' });
  assert.equal(s.file.size, 500000);
  assert.equal(s.file.mode, 'snippet');
  const form = new FormData(); // slack-go: the token is a field
  form.append('token', tokens[1]);
  form.append('channels', general);
  form.append('file', new Blob([bytes(100)]), 'go.bin');
  const g = await (await fetch(`${parley.api}files.upload`, { method: 'POST', body: form })).json();
  assert.equal(g.ok, true);
  assert.equal(g.file.user, demo.users[1].id);
});

test('equal bytes are kept once, and go with the last file', async () => {
  const blobs = () => files(join(parley.data, 'blobs')).filter((f) => !f.includes('/blobs/tmp/'));
  const body = big(70000, 13), before = blobs().length;
  const [a, b] = [await upload(ada, body), await upload(grace, body)];
  assert.equal(blobs().length, before + 1);
  await ada.files.delete({ file: a.id });
  assert.deepEqual(Buffer.from(await (await get(b.url_private, tokens[1])).arrayBuffer()), body);
  await grace.files.delete({ file: b.id });
  await eventually(() => blobs().length === before, 'the bytes are gone');
  await assert.rejects(ada.files.info({ file: a.id }), /file_deleted|file_not_found/);
});

test('an upload that is cut off leaves nothing, and may be made again', async () => {
  const tmp = () => files(join(parley.data, 'blobs', 'tmp')).length;
  const { upload_url } = await ada.files.getUploadURLExternal({ filename: 'cut', length: 900000 });
  const socket = net.connect(parley.port, '127.0.0.1');
  socket.write(`POST ${new URL(upload_url).pathname} HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n`);
  socket.write(big(600000));
  await eventually(() => tmp() === 1, 'it is being written');
  socket.destroy();
  await eventually(() => tmp() === 0, 'nothing is left');
  assert.equal((await fetch(upload_url, { method: 'POST', body: big(900001) })).status, 413); // on the declaration
  assert.equal((await fetch(upload_url, { method: 'POST', body: big(900000) })).status, 200);
});

// Uploads of all lengths are under way when the daemon dies: what was answered is there, of the rest nothing but what waits
// for its bytes.
test('a crash loses nothing that was acknowledged and leaves nothing of the rest', async () => {
  const blobs = join(parley.data, 'blobs'), call = (method, args) => parley.call(method, tokens[0], args);
  const stored = new Map(); // id -> hash
  let n = 0;
  async function one(alive) {
    const body = Buffer.concat([Buffer.from(`${++n} `), big(n % 3 === 0 ? 100 : n % 7 === 0 ? 3000000 : 300000, 23)]);
    const got = await call('files.getUploadURLExternal', { filename: `f${n}`, length: body.length });
    if (!got.ok || !alive()) return;
    const r = await fetch(got.upload_url, { method: 'POST', body });
    if (r.status !== 200) return;
    stored.set(got.file_id, createHash('sha256').update(body).digest('hex'));
    await call('files.completeUploadExternal', { files: JSON.stringify([{ id: got.file_id }]), channel_id: general });
  }
  for (let cycle = 0; cycle < some(4); cycle++) {
    let dead = false;
    const lanes = Array.from({ length: 4 }, async () => { while (!dead) await one(() => !dead).catch(() => { dead = true; }); });
    const had = stored.size;
    await eventually(() => stored.size >= had + 3, 'some are acknowledged');
    await sleep(50 * cycle);
    await parley.kill();
    dead = true;
    await Promise.all(lanes);
    await parley.up();
    assert.deepEqual(readdirSync(join(blobs, 'tmp')), []);
    for (const [id, hash] of stored) {
      const file = (await call('files.info', { file: id })).file;
      assert.ok(file, `${id} was acknowledged`);
      const body = Buffer.from(await (await get(file.url_private, tokens[0])).arrayBuffer());
      assert.equal(createHash('sha256').update(body).digest('hex'), hash);
    }
  }
  const listed = async () => {
    const hashes = new Set();
    for (const token of tokens) {
      for (let page = 1, pages = 1; page <= pages; page++) {
        const r = await parley.call('files.list', token, { page, count: 1000 });
        pages = r.paging.pages;
        for (const f of r.files) hashes.add((await get(f.url_private, token, { range: 'bytes=0-0' })).headers.get('etag').slice(1, -1));
      }
    }
    return [...hashes].sort();
  };
  const kept = () => files(blobs).map((p) => p.slice(blobs.length + 1).replaceAll('/', '')).sort();
  const want = await listed();
  await eventually(() => kept().length <= want.length, 'the sweep has been through', 60000);
  assert.deepEqual(kept(), want);
  const shown = (await call('conversations.history', { channel: general, limit: 999 })).messages.flatMap((m) => m.files ?? []);
  for (const f of shown) if (f.mode !== 'tombstone') assert.ok((await call('files.info', { file: f.id })).ok, f.id);
});

test('files.list by cursor shows what it shows by pages', async () => {
  const byPages = [];
  for (let page = 1, pages = 1; page <= pages; page++) {
    const r = await parley.call('files.list', tokens[0], { page, count: 7 });
    pages = r.paging.pages;
    byPages.push(...r.files.map((f) => f.id));
  }
  const byCursor = [];
  for (let cursor = ''; ;) {
    const r = await parley.call('files.list', tokens[0], { limit: 3, ...(cursor && { cursor }) });
    assert.ok(r.ok && !r.paging, JSON.stringify(r));
    byCursor.push(...r.files.map((f) => f.id));
    cursor = r.response_metadata.next_cursor;
    if (!cursor) break;
  }
  assert.ok(byPages.length > 7, `${byPages.length} files`);
  assert.deepEqual(byCursor, byPages);
});

test('memory is flat', async () => {
  const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${parley.child.pid}/status`, 'utf8'))[1]) / 1024;
  const body = big(sanitized ? 40 << 20 : 90 << 20, 17);
  const pass = async () => {
    const file = await upload(ada, body);
    const down = await get(file.url_private, tokens[0]);
    const hash = createHash('sha256');
    for await (const piece of down.body) hash.update(piece);
    assert.equal(hash.digest('hex'), createHash('sha256').update(body).digest('hex'));
  };
  await upload(ada, big(1 << 20));
  const before = rss();
  await pass();
  assert.ok(sanitized || rss() < before + 32, // sanitizers keep what was freed for a while
    `${before} MB before, ${rss()} MB after`);
});

test('answers around a file stay in their order', async () => {
  const body = big(400000, 19);
  const file = await upload(ada, body);
  const auth = `Host: h\r\nAuthorization: Bearer ${tokens[0]}\r\n`;
  const path = new URL(file.url_private).pathname;
  const { text } = await raw(parley.port, `GET /api/api.test?n=one HTTP/1.1\r\n${auth}\r\nGET ${path} HTTP/1.1\r\n${auth}\r\nGET /api/api.test?n=two HTTP/1.1\r\n${auth}Connection: close\r\n\r\n`);
  const at = ['"one"', 'Accept-Ranges', '"two"'].map((s) => text.indexOf(s));
  assert.ok(at[0] > 0 && at[1] > at[0] && at[2] > at[1] + 300000, String(at));
});
