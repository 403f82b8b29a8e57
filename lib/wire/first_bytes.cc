#include "lib/wire/first_bytes.h"

#include <algorithm>

namespace trestle {
namespace wire_internal {
namespace {

struct Signature {
  // The bytes that identify a protocol. In SSLv2's, a '?' matches any byte, and the first byte's
  // lower bits are ignored.
  absl::string_view bytes;
  HelloState state;
  absl::string_view detail;
};

constexpr HelloState kTls = HelloState::kNeedMore;
constexpr HelloState kNotTls = HelloState::kNotTls;
constexpr HelloState kMalformed = HelloState::kMalformed;
constexpr absl::string_view kHttp = "plaintext HTTP on a TLS port";
constexpr absl::string_view kHttpAnswer = "a plaintext HTTP answer on a TLS port";
constexpr absl::string_view kSslV2 = "an SSLv2 hello, which RFC 6176 forbids";
constexpr absl::string_view kPostgres =
    "a PostgreSQL request; Postgres clients need sslnegotiation=direct here";

// No entry is a prefix of another. Bytes that match one entry never match a second one when more
// bytes follow, so verdicts are final.
constexpr Signature kSignatures[] = {
    {{"\x16\x03", 2}, kTls, ""},
    {{"\x14\x03", 2}, kMalformed, "a change_cipher_spec record came before the ClientHello"},
    {{"\x15\x03", 2}, kMalformed, "an alert record came before the ClientHello"},
    {{"\x17\x03", 2}, kMalformed, "an application_data record came before the ClientHello"},
    {{"\x18\x03", 2}, kMalformed, "a heartbeat record came before the ClientHello"},
    {{"\x16\xfe", 2}, kNotTls, "a DTLS record on a TCP connection"},
    {"GET", kNotTls, kHttp},
    {"POS", kNotTls, kHttp},
    {"PUT", kNotTls, kHttp},
    {"PAT", kNotTls, kHttp},
    {"HEA", kNotTls, kHttp},
    {"DEL", kNotTls, kHttp},
    {"OPT", kNotTls, kHttp},
    {"CON", kNotTls, kHttp},
    {"TRA", kNotTls, kHttp},
    {"PROP", kNotTls, kHttp},
    {"HTT", kNotTls, kHttpAnswer},
    {"PRI", kNotTls, "plaintext HTTP/2 on a TLS port"},
    {"PROX", kNotTls, "a PROXY protocol v1 header where none is expected"},
    {{"\r\n\r\n\0", 5}, kNotTls, "a PROXY protocol v2 header where none is expected"},
    {"SSH", kNotTls, "an SSH banner"},
    {"EHL", kNotTls, "plaintext SMTP"},
    {"HEL", kNotTls, "plaintext SMTP"},
    {{"\x80?\x01", 3}, kNotTls, kSslV2},
    {{"\x00\x00\x00\x08\x04\xd2\x16\x2f", 8}, kNotTls, kPostgres},
    {{"\x00\x00\x00\x08\x04\xd2\x16\x30", 8}, kNotTls, kPostgres},
    {{"\x03\x00\x00", 3}, kNotTls, "an RDP (TPKT) request"},
};

bool MatchesSoFar(const Signature& signature, ByteView prefix) {
  const size_t size = std::min(signature.bytes.size(), prefix.size());
  const bool is_sslv2 = signature.detail == kSslV2;
  for (size_t i = 0; i < size; ++i) {
    const uint8_t want = static_cast<uint8_t>(signature.bytes[i]);
    const uint8_t have = is_sslv2 && i == 0 ? prefix[i] & 0x80 : prefix[i];
    if (want != have && !(is_sslv2 && want == '?')) return false;
  }
  return true;
}

}  // namespace

bool IsPlainHttpRequest(ByteView prefix) {
  const FirstBytesVerdict verdict = JudgeFirstBytes(prefix);
  return verdict.decided && verdict.detail == kHttp;
}

absl::string_view PlainHttpAnswer() {
  return "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 37\r\n"
         "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
         "400 This port speaks HTTPS, not HTTP\n";
}

FirstBytesVerdict JudgeFirstBytes(ByteView prefix) {
  // Nearly every connection begins with these bytes; they need no search.
  if (prefix.size() >= 2 && prefix[0] == 0x16 && prefix[1] == 3) return {true, kTls, ""};
  bool could_match = prefix.empty();
  for (const Signature& signature : kSignatures) {
    if (!MatchesSoFar(signature, prefix)) continue;
    if (prefix.size() >= signature.bytes.size()) return {true, signature.state, signature.detail};
    could_match = true;
  }
  if (could_match) return {};
  if (prefix[0] == 0x16) return {true, kNotTls, "a record version that is not a TLS version"};
  return {true, kNotTls, "the first byte is not that of a TLS record"};
}

}  // namespace wire_internal
}  // namespace trestle
