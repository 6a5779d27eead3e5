// Every method of the daemon's own table, called by everybody who may not: without a token, with a bad, revoked or disabled one,
// from another workspace, by those who are in no conversation of it, by a guest, by a bot without the scope. A new method is
// in the table and so in here; one for whose arguments nothing is known fails.
import { describe, test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Parley, at } from './harness.mjs';
import { absent, methods } from './workspace.mjs';
import { rtm } from './ws.mjs';

describe('who may what', at('matrix'), () => {
  let parley, team, ada, grace, neighbour, ids, tokens, socket;
  const errors = new Map(methods.map((m) => [m.name, m.errors]));
  const call = async (method, token, args) => {
    const a = await parley.call(method, token, args);
    assert.ok(a.ok || errors.get(method).includes(a.error), `${method}: its row does not say ${a.error}`);
    return a;
  };
  const ctl = (...words) => parley.ctl('--workspace', team, ...words);
  const issue = (user, ...more) => parley.ctlJson('--workspace', team, 'token', 'issue', user, ...more).token;

  before(async () => {
    parley = await Parley.start();
    const demo = parley.demo();
    team = demo.team.id;
    [ada, grace] = demo.users;
    for (const name of ['outsider', 'revoked', 'disabled']) ctl('user', 'add', name);
    ctl('user', 'add', 'guest', '--guest');
    ctl('user', 'add', 'robot', '--bot');
    parley.ctl('workspace', 'add', 'elsewhere');
    parley.ctl('--workspace', 'elsewhere', 'user', 'add', 'mallory');
    parley.ctl('--workspace', 'elsewhere', 'user', 'add', 'trent');
    neighbour = parley.ctlJson('--workspace', 'elsewhere', 'user', 'list').users.find((u) => u.name === 'trent').id;
    tokens = {
      revoked: issue('revoked'), disabled: issue('disabled'), outsider: issue('outsider'), guest: issue('guest'),
      unscoped: issue('robot', '--scopes', 'emoji:read'), elsewhere: parley.ctlJson('--workspace', 'elsewhere', 'token', 'issue', 'mallory').token,
    };
    parley.ctl('token', 'revoke', tokens.revoked);
    ctl('user', 'disable', 'disabled');
    const secret = (await call('conversations.create', ada.token, { name: 'matrix-secret', is_private: true })).channel.id;
    const open = (await call('conversations.create', ada.token, { name: 'matrix-open' })).channel.id;
    await call('conversations.invite', ada.token, { channel: secret, users: grace.id });
    const direct = (await call('conversations.open', ada.token, { users: grace.id })).channel.id;
    ids = { secret, open, direct };
    ids.ts = {};
    ids.file = {};
    for (const [where, channel] of [['secret', secret], ['open', open], ['direct', direct]]) {
      const { ts } = await call('chat.postMessage', ada.token, { channel, text: `platypus in ${where}` });
      ids.ts[channel] = ts;
      await call('chat.postMessage', ada.token, { channel, thread_ts: ts, text: `reply in ${where}` });
      await call('reactions.add', ada.token, { channel, timestamp: ts, name: 'eyes' });
      await call('pins.add', ada.token, { channel, timestamp: ts });
      const { upload_url, file_id } = await call('files.getUploadURLExternal', ada.token, { filename: `platypus in ${where}`, length: 5 });
      await fetch(upload_url, { method: 'POST', body: 'bytes' });
      assert.ok((await call('files.completeUploadExternal', ada.token, { files: JSON.stringify([{ id: file_id }]), channel_id: channel })).ok);
      ids.file[channel] = file_id;
    }
    socket = await rtm(parley, tokens.outsider);
  });
  after(async () => {
    socket?.destroy();
    await parley.stop();
  });

  // Arguments that would do for ada, about this conversation.
  const texts = { text: 'x', name: 'tada', topic: 'x', purpose: 'x', query: 'platypus', email: 'nobody@example.com', team: 'nowhere', password: 'not the password', title: 'x', type: 'link', link: 'https://example.com/', bookmark_id: 'Bk1', usergroup: 'S1', url: 'https://example.com/x.png', alias_for: 'eyes', scheduled_message_id: 'Q1', presence: 'auto', time: '86400', reminder: 'Rm1', filename: 'x' };
  const aboutFile = (m) => m.args.some((a) => a.name === 'file' && a.required);
  function argsFor(method, channel, user = grace.id) {
    const args = {};
    for (const a of method.args) {
      if (/^CHANNEL/.test(a.type)) args[a.name] = channel;
      else if (a.type === 'TS' && (a.required || a.name === 'thread_ts')) args[a.name] = ids.ts[channel] ?? '1700000000.000001';
      else if (a.type === 'USER' && a.required) args[a.name] = user;
      else if (a.type === 'LIST' && a.name === 'users' && a.required) args[a.name] = user;
      else if (a.name === 'file' && a.required) args[a.name] = ids.file[channel];
      else if (a.name === 'files' && a.required) args[a.name] = JSON.stringify([{ id: ids.file[channel] }]);
      else if (a.type === 'TEXT' && a.required) {
        assert.ok(a.name in texts, `${method.name} needs ${a.name}: what would do for it?`);
        args[a.name] = texts[a.name];
      } else if (a.type === 'INT' && a.required) args[a.name] = a.name === 'post_at' ? Math.floor(Date.now() / 1000) + 3600 : 1;
      else assert.ok(!a.required, `${method.name} needs ${a.name} of type ${a.type}: what would do for it?`);
    }
    if (/^chat\.(post|update|schedule)/.test(method.name)) args.text = 'x';
    if (method.name === 'bookmarks.add') args.link = texts.link;
    if (method.name === 'users.prefs.set') Object.assign(args, { name: 'x', value: 'x' });
    if (method.name === 'auth.revoke') args.test = true;
    return args;
  }
  // These speak of the caller's own things and look at nothing else.
  const ownThings = { 'stars.remove': 'not_starred', 'chat.deleteScheduledMessage': 'invalid_scheduled_message_id', 'chat.scheduledMessages.list': undefined };
  const withToken = methods.filter((m) => m.token);
  const aboutConversation = (m) => m.args.some((a) => /^CHANNEL/.test(a.type));

  // What ada sees of all three, to compare.
  async function state() {
    const out = [];
    for (const channel of [ids.secret, ids.open, ids.direct]) {
      out.push((await call('conversations.history', ada.token, { channel, limit: 100 })).messages, (await call('conversations.replies', ada.token, { channel, ts: ids.ts[channel] })).messages,
        (await call('conversations.info', ada.token, { channel, include_num_members: true })).channel, (await call('conversations.members', ada.token, { channel })).members, (await call('pins.list', ada.token, { channel })).items,
        (await call('files.list', ada.token, { channel })).files);
    }
    return JSON.parse(JSON.stringify(out));
  }

  test('the table is there, and ada may', async () => {
    assert.ok(methods.length >= 45 && aboutConversation(methods.find((m) => m.name === 'pins.add')));
    for (const name of ['conversations.history', 'conversations.members', 'reactions.get', 'pins.list', 'chat.getPermalink']) {
      const m = methods.find((x) => x.name === name);
      assert.equal((await call(name, ada.token, argsFor(m, ids.secret))).ok, true, name);
    }
  });

  test('what is not served says so, to who may do everything, too', async () => {
    assert.ok(absent.length >= 10 && absent.includes('views.open'));
    for (const name of absent) {
      for (const token of [ada.token, undefined]) assert.equal((await parley.call(name, token)).error, 'unknown_method', name);
    }
  });

  test('without a good token nothing is served', async () => {
    const before = await state();
    for (const m of withToken) {
      const args = argsFor(m, ids.open);
      for (const [token, error] of [[undefined, 'not_authed'], ['xoxp-1-2-3-0123456789abcdef0123456789abcdef', 'invalid_auth'], ['nonsense', 'invalid_auth'], [tokens.revoked, 'token_revoked'], [tokens.disabled, 'account_inactive']]) {
        const a = await call(m.name, token, args);
        assert.deepEqual([a.ok, a.error], [false, error], `${m.name} with ${token}`);
        assert.deepEqual(Object.keys(a).filter((k) => !['ok', 'error', 'status', 'headers'].includes(k)), [], `${m.name} tells more`);
      }
    }
    assert.deepEqual(await state(), before);
  });

  test('a bot without the scope, and what bots cannot', async () => {
    const before = await state();
    for (const m of withToken) {
      const a = await call(m.name, tokens.unscoped, argsFor(m, ids.open));
      if (!m.bot) assert.equal(a.error, 'not_allowed_token_type', m.name);
      else if (m.scopes.length > 0 && !m.scopes.includes('emoji:read')) {
        assert.equal(a.error, 'missing_scope', m.name);
        assert.deepEqual(a.needed.split(',').sort(), [...m.scopes].sort(), m.name);
        assert.equal(a.provided, 'emoji:read');
      }
    }
    assert.deepEqual(await state(), before);
  });

  // Nothing of what is not his is in an answer.
  function assertSilent(who, m, a, hidden) {
    const { headers, ...body } = a;
    const text = JSON.stringify(body);
    for (const word of hidden) assert.ok(!text.includes(word), `${m.name} tells ${who} of ${word}: ${text.slice(0, 400)}`);
  }

  for (const [who, places] of [['outsider', ['secret', 'direct']], ['guest', ['secret', 'direct', 'open']], ['elsewhere', ['secret', 'direct', 'open']]]) {
    test(`${who}: conversations of others are as if they were not there`, async () => {
      const before = await state();
      const absent = ids.secret.slice(0, -2) + '00';
      for (const m of withToken) {
        for (const place of places) {
          const args = argsFor(m, ids[place], who === 'elsewhere' ? neighbour : grace.id);
          const a = await call(m.name, tokens[who], args);
          const hidden = [ids.ts[ids[place]], `platypus in ${place}`, `matrix-${place}`, ...(aboutConversation(m) ? [] : [ids[place]]), ...(who === 'elsewhere' ? [ada.id, team] : [])];
          if (a.ok || !('ts' in args || 'timestamp' in args || 'message_ts' in args)) assertSilent(who, m, a, hidden);
          if (aboutFile(m) && (m.guests || who !== 'guest')) {
            assert.equal(a.error, 'file_not_found', `${m.name} in ${place} by ${who}`);
            const none = await call(m.name, tokens[who], { ...args, file: 'F00000000000000000000' });
            assert.deepEqual([none.ok, none.error, none.status], [a.ok, a.error, a.status], `${m.name}: ${place} is not told apart from what is absent`);
          }
          if (!aboutConversation(m)) continue;
          if (!m.guests && who === 'guest') {
            assert.equal(a.error, 'user_is_restricted', `${m.name} by a guest`);
            continue;
          }
          assert.equal(a.error, m.name in ownThings ? ownThings[m.name] : 'channel_not_found', `${m.name} in ${place} by ${who}`);
          const b = await call(m.name, tokens[who], { ...args, ...Object.fromEntries(m.args.filter((x) => /^CHANNEL/.test(x.type)).map((x) => [x.name, absent])) });
          assert.deepEqual([b.ok, b.error, b.status], [a.ok, a.error, a.status], `${m.name}: ${place} is not told apart from what is absent`);
        }
      }
      assert.deepEqual(await state(), before);
    });
  }

  test('an outsider\'s socket hears nothing of it', async () => {
    await call('chat.postMessage', ada.token, { channel: ids.secret, text: 'platypus again' });
    await call('chat.postMessage', ada.token, { channel: ids.direct, text: 'platypus again' });
    const open = await call('chat.postMessage', ada.token, { channel: 'general', text: 'for all' });
    assert.ok(open.ok);
    await call('conversations.join', tokens.outsider, { channel: open.channel });
    const last = await call('chat.postMessage', ada.token, { channel: 'general', text: 'the last' });
    await socket.event((m) => m.type === 'message' && m.ts === last.ts);
    for (const m of socket.events) assert.ok(!JSON.stringify(m).includes('platypus') && m.channel !== ids.secret && m.channel !== ids.direct, JSON.stringify(m));
  });
});
