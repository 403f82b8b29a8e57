// Replies of a Redis server. The first byte selects how they are split. Each command gets one
// result; every split gives the same.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "integrations/redis/redis_connection.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/support/stream_peer.h"
#include "trestle/base/error.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle {
namespace {

std::string Describe(const absl::StatusOr<RedisReply>& reply) {
  if (reply.ok()) return std::string("reply ") + reply->text + std::to_string(reply->integer);
  const auto error = GetError(reply.status());
  Require(error.has_value(), "a failure has a type");
  Require(error->code == ErrorCode::kConfiguration || error->code == ErrorCode::kTransport,
          "a failure is of the command or of the connection");
  return "error " + error->detail;
}

// Sends two commands; the second one is sent if the first one got a reply.
std::string Ask(absl::string_view replies, size_t longest) {
  testing::SimulatedLoop loop;
  testing::MemoryLink link;
  link.chunk_bytes = longest;
  auto [client_end, server_end] = testing::NewMemoryPair(loop, {}, link);
  RedisConnection connection(loop, std::move(client_end));
  StreamPeer server(loop, std::move(server_end));
  server.Send(replies);
  server.End();
  std::string results;
  for (int command = 0; command < 2; ++command) {
    std::optional<absl::StatusOr<RedisReply>> result;
    connection.Call({"GET", "key"}, [&](absl::StatusOr<RedisReply> reply) {
      Require(!result.has_value(), "a command gets one result");
      result = std::move(reply);
    });
    loop.RunFor(absl::Seconds(1));
    Require(result.has_value(), "a command gets a result");
    results += Describe(*result);
    if (!result->ok()) break;
  }
  return results;
}

}  // namespace
}  // namespace trestle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trestle::FuzzInput input(data, size);
  const size_t longest = input.Byte() + size_t{1};
  const absl::string_view replies = input.Text(size);
  const std::string whole = trestle::Ask(replies, 0);
  trestle::Require(trestle::Ask(replies, longest) == whole, "a split changes nothing");
  return 0;
}
