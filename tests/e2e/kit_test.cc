// The kit's hellos over sockets. passthrough_proxy carries each split to a real TLS server, whose
// response comes back, or rejects it because it has too many records.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/log/check.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"
#include "trestle/testing/client_hello_kit.h"

namespace trestle::e2e {
namespace {

using testing::AllKitHellos;
using testing::Flight;
using testing::ForEachSplit;
using testing::KitHello;
using testing::SplitPlan;

constexpr char kName[] = "kit.test";
constexpr size_t kMaxRecords = 64;  // The router's limit.
constexpr int kHandshakeRecord = 22;
constexpr int kAlertRecord = 21;

/// Serves one connection after another, as a TLS server, until its client closes.
class SerialTlsServer {
 public:
  explicit SerialTlsServer(testing::PemPair certificate) : certificate_(std::move(certificate)) {
    listener_ = OwnedFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    CHECK_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    CHECK_EQ(listen(listener_.get(), 128), 0);
    CHECK_EQ(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    address_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
    thread_ = std::thread([this] { ServeAll(); });
  }

  ~SerialTlsServer() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }

  const std::string& address() const { return address_; }

  /// Waits for a number of connections; returns the names that they requested.
  std::vector<std::string> NamesOf(size_t connections) {
    absl::MutexLock lock(&mutex_);
    const auto came = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return names_.size() >= connections;
    };
    mutex_.AwaitWithTimeout(absl::Condition(&came), kPatience);
    return names_;
  }

 private:
  void ServeAll() {
    while (true) {
      OwnedFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!socket.valid()) return;
      BlockingStream stream(std::move(socket));
      stream.StartServer(certificate_);  // The test has no keys to complete the handshake.
      absl::MutexLock lock(&mutex_);
      names_.push_back(absl::AsciiStrToLower(stream.server_name()));
    }
  }

  const testing::PemPair certificate_;
  OwnedFd listener_;
  std::string address_;
  absl::Mutex mutex_;
  std::vector<std::string> names_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

class KitTest : public ProxyTest {
 protected:
  // Returns the type of the first received record; 0 if there is none.
  int FirstRecordBack(const Flight& flight) const {
    const auto stream = BlockingStream::Connect(proxy_->port);
    if (stream == nullptr) return 0;
    for (const std::string& segment : flight.segments) stream->Write(segment);
    char type = 0;
    return stream->Read(&type, 1) == 1 ? type : 0;
  }

  // Returns how many flights were routed; adds the rejected ones to `refused_in_all`.
  size_t RunAll(const KitHello& kit, size_t& refused_in_all) {
    SplitPlan plan;
    // Tries every split of the most common hellos; the others use the plan's samples.
    plan.every_segment_cut = plan.every_record_cut =
        kit.name == "classic" || kit.name == "ech_outer" || kit.name == "tls12";
    plan.random_partitions = 20;
    size_t routed = 0;
    ForEachSplit(kit.message, plan, [&](const Flight& flight) {
      const bool refused = flight.records > kMaxRecords;
      ++(refused ? refused_in_all : routed);
      const bool alert = refused || kit.name == "no_extensions";
      EXPECT_EQ(FirstRecordBack(flight), alert ? kAlertRecord : kHandshakeRecord)
          << kit.name << ": " << flight.label;
    });
    return routed;
  }

  SerialTlsServer named_{pki_.Issue(LeafFor(kName))};
  SerialTlsServer default_{pki_.Issue(LeafFor("default.test"))};
  const std::unique_ptr<ProxyProcess> proxy_ =
      StartProgram({ExampleProgram("passthrough_proxy"), "--listen=127.0.0.1:0",
                    absl::StrCat("--routes=", kName, "=", named_.address()),
                    absl::StrCat("--default_backend=", default_.address())});
};

TEST_F(KitTest, EveryHelloReachesItsServerOrIsRejectedWithTheStatedReason) {
  size_t named = 0;
  size_t unnamed = 0;
  size_t refused = 0;
  for (const KitHello& kit : AllKitHellos(kName)) {
    (kit.server_name.empty() ? unnamed : named) += RunAll(kit, refused);
  }
  const std::vector<std::string> names = named_.NamesOf(named);
  EXPECT_EQ(names.size(), named);
  for (const std::string& name : names) EXPECT_EQ(name.substr(0, sizeof kName - 1), kName);
  const std::vector<std::string> default_names = default_.NamesOf(unnamed);
  EXPECT_EQ(default_names.size(), unnamed);
  for (const std::string& name : default_names) EXPECT_EQ(name, "");
  std::cout << "over sockets: " << named << " flights to the named server, " << unnamed
            << " to the default, " << refused << " refused for their records\n";
  EXPECT_GT(named, 5000u);
  EXPECT_GT(refused, 50u);
}

}  // namespace
}  // namespace trestle::e2e
