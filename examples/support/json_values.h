// What the programs' JSON documents have in common: times, errors and certificates, each written in
// one way only.
#ifndef TRESTLE_EXAMPLES_SUPPORT_JSON_VALUES_H_
#define TRESTLE_EXAMPLES_SUPPORT_JSON_VALUES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "trestle/tls/tls_info.h"

namespace trestle::examples {

// Keys keep the order in which they are put in.
using Json = nlohmann::ordered_json;

inline std::string Text(absl::string_view text) { return std::string(text); }

/// "2026-01-31T12:00:00Z"; null for times that are none.
Json TimeOf(absl::Time time);

/// Code, phase, alert and detail of a failure; null for OK.
Json ErrorOf(const absl::Status& status);

Json CertificateOf(const CertificateInfo& certificate, absl::Time now);

/// Writes a document on one line, or indented for people, in ASCII: bytes that are no UTF-8 are
/// replaced.
std::string Dump(const Json& document, bool one_line);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_JSON_VALUES_H_
