// FakeRedis: as much of a Redis server as RedisTicketKeys meets, in memory and in virtual time, and
// what else it might answer.
#ifndef TRESTLE_TESTS_INTEGRATIONS_REDIS_FAKE_REDIS_H_
#define TRESTLE_TESTS_INTEGRATIONS_REDIS_FAKE_REDIS_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle::testing {

class FakeRedis {
 public:
  FakeRedis(SimulatedLoop& loop, MemoryDialer& dialer, const Endpoint& endpoint);
  ~FakeRedis();

  /// Serves from now on, on the links given / refuses connections and cuts those that are open.
  void Start(const MemoryLink& link = {});
  void Stop();

  /// Expired values are gone.
  std::string Get(const std::string& name);
  void Set(const std::string& name, const std::string& value,
           absl::Duration life = absl::InfiniteDuration());
  void Clear() { values_.clear(); }

  /// Asked of all that connect, as "user password" or "password"; empty for nothing.
  std::string credentials;
  /// Called before a command is carried out; what it returns is sent instead, unless it is empty.
  std::function<std::string(const std::vector<std::string>&)> intercept;
  /// Takes commands and never answers.
  bool silent = false;

  /// The commands that were carried out.
  std::vector<std::string> commands;

 private:
  class Connection;
  struct Value {
    std::string text;
    absl::Time gone_at;
  };

  std::string Answer(const std::vector<std::string>& command, bool& admitted);

  SimulatedLoop& loop_;
  MemoryDialer& dialer_;
  const Endpoint endpoint_;
  std::map<std::string, Value> values_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_INTEGRATIONS_REDIS_FAKE_REDIS_H_
