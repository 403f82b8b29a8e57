// Writes and reads the HTTPS records of DNS that publish an ECHConfigList (RFC 9460, RFC 9848).
#ifndef TRESTLE_EXAMPLES_ECH_TOOL_HTTPS_RECORD_H_
#define TRESTLE_EXAMPLES_ECH_TOOL_HTTPS_RECORD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace trestle::examples {

/// A record to publish, with priority 1.
struct HttpsRecord {
  std::string name;  ///< Of the site, normalised: "www.example".
  uint32_t ttl_seconds = 3600;
  uint16_t port = 443;            ///< Another port changes the owner: "_8443._https.www.example".
  std::vector<std::string> alpn;  ///< Empty: HTTP/1.1 only.
  std::string ech;                ///< The ECHConfigList, raw bytes.
};

/// Splits "h2,http/1.1". Fails for a protocol that is empty, over 255 bytes, or has characters that
/// a zone file would have to escape.
absl::StatusOr<std::vector<std::string>> ParseAlpnList(absl::string_view text);

/// Returns the record as a line of a zone file: "www.example. 3600 IN HTTPS 1 . alpn=…".
std::string PresentationForm(const HttpsRecord& record);

/// Returns the record's data in wire form (RFC 9460 2.2).
std::string WireForm(const HttpsRecord& record);

/// Returns the record as a line for servers that don't know its type (RFC 3597).
std::string GenericForm(const HttpsRecord& record);

/// A record as published.
struct PublishedRecord {
  std::string owner;  ///< As written; empty if the text has the record's data only.
  uint16_t priority = 0;
  std::string ech;  ///< The ECHConfigList, raw bytes; empty if the record has none.
};

/// Reads the HTTPS records of `text`: lines of a zone file or of dig's output, or the data of one
/// record as `dig +short` prints it. Both presentation form and that of RFC 3597 are read. Records
/// of other types are skipped. Fails, with the line, for a damaged record, and without a record.
absl::StatusOr<std::vector<PublishedRecord>> ReadHttpsRecords(absl::string_view text);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_ECH_TOOL_HTTPS_RECORD_H_
