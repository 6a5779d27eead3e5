// One post in every form that clients send it, and what headers ask for and get.
import { describe, test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { Parley, raw, answers, post, history, at, eventually } from './harness.mjs';

describe('arguments', at('args'), () => {
  let parley, demo, channel, token, authorization;
  before(async () => {
    parley = await Parley.start({ settings: { 'log.level': 'debug' } });
    demo = parley.demo();
    channel = demo.channels.random.id;
    token = demo.users[0].token;
    authorization = { Authorization: `Bearer ${token}` };
  });
  after(() => parley.stop());

  const ask = async (bytes) => answers((await raw(parley.port, bytes)).text)[0];
  const get = (target, ...lines) => ask([`GET ${target} HTTP/1.1`, 'Host: h', ...lines, 'Connection: close', '', ''].join('\r\n'));
  const send = (body, headers, method = 'chat.postMessage') => ask(post(method, null, body, { Connection: 'close', ...headers }));
  const stored = async (answer, text) => {
    assert.equal(answer?.json?.ok, true, answer?.body);
    assert.equal(answer.json.message.text, text);
    const [m] = await history(parley, token, channel, { limit: 1 });
    assert.deepEqual(m, answer.json.message);
  };

  test('the same post in every form', async () => {
    const text = 'same é 🎉 + %';
    const q = new URLSearchParams({ channel, text }).toString();
    const bearer = `Authorization: Bearer ${token}`;
    const urlencoded = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const part = (n, v) => `--XX\r\nContent-Disposition: form-data; name="${n}"\r\n\r\n${v}\r\n`;
    const json = JSON.stringify({ channel, text });
    await stored(await get(`/api/chat.postMessage?${q}`, bearer), text);
    await stored(await get(`/api/chat.postMessage?${q}&token=${token}`), text); // wee-slack
    await stored(await send('', { ...authorization, 'Content-Type': undefined }, `chat.postMessage?${q}`), text); // POST, all in the query
    await stored(await send(`text=${encodeURIComponent(text)}`, { ...authorization, ...urlencoded }, `chat.postMessage?channel=${channel}`), text); // mixed
    await stored(await send(q, { ...authorization, ...urlencoded }), text);
    await stored(await send(`${q}&token=${token}`, urlencoded), text); // slack-go
    await stored(await send(q, { ...authorization, 'Content-Type': 'APPLICATION/X-WWW-Form-Urlencoded; charset=UTF-8' }), text);
    await stored(await send(`${part('channel', channel)}${part('text', text)}--XX--\r\n`, { ...authorization, 'Content-Type': 'multipart/form-data; boundary=XX' }), text);
    await stored(await send(`${part('channel', channel)}${part('text', text)}${part('token', token)}--XX\r\n`, { 'Content-Type': 'multipart/form-data; boundary="XX"' }), text); // localslackirc ends so
    await stored(await send(json, { ...authorization, 'Content-Type': 'application/json' }), text);
    await stored(await send(json, { ...authorization, 'Content-Type': 'application/json;charset=utf-8' }), text); // Python
    await stored(await send(json, { ...authorization, 'Content-Type': 'application/json; charset="UTF-8"' }), text);
    await stored(await send(JSON.stringify({ channel, text, token }), { 'Content-Type': 'application/json' }), text);
    await stored(await send(JSON.stringify({ channel, text, token, team_id: demo.team.id, unknown: { a: [1] } }), { ...authorization }), text); // Bolt: both, and more
    await stored(await send(json, { authorization: `bearer ${token}` }), text);
    const fields = ['-F', `channel=${channel}`, '-F', `text=${text}`];
    const curl = spawnSync('curl', ['-s', '-H', bearer, ...fields, `${parley.api}chat.postMessage`], { encoding: 'utf8' });
    await stored({ json: JSON.parse(curl.stdout) }, text);
    const data = spawnSync('curl', ['-s', '-H', bearer, '-d', `channel=${channel}`, '--data-urlencode', `text=${text}`, `${parley.api}chat.postMessage`], { encoding: 'utf8' });
    await stored({ json: JSON.parse(data.stdout) }, text);
  });

  test('channels by name, with and without #', async () => {
    for (const name of ['#random', 'random']) assert.equal((await parley.call('chat.postMessage', token, { channel: name, text: 'by name' })).channel, channel);
    for (const name of ['#nowhere', 'C', 'C00000000', '#', 'c'.repeat(300)]) assert.equal((await parley.call('chat.postMessage', token, { channel: name, text: 'x' })).error, 'channel_not_found', name);
    for (const args of [{ text: 'x' }, { text: 'x', channel: '' }]) {
      const r = await parley.call('chat.postMessage', token, args);
      assert.equal(r.error, 'missing_argument');
      assert.ok(r.response_metadata.messages.some((m) => m.includes('channel')), 'the argument is named');
    }
  });

  test('request shapes of real clients', async () => {
    // Python slack_sdk: reads by GET with a query, booleans as 1 and 0
    const list = await get('/api/conversations.list?exclude_archived=1&limit=100&types=public_channel%2Cprivate_channel', `Authorization: Bearer ${token}`, 'User-Agent: Python/3.11 slackclient/3.27', 'Content-Type: application/x-www-form-urlencoded');
    assert.deepEqual(list.json.channels.map((c) => c.name).sort(), ['general', 'random']);
    const connect = await get('/api/rtm.connect', `Authorization: Bearer ${token}`);
    assert.match(connect.json.url, /^ws:\/\/h\//);
    // slack-go: form with a token field, lower-case booleans
    const info = await send(`token=${token}&channel=${channel}&include_num_members=true`, { 'Content-Type': 'application/x-www-form-urlencoded', 'User-Agent': 'Go-http-client/1.1' }, 'conversations.info');
    assert.equal(info.json.channel.num_members, 4);
    // wee-slack: GET with everything in the query
    const wee = await get(`/api/conversations.list?token=${token}&exclude_archived=True&limit=1000&types=public_channel,private_channel,im`);
    assert.equal(wee.json.ok, true);
    // localslackirc: multipart for reads, Host without port
    const part = (n, v) => `--f00\r\nContent-Disposition: form-data; name="${n}"\r\n\r\n${v}\r\n`;
    const members = await send(`${part('channel', channel)}${part('limit', '5000')}${part('token', token)}--f00`, { 'Content-Type': 'multipart/form-data; boundary=f00', Host: 'localhost' }, 'conversations.members');
    assert.ok(members.json.ok || members.json.error === 'invalid_limit', members.body);
    // Node: arrays and objects as JSON text in a form
    const blocks = [{ type: 'divider' }];
    const node = await send(new URLSearchParams({ channel, text: 't', blocks: JSON.stringify(blocks) }).toString(), { ...authorization, 'Content-Type': 'application/x-www-form-urlencoded', Accept: 'application/json' });
    assert.deepEqual(node.json.message.blocks, blocks);
    for (const v of ['true', '1', 'True']) assert.equal((await get(`/api/conversations.info?channel=${channel}&include_num_members=${v}`, `Authorization: Bearer ${token}`)).json.channel.num_members, 4, v);
    for (const v of ['false', '0', 'False']) assert.equal((await get(`/api/conversations.info?channel=${channel}&include_num_members=${v}`, `Authorization: Bearer ${token}`)).json.channel.num_members, undefined, v);
  });

  test('lists: words with commas, a JSON array, an array as text in a form', async () => {
    const im = (await parley.call('conversations.open', token, { users: [demo.users[1].id] })).channel.id;
    const forms = async (method, name, list, args, look) => {
      const form = (value) => send(new URLSearchParams({ ...args, [name]: value }).toString(), { ...authorization, 'Content-Type': 'application/x-www-form-urlencoded' }, method);
      const results = [await send(JSON.stringify({ ...args, [name]: list }), authorization, method), await form(list.join(',')), await form(JSON.stringify(list))];
      for (const r of results) assert.equal(r.json.ok, true, `${method}: ${r.body}`);
      return results.map((r) => look(r.json));
    };
    for (const method of ['conversations.list', 'users.conversations'])
      for (const ids of await forms(method, 'types', ['im', 'public_channel'], {}, (r) => r.channels.map((c) => c.id))) assert.ok(ids.includes(im) && ids.includes(channel), method);
    await forms('files.list', 'types', ['images', 'pdfs'], {}, (r) => assert.deepEqual(r.files, []));
    const both = [channel, demo.channels.general.id];
    for (const shares of await forms('files.upload', 'channels', both, { content: 'x' }, (r) => r.file.channels)) assert.deepEqual([...shares].sort(), [...both].sort());
    const { usergroup } = await parley.call('usergroups.create', token, { name: 'lists' });
    for (const kept of await forms('usergroups.update', 'channels', both, { usergroup: usergroup.id }, (r) => r.usergroup.prefs.channels)) assert.deepEqual(kept, both);
    assert.deepEqual((await parley.call('usergroups.update', token, { usergroup: usergroup.id, channels: [] })).usergroup.prefs.channels, []);
    for (const muted of await forms('users.prefs.set', 'muted_channels', both, {}, (r) => r.prefs.muted_channels)) assert.equal(muted, both.join(','));
  });

  test('tokens: in the header, as an argument, both; never two that differ', async () => {
    const body = JSON.stringify({});
    const error = async (headers, args = {}, method = 'auth.test') => {
      const a = await send(JSON.stringify(args), headers, method);
      return a.json.ok ? undefined : a.json.error;
    };
    const other = demo.users[1].token;
    assert.equal(await error({}), 'not_authed');
    assert.equal(await error(authorization), undefined);
    assert.equal(await error({}, { token }), undefined);
    assert.equal(await error(authorization, { token }), undefined);
    assert.equal(await error(authorization, { token: other }), 'invalid_auth');
    assert.equal(await error(authorization, { token: 'x' }), 'invalid_auth');
    for (const odd of ['', 'Bearer', 'Bearer ', `Basic ${token}`, token]) assert.ok(['not_authed', 'invalid_auth'].includes(await error({ Authorization: odd })), odd);
    for (const t of ['x', token.slice(0, -1), `${token}0`, token.toUpperCase(), `${token} `.repeat(2), 'é', 'x'.repeat(5000), `${token}\u0000`])
      if (!t.includes('\u0000')) assert.equal(await error({ Authorization: `Bearer ${Buffer.from(t).toString('latin1')}` }), 'invalid_auth', t.slice(0, 30));
    for (const t of ['', 'x', token.slice(0, -1), `${token}0`]) assert.equal(await error({}, { token: t }), t === '' ? 'not_authed' : 'invalid_auth', t);
    assert.equal(await error({ Authorization: `Bearer ${demo.revoked_token}` }), 'token_revoked');
    assert.equal(await error({}, { token: demo.revoked_token }), 'token_revoked');
    const twice = (a, b) => ask(`POST /api/auth.test HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${a}\r\nAuthorization: Bearer ${b}\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n${body}`);
    assert.equal((await twice(token, other)).json.error, 'invalid_auth');
    const query = await send('{}', { 'Content-Type': 'application/json' }, `auth.test?token=${token}`);
    assert.equal(query.json.ok, false, 'a token in the URL of a POST');
  });

  test('X-Parley-Errors: http gives the true status, the body stays', async () => {
    const rows = [['auth.test', null, {}, 401, 'not_authed'], ['no.such', token, {}, 404, 'unknown_method'], ['chat.postMessage', token, { channel: 'C1', text: 'x' }, 404, 'channel_not_found'],
      ['chat.postMessage', token, { channel }, 400, 'no_text'], ['conversations.create', token, { name: 'random' }, 409, 'name_taken'], ['auth.test', demo.revoked_token, {}, 401, 'token_revoked'],
      ['users.info', token, { user: 'U1' }, 404, 'user_not_found'], ['conversations.create', token, { name: 'Upper' }, 400, 'invalid_name_specials'], ['auth.test', token, {}, 200, undefined]];
    for (const [method, who, args, status, error] of rows) {
      const plain = await parley.call(method, who, args);
      assert.deepEqual([plain.status, plain.error], [200, error], method);
      const http = await parley.call(method, who, args, { 'X-Parley-Errors': 'http' });
      assert.deepEqual([http.status, http.error], [status, error], method);
      assert.match(http.headers.get('content-type'), /^application\/json; charset=utf-8$/);
      const slack = await parley.call(method, who, args, { 'X-Parley-Errors': 'slack' });
      assert.equal(slack.status, 200);
    }
  });

  test('names of channels: every own error', async () => {
    for (const [name, error] of [['', 'invalid_name_required'], ['a b', 'invalid_name_specials'], ['a.b', 'invalid_name_specials'], ['---', 'invalid_name_punctuation'], ['x'.repeat(81), 'invalid_name_maxlength'], ['random', 'name_taken']])
      assert.equal((await parley.call('conversations.create', token, { name })).error, error, name);
    assert.equal((await parley.call('conversations.create', token, { name: 'größe-日本' })).channel?.name, 'größe-日本');
  });

  test('request ids, trace ids, security headers', async () => {
    const seen = new Set();
    for (let i = 0; i < 5; i++) {
      const { headers } = await get('/api/api.test');
      assert.match(headers['x-request-id'], /^[0-9a-f]{32}$/);
      seen.add(headers['x-request-id']);
      assert.match(headers.traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/);
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.ok(Math.abs(Date.parse(headers.date) - Date.now()) < 5000);
    }
    assert.equal(seen.size, 5);
    await eventually(() => [...seen].every((id) => parley.log.includes(id)), 'request ids in the log');
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    const kept = await get('/api/api.test', `traceparent: 00-${trace}-00f067aa0ba902b7-01`);
    assert.equal(kept.headers.traceparent.split('-')[1], trace);
    assert.notEqual(kept.headers.traceparent.split('-')[2], '00f067aa0ba902b7');
    for (const bad of ['x', `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, `00-${trace}-${'0'.repeat(16)}-01`, `ff-${trace}-00f067aa0ba902b7-01`, `00-${trace.toUpperCase()}-00f067aa0ba902b7-01`, `00-${trace}-00f067aa0ba902b7`]) {
      const { headers } = await get('/api/api.test', `traceparent: ${bad}`);
      assert.notEqual(headers.traceparent.split('-')[1].toLowerCase(), trace, bad);
      assert.doesNotMatch(headers.traceparent, /-0{32}-/);
    }
  });

  test('rtm.* says it is deprecated, nothing else does', async () => {
    for (const method of ['rtm.connect', 'rtm.start']) {
      const { headers } = await parley.call(method, token);
      assert.ok(headers.get('deprecation'), method);
      assert.match(headers.get('link'), /rel="(deprecation|successor-version|sunset)"/, method);
    }
    const { headers } = await parley.call('auth.test', token);
    assert.equal(headers.get('deprecation'), null);
    assert.equal(headers.get('link'), null);
  });

  test('X-Request-Timeout: past it nothing is stored', async () => {
    const n = 300;
    const parts = Array.from({ length: n }, (_, i) => post('chat.postMessage', token, JSON.stringify({ channel, text: `deadline ${i}` }), { 'X-Request-Timeout': '1' }));
    const r = await raw(parley.port, Buffer.concat(parts), { ms: 20000, until: { test: (t) => answers(t).length === n } });
    const got = answers(r.text);
    assert.equal(got.length, n);
    const rows = new Set((await history(parley, token, channel)).map((m) => m.text));
    got.forEach((a, i) => {
      assert.ok(a.json.ok || (a.status === 503 && a.json.error === 'deadline_exceeded' && /^\d+$/.test(a.headers['retry-after'])), a.body);
      assert.equal(rows.has(`deadline ${i}`), a.json.ok);
    });
    for (const odd of ['', 'x', '-1', '1e3', '99999999999999999999']) assert.ok((await parley.call('api.test', token, {}, { 'X-Request-Timeout': odd })).status <= 400, odd);
    assert.equal((await parley.call('auth.test', token, {}, { 'X-Request-Timeout': '5000' })).ok, true);
  });

  test('secrets and texts are not in the log', () => {
    assert.ok(parley.log.includes('"level":"debug"'));
    for (const secret of [token, token.split('-').at(-1), demo.bot.token, 'same é', 'by name']) assert.ok(!parley.log.includes(secret), `${secret.slice(0, 12)}... is in the log`);
  });
});

describe('settings of the API', at('args'), () => {
  test('client_errors = http', async () => {
    const parley = await Parley.start({ settings: { 'api.client_errors': 'http' } });
    const { users: [{ token }], channels } = parley.demo();
    assert.equal((await parley.call('auth.test', 'xoxp-bad')).status, 401);
    assert.equal((await parley.call('chat.postMessage', token, { channel: 'C1', text: 'x' })).status, 404);
    assert.equal((await parley.call('chat.postMessage', token, { channel: channels.random.id, text: 'x' })).status, 200);
    await parley.stop();
  });

  test('rates: 429 with an integer Retry-After, per token, before the body is parsed', async () => {
    const parley = await Parley.start({ settings: { 'api.rate_posts_per_s': 2, 'api.rate_factor': 1000 } });
    const { users, channels } = parley.demo();
    const channel = channels.random.id;
    const got = [];
    for (let i = 0; i < 12; i++) got.push(await parley.call('chat.postMessage', users[0].token, { channel, text: `${i}` }));
    const limited = got.filter((r) => r.status === 429);
    assert.ok(limited.length >= 5, `${limited.length} of 12 limited`);
    for (const r of limited) {
      assert.equal(r.error, 'ratelimited');
      assert.match(r.headers.get('retry-after'), /^[1-9]\d*$/);
    }
    assert.ok(got.filter((r) => r.ok).length >= 4);
    assert.equal((await parley.call('chat.postMessage', users[1].token, { channel, text: 'another token' })).ok, true);
    assert.equal((await parley.call('conversations.history', users[0].token, { channel })).ok, true);
    const [early] = answers((await raw(parley.port, post('chat.postMessage', users[0].token, '{ not JSON', { Connection: 'close' }))).text); // the body is not looked at
    assert.equal(early.status, 429);
    const wait = Number(limited.at(-1).headers.get('retry-after'));
    await eventually(async () => (await parley.call('chat.postMessage', users[0].token, { channel, text: 'later' })).ok, 'allowed again', (wait + 3) * 1000);
    assert.ok((await parley.metrics()).parley_rate_limited_total >= limited.length);
    await parley.stop();
  });

  test('forwarded addresses and schemes only from trusted proxies', async () => {
    const forwarded = { 'X-Forwarded-For': '203.0.113.7', 'X-Forwarded-Proto': 'https' };
    for (const [proxies, trusted] of [['127.0.0.1', true], ['10.0.0.0/8,127.0.0.0/8', true], ['', false], ['127.0.0.2, ::1', false]]) {
      const parley = await Parley.start({ settings: { 'server.trusted_proxies': proxies, 'log.level': 'debug' } });
      const { users: [{ token }] } = parley.demo();
      const r = await parley.call('rtm.connect', token, {}, forwarded);
      assert.match(r.url, trusted ? /^wss:/ : /^ws:/, proxies);
      await eventually(() => parley.log.includes(r.headers.get('x-request-id')), 'the request in the log');
      assert.equal(parley.log.includes('203.0.113.7'), trusted, proxies);
      await parley.stop();
    }
  });

  test('public_url is where clients are sent', async () => {
    const parley = await Parley.start({ settings: { 'server.public_url': 'https://chat.example.com:444' } });
    const { users: [{ token }], base_url } = parley.demo();
    assert.equal(base_url, 'https://chat.example.com:444');
    assert.match((await parley.call('rtm.connect', token)).url, /^wss:\/\/chat\.example\.com:444\//);
    assert.match((await parley.call('auth.test', token)).url, /^https:\/\/chat\.example\.com:444\/?/);
    await parley.stop();
  });
});
