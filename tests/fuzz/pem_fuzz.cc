// Files from operators: CAs, revocation lists, chains, private keys, ECH keys, and OCSP responses.
// Every content is accepted or rejected with a typed error, and repeated reads give the same
// result.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/pki/pki_internals.h"
#include "tests/fuzz/fuzz_input.h"
#include "trestle/base/error.h"
#include "trestle/pki/private_key.h"
#include "trestle/pki/trust_store.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/credential.h"
#include "trestle/tls/ech_keys.h"

namespace trestle {
namespace {

// Returns whether the file was accepted.
template <typename T>
bool Judge(const absl::StatusOr<T>& made) {
  if (made.ok()) {
    Require(*made != nullptr, "what is taken is there");
    return true;
  }
  const auto error = GetError(made.status());
  Require(error.has_value() && error->code == ErrorCode::kConfiguration, "errors are typed");
  Require(!error->detail.empty(), "errors say what is wrong");
  return false;
}

struct Good {
  Good() : pki(absl::UnixEpoch() + absl::Hours(24 * 365 * 56)), leaf(pki.Issue({{"a.test"}})) {}
  const testing::TestPki pki;
  const testing::PemPair leaf;
};

void ReadAll(absl::string_view text) {
  static const Good* const good = new Good();
  const auto store = TrustStore::Create(text);
  if (Judge(store)) {
    Require((*TrustStore::Create(text))->digest() == (*store)->digest(), "reading is stable");
    Require(!PkiInternals::CaNames(**store).empty(), "a store has a CA");
    Require(!(*store)->has_crls(), "CRLs among CAs are not read");
  }
  Judge(TrustStore::Create(good->pki.ca_pem(), text));
  Judge(PrivateKey::FromPem(text));
  Judge(EchKeys::FromPem(text));
  const auto credential = Credential::FromPem(text, text);
  if (Judge(credential)) {
    Require(!(*credential)->chain().empty(), "a credential has a leaf");
    Require(!NamesOf((*credential)->chain().front()).empty(), "a server's leaf has a name");
  }
  Judge(Credential::FromPem(text, good->leaf.key));
  CredentialOptions stapled;
  stapled.staple = std::string(text);
  Judge(Credential::FromPem(good->leaf.chain + good->pki.ca_pem(), good->leaf.key, stapled));
}

}  // namespace
}  // namespace trestle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 32 * 1024) return 0;
  trestle::ReadAll(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
