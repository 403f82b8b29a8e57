// PROXY headers, made by seed, through Trestle's reader and through haproxy and nginx. Either both
// accept a header and agree on the client and on what follows, or both refuse it. Each difference
// has a row in `Explanation`.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_programs.h"
#include "tests/linux/loopback.h"
#include "tests/wire/proxy_protocol_bytes.h"
#include "trestle/wire/proxy_protocol.h"

namespace trestle::e2e {
namespace {

constexpr int kInputs = 10'000;
constexpr int kPatienceMs = 10'000;

// What a reader of PROXY headers made of a client's bytes.
struct Verdict {
  bool accepted = false;
  std::string client;  // "192.0.2.1:4660"; "own" if the header names none.
  std::string rest;    // The bytes after the header.

  bool operator==(const Verdict& other) const {
    return accepted == other.accepted && client == other.client && rest == other.rest;
  }
};

std::ostream& operator<<(std::ostream& out, const Verdict& verdict) {
  if (!verdict.accepted) return out << "refused";
  return out << "accepted from " << verdict.client << ", then \"" << absl::CHexEscape(verdict.rest)
             << "\"";
}

// ---- Inputs --------------------------------------------------------------------------------

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  std::string Next() {
    std::string header = Pick(2) == 0 ? Line() : Binary();
    if (Pick(4) == 0) Damage(header);
    return header + Text(Pick(3) == 0 ? 0 : Pick(40));
  }

 private:
  size_t Pick(size_t below) { return random_() % below; }

  template <typename T>
  T OneOf(std::initializer_list<T> choices) {
    return *(choices.begin() + Pick(choices.size()));
  }

  std::string Text(size_t bytes) {
    std::string text;
    while (text.size() < bytes) text.push_back("GET /\r\n 12.:PROXYx"[Pick(18)]);
    return text;
  }

  std::string Bytes(size_t count) {
    std::string bytes;
    while (bytes.size() < count) bytes.push_back(static_cast<char>(random_()));
    return bytes;
  }

  std::string Ipv4() {
    if (Pick(12) == 0) {
      return OneOf<const char*>(
          {"1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4.5", "::1", "", "a.b.c.d"});
    }
    return absl::StrCat(Pick(256), ".", Pick(256), ".", Pick(256), ".", Pick(256));
  }

  std::string Ipv6() {
    return OneOf<const char*>({"::", "::1", "2001:db8::1", "2001:DB8::a:1", "::ffff:192.0.2.1",
                               "fe80::1%1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "2001:db8:::1",
                               "192.0.2.1"});
  }

  std::string Port() {
    if (Pick(8) > 0) return absl::StrCat(Pick(65536));
    return OneOf<const char*>({"65536", "0", "00080", "-1", "+80", "", "99999999999", "8o", "080"});
  }

  // Version 1.
  std::string Line() {
    const bool ipv6 = Pick(3) == 0;
    std::string protocol =
        OneOf<const char*>({"TCP", "TCP", "TCP", "TCP", "UNKNOWN", "UDP", "tcp"});
    if (protocol == "UNKNOWN") {
      const size_t junk = Pick(2) == 0 ? 0 : Pick(110);
      return absl::StrCat("PROXY UNKNOWN", junk == 0 ? "" : " ",
                          absl::StrReplaceAll(Text(junk), {{"\r", "."}, {"\n", "."}}), "\r\n");
    }
    const char* const gap = Pick(30) == 0 ? "  " : " ";
    return absl::StrCat(
        "PROXY ", protocol, ipv6 ? "6" : "4", gap, ipv6 ? Ipv6() : Ipv4(), " ",
        ipv6 ? Ipv6() : Ipv4(), gap, Port(), " ", Port(),
        OneOf<const char*>({"\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", " \r\n", "\r"}));
  }

  // Version 2.
  std::string Binary() {
    const int command = OneOf({0x21, 0x21, 0x21, 0x21, 0x20, 0x20, 0x22, 0x11, 0x31});
    const int family =
        OneOf({0x11, 0x11, 0x11, 0x21, 0x21, 0x12, 0x22, 0x31, 0x32, 0x00, 0x01, 0x13, 0x41});
    std::string body;
    if (Pick(10) > 0) {
      body = Bytes(family >> 4 == 1   ? 12
                   : family >> 4 == 2 ? 36
                   : family >> 4 == 3 ? 216
                                      : Pick(20));
    } else {
      body = Bytes(Pick(40));
    }
    for (size_t i = Pick(3); i > 0; --i) {
      // Not a checksum, a name or an ID, which haproxy and nginx don't check alike.
      body += Tlv(OneOf({0x01, 0x04, 0x30, 0xe0, 0xf0}), Bytes(Pick(20)));
    }
    std::string header = V2(command, family, body);
    if (Pick(12) == 0) header[15] = static_cast<char>(header[15] + (Pick(2) == 0 ? 1 : -1));
    return header;
  }

