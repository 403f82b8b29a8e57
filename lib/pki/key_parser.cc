#include "lib/pki/key_parser.h"

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/pem.h>
#include <openssl/pkcs8.h>
#include <openssl/rsa.h>

#include <array>
#include <cstring>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

using Key = bssl::UniquePtr<EVP_PKEY>;

// Checks the optional public key of PKCS#8 version 2, in raw form.
bool HasPublicKey(const EVP_PKEY* key, CBS bits) {
  uint8_t unused_bits = 0;
  std::array<uint8_t, 128> raw;
  size_t length = raw.size();
  if (!CBS_get_u8(&bits, &unused_bits) || unused_bits != 0) return false;
  // Other kinds of keys are compared with the certificate later.
  if (!EVP_PKEY_get_raw_public_key(key, raw.data(), &length)) return true;
  return AsText(ByteView(raw.data(), length)) == AsText(ByteView(CBS_data(&bits), CBS_len(&bits)));
}

// PKCS#8 version 2 (RFC 5958 2), which OpenSSL and others write for Ed25519. BoringSSL reads only
// version 1, so this re-encodes the key.
Key ParseVersion2(CBS* der) {
  constexpr CBS_ASN1_TAG kAttributes = CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0;
  constexpr CBS_ASN1_TAG kPublicKey = CBS_ASN1_CONTEXT_SPECIFIC | 1;
  CBS info;
  CBS algorithm;
  CBS private_key;
  CBS public_key;
  uint64_t version = 0;
  int has_public_key = 0;
  if (!CBS_get_asn1(der, &info, CBS_ASN1_SEQUENCE) || !CBS_get_asn1_uint64(&info, &version) ||
      version != 1 || !CBS_get_asn1_element(&info, &algorithm, CBS_ASN1_SEQUENCE) ||
      !CBS_get_asn1_element(&info, &private_key, CBS_ASN1_OCTETSTRING) ||
      !CBS_get_optional_asn1(&info, nullptr, nullptr, kAttributes) ||
      !CBS_get_optional_asn1(&info, &public_key, &has_public_key, kPublicKey) ||
      CBS_len(&info) != 0) {
    return nullptr;
  }
  bssl::ScopedCBB out;
  CBB version_1;
  uint8_t* bytes = nullptr;
  size_t length = 0;
  if (!CBB_init(out.get(), 64) || !CBB_add_asn1(out.get(), &version_1, CBS_ASN1_SEQUENCE) ||
      !CBB_add_asn1_uint64(&version_1, 0) ||
      !CBB_add_bytes(&version_1, CBS_data(&algorithm), CBS_len(&algorithm)) ||
      !CBB_add_bytes(&version_1, CBS_data(&private_key), CBS_len(&private_key)) ||
      !CBB_finish(out.get(), &bytes, &length)) {
    return nullptr;
  }
  const bssl::UniquePtr<uint8_t> owner(bytes);
  CBS rewritten;
  CBS_init(&rewritten, bytes, length);
  Key key(EVP_parse_private_key(&rewritten));
  if (key != nullptr && has_public_key != 0 && !HasPublicKey(key.get(), public_key)) key.reset();
  return key;
}

Key ParsePkcs8(CBS* der) {
  CBS again = *der;
  Key key(EVP_parse_private_key(der));
  if (key != nullptr) return key;
  *der = again;
  return ParseVersion2(der);
}

Key ParseSec1(CBS* der) {
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_parse_private_key(der, nullptr));
  Key key(EVP_PKEY_new());
  if (ec == nullptr || key == nullptr || !EVP_PKEY_set1_EC_KEY(key.get(), ec.get())) return nullptr;
  return key;
}

Key ParsePkcs1(CBS* der) {
  bssl::UniquePtr<RSA> rsa(RSA_parse_private_key(der));
  Key key(EVP_PKEY_new());
  if (rsa == nullptr || key == nullptr || !EVP_PKEY_set1_RSA(key.get(), rsa.get())) return nullptr;
  return key;
}

// Returns the name of an object identifier: BoringSSL's, or that of a known unsupported one.
std::string OidText(CBS oid) {
  static constexpr struct {
    absl::string_view oid;
    absl::string_view name;
  } kOthers[] = {
      {"1.3.6.1.4.1.11591.4.11", "scrypt"},
      {"1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"},
      {"1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1"},
      {"1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1"},
      {"1.2.156.10197.1.301", "SM2"},
      {"2.16.840.1.101.3.4.3.17", "ML-DSA-44"},
      {"2.16.840.1.101.3.4.3.18", "ML-DSA-65"},
      {"2.16.840.1.101.3.4.3.19", "ML-DSA-87"},
  };
  const int nid = OBJ_cbs2nid(&oid);
  if (nid == NID_X9_62_id_ecPublicKey) return "EC";
  if (const char* curve = EC_curve_nid2nist(nid)) return curve;
  if (nid != NID_undef) return OBJ_nid2sn(nid);
  const bssl::UniquePtr<char> text(CBS_asn1_oid_to_text(&oid));
  ERR_clear_error();
  if (text == nullptr) return "an unreadable identifier";
  for (const auto& other : kOthers) {
    if (text.get() == other.oid) return std::string(other.name);
  }
  return text.get();
}

