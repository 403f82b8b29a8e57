// ConnectionLog: one line about each finished connection.
#ifndef TRESTLE_EXAMPLES_SUPPORT_CONNECTION_LOG_H_
#define TRESTLE_EXAMPLES_SUPPORT_CONNECTION_LOG_H_

#include <string>

#include "absl/strings/string_view.h"
#include "trestle/proxy/observer.h"

namespace trestle::examples {

/// Returns a description of a connection, without a line feed:
///   client=127.0.0.1:40000 mode=bridge sni=a.test front=TLSv1.3/TLS_AES_128_GCM_SHA256/X25519
///   backend=127.0.0.1:8443 back=TLSv1.3/… up=81 down=2048 duration=3.2ms status="ok"
/// A QUIC flow has its version behind the mode: "mode=passthrough quic=1".
std::string DescribeConnection(const ConnectionReport& report);

enum class ConnectionLogFormat {
  kNone,
  kText,  ///< `DescribeConnection`, after the time.
  kJson,  ///< `ConnectionAsJson`.
};

/// Parses and formats --log_connections.
bool AbslParseFlag(absl::string_view text, ConnectionLogFormat* format, std::string* error);
std::string AbslUnparseFlag(ConnectionLogFormat format);

/// Logs each closed connection. Stateless, so all threads share one.
class ConnectionLog final : public ConnectionObserver {
 public:
  explicit ConnectionLog(ConnectionLogFormat format) : format_(format) {}

  void OnClosed(const ConnectionReport& report) override;

 private:
  const ConnectionLogFormat format_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_CONNECTION_LOG_H_
