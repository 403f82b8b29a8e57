// Wiretap: forwards connections to a backend and records the bytes, as any device on the network
// path could.
#ifndef TRESTLE_EXAMPLES_QUICKSTART_WIRETAP_H_
#define TRESTLE_EXAMPLES_QUICKSTART_WIRETAP_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/dialer.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/tcp_listener.h"

namespace trestle::examples {

class Wiretap {
 public:
  /// Listens on a free port of 127.0.0.1 and forwards connections to `backend`. `loop` and `dialer`
  /// must outlive it.
  static absl::StatusOr<std::unique_ptr<Wiretap>> Start(EpollLoop& loop, Dialer& dialer,
                                                        const Endpoint& backend);
  ~Wiretap();

  /// Returns the address to dial instead of the backend's.
  const Endpoint& endpoint() const { return listener_->local_endpoint(); }

  /// Returns the first bytes that were sent to the backend.
  const std::string& heard() const { return heard_; }

 private:
  class Line;
  class Recorder;

  Wiretap(EpollLoop& loop, Dialer& dialer, const Endpoint& backend);
  void Accept(std::unique_ptr<Transport> connection);
  void HangUp(uint64_t id);

  EpollLoop& loop_;
  Dialer& dialer_;
  const Endpoint backend_;
  std::unique_ptr<TcpListener> listener_;
  std::map<uint64_t, std::unique_ptr<Line>> lines_;
  uint64_t last_id_ = 0;
  std::string heard_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_QUICKSTART_WIRETAP_H_
