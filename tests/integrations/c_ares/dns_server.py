"""A DNS server for UDP and TCP on 127.0.0.1: dns_server.py PORT ZONE. It reads ZONE, which is JSON,
for each question, and writes "OWNER TYPE udp" or "… tcp" to standard output. An entry of ZONE:

    "api.test.": {"A": ["192.0.2.1"], "ttl": 1, "faults": {"A": ["delay 0.5"], "any": ["truncate"]}}

Faults: "delay SECONDS", "truncate" (of UDP), "silence", "servfail", "refuse", "garbage",
"wrong_id", "wrong_name". An owner without an entry doesn't exist; one without the type has no data.
"""

import json
import socket
import struct
import sys
import threading
import time

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset


def reply_to(wire, transport):
    query = dns.message.from_wire(wire)
    question = query.question[0]
    owner, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
    print(owner, kind, transport, flush=True)
    with open(sys.argv[2]) as zone:
        entry = json.load(zone).get(owner)
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.RA
    if entry is None:
        reply.set_rcode(dns.rcode.NXDOMAIN)
        entry = {}
    faults = entry.get("faults", {})
    faults = faults.get(kind, []) + faults.get("any", [])
    ttl = entry.get("ttl", 60)
    if "CNAME" in entry:
        reply.answer.append(dns.rrset.from_text(question.name, ttl, "IN", "CNAME", entry["CNAME"]))
    elif kind in entry:
        reply.answer.append(dns.rrset.from_text(question.name, ttl, "IN", kind, *entry[kind]))
    for fault in faults:
        word = fault.split()
        if word[0] == "delay":
            time.sleep(float(word[1]))
        elif word[0] == "silence":
            return None
        elif word[0] == "servfail":
            reply.answer.clear()
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif word[0] == "refuse":
            reply.answer.clear()
            reply.set_rcode(dns.rcode.REFUSED)
        elif word[0] == "truncate" and transport == "udp":
            reply.answer.clear()
            reply.flags |= dns.flags.TC
        elif word[0] == "garbage":
            return reply.to_wire()[:13] + b"\xff" * 40
        elif word[0] == "wrong_id":
            reply.id ^= 1
        elif word[0] == "wrong_name":
            reply.question[0].name = dns.name.from_text("other.test.")
    return reply.to_wire()


def serve_udp(udp):
    def answer(wire, client):
        out = reply_to(wire, "udp")
        if out is not None:
            udp.sendto(out, client)

    while True:
        wire, client = udp.recvfrom(65535)
        threading.Thread(target=answer, args=(wire, client), daemon=True).start()


def serve_stream(stream):
    def read(size):
        data = b""
        while len(data) < size:
            more = stream.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    try:
        while True:
            (size,) = struct.unpack("!H", read(2))
            out = reply_to(read(size), "tcp")
            if out is not None:
                # In two pieces, as a network may deliver it.
                stream.sendall(struct.pack("!H", len(out)) + out[:5])
                time.sleep(0.01)
                stream.sendall(out[5:])
    except (EOFError, ConnectionError):
        pass


udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
tcp.bind(("127.0.0.1", int(sys.argv[1])))
udp.bind(tcp.getsockname())
tcp.listen(16)
print("listening on", tcp.getsockname()[1], flush=True)
threading.Thread(target=serve_udp, args=(udp,), daemon=True).start()
while True:
    connection, _ = tcp.accept()
    threading.Thread(target=serve_stream, args=(connection,), daemon=True).start()
