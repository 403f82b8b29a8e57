// LDAP, PostgreSQL and MySQL: one binary message in each direction.

#include <openssl/bytestring.h>

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "lib/watch/start_tls/start_tls_script.h"
#include "trestle/base/bytes.h"

namespace trestle {
namespace {

/// PostgreSQL, "Message Formats", SSLRequest.
class PostgresScript final : public StartTlsScript {
 public:
  PostgresScript() {
    // Length 8 and the request code 1234.5679.
    constexpr char kRequest[] = {0, 0, 0, 8, 0x04, static_cast<char>(0xd2), 0x16, 0x2f};
    Say(absl::string_view(kRequest, sizeof(kRequest)));
  }

  void TakeByte(char answer) override {
    if (answer == 'S') return Finish();
    if (answer == 'N') return Fail("the server does not offer TLS");
    FailOn(absl::string_view(&answer, 1), "a PostgreSQL SSLRequest");
  }
};

/// MySQL, "Connection Phase": the server's handshake packet, and an SSLRequest in reply.
class MysqlScript final : public StartTlsScript {
 public:
  void TakeByte(char byte) override {
    packet_.push_back(byte);
    if (packet_.size() < kHeaderBytes) return;
    const size_t length = Byte(0) | Byte(1) << 8 | Byte(2) << 16;
    // A handshake has about a hundred bytes; the dialogue limits longer ones.
    if (length < 2 || length > StartTlsDialogue::kMaxBytes) return FailForm();
    if (packet_.size() == kHeaderBytes + length) TakePacket();
  }

 private:
  static constexpr size_t kHeaderBytes = 4;
  static constexpr unsigned kProtocol = 10;
  static constexpr unsigned kError = 0xff;

  // Capability flags.
  static constexpr unsigned kProtocol41 = 0x200;
  static constexpr unsigned kSsl = 0x800;
  static constexpr unsigned kSecureConnection = 0x8000;

  unsigned Byte(size_t index) const { return static_cast<uint8_t>(packet_[index]); }

  void FailForm() { Fail("the server's greeting is not a MySQL handshake"); }

  void TakePacket() {
    const absl::string_view payload = absl::string_view(packet_).substr(kHeaderBytes);
    if (Byte(kHeaderBytes) == kError) {
      const absl::string_view words = payload.substr(payload.size() < 3 ? payload.size() : 3);
      return Fail(absl::StrCat("the server refuses connections: ", QuotedAnswer(words)));
    }
    if (Byte(kHeaderBytes) != kProtocol) return FailForm();
    // Version and NUL; thread (4), salt (8), filler (1); then the lower half of the capabilities.
    const size_t version_end = payload.find('\0', 1);
    if (version_end == absl::string_view::npos) return FailForm();
    const size_t at = kHeaderBytes + version_end + 1 + 4 + 8 + 1;
    if (at + 2 > packet_.size()) return FailForm();
    if (((Byte(at) | Byte(at + 1) << 8) & kSsl) == 0) return Fail("the server does not offer TLS");
    Say(Request());
    Finish();
  }

  static std::string Request() {
    constexpr unsigned kCapabilities = kProtocol41 | kSsl | kSecureConnection;
    constexpr char kUtf8 = 33;
    std::string request = {32, 0, 0, 1};  // Length and number of the packet.
    request +=
        {static_cast<char>(kCapabilities & 0xff), static_cast<char>(kCapabilities >> 8), 0, 0};
    request += {0, 0, 0, 1, kUtf8};  // Packets of 16 MiB at most; the character set.
    request.resize(4 + 32);
    return request;
  }

  std::string packet_;
};

/// RFC 4511 4.14: an extended operation and its response, each a BER element.
class LdapScript final : public StartTlsScript {
 public:
  LdapScript() {
    // LDAPMessage { messageID 1, extendedReq { requestName "1.3.6.1.4.1.1466.20037" } }
    constexpr char kRequest[] =
        "\x30\x1d\x02\x01\x01\x77\x18\x80\x16"
        "1.3.6.1.4.1.1466.20037";
    Say(absl::string_view(kRequest, sizeof(kRequest) - 1));
  }

  void TakeByte(char byte) override {
    message_.push_back(byte);
    if (message_.front() != 0x30) return FailForm();
    CBS input = Contents(message_);
    CBS element;
    size_t header_bytes = 0;
    int is_ber = 0;
    int is_indefinite = 0;
    CBS_ASN1_TAG tag = 0;
    const bool complete = CBS_get_any_ber_asn1_element(&input, &element, &tag, &header_bytes,
                                                       &is_ber, &is_indefinite);
    if (!complete) return;  // The dialogue's limits bound the wait for the rest.
    if (is_indefinite || !CBS_skip(&element, header_bytes)) return FailForm();
    TakeMessage(element);
  }

 private:
  static constexpr CBS_ASN1_TAG kExtendedResponse =
      CBS_ASN1_APPLICATION | CBS_ASN1_CONSTRUCTED | 24;

  static CBS Contents(const std::string& text) {
    CBS cbs;
    CBS_init(&cbs, reinterpret_cast<const uint8_t*>(text.data()), text.size());
    return cbs;
  }

  // Lengths may have a longer form than in DER; some servers always write four bytes.
  static bool Get(CBS& from, CBS& contents, CBS_ASN1_TAG wanted) {
    CBS_ASN1_TAG tag = 0;
    size_t header_bytes = 0;
    int is_ber = 0;
    int is_indefinite = 0;
    return CBS_get_any_ber_asn1_element(&from, &contents, &tag, &header_bytes, &is_ber,
                                        &is_indefinite) &&
           !is_indefinite && tag == wanted && CBS_skip(&contents, header_bytes);
  }

  void FailForm() { Fail("the server's answer to StartTLS is not an LDAP message"); }

  void TakeMessage(CBS message) {
    CBS id;
    CBS response;
    CBS code;
    CBS matched;
    CBS words;
    uint8_t result = 0;
    const bool good =
        Get(message, id, CBS_ASN1_INTEGER) && Get(message, response, kExtendedResponse) &&
        Get(response, code, CBS_ASN1_ENUMERATED) && CBS_get_u8(&code, &result) &&
        Get(response, matched, CBS_ASN1_OCTETSTRING) && Get(response, words, CBS_ASN1_OCTETSTRING);
    if (!good) return FailForm();
    if (result == 0) return Finish();
    const absl::string_view text = AsText(ByteView(CBS_data(&words), CBS_len(&words)));
    Fail(absl::StrCat("the server refuses StartTLS with the result ", result, ": ",
                      QuotedAnswer(text)));
  }

  std::string message_;
};

}  // namespace

std::unique_ptr<StartTlsScript> NewBinaryScript(StartTls protocol) {
  switch (protocol) {
    case StartTls::kLdap:
      return std::make_unique<LdapScript>();
    case StartTls::kPostgres:
      return std::make_unique<PostgresScript>();
    case StartTls::kMysql:
      return std::make_unique<MysqlScript>();
    default:
      return nullptr;
  }
}

}  // namespace trestle
