#include "lib/linux/socket.h"

#include <errno.h>

#include "gtest/gtest.h"
#include "tests/linux/loopback.h"

namespace trestle {
namespace {

TEST(SocketAddressTest, KeepsAddressesOfAllFamilies) {
  for (const char* text : {"192.0.2.7:443", "[2001:db8::7]:8443", "0.0.0.0:0", "[::]:65535",
                           "unix:/run/app.sock", "unix:@name"}) {
    const Endpoint endpoint = *Endpoint::Parse(text);
    EXPECT_EQ(SocketAddress(endpoint).ToEndpoint(), endpoint) << text;
  }
  EXPECT_EQ(SocketAddress(Endpoint()).ToEndpoint(), Endpoint());
}

TEST(SocketTest, WithoutAnAddressTheEndpointIsEmpty) {
  const OwnedFd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(LocalEndpoint(file.get()), Endpoint());
  EXPECT_EQ(PeerEndpoint(file.get()), Endpoint());
}

TEST(SocketTest, ConnectErrorsNameTheFaultAndTheEndpoint) {
  const Endpoint backend = *Endpoint::Parse("192.0.2.1:443");
  const auto expect = [&](int error, ErrorCode code, const char* detail) {
    const absl::Status status = ConnectError(backend, error);
    EXPECT_EQ(CodeOf(status), code) << detail;
    EXPECT_EQ(DetailOf(status), detail);
    EXPECT_EQ(GetError(status)->phase, Phase::kDial);
  };
  expect(ECONNREFUSED, ErrorCode::kTransport, "192.0.2.1:443 refused the connection");
  expect(ETIMEDOUT, ErrorCode::kTimeout, "192.0.2.1:443 did not answer");
  // A missing resource of this side is not the backend's failure.
  expect(EADDRNOTAVAIL, ErrorCode::kOverLimit,
         "cannot connect to 192.0.2.1:443: no local port or address is free");
  expect(EMFILE, ErrorCode::kOverLimit, "cannot connect to 192.0.2.1:443: Too many open files");
  expect(EHOSTUNREACH, ErrorCode::kTransport, "cannot connect to 192.0.2.1:443: No route to host");
}

TEST(SocketTest, ListenErrorsNameTheConfigurationOrTheSystem) {
  const Endpoint endpoint = *Endpoint::Parse("192.0.2.1:443");
  const auto expect = [&](int error, ErrorCode code, const char* detail) {
    const absl::Status status = ListenError(endpoint, error);
    EXPECT_EQ(CodeOf(status), code) << detail;
    EXPECT_EQ(DetailOf(status), detail);
  };
  expect(EADDRINUSE, ErrorCode::kConfiguration, "192.0.2.1:443 is in use by another program");
  expect(EADDRNOTAVAIL, ErrorCode::kConfiguration,
         "192.0.2.1:443 is not an address of this machine");
  expect(EACCES, ErrorCode::kConfiguration, "no permission to listen on 192.0.2.1:443");
  expect(EAFNOSUPPORT, ErrorCode::kConfiguration,
         "cannot listen on 192.0.2.1:443: IPv6 is switched off");
  expect(EMFILE, ErrorCode::kTransport, "cannot listen on 192.0.2.1:443: Too many open files");
}

}  // namespace
}  // namespace trestle
