#include "integrations/prometheus/admin_server.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "civetweb.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

struct Reply {
  int status = 200;
  absl::string_view type = "text/plain; charset=utf-8";
  std::string body;
};

absl::string_view ReasonOf(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    default:
      return "Service Unavailable";
  }
}

void Send(mg_connection* connection, const Reply& reply, bool with_body) {
  // The page must load nothing and not be framed, whatever a certificate contains.
  const std::string head =
      absl::StrCat("HTTP/1.1 ", reply.status, " ", ReasonOf(reply.status),
                   "\r\nContent-Type: ", reply.type, "\r\nContent-Length: ", reply.body.size(),
                   "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                   "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "
                   "frame-ancestors 'none'\r\nConnection: close\r\n\r\n");
  mg_write(connection, head.data(), head.size());
  if (with_body) mg_write(connection, reply.body.data(), reply.body.size());
}

}  // namespace

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(const Endpoint& listen,
                                                                const ProxyMetrics& metrics) {
  auto server = absl::WrapUnique(new AdminServer(metrics));
  const std::string address = listen.ToString();
  // Without a document root, no file is served.
  const char* const options[] = {"listening_ports",
                                 address.c_str(),
                                 "num_threads",
                                 "2",
                                 "request_timeout_ms",
                                 "5000",
                                 "max_request_size",
                                 "8192",
                                 "enable_keep_alive",
                                 "no",
                                 nullptr};
  mg_init_library(0);
  mg_callbacks callbacks = {};
  char problem[256] = "";
  mg_init_data init = {&callbacks, nullptr, const_cast<const char**>(options)};
  mg_error_data error = {nullptr, problem, sizeof(problem)};
  server->context_ = mg_start2(&init, &error);
  mg_server_port port = {};
  if (server->context_ == nullptr || mg_get_server_ports(server->context_, 1, &port) != 1) {
    return MakeError({ErrorCode::kConfiguration, std::nullopt, Phase::kSetUp, std::nullopt,
                      absl::StrCat("cannot serve HTTP on ", address, ": ", problem)});
  }
  server->port_ = static_cast<uint16_t>(port.port);
  mg_set_request_handler(server->context_, "/", OnRequest, server.get());
  return server;
}

AdminServer::~AdminServer() {
  if (context_ != nullptr) mg_stop(context_);
  mg_exit_library();
}

int AdminServer::OnRequest(mg_connection* connection, void* server) {
  return static_cast<const AdminServer*>(server)->Answer(connection);
}

void AdminServer::SetRoutes(std::vector<RouteLegs> routes) {
  absl::MutexLock lock(&mutex_);
  routes_ = std::move(routes);
}

LegsView AdminServer::View() const {
  LegsView view;
  view.certificates = metrics_.certificates();
  absl::MutexLock lock(&mutex_);
  view.routes = routes_;
  return view;
}

int AdminServer::Answer(mg_connection* connection) const {
  const mg_request_info* request = mg_get_request_info(connection);
  const absl::string_view method = request->request_method;
  const absl::string_view path = request->local_uri == nullptr ? "" : request->local_uri;
  Reply reply;
  if (method != "GET" && method != "HEAD") {
    reply.status = 405;
    reply.body = "only GET and HEAD\n";
  } else if (path == "/metrics") {
    reply.type = "text/plain; version=0.0.4; charset=utf-8";
    reply.body = metrics_.Text(absl::Now());
  } else if (path == "/healthz") {
    reply.status = draining_ ? 503 : 200;
    reply.body = draining_ ? "draining\n" : "ok\n";
  } else if (path == "/legs") {
    reply.type = "application/json";
    reply.body = LegsJson(View(), absl::Now());
  } else if (path == "/") {
    reply.type = "text/html; charset=utf-8";
    reply.body = LegsPage(View(), absl::Now());
  } else {
    reply.status = 404;
    reply.body = "there are /, /legs, /metrics and /healthz\n";
  }
  Send(connection, reply, method != "HEAD");
  return reply.status;
}

}  // namespace trestle
