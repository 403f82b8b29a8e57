// Compares the reader with BoringSSL, on valid and on mutated hellos. BoringSSL accepts every hello
// that the reader accepts, and reads the same fields. The reader may be stricter.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"
#include "trestle/base/bytes.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/wire/client_hello.h"

namespace trestle {
namespace {

using testing::AllKitHellos;
using testing::HelloBuilder;
using testing::InRecords;
using testing::KitHello;

constexpr uint64_t kSeed = 20260526;

// BoringSSL's result for a hello: whether the early callback runs, and the name known by then.
struct ServerView {
  bool called = false;
  std::string body;
  std::string server_name;
};

ssl_select_cert_result_t SeeHello(const SSL_CLIENT_HELLO* hello) {
  auto* view = static_cast<ServerView*>(SSL_get_app_data(hello->ssl));
  view->called = true;
  view->body = std::string(AsText(ByteView(hello->client_hello, hello->client_hello_len)));
  const char* name = SSL_get_servername(hello->ssl, TLSEXT_NAMETYPE_host_name);
  if (name != nullptr) view->server_name = name;
  return ssl_select_cert_error;
}

class DifferentialTest : public ::testing::Test {
 protected:
  DifferentialTest() : ctx_(SSL_CTX_new(TLS_method())), random_(kSeed) {
    SSL_CTX_set_select_certificate_cb(ctx_.get(), SeeHello);
    ssl_.reset(SSL_new(ctx_.get()));
  }

  // Runs a server over `wire` up to its early callback.
  ServerView ServerSees(absl::string_view wire) {
    ServerView view;
    bssl::UniquePtr<SSL> ssl(SSL_new(ctx_.get()));
    SSL_set_app_data(ssl.get(), &view);
    SSL_set_accept_state(ssl.get());
    SSL_set_bio(ssl.get(), BIO_new_mem_buf(wire.data(), static_cast<ossl_ssize_t>(wire.size())),
                BIO_new(BIO_s_mem()));
    SSL_do_handshake(ssl.get());
    ERR_clear_error();
    return view;
  }

  // Compares one message with SSL_parse_client_hello. Returns whether we accept it.
  bool CompareMessage(absl::string_view message);
  // Compares one byte stream with a server. Returns whether we accept it.
  bool CompareStream(absl::string_view wire);

  size_t Random(size_t bound) { return random_() % bound; }
  std::string MutateBytes(std::string bytes);
  std::string MutateMessage(const KitHello& kit);
  std::string MutateExtension(const KitHello& kit);

  bssl::UniquePtr<SSL_CTX> ctx_;
  bssl::UniquePtr<SSL> ssl_;
  std::mt19937_64 random_;
};

std::string Text(const uint8_t* data, size_t size) {
  return std::string(AsText(ByteView(data, size)));
}

void ExpectSameFields(const ClientHello& ours, const SSL_CLIENT_HELLO& theirs) {
  ASSERT_EQ(ours.legacy_version, theirs.version);
  ASSERT_EQ(AsText(ours.random), Text(theirs.random, theirs.random_len));
  ASSERT_EQ(AsText(ours.session_id), Text(theirs.session_id, theirs.session_id_len));
  ASSERT_EQ(AsText(ours.cipher_suites.bytes()),
            Text(theirs.cipher_suites, theirs.cipher_suites_len));
  ASSERT_EQ(AsText(ours.compression_methods),
            Text(theirs.compression_methods, theirs.compression_methods_len));
  size_t extension_bytes = 0;
  for (const HelloExtension& extension : ours.extensions) {
    const uint8_t* body;
    size_t size;
    ASSERT_EQ(SSL_early_callback_ctx_extension_get(&theirs, extension.type, &body, &size), 1);
    ASSERT_EQ(extension.body.data(), body);
    ASSERT_EQ(extension.body.size(), size);
    extension_bytes += 4 + size;
  }
  ASSERT_EQ(extension_bytes, theirs.extensions_len);
}

bool DifferentialTest::CompareMessage(absl::string_view message) {
  ClientHello ours;
  const bool accepted = ParseClientHello(AsBytes(message), {}, ours).ok();
  SSL_CLIENT_HELLO theirs;
  const absl::string_view body = message.substr(std::min<size_t>(4, message.size()));
  const int parsed = SSL_parse_client_hello(ssl_.get(), &theirs, AsBytes(body).data(), body.size());
  ERR_clear_error();
  if (!accepted) return false;
  EXPECT_EQ(parsed, 1);
  if (parsed == 1) ExpectSameFields(ours, theirs);
  return true;
}

bool DifferentialTest::CompareStream(absl::string_view wire) {
  ClientHelloReader reader(HelloLimits{16 * 1024, 1 << 20, {}});
  const HelloState state = reader.Feed(AsBytes(wire));
  const ServerView theirs = ServerSees(wire);
  EXPECT_FALSE(theirs.called && state == HelloState::kNeedMore);
  if (state != HelloState::kDone) return false;
  const ClientHello& ours = reader.hello();
  EXPECT_TRUE(theirs.called);
  EXPECT_EQ(AsText(ours.message.subspan(4)), theirs.body);
  EXPECT_EQ(ours.server_name, absl::StripSuffix(absl::AsciiStrToLower(theirs.server_name), "."));
  return true;
}

// Changes, removes or repeats a few bytes anywhere.
std::string DifferentialTest::MutateBytes(std::string bytes) {
  static constexpr unsigned char kEdges[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x16, 0x03, 0x0a};
  for (size_t count = 1 + Random(3); count > 0 && !bytes.empty(); --count) {
    // Small offsets and the fields after the random contain the lengths.
    const size_t at =
        Random(3) == 0 ? Random(std::min<size_t>(bytes.size(), 100)) : Random(bytes.size());
    switch (Random(6)) {
      case 0:
        bytes[at] = static_cast<char>(kEdges[Random(sizeof(kEdges))]);
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << Random(8)));
        break;
      case 2:
        bytes[at] = static_cast<char>(bytes[at] + (Random(2) == 0 ? 1 : -1));
        break;
      case 3:
        bytes.erase(at, 1 + Random(8));
        break;
      case 4:
        bytes.insert(at, bytes.substr(Random(bytes.size()), 1 + Random(40)));
        break;
      default:
        bytes.resize(at);
        break;
    }
  }
  return bytes;
}

