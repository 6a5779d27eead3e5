// Who may: rights, revocation, and the operator's tool.
import { describe, test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { statSync, readFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Parley, Conn, post, eventually, bin, at, slow, sleep } from './harness.mjs';
import { Ws, rtm } from './ws.mjs';

describe('rights', at('who'), () => {
  let parley, demo, ada, grace, stranger, secret;
  before(async () => {
    parley = await Parley.start();
    demo = parley.demo();
    [ada, grace] = demo.users;
    parley.ctl('workspace', 'add', 'other', '--name', 'Other');
    parley.ctl('--workspace', 'other', 'user', 'add', 'mallory');
    const token = parley.ctlJson('--workspace', 'other', 'token', 'issue', 'mallory').token;
    stranger = { token, id: (await parley.call('auth.test', token)).user_id };
    secret = (await parley.call('conversations.create', ada.token, { name: 'secret', is_private: true })).channel.id;
  });
  after(() => parley.stop());

  test('private, foreign and absent conversations: the same bytes', async () => {
    const calls = [['conversations.info', {}], ['conversations.history', {}], ['conversations.members', {}], ['conversations.join', {}], ['conversations.leave', {}],
      ['conversations.invite', { users: ada.id }], ['chat.postMessage', { text: 'x' }]];
    const foreign = (await parley.call('conversations.create', stranger.token, { name: 'elsewhere' })).channel.id;
    const hidden = (await parley.call('conversations.create', stranger.token, { name: 'hidden', is_private: true })).channel.id;
    for (const [method, args] of calls) {
      const bodies = new Set();
      for (const channel of [secret, foreign, hidden, 'C7ZZZZZZZ', 'C1']) {
        for (const headers of [{}, { 'X-Parley-Errors': 'http' }]) {
          const r = await fetch(parley.api + method, { method: 'POST', body: JSON.stringify({ channel, ...args }), headers: { Authorization: `Bearer ${grace.token}`, 'Content-Type': 'application/json', ...headers } });
          assert.equal(r.status, headers['X-Parley-Errors'] ? 404 : 200, `${method} ${channel}`);
          bodies.add(await r.text());
        }
      }
      assert.equal(bodies.size, 1, `${method}: ${[...bodies]}`);
      assert.equal(JSON.parse([...bodies][0]).error, 'channel_not_found', method);
    }
    for (const name of ['secret', '#secret', '#elsewhere']) assert.equal((await parley.call('chat.postMessage', grace.token, { channel: name, text: 'x' })).error, 'channel_not_found', name);
  });

  test('nothing of another workspace in lists, users, snapshots', async () => {
    const start = await parley.call('rtm.start', stranger.token);
    const lists = JSON.stringify([start, await parley.call('users.list', stranger.token), await parley.call('conversations.list', stranger.token, { types: 'public_channel,private_channel' }), await parley.call('team.info', stranger.token)]);
    for (const id of [ada.id, grace.id, demo.team.id, demo.channels.random.id, secret, 'secret', 'example.com']) assert.ok(!lists.includes(id), id);
    const mine = JSON.stringify(await parley.call('rtm.start', grace.token));
    assert.ok(!mine.includes(secret) && !mine.includes(stranger.id));
    const [foreign, absent] = await Promise.all([ada.id, 'U7ZZZZZZZ'].map((user) => parley.call('users.info', stranger.token, { user })));
    assert.deepEqual([foreign.error, absent.error], ['user_not_found', 'user_not_found']);
    const invite = await parley.call('conversations.invite', ada.token, { channel: secret, users: stranger.id });
    assert.equal(invite.error, 'user_not_found');
  });

  test('the names of private channels are taken without a word about them', async () => {
    const r = await parley.call('conversations.create', grace.token, { name: 'secret' });
    assert.equal(r.error, 'name_taken');
    assert.ok(!JSON.stringify(r).includes(secret));
  });

  test('a cursor of one list is none of another, and tells nothing', async () => {
    const { response_metadata: { next_cursor } } = await parley.call('conversations.list', ada.token, { limit: 1 });
    assert.ok(next_cursor);
    for (const [method, args] of [['conversations.history', { channel: demo.channels.random.id }], ['conversations.members', { channel: demo.channels.random.id }], ['users.list', { limit: 1 }]])
      assert.equal((await parley.call(method, ada.token, { ...args, cursor: next_cursor })).error, 'invalid_cursor', method);
    const page = await parley.call('conversations.list', grace.token, { limit: 1, cursor: next_cursor, types: 'public_channel,private_channel' });
    assert.ok(!JSON.stringify(page).includes('secret'));
  });

  test('bots act only where they are members; users read public channels they are not in', async () => {
    const { channel: { id } } = await parley.call('conversations.create', ada.token, { name: 'no-bots' });
    const { ts } = await parley.call('chat.postMessage', ada.token, { channel: id, text: 'hi' });
    await parley.call('pins.add', ada.token, { channel: id, timestamp: ts });
    const { bot } = demo;
    for (const method of ['conversations.history', 'pins.list']) assert.equal((await parley.call(method, bot.token, { channel: id })).error, 'not_in_channel', method);
    assert.equal((await parley.call('pins.list', grace.token, { channel: id })).items.length, 1);
    assert.equal((await parley.call('chat.postMessage', bot.token, { channel: id, text: 'x' })).error, 'not_in_channel');
    assert.equal((await parley.call('conversations.history', grace.token, { channel: id })).messages.length, 1);
    assert.equal((await parley.call('chat.postMessage', grace.token, { channel: id, text: 'x' })).error, 'not_in_channel');
    await parley.call('conversations.invite', ada.token, { channel: id, users: bot.user_id });
    const said = await parley.call('chat.postMessage', bot.token, { channel: id, text: 'beep' });
    assert.deepEqual([said.message.user, said.message.bot_id, said.message.subtype], [bot.user_id, bot.bot_id, undefined]);
    assert.equal((await parley.call('conversations.history', bot.token, { channel: id })).messages.length >= 1, true);
  });

  test('of many who create one name at once exactly one does; members are counted up and down', async () => {
    const conns = await Promise.all(Array.from({ length: 8 }, () => Conn.open(parley.port)));
    let id;
    for (let round = 0; round < 10; round++) {
      const got = await Promise.all(conns.flatMap((c, i) => [0, 1].map(() => c.call('conversations.create', demo.users[i % 3].token, { name: `race-${round}` }))));
      assert.deepEqual(got.map((r) => r.error ?? 'made').sort(), ['made', ...Array(15).fill('name_taken')]);
      id = got.find((r) => r.ok).channel.id;
    }
    conns.forEach((c) => c.end());
    const count = async () => (await parley.call('conversations.info', ada.token, { channel: id, include_num_members: true })).channel.num_members;
    for (const u of demo.users) await parley.call('conversations.join', u.token, { channel: id });
    assert.equal(await count(), 3);
    await parley.call('conversations.leave', grace.token, { channel: id });
    await parley.call('conversations.leave', demo.users[2].token, { channel: id });
    assert.equal(await count(), 1);
    assert.deepEqual((await parley.call('conversations.members', ada.token, { channel: id })).members, [ada.id]);
  });

  test('general is left by nobody; the last member stays in a private channel; invitations', async () => {
    assert.equal((await parley.call('conversations.leave', ada.token, { channel: demo.channels.general.id })).error, 'cant_leave_general');
    assert.equal((await parley.call('conversations.leave', ada.token, { channel: secret })).error, 'last_member');
    assert.equal((await parley.call('conversations.invite', ada.token, { channel: secret, users: ada.id })).error, 'cant_invite_self');
    assert.equal((await parley.call('conversations.invite', ada.token, { channel: secret, users: '' })).error, 'no_user');
    assert.equal((await parley.call('conversations.invite', ada.token, { channel: secret, users: 'U1' })).error, 'user_not_found');
    assert.equal((await parley.call('conversations.invite', ada.token, { channel: demo.channels.random.id, users: grace.id })).error, 'already_in_channel');
  });
});

describe('revocation', at('who'), () => {
  let parley, demo, channel;
  before(async () => {
    parley = await Parley.start();
    demo = parley.demo();
    channel = demo.channels.random.id;
  });
  after(() => parley.stop());

  for (const [how, revoke] of [['token revoke', (t) => parley.ctl('token', 'revoke', t)], ['user disable', () => parley.ctl('user', 'disable', 'temp')]]) {
    test(`${how}: connections, sockets and tickets end before the call returns`, async () => {
      if (how === 'token revoke') parley.ctl('user', 'add', 'temp', '--email', 'temp@example.com');
      parley.ctl('channel', 'join', channel, 'temp');
      const token = parley.ctlJson('token', 'issue', 'temp').token;
      const sibling = how === 'token revoke' ? parley.ctlJson('token', 'issue', 'temp').token : undefined;
      const c = await Conn.open(parley.port);
      assert.equal((await c.ask(post('auth.test', token, '{}'))).json.ok, true);
      const ws = await rtm(parley, token);
      const other = sibling && await rtm(parley, sibling);
      const { url } = await parley.call('rtm.connect', token);
      revoke(token);
      const error = how === 'token revoke' ? 'token_revoked' : 'account_inactive';
      assert.equal((await c.ask(post('auth.test', token, '{}'))).json.error, error);
      assert.equal((await c.ask(post('chat.postMessage', token, JSON.stringify({ channel, text: 'too late' })))).json.error, error);
      const late = await Ws.open(url);
      assert.notEqual(late.status, 101);
      late.destroy();
      await Promise.race([ws.closed, sleep(3000 * slow)]);
      assert.ok(ws.isClosed, 'the open socket is closed');
      const after = await parley.call('chat.postMessage', demo.users[0].token, { channel, text: `after ${how}` });
      assert.ok(!ws.events.some((e) => e.ts === after.ts));
      if (other) {
        await other.event((e) => e.ts === after.ts, 'another token of the same user lives on');
        other.destroy();
      }
      c.end();
    });
  }

  test('token revoke --workspace X leaves a token of another workspace alone', async () => {
    const alone = await Parley.start();
    const domain = ['first', 'second'];
    const tokens = domain.map((d) => {
      alone.ctl('workspace', 'add', d);
      alone.ctl('--workspace', d, 'user', 'add', 'zoe');
      return alone.ctlJson('--workspace', d, 'token', 'issue', 'zoe').token;
    });
    const foreign = alone.ctlTry('--workspace', domain[1], 'token', 'revoke', tokens[0]);
    assert.equal(foreign.status, 1);
    assert.match(foreign.stderr, /invalid_auth/);
    assert.equal((await alone.call('auth.test', tokens[0])).ok, true);
    alone.ctl('--workspace', domain[0], 'token', 'revoke', tokens[0]);
    alone.ctl('token', 'revoke', tokens[1]); // without it the token says which
    for (const t of tokens) assert.equal((await alone.call('auth.test', t)).error, 'token_revoked');
    await alone.stop();
  });

  test('a socket that is written to the moment its token goes hears nothing posted later', async () => {
    for (let round = 0; round < 5; round++) {
      const token = parley.ctlJson('token', 'issue', 'grace').token;
      const ws = await rtm(parley, token);
      ws.write(Buffer.alloc(0));
      parley.ctl('token', 'revoke', token);
      const r = await parley.call('chat.postMessage', demo.users[0].token, { channel, text: `round ${round}` });
      await Promise.race([ws.closed, sleep(3000 * slow)]);
      assert.ok(ws.isClosed);
      assert.ok(!ws.events.some((e) => e.ts === r.ts));
    }
  });

  test('it holds after a restart, and the store holds no token', async () => {
    await parley.restart();
    assert.equal((await parley.call('auth.test', demo.revoked_token)).error, 'token_revoked');
    assert.equal((await parley.call('auth.test', demo.users[0].token)).ok, true);
  });
});

describe('parleyctl', at('who'), () => {
  let parley;
  before(async () => { parley = await Parley.start(); });
  after(() => parley.stop());

  test('the control socket, its directory and the key are the owner\'s alone', () => {
    const mode = (name) => statSync(join(parley.data, name)).mode & 0o777;
    assert.equal(mode('control.sock'), 0o600);
    assert.equal(mode('secret.key'), 0o600);
  });

  test('workspaces, users, tokens, channels: tables for people, JSON for machines', async () => {
    assert.deepEqual(parley.ctlJson('workspace', 'list'), { ok: true, workspaces: [] });
    const made = parley.ctlJson('workspace', 'add', 'acme', '--name', 'Acme Inc.');
    assert.match(made.workspace.id, /^T[0-9A-Z]+$/);
    assert.match(parley.ctl('workspace', 'list'), new RegExp(`id +domain +name +users *\\n${made.workspace.id} +acme +Acme Inc\\. +0`));
    const user = parley.ctlJson('user', 'add', 'zoe', '--email', 'zoe@example.com', '--real-name', 'Zoë Ö').user;
    assert.deepEqual([user.name, user.email, user.real_name, user.is_bot], ['zoe', 'zoe@example.com', 'Zoë Ö', false]);
    const bot = parley.ctlJson('user', 'add', 'robot', '--bot').user;
    assert.match(bot.bot_id, /^B/);
    assert.match(parley.ctl('user', 'list'), /zoe.*Zoë Ö/);
    const token = parley.ctlJson('token', 'issue', 'zoe@example.com').token;
    assert.match(token, /^xoxp-\d+-\d+-\d+-[0-9a-f]{40,}$/);
    assert.match(parley.ctlJson('token', 'issue', 'robot').token, /^xoxb-/);
    assert.match(parley.ctl('token', 'issue', user.id), /token: xoxp-/);
    assert.equal((await parley.call('auth.test', token)).user, 'zoe');
    const open = parley.ctlJson('channel', 'add', 'plans', '--creator', 'zoe').channel;
    const closed = parley.ctlJson('channel', 'add', 'board', '--creator', 'zoe', '--private').channel;
    assert.deepEqual([open.is_private, closed.is_private], [false, true]);
    assert.deepEqual(parley.ctlJson('channel', 'list').channels.map((c) => c.name).sort(), ['board', 'general', 'plans']);
    parley.ctl('channel', 'join', 'board', 'robot');
    parley.ctl('channel', 'join', 'plans', '--all');
    parley.ctl('channel', 'join', 'plans', '--all');
    const members = await parley.call('conversations.members', token, { channel: closed.id });
    assert.deepEqual(members.members.sort(), [user.id, bot.id].sort());
    const status = parley.ctlJson('status');
    assert.equal(status.ready, true);
    assert.equal(status.http_port, parley.port);
    assert.match(parley.ctl('status'), /version: .*loops: acceptor0 /s);
    assert.deepEqual(parley.ctlJson('--workspace', 'acme', 'status').workspace, { id: made.workspace.id, domain: 'acme', name: 'Acme Inc.', users: 2 });
    assert.match(parley.ctl('--workspace', 'acme', 'status'), /^workspace: id=T\S+ domain=acme name=Acme Inc\. users=2$/m);
    parley.ctl('token', 'revoke', token);
    parley.ctl('token', 'revoke', token);
    assert.equal((await parley.call('auth.test', token)).error, 'token_revoked');
    parley.ctl('user', 'disable', 'robot');
    assert.equal(parley.ctlJson('user', 'list').users.find((u) => u.name === 'robot').deleted, true);
  });

  test('mistakes are named, with a status that is not zero', () => {
    const rows = [
      [['nonsense'], 2, /no command "nonsense"/], [['user'], 2, /no command/], [['user', 'add', 'a', 'b'], 2, /usage: parleyctl user add/], [['--nonsense'], 2, /nonsense/], [[], 2, /^/],
      [['user', 'add'], 2, /usage: parleyctl user add NAME/], [['user', 'add', 'Upper'], 1, /invalid_name/], [['user', 'add', 'zoe', '--email', 'zoe@example.com'], 1, /already_exists/],
      [['user', 'disable', 'nobody'], 1, /user_not_found/], [['token', 'issue', 'nobody'], 1, /user_not_found/], [['token', 'revoke', 'xoxp-nonsense'], 1, /invalid_auth/], [['token', 'revoke'], 2, /usage: parleyctl token revoke TOKEN/], [['token', 'issue', 'robot'], 1, /account_inactive/],
      [['workspace', 'add', 'acme'], 1, /already_exists/], [['workspace', 'add', '-x'], 1, /./], [['workspace', 'add', 'Bad_Domain'], 1, /invalid_name/], [['--workspace', 'nowhere', 'user', 'list'], 1, /team_not_found/],
      [['channel', 'add', 'plans', '--creator', 'zoe'], 1, /name_taken/], [['channel', 'add', 'x y', '--creator', 'zoe'], 1, /invalid_name/], [['channel', 'add', 'q', '--creator', 'nobody'], 1, /user_not_found/],
      [['channel', 'add', 'q'], 1, /creator/], [['channel', 'join', 'plans'], 2, /usage: parleyctl channel join/], [['--workspace', 'nowhere', 'status'], 1, /team_not_found/], [['demo', 'file'], 2, /usage: parleyctl demo/],
      [['channel', 'join', 'nowhere', 'zoe'], 1, /channel_not_found/], [['channel', 'join', 'plans', 'nobody'], 1, /user_not_found/],
    ];
    for (const [words, status, message] of rows) {
      const r = parley.ctlTry(...words);
      assert.ok(r.status === status || (words[2] === '-x' && r.status !== 0), `${words.join(' ')}: ${r.status} ${r.stderr}`);
      assert.match(r.stderr + r.stdout, message, words.join(' '));
    }
    const away = parley.ctlTry('--data', '/nonexistent', 'status');
    assert.equal(away.status, 1);
    assert.match(away.stderr, /Is parleyd running/);
    assert.match(parley.ctl('--help'), /usage: parleyctl/);
    assert.match(parley.ctl('user', 'add', '--help'), /^usage: parleyctl user add NAME/);
    assert.match(parley.ctl('demo', '--help'), /^usage: parleyctl demo .*--json FILE/);
    assert.match(parley.ctl('--version'), /^parleyctl \d/);
    parley.ctl('workspace', 'add', 'second');
    assert.match(parley.ctlTry('user', 'list').stderr, /--workspace/);
    parley.ctl('--workspace', 'second', 'user', 'list');
  });

  test('demo twice gives the same; a population is what was asked for', async () => {
    const first = parley.demo();
    const kept = readFileSync(join(parley.data, 'demo-test.json'), 'utf8');
    const second = parley.demo();
    assert.deepEqual(second, first);
    assert.equal(readFileSync(join(parley.data, 'demo-test.json'), 'utf8'), kept);
    assert.deepEqual(Object.keys(first), ['base_url', 'team', 'users', 'bot', 'channels', 'revoked_token']);
    assert.equal(first.users.length, 3);
    assert.ok(first.users.every((u) => /^xoxp-/.test(u.token)));
    assert.match(first.bot.token, /^xoxb-/);
    await parley.restart();
    assert.deepEqual(parley.demo(), first);
    const fresh = await Parley.start();
    const many = fresh.demo('--users', '7', '--channels', '3', '--member-of-all');
    assert.deepEqual([many.tokens.length, many.channel_ids.length, new Set(many.tokens).size], [7, 3, 7]);
    for (const token of many.tokens) {
      for (const channel of many.channel_ids) assert.equal((await fresh.call('chat.postMessage', token, { channel, text: 'x' })).ok, true);
    }
    await fresh.stop();
  });

  test('demo that was cut off is finished by the next call', async () => {
    const fresh = await Parley.start();
    const words = ['demo', '--users', '2000', '--channels', '3', '--member-of-all'];
    const half = spawn(join(bin, 'parleyctl'), ['--data', fresh.data, ...words]);
    await eventually(() => fresh.ctlJson('workspace', 'list').workspaces.some((w) => w.users > 20), 'some users');
    half.kill('SIGKILL');
    await once(half, 'exit');
    assert.ok(fresh.ctlJson('workspace', 'list').workspaces[0].users < 2004, 'it was cut off in the middle');
    const whole = fresh.demo(...words.slice(1));
    assert.deepEqual([whole.tokens.length, new Set(whole.tokens).size, whole.channel_ids.length, whole.users.length], [2000, 2000, 3, 3]);
    assert.deepEqual(fresh.ctlJson('workspace', 'list').workspaces.map((w) => w.users), [2004]);
    assert.equal((await fresh.call('chat.postMessage', whole.tokens[3], { channel: whole.channel_ids[2], text: 'x' })).ok, true);
    assert.deepEqual(fresh.demo(...words.slice(1)), whole);
    await fresh.stop();
  });
});
