#include "integrations/http/http_exchange.h"

namespace trestle {

absl::string_view EnumName(HttpVersion version) {
  switch (version) {
    case HttpVersion::kHttp10:
      return "HTTP/1.0";
    case HttpVersion::kHttp11:
      return "HTTP/1.1";
    case HttpVersion::kHttp2:
      return "HTTP/2";
  }
  return "";
}

absl::string_view HttpRequest::path() const {
  return absl::string_view(target).substr(0, target.find('?'));
}

bool HasNoBody(int status, bool to_head) {
  return to_head || status / 100 == 1 || status == 204 || status == 304;
}

}  // namespace trestle
