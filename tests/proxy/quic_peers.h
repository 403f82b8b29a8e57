// QUIC clients and backends for tests of the router: real Initial packets, made-up packets behind
// them. Over a network in memory.
#ifndef TRESTLE_TESTS_PROXY_QUIC_PEERS_H_
#define TRESTLE_TESTS_PROXY_QUIC_PEERS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "trestle/base/bytes.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/datagram_socket.h"
#include "trestle/io/scheduler.h"
#include "trestle/testing/memory_datagrams.h"
#include "trestle/testing/quic_hello_kit.h"
#include "trestle/testing/simulated_loop.h"
#include "trestle/wire/quic_packet.h"

namespace trestle {

inline constexpr size_t kTestBackendIdBytes = 8;

/// Makes a packet with a short header.
std::string QuicShortPacket(absl::string_view destination_id, absl::string_view payload);

/// Answers each client with an Initial, a Handshake packet, or the payload of its short header and
/// the own letter. Its connection IDs begin with the letter.
class QuicTestBackend final : public DatagramHandler {
 public:
  QuicTestBackend(testing::MemoryDatagrams& network, const std::string& endpoint, char letter);

  void OnReadable() override;

  /// Sends `bytes` to the client that came last.
  void Send(const std::string& bytes);

  const Endpoint endpoint;
  const char letter;
  bool sends_retry = false;                ///< To Initials without a token.
  bool sends_version_negotiation = false;  ///< To versions other than 1.
  bool is_silent = false;
  std::vector<std::string> received;  ///< All datagrams.
  std::vector<Endpoint> peers;        ///< All, in the order of their first datagrams.
  std::string last_id;                ///< The connection ID given to the client that came last.

 private:
  void Answer(const std::string& datagram);
  std::string IdOf(const Endpoint& peer);

  std::unique_ptr<DatagramSocket> socket_;
  std::map<std::string, std::string> client_ids_;  // By the ID that the client got.
  Endpoint last_peer_;
};

/// A client that makes a handshake and then one request, and repeats what gets no answer.
class QuicTestClient final : public DatagramHandler {
 public:
  struct Options {
    std::string name = "a.test";
    bool post_quantum = false;
    uint64_t shuffle_seed = 0;  ///< 0: the hello in order.
    testing::QuicInitialHeader header;
    std::string request = "request";
    absl::Duration repeat = absl::Milliseconds(200);  ///< Each time twice as long, up to 3 s.
    int repeats = 60;
  };

  QuicTestClient(testing::SimulatedLoop& loop, std::unique_ptr<DatagramSocket> socket,
                 Options options);
  ~QuicTestClient();

  void OnReadable() override;

  /// Sends the first flight.
  void Start();

  void Send(const std::string& datagram);

  /// The datagrams of the first flight.
  std::vector<std::string> Flight() const;

  /// Goes on from another address.
  void Move(std::unique_ptr<DatagramSocket> socket);
  Endpoint address() const { return socket_->local_endpoint(); }

  testing::QuicInitialHeader& header() { return options_.header; }
  const std::string& backend_id() const { return backend_id_; }
  const std::vector<std::string>& received() const { return received_; }
  bool has_answer() const { return !answer_.empty(); }

  /// The letters of all backends whose datagrams came.
  std::string letters() const;

 private:
  enum class Step { kHello, kHandshake, kRequest, kDone };

  void Take(const std::string& datagram);
  void SendStep();

  testing::SimulatedLoop& loop_;
  std::unique_ptr<DatagramSocket> socket_;
  Options options_;
  Step step_ = Step::kHello;
  int repeats_ = 0;
  std::string backend_id_;
  std::string answer_;
  std::vector<std::string> received_;
  Timer repeat_;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_PROXY_QUIC_PEERS_H_
