#include "examples/support/drain_calls.h"

#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "examples/support/log.h"
#include "examples/support/program.h"

ABSL_FLAG(std::string, admin_calls, "",
          "unix:PATH, or IP:PORT on loopback, for calls that drain backends: POST "
          "/drain?backend=IP:PORT and /undrain?backend=IP:PORT, with the field Trestle-Call: yes. "
          "No authentication: the folder of the socket decides which users may call");

namespace trestle::examples {
namespace {

// Backends of names come and go; this many calls about earlier ones are remembered.
constexpr size_t kMaxDrained = 10'000;

}  // namespace

absl::StatusOr<std::unique_ptr<DrainCalls>> DrainCalls::FromFlag(HealthChecker& checker) {
  const std::string listen = absl::GetFlag(FLAGS_admin_calls);
  if (listen.empty()) return nullptr;
  const absl::StatusOr<Endpoint> endpoint = EndpointFromFlag("admin_calls", listen);
  if (!endpoint.ok()) return endpoint.status();
  return absl::WrapUnique(new DrainCalls(*endpoint, checker));
}

absl::Status DrainCalls::Start(EpollLoop& main_loop) {
  auto server =
      DrainServer::Start(listen_, [this, &main_loop](const DrainCall& call, PageReply reply) {
        main_loop.PostFromAnyThread(
            [this, call, reply = std::move(reply)]() mutable { reply(Take(call)); });
      });
  if (!server.ok()) return server.status();
  server_ = *std::move(server);
  LogLine(absl::StrCat("calls on ", server_->endpoint().ToString()));
  return absl::OkStatus();
}

void DrainCalls::Stop() { server_.reset(); }

Page DrainCalls::Take(const DrainCall& call) {
  Page page;
  const std::string text = call.backend.ToString();
  if (checker_.Find(call.backend).empty()) {
    page.status = 404;
    page.body = absl::StrCat("no route has the backend ", text, "\n");
    return page;
  }
  if (call.drain && drained_.size() >= kMaxDrained && drained_.count(text) == 0) {
    page.status = 503;
    page.body = absl::StrCat("calls drain ", kMaxDrained, " backends already\n");
    return page;
  }
  LogLine(absl::StrCat("call: ", call.drain ? "drain " : "undrain ", text));
  call.drain ? void(drained_.emplace(text, call.backend)) : void(drained_.erase(text));
  std::vector<Endpoint> drained;
  for (const auto& [known, endpoint] : drained_) drained.push_back(endpoint);
  checker_.SetDraining("call", drained);
  for (const HealthStatus& backend : checker_.Find(call.backend)) {
    absl::StrAppend(&page.body, text,
                    backend.name.empty() ? "" : absl::StrCat(" of ", backend.name), " is ",
                    EnumName(backend.state.condition), ", by ", backend.Reason(), "\n");
  }
  return page;
}

}  // namespace trestle::examples
