// The kernel carries bulk for a router over sockets, and the observer gets the counts.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/linux/loopback.h"
#include "tests/support/stream_peer.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/testing/client_hello_kit.h"

namespace trestle {
namespace {

struct LastReport final : ConnectionObserver {
  void OnClosed(const ConnectionReport& closed) override { report = closed; }
  std::optional<ConnectionReport> report;
};

TEST(RouterSpliceTest, ReportsTheBytesThatTheKernelCarried) {
  const std::unique_ptr<EpollLoop> loop = *EpollLoop::Create();
  std::unique_ptr<StreamPeer> backend;
  const auto behind = TcpListener::Create(*loop, Loopback(), [&](std::unique_ptr<Transport> leg) {
    backend = std::make_unique<StreamPeer>(*loop, std::move(leg));
  });
  ASSERT_TRUE(behind.ok());

  LastReport observer;
  TcpDialer dialer(*loop);
  SniPassthroughRouterOptions options;
  options.routes = *RouteTable::Create({{"a.test", (*behind)->local_endpoint()}});
  const auto router = SniPassthroughRouter::Create(*loop, dialer, std::move(options), &observer);
  ASSERT_TRUE(router.ok()) << router.status();
  const auto listener = TcpListener::Create(
      *loop, Loopback(), [&](std::unique_ptr<Transport> leg) { (*router)->Serve(std::move(leg)); });
  ASSERT_TRUE(listener.ok());

  OwnedFd socket = RawClient((*listener)->local_endpoint());
  fcntl(socket.get(), F_SETFL, O_NONBLOCK);
  StreamPeer client(*loop, *TcpTransport::Create(*loop, std::move(socket)));
  const std::string up =
      testing::InRecords(testing::Tls12Hello("a.test").Message()) + std::string(3'000'000, 'u');
  const std::string down(5'000'000, 'd');
  client.Send(up);
  client.End();
  ASSERT_TRUE(TurnUntil(*loop, [&] { return backend != nullptr && backend->saw_end(); }));
  backend->Send(down);
  backend->End();
  ASSERT_TRUE(TurnUntil(*loop, [&] { return client.saw_end() && observer.report.has_value(); }));
  EXPECT_TRUE(backend->received() == up);
  EXPECT_TRUE(client.received() == down);

  const ConnectionReport& report = *observer.report;
  EXPECT_TRUE(report.ok()) << ErrorText(report.error);
  EXPECT_EQ(report.back.bytes_written, up.size());
  EXPECT_GT(report.back.bytes_spliced, up.size() / 2);
  EXPECT_LT(report.back.bytes_spliced, up.size()) << "the router itself read the hello";
  EXPECT_EQ(report.front.bytes_written, down.size());
  EXPECT_GT(report.front.bytes_spliced, down.size() / 2);
  EXPECT_EQ(loop->kernel_pipe_pool().lent(), 0u);
}

}  // namespace
}  // namespace trestle
