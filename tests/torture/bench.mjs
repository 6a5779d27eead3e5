// bench.mjs - parley-bench send beside the other clients: an open loop of posts in channels of its own, sent again with
// the same key through every outage; its own audit of history comes when it is interrupted.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const posts_per_s = 100; // two cores: the clients here must not starve the daemon of them
const conns = 4;
const in_flight = 32; // an outage leaves no more than this to catch up
const channels = 4;
const begin_ms_max = 30000;
const end_ms_max = 120000; // it waits 2 s for what is under way, then reads all its history

export class Bench {
  // The daemon is up. population: the file that parleyctl demo wrote for it.
  constructor(bin, parley, population) {
    const words = ['send', '--demo', population, '--data', parley.data, '--conns', conns, '--channels', channels, '--rate', posts_per_s, '--in-flight', in_flight, '--seconds', 86400, '--json'];
    this.child = spawn(join(bin, 'bench/parley-bench'), words, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.out = this.said = '';
    this.child.stdout.setEncoding('utf8').on('data', (d) => { this.out += d; });
    this.child.stderr.setEncoding('utf8').on('data', (d) => { this.said = (this.said + d).slice(-8000); });
    // closed: also all that it said is here
    this.ended = once(this.child, 'close').then(([code, signal]) => { this.exit = { code, signal }; });
    this.ended.catch(() => { this.exit = { code: 'it cannot be started' }; });
  }

  // Its channels are joined and it posts.
  async begun() {
    const deadline = Date.now() + begin_ms_max;
    while (!/posts\/s/.test(this.said)) {
      if (this.exit || Date.now() > deadline) throw new Error(`parley-bench did not begin: ${JSON.stringify(this.exit)}\n${this.said}`);
      await sleep(20);
    }
  }

  // Interrupts it and waits for its audit: the report, and what is wrong with it or with the run.
  async finish() {
    if (this.exit) throw new Error(`parley-bench ended by itself: ${JSON.stringify(this.exit)}\n${this.out}${this.said}`);
    this.child.kill('SIGINT');
    if (await Promise.race([this.ended.then(() => false), sleep(end_ms_max, true, { ref: false })])) throw new Error(`parley-bench is not done ${end_ms_max} ms after its SIGINT\n${this.said}`);
    let report;
    try { report = JSON.parse(this.out); } catch { throw new Error(`parley-bench ended with ${JSON.stringify(this.exit)} and no report\n${this.out}${this.said}`); }
    const problems = [...report.problem_samples];
    if (report.problems > problems.length) problems.push(`and ${report.problems - problems.length} more`);
    if (report.posts_acknowledged === 0) problems.push('nothing was acknowledged');
    if (this.exit.code !== 0 && problems.length === 0) problems.push(`it ended with ${JSON.stringify(this.exit)}`);
    return { report, problems };
  }

  async kill() {
    this.child.kill('SIGKILL');
    await this.ended.catch(() => {});
  }
}
