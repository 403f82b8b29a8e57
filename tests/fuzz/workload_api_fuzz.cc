// Messages of a SPIFFE agent: any bytes give an update within the limits or a typed error. What is
// an update is made into a context, or refused with a typed error.
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "integrations/spiffe/workload_api.h"
#include "integrations/spiffe/x509_context.h"
#include "tests/fuzz/fuzz_input.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace trestle;
  const auto update = DecodeWorkloadUpdate(ByteView(data, size));
  if (!update.ok()) {
    const auto error = GetError(update.status());
    Require(error.has_value(), "a failure has a type");
    Require(error->code == ErrorCode::kProtocol || error->code == ErrorCode::kOverLimit,
            "a message is malformed or over a limit");
    return 0;
  }
  Require(update->svids.size() <= WorkloadUpdate::kMaxSvids, "SVIDs are limited");
  Require(update->federated_bundles.size() <= WorkloadUpdate::kMaxFederated, "bundles are limited");
  const auto context = MakeX509Context(*update, "", absl::FromUnixSeconds(1'767'225'600));
  if (!context.ok()) {
    Require(GetError(context.status()).has_value(), "a refusal has a type");
    return 0;
  }
  Require(context->server != nullptr && context->client != nullptr && context->trust != nullptr,
          "a context is complete");
  Require(!context->bundles.empty() &&
              context->bundles.front().trust_domain == context->id.trust_domain,
          "the own bundle is the first");
  return 0;
}
