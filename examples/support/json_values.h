// The common parts of the programs' JSON documents: times, errors and certificates, each in one
// form.
#ifndef TRESTLE_EXAMPLES_SUPPORT_JSON_VALUES_H_
#define TRESTLE_EXAMPLES_SUPPORT_JSON_VALUES_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "trestle/base/error.h"
#include "trestle/tls/tls_info.h"

namespace trestle::examples {

// Keys keep their order of insertion.
using Json = nlohmann::ordered_json;

inline std::string Text(absl::string_view text) { return std::string(text); }

/// Returns "2026-01-31T12:00:00Z"; null for infinite times.
Json TimeOf(absl::Time time);

/// Returns code, phase, alert and detail of a failure; null for none.
Json ErrorOf(const std::optional<Error>& error);

Json CertificateOf(const CertificateInfo& certificate, absl::Time now);

/// Returns a document on one line, or indented, in ASCII: invalid UTF-8 is replaced.
std::string Dump(const Json& document, bool one_line);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_JSON_VALUES_H_
