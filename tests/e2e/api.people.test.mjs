// users.*, bots.info, team.info, auth.revoke, roles, scopes, tiers.
import { describe, test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { WebClient } from '@slack/web-api';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Parley, eventually, at, bin, slow } from './harness.mjs';
import { rtm } from './ws.mjs';

const client = (parley, token) => new WebClient(token, { slackApiUrl: parley.api, retryConfig: { retries: 0 }, rejectRateLimitedCalls: true });
const refusal = (promise) => promise.then(() => 'ok', (e) => e.data?.error ?? e.code);

describe('people', at('people'), () => {
  let parley, demo, ada, grace, bot, root, stranger;
  const ctl = (...words) => parley.ctl('--workspace', demo.team.id, ...words);
  const ctlJson = (...words) => parley.ctlJson('--workspace', demo.team.id, ...words);
  before(async () => {
    parley = await Parley.start();
    demo = parley.demo();
    ada = { ...demo.users[0], web: client(parley, demo.users[0].token) };
    grace = { ...demo.users[1], web: client(parley, demo.users[1].token) };
    bot = { ...demo.bot, web: client(parley, demo.bot.token) };
    parley.ctl('user', 'add', 'root', '--owner', '--email', 'Root@Example.com');
    root = { id: parley.ctlJson('user', 'list').users.find((u) => u.name === 'root').id };
    root.web = client(parley, parley.ctlJson('token', 'issue', 'root').token);
    parley.ctl('workspace', 'add', 'other');
    parley.ctl('--workspace', 'other', 'user', 'add', 'mallory');
    stranger = { web: client(parley, parley.ctlJson('--workspace', 'other', 'token', 'issue', 'mallory').token) };
  });
  after(() => parley.stop());

  test('a profile: every member, each of its refusals, events to the team, the same after a kill', async () => {
    const socket = await rtm(parley, grace.token);
    const set = await ada.web.users.profile.set({ profile: { first_name: 'Augusta', last_name: 'King', display_name: 'ada', title: 'Countess', phone: '+44', status_text: 'at tea', status_emoji: ':tea:', status_expiration: 0, pronouns: 'she' } });
    assert.equal(set.username, 'ada');
    for (const [name, value] of Object.entries({ real_name: 'Augusta King', display_name: 'ada', title: 'Countess', phone: '+44', status_text: 'at tea', status_emoji: ':tea:', status_expiration: 0, first_name: 'Augusta', last_name: 'King' })) assert.equal(set.profile[name], value, name);
    for (const type of ['user_change', 'user_profile_changed', 'user_status_changed']) {
      const event = await socket.event((m) => m.type === type);
      assert.equal(event.user.id, ada.id);
      assert.equal(event.user.profile.status_text, 'at tea');
      assert.equal(event.user.profile.email, undefined);
    }
    socket.destroy();
    assert.equal((await ada.web.users.profile.set({ name: 'status_text', value: 'alone' })).profile.status_emoji, ':tea:');
    const refusals = [
      [{ profile: { status_text: 'x'.repeat(101) } }, 'too_long'], [{ profile: { status_emoji: 'tea' } }, 'invalid_emoji_not_allowed'],
      [{ profile: { real_name: '' } }, 'invalid_profile'], [{ profile: 'no json' }, 'invalid_profile'], [{}, 'invalid_profile'], [{ profile: { title: 7 } }, 'invalid_profile'], [{ profile: { email: 'x@y.z' } }, 'not_admin'],
      [{ user: ada.id, profile: { title: 'x' } }, 'not_admin'], [{ user: 'U7ZZZZZZZ', profile: { title: 'x' } }, 'user_not_found'],
    ];
    for (const [args, error] of refusals) assert.equal(await refusal(grace.web.users.profile.set(args)), error, JSON.stringify(args));
    assert.equal(await refusal(ada.web.users.profile.set({ profile: { status_text: '' } })), 'must_clear_both_status_text_and_status_emoji');
    assert.equal(await refusal(bot.web.users.profile.set({ profile: { title: 'x' } })), 'not_allowed_token_type');
    assert.equal(await refusal(stranger.web.users.profile.get({ user: ada.id })), 'user_not_found');
    assert.equal((await root.web.users.profile.set({ user: grace.id, profile: { email: 'Grace@Navy.mil' } })).profile.email, 'grace@navy.mil');
    assert.equal(await refusal(root.web.users.profile.set({ user: ada.id, profile: { email: 'GRACE@navy.mil' } })), 'email_taken');
    await parley.restart();
    assert.equal((await grace.web.users.profile.get({ user: ada.id })).profile.status_text, 'alone');
    assert.equal((await ada.web.users.lookupByEmail({ email: 'GRACE@navy.mil' })).user.id, grace.id);
    assert.equal((await ada.web.users.profile.set({ profile: { status_text: '', status_emoji: '' } })).profile.status_text, '');
    const soon = Math.floor(Date.now() / 1000) + 2;
    assert.equal((await ada.web.users.profile.set({ profile: { status_text: 'short', status_expiration: soon } })).profile.status_emoji, ':speech_balloon:');
    await eventually(async () => (await grace.web.users.info({ user: ada.id })).user.profile.status_text === '', 'the status ends');
  });

  test('look-ups: by e-mail, by bot, oneself; nothing of another workspace', async () => {
    assert.equal((await ada.web.users.lookupByEmail({ email: 'ROOT@example.com' })).user.id, root.id);
    assert.equal(await refusal(stranger.web.users.lookupByEmail({ email: 'root@example.com' })), 'users_not_found');
    assert.equal(await refusal(ada.web.users.lookupByEmail({ email: 'root' })), 'users_not_found');
    const { bot: one } = await ada.web.bots.info({ bot: bot.bot_id });
    assert.deepEqual([one.id, one.user_id, one.deleted], [bot.bot_id, bot.user_id, false]);
    assert.ok(one.icons.image_48.endsWith('.png'));
    assert.equal((await bot.web.bots.info()).bot.id, bot.bot_id);
    assert.equal(await refusal(ada.web.bots.info()), 'missing_argument');
    assert.equal(await refusal(stranger.web.bots.info({ bot: bot.bot_id })), 'bot_not_found');
    const me = await ada.web.users.identity();
    assert.equal(me.user.id, ada.id);
    assert.equal((await ada.web.apiCall('users.setActive')).ok, true);
    assert.equal(await refusal(ada.web.team.info({ domain: 'other' })), 'team_not_found');
    const { user } = await root.web.users.info({ user: root.id, include_locale: true });
    for (const name of ['id', 'team_id', 'name', 'deleted', 'color', 'real_name', 'tz', 'tz_label', 'tz_offset', 'profile', 'is_admin', 'is_owner', 'is_primary_owner', 'is_restricted', 'is_ultra_restricted', 'is_bot', 'is_app_user', 'updated', 'locale']) assert.notEqual(user[name], undefined, name);
    assert.deepEqual([user.is_owner, user.is_admin], [true, true]);
  });

  test('a guest sees only where it is; an admin is not changed by an admin', async () => {
    ctl('user', 'add', 'gus', '--guest');
    const id = ctlJson('user', 'list').users.find((u) => u.name === 'gus').id;
    const gus = client(parley, ctlJson('token', 'issue', 'gus').token);
    const { channel: { id: open } } = await ada.web.conversations.create({ name: 'open-to-all' });
    assert.deepEqual((await gus.conversations.list()).channels, []);
    for (const call of [() => gus.conversations.info({ channel: open }), () => gus.conversations.history({ channel: open }), () => gus.chat.postMessage({ channel: open, text: 'x' }), () => gus.chat.postMessage({ channel: 'open-to-all', text: 'x' })]) assert.equal(await refusal(call()), 'channel_not_found');
    for (const call of [() => gus.conversations.join({ channel: open }), () => gus.conversations.create({ name: 'mine' })]) assert.equal(await refusal(call()), 'user_is_restricted');
    await ada.web.conversations.invite({ channel: open, users: id });
    assert.equal((await gus.chat.postMessage({ channel: open, text: 'thanks' })).ok, true);
    assert.deepEqual((await gus.conversations.list()).channels.map((c) => c.id), [open]);
    assert.equal((await gus.users.info({ user: id })).user.is_restricted, true);
    ctl('user', 'change', 'gus', '--admin');
    assert.equal((await gus.conversations.list()).channels.length > 1, true);
    assert.equal(await refusal(gus.users.profile.set({ user: root.id, profile: { title: 'x' } })), 'cannot_update_admin_user');
  });

  test('a channel that is created is not told to a guest', async () => {
    ctl('user', 'add', 'gil', '--guest');
    const socket = await rtm(parley, ctlJson('token', 'issue', 'gil').token);
    await ada.web.conversations.create({ name: 'not-for-gil' });
    await ada.web.users.profile.set({ profile: { title: 'after it' } });
    await socket.event((m) => m.type === 'user_change');
    assert.ok(!JSON.stringify(socket.events).includes('channel_created'));
  });

  test('scopes of a token; its revocation closes its sockets before it answers', async () => {
    const token = ctlJson('token', 'issue', 'ada', '--scopes', 'users:read,rtm:stream').token;
    const web = client(parley, token);
    assert.equal((await web.users.info({ user: ada.id })).user.profile.email, undefined);
    assert.equal(await refusal(web.chat.postMessage({ channel: demo.channels.random.id, text: 'x' })), 'missing_scope');
    assert.throws(() => ctl('token', 'issue', 'ada', '--scopes', 'all:things'));
    const socket = await rtm(parley, token);
    assert.equal((await web.auth.revoke({ test: true })).revoked, false);
    assert.equal((await web.auth.test()).user, 'ada');
    assert.equal((await web.auth.revoke()).revoked, true);
    await socket.closed;
    for (const call of [() => web.auth.test(), () => web.auth.revoke()]) assert.equal(await refusal(call()), 'token_revoked');
  });
});

