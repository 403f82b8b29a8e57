// Reads the bodies of a corpus as busboy, formidable or multiparty; see python_parsers.py.
// Data found before an error counts, because an application may have used it already.
const fs = require('fs');
const {Module} = require('module');
const {Readable, Writable} = require('stream');
// The path of Debian's packages, for other builds of Node.js.
process.env.NODE_PATH = '/usr/share/nodejs';
Module._initPaths();
const parser = require(process.argv[2]);

function flatten(value, found) {
  if (value !== null && typeof value === 'object') {
    for (const [key, inner] of Object.entries(value)) {
      if (!Array.isArray(value)) found.push(key);
      flatten(inner, found);
    }
  } else {
    found.push(String(value));
  }
}

function requestOf(headers, body) {
  const request = Readable.from([body]);
  request.headers = headers;
  request.method = 'POST';
  request.url = '/';
  return request;
}

// Streams that hang on malformed bodies are complete once they have read the whole body.
function settled(start) {
  return new Promise((resolve) => {
    const done = () => resolve();
    try {
      start(done);
    } catch (error) {
      done();
    }
    setImmediate(() => setImmediate(() => setImmediate(() => setTimeout(done, 2))));
  });
}

const readers = {
  busboy(headers, body, found) {
    return settled((done) => {
      const stream = parser({headers});
      stream.on('field', (name, value) => found.push(name, value));
      stream.on('file', (name, file, info) => {
        found.push(String(name), String(info.filename));
        file.resume();
        file.on('error', () => {});
      });
      stream.on('error', done);
      stream.on('close', done);
      stream.end(body);
    });
  },
  formidable(headers, body, found) {
    return settled((done) => {
      const form = new parser.IncomingForm({
        fileWriteStreamHandler: () => new Writable({write: (chunk, encoding, next) => next()}),
      });
      form.on('field', (name, value) => (found.push(name), flatten(value, found)));
      form.on('fileBegin', (name, file) => found.push(String(name), String(file.originalFilename)));
      form.on('error', done);
      form.parse(requestOf(headers, body), done);
    });
  },
  multiparty(headers, body, found) {
    return settled((done) => {
      const form = new parser.Form();
      form.on('field', (name, value) => found.push(String(name), String(value)));
      form.on('part', (part) => {
        found.push(String(part.name), String(part.filename));
        part.on('error', () => {});
        part.resume();
      });
      form.on('error', done);
      form.on('close', done);
      form.parse(requestOf(headers, body));
    });
  },
};

async function main() {
  // Some parsers throw from their own callbacks.
  process.on('uncaughtException', () => {});
  const read = readers[process.argv[2]];
  const corpus = fs.readFileSync(process.argv[3]);
  const lines = [];
  for (let at = 0; at < corpus.length;) {
    const type = corpus.readUInt32BE(at);
    const length = corpus.readUInt32BE(at + 4);
    const headers = {'content-length': String(length)};
    if (type > 0) headers['content-type'] = corpus.toString('latin1', at + 8, at + 8 + type);
    const body = corpus.subarray(at + 8 + type, at + 8 + type + length);
    at += 8 + type + length;
    const found = [];
    await read(headers, body, found);
    if ((headers['content-type'] || '').includes('json')) {
      try {
        flatten(JSON.parse(body.toString('utf8')), found);
      } catch (error) {
        // The application responds with an error.
      }
    }
    lines.push(Buffer.from(found.join('\0'), 'utf8').toString('hex') || '-');
  }
  process.stdout.write(lines.join('\n') + '\n', () => process.exit(0));
}

main();
