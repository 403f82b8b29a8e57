#include "bench/peers/peer.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "absl/log/check.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "bench/peers/process.h"

namespace trestle::bench {
namespace {

constexpr char kNginxStreamModule[] = "/usr/lib/nginx/modules/ngx_stream_module.so";

// All peers verify the backend; either all or none resume sessions with it.
constexpr char kNginxTop[] =
    "daemon off;\nworker_processes 1;\npid @FOLDER@/nginx.pid;\n"
    "error_log @FOLDER@/nginx.log error;\nworker_rlimit_nofile 16384;\n"
    "events { worker_connections 8192; }\n"
    "stream { server {\n  proxy_pass 127.0.0.1:@BACKEND@;\n";
constexpr char kNginxTls[] =
    "  listen 127.0.0.1:@LISTEN@ ssl backlog=4096;\n"
    "  ssl_certificate @CHAIN@;\n  ssl_certificate_key @KEY@;\n  ssl_protocols TLSv1.2 TLSv1.3;\n";
constexpr char kNginxBackTls[] =
    "  proxy_ssl on;\n  proxy_ssl_verify on;\n  proxy_ssl_trusted_certificate @CA@;\n"
    "  proxy_ssl_name @NAME@;\n  proxy_ssl_server_name on;\n  proxy_ssl_session_reuse @REUSE@;\n"
    "  proxy_ssl_protocols TLSv1.2 TLSv1.3;\n";
constexpr char kNginxPassthrough[] =
    "  listen 127.0.0.1:@LISTEN@ backlog=4096;\n  ssl_preread on;\n";

constexpr char kHaproxyTop[] =
    "global\n  nbthread 1\n  maxconn 4000\n"
    "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 300s\n  timeout server 300s\n"
    "  backlog 4096\n";
constexpr char kHaproxyOffload[] =
    "listen front\n  bind 127.0.0.1:@LISTEN@ ssl crt @COMBINED@ ssl-min-ver TLSv1.2\n"
    "  server back 127.0.0.1:@BACKEND@\n";
constexpr char kHaproxyBridge[] =
    "listen front\n  bind 127.0.0.1:@LISTEN@ ssl crt @COMBINED@ ssl-min-ver TLSv1.2\n"
    "  server back 127.0.0.1:@BACKEND@ ssl verify required ca-file @CA@ sni str(@NAME@)"
    " verifyhost @NAME@@NO_REUSE@\n";
constexpr char kHaproxyPassthrough[] =
    "listen front\n  bind 127.0.0.1:@LISTEN@\n  option splice-auto\n"
    "  tcp-request inspect-delay 5s\n  tcp-request content accept if { req_ssl_hello_type 1 }\n"
    "  use-server back if { req_ssl_sni -i @NAME@ }\n  server back 127.0.0.1:@BACKEND@\n";

constexpr char kHitch[] =
    "frontend = \"[127.0.0.1]:@LISTEN@\"\nbackend = \"[127.0.0.1]:@BACKEND@\"\n"
    "pem-file = \"@COMBINED@\"\nworkers = 1\nbacklog = 4096\ntls-protos = TLSv1.2 TLSv1.3\n"
    "daemon = off\nsyslog = off\nlog-level = 0\nocsp-dir = \"\"\n";
constexpr char kHitchUser[] = "user = \"nobody\"\ngroup = \"nogroup\"\n";

constexpr char kStunnel[] =
    "foreground = yes\npid =\ndebug = 3\nsyslog = no\n[front]\naccept = 127.0.0.1:@LISTEN@\n"
    "connect = 127.0.0.1:@BACKEND@\ncert = @CHAIN@\nkey = @KEY@\nTIMEOUTidle = 300\n";

constexpr char kSniproxy[] =
    "pidfile @FOLDER@/sniproxy.pid\n"
    "error_log { filename @FOLDER@/sniproxy.log\n priority error\n}\n"
    "listen 127.0.0.1:@LISTEN@ { proto tls\n table hosts\n}\n"
    "table hosts { bench\\.test 127.0.0.1:@BACKEND@\n}\n";

std::string FillIn(absl::string_view text, const Site& site) {
  return absl::StrReplaceAll(text, {{"@FOLDER@", site.folder},
                                    {"@LISTEN@", absl::StrCat(site.listen_port)},
                                    {"@BACKEND@", absl::StrCat(site.backend_port)},
                                    {"@CHAIN@", site.chain_file},
                                    {"@KEY@", site.key_file},
                                    {"@COMBINED@", site.combined_file},
                                    {"@CA@", site.ca_file},
                                    {"@REUSE@", site.back_sessions ? "on" : "off"},
                                    {"@NO_REUSE@", site.back_sessions ? "" : " no-ssl-reuse"},
                                    {"@NAME@", kServerName}});
}

std::string WriteConfig(const Site& site, absl::string_view text) {
  const std::string path = absl::StrCat(site.folder, "/", site.listen_port, ".conf");
  std::ofstream(path) << FillIn(text, site);
  return path;
}

std::string NginxConfig(const Peer& peer, Mode mode) {
  const std::string version = OutputOf(peer.program + " -V");
  std::string config;
  if (absl::StrContains(version, "--with-stream=dynamic")) {
    config = absl::StrCat("load_module ", kNginxStreamModule, ";\n");
  }
  absl::StrAppend(&config, kNginxTop, mode == Mode::kPassthrough ? kNginxPassthrough : kNginxTls,
                  mode == Mode::kBridge ? kNginxBackTls : "", "} }\n");
  return config;
}

absl::string_view HaproxyConfig(Mode mode) {
  switch (mode) {
    case Mode::kOffload:
      return kHaproxyOffload;
    case Mode::kPassthrough:
      return kHaproxyPassthrough;
    case Mode::kBridge:
      return kHaproxyBridge;
  }
  return "";
}

std::vector<std::string> TrestleCommand(const Peer& peer, const Site& site) {
  const std::string listen = absl::StrCat("--listen=127.0.0.1:", site.listen_port);
  const std::string backend = absl::StrCat("127.0.0.1:", site.backend_port);
  std::vector<std::string> command;
  if (site.mode == Mode::kPassthrough) {
    command = {peer.program + "/passthrough_proxy", listen,
               absl::StrCat("--routes=", kServerName, "=", backend)};
  } else {
    command = {
        peer.program + (site.mode == Mode::kBridge ? "/bridging_proxy" : "/terminating_proxy"),
        listen, "--cert=" + site.chain_file, "--key=" + site.key_file, "--backend=" + backend};
  }
  if (site.mode == Mode::kBridge) {
    command.push_back("--backend_ca=" + site.ca_file);
    command.push_back(absl::StrCat("--backend_name=", kServerName));
    if (!site.back_sessions) command.push_back("--backend_resumption=false");
  }
  command.insert(command.end(), peer.flags.begin(), peer.flags.end());
  return command;
}

// The programs with examples/support/hosted_blocks.h.
std::vector<std::string> HostCommand(const Peer& peer, const Site& site) {
  const char* const flag = site.mode == Mode::kOffload  ? "--offload="
                           : site.mode == Mode::kBridge ? "--bridge="
                                                        : "--pass=";
  return {peer.program,
          absl::StrCat("--listen=127.0.0.1:", site.listen_port),
          "--cert=" + site.chain_file,
          "--key=" + site.key_file,
          "--backend_ca=" + site.ca_file,
          absl::StrCat(flag, kServerName, "=127.0.0.1:", site.backend_port)};
}

// Finds a version such as "1.22.1" in a program's output.
std::string VersionIn(const std::string& text) {
  size_t begin = text.find_first_of("0123456789");
  while (begin != std::string::npos) {
    const size_t end = text.find_first_not_of("0123456789.", begin);
    const std::string word = text.substr(begin, end - begin);
    if (absl::StrContains(word, ".")) return word;
    begin = end == std::string::npos ? end : text.find_first_of("0123456789", end);
  }
  return "";
}

struct Known {
  PeerKind kind;
  const char* program;
  const char* package;
  const char* version_flag;
};

constexpr Known kKnown[] = {
    {PeerKind::kNginx, "nginx", "nginx-light libnginx-mod-stream", "-v"},
    {PeerKind::kHaproxy, "haproxy", "haproxy", "-v"},
    {PeerKind::kHitch, "hitch", "hitch", "--version"},
    {PeerKind::kStunnel, "stunnel4", "stunnel4", "-version"},
    {PeerKind::kSniproxy, "sniproxy", "sniproxy", "-V"},
};

}  // namespace

const char* ModeName(Mode mode) {
  return mode == Mode::kOffload ? "offload" : mode == Mode::kBridge ? "bridge" : "passthrough";
}

const char* KeyName(Key key) { return key == Key::kEcdsa ? "ECDSA P-256" : "RSA 2048"; }

bool Supports(const Peer& peer, Mode mode) {
  switch (peer.kind) {
    case PeerKind::kTrestle:
    case PeerKind::kHost:
    case PeerKind::kNginx:
    case PeerKind::kHaproxy:
      return true;
    case PeerKind::kHitch:
    case PeerKind::kStunnel:
      return mode == Mode::kOffload;
    case PeerKind::kSniproxy:
      return mode == Mode::kPassthrough;
  }
  return false;
}

std::vector<std::string> SetUp(const Peer& peer, const Site& site) {
  switch (peer.kind) {
    case PeerKind::kTrestle:
      return TrestleCommand(peer, site);
    case PeerKind::kHost:
      return HostCommand(peer, site);
    case PeerKind::kNginx:
      return {peer.program,
              "-p",
              site.folder,
              "-e",
              site.folder + "/nginx.log",
              "-c",
              WriteConfig(site, NginxConfig(peer, site.mode))};
    case PeerKind::kHaproxy:
      return {peer.program, "-db", "-f",
              WriteConfig(site, absl::StrCat(kHaproxyTop, HaproxyConfig(site.mode)))};
    case PeerKind::kHitch:
      return {
          peer.program,
          absl::StrCat("--config=",
                       WriteConfig(site, absl::StrCat(kHitch, getuid() == 0 ? kHitchUser : "")))};
    case PeerKind::kStunnel:
      return {peer.program, WriteConfig(site, kStunnel)};
    case PeerKind::kSniproxy:
      return {peer.program, "-f", "-c", WriteConfig(site, kSniproxy)};
  }
  return {};
}

Peer PeerAt(PeerKind kind, const std::string& program, const std::string& label) {
  for (const Known& known : kKnown) {
    if (known.kind != kind) continue;
    CHECK_EQ(access(program.c_str(), X_OK), 0) << program << " can't be run";
    const std::string version = VersionIn(OutputOf(program + " " + known.version_flag));
    return {kind, label.empty() ? absl::StrCat(known.program, " ", version) : label, program};
  }
  return {kind, label, program};
}

std::vector<Peer> FindInstalledPeers() {
  std::vector<Peer> peers;
  std::string missing;
  for (const Known& known : kKnown) {
    const std::string program = FindProgram(known.program);
    if (program.empty()) {
      absl::StrAppend(&missing, " ", known.package);
    } else if (known.kind == PeerKind::kNginx &&
               absl::StrContains(OutputOf(program + " -V"), "--with-stream=dynamic") &&
               access(kNginxStreamModule, R_OK) != 0) {
      absl::StrAppend(&missing, " libnginx-mod-stream");
    } else {
      peers.push_back(PeerAt(known.kind, program, ""));
    }
  }
  if (!missing.empty()) {
    std::fprintf(stderr, "Not installed, so not in the table. To have them: apt-get install%s\n",
                 missing.c_str());
  }
  return peers;
}

}  // namespace trestle::bench
