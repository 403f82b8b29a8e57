#include "tests/e2e/blocking_stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "absl/log/check.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace trestle::e2e {
namespace {

constexpr timeval kIoLimit = {60, 0};

std::string LastTlsError() {
  std::array<char, 256> text;
  ERR_error_string_n(ERR_peek_error(), text.data(), text.size());
  return text.data();
}

void UseCertificate(SSL_CTX* context, const testing::PemPair& certificate) {
  bssl::UniquePtr<BIO> chain(
      BIO_new_mem_buf(certificate.chain.data(), static_cast<int>(certificate.chain.size())));
  bssl::UniquePtr<X509> leaf(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
  CHECK(leaf != nullptr && SSL_CTX_use_certificate(context, leaf.get()) == 1);
  while (bssl::UniquePtr<X509> intermediate{
      PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)}) {
    CHECK_EQ(SSL_CTX_add1_chain_cert(context, intermediate.get()), 1);
  }
  ERR_clear_error();
  bssl::UniquePtr<BIO> key_text(
      BIO_new_mem_buf(certificate.key.data(), static_cast<int>(certificate.key.size())));
  bssl::UniquePtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  CHECK(key != nullptr && SSL_CTX_use_PrivateKey(context, key.get()) == 1);
}

bssl::UniquePtr<SSL_CTX> NewContext(const TlsSettings& settings) {
  bssl::UniquePtr<SSL_CTX> context(SSL_CTX_new(TLS_method()));
  CHECK_EQ(SSL_CTX_set_min_proto_version(context.get(), settings.min_version), 1);
  CHECK_EQ(SSL_CTX_set_max_proto_version(context.get(), settings.max_version), 1);
  if (!settings.groups.empty()) {
    CHECK_EQ(SSL_CTX_set1_group_ids(context.get(), settings.groups.data(), settings.groups.size()),
             1);
  }
  return context;
}

}  // namespace

BlockingStream::BlockingStream(OwnedFd socket) : socket_(std::move(socket)) {
  const int on = 1;
  setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &kIoLimit, sizeof kIoLimit);
  setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &kIoLimit, sizeof kIoLimit);
}

BlockingStream::~BlockingStream() = default;

std::unique_ptr<BlockingStream> BlockingStream::Connect(uint16_t port) {
  OwnedFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(socket.valid());
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return nullptr;
  }
  return std::make_unique<BlockingStream>(std::move(socket));
}

bool BlockingStream::StartClient(const std::string& server_name, const TlsSettings& settings) {
  return Start(false, server_name, settings, nullptr);
}

bool BlockingStream::StartServer(const testing::PemPair& certificate, const TlsSettings& settings) {
  return Start(true, "", settings, &certificate);
}

bool BlockingStream::Start(bool is_server, const std::string& server_name,
                           const TlsSettings& settings, const testing::PemPair* certificate) {
  const bssl::UniquePtr<SSL_CTX> context = NewContext(settings);
  if (certificate != nullptr) UseCertificate(context.get(), *certificate);
  ssl_.reset(SSL_new(context.get()));
  // TLS uses memory BIOs, so that this class decides how writes are split.
  BIO* const received = BIO_new(BIO_s_mem());
  BIO_set_mem_eof_return(received, -1);
  SSL_set_bio(ssl_.get(), received, BIO_new(BIO_s_mem()));
  if (is_server) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
    if (!server_name.empty()) SSL_set_tlsext_host_name(ssl_.get(), server_name.c_str());
    if (settings.key_share != 0) {
      CHECK_EQ(SSL_set1_client_key_shares(ssl_.get(), &settings.key_share, 1), 1);
    }
    const std::string& ech = settings.ech_config_list;
    if (!ech.empty()) {
      CHECK_EQ(SSL_set1_ech_config_list(ssl_.get(), reinterpret_cast<const uint8_t*>(ech.data()),
                                        ech.size()),
               1);
    }
  }
  while (true) {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_.get());
    const bool sent = Flush(settings.handshake_piece_bytes);
    if (result == 1) return sent;
    if (!GoOn(result)) return false;
  }
}

bool BlockingStream::GoOn(int result) {
  const int problem = SSL_get_error(ssl_.get(), result);
  if (problem == SSL_ERROR_WANT_READ) return Receive();
  read_end_ = problem == SSL_ERROR_ZERO_RETURN ? ReadEnd::kClean : ReadEnd::kReset;
  if (problem == SSL_ERROR_SSL) error_ = LastTlsError();
  return false;
}

bool BlockingStream::Receive() {
  std::array<char, 16 * 1024 + 256> buffer;
  const ssize_t bytes = ReceiveRaw(buffer.data(), buffer.size());
  if (bytes > 0) return BIO_write(SSL_get_rbio(ssl_.get()), buffer.data(), bytes) == bytes;
  read_end_ = bytes == 0 ? ReadEnd::kTruncated : ReadEnd::kReset;
  if (bytes < 0) error_ = std::strerror(errno);
  return false;
}

ssize_t BlockingStream::ReceiveRaw(char* buffer, size_t size) {
  ssize_t bytes;
  do {
    bytes = recv(socket_.get(), buffer, size, 0);
  } while (bytes < 0 && errno == EINTR);
  return bytes;
}

