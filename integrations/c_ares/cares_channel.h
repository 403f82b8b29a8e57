// CaresChannel: a channel of c-ares on an FdLoop: its sockets, its timers, and its questions, each
// of which can be cancelled.
#ifndef TRESTLE_INTEGRATIONS_C_ARES_CARES_CHANNEL_H_
#define TRESTLE_INTEGRATIONS_C_ARES_CARES_CHANNEL_H_

#include <ares.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/linux/fd_loop.h"

namespace trestle {

/// The addresses of a host, of one family.
struct CaresHost {
  int status = ARES_SUCCESS;
  std::vector<Endpoint> endpoints;  ///< With the port that was asked for.
  absl::Duration ttl;
};

/// The SRV records of a service.
struct CaresService {
  struct Record {
    std::string host;
    uint16_t port = 0;
    uint16_t priority = 0;
    uint16_t weight = 0;
  };
  int status = ARES_SUCCESS;
  std::vector<Record> records;
  absl::Duration ttl;
};

/// A question under way. Destroying it cancels it: no callback follows.
class CaresQuestion {
 public:
  virtual ~CaresQuestion() = default;
};

class CaresChannel {
 public:
  struct Options {
    std::vector<Endpoint> servers;
    absl::Duration server_timeout;
    int rounds = 1;
    bool search_domains = false;
    bool hosts_from_environment = false;
  };

  CaresChannel(FdLoop& loop, Options options);
  ~CaresChannel();
  CaresChannel(const CaresChannel&) = delete;
  CaresChannel& operator=(const CaresChannel&) = delete;

  absl::Status Open();

  /// Both may call `done` before they return. It must destroy nothing of the channel.
  std::unique_ptr<CaresQuestion> AskHost(const std::string& name, int family, uint16_t port,
                                         absl::AnyInvocable<void(CaresHost)> done);
  std::unique_ptr<CaresQuestion> AskService(const std::string& name,
                                            absl::AnyInvocable<void(CaresService)> done);

 private:
  template <typename Answer>
  class Question;
  class Socket;

  static void OnSocketState(void* self, ares_socket_t fd, int readable, int writable);
  void Watch(int fd, uint32_t events);
  void Drive();
  void DriveSoon();
  bool ProcessReady();
  void ArmTimeout();

  FdLoop& loop_;
  const Options options_;
  ares_channel channel_ = nullptr;
  absl::flat_hash_map<int, std::unique_ptr<Socket>> sockets_;
  std::vector<std::unique_ptr<Socket>> closed_;  // In this turn.
  Timer soon_;
  Timer timeout_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_C_ARES_CARES_CHANNEL_H_
