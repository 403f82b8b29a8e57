// The common parts of the pki floor's tests: a PKI at a fixed time, and parsed chains.
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

/// Returns the code of a failed status. Without a failure, fails the test and returns kInternal.
ErrorCode CodeOf(const absl::Status& status);

/// Returns the detail of a status with kConfiguration; empty for OK. Fails the test for other
/// codes.
std::string ConfigurationFault(const absl::Status& status);

/// Returns the specification of a leaf for one name.
LeafSpec LeafFor(std::string name, KeyType key_type = KeyType::kEcdsa);

/// Returns the first block of a PEM text.
std::string FirstBlock(const std::string& pem);

/// Returns a PEM block of `label` with any bytes.
std::string PemBlockOf(absl::string_view label, absl::string_view der);

/// Returns the certificates of a PEM text, in its order.
CertificateChain ChainOf(const std::string& pem);

class PkiTest : public ::testing::Test {
 protected:
  const absl::Time now_ = absl::FromUnixSeconds(1'767'225'600);  // 2026-01-01
  TestPki pki_{now_};
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_PKI_PKI_FIXTURE_H_
