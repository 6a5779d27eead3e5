// Every method of the daemon's own table in every form that real clients send calls in: each answers as it does to JSON,
// with the same error or success and with members of the same names. Then what two clients that cannot be told another
// address send when they start.
import { describe, test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { Parley, Conn, at, slow } from './harness.mjs';
import { shapes, inQuery } from './shapes.mjs';
import { Workspace, methods } from './workspace.mjs';

const reference = 'JSON with charset';

// The names of all members of an answer; ids that are names stand for any, and of an array its first element for all.
function names(value, path = '') {
  if (Array.isArray(value)) return value.length > 0 ? names(value[0], `${path}[]`) : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([k, v]) => {
    const here = `${path}.${/^[A-Z][0-9A-Z]{6,}$/.test(k) ? '*' : k}`;
    return [here, ...names(v, here)];
  });
}

describe('forms of requests', at('shapes'), () => {
  let parley;
  before(async () => {
    parley = await Parley.start({ settings: { 'api.rate_signin_per_min': 1000000 } });
  });
  after(() => parley.stop());

  // The whole table in one shape, in a workspace of its own: [{call, error, names}] in the table's order.
  async function walk(shape) {
    const w = new Workspace(parley);
    const conn = await Conn.open(parley.port);
    const out = [];
    for (const method of methods) {
      const hasBool = method.args.some((a) => a.type === 'BOOL');
      for (const bools of hasBool ? [true, false] : [true]) {
        const args = await w.args(method, bools);
        const a = await conn.ask(shapes[shape](method.name, args, w.token, w.domain));
        assert.equal(a.status, 200, `${method.name} in ${shape}: ${a.status} ${a.body}`);
        out.push({ call: `${method.name}${hasBool ? ` with ${bools}` : ''}`, error: a.json.error ?? 'ok', names: [...new Set(names(a.json))].sort() });
      }
    }
    conn.end();
    return out;
  }

  test('each method answers each form alike', { timeout: 120000 * slow }, async (t) => {
    const walks = await Promise.all(Object.keys(shapes).map(async (shape) => [shape, await walk(shape)]));
    const [, expected] = walks.find(([shape]) => shape === reference);
    assert.deepEqual(expected.filter((e) => e.error !== 'ok').map((e) => `${e.call}: ${e.error}`), []); // an error would hide what comes after it
    const differ = [];
    for (const [shape, got] of walks) {
      for (const [i, e] of expected.entries()) {
        if (e.call === 'api.test') assert.deepEqual([got[i].error, got[i].names.includes('.args.foo')], ['ok', true], shape); // it echoes whatever came
        else if (e.call === 'auth.signin' && inQuery(shape)) assert.equal(got[i].error, 'invalid_arguments', shape); // URLs are written into logs
        else if (!isDeepStrictEqual(got[i], e)) {
          const other = [...got[i].names.filter((n) => !e.names.includes(n)).map((n) => `+${n}`), ...e.names.filter((n) => !got[i].names.includes(n)).map((n) => `-${n}`)];
          differ.push(`${shape}: ${e.call}: ${got[i].error} ${other.join(' ')}`);
        }
      }
    }
    assert.deepEqual(differ, []);
    t.diagnostic(`${walks.length} forms of ${expected.length} calls to ${methods.length} methods`);
  });
});
