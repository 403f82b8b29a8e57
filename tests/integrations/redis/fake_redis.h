// FakeRedis: the part of a Redis server that RedisTicketKeys needs, in memory and in virtual time,
// with optional invalid replies.
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

  /// Start: serves from now on, with the given links. Stop: refuses connections and cuts open ones.
  void Start(const MemoryLink& link = {});
  void Stop();

  /// Returns the value; empty if it has expired.
  std::string Get(const std::string& name);
  void Set(const std::string& name, const std::string& value,
           absl::Duration life = absl::InfiniteDuration());
  void Clear() { values_.clear(); }

  /// Required of all connections, as "user password" or "password"; empty for none.
  std::string credentials;
  /// Called before a command runs. Its result, unless empty, replaces the reply.
  std::function<std::string(const std::vector<std::string>&)> intercept;
  /// Accepts commands and never replies.
  bool silent = false;

  /// The commands that have run.
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
