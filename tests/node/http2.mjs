// Speaks to a gateway through node:http2; prints the name of each thing that went well.
//
//     node http2.mjs URL CA
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect } from 'node:http2';

const [url, ca] = process.argv.slice(2);
const session = connect(url, { ca: readFileSync(ca) });

function ask(fields, body) {
  return new Promise((resolve, reject) => {
    const stream = session.request(fields);
    const answer = { pieces: [], trailers: undefined };
    stream.on('response', (fields) => (answer.fields = fields));
    stream.on('trailers', (fields) => (answer.trailers = fields));
    stream.on('data', (piece) => answer.pieces.push(piece));
    stream.on('end', () => resolve({ ...answer, body: Buffer.concat(answer.pieces) }));
    stream.on('error', reject);
    stream.end(body);
  });
}

const checks = {
  async get() {
    const answer = await ask({ ':path': '/a?b=c' });
    assert.equal(answer.fields[':status'], 200);
    const seen = JSON.parse(answer.body);
    assert.deepEqual([seen.method, seen.target], ['GET', '/a?b=c']);
  },
  async post_of_1_mib() {
    const body = Buffer.alloc(1 << 20, 'abcdefg');
    const answer = await ask({ ':method': 'POST', ':path': '/mirror' }, body);
    assert.ok(answer.body.equals(body));
  },
  async streamed_download() {
    const answer = await ask({ ':path': '/bytes/20000000' });
    assert.equal(answer.body.length, 20_000_000);
    assert.ok(answer.pieces.length > 10);
  },
  async hundred_requests_at_once() {
    const paths = Array.from({ length: 100 }, (_, n) => `/${n}`);
    const answers = await Promise.all(paths.map((path) => ask({ ':path': path })));
    assert.deepEqual(answers.map((answer) => JSON.parse(answer.body).target), paths);
  },
  async redirect() {
    const { fields } = await ask({ ':path': '/redirect/302' });
    assert.deepEqual([fields[':status'], fields.location], [302, '/elsewhere']);
  },
  async gzip() {
    const { fields, body } = await ask({ ':path': '/gzip' });
    assert.equal(fields['content-encoding'], 'gzip');
    assert.deepEqual([...body.subarray(0, 2)], [0x1f, 0x8b]);
  },
  async trailers() {
    const { body, trailers } = await ask({ ':path': '/trailers', te: 'trailers' });
    assert.equal(body.toString(), 'with trailers\n');
    assert.equal(trailers['x-checksum'], 'abc');
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log(name);
}
session.close();