  void Damage(std::string& header) {
    switch (Pick(4)) {
      case 0:
        header.resize(Pick(header.size()));
        break;
      case 1:
        header[Pick(header.size())] ^= static_cast<char>(1 << Pick(8));
        break;
      case 2:
        header.insert(Pick(header.size()), 1, static_cast<char>(random_()));
        break;
      default:
        header.erase(Pick(header.size()), 1);
    }
  }

  std::mt19937_64 random_;
};

// ---- Verdicts ------------------------------------------------------------------------------

std::string ClientOf(const ProxyHeader& header) {
  const bool names_one = header.command == ProxyCommand::kProxy && header.source.is_ip();
  return names_one ? header.source.ToString() : "own";
}

Verdict OfTrestle(const std::string& input) {
  ProxyHeaderReader reader;
  const size_t taken = reader.Feed(AsBytes(input)).taken;
  if (reader.state() != ProxyHeaderState::kDone) return {};
  return {true, ClientOf(reader.header()), input.substr(taken)};
}

std::string ReadAll(int fd) {
  std::string all;
  char block[4096];
  ssize_t bytes;
  while ((bytes = recv(fd, block, sizeof block, 0)) > 0) {
    all.append(block, static_cast<size_t>(bytes));
  }
  return all;
}

// Connects and sends all.
OwnedFd ClientWith(uint16_t port, const std::string& input) {
  OwnedFd client = RawClient(Loopback(port));
  send(client.get(), input.data(), input.size(), MSG_NOSIGNAL);
  shutdown(client.get(), SHUT_WR);
  return client;
}

// Asks another program; empty if it answers in no way.
using Judge = std::function<std::optional<Verdict>(const std::string& input)>;

// haproxy passes the client on to `backend`, in a header of its own.
std::optional<Verdict> OfHaproxy(uint16_t port, int backend, const std::string& input) {
  const OwnedFd client = ClientWith(port, input);
  pollfd both[] = {{backend, POLLIN, 0}, {client.get(), POLLIN, 0}};
  if (poll(both, 2, kPatienceMs) <= 0) return std::nullopt;
  if (both[0].revents == 0) return Verdict();
  const OwnedFd accepted(accept(backend, nullptr, nullptr));
  const std::string received = ReadAll(accepted.get());
  ProxyHeaderReader reader;
  const size_t taken = reader.Feed(AsBytes(received)).taken;
  if (reader.state() != ProxyHeaderState::kDone) return std::nullopt;
  const std::string named = ClientOf(reader.header());
  const bool own = named == LocalEndpoint(client.get()).ToString();
  return Verdict{true, own ? "own" : named, received.substr(taken)};
}

// nginx answers with the client that the header names. It does not tell what follows.
std::optional<Verdict> OfNginx(uint16_t port, const std::string& input) {
  const OwnedFd client = ClientWith(port, input);
  pollfd answer = {client.get(), POLLIN, 0};
  if (poll(&answer, 1, kPatienceMs) <= 0) return std::nullopt;
  const std::string told = ReadAll(client.get());
  if (told.empty()) return Verdict();
  // Port 0 is empty there.
  const auto named = Endpoint::Parse(absl::StrReplaceAll(told, {{":\n", ":0"}, {"\n", ""}}));
  return Verdict{true, named.ok() ? named->ToString() : "own", OfTrestle(input).rest};
}

using Explain = std::function<const char*(const std::string&, const Verdict&, const Verdict&)>;

class ProxyHeaderPeersTest : public ServerProgramsTest {
 protected:
  void Compare(const Judge& peer, uint64_t seed, const Explain& explain) {
    Generator generator(seed);
    int accepted = 0;
    std::map<std::string, int> explained;
    for (int i = 0; i < kInputs; ++i) {
      const std::string input = generator.Next();
      const Verdict ours = OfTrestle(input);
      const std::optional<Verdict> theirs = peer(input);
      ASSERT_TRUE(theirs.has_value()) << absl::CHexEscape(input);
      accepted += ours.accepted;
      if (ours == *theirs) continue;
      const char* const why = explain(input, ours, *theirs);
      if (why != nullptr) ++explained[why];
      EXPECT_TRUE(why != nullptr) << absl::CHexEscape(input) << "\n  Trestle: " << ours
                                  << "\n  peer:    " << *theirs;
    }
    EXPECT_GT(accepted, kInputs / 5);
    std::cout << kInputs << " headers, " << accepted << " accepted\n";
    for (const auto& [why, count] : explained) std::cout << "  " << count << ": " << why << "\n";
  }
};

// ---- Differences ---------------------------------------------------------------------------

// Returns whether `input` begins with a v1 header for TCP whose fields have the forms of 2.1.
bool IsStrictLine(const std::string& input) {
  static const std::regex line(
      "PROXY TCP([46]) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (0|[1-9][0-9]{0,4}) "
      "(0|[1-9][0-9]{0,4})\r\n");
  std::smatch fields;
  if (!std::regex_search(input, fields, line, std::regex_constants::match_continuous)) return false;
  const int family = fields[1] == "4" ? AF_INET : AF_INET6;
  in6_addr address;
  return inet_pton(family, fields[2].str().c_str(), &address) == 1 &&
         inet_pton(family, fields[3].str().c_str(), &address) == 1 &&
         std::stoi(fields[4]) <= 65535 && std::stoi(fields[5]) <= 65535;
}

bool IsBinary(const std::string& input) { return absl::StartsWith(input, V2Signature()); }

size_t U16At(const std::string& input, size_t at) {
  return static_cast<size_t>(static_cast<uint8_t>(input[at]) << 8 |
                             static_cast<uint8_t>(input[at + 1]));
}

// Returns what is wrong with the TLVs behind the addresses of a complete v2 header.
const char* WrongTlvs(const std::string& input) {
  const int family = input[13] >> 4;
  const size_t end = 16 + U16At(input, 14);
  size_t at = 16 + (family == 1 ? 12 : family == 2 ? 36 : family == 3 ? 216 : 0);
  std::set<char> types;
  while (at + 3 <= end) {
    const bool once = input[at] == 0x01 || input[at] == 0x30;
    if (once && !types.insert(input[at]).second) return "the peer accepts a name or ALPN twice";
    at += 3 + U16At(input, at + 1);
  }
  return at == end ? nullptr : "the peer accepts TLVs that don't end where the header does";
}

const char* ExplainHaproxy(const std::string& input, const Verdict& ours, const Verdict& theirs) {
  if (ours.accepted && !theirs.accepted) {
    if (absl::StartsWith(input, "PROXY UNKNOWN ")) {
      return "haproxy refuses UNKNOWN with more behind it, which 2.1 has ignored";
    }
    const int family = IsBinary(input) ? input[13] : 0;
    if ((family & 0xf) == 2) return "haproxy refuses headers about datagrams (2.2)";
    if (family >> 4 == 3) return "haproxy refuses addresses of Unix sockets (2.2)";
    if (family == 0 && IsBinary(input)) return "haproxy refuses UNSPEC, which 2.2 has accepted";
  }
  if (!ours.accepted && theirs.accepted && IsBinary(input)) return WrongTlvs(input);
  if (!ours.accepted && theirs.accepted && absl::StartsWith(input, "PROXY TCP") &&
      !IsStrictLine(input)) {
    return "haproxy accepts addresses, ports and gaps that 2.1 does not allow";
  }
  return nullptr;
}

const char* ExplainNginx(const std::string& input, const Verdict& ours, const Verdict& theirs) {
  if (!theirs.accepted) {
    const bool is_long = IsBinary(input) && 16 + U16At(input, 14) > 107;
    return is_long ? "nginx refuses v2 headers of more than 107 bytes" : nullptr;
  }
  if (!IsBinary(input)) {
    const bool lax = !ours.accepted && !IsStrictLine(input);
    return lax ? "nginx accepts addresses, ports and gaps that 2.1 does not allow" : nullptr;
  }
  if (ours.accepted) {
    const bool datagram = (input[13] & 0xf) == 2 && theirs.client == "own";
    return datagram ? "nginx ignores the addresses of datagrams" : nullptr;
  }
  if (theirs.client == "own")
    return "nginx accepts unknown commands and families, without addresses";
  return WrongTlvs(input);
}

TEST_F(ProxyHeaderPeersTest, Haproxy) {
  OwnedFd backend = RawListener();
  const uint16_t port = FreePort();
  const auto haproxy =
      StartHaproxy(absl::StrCat("listen front\n  mode tcp\n  bind 127.0.0.1:", port,
                                " accept-proxy\n  server back ",
                                LocalEndpoint(backend.get()).ToString(), " send-proxy-v2\n"),
                   port);
  Compare([&](const std::string& input) { return OfHaproxy(port, backend.get(), input); }, 1,
          ExplainHaproxy);
}

TEST_F(ProxyHeaderPeersTest, Nginx) {
  const uint16_t port = FreePort();
  const auto nginx =
      StartNginx(absl::StrCat("stream {\n"
                              "  map $proxy_protocol_addr $client {\n"
                              "    ~: \"[$proxy_protocol_addr]:$proxy_protocol_port\";\n"
                              "    default \"$proxy_protocol_addr:$proxy_protocol_port\";\n  }\n"
                              "  server { listen 127.0.0.1:",
                              port, " proxy_protocol; return \"$client\\n\"; }\n}\n"),
                 port);
  Compare([&](const std::string& input) { return OfNginx(port, input); }, 2, ExplainNginx);
}

}  // namespace
}  // namespace trestle::e2e
