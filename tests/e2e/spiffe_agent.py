"""A SPIFFE agent for tests: serves the Workload API on a Unix-domain socket.

    spiffe_agent.py SOCKET

Says "listening", then "call" for each call. Reads one command a line from standard input, and
answers "done" to each:

    say ID CHAIN KEY BUNDLE [DOMAIN=BUNDLE...]   the SVID of open and later calls; files in PEM
    raw HEX                                      any message instead
    empty                                        a message without an SVID
    refuse                                       ends calls with PERMISSION_DENIED
    unavailable                                  ends calls with UNAVAILABLE

Encodes its messages with the protobuf library. Needs python3-grpcio and python3-protobuf.
"""

import base64
import concurrent.futures
import pathlib
import re
import sys
import threading

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_BLOCK = re.compile(r"-----BEGIN [A-Z ]+-----(.*?)-----END", re.DOTALL)
_FIELD = descriptor_pb2.FieldDescriptorProto


def _message_class():
    """Declares X509SVIDResponse as workload.proto of the SPIFFE project has it."""
    file = descriptor_pb2.FileDescriptorProto(name="workload.proto", syntax="proto3")

    def field(message, name, number, kind, label=_FIELD.LABEL_OPTIONAL, type_name=None):
        message.field.add(name=name, number=number, type=kind, label=label, type_name=type_name)

    svid = file.message_type.add(name="X509SVID")
    field(svid, "spiffe_id", 1, _FIELD.TYPE_STRING)
    for number, name in enumerate(("x509_svid", "x509_svid_key", "bundle"), start=2):
        field(svid, name, number, _FIELD.TYPE_BYTES)
    field(svid, "hint", 5, _FIELD.TYPE_STRING)
    response = file.message_type.add(name="X509SVIDResponse")
    field(response, "svids", 1, _FIELD.TYPE_MESSAGE, _FIELD.LABEL_REPEATED, ".X509SVID")
    field(response, "crl", 2, _FIELD.TYPE_BYTES, _FIELD.LABEL_REPEATED)
    entry = response.nested_type.add(name="FederatedBundlesEntry")
    entry.options.map_entry = True
    field(entry, "key", 1, _FIELD.TYPE_STRING)
    field(entry, "value", 2, _FIELD.TYPE_BYTES)
    field(response, "federated_bundles", 3, _FIELD.TYPE_MESSAGE, _FIELD.LABEL_REPEATED,
          ".X509SVIDResponse.FederatedBundlesEntry")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return factory.GetPrototype(pool.FindMessageTypeByName("X509SVIDResponse"))


def _ders(path):
    text = pathlib.Path(path).read_text(encoding="ascii")
    return b"".join(base64.b64decode(block) for block in _BLOCK.findall(text))


class Agent:
    def __init__(self):
        self._response = _message_class()
        self._changed = threading.Condition()
        self._version = 0
        self._message = None
        self._status = None

    def fetch(self, _request, context):
        print("call", flush=True)
        if ("workload.spiffe.io", "true") not in context.invocation_metadata():
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "security header missing")
        seen = 0
        while context.is_active():
            with self._changed:
                self._changed.wait_for(lambda: self._version != seen, timeout=0.2)
                if self._status is not None:
                    context.abort(self._status, "as the test has it")
                if self._version == seen:
                    continue
                seen = self._version
                message = self._message
            yield message

    def set(self, message=None, status=None):
        with self._changed:
            self._message = message
            self._status = status
            self._version += 1
            self._changed.notify_all()

    def obey(self, words):
        if words[0] == "say":
            response = self._response()
            svid = response.svids.add(spiffe_id=words[1], x509_svid=_ders(words[2]),
                                      x509_svid_key=_ders(words[3]), bundle=_ders(words[4]))
            svid.hint = "internal"
            for item in words[5:]:
                domain, path = item.split("=", 1)
                response.federated_bundles[domain] = _ders(path)
            self.set(response.SerializeToString())
        elif words[0] == "raw":
            self.set(bytes.fromhex(words[1]))
        elif words[0] == "empty":
            self.set(self._response().SerializeToString())
        elif words[0] == "refuse":
            self.set(status=grpc.StatusCode.PERMISSION_DENIED)
        elif words[0] == "unavailable":
            self.set(status=grpc.StatusCode.UNAVAILABLE)
        else:
            raise ValueError(words[0])


def main():
    agent = Agent()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=32))
    handler = grpc.unary_stream_rpc_method_handler(agent.fetch)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("SpiffeWorkloadAPI", {"FetchX509SVID": handler}),))
    server.add_insecure_port("unix:" + sys.argv[1])
    server.start()
    print("listening", flush=True)
    for line in sys.stdin:
        agent.obey(line.split())
        print("done", flush=True)


main()
