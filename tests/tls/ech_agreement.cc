#include "tests/tls/ech_agreement.h"

#include <openssl/err.h>
#include <openssl/hpke.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/base/bytes.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/ech_keys.h"
#include "trestle/wire/client_hello.h"

namespace trestle::testing {
namespace {

constexpr uint8_t kConfigId = 7;

std::string MessageOf(absl::string_view body) {
  const size_t size = body.size();
  return absl::StrCat(std::string({'\1', static_cast<char>(size >> 16),
                                   static_cast<char>(size >> 8), static_cast<char>(size)}),
                      body);
}

// Returns a builder of the same hello, with another random value.
HelloBuilder BuilderOf(const ClientHello& hello) {
  std::vector<uint16_t> suites;
  for (uint16_t suite : hello.cipher_suites) suites.push_back(suite);
  HelloBuilder builder;
  builder.SetLegacyVersion(hello.legacy_version)
      .SetSessionId(AsText(hello.session_id))
      .SetCipherSuites(suites)
      .SetCompressionMethods(AsText(hello.compression_methods));
  for (const HelloExtension& extension : hello.extensions) {
    builder.Add(extension.type, AsText(extension.body));
  }
  return builder;
}

// Parses as ClientHelloReader does.
bool Parses(absl::string_view message, ClientHello& hello) {
  return message.size() <= 4 + HelloLimits().hello_bytes &&
         ParseClientHello(AsBytes(message), {}, hello).ok();
}

// Returns whether BoringSSL lacks the violated rule.
bool IsOurOwnRule(const EchOpening& opening, absl::string_view inner) {
  switch (opening.fault) {
    case EchFault::kInnerInClear:  // BoringSSL may be the backend.
    case EchFault::kReferenceToList:
    case EchFault::kSecondName:
    case EchFault::kSecondAlpn:
      return true;
    case EchFault::kInnerTooLarge:
      return inner.size() > 4 + HelloLimits().hello_bytes;
    case EchFault::kMalformedInner: {
      ClientHello hello;
      return !Parses(inner, hello);
    }
    default:
      return false;
  }
}

// The app data of an SSL that answers a case.
struct Record {
  bool outer = false;
  std::string inner;
  bool stop = false;
};

Record* RecordOf(const SSL* ssl) { return static_cast<Record*>(SSL_get_app_data(ssl)); }

void OnMessage(int is_write, int /*version*/, int type, const void* bytes, size_t size, SSL* ssl,
               void* /*arg*/) {
  if (is_write != 0 || type != SSL3_RT_CLIENT_HELLO_INNER) return;
  RecordOf(ssl)->inner.assign(static_cast<const char*>(bytes), size);
}

ssl_select_cert_result_t OnHello(const SSL_CLIENT_HELLO* hello) {
  Record* const record = RecordOf(hello->ssl);
  record->outer = SSL_ech_accepted(hello->ssl) == 0;
  return record->stop ? ssl_select_cert_error : ssl_select_cert_success;
}

}  // namespace

EchCase EchCase::Parse(absl::string_view input) {
  EchCase parsed;
  if (input.size() < 5) return parsed;
  const ByteView bytes = AsBytes(input);
  parsed.second = (bytes[0] & 1) != 0;
  parsed.changed_at = static_cast<uint16_t>(bytes[1] << 8 | bytes[2]);
  const size_t outer_bytes = static_cast<size_t>(bytes[3] << 8 | bytes[4]);
  parsed.outer = std::string(input.substr(5, outer_bytes));
  parsed.encoded = std::string(input.substr(std::min(input.size(), 5 + outer_bytes)));
  return parsed;
}

std::string EchCase::Text() const {
  const auto byte = [](size_t value) { return static_cast<char>(value & 0xff); };
  return absl::StrCat(std::string({byte(second ? 1 : 0), byte(changed_at >> 8), byte(changed_at),
                                   byte(outer.size() >> 8), byte(outer.size())}),
                      outer, encoded);
}

EchAgreement::EchAgreement()
    : pair_(NewEchPair(kConfigId, "public.test")),
      opener_(*EchKeyOpener::Create(*EchKeys::FromPem(pair_.pem()), kNoBudget)),
      server_(MakeRawContext()) {
  const TestPki pki(absl::UnixEpoch() + absl::Hours(24 * 365 * 56));
  UsePem(server_.get(), pki.Issue(LeafFor("a.test")));
  // A group without a key share in the kit's hellos.
  const uint16_t group = SSL_GROUP_SECP384R1;
  SSL_CTX_set1_group_ids(server_.get(), &group, 1);
  SSL_CTX_set_msg_callback(server_.get(), OnMessage);
  SSL_CTX_set_select_certificate_cb(server_.get(), OnHello);
  bssl::UniquePtr<SSL_ECH_KEYS> keys(SSL_ECH_KEYS_new());
  const ByteView config = AsBytes(pair_.config_list).subspan(2);
  const bool added =
      SSL_ECH_KEYS_add(keys.get(), 1, config.data(), config.size(), pair_.key.get()) == 1 &&
      SSL_CTX_set1_ech_keys(server_.get(), keys.get()) == 1;
  EXPECT_TRUE(added);
}

std::string EchAgreement::Check(const EchCase& input) {
  const std::string message = MessageOf(input.outer);
  verdict_ = EchVerdict::kNotOffered;
  ClientHello hello;
  if (!Parses(message, hello)) return "";
  if (!hello.ech.has_value() || hello.ech->is_inner) return CheckFirst(message);
  EchForge forge(pair_);
  if (input.second) {
    forge.config_id = kConfigId;
    return CheckSecond(forge, BuilderOf(hello), input);
  }
  forge.config_id = hello.ech->config_id;
  forge.kdf_id = hello.ech->kdf_id;
  forge.aead_id = hello.ech->aead_id;
  forge.send_key = !hello.ech->enc.empty();
  std::string sealed = forge.Seal(BuilderOf(hello), input.encoded);
  if (input.changed_at != 0) sealed[input.changed_at % sealed.size()] ^= 0x21;
  return CheckFirst(sealed);
}

std::string EchAgreement::CheckFirst(const std::string& message) {
  ClientHello hello;
  if (!Parses(message, hello)) return "";
  return Compare(opener_->Open(hello, Endpoint(), MonotonicTime()), AskServer(message, ""));
}

std::string EchAgreement::CheckSecond(EchForge& forge, const HelloBuilder& outer,
                                      const EchCase& input) {
  const std::string first = forge.Seal(OuterHello(), EchForge::Encode(InnerHelloFor("a.test")));
  ClientHello hello;
  EXPECT_TRUE(ParseClientHello(AsBytes(first), {}, hello).ok());
  const EchOpening opening = opener_->Open(hello, Endpoint(), MonotonicTime());
  EXPECT_EQ(opening.verdict, EchVerdict::kOpened) << opening.error;
  ClientHello given;
  const std::string given_message = MessageOf(input.outer);
  EXPECT_TRUE(ParseClientHello(AsBytes(given_message), {}, given).ok());
  forge.config_id = given.ech->config_id;
  forge.kdf_id = given.ech->kdf_id;
  forge.aead_id = given.ech->aead_id;
  forge.send_key = !given.ech->enc.empty();
  std::string second = forge.Seal(outer, input.encoded);
  if (input.changed_at != 0) second[input.changed_at % second.size()] ^= 0x21;
  ClientHello again;
  if (!Parses(second, again)) return "";
  return Compare(opening.context->OpenSecond(again), AskServer(first, second));
}

EchAgreement::Seen EchAgreement::AskServer(absl::string_view first, absl::string_view second) {
  Record record;
  record.stop = second.empty();
  RawPeer server(server_.get(), true);
  SSL_set_app_data(server.ssl(), &record);
  server.GiveInput(InRecords(first));
  server.Handshake();
  if (!second.empty()) {
    EXPECT_TRUE(SSL_used_hello_retry_request(server.ssl()));
    record = Record();
    server.GiveInput(InRecords(second));
    server.Handshake();
  }
  ERR_clear_error();
  return {record.outer, std::move(record.inner)};
}

std::string EchAgreement::Compare(const EchOpening& opening, const Seen& seen) {
  verdict_ = opening.verdict;
  switch (opening.verdict) {
    case EchVerdict::kOpened:
      return opening.inner->message == seen.inner ? "" : "the server read another inner hello";
    case EchVerdict::kMalformed: {
      const bool refused = !seen.outer && seen.inner.empty();
      if (refused || IsOurOwnRule(opening, seen.inner)) return "";
      return absl::StrCat("the server accepts: ", EnumName(opening.fault));
    }
    default:
      return seen.outer ? "" : "the server doesn't use the outer hello";
  }
}

}  // namespace trestle::testing
