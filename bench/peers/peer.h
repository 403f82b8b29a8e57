// Peer: a proxy that can be measured: how it is found, set up and started in each mode.
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

/// Everything a set-up needs to know. All proxies get the same.
struct Site {
  std::string folder;  ///< For configurations and logs.
  Mode mode = Mode::kOffload;
  uint16_t listen_port = 0;
  uint16_t backend_port = 0;
  std::string chain_file;     ///< PEM, shown to clients.
  std::string key_file;       ///< PEM.
  std::string combined_file;  ///< Both, for those who want one file.
  std::string ca_file;        ///< PEM, for verifying the backend.
  bool back_sessions = true;  ///< Whether bridges may resume sessions with the backend.
};

/// The name in all certificates of the benchmark.
constexpr char kServerName[] = "bench.test";

enum class PeerKind { kTrestle, kNginx, kHaproxy, kHitch, kStunnel, kSniproxy };

struct Peer {
  PeerKind kind = PeerKind::kTrestle;
  std::string label;                    ///< "nginx 1.22.1"
  std::string program;                  ///< Path; for Trestle the folder of the example proxies.
  std::vector<std::string> flags = {};  ///< Further ones; Trestle only.
  int open_connections = 0;             ///< Others, idle, while it is measured.
  bool pinned = true;                   ///< To one CPU. Not for more than one thread.
};

bool Supports(const Peer& peer, Mode mode);

/// Writes what the peer reads and returns the command to start it with.
std::vector<std::string> SetUp(const Peer& peer, const Site& site);

/// Finds the peers that are installed and prints which Debian packages would bring the others.
std::vector<Peer> FindInstalledPeers();

/// Makes a peer of a program given by path; an empty `label` becomes its version.
Peer PeerAt(PeerKind kind, const std::string& program, const std::string& label);

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_PEERS_PEER_H_
