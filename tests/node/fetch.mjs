// Speaks to a gateway through node's fetch (undici, HTTP/1.1); prints the name of each thing
// that went well. The CA comes with NODE_EXTRA_CA_CERTS.
//
//     node fetch.mjs URL
import assert from 'node:assert/strict';

const url = process.argv[2];

const checks = {
  async get() {
    const answer = await fetch(`${url}/a?b=c`, { headers: { 'x-a': '1' } });
    assert.equal(answer.status, 200);
    const seen = await answer.json();
    assert.deepEqual([seen.method, seen.target], ['GET', '/a?b=c']);
    assert.ok(seen.headers.some(([name, value]) => name === 'x-a' && value === '1'));
  },
  async post_of_1_mib() {
    const body = new Uint8Array(1 << 20).map((_, n) => n % 251);
    const answer = await fetch(`${url}/mirror`, { method: 'POST', body });
    assert.deepEqual(Buffer.from(await answer.arrayBuffer()), Buffer.from(body));
  },
  async streamed_upload() {
    let left = 100;
    const body = new ReadableStream({
      pull(controller) {
        if (left-- > 0) controller.enqueue(new Uint8Array(10_000));
        else controller.close();
      },
    });
    const answer = await fetch(`${url}/count`, { method: 'POST', body, duplex: 'half' });
    assert.deepEqual(await answer.json(), { bytes: 1_000_000 });
  },
  async streamed_download() {
    const answer = await fetch(`${url}/bytes/20000000`);
    let [pieces, length] = [0, 0];
    for await (const piece of answer.body) [pieces, length] = [pieces + 1, length + piece.length];
    assert.equal(length, 20_000_000);
    assert.ok(pieces > 10);
  },
  async hundred_requests() {
    for (let n = 0; n < 100; n++) {
      const answer = await fetch(`${url}/${n}`);
      assert.equal((await answer.json()).target, `/${n}`);
    }
  },
  async redirect() {
    const answer = await fetch(`${url}/redirect/302`, { redirect: 'manual' });
    assert.deepEqual([answer.status, answer.headers.get('location')], [302, '/elsewhere']);
    await answer.text();
  },
  async gzip() {
    const answer = await fetch(`${url}/gzip`);
    assert.equal(answer.headers.get('content-encoding'), 'gzip');
    assert.equal(await answer.text(), 'gzip untouched\n');
  },
  // fetch shows none; they must not get in its way.
  async trailers() {
    const answer = await fetch(`${url}/trailers`);
    assert.equal(await answer.text(), 'with trailers\n');
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log(name);
}
