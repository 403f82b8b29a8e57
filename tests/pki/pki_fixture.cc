#include "tests/pki/pki_fixture.h"

#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/pki/pem.h"

namespace trestle::testing {

ErrorCode CodeOf(const absl::Status& status) {
  const std::optional<Error> error = GetError(status);
  EXPECT_TRUE(error.has_value()) << status;
  return error.has_value() ? error->code : ErrorCode::kInternal;
}

std::string ConfigurationFault(const absl::Status& status) {
  if (status.ok()) return "";
  EXPECT_EQ(CodeOf(status), ErrorCode::kConfiguration);
  return GetError(status)->detail;
}

LeafSpec LeafFor(std::string name, KeyType key_type) {
  LeafSpec leaf;
  leaf.dns_names = {std::move(name)};
  leaf.key_type = key_type;
  return leaf;
}

std::string FirstBlock(const std::string& pem) { return pem.substr(0, pem.find("-----BEGIN", 1)); }

std::string PemBlockOf(absl::string_view label, absl::string_view der) {
  return absl::StrCat("-----BEGIN ", label, "-----\n", absl::Base64Escape(der), "\n-----END ",
                      label, "-----\n");
}

CertificateChain ChainOf(const std::string& pem) {
  absl::StatusOr<PemCertificates> certificates = ReadCertificatesPem(pem, "the test's chain");
  EXPECT_TRUE(certificates.ok()) << certificates.status();
  return certificates.ok() ? std::move(certificates->chain) : CertificateChain();
}

}  // namespace trestle::testing
