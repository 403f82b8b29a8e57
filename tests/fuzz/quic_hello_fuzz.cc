// The first byte selects the meaning of the rest: datagrams, or the frames of packets, which this
// target encrypts so that mutations stay decryptable. Each has a length of two bytes. Every
// accepted hello has the same fields for BoringSSL, and the datagrams are kept unchanged.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_input.h"
#include "trestle/base/bytes.h"
#include "trestle/testing/quic_hello_kit.h"
#include "trestle/tls/quic_hello_reader.h"

namespace trestle {
namespace {

std::vector<std::string> Parts(ByteView input) {
  std::vector<std::string> parts;
  while (input.size() >= 2) {
    const size_t size = std::min<size_t>(input[0] << 8 | input[1], input.size() - 2);
    parts.emplace_back(AsText(input.subspan(2, size)));
    input.remove_prefix(2 + size);
  }
  return parts;
}

// Puts the frames of each part into a separate datagram.
std::vector<std::string> Encrypted(const std::vector<std::string>& parts, uint8_t mode) {
  testing::QuicInitialHeader header;
  header.version = (mode & 2) != 0 ? kQuicV2 : kQuicV1;
  std::vector<std::string> datagrams;
  for (const std::string& frames : parts) {
    datagrams.push_back(testing::QuicInitialDatagram(header, frames));
    ++header.packet_number;
  }
  return datagrams;
}

void CompareWithBoringSsl(const ClientHello& hello) {
  static SSL* const ssl = [] {
    SSL_CTX* ctx = SSL_CTX_new(TLS_method());
    return SSL_new(ctx);
  }();
  SSL_CLIENT_HELLO theirs;
  const ByteView body = hello.message.subspan(4);
  const int parsed = SSL_parse_client_hello(ssl, &theirs, body.data(), body.size());
  ERR_clear_error();
  Require(parsed == 1, "BoringSSL accepts what we accept");
  Require(ByteView(theirs.random, theirs.random_len) == hello.random, "the same random");
  for (const HelloExtension& extension : hello.extensions) {
    const uint8_t* data;
    size_t size;
    Require(SSL_early_callback_ctx_extension_get(&theirs, extension.type, &data, &size) == 1 &&
                ByteView(data, size) == extension.body,
            "the same extensions");
  }
}

// Reads the datagrams. Returns the message of a complete hello, else nothing.
std::string Read(const std::vector<std::string>& datagrams) {
  QuicHelloReader reader;
  const MonotonicTime now = MonotonicTime::FromStart({});
  for (const std::string& datagram : datagrams) {
    const size_t kept = reader.datagrams();
    const bool open = reader.state() == QuicHelloState::kNeedMore;
    reader.Feed(AsBytes(datagram), now);
    if (reader.datagrams() == kept) {
      Require(!open || reader.state() == QuicHelloState::kRefused, "datagrams are kept");
    } else {
      Require(AsText(reader.datagram(kept)) == datagram, "datagrams are kept as they came");
    }
  }
  const bool fine =
      reader.state() == QuicHelloState::kNeedMore || reader.state() == QuicHelloState::kDone;
  Require(reader.error().ok() == fine, "what is refused has an error");
  if (reader.state() != QuicHelloState::kDone) return std::string();
  CompareWithBoringSsl(reader.hello());
  return std::string(AsText(reader.hello().message));
}

}  // namespace
}  // namespace trestle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::vector<std::string> datagrams = trestle::Parts(trestle::ByteView(data + 1, size - 1));
  if ((data[0] & 1) != 0) datagrams = trestle::Encrypted(datagrams, data[0]);
  const std::string message = trestle::Read(datagrams);
  // The result for a hello in one datagram doesn't depend on the flow's other datagrams.
  for (const std::string& datagram : datagrams) {
    const std::string alone = trestle::Read({datagram});
    if (&datagram == &datagrams[0] && !alone.empty()) {
      trestle::Require(alone == message, "a whole hello in the first datagram counts");
    }
  }
  return 0;
}
