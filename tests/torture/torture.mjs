// torture.mjs - runs the real daemon under load, strikes it again and again, and audits everything it answered ok.
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { Parley, bin } from '../e2e/harness.mjs';
import { Load, random } from './load.mjs';
import { modes } from './modes.mjs';

const help = `usage: tools/torture [MODE...] [options]

Starts the real parleyd on a scratch directory, loads it (posts with keys, joins, history readers, WebSocket listeners),
strikes it, brings it back, and audits everything that was answered ok: nothing lost, doubled or out of order, no event of
a message that is not stored. Ends with 1 on any violation. A mode that cannot run here counts as failed.

modes (one after the other; none: --kill)
${modes.map((m) => `  --${m.flag.padEnd(12)}${m.what}`).join('\n')}
  --all         every mode

options
  --cycles N    strikes of each mode (20)
  --seed N      of the schedule of faults (from the clock)
  --senders N   connections that post (6)
  --preset P    which build to run (release)
  --json        the report as JSON on standard output
  --help
`;

const options = {
  cycles: { type: 'string', default: '20' }, seed: { type: 'string' }, senders: { type: 'string', default: '6' },
  preset: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean' }, all: { type: 'boolean' },
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

// Interrupted: no daemon, mount or loop device stays behind.
let running;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, async () => {
    running?.load?.abandon();
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
  let load;
  running = { parley, mode };
  try {
    await parley.up();
    load = running.load = new Load(parley, parley.demo(), { senders });
    for (; report.cycles < cycles; report.cycles++) {
      load.start();
      await sleep(rand.between(150, 600));
      await mode.cycle(parley, load);
      await sleep(rand.between(0, 100));
      await load.stop();
      await load.audit();
      if (parley.exit) throw new Error(`the daemon ended by itself: ${JSON.stringify(parley.exit)}`);
      if (report.cycles % 10 === 9 || process.stderr.isTTY) say(`${Mode.flag}: ${report.cycles + 1} of ${cycles} cycles, ${load.acked.size} acknowledged, ${load.details.length} violations`);
    }
    await load.audit({ all: true });
    mode.verify();
    if (/ERROR: (Address|Thread|Leak)Sanitizer|runtime error:|WARNING: ThreadSanitizer|assert_failed/.test(parley.log)) throw new Error('a sanitizer or an assertion reported');
  } catch (e) {
    report.failed = `cycle ${report.cycles + 1}: ${e.stack}`;
    const alarm = parley.log.search(/==+\n?WARNING: ThreadSanitizer|ERROR: \w+Sanitizer|runtime error:|assert_failed/);
    report.log = alarm < 0 ? parley.log.slice(-3000) : parley.log.slice(alarm, alarm + 6000); // the first, else the end
  } finally {
    load?.abandon();
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
