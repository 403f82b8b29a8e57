"""DNS over HTTPS (RFC 8484) on 127.0.0.1: doh_server.py PORT CERT KEY ZONE, where each line of ZONE
is "OWNER TTL IN TYPE DATA". It reads ZONE for each question, and writes one to standard output:
"OWNER TYPE found" or "… missing"."""

import base64
import http.server
import ssl
import sys
import urllib.parse

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset


def data_of(owner, kind):
    with open(sys.argv[4]) as zone:
        entries = [line.split(None, 4) for line in zone if line.strip() and line[0] != ";"]
    return [data.strip() for name, _, _, type_, data in entries if (name, type_) == (owner, kind)]


class Resolver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, wire):
        query = dns.message.from_wire(wire)
        question = query.question[0]
        owner, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
        data = data_of(owner, kind)
        print(owner, kind, "found" if data else "missing", flush=True)
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        if data:
            reply.answer.append(dns.rrset.from_text(question.name, 300, "IN", kind, *data))
        body = reply.to_wire()
        self.send_response(200)
        self.send_header("Content-Type", "application/dns-message")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        text = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)["dns"][0]
        self.answer(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Resolver)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
