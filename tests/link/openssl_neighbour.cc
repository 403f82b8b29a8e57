// One process with two TLS libraries. Trestle (BoringSSL) serves HTTPS on loopback, and libcurl
// requests it with the system's OpenSSL. Prints the body and the name of libcurl's TLS library.
// symbols_test runs it.
#include <curl/curl.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/testing/test_pki.h"

namespace trestle {
namespace {

constexpr absl::string_view kAnswer =
    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nserved";

// A connection of the clear-text backend. Answers the first bytes with kAnswer.
class Backend final : public TransportHandler {
 public:
  explicit Backend(std::unique_ptr<Transport> client) : client_(std::move(client)) {
    client_->SetHandler(this);
    OnReadable();
  }

  void OnReadable() override {
    uint8_t request[4096];
    while (client_->Read(absl::MakeSpan(request)).bytes > 0) {
      if (!answered_) client_->Write(AsBytes(kAnswer));
      answered_ = true;
    }
  }

  void OnWritable() override {}

 private:
  std::unique_ptr<Transport> client_;
  bool answered_ = false;
};

size_t AppendBody(char* data, size_t size, size_t count, void* body) {
  static_cast<std::string*>(body)->append(data, size * count);
  return size * count;
}

// Returns the body, or libcurl's error.
std::string Fetch(const Endpoint& server, const std::string& ca_pem) {
  CURL* curl = curl_easy_init();
  std::string body;
  const std::string url = absl::StrCat("https://app.test:", server.port(), "/");
  curl_slist* address =
      curl_slist_append(nullptr, absl::StrCat("app.test:", server.port(), ":127.0.0.1").c_str());
  curl_blob ca = {const_cast<char*>(ca_pem.data()), ca_pem.size(), CURL_BLOB_COPY};
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_RESOLVE, address);
  curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &ca);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &AppendBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
  const CURLcode result = curl_easy_perform(curl);
  curl_easy_cleanup(curl);
  curl_slist_free_all(address);
  return result == CURLE_OK ? body : curl_easy_strerror(result);
}

int Main() {
  auto loop = *EpollLoop::Create();
  TcpDialer dialer(*loop);
  testing::TestPki pki(loop->Now());
  testing::LeafSpec leaf;
  leaf.dns_names = {"app.test"};

  std::vector<std::unique_ptr<Backend>> backends;
  auto backend = *TcpListener::Create(*loop, *Endpoint::Parse("127.0.0.1:0"), [&](auto client) {
    backends.push_back(std::make_unique<Backend>(std::move(client)));
  });

  ServerTlsOptions tls;
  const testing::PemPair pem = pki.Issue(leaf);
  tls.certificates =
      *CertificateStore::Create({*Credential::FromPem(pem.chain, pem.key)}, loop->Now());
  TlsTerminatorOptions options;
  options.front_tls = *ServerTlsConfig::Create(tls);
  options.backend = backend->local_endpoint();
  auto terminator = *TlsTerminator::Create(*loop, dialer, std::move(options));
  auto listener = *TcpListener::Create(*loop, *Endpoint::Parse("127.0.0.1:0"),
                                       [&](auto client) { terminator->Serve(std::move(client)); });

  curl_global_init(CURL_GLOBAL_DEFAULT);
  std::string body;
  std::thread client([&] {
    body = Fetch(listener->local_endpoint(), pki.ca_pem());
    loop->Stop();
  });
  loop->Run();
  client.join();
  std::cout << body << " by " << curl_version_info(CURLVERSION_NOW)->ssl_version << "\n";
  return body == "served" ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace trestle

int main() { return trestle::Main(); }
