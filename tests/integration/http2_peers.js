// SPDX-License-Identifier: Apache-2.0
// A server and a client of HTTP/2 by Node, in plain text where there is no certificate.
//
// usage: http2_peers.js serve PORT [CERTIFICATE]
//        http2_peers.js load URL REQUESTS CONNECTIONS STREAMS LEDGER KIND,... [--pause FILE [--busy]]
//
// The client says {"rows": [[method, path, status, count, request bytes, response bytes]], "aborted": [[method, path,
// count]]}. It pauses when FILE.ready is there, until FILE is; with --busy it goes on with requests that are in no ledger,
// until FILE is there, then it says FILE.ready and goes on when FILE.go is there.
'use strict';
const fs = require('fs');
const http2 = require('http2');

const sizes = {'/small': 30, '/page': 30000, '/large': 700000, '/huge': 5000000};

const answers = {
  // The response ends in trailers.
  '/trailers': stream => {
    stream.respond({':status': 200}, {waitForTrailers: true});
    stream.on('wantTrailers', () => stream.sendTrailers({'x-checksum': String(stream.id)}));
    stream.end('t'.repeat(500));
  },
  '/empty': stream => stream.respond({':status': 204}, {endStream: true}),
  // Before the request's body has come.
  '/early': stream => {
    stream.respond({':status': 413});
    stream.end('too large');
    stream.resume();
  },
  '/stream': stream => {
    stream.respond({':status': 200});
    let left = 5;
    const one = () => {
      if (--left === 0) stream.end('s'.repeat(1000));
      else stream.write('s'.repeat(1000), () => setTimeout(one, 1));
    };
    one();
  },
  '/hints': stream => {
    stream.additionalHeaders({':status': 103, link: '</a>; rel=preload'});
    stream.respond({':status': 200});
    stream.end('h'.repeat(10));
  },
  '/push': stream => {
    const answer = () => {
      stream.respond({':status': 200});
      stream.end('p'.repeat(10));
    };
    if (!stream.pushAllowed) return answer();
    stream.pushStream({':path': '/pushed'}, (error, pushed) => {
      pushed.on('error', () => {});
      pushed.respond({':status': 200});
      pushed.end('x'.repeat(100));
      answer();
    });
  },
  '/hold': () => {},
  '/reset': stream => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR),
};

function serve(port, certificate) {
  const settings = {settings: {maxConcurrentStreams: 1000}, maxSessionMemory: 1000};  // MB: several bodies at once
  const pem = certificate && fs.readFileSync(certificate);
  const server = pem ? http2.createSecureServer({key: pem, cert: pem, ...settings}) : http2.createServer(settings);
  server.on('stream', (stream, headers) => {
    const path = headers[':path'].split('?')[0];
    stream.on('error', () => {});
    if (path === '/early') return answers[path](stream);
    stream.resume().on('end', () => {
      if (stream.destroyed) return;
      if (path in answers) return answers[path](stream);
      const body = Buffer.alloc(sizes[path] || 0, 'b');
      stream.respond({':status': path in sizes ? 200 : 404, 'content-length': body.length});
      stream.end(headers[':method'] === 'HEAD' ? '' : body);
    });
  });
  server.listen(port, '127.0.0.1');
}

// [method, path, bytes of the request's body, when it is given up]
const kinds = {
  small: ['GET', '/small'],
  page: ['GET', '/page'],
  large: ['GET', '/large'],
  huge: ['GET', '/huge'],
  head: ['HEAD', '/page'],
  missing: ['GET', '/missing'],
  post: ['POST', '/small', 100],
  upload: ['POST', '/page', 100000],
  put: ['PUT', '/small', 3000000],
  early: ['POST', '/early', 30000],
  trailers: ['GET', '/trailers'],
  empty: ['GET', '/empty'],
  stream: ['GET', '/stream'],
  hints: ['GET', '/hints'],
  push: ['GET', '/push'],
  cut: ['GET', '/huge', 0, 'data'],
  held: ['DELETE', '/hold', 0, 'soon'],
  reset: ['GET', '/reset'],
};

