// SPDX-License-Identifier: Apache-2.0
// A Node HTTP server with some of api's routes. It counts what it did and tells at /truth, which it does not count.
//
// usage: node web.js PORT
'use strict';
const http = require('http');

const counts = new Map();

function count(method, route, status, received, sent) {
  const key = JSON.stringify([method, route, status]);
  const entry = counts.get(key) || {method, route, status, count: 0, request_bytes: 0, response_bytes: 0};
  entry.count += 1;
  entry.request_bytes += received;
  entry.response_bytes += sent;
  counts.set(key, entry);
}

// answer(request, route, status, text): a Content-Length unless chunks are given.
function answer(context, route, status, text, chunks) {
  const {request, response, received} = context;
  const empty = request.method === 'HEAD' || status === 204 || status === 304;
  const sent = (chunks || [text]).reduce((sum, part) => sum + part.length, 0);
  count(request.method, route, status, received, empty ? 0 : sent);
  response.statusCode = status;
  if (!chunks && status !== 204 && status !== 304) response.setHeader('Content-Length', text.length);
  if (chunks && !empty) for (const chunk of chunks) response.write(chunk);
  response.end(chunks || empty ? undefined : text);
}

function route(context) {
  const {request, received} = context;
  const url = new URL(request.url, 'http://localhost');
  const number = (name) => Number(url.searchParams.get(name) || 0);
  switch (url.pathname) {
    case '/truth':
      return context.response.end(JSON.stringify(
          {service: process.env.OTEL_SERVICE_NAME || '', requests: [...counts.values()]}));
    case '/health':
      return answer(context, '/health', 200, 'ok\n');
    case '/api/v1/search':
      return answer(context, url.pathname, url.searchParams.has('q') ? 200 : 400, 'searched\n');
    case '/api/v1/blob':
      return answer(context, url.pathname, 200, Buffer.alloc(number('size'), 'x'));
    case '/api/v1/stream':
      return answer(context, url.pathname, 200, '', Array(number('chunks')).fill(Buffer.alloc(number('size'), 'x')));
    case '/api/v1/tracks':
      return answer(context, url.pathname, 201, `{"bytes":${received}}\n`);
    case '/slow':
      return setTimeout(() => answer(context, url.pathname, 200, 'slow\n'), number('ms'));
  }
  const status = /^\/status\/(\d{3})$/.exec(url.pathname);
  if (status) return answer(context, '/status/{code}', Number(status[1]), 'status\n');
  return answer(context, '/', 404, 'not found\n');
}

const server = http.createServer((request, response) => {
  let received = 0;
  request.on('data', (data) => { received += data.length; });
  request.on('end', () => route({request, response, received}));
});
server.keepAliveTimeout = 0;
server.listen(Number(process.argv[2]), '127.0.0.1');
