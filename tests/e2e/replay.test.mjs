// Real conversations through the real server: every acknowledged message in history once, in order, with its text, and
// on every member's socket or announced as a gap. Then the same while the server is killed again and again.
// PARLEY_TRACE names a JSON-lines file of Slack messages; without one a synthetic trace of the same shape is made.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { Parley, bin, level, slow, sleep } from './harness.mjs';

const shared = fileURLToPath(new URL('../../../shared/data/slack-messages-2018-02.jsonl', import.meta.url));

// Few busy channels, many quiet ones; text of every script; joins and leaves; lines that are no message.
function syntheticTrace(file, lines) {
  let state = 20180201;
  const below = (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const words = ['map', 'reduce', '<@U1>', '`code`', 'naïve', 'отлично', '日本語', '🎉', '&amp;', '<https://example.com/?a=1&amp;b=2|link>', '"quoted"', '\\', '\n'];
  const out = [];
  for (let i = 0; i < lines; i++) {
    const channel = `C${Math.floor(2 ** (below(600) / 100))}`;
    const user = `U${below(80)}`;
    const ts = `${1517436010 + i}.${String(below(1000000)).padStart(6, '0')}`;
    const kind = below(20);
    if (kind === 0) out.push({ type: 'message', subtype: 'channel_join', channel, user, ts, text: 'joined' });
    else if (kind === 1) out.push({ type: 'message', subtype: 'channel_leave', channel, user, ts, text: 'left' });
    else if (kind === 2) out.push({ type: 'message', subtype: 'message_changed', channel, ts, message: { text: 'x', ts } });
    else if (kind === 3) out.push({ type: 'message', subtype: 'bot_message', channel, ts, text: below(2) ? '' : 'from a bot' });
    else out.push({ type: 'message', channel, user, ts, text: Array.from({ length: 1 + below(40) }, () => words[below(words.length)]).join(' ') });
  }
  writeFileSync(file, out.map((l) => `${JSON.stringify(l)}\n`).join(''));
  return lines;
}

function trace(parley) {
  const real = process.env.PARLEY_TRACE ?? shared;
  if (slow === 1 && existsSync(real)) return { file: real, lines: process.env.PARLEY_TRACE ? undefined : 11281 };
  const file = join(parley.data, 'trace.jsonl');
  return { file, lines: syntheticTrace(file, slow === 1 ? 6000 : 4000) };
}

async function replay(parley, file, during = async () => {}) {
  const demo = join(parley.data, 'demo-replay.json');
  parley.ctl('demo', '--users', '20', '--channels', '1', '--member-of-all', '--json', demo);
  const child = spawn(join(bin, 'bench/parley-bench'), ['replay', file, '--demo', demo, '--ctl', join(bin, 'parleyctl'), '--data', parley.data, '--json']);
  let out = '', err = '';
  child.stdout.setEncoding('utf8').on('data', (s) => { out += s; });
  child.stderr.setEncoding('utf8').on('data', (s) => { err += s; });
  const ended = new Promise((resolve) => { child.on('close', resolve); });
  await during(() => err, () => child.exitCode !== null);
  const code = await ended;
  assert.equal(code, 0, `parley-bench replay: ${code}\n${out}\n${err.slice(-3000)}`);
  return JSON.parse(out);
}

const posting = (err) => /\d+ posted/.test(err());

test('replay: all lines accounted for, audit clean', { timeout: 120000 }, async () => {
  const parley = await Parley.start();
  try {
    const { file, lines } = trace(parley);
    const r = await replay(parley, file);
    if (lines) assert.equal(r.posted + r.executed + r.skipped, lines);
    assert.equal(r.posts_acknowledged, r.posted);
    assert.ok(r.posted > 0 && r.executed > 0 && r.skipped > 0);
    assert.ok(r.server_cpu_us_per_post > 0, 'the server was found by its data directory');
  } finally {
    await parley.stop();
  }
});

test('replay under kill -9: 0 lost, 0 double, order kept', { timeout: 180000 }, async () => {
  const parley = await Parley.start();
  try {
    const { file, lines } = trace(parley);
    let kills = 0;
    const r = await replay(parley, file, async (err, ended) => {
      while (!posting(err) && !ended()) await sleep(20);
      for (; kills < (level === 'full' ? 20 : 4) && !ended(); kills++) {
        await sleep(80 + Math.random() * 150);
        await parley.restart();
      }
    });
    assert.ok(kills >= 2, `the replay was over after ${kills} kills`);
    if (lines) assert.equal(r.posted + r.executed + r.skipped, lines);
  } finally {
    await parley.stop();
  }
});
