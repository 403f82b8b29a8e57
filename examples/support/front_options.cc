#include "examples/support/front_options.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "examples/support/check_flag.h"
#include "examples/support/connection_flags.h"
#include "examples/support/log.h"
#include "examples/support/program.h"
#include "integrations/compression/brotli_compressor.h"
#include "integrations/compression/zlib_compressor.h"

ABSL_FLAG(std::string, tls_preset, "intermediate",
          "modern: TLS 1.3 only, client certificates with RSA 3072 or more; intermediate: also "
          "TLS 1.2 with AEAD and ECDHE, and RSA 2048");
ABSL_FLAG(std::string, alpn, "",
          "application protocols in order of preference, comma-separated, as in h2,http/1.1; "
          "empty: ignores clients' offers");
ABSL_FLAG(std::string, alpn_mismatch, "refuse",
          "action for clients that offer protocols, but none of --alpn: refuse, or serve without a "
          "protocol");
ABSL_FLAG(bool, dangerous_unread_http2, false,
          "allows h2, which passes unread, with a --client_auth that differs by name, and with "
          "--client_ca and PROXY v2 headers. Clients can then send requests for other names on one "
          "connection");
ABSL_FLAG(std::string, certificate_compression, "",
          "compresses certificates for clients that support it: brotli, zlib or brotli,zlib in "
          "order of preference");
ABSL_FLAG(
    bool, dynamic_record_sizing, false,
    "begins responses with small TLS records, so that clients can use the first bytes sooner");
ABSL_FLAG(int, session_cache, 0,
          "maximum number of stored sessions, of about 1 KiB each, for TLS 1.2 clients without "
          "session tickets; 0: these clients do not resume");
ABSL_FLAG(int, max_key_updates_per_minute, trestle::ServerTlsOptions().max_key_updates_per_minute,
          "maximum KeyUpdates per minute from a client");
ABSL_FLAG(std::string, dangerous_key_log, "",
          "appends the secrets of all connections to this file (SSLKEYLOGFILE form), which only "
          "its owner can read. Its readers can decrypt the connections. SIGHUP opens it again");

namespace trestle::examples {
namespace {

class KeyLogFile final : public KeyLog {
 public:
  explicit KeyLogFile(std::unique_ptr<SecretLog> log) : log_(std::move(log)) {}

  void OnLine(absl::string_view line) const override { log_->Write(line); }

 private:
  const std::unique_ptr<SecretLog> log_;
};

absl::Status ApplyPreset(ServerTlsOptions& options) {
  const std::string preset = absl::GetFlag(FLAGS_tls_preset);
  if (preset != "modern" && preset != "intermediate") {
    return FlagError("tls_preset", "must be modern or intermediate");
  }
  options.parameters =
      ParametersOf(preset == "modern" ? TlsPreset::kModern : TlsPreset::kIntermediate);
  return absl::OkStatus();
}

absl::Status ApplyAlpn(ServerTlsOptions& options) {
  options.alpn = absl::StrSplit(absl::GetFlag(FLAGS_alpn), ',', absl::SkipEmpty());
  const std::string mismatch = absl::GetFlag(FLAGS_alpn_mismatch);
  if (mismatch != "refuse" && mismatch != "serve") {
    return FlagError("alpn_mismatch", "must be refuse or serve");
  }
  options.alpn_mismatch =
      mismatch == "refuse" ? AlpnMismatch::kRefuse : AlpnMismatch::kServeWithout;
  return absl::OkStatus();
}

absl::Status ApplyCompression(ServerTlsOptions& options) {
  const std::string flag = absl::GetFlag(FLAGS_certificate_compression);
  for (absl::string_view name : absl::StrSplit(flag, ',', absl::SkipEmpty())) {
    if (name == "brotli") {
      options.certificate_compressors.push_back(std::make_shared<BrotliCompressor>());
    } else if (name == "zlib") {
      options.certificate_compressors.push_back(std::make_shared<ZlibCompressor>());
    } else {
      return FlagError("certificate_compression",
                       absl::StrCat("has \"", name, "\", which is neither brotli nor zlib"));
    }
  }
  return absl::OkStatus();
}

absl::Status ApplySessionCache(ServerTlsOptions& options) {
  const int sessions = absl::GetFlag(FLAGS_session_cache);
  if (sessions < 0) return FlagError("session_cache", "must not be negative");
  if (sessions > 0) options.session_cache = std::make_shared<ServerSessionCache>(sessions);
  return absl::OkStatus();
}

absl::Status ApplyKeyLog(ServerTlsOptions& options) {
  const std::string path = absl::GetFlag(FLAGS_dangerous_key_log);
  if (path.empty() || CheckOnly()) return absl::OkStatus();
  // Lines that begin with "#" are comments in a key log.
  absl::StatusOr<std::unique_ptr<SecretLog>> log = SecretLog::Open(
      "key", path, [](uint64_t lost) { return absl::StrCat("# ", lost, " lines lost"); });
  if (!log.ok()) {
    return FlagError("dangerous_key_log",
                     absl::StrCat("can't be written: ", Sentence(log.status())));
  }
  options.dangerous_key_log = std::make_shared<const KeyLogFile>(*std::move(log));
  return absl::OkStatus();
}

}  // namespace

bool UnreadHttp2Allowed() { return absl::GetFlag(FLAGS_dangerous_unread_http2); }

absl::Status ApplyFrontFlags(ServerTlsOptions& options) {
  options.answer_plain_http = AnswerPlainHttp();
  options.dynamic_record_sizing = absl::GetFlag(FLAGS_dynamic_record_sizing);
  options.max_key_updates_per_minute = absl::GetFlag(FLAGS_max_key_updates_per_minute);
  absl::Status status = ApplyPreset(options);
  if (status.ok()) status = ApplyAlpn(options);
  if (status.ok()) status = ApplyCompression(options);
  if (status.ok()) status = ApplySessionCache(options);
  if (status.ok()) status = ApplyKeyLog(options);
  return status;
}

}  // namespace trestle::examples
