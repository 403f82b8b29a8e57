#include "lib/proxy/quic/quic_flow_report.h"

#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/wire/client_hello.h"
#include "trestle/wire/hello_fingerprint.h"

namespace trestle {

QuicFlowStory TellStory(const QuicHelloReader& reader,
                        std::array<uint8_t, 32> (*ja4_sha256)(ByteView bytes)) {
  const ClientHello& hello = reader.hello();
  QuicFlowStory story;
  story.server_name = hello.server_name;
  for (const absl::string_view protocol : hello.alpn) story.hello.alpn.emplace_back(protocol);
  story.hello.bytes = hello.message.size();
  story.hello.segments = reader.datagrams();
  if (ja4_sha256 != nullptr) story.hello.ja4 = Ja4(hello, ja4_sha256);
  return story;
}

ConnectionReport MakeFlowReport(const QuicFlow& flow, const Scheduler& scheduler) {
  const absl::Duration age = scheduler.MonotonicNow() - flow.started;
  ConnectionReport report;
  report.id = flow.id;
  report.mode = ProxyMode::kPassthrough;
  report.quic_version = flow.version;
  report.accepted = scheduler.Now() - age;
  // A flow that ended well ended with its last datagram; nothing else marks its end.
  report.duration = flow.stage == QuicFlowStage::kProven ? flow.last_active - flow.started : age;
  if (flow.story != nullptr) {
    QuicFlowStory story = Unpack(flow.story);
    report.server_name = std::move(story.server_name);
    report.route = std::move(story.route);
    report.hello = std::move(story.hello);
  }
  report.front.peer = flow.path.client.ToEndpoint();
  report.front.local = flow.path.local.ToEndpoint();
  report.front.bytes_read = flow.from_client;
  report.front.bytes_written = flow.to_client;
  report.back.peer = flow.backend.ToEndpoint();
  if (flow.back != nullptr) report.back.local = flow.back->local_endpoint();
  report.back.bytes_read = flow.from_backend;
  report.back.bytes_written = flow.to_backend;
  if (flow.failed_tries != nullptr) report.failed_tries = *flow.failed_tries;
  report.times.front = absl::Microseconds(flow.hello_us);
  report.times.dial = absl::Microseconds(flow.answer_us);
  if (flow.stage >= QuicFlowStage::kAnswered) {
    report.times.relay = report.duration - report.times.front - report.times.dial;
  }
  return report;
}

}  // namespace trestle