describe('signing in', at('people'), () => {
  let parley, demo;
  const signin = (args, headers = {}) => fetch(`${parley.api}auth.signin`, { method: 'POST', headers, body: new URLSearchParams({ team: demo.team.domain, ...args }) }).then(async (r) => ({ status: r.status, retry: r.headers.get('retry-after'), ...await r.json() }));
  const password = (user, line) => spawnSync(join(bin, 'parleyctl'), ['--data', parley.data, 'user', 'password', user], { input: `${line}\n`, encoding: 'utf8' });
  before(async () => {
    parley = await Parley.start({ settings: { 'api.rate_signin_per_min': 1000 } });
    demo = parley.demo();
    parley.ctl('user', 'change', 'ada', '--email', 'Ada@Lovelace.org');
    assert.equal(password('ada', 'difference engine').status, 0);
  });
  after(() => parley.stop());

  test('a token for a password; one answer for every mistake, in the same time; the same after a kill', async () => {
    for (let round = 0; round < 2; round++) {
      const r = await signin({ email: 'ada@lovelace.ORG', password: 'difference engine' });
      assert.equal(r.ok, true, JSON.stringify(r));
      assert.equal((await parley.call('auth.test', r.token)).user, 'ada');
      if (round === 0) await parley.restart();
    }
    const took = async (args) => { const from = performance.now(); const r = await signin(args); assert.equal(r.error, 'invalid_credentials'); return performance.now() - from; };
    const wrong = [], unknown = [], bare = [];
    for (let i = 0; i < 5; i++) {
      wrong.push(await took({ email: 'ada@lovelace.org', password: 'analytical engine' }));
      unknown.push(await took({ email: 'nobody@lovelace.org', password: 'analytical engine' }));
      bare.push(await took({ email: 'ada@lovelace.org', team: 'nowhere', password: 'difference engine' }));
    }
    const least = (list) => Math.min(...list);
    assert.ok(least(unknown) > least(wrong) / 2 && least(bare) > least(wrong) / 2, JSON.stringify({ wrong, unknown, bare }));
    assert.equal((await parley.call('auth.signin', undefined, { team: demo.team.domain })).error, 'missing_argument');
    const url = await fetch(`${parley.api}auth.signin?${new URLSearchParams({ team: demo.team.domain, email: 'ada@lovelace.org', password: 'difference engine' })}`);
    assert.equal((await url.json()).error, 'invalid_arguments');
    assert.ok(!parley.log.includes('engine'));
  });

  test('short passwords are refused, new ones replace, disabled users do not come in', async () => {
    assert.notEqual(password('ada', 'short').status, 0);
    assert.equal(password('ada', 'a new password').status, 0);
    assert.equal((await signin({ email: 'ada@lovelace.org', password: 'difference engine' })).error, 'invalid_credentials');
    assert.equal((await signin({ email: 'ada@lovelace.org', password: 'a new password' })).ok, true);
    parley.ctl('user', 'disable', 'ada');
    assert.equal((await signin({ email: 'ada@lovelace.org', password: 'a new password' })).error, 'invalid_credentials');
  });

  test('a flood of them is bounded and delays nobody else', async () => {
    const flood = Array.from({ length: 40 }, (_, i) => signin({ email: `n${i}@x.y`, password: 'whatever it is' }));
    const from = performance.now();
    assert.equal((await parley.call('chat.postMessage', demo.users[1].token, { channel: demo.channels.random.id, text: 'meanwhile' })).ok, true);
    assert.ok(performance.now() - from < 500 * slow);
    const got = await Promise.all(flood);
    assert.ok(got.filter((r) => r.status === 503).length >= 1);
    assert.ok(got.every((r) => ['invalid_credentials', 'service_unavailable'].includes(r.error)));
  });

  test('ten a minute per account', async () => {
    const { data } = parley;
    await parley.kill();
    const strict = await Parley.start({ data });
    const ask = () => fetch(`${strict.api}auth.signin`, { method: 'POST', body: new URLSearchParams({ team: demo.team.domain, email: 'x@y.z', password: 'whatever it is' }) });
    const got = [];
    for (let i = 0; i < 12; i++) got.push(await ask());
    assert.equal(got.filter((r) => r.status === 429 && /^[1-9]\d*$/.test(r.headers.get('retry-after'))).length, 2);
    await strict.stop();
    await parley.up();
  });
});

describe('tiers', at('people'), () => {
  test('per token and method: another method and another token go on; Retry-After is whole', async () => {
    const parley = await Parley.start({ settings: { 'api.rate_factor': 1 } });
    const { users } = parley.demo();
    const got = [];
    for (let i = 0; i < 24; i++) got.push(await parley.call('users.list', users[0].token));
    assert.equal(got.filter((r) => r.ok).length, 20);
    for (const r of got.slice(20)) {
      assert.deepEqual([r.status, r.error], [429, 'ratelimited']);
      assert.match(r.headers.get('retry-after'), /^[1-9]\d*$/);
    }
    assert.equal((await parley.call('conversations.list', users[0].token)).ok, true);
    assert.equal((await parley.call('users.list', users[1].token)).ok, true);
    await parley.stop();
  });
});
