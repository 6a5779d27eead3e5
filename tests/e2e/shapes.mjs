// shapes.mjs - one call in each of the forms in which real clients send it, as bytes. See shapes.test.mjs.
// A shape says how values are written and where they and the token go. Sources: the clients themselves, at the versions
// of the names.

const isObject = (v) => typeof v === 'object' && v !== null;

// How values become text in a query or a form.
const python = (b) => (b ? '1' : '0'); // slack_sdk
const pythonStr = (b) => (b ? 'True' : 'False'); // str() of Python: wee-slack, localslackirc
const commas = (v) => (Array.isArray(v) && v.every((x) => typeof x === 'string') ? v.join(',') : JSON.stringify(v));
function texts(args, { bool = String, list = commas } = {}) {
  const text = (v) => (typeof v === 'boolean' ? bool(v) : Array.isArray(v) ? list(v) : isObject(v) ? JSON.stringify(v) : String(v));
  return Object.entries(args).map(([k, v]) => [k, text(v)]);
}
const urlencoded = (pairs) => new URLSearchParams(pairs).toString();

function request(verb, target, headers, body = '') {
  const data = Buffer.from(body);
  const length = verb === 'POST' && !('Transfer-Encoding' in headers) ? { 'Content-Length': data.length } : {};
  const fields = Object.entries({ ...headers, ...length }).map(([k, v]) => `${k}: ${v}\r\n`).join('');
  return Buffer.concat([Buffer.from(`${verb} /api/${target} HTTP/1.1\r\n${fields}\r\n`), data]);
}

