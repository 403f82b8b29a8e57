#include "integrations/http/websocket_key.h"

#include <openssl/sha.h>

#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "trestle/base/bytes.h"

namespace trestle {

std::string WebSocketAccept(absl::string_view key) {
  const std::string text = absl::StrCat(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  uint8_t digest[SHA_DIGEST_LENGTH];
  SHA1(AsBytes(text).data(), text.size(), digest);
  return absl::Base64Escape(AsText({digest, sizeof(digest)}));
}

}  // namespace trestle
