// Every method of the daemon's own table through both majors of Slack's Node SDK, by the SDK's own function where it has one;
// lists through its paginator; refusals as its platform errors. What each method does is told in api.*.test.mjs.
import { describe, test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { WebClient, ErrorCode, LogLevel } from '@slack/web-api';
import { WebClient as WebClient8 } from 'slack-web-api-8';
import { Parley, at, slow } from './harness.mjs';
import { Workspace, methods } from './workspace.mjs';

// client.usergroups.users.list for "usergroups.users.list"; undefined if the SDK does not know the method.
const named = (client, method) => method.split('.').reduce((o, k) => o?.[k], client);

describe('Slack\'s Node SDKs', at('methods'), () => {
  let parley;
  before(async () => {
    parley = await Parley.start({ settings: { 'api.rate_signin_per_min': 1000000 } });
  });
  after(() => parley.stop());

  for (const [major, Client] of [['7', WebClient], ['8', WebClient8]]) {
    const client = (token) => new Client(token, { slackApiUrl: parley.api, retryConfig: { retries: 0 }, logLevel: LogLevel.ERROR });

    test(`@slack/web-api ${major}: each method`, { timeout: 60000 * slow }, async (t) => {
      const w = new Workspace(parley), web = client(w.token), unnamed = [];
      for (const method of methods) {
        const args = await w.args(method), call = named(web, method.name);
        if (typeof call !== 'function') unnamed.push(method.name);
        const r = await (typeof call === 'function' ? call(args) : web.apiCall(method.name, args)).catch((e) => assert.fail(`${method.name}: ${e.message}`));
        assert.equal(r.ok, true);
        if (method.name === 'auth.test') assert.ok(r.response_metadata.scopes.includes('chat:write')); // from a header
        assert.deepEqual([r.response_metadata.messages, r.response_metadata.warnings].flat().filter(Boolean), [], method.name);
      }
      t.diagnostic(`${methods.length} methods, of which the SDK has no function for ${unnamed.join(', ')}`);
    });

    test(`@slack/web-api ${major}: each list by pages`, { timeout: 60000 * slow }, async () => {
      const w = new Workspace(parley), web = client(w.token);
      const single = ['auth.teams.list']; // a token is of one workspace
      for (const method of methods.filter((m) => m.args.some((a) => a.type === 'CURSOR') && !single.includes(m.name) && !m.name.startsWith('search.'))) { // whose pages are of matches: api.search.test.mjs
        const { limit, ...args } = await w.args(method, false);
        if (method.name === 'chat.scheduledMessages.list') {
          delete args.oldest;
          for (const text of ['a', 'b']) await w.call('chat.scheduleMessage', { channel: w.room, text, post_at: Math.floor(Date.now() / 1000) + 3600 });
        }
        if (method.name === 'conversations.replies') await w.call('chat.postMessage', { channel: w.room, text: 'another', thread_ts: w.ts });
        if (method.name === 'reactions.list') await w.call('reactions.add', { channel: w.room, timestamp: (await w.call('chat.postMessage', { channel: w.room, text: 'another' })).ts, name: 'eyes' });
        if (method.name === 'stars.list') for (const timestamp of [undefined, w.ts]) await w.call('stars.add', { channel: w.room, timestamp });
        if (method.name === 'files.list') for (let i = 0; i < 2; i++) await w.file();
        if (method.name === 'conversations.history') await w.call('chat.postMessage', { channel: w.room, text: 'another' });
        if (method.name === 'files.list') for (const text of ['a', 'b']) await w.call('files.upload', { channels: w.room, content: text, filename: `${text}.txt` });
        const list = (page) => Object.values(page).find((v) => Array.isArray(v));
        const all = list(await web.apiCall(method.name, { ...args, limit: 100 })), seen = [];
        let pages = 0;
        for await (const page of web.paginate(method.name, { ...args, limit: 1 })) {
          pages += 1;
          seen.push(...list(page).slice(method.name === 'conversations.replies' && pages > 1 ? 1 : 0)); // each begins with the parent
        }
        assert.ok(all.length >= 2 && pages >= 2, `${method.name}: ${all.length} on ${pages} pages`);
        assert.deepEqual(seen, all, method.name);
      }
    });

    test(`@slack/web-api ${major}: refusals`, { timeout: 60000 * slow }, async () => {
      const bad = client('xoxp-1-2-3-0123456789abcdef0123456789abcdef');
      for (const method of methods.filter((m) => m.token)) {
        await assert.rejects(bad.apiCall(method.name), (e) => e.code === ErrorCode.PlatformError && e.data.error === 'invalid_auth', method.name);
      }
    });
  }
});
