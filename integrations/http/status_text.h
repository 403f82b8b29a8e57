// StatusText: the reason phrases of HTTP/1.1 status lines.
#ifndef TRESTLE_INTEGRATIONS_HTTP_STATUS_TEXT_H_
#define TRESTLE_INTEGRATIONS_HTTP_STATUS_TEXT_H_

#include "absl/strings/string_view.h"

namespace trestle {

/// Returns the phrase of RFC 9110 15 for `status`, or "-" for an unknown one.
absl::string_view StatusText(int status);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_STATUS_TEXT_H_
