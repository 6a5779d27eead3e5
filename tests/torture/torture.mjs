// torture.mjs - runs the real daemon under load, strikes it again and again, and audits everything it answered ok.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { Parley, bin } from '../e2e/harness.mjs';
import { Bench } from './bench.mjs';
import { Load, random } from './load.mjs';
import { modes } from './modes.mjs';

const help = `usage: tools/torture [MODE...] [options]
       tools/torture --sim [--minutes N] [--seed S]

Starts the real parleyd on a scratch directory and loads it: parley-bench send posts at a steady rate, other clients post
with keys, join and leave, read history, listen on WebSockets. Strikes it, brings it back, and audits everything that was
answered ok: nothing lost, doubled or out of order, no event of a message that is not stored. Ends with 1 on any
violation. A mode that cannot run here counts as failed.

--sim strikes no process: it runs the simulator (parley-sim) for N minutes on fresh seeds, or on those from S on.

modes (one after the other; none: --kill)
${modes.map((m) => `  --${m.flag.padEnd(12)}${m.what}`).join('\n')}
  --all         every mode

options
  --cycles N    strikes of each mode (20)
  --minutes N   of --sim (10)
  --seed N      of the schedule of faults (from the clock)
  --senders N   connections that post (6)
  --preset P    which build to run (release)
  --json        the report as JSON on standard output
  --help
`;

const options = {
  cycles: { type: 'string', default: '20' }, seed: { type: 'string' }, senders: { type: 'string', default: '6' },
  preset: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean' }, all: { type: 'boolean' },
  sim: { type: 'boolean' }, minutes: { type: 'string' },
  ...Object.fromEntries(modes.map((m) => [m.flag, { type: 'boolean' }])),
};

function usage(problem) {
  process.stderr.write(`${problem}\n\n${help}`);
  process.exit(2);
}

function number(text, name) {
  if (!/^\d+$/.test(text)) usage(`--${name} wants a number, not ${text}`);
  return Number(text);
}

function say(text) {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
}

// Ends with the simulator's own words and verdict.
function simulate({ minutes = '10', seed, ...rest }) {
  const other = Object.keys(rest).find((k) => !['sim', 'preset', 'cycles', 'senders'].includes(k));
  if (other) usage(`--${other} does not go with --sim`);
  if (number(minutes, 'minutes') === 0) usage('--minutes wants one at least');
  const words = ['--minutes', minutes, ...(seed === undefined ? [] : ['--seed', String(number(seed, 'seed'))])];
  const { status, error } = spawnSync(join(bin, 'tests/sim/parley-sim'), words, { stdio: 'inherit' });
  if (error) say(`parley-sim cannot be run: ${error.message}`);
  process.exit(status ?? 1);
}

// Interrupted: no daemon, mount or loop device stays behind.
let running;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, async () => {
    running?.load?.abandon();
    running?.bench?.child.kill('SIGKILL');
    running?.parley.child?.kill('SIGKILL');
    await running?.parley.exited;
    await running?.mode.tearDown();
    process.exit(130);
  });
}

