#include "tests/tls/tls_fixture.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/log/check.h"

namespace trestle::testing {

int AlertOf(const absl::Status& status) {
  std::optional<Error> error = GetError(status);
  return error.has_value() && error->alert.has_value() ? *error->alert : -1;
}

size_t MoveBytes(ByteQueue& from, ByteQueue& to, size_t max_bytes) {
  const size_t bytes = std::min(from.size(), max_bytes);
  to.Append(from.view().subspan(0, bytes));
  from.Consume(bytes);
  return bytes;
}

void EnginePair::Handshake(size_t chunk) {
  while (true) {
    client->Handshake();
    server->Handshake();
    const size_t moved = MoveBytes(client->to_send(), server->received(), chunk) +
                         MoveBytes(server->to_send(), client->received(), chunk);
    if (moved == 0) return;
  }
}

void EnginePair::Carry() {
  MoveBytes(client->to_send(), server->received());
  MoveBytes(server->to_send(), client->received());
}

std::string ReadAll(TlsEngine& engine, IoState* end) {
  std::string text;
  uint8_t buffer[16 * 1024];
  while (true) {
    const IoResult result = engine.Read(MutableByteView(buffer, sizeof(buffer)));
    if (end != nullptr) *end = result.state;
    if (result.state != IoState::kOk) return text;
    text.append(AsText(ByteView(buffer, result.bytes)));
  }
}

void WriteAll(TlsEngine& engine, absl::string_view text) {
  const IoResult result = engine.Write(AsBytes(text));
  EXPECT_EQ(result.state, IoState::kOk) << engine.status();
  EXPECT_EQ(result.bytes, text.size());
}

RawPeer::RawPeer(SSL_CTX* context, bool is_server) : ssl_(SSL_new(context)) {
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  BIO_set_mem_eof_return(in, -1);
  SSL_set_bio(ssl_.get(), in, out);
  if (is_server) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
  }
}

int RawPeer::Handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  return SSL_get_error(ssl_.get(), result);
}

void RawPeer::Handshake(TlsEngine& engine) {
  while (true) {
    Handshake();
    engine.Handshake();
    const std::string out = TakeOutput();
    engine.received().Append(AsBytes(out));
    const size_t back = engine.to_send().size();
    GiveInput(AsText(engine.to_send().view()));
    engine.to_send().Consume(back);
    if (out.empty() && back == 0) return;
  }
}

void RawPeer::Carry(TlsEngine& engine) {
  engine.received().Append(AsBytes(TakeOutput()));
  GiveInput(AsText(engine.to_send().view()));
  engine.to_send().Clear();
}

void RawPeer::Write(absl::string_view text) {
  ERR_clear_error();
  CHECK_EQ(SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())),
           static_cast<int>(text.size()));
}

std::string RawPeer::ReadAll(int* error) {
  std::string text;
  char buffer[4096];
  while (true) {
    ERR_clear_error();
    const int result = SSL_read(ssl_.get(), buffer, sizeof(buffer));
    if (error != nullptr) *error = SSL_get_error(ssl_.get(), result);
    if (result <= 0) return text;
    text.append(buffer, static_cast<size_t>(result));
  }
}

std::string RawPeer::TakeOutput() {
  BIO* out = SSL_get_wbio(ssl_.get());
  std::string bytes(BIO_ctrl_pending(out), '\0');
  if (!bytes.empty()) CHECK_GT(BIO_read(out, &bytes[0], static_cast<int>(bytes.size())), 0);
  return bytes;
}

void RawPeer::GiveInput(absl::string_view bytes) {
  if (bytes.empty()) return;
  CHECK_GT(BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size())), 0);
}

bssl::UniquePtr<SSL_CTX> MakeRawContext() {
  bssl::UniquePtr<SSL_CTX> context(SSL_CTX_new(TLS_method()));
  CHECK(context != nullptr);
  return context;
}

void UsePem(SSL_CTX* context, const PemPair& pair) {
  bssl::UniquePtr<BIO> chain(BIO_new_mem_buf(pair.chain.data(), -1));
  bssl::UniquePtr<BIO> key_text(BIO_new_mem_buf(pair.key.data(), -1));
  bssl::UniquePtr<X509> leaf(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
  bssl::UniquePtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  CHECK(SSL_CTX_use_certificate(context, leaf.get()));
  CHECK(SSL_CTX_use_PrivateKey(context, key.get()));
  while (bssl::UniquePtr<X509> next{PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)}) {
    CHECK(SSL_CTX_add1_chain_cert(context, next.get()));
  }
  ERR_clear_error();
}

std::shared_ptr<CertificateStore> TlsTest::MakeStore(const std::vector<LeafSpec>& leaves) {
  std::vector<std::shared_ptr<const Credential>> credentials;
  for (const LeafSpec& leaf : leaves) credentials.push_back(pki_.IssueCredential(leaf));
  auto store = CertificateStore::Create(std::move(credentials), loop_.Now());
  CHECK_OK(store.status());
  return *std::move(store);
}

std::shared_ptr<const ServerTlsConfig> TlsTest::MakeServerConfig(ServerTlsOptions options) {
  if (options.certificates == nullptr) {
    options.certificates = MakeStore({LeafFor("a.test")});
  }
  auto config = ServerTlsConfig::Create(std::move(options));
  CHECK_OK(config.status());
  return *std::move(config);
}

std::shared_ptr<const ClientTlsConfig> TlsTest::MakeClientConfig(ClientTlsOptions options) {
  if (options.ca_pem.empty()) options.ca_pem = pki_.ca_pem();
  auto config = ClientTlsConfig::Create(std::move(options));
  CHECK_OK(config.status());
  return *std::move(config);
}

std::unique_ptr<TlsEngine> TlsTest::MakeServer(ServerTlsOptions options) {
  return TlsEngine::NewServer(MakeServerConfig(std::move(options)), loop_, Leg::kFront);
}

std::unique_ptr<TlsEngine> TlsTest::MakeClient(ClientTlsOptions options, ClientTlsTarget target) {
  auto client =
      TlsEngine::NewClient(MakeClientConfig(std::move(options)), target, loop_, Leg::kBack);
  CHECK_OK(client.status());
  return *std::move(client);
}

EnginePair TlsTest::MakePair(ServerTlsOptions server, ClientTlsOptions client,
                             ClientTlsTarget target) {
  return {MakeClient(std::move(client), std::move(target)), MakeServer(std::move(server))};
}

EnginePair TlsTest::MakeJoinedPair(TlsVersion version) {
  ServerTlsOptions server;
  server.parameters = Only(version);
  EnginePair pair = MakePair(std::move(server));
  pair.Handshake();
  EXPECT_TRUE(pair.client->handshake_done()) << pair.client->status();
  EXPECT_TRUE(pair.server->handshake_done()) << pair.server->status();
  pair.server->QueueTickets();
  pair.Carry();
  EXPECT_EQ(ReadAll(*pair.client), "");
  return pair;
}

TlsParameters TlsTest::Only(TlsVersion version) {
  TlsParameters parameters;
  parameters.min_version = parameters.max_version = version;
  return parameters;
}

}  // namespace trestle::testing
