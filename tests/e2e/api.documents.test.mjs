// What users, conversations and workspaces keep, with Slack's SDK: preferences, snoozing, stars, bookmarks, user groups, emoji.
import { describe, test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { WebClient } from '@slack/web-api';
import { Parley, at } from './harness.mjs';
import { rtm } from './ws.mjs';

const client = (parley, token) => new WebClient(token, { slackApiUrl: parley.api, retryConfig: { retries: 0 }, rejectRateLimitedCalls: true });
const refusal = (promise) => promise.then(() => 'ok', (e) => e.data?.error ?? e.code);

describe('documents', at('people'), () => {
  let parley, demo, ada, grace, root, general, stranger;
  before(async () => {
    parley = await Parley.start();
    demo = parley.demo();
    ada = { ...demo.users[0], web: client(parley, demo.users[0].token) };
    grace = { ...demo.users[1], web: client(parley, demo.users[1].token) };
    parley.ctl('user', 'add', 'root', '--owner');
    root = client(parley, parley.ctlJson('token', 'issue', 'root').token);
    parley.ctl('workspace', 'add', 'other');
    parley.ctl('--workspace', 'other', 'user', 'add', 'mallory');
    stranger = client(parley, parley.ctlJson('--workspace', 'other', 'token', 'issue', 'mallory').token);
    general = demo.channels.general.id;
  });
  after(() => parley.stop());

  test('preferences: what clients ask for is there, what was set stays', async () => {
    const socket = await rtm(parley, ada.token);
    assert.deepEqual((await ada.web.apiCall('users.prefs.get')).prefs, { muted_channels: '', highlight_words: '' });
    await ada.web.apiCall('users.prefs.set', { name: 'muted_channels', value: general });
    const event = await socket.event((m) => m.type === 'pref_change');
    assert.deepEqual([event.name, event.value], ['muted_channels', general]);
    await ada.web.apiCall('users.prefs.set', { prefs: JSON.stringify({ highlight_words: 'moon, "sun"', flag: true, number: 7, deep: { a: [1] } }) });
    const told = () => socket.events.filter((m) => m.type === 'pref_change').slice(1).map((m) => [m.name, m.value]);
    await socket.until(() => told().length === 4, 'each of them is told');
    assert.deepEqual(told(), [['highlight_words', 'moon, "sun"'], ['flag', true], ['number', 7], ['deep', { a: [1] }]]);
    await ada.web.apiCall('users.prefs.set', { prefs: JSON.stringify({ flag: true, number: 7, deep: { a: [1] }, last: 1 }) });
    await socket.until(() => told().some(([name]) => name === 'last'), 'what changes is told');
    assert.deepEqual(told().slice(4), [['last', 1]]); // and nothing else
    const prefs = { highlight_words: 'moon, "sun"', flag: true, number: 7, deep: { a: [1] }, muted_channels: general, last: 1 };
    assert.deepEqual((await ada.web.apiCall('users.prefs.get')).prefs, prefs);
    assert.equal((await grace.web.apiCall('users.prefs.get')).prefs.muted_channels, '');
    const muted = { muted_channels: `,${general}`, highlight_words: 'x' }; // slack-go names them as arguments
    assert.deepEqual((await grace.web.apiCall('users.prefs.set', { ...muted, reason: 'update-muted-channels' })).prefs, muted);
    assert.deepEqual((await grace.web.apiCall('users.prefs.set', { muted_channels: '' })).prefs, { ...muted, muted_channels: '' });
    assert.equal(await refusal(ada.web.apiCall('users.prefs.set', { name: 'a b', value: 1 })), 'invalid_arg_name');
    assert.equal(await refusal(ada.web.apiCall('users.prefs.set', { name: 'x' })), 'missing_argument');
    assert.equal(await refusal(ada.web.apiCall('users.prefs.set', { name: 'x', value: 'y'.repeat(70000) })), 'too_long');
    await parley.kill();
    await parley.up();
    assert.deepEqual((await ada.web.apiCall('users.prefs.get')).prefs, prefs);
    socket.destroy();
  });

  test('many change one document at once, and none of it is lost', async () => {
    await Promise.all(Array.from({ length: 12 }, (_, i) => ada.web.apiCall('users.prefs.set', { name: `p${i}`, value: i })));
    const { prefs } = await ada.web.apiCall('users.prefs.get');
    for (let i = 0; i < 12; i++) assert.equal(prefs[`p${i}`], String(i), `p${i}`);
  });

  test('snoozing', async () => {
    const [own, others] = [await rtm(parley, ada.token), await rtm(parley, grace.token)];
    assert.equal((await ada.web.dnd.info()).snooze_enabled, false);
    const on = await ada.web.dnd.setSnooze({ num_minutes: 60 });
    assert.ok(on.snooze_enabled && on.snooze_remaining > 3500 && on.snooze_remaining <= 3600);
    assert.equal((await own.event((m) => m.type === 'dnd_updated')).dnd_status.snooze_endtime, on.snooze_endtime);
    const told = await others.event((m) => m.type === 'dnd_updated_user');
    assert.deepEqual([told.user, told.dnd_status.dnd_enabled, told.dnd_status.snooze_enabled], [ada.id, true, undefined]);
    assert.equal((await grace.web.dnd.info({ user: ada.id })).next_dnd_end_ts, on.snooze_endtime);
    assert.deepEqual(Object.entries((await grace.web.dnd.teamInfo({ users: `${ada.id},${grace.id},U7ZZZZZZZ` })).users).map(([id, d]) => [id, d.dnd_enabled]), [[ada.id, true], [grace.id, false]]);
    assert.equal((await ada.web.dnd.endSnooze()).dnd_enabled, false);
    assert.equal(await refusal(ada.web.dnd.endDnd()), 'not_in_dnd');
    assert.equal(await refusal(ada.web.apiCall('dnd.setSnooze')), 'missing_duration');
    assert.equal(await refusal(ada.web.dnd.setSnooze({ num_minutes: 99999 })), 'too_long');
    assert.equal(await refusal(stranger.dnd.info({ user: ada.id })), 'user_not_found');
    own.destroy();
    others.destroy();
  });

  test('stars: what one may see, newest first, as it is now', async () => {
    const socket = await rtm(parley, grace.token);
    const secret = (await ada.web.conversations.create({ name: 'stars-secret', is_private: true })).channel.id;
    const { ts } = await ada.web.chat.postMessage({ channel: general, text: 'a star is born' });
    const hidden = await ada.web.chat.postMessage({ channel: secret, text: 'not for grace' });
    await grace.web.stars.add({ channel: general, timestamp: ts });
    assert.deepEqual((await socket.event((m) => m.type === 'star_added')).item, { type: 'message', channel: general, ts });
    await grace.web.stars.add({ channel: general });
    assert.equal(await refusal(grace.web.stars.add({ channel: general, timestamp: ts })), 'already_starred');
    assert.equal(await refusal(grace.web.stars.add({ channel: secret, timestamp: hidden.ts })), 'channel_not_found');
    assert.equal(await refusal(grace.web.stars.add({ channel: general, timestamp: '1700000000.000001' })), 'message_not_found');
    assert.equal(await refusal(grace.web.stars.add({})), 'no_item_specified');
    await ada.web.chat.update({ channel: general, ts, text: 'a star was born' });
    const list = await grace.web.stars.list();
    assert.deepEqual(list.items.map((i) => [i.type, i.channel, i.message?.text]), [['channel', general, undefined], ['message', general, 'a star was born']]);
    assert.deepEqual(list.paging, { count: 100, total: 2, page: 1, pages: 1 });
    assert.equal((await grace.web.stars.list({ count: 1, page: 2 })).items[0].message.ts, ts);
    const pages = [];
    for await (const page of grace.web.paginate('stars.list', { limit: 1 })) pages.push(page.items.map((i) => i.type));
    assert.deepEqual(pages, [['channel'], ['message']]);
    assert.equal(await refusal(grace.web.stars.list({ cursor: 'x' })), 'invalid_cursor');
    await ada.web.conversations.invite({ channel: secret, users: grace.id });
    await grace.web.stars.add({ channel: secret, timestamp: hidden.ts });
    await ada.web.conversations.kick({ channel: secret, user: grace.id });
    assert.ok(!JSON.stringify(await grace.web.stars.list()).includes('not for grace'), 'who has left sees it no more');
    await grace.web.stars.remove({ channel: general, timestamp: ts });
    assert.equal(await refusal(grace.web.stars.remove({ channel: general, timestamp: ts })), 'not_starred');
    socket.destroy();
  });

  test('bookmarks: members make them, who may read sees them', async () => {
    const channel = (await ada.web.conversations.create({ name: 'marked', is_private: true })).channel.id;
    const { bookmark } = await ada.web.bookmarks.add({ channel_id: channel, title: 'Docs', type: 'link', link: 'https://example.com/docs', emoji: ':book:' });
    assert.match(bookmark.id, /^Bk/);
    assert.deepEqual([bookmark.title, bookmark.link, bookmark.channel_id, bookmark.last_updated_by_user_id], ['Docs', 'https://example.com/docs', channel, ada.id]);
    const second = (await ada.web.bookmarks.add({ channel_id: channel, title: 'More', type: 'link', link: 'http://example.com' })).bookmark;
    assert.notEqual(second.id, bookmark.id);
    const edited = (await ada.web.bookmarks.edit({ channel_id: channel, bookmark_id: bookmark.id, title: 'Handbook' })).bookmark;
    assert.deepEqual([edited.id, edited.title, edited.link, edited.emoji, edited.date_created], [bookmark.id, 'Handbook', 'https://example.com/docs', ':book:', bookmark.date_created]);
    assert.deepEqual((await ada.web.bookmarks.list({ channel_id: channel })).bookmarks.map((b) => b.title), ['Handbook', 'More']);
    await ada.web.bookmarks.remove({ channel_id: channel, bookmark_id: second.id });
    assert.equal(await refusal(ada.web.bookmarks.remove({ channel_id: channel, bookmark_id: second.id })), 'not_found');
    assert.equal(await refusal(grace.web.bookmarks.list({ channel_id: channel })), 'channel_not_found');
    assert.equal(await refusal(ada.web.bookmarks.add({ channel_id: channel, title: 'x', type: 'link', link: 'javascript:alert(1)' })), 'invalid_link');
    assert.equal(await refusal(ada.web.bookmarks.add({ channel_id: channel, title: 'x', type: 'folder', link: 'https://x.y' })), 'invalid_bookmark_type');
    const open = (await ada.web.conversations.create({ name: 'marked-open' })).channel.id;
    assert.equal(await refusal(grace.web.bookmarks.add({ channel_id: open, title: 'x', type: 'link', link: 'https://x.y' })), 'not_in_channel');
    await Promise.all(Array.from({ length: 3 }, (_, i) => ada.web.bookmarks.add({ channel_id: open, title: `t${i}`, type: 'link', link: 'https://x.y' })));
    assert.deepEqual((await grace.web.bookmarks.list({ channel_id: open })).bookmarks.map((b) => b.title).sort(), ['t0', 't1', 't2']);
    assert.equal(new Set((await grace.web.bookmarks.list({ channel_id: open })).bookmarks.map((b) => b.id)).size, 3);
  });

  test('user groups', async () => {
    const socket = await rtm(parley, grace.token);
    const { usergroup } = await ada.web.usergroups.create({ name: 'Marketing Team', description: 'sells', include_count: true });
    assert.deepEqual([usergroup.handle, usergroup.user_count, usergroup.team_id, usergroup.date_delete], ['marketing-team', 0, demo.team.id, 0]);
    assert.equal((await socket.event((m) => m.type === 'subteam_created')).subteam.id, usergroup.id);
    assert.equal(await refusal(ada.web.usergroups.create({ name: 'Marketing Team', handle: 'm2' })), 'name_already_exists');
    assert.equal(await refusal(ada.web.usergroups.create({ name: 'M3', handle: 'marketing-team' })), 'handle_already_exists');
    assert.equal(await refusal(ada.web.usergroups.create({ name: 'M4', handle: 'No Spaces' })), 'bad_handle');
    assert.equal(await refusal(ada.web.usergroups.create({ name: 'x'.repeat(81) })), 'name_too_long');
    const other = (await grace.web.usergroups.create({ name: 'Ops', handle: 'ops' })).usergroup;
    const set = await ada.web.usergroups.users.update({ usergroup: usergroup.id, users: `${ada.id},${grace.id},${ada.id}` });
    assert.deepEqual(set.usergroup.users, [ada.id, grace.id]);
    assert.deepEqual((await socket.event((m) => m.type === 'subteam_updated')).subteam.users, [ada.id, grace.id]);
    assert.deepEqual((await grace.web.usergroups.users.list({ usergroup: usergroup.id })).users, [ada.id, grace.id]);
    assert.equal(await refusal(ada.web.usergroups.users.update({ usergroup: usergroup.id, users: 'U7ZZZZZZZ' })), 'invalid_users');
    assert.equal(await refusal(ada.web.usergroups.users.update({ usergroup: 'S7ZZZZ', users: ada.id })), 'no_such_subteam');
    const changed = (await ada.web.usergroups.update({ usergroup: usergroup.id, name: 'Sales', channels: general })).usergroup;
    assert.deepEqual([changed.name, changed.handle, changed.prefs.channels], ['Sales', 'marketing-team', [general]]);
    await ada.web.usergroups.disable({ usergroup: other.id });
    const names = async (o) => (await ada.web.usergroups.list(o)).usergroups.map((g) => g.name);
    assert.deepEqual(await names({}), ['Sales']);
    assert.deepEqual(await names({ include_disabled: true }), ['Sales', 'Ops']);
    await ada.web.usergroups.enable({ usergroup: other.id });
    assert.deepEqual((await ada.web.usergroups.list({ include_users: true, include_count: true })).usergroups.map((g) => [g.users, g.user_count]), [[[ada.id, grace.id], 2], [[], 0]]);
    assert.deepEqual((await stranger.usergroups.list({ include_disabled: true })).usergroups, []);
    await parley.restart();
    assert.deepEqual(await names({}), ['Sales', 'Ops']);
    socket.destroy();
  });

  test('emoji of the workspace', async () => {
    const socket = await rtm(parley, grace.token);
    assert.deepEqual((await ada.web.emoji.list()).emoji, {});
    await root.admin.emoji.add({ name: 'parrot', url: 'https://example.com/parrot.gif' });
    assert.deepEqual((({ subtype, name, value }) => [subtype, name, value])(await socket.event((m) => m.type === 'emoji_changed')), ['add', 'parrot', 'https://example.com/parrot.gif']);
    await root.admin.emoji.addAlias({ name: 'bird', alias_for: 'parrot' });
    assert.deepEqual((await ada.web.emoji.list()).emoji, { parrot: 'https://example.com/parrot.gif', bird: 'alias:parrot' });
    assert.equal(await refusal(root.admin.emoji.add({ name: 'parrot', url: 'https://example.com/2.gif' })), 'name_taken');
    assert.equal(await refusal(ada.web.admin.emoji.add({ name: 'mine', url: 'https://example.com/2.gif' })), 'not_admin');
    assert.equal(await refusal(root.admin.emoji.add({ name: 'No Good', url: 'https://example.com/2.gif' })), 'error_bad_name_i18n');
    await root.admin.emoji.remove({ name: 'bird' });
    assert.equal(await refusal(root.admin.emoji.remove({ name: 'bird' })), 'emoji_not_found');
    assert.deepEqual(Object.keys((await grace.web.emoji.list()).emoji), ['parrot']);
    assert.deepEqual((await stranger.emoji.list()).emoji, {});
    socket.destroy();
  });
});