const boundary = '7d1b2c34-9f00-11ee-8c90-0242ac120002';
const part = ([name, value], more = '') => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n${more}\r\n${value}\r\n`;
const multipart = (pairs, { end = '--', more } = {}) => `${pairs.map((p) => part(p, more)).join('')}--${boundary}${end}\r\n`;
const form = 'application/x-www-form-urlencoded';

function chunked(text, size) {
  const data = Buffer.from(text);
  const out = [];
  for (let at = 0; at < data.length; at += size) {
    const piece = data.subarray(at, at + size);
    out.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'));
  }
  return Buffer.concat([...out, Buffer.from('0\r\n\r\n')]);
}

// {name: (method, args, token, team) => bytes of the request}. args have their true types: booleans, numbers, arrays, objects.
export const shapes = {
  'JSON with charset': (method, args, token) => request('POST', method, { Host: 'h', Authorization: `Bearer ${token}`, 'Content-Type': 'application/json; charset=utf-8' }, JSON.stringify(args)),

  'JSON, token in it, numbers and booleans as text, lists as text': (method, args, token) => request('POST', method, { Host: 'h', 'Content-Type': 'application/json' },
    JSON.stringify({ ...Object.fromEntries(texts(args)), token })),

  'slack_sdk 3: JSON': (method, args, token) => request('POST', method, { Host: 'h', 'Content-Type': 'application/json;charset=utf-8', 'User-Agent': 'Python/3.11.2 slackclient/3.36.0 Linux/6.1',
    Authorization: `Bearer ${token}`, Connection: 'keep-alive', 'Accept-Encoding': 'identity' }, JSON.stringify(args, null, 1)),

  'slack_sdk 3: GET with a query': (method, args, token) => request('GET', `${method}?${urlencoded(texts(args, { bool: python }))}`,
    { 'Accept-Encoding': 'identity', 'Content-Type': form, Host: 'h', 'User-Agent': 'Python/3.11.2 slackclient/3.36.0 Linux/6.1', Authorization: `Bearer ${token}` }),

  'slack_sdk 3: a form': (method, args, token) => request('POST', method, { Host: 'h', Authorization: `Bearer ${token}`, 'Content-Type': form },
    urlencoded(texts(args, { bool: python }))),

  '@slack/web-api: a form, what is not a scalar as JSON': (method, args, token) => request('POST', method, { Accept: 'application/json, text/plain, */*', 'Content-Type': form,
    'User-Agent': '@slack:web-api/7.19.0 node/18.20.4 linux/6.1', Authorization: `Bearer ${token}`, 'Accept-Encoding': 'gzip, compress, deflate, br', Host: 'h', Connection: 'keep-alive' },
  urlencoded(texts(args, { list: JSON.stringify }))),

  'Bolt: the token twice, and a team': (method, args, token, team) => request('POST', method, { Host: 'h', Authorization: `Bearer ${token}`, 'Content-Type': form },
    urlencoded([['team_id', team], ['token', token], ...texts(args, { list: JSON.stringify })])),

  'slack-go 0.11: a form with the token': (method, args, token) => request('POST', method, { Host: 'h', 'User-Agent': 'Go-http-client/1.1', 'Content-Type': form, 'Accept-Encoding': 'gzip' },
    urlencoded([...texts(args), ['token', token]].sort())),

  'slack-go 0.11: arguments in the query of a POST, a form in chunks': (method, args, token) => request('POST', `${method}?${urlencoded(texts(args))}`,
    { Host: 'h', 'User-Agent': 'Go-http-client/1.1', 'Transfer-Encoding': 'chunked', Authorization: `Bearer ${token}`, 'Content-Type': `multipart/form-data; boundary=${boundary}`, 'Accept-Encoding': 'gzip' },
    chunked(multipart([['nothing', '']]), 17)),

  'wee-slack 2.9: GET with a query, for writes as well': (method, args, token) => request('GET', `${method}?${urlencoded(texts(args, { bool: pythonStr }))}`,
    { Host: 'h', 'User-Agent': 'wee_slack 2.9.0', Accept: '*/*', Cookie: 'd=xoxd-1%2F2; b=.x', Authorization: `Bearer ${token}` }),

  'GET with the token in the query': (method, args, token) => request('GET', `${method}?${urlencoded([['token', token], ...texts(args)])}`, { Host: 'h' }),

  'localslackirc 1.17: a form, Host without a port': (method, args, token) => request('POST', method, { Host: 'localhost', Connection: 'keep-alive', 'Accept-Encoding': 'gzip', 'user-agent': 'localslackirc',
    Authorization: `Bearer ${token}`, cookie: 'd=x', 'Content-Type': form }, urlencoded(texts(args, { bool: pythonStr }))),

  'localslackirc 1.17: multipart, its end cut short': (method, args, token) => request('POST', method, { Host: 'localhost', Connection: 'keep-alive', 'Accept-Encoding': 'gzip', 'user-agent': 'localslackirc',
    Authorization: `Bearer ${token}`, 'Content-Type': `multipart/form-data; boundary=${boundary}` }, multipart(texts(args, { bool: pythonStr }), { end: '' })),

  'curl -F: multipart with types': (method, args, token) => request('POST', method, { Host: '127.0.0.1:80', 'User-Agent': 'curl/7.88.1', Accept: '*/*', Authorization: `Bearer ${token}`,
    'Content-Type': `multipart/form-data; boundary="${boundary}"` }, multipart(texts(args), { more: 'Content-Type: text/plain; charset=UTF-8\r\n' })),

  'multipart, the token in it': (method, args, token) => request('POST', method, { Host: 'h', 'Content-Type': `multipart/form-data; boundary=${boundary}` }, multipart([...texts(args), ['token', token]])),

  'curl -d with a charset, half of it in the query': (method, args, token) => {
    const pairs = texts(args), half = Math.ceil(pairs.length / 2);
    return request('POST', `${method}?${urlencoded(pairs.slice(0, half))}`, { Host: 'h', Authorization: `Bearer ${token}`, 'Content-Type': `${form}; charset=UTF-8` }, urlencoded(pairs.slice(half)));
  },

  'POST with everything in the query and no body': (method, args, token) => request('POST', `${method}?${urlencoded(texts(args))}`, { Host: 'h', Authorization: `Bearer ${token}` }),

  'a form in chunks': (method, args, token) => request('POST', method, { Host: 'h', 'Content-Type': form, 'Transfer-Encoding': 'chunked' }, chunked(urlencoded([...texts(args), ['token', token]]), 5)),
};

// Those whose last argument is in the URL.
export const inQuery = (shape) => /GET|^POST|^slack-go.* query/.test(shape);
