// Encrypted ClientHellos: the input is the outer hello and the plaintext of the inner one, which
// this target encrypts. A router in split mode and a BoringSSL server in shared mode read the same
// inner hello, or both reject it. EchCase describes the format.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/tls/ech_agreement.h"
#include "trestle/base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* const agreement = new trestle::testing::EchAgreement;
  const auto input = trestle::testing::EchCase::Parse(trestle::AsText({data, size}));
  const std::string disagreement = agreement->Check(input);
  if (disagreement.empty()) return 0;
  std::fprintf(stderr, "disagree: %s\n", disagreement.c_str());
  std::abort();
}
