// SPDX-License-Identifier: Apache-2.0
// The server and the client of tls_peers.py by Node's https.
//
// usage: tls_peers.js serve PORT CERTIFICATE
//        tls_peers.js load PORT REQUESTS CONNECTIONS LEDGER [--bodies] [--close]
'use strict';
const fs = require('fs');
const https = require('https');

const sizes = {'/small': 30, '/page': 30000, '/large': 700000};

function serve(port, certificate) {
  const pem = fs.readFileSync(certificate);
  const server = https.createServer({key: pem, cert: pem}, (request, response) => {
    request.resume().on('end', () => {
      const path = request.url.split('?')[0];
      const body = Buffer.alloc(sizes[path] || 0, 'b');
      response.writeHead(path in sizes ? 200 : 404, {'Content-Length': body.length});
      response.end(body);
    });
  });
  server.keepAliveTimeout = 600000;
  server.listen(port, '127.0.0.1');
}

function request(index, bodies) {
  if (bodies && index % 5 === 4) return ['POST', '/small', index % 10 === 4 ? 100 : 100000];
  return ['GET', index % 50 === 49 ? '/large' : index % 4 === 3 ? '/page' : '/small', 0];
}

function load(port, requests, connections, ledger, ...flags) {
  const agent = new https.Agent({keepAlive: !flags.includes('--close'), maxSockets: Number(connections)});
  const rows = new Map();
  let next = 0, open = 0;
  const one = () => {
    if (next >= Number(requests)) {
      if (open === 0) {
        fs.writeFileSync(ledger, JSON.stringify([...rows.values()]));
        agent.destroy();
      }
      return;
    }
    const [method, path, size] = request(next++, flags.includes('--bodies'));
    open += 1;
    const headers = size ? {'Content-Length': size} : {};
    https.request({port, host: '127.0.0.1', path, method, agent, headers, rejectUnauthorized: false}, response => {
      let received = 0;
      response.on('data', data => { received += data.length; });
      response.on('end', () => {
        const key = [method, path, response.statusCode].join();
        const row = rows.get(key) || [method, path, response.statusCode, 0, 0, 0];
        row[3] += 1;
        row[4] += size;
        row[5] += received;
        rows.set(key, row);
        open -= 1;
        one();
      });
    }).end(Buffer.alloc(size, 'u'));
  };
  for (let i = 0; i < Number(connections); ++i) one();
}

const [command, ...rest] = process.argv.slice(2);
({serve, load})[command](...rest);
