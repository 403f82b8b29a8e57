// The common parts of the watch floor's tests: a loop with virtual time, and TLS servers in memory.
// They have any certificate, and send any bytes before TLS.
#ifndef TRESTLE_TESTS_WATCH_PROBE_FIXTURE_H_
#define TRESTLE_TESTS_WATCH_PROBE_FIXTURE_H_

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "trestle/base/error.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/server_tls_config.h"
#include "trestle/tls/tls_parameters.h"
#include "trestle/tls/tls_stream.h"
#include "trestle/watch/leg_probe.h"

namespace trestle::testing {

/// A TLS server: completes handshakes with its current config, and reads until the end.
class ProbedServer {
 public:
  ProbedServer(Scheduler& loop, MemoryDialer& dialer, const Endpoint& endpoint,
               std::shared_ptr<const ServerTlsConfig> config, const MemoryLink& link = {});
  ~ProbedServer();

  void Replace(std::shared_ptr<const ServerTlsConfig> config) { config_ = std::move(config); }

  /// Before TLS each connection receives `replies[0]`, then `replies[i]` after its i-th message.
  void SpeakFirst(std::vector<std::string> replies) { replies_ = std::move(replies); }

  size_t accepted() const { return accepted_; }
  size_t open() const;
  /// Returns the bytes that clients sent before TLS.
  const std::vector<std::string>& heard() const { return heard_; }
  const std::string& last_server_name() const { return last_server_name_; }

 private:
  class Connection;

  void Accept(std::unique_ptr<Transport> raw);

  Scheduler& loop_;
  std::shared_ptr<const ServerTlsConfig> config_;
  std::vector<std::string> replies_;
  std::vector<std::string> heard_;
  std::string last_server_name_;
  size_t accepted_ = 0;
  std::deque<std::unique_ptr<Connection>> connections_;
};

class ProbeTest : public ::testing::Test {
 protected:
  static Endpoint At(int host) {
    return *Endpoint::Parse("192.0.2." + std::to_string(host) + ":443");
  }

  std::shared_ptr<const ServerTlsConfig> ConfigFor(const PemPair& pair,
                                                   TlsVersion version = TlsVersion::kTls13) const;
  LeafSpec Leaf(const std::string& name, absl::Duration valid_for) const;

  std::shared_ptr<const LegProbeConfig> ConfigOf(LegProbeOptions options = {}) const;

  /// Probes at once, and advances the virtual time until there is a report.
  ProbeReport Probe(LegProbeTarget target, LegProbeOptions options = {});

  static ErrorCode CodeOf(const absl::Status& status);

  SimulatedLoop loop_;
  MemoryDialer dialer_{loop_};
  TestPki pki_{loop_.Now(), "Root"};
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_WATCH_PROBE_FIXTURE_H_