// One mode from start to end; the numbers, and what is wrong in them.
async function run(Mode, { cycles, seed, senders }) {
  const rand = random(seed);
  const mode = new Mode(bin, rand);
  const report = { mode: Mode.flag, cycles: 0, seed };
  const why = mode.needs();
  if (why) return { ...report, cannot_run: why };
  const place = await mode.setUp();
  const parley = new Parley(place);
  let load, bench;
  running = { parley, mode };
  try {
    await parley.up();
    load = running.load = new Load(parley, parley.demo(), { senders });
    bench = running.bench = new Bench(bin, parley, parley.population(4, 4));
    await bench.begun();
    for (; report.cycles < cycles; report.cycles++) {
      load.start();
      await sleep(rand.between(150, 600));
      await mode.cycle(parley, load);
      await sleep(rand.between(0, 100));
      await load.stop();
      await load.audit();
      if (parley.exit) throw new Error(`the daemon ended by itself: ${JSON.stringify(parley.exit)}`);
      if (bench.exit) throw new Error(`parley-bench ended by itself: ${JSON.stringify(bench.exit)}\n${bench.said}`);
      if (report.cycles % 10 === 9 || process.stderr.isTTY) say(`${Mode.flag}: ${report.cycles + 1} of ${cycles} cycles, ${load.acked.size} acknowledged, ${load.details.length} violations`);
    }
    const { report: counted, problems } = await bench.finish();
    for (const p of problems) load.violate('bench_audit', p);
    report.acknowledged_by_bench = counted.posts_acknowledged;
    report.bench_resent = counted.http_lost + counted.http_429_503 + counted.http_5xx;
    await load.audit({ all: true });
    mode.verify();
    if (/ERROR: (Address|Thread|Leak)Sanitizer|runtime error:|WARNING: ThreadSanitizer|assert_failed/.test(parley.log)) throw new Error('a sanitizer or an assertion reported');
  } catch (e) {
    report.failed = `cycle ${report.cycles + 1}: ${e.stack}`;
    const alarm = parley.log.search(/==+\n?WARNING: ThreadSanitizer|ERROR: \w+Sanitizer|runtime error:|assert_failed/);
    report.log = alarm < 0 ? parley.log.slice(-3000) : parley.log.slice(alarm, alarm + 6000); // the first, else the end
  } finally {
    load?.abandon();
    await bench?.kill();
    parley.child?.kill('SIGKILL');
    await parley.exited;
    running = undefined;
    await mode.tearDown().catch((e) => { report.failed ??= `cleaning up: ${e.message}`; });
  }
  const of = load ?? { violations: {}, details: [], acked: new Map() };
  return {
    ...report, acknowledged: of.acked.size, ...of.violations, longest_unavailable_ms: of.longestUnavailableMs ?? 0,
    refused: of.refused, broken_connections: of.broken, reads: of.reads, events: of.events, joins: of.joins, ...mode.notes, details: of.details,
  };
}

function isBad(r) {
  return r.cannot_run !== undefined || r.failed !== undefined || r.details.length > 0;
}

function print(reports) {
  for (const r of reports) {
    if (r.cannot_run) {
      console.log(`${r.mode}: FAILED, it cannot run here: ${r.cannot_run}`);
      continue;
    }
    console.log(`${r.mode}: ${isBad(r) ? 'FAILED' : 'passed'}`);
    for (const [name, value] of Object.entries(r)) {
      if (!['mode', 'details', 'failed', 'log'].includes(name)) console.log(`  ${name.replaceAll('_', ' ').padEnd(26)}${value}`);
    }
    for (const d of r.details) console.log(`  ! ${d}`);
    if (r.failed) console.log(`  ! ${r.failed}\n${r.log ?? ''}`);
  }
}

let values;
try { ({ values } = parseArgs({ options, allowPositionals: false })); } catch (e) { usage(e.message); }
if (values.help) {
  console.log(help);
  process.exit(0);
}
if (values.sim) simulate(values);
if (values.minutes !== undefined) usage('--minutes is of --sim');
const picked = modes.filter((m) => values.all || values[m.flag]);
const settings = { cycles: number(values.cycles, 'cycles'), senders: number(values.senders, 'senders'), seed: values.seed === undefined ? Date.now() % 2 ** 31 : number(values.seed, 'seed') };
const chosen = picked.length > 0 ? picked : [modes[0]];
for (const m of chosen) { // said before anything starts
  const why = new m(bin, random(0)).needs();
  if (why) say(`--${m.flag} cannot run here and will count as failed: ${why}`);
}
const reports = [];
for (const m of chosen) reports.push(await run(m, settings));
if (process.stderr.isTTY) say('');
if (values.json) console.log(JSON.stringify(reports, null, 2));
else print(reports);
process.exit(reports.some(isBad) ? 1 : 0);