std::string WithLength(std::string message) {
  if (message.size() < 4) return message;
  const size_t size = message.size() - 4;
  message[1] = static_cast<char>(size >> 16);
  message[2] = static_cast<char>(size >> 8);
  message[3] = static_cast<char>(size);
  return message;
}

std::string DifferentialTest::MutateMessage(const KitHello& kit) {
  std::string message = MutateBytes(kit.message);
  return Random(4) == 0 ? message : WithLength(std::move(message));
}

// Rebuilds a hello with one extension mutated, repeated, removed or moved, and with correct
// lengths.
std::string DifferentialTest::MutateExtension(const KitHello& kit) {
  ClientHello hello;
  EXPECT_TRUE(ParseClientHello(AsBytes(kit.message), {}, hello).ok());
  HelloBuilder builder;
  const size_t chosen = hello.extensions.empty() ? 0 : Random(hello.extensions.size());
  for (size_t i = 0; i < hello.extensions.size(); ++i) {
    const HelloExtension& extension = hello.extensions[i];
    const std::string body(AsText(extension.body));
    const size_t kind = i == chosen ? 1 + Random(5) : 0;
    if (kind == 5) continue;
    uint16_t type = extension.type;
    if (kind == 4) type = static_cast<uint16_t>(Random(2) == 0 ? Random(64) : Random(65536));
    builder.Add(type, kind == 1 || kind == 2 ? MutateBytes(body) : body);
    if (kind == 3 && Random(2) == 0) builder.Add(extension.type, body);
    if (kind == 3) builder.MoveToEnd(extension.type);
  }
  return builder.Message();
}

TEST_F(DifferentialTest, TheKitsHellosAreReadAlike) {
  for (const KitHello& kit : AllKitHellos("a.test")) {
    SCOPED_TRACE(kit.name);
    EXPECT_TRUE(CompareMessage(kit.message));
    EXPECT_TRUE(CompareStream(InRecords(kit.message)));
    EXPECT_TRUE(CompareStream(InRecords(kit.message, {1, 2, 3, kit.message.size() / 2})));
  }
}

TEST_F(DifferentialTest, MutatedMessagesAreReadAlike) {
  const std::vector<KitHello> kits = AllKitHellos("a.test");
  size_t accepted = 0;
  constexpr size_t kRounds = 100000;
  for (size_t i = 0; i < kRounds && !HasFailure(); ++i) {
    const KitHello& kit = kits[Random(kits.size())];
    const std::string message = Random(2) == 0 ? MutateMessage(kit) : MutateExtension(kit);
    SCOPED_TRACE(absl::StrCat(kit.name, " round ", i));
    accepted += CompareMessage(message) ? 1 : 0;
  }
  std::cout << kRounds << " mutated messages, " << accepted << " accepted\n";
  // Mutations that invalidate every hello would test nothing.
  EXPECT_GT(accepted, kRounds / 10);
  EXPECT_LT(accepted, kRounds * 9 / 10);
}

TEST_F(DifferentialTest, MutatedStreamsAreReadAlike) {
  const std::vector<KitHello> kits = AllKitHellos("a.test");
  size_t accepted = 0;
  constexpr size_t kRounds = 50000;
  for (size_t i = 0; i < kRounds && !HasFailure(); ++i) {
    const KitHello& kit = kits[Random(kits.size())];
    std::string message = kit.message;
    if (Random(3) == 0) message = Random(2) == 0 ? MutateMessage(kit) : MutateExtension(kit);
    std::vector<size_t> cuts;
    if (!message.empty()) {
      for (size_t count = Random(4); count > 0; --count) cuts.push_back(Random(message.size()));
    }
    std::sort(cuts.begin(), cuts.end());
    std::string wire = InRecords(message, cuts);
    if (Random(2) == 0) wire = MutateBytes(std::move(wire));
    SCOPED_TRACE(absl::StrCat(kit.name, " round ", i));
    accepted += CompareStream(wire) ? 1 : 0;
  }
  std::cout << kRounds << " mutated streams, " << accepted << " accepted\n";
  EXPECT_GT(accepted, kRounds / 10);
  EXPECT_LT(accepted, kRounds * 9 / 10);
}

}  // namespace
}  // namespace trestle
