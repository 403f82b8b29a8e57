// Peer: a proxy to measure: finding it, and its configuration and command in each mode.
#ifndef TRESTLE_BENCH_PEERS_PEER_H_
#define TRESTLE_BENCH_PEERS_PEER_H_

#include <cstdint>
#include <string>
#include <vector>

namespace trestle::bench {

enum class Mode { kOffload, kPassthrough, kBridge };
enum class Key { kEcdsa, kRsa };

const char* ModeName(Mode mode);
const char* KeyName(Key key);

/// The parameters of a set-up, equal for all proxies.
struct Site {
  std::string folder;  ///< For configurations and logs.
  Mode mode = Mode::kOffload;
  uint16_t listen_port = 0;
  uint16_t backend_port = 0;
  std::string chain_file;     ///< PEM, presented to clients.
  std::string key_file;       ///< PEM.
  std::string combined_file;  ///< Both, for proxies that need one file.
  std::string ca_file;        ///< PEM, for verifying the backend.
  bool back_sessions = true;  ///< Bridges may resume sessions with the backend.
};

/// The name in all certificates of the benchmark.
constexpr char kServerName[] = "bench.test";

enum class PeerKind {
  kTrestle,
  kHost,  ///< Trestle in a foreign loop: asio_host and the like.
  kNginx,
  kHaproxy,
  kHitch,
  kStunnel,
  kSniproxy
};

struct Peer {
  PeerKind kind = PeerKind::kTrestle;
  std::string label;                    ///< "nginx 1.22.1"
  std::string program;                  ///< Path; for Trestle the folder of the example proxies.
  std::vector<std::string> flags = {};  ///< Additional ones; Trestle only.
  int open_connections = 0;             ///< Additional idle ones during the measurement.
  bool pinned = true;                   ///< To one CPU; for one thread only.
};

bool Supports(const Peer& peer, Mode mode);

/// Writes the peer's configuration, and returns the command that starts it.
std::vector<std::string> SetUp(const Peer& peer, const Site& site);

/// Finds the installed peers, and prints the Debian packages of the others.
std::vector<Peer> FindInstalledPeers();

/// Creates a peer for the program `program`; an empty `label` becomes its version.
Peer PeerAt(PeerKind kind, const std::string& program, const std::string& label);

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_PEERS_PEER_H_
