// DnsServer: a DNS server on 127.0.0.1 whose answers and faults the test sets, and that it can end.
#ifndef TRESTLE_TESTS_INTEGRATIONS_C_ARES_DNS_SERVER_H_
#define TRESTLE_TESTS_INTEGRATIONS_C_ARES_DNS_SERVER_H_

#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "tests/e2e/process.h"
#include "trestle/base/endpoint.h"

namespace trestle {

class DnsServer {
 public:
  explicit DnsServer(const std::string& name = "dns") : zone_(::testing::TempDir() + name) {
    Write();
    Start();
  }

  ~DnsServer() {
    process_.reset();
    std::remove(zone_.c_str());
  }

  /// Sets the entry of `owner`, which ends with a dot: JSON, as dns_server.py reads it.
  void Set(const std::string& owner, const std::string& entry) {
    entries_[owner] = entry;
    Write();
  }

  /// Makes `owner` not exist.
  void Remove(const std::string& owner) {
    entries_.erase(owner);
    Write();
  }

  /// Ends the server. `Start` uses the same port again.
  void Kill() { process_.reset(); }

  void Start() {
    process_ = std::make_unique<e2e::Process>(
        std::vector<std::string>{"/usr/bin/python3", "tests/integrations/c_ares/dns_server.py",
                                 absl::StrCat(endpoint_.port()), zone_});
    ASSERT_TRUE(process_->WaitForOutput("listening on ", absl::Seconds(30))) << process_->errors();
    ASSERT_TRUE(process_->WaitForOutput("\n", absl::Seconds(30)));
    const std::string output = process_->output();
    uint32_t port = 0;
    ASSERT_TRUE(absl::SimpleAtoi(output.substr(13, output.find('\n') - 13), &port)) << output;
    endpoint_ = *Endpoint::Parse(absl::StrCat("127.0.0.1:", port));
  }

  const Endpoint& endpoint() const { return endpoint_; }

  /// Returns the questions so far, one a line: "api.test. A udp".
  std::string questions() const { return process_->output(); }

  bool WaitForQuestion(const std::string& question) {
    return process_->WaitForOutput(question, absl::Seconds(30));
  }

 private:
  // Replaces the file, so that the server never reads half of it.
  void Write() {
    const auto entry = [](std::string* out, const auto& item) {
      absl::StrAppend(out, "\"", item.first, "\": ", item.second);
    };
    const std::string draft = zone_ + ".new";
    std::ofstream(draft) << "{" << absl::StrJoin(entries_, ", ", entry) << "}";
    std::rename(draft.c_str(), zone_.c_str());
  }

  const std::string zone_;
  std::map<std::string, std::string> entries_;
  Endpoint endpoint_ = *Endpoint::Parse("127.0.0.1:0");
  std::unique_ptr<e2e::Process> process_;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_INTEGRATIONS_C_ARES_DNS_SERVER_H_
