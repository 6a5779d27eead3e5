// A file goes into a conversation by several commits: media's, the message's, media's again. The daemon dies at each of
// them; what is left is all of it or nothing, and the same call again makes all of it, once.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { Parley, at, eventually, slow } from './harness.mjs';

const commits = { complete: 5, upload: 5 }; // of two files: each one's place, the message, each one's ts; of one: its own two, place, message, ts

// Kills the daemon when its log syncs for the nth time from now on: what is in that commit has been written, and is
// there after a crash of the process, but nobody has been answered. Of the other threads only media syncs, once, the bytes.
async function dieAtSync(parley, n) {
  const strace = spawn('strace', ['-f', '-p', String(parley.child.pid), '-o', '/dev/null', '-e', 'trace=fdatasync',
    '-e', `inject=fdatasync:signal=SIGKILL:when=${n}`], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  strace.stderr.setEncoding('utf8').on('data', (s) => { said += s; });
  await eventually(() => /attached/.test(said), 'strace has attached');
  return strace;
}

async function world() {
  const parley = await Parley.start({ settings: { 'search.delay_ms': 60000 } }); // no commit of the index meanwhile
  await eventually(() => /"files_indexed"/.test(parley.log), 'nor that of files, of which a new store says that it is whole');
  const [ada, grace, eve] = parley.demo().users;
  const call = async (who, method, args = {}) => parley.call(method, who.token, args);
  const channel = (await call(ada, 'conversations.create', { name: 'crash', is_private: true })).channel.id;
  assert.ok((await call(ada, 'conversations.invite', { channel, users: grace.id })).ok);
  return { parley, ada, grace, eve, call, channel };
}

async function bytesFor(w, names) {
  const ids = [];
  for (const name of names) {
    const got = await w.call(w.ada, 'files.getUploadURLExternal', { filename: name, length: 4 });
    assert.equal((await fetch(got.upload_url, { method: 'POST', body: 'text' })).status, 200);
    ids.push(got.file_id);
  }
  return ids;
}

// What Grace, who is in the conversation, finds of these files; Ada, whose they are, finds no more. Eve finds none.
// True: all of it; false: nothing.
async function isShared(w, ids, what) {
  const history = await w.call(w.grace, 'conversations.history', { channel: w.channel, limit: 999 });
  const showing = history.messages.filter((m) => m.files?.some((f) => ids.includes(f.id)));
  assert.ok(showing.length <= 1, `${what}: ${showing.length} messages`);
  const shared = showing.length === 1;
  if (shared) assert.deepEqual(showing[0].files.map((f) => f.id), ids, what);
  for (const who of [w.ada, w.grace]) {
    const list = await w.call(who, 'files.list', { channel: w.channel, count: 1000 });
    const listed = list.files.filter((f) => ids.includes(f.id));
    assert.equal(listed.length, shared ? ids.length : 0, `${what}: listed`);
    assert.equal(list.paging.total, list.files.length, `${what}: counted`);
    assert.equal((await w.call(who, 'files.list', { channel: w.channel, count: 1, page: 1000 })).paging.total, list.files.length, `${what}: only counted`);
  }
  for (const id of ids) {
    const own = await w.call(w.ada, 'files.info', { file: id });
    const shares = own.file.shares.private?.[w.channel] ?? [];
    assert.deepEqual(own.file.groups, shared ? [w.channel] : [], `${what}: its places`);
    assert.deepEqual(shares.map((s) => s.ts), showing.map((m) => m.ts), `${what}: its messages`);
    const seen = await w.call(w.grace, 'files.info', { file: id });
    assert.equal(seen.error, shared ? undefined : 'file_not_found', `${what}: seen by a member`);
    const down = await fetch(own.file.url_private, { headers: { authorization: `Bearer ${w.grace.token}` } });
    assert.equal(down.status, shared ? 200 : 404, `${what}: read by a member`);
    await down.arrayBuffer();
    assert.equal((await w.call(w.eve, 'files.info', { file: id })).error, 'file_not_found', `${what}: seen by others`);
  }
  return shared;
}

// The daemon dies at that commit and comes back. False: the request was answered before.
async function cutOff(w, n, request) {
  const strace = await dieAtSync(w.parley, n);
  const { child } = w.parley;
  const answer = await request().catch(() => undefined);
  if (answer?.ok) {
    strace.kill('SIGINT');
    await new Promise((done) => { strace.once('exit', done); });
    assert.equal(child.exitCode, null);
    return false;
  }
  await w.parley.exited;
  w.parley.exit = undefined;
  await w.parley.up();
  return true;
}

describe('a crash between a file and its message', { ...at('strace'), timeout: 120000 * slow }, () => {
  test('files.completeUploadExternal leaves all or nothing, and the same call again makes all', async (t) => {
    const w = await world();
    t.after(() => w.parley.stop());
    const left = [];
    for (let n = 1; n <= commits.complete + 1; n++) {
      const ids = await bytesFor(w, [`a${n}`, `b${n}`]);
      const args = { files: JSON.stringify(ids.map((id) => ({ id }))), channel_id: w.channel, initial_comment: `crash ${n}` };
      const cut = await cutOff(w, n, () => w.call(w.ada, 'files.completeUploadExternal', args));
      assert.equal(cut, n <= commits.complete, `commit ${n}`);
      left.push(await isShared(w, ids, `cut off at commit ${n}`));
      for (let again = 0; again < 2; again++) {
        assert.equal((await w.call(w.ada, 'files.completeUploadExternal', args)).error, undefined);
        assert.ok(await isShared(w, ids, `${n}, again`));
      }
    }
    assert.deepEqual(left, [false, false, true, true, true, true]);
  });

  test('files.upload leaves all or nothing', async (t) => {
    const w = await world();
    t.after(() => w.parley.stop());
    const left = [];
    const ownFiles = async () => (await w.call(w.ada, 'files.list', { user: w.ada.id, count: 1000 })).files.map((f) => f.id);
    for (let n = 2; n <= commits.upload + 1; n++) { // the first sync of any thread may be that of media
      const before = await ownFiles();
      const form = new FormData();
      form.append('channels', w.channel);
      form.append('file', new Blob([`upload ${n}`]), `u${n}`);
      const cut = await cutOff(w, n, async () => (await fetch(`${w.parley.api}files.upload`,
        { method: 'POST', body: form, headers: { authorization: `Bearer ${w.ada.token}` } })).json());
      assert.equal(cut, n <= commits.upload, `commit ${n}`);
      const ids = (await ownFiles()).filter((id) => !before.includes(id));
      assert.equal(ids.length, 1);
      left.push(await isShared(w, ids, `cut off at commit ${n}`));
    }
    assert.deepEqual(left, [false, false, true, true, true]);
  });
});