// Adds the names of the identifiers that `from` has at the start of its nested sequences. These are
// an algorithm, and those in its parameters, such as key derivation, pseudorandom function and
// cipher.
void AddOids(CBS from, int depth, std::vector<std::string>& names) {
  constexpr int kMaxDepth = 8;
  while (depth < kMaxDepth && CBS_len(&from) > 0) {
    CBS element;
    CBS_ASN1_TAG tag = 0;
    if (!CBS_get_any_asn1(&from, &element, &tag)) return;
    if (tag == CBS_ASN1_OBJECT) names.push_back(OidText(element));
    const bool nested =
        tag == CBS_ASN1_SEQUENCE || tag == (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0);
    if (nested) AddOids(element, depth + 1, names);
  }
}

// Describes the key or its encryption by its own identifiers: "EC, secp256k1"; empty without any.
std::string ContentsText(const PemBlock& block) {
  CBS der;
  CBS_init(&der, block.der.get(), block.der_bytes);
  std::vector<std::string> names;
  AddOids(der, 0, names);
  ERR_clear_error();
  return absl::StrJoin(names, ", ");
}

// Gives BoringSSL the passphrase that `user` points to.
int GivePassphrase(char* out, int max_bytes, int /*writing*/, void* user) {
  const std::string& passphrase = *static_cast<const std::string*>(user);
  if (passphrase.size() > static_cast<size_t>(max_bytes)) return -1;
  std::memcpy(out, passphrase.data(), passphrase.size());
  return static_cast<int>(passphrase.size());
}

// Returns whether the encryption method failed, rather than the passphrase.
bool TakeUnsupported() {
  bool unsupported = false;
  while (const uint32_t error = ERR_get_error()) {
    const int reason = ERR_GET_REASON(error);
    if (ERR_GET_LIB(error) == ERR_LIB_PKCS8) {
      unsupported |= reason == PKCS8_R_UNKNOWN_ALGORITHM || reason == PKCS8_R_UNSUPPORTED_CIPHER ||
                     reason == PKCS8_R_UNSUPPORTED_KEY_DERIVATION_FUNCTION ||
                     reason == PKCS8_R_UNSUPPORTED_PRF || reason == PKCS8_R_UNSUPPORTED_KEYLENGTH ||
                     reason == PKCS8_R_BAD_ITERATION_COUNT;
    }
    if (ERR_GET_LIB(error) == ERR_LIB_PEM) {
      unsupported |= reason == PEM_R_UNSUPPORTED_CIPHER || reason == PEM_R_UNSUPPORTED_ENCRYPTION;
    }
  }
  return unsupported;
}

// "AES-256-CBC" of the header "DEK-Info: AES-256-CBC,0123…" (RFC 1421 4.6.1.3).
std::string HeaderCipher(absl::string_view header) {
  constexpr absl::string_view kField = "DEK-Info:";
  const size_t at = header.find(kField);
  if (at == absl::string_view::npos) return "";
  const absl::string_view rest = header.substr(at + kField.size());
  return EscapeForLog(
      absl::StripAsciiWhitespace(rest.substr(0, std::min(rest.find_first_of(",\n"), rest.size()))));
}

}  // namespace

bool IsEncryptedKey(const PemBlock& block) {
  return block.label == PEM_STRING_PKCS8 || absl::StrContains(block.header, "ENCRYPTED");
}

absl::StatusOr<Key> ParseKey(const PemReader& reader, const PemBlock& block) {
  CBS der;
  CBS_init(&der, block.der.get(), block.der_bytes);
  Key key;
  if (block.label == PEM_STRING_PKCS8INF) key = ParsePkcs8(&der);
  if (block.label == PEM_STRING_EC) key = ParseSec1(&der);
  if (block.label == PEM_STRING_RSA) key = ParsePkcs1(&der);
  ERR_clear_error();
  if (key != nullptr && CBS_len(&der) == 0) return key;
  const std::string contents = ContentsText(block);
  return reader.Fail(block, absl::StrCat("the private key doesn't parse (PEM block \"", block.label,
                                         "\"", contents.empty() ? "" : ": ", contents, ")"));
}

absl::StatusOr<Key> DecryptKey(const PemReader& reader, const PemBlock& block,
                               std::string& passphrase) {
  ERR_clear_error();
  bssl::UniquePtr<BIO> bio(BIO_new_mem_buf(block.text.data(), static_cast<int>(block.text.size())));
  Key key(bio == nullptr
              ? nullptr
              : PEM_read_bio_PrivateKey(bio.get(), nullptr, GivePassphrase, &passphrase));
  OPENSSL_cleanse(passphrase.data(), passphrase.size());
  const bool unsupported = TakeUnsupported();
  if (key != nullptr) return key;
  if (!unsupported) {
    return reader.Fail(block, "the private key can't be decrypted with its passphrase");
  }
  const std::string header_cipher = HeaderCipher(block.header);
  return reader.Fail(block,
                     absl::StrCat("the private key is encrypted in a way that is not supported (",
                                  header_cipher.empty() ? ContentsText(block) : header_cipher,
                                  "): encrypt it with \"openssl pkcs8 -topk8 -v2 aes-256-cbc\""));
}

}  // namespace trestle
