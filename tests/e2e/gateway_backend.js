// A backend for http_proxy_test: HTTP/1.1 and HTTP/2, in clear text and over TLS.
// Arguments: certificate, key. Prints "ready HTTP1 H2C TLS" with its ports.
const http = require('http'), http2 = require('http2'), fs = require('fs'), crypto = require('crypto');

function bytes(response, size) {
  const block = Buffer.alloc(65536, 'a');
  let left = size;
  (function more() {
    while (left > 0) {
      const piece = Math.min(left, block.length);
      left -= piece;
      if (!response.write(block.subarray(0, piece))) return void response.once('drain', more);
    }
    response.end();
  })();
}

function serve(name) {
  return (request, response) => {
    const path = request.url.replace(/^\/(api|h2c)/, '');
    if (path.startsWith('/bytes/')) return bytes(response, +path.slice(7));
    if (path === '/never') return;
    if (path === '/fields') return response.end(JSON.stringify(request.headers));
    if (path === '/hints') {
      response.writeEarlyHints({link: '</a>; rel=preload'});
      return response.end('hinted');
    }
    if (path === '/trailers') {
      response.writeHead(200, {trailer: 'x-sum'});
      response.write('body');
      response.addTrailers({'x-sum': 'abc'});
      return response.end();
    }
    if (path === '/leak') {
      response.writeHead(200, {'content-type': 'text/html'});
      return response.end('<p>You have an error in your SQL syntax; check the manual that corresponds ' +
                          'to your MySQL server version for the right syntax to use</p>');
    }
    if (path === '/echo') {
      response.writeHead(200);
      return request.pipe(response);
    }
    const sum = crypto.createHash('sha256');
    request.on('data', piece => sum.update(piece));
    request.on('end', () => response.end(`${name} ${request.method} ${sum.digest('hex')}`));
  };
}

function upgrade(request, socket) {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
  socket.pipe(socket);
}

const tls = {cert: fs.readFileSync(process.argv[2]), key: fs.readFileSync(process.argv[3])};
const servers = [
  http.createServer(serve('http1')), http2.createServer(serve('h2c')),
  http2.createSecureServer({...tls, allowHTTP1: true}, serve('tls'))];
servers[0].on('upgrade', upgrade);
let listening = 0;
for (const server of servers) {
  server.listen(0, '127.0.0.1', () => {
    if (++listening < servers.length) return;
    console.log('ready ' + servers.map(s => s.address().port).join(' ') + '.');
  });
}
