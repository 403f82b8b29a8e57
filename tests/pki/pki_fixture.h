// What the tests of the pki floor share: a PKI at a fixed time, and chains as the library has them.
#ifndef TRESTLE_TESTS_PKI_PKI_FIXTURE_H_
#define TRESTLE_TESTS_PKI_PKI_FIXTURE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/pki/x509_certificate.h"
#include "trestle/base/error.h"
#include "trestle/testing/test_pki.h"

namespace trestle::testing {

/// The code of a failed status; fails the test, and gives kInternal, if there is none.
ErrorCode CodeOf(const absl::Status& status);

/// The detail of a status with kConfiguration; empty for OK. Fails the test for other codes.
std::string ConfigurationFault(const absl::Status& status);

/// A leaf for one name.
LeafSpec LeafFor(std::string name, KeyType key_type = KeyType::kEcdsa);

/// The first block of a PEM text.
std::string FirstBlock(const std::string& pem);

/// A PEM block of `label` with any bytes.
std::string PemBlockOf(absl::string_view label, absl::string_view der);

/// The certificates of a PEM text, in its order.
CertificateChain ChainOf(const std::string& pem);

class PkiTest : public ::testing::Test {
 protected:
  const absl::Time now_ = absl::FromUnixSeconds(1'767'225'600);  // 2026-01-01
  TestPki pki_{now_};
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_PKI_PKI_FIXTURE_H_