bool BlockingStream::Flush(size_t piece_bytes) {
  BIO* const to_send = SSL_get_wbio(ssl_.get());
  const uint8_t* data = nullptr;
  size_t size = 0;
  CHECK_EQ(BIO_mem_contents(to_send, &data, &size), 1);
  absl::string_view left(reinterpret_cast<const char*>(data), size);
  bool sent = true;
  while (sent && !left.empty()) {
    const absl::string_view piece = left.substr(0, piece_bytes == 0 ? left.size() : piece_bytes);
    sent = SendRaw(piece);
    left.remove_prefix(piece.size());
  }
  BIO_reset(to_send);
  return sent;
}

bool BlockingStream::SendRaw(absl::string_view data) {
  while (!data.empty()) {
    const ssize_t bytes = send(socket_.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) return false;
    data.remove_prefix(static_cast<size_t>(bytes));
  }
  return true;
}

bool BlockingStream::Write(absl::string_view data) {
  if (ssl_ == nullptr) return SendRaw(data);
  while (!data.empty()) {
    ERR_clear_error();
    const absl::string_view piece = data.substr(0, 64 * 1024);
    const int bytes = SSL_write(ssl_.get(), piece.data(), static_cast<int>(piece.size()));
    if (!Flush(0)) return false;
    if (bytes <= 0 && !GoOn(bytes)) return false;
    if (bytes > 0) data.remove_prefix(static_cast<size_t>(bytes));
  }
  return true;
}

size_t BlockingStream::Read(char* buffer, size_t size) {
  if (read_end_ != ReadEnd::kOpen) return 0;
  if (ssl_ == nullptr) {
    const ssize_t bytes = ReceiveRaw(buffer, size);
    if (bytes > 0) return static_cast<size_t>(bytes);
    read_end_ = bytes == 0 ? ReadEnd::kClean : ReadEnd::kReset;
    if (bytes < 0) error_ = std::strerror(errno);
    return 0;
  }
  while (true) {
    ERR_clear_error();
    const int bytes = SSL_read(ssl_.get(), buffer, static_cast<int>(size));
    Flush(0);
    if (bytes > 0) return static_cast<size_t>(bytes);
    if (!GoOn(bytes)) return 0;
  }
}

std::string BlockingStream::ReadUntil(absl::string_view text) {
  std::string all;
  std::array<char, 16 * 1024> buffer;
  while (!absl::StrContains(all, text)) {
    const size_t bytes = Read(buffer.data(), buffer.size());
    if (bytes == 0) break;
    all.append(buffer.data(), bytes);
  }
  return all;
}

std::string BlockingStream::ReadToEnd() {
  std::string all;
  std::array<char, 16 * 1024> buffer;
  while (const size_t bytes = Read(buffer.data(), buffer.size())) all.append(buffer.data(), bytes);
  return all;
}

void BlockingStream::ShutdownWrite() {
  if (ssl_ != nullptr) {
    SSL_shutdown(ssl_.get());
    Flush(0);
  }
  shutdown(socket_.get(), SHUT_WR);
}

void BlockingStream::Cut() {
  if (ssl_ != nullptr) {
    shutdown(socket_.get(), SHUT_WR);
    return;
  }
  const linger reset = {1, 0};
  setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

void BlockingStream::Close() {
  absl::MutexLock lock(&close_mutex_);
  socket_.Reset();
}

void BlockingStream::Interrupt() {
  absl::MutexLock lock(&close_mutex_);
  if (socket_.valid()) shutdown(socket_.get(), SHUT_RDWR);
}

std::string BlockingStream::version() const { return SSL_get_version(ssl_.get()); }

std::string BlockingStream::group() const {
  const char* const name = SSL_get_group_name(SSL_get_group_id(ssl_.get()));
  return name == nullptr ? "" : name;
}

std::string BlockingStream::server_name() const {
  const char* const name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? "" : name;
}

std::string BlockingStream::peer_names() const {
  const bssl::UniquePtr<X509> leaf(SSL_get_peer_certificate(ssl_.get()));
  if (leaf == nullptr) return {};
  const bssl::UniquePtr<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(leaf.get(), NID_subject_alt_name, nullptr, nullptr)));
  std::string text;
  for (size_t i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    const ASN1_STRING* const value = name->d.dNSName;
    absl::StrAppend(&text, text.empty() ? "" : ",",
                    absl::string_view(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                                      static_cast<size_t>(ASN1_STRING_length(value))));
  }
  return text;
}

std::string BlockingStream::peer_serial() const {
  const bssl::UniquePtr<X509> leaf(SSL_get_peer_certificate(ssl_.get()));
  if (leaf == nullptr) return {};
  const bssl::UniquePtr<BIGNUM> serial(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf.get()), nullptr));
  const bssl::UniquePtr<char> text(BN_bn2hex(serial.get()));
  return text.get();
}

bool BlockingStream::used_hello_retry_request() const {
  return SSL_used_hello_retry_request(ssl_.get()) == 1;
}

bool BlockingStream::ech_accepted() const { return SSL_ech_accepted(ssl_.get()) == 1; }

std::string BlockingStream::ech_retry_configs() const {
  const uint8_t* configs = nullptr;
  size_t bytes = 0;
  SSL_get0_ech_retry_configs(ssl_.get(), &configs, &bytes);
  return std::string(reinterpret_cast<const char*>(configs), bytes);
}

}  // namespace trestle::e2e