class Load {
  constructor(url, requests, connections, streams, mix) {
    Object.assign(this, {url, requests, connections, streams, mix, next: 0, open: 0, counting: true, rows: new Map(), aborted: new Map()});
    this.sessions = [];
  }

  connect(index) {
    const session = http2.connect(this.url, {rejectUnauthorized: false, maxSessionMemory: 1000});
    session.on('error', () => {});
    session.on('stream', pushed => pushed.on('error', () => {}).resume());
    session.on('goaway', () => { session.leaving = true; });
    this.sessions[index] = session;
    return session;
  }

  session(index) {
    const session = this.sessions[index];
    return !session || session.leaving || session.closed || session.destroyed ? this.connect(index) : session;
  }

  count(map, key, ...quantities) {
    if (!this.counting) return;
    const row = map.get(key.join()) || [...key, ...quantities.map(() => 0)];
    quantities.forEach((quantity, i) => { row[key.length + i] += quantity; });
    map.set(key.join(), row);
  }

  one(index, kind) {
    return new Promise(done => {
      const [method, path, size = 0, given_up] = kinds[kind];
      const session = this.session(index);
      const request = session.request({':method': method, ':path': path, 'x-number': String(this.next)},
                                                  {endStream: !size});
      let status, received = 0, ended = false;
      request.on('response', headers => { status = headers[':status']; });
      request.on('data', data => {
        received += data.length;
        if (given_up === 'data') request.close(http2.constants.NGHTTP2_CANCEL);
      });
      request.on('end', () => { ended = !request.rstCode && status !== undefined && !given_up; });
      request.on('error', () => {});
      if (given_up === 'soon') setTimeout(() => request.close(http2.constants.NGHTTP2_CANCEL), 20);
      request.on('close', () => {
        if (ended) this.count(this.rows, [method, path, status], 1, size, received);
        else if (given_up || kind === 'reset') this.count(this.aborted, [method, path], 1);
        else if (session.leaving) return done(this.one(index, kind));  // left out by a GOAWAY
        else throw new Error(`${kind}: ${request.rstCode}`);
        done();
      });
      if (size) request.end(Buffer.alloc(size, 'u'));
    });
  }

  async run(requests) {
    let left = requests;
    const worker = async index => {
      while (left-- > 0) await this.one(index, this.mix[this.next++ % this.mix.length]);
    };
    const workers = [];
    for (let index = 0; index < this.connections; ++index) {
      for (let stream = 0; stream < this.streams; ++stream) workers.push(worker(index));
    }
    await Promise.all(workers);
  }

  ledger() { return JSON.stringify({rows: [...this.rows.values()], aborted: [...this.aborted.values()]}); }
}

const exists = async path => {
  while (!fs.existsSync(path)) await new Promise(done => setTimeout(done, 20));
};

async function load(url, requests, connections, streams, ledger, mix, pause, file, busy) {
  const all = new Load(url, Number(requests), Number(connections), Number(streams), mix.split(','));
  if (pause) {
    all.counting = false;
    if (busy) {
      // What the tables of headers keep of these nobody can know later: nothing that is a label.
      all.mix = ['small', 'page', 'missing', 'large'];
      fs.writeFileSync(file + '.busy', '');
      while (!fs.existsSync(file)) await all.run(all.connections * all.streams);
    } else {
      all.mix = ['small'];
      await all.run(all.connections * 2);
    }
    all.mix = mix.split(',');
    fs.writeFileSync(file + '.ready', '');
    await exists(busy ? file + '.go' : file);
    all.counting = true;
  }
  await all.run(all.requests);
  fs.writeFileSync(ledger, all.ledger());
  for (const session of all.sessions) if (session) session.close();
}

const [command, ...rest] = process.argv.slice(2);
({serve, load})[command](...rest);
