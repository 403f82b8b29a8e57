// The first byte selects how the rest is split into segments. Every split gives the same verdict
// and an exact replay. Every accepted hello has the same fields for BoringSSL.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tests/fuzz/fuzz_input.h"
#include "trestle/base/bytes.h"
#include "trestle/wire/client_hello.h"

namespace trestle {
namespace {

constexpr HelloLimits kLimits = {16 * 1024, 1024, {}};

std::string Describe(const ClientHelloReader& reader) {
  std::string text = absl::StrCat(EnumName(reader.state()), " ", reader.error().ToString());
  if (reader.state() != HelloState::kDone) return text;
  const ClientHello& hello = reader.hello();
  absl::StrAppend(&text, " ", hello.server_name, " ", hello.records, " ", hello.alpn.size(), " ",
                  hello.extensions.size(), " ", hello.key_shares.size(), " ",
                  AsText(hello.message));
  return text;
}

// Feeds segments of 1 to `longest` bytes until there is a verdict, and checks the replay.
void FeedCut(ClientHelloReader& reader, ByteView wire, size_t longest) {
  size_t fed = 0;
  for (size_t size = 1; fed < wire.size() && reader.state() == HelloState::kNeedMore; ++size) {
    const ByteView segment = wire.subspan(fed, size * 7 % longest + 1);
    reader.Feed(segment);
    fed += segment.size();
  }
  Require(reader.replay() == wire.subspan(0, fed), "the replay is what was fed");
}

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

void CompareWithServer(const ClientHelloReader& reader, ByteView wire) {
  static SSL_CTX* const ctx = [] {
    SSL_CTX* made = SSL_CTX_new(TLS_method());
    SSL_CTX_set_select_certificate_cb(made, SeeHello);
    return made;
  }();
  ServerView view;
  bssl::UniquePtr<SSL> ssl(SSL_new(ctx));
  SSL_set_app_data(ssl.get(), &view);
  SSL_set_accept_state(ssl.get());
  SSL_set_bio(ssl.get(), BIO_new_mem_buf(wire.data(), static_cast<ossl_ssize_t>(wire.size())),
              BIO_new(BIO_s_mem()));
  SSL_do_handshake(ssl.get());
  ERR_clear_error();
  if (reader.state() == HelloState::kNeedMore) Require(!view.called, "no hello is overlooked");
  if (reader.state() != HelloState::kDone) return;
  Require(view.called, "BoringSSL accepts what we accept");
  Require(AsText(reader.hello().message.subspan(4)) == view.body, "the same hello");
  const std::string theirs = absl::AsciiStrToLower(view.server_name);
  Require(reader.hello().server_name == absl::StripSuffix(theirs, "."), "the same server name");
}

}  // namespace
}  // namespace trestle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const trestle::ByteView wire(data + 1, size - 1);
  trestle::ClientHelloReader whole(trestle::kLimits);
  whole.Feed(wire);
  trestle::Require(whole.replay() == wire, "the replay is what was fed");
  for (size_t longest : {size_t{1}, size_t{data[0]} + 1}) {
    trestle::ClientHelloReader cut(trestle::kLimits);
    trestle::FeedCut(cut, wire, longest);
    trestle::Require(trestle::Describe(cut) == trestle::Describe(whole), "cuts change nothing");
  }
  trestle::CompareWithServer(whole, wire);
  return 0;
}
