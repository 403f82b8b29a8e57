#include "trestle/linux/service_notifier.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/linux/socket.h"
#include "tests/linux/loopback.h"
#include "tests/support/socket_folder.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

// The manager's end.
class Manager {
 public:
  explicit Manager(const std::string& address) : socket_(socket(AF_UNIX, SOCK_DGRAM, 0)) {
    const SocketAddress local(Endpoint::Unix(address));
    EXPECT_EQ(bind(socket_.get(), local.get(), local.size), 0);
  }

  // Returns the message that has arrived.
  std::string Next() {
    std::array<char, 512> buffer;
    const ssize_t size = recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    return size < 0 ? "none" : std::string(buffer.data(), static_cast<size_t>(size));
  }

 private:
  OwnedFd socket_;
};

TEST(ServiceNotifierTest, SendsEachState) {
  const SocketFolder folder;
  for (const std::string& address :
       {folder.PathOf("n"), absl::StrCat("@trestle-notifier-", getpid())}) {
    Manager manager(address);
    const auto notifier = ServiceNotifier::Create(address);
    ASSERT_TRUE(notifier.ok()) << notifier.status();
    EXPECT_TRUE((*notifier)->Ready("one\nWATCHDOG=1").ok());
    EXPECT_EQ(manager.Next(), "READY=1\nSTATUS=one WATCHDOG=1") << "a text adds no assignment";
    EXPECT_TRUE((*notifier)->Reloading().ok());
    EXPECT_THAT(manager.Next(), MatchesRegex("RELOADING=1\nMONOTONIC_USEC=[0-9]+"));
    EXPECT_TRUE((*notifier)->Stopping(absl::Seconds(2)).ok());
    EXPECT_EQ(manager.Next(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=2000000");
    EXPECT_TRUE((*notifier)->Alive().ok());
    EXPECT_EQ(manager.Next(), "WATCHDOG=1");
  }
}

TEST(ServiceNotifierTest, AManagerThatDoesNotReadIsAnErrorAndNoWait) {
  const SocketFolder folder;
  const std::string address = folder.PathOf("full");
  const Manager manager(address);
  const auto notifier = ServiceNotifier::Create(address);
  ASSERT_TRUE(notifier.ok()) << notifier.status();
  absl::Status status;
  for (int i = 0; i < 100'000 && status.ok(); ++i) status = (*notifier)->Alive();
  EXPECT_EQ(CodeOf(status), ErrorCode::kTransport);
}

TEST(ServiceNotifierTest, AManagerThatIsGoneIsAnError) {
  const SocketFolder folder;
  const auto notifier = ServiceNotifier::Create(folder.PathOf("gone"));
  ASSERT_TRUE(notifier.ok()) << notifier.status();
  EXPECT_THAT(DetailOf((*notifier)->Alive()), HasSubstr("cannot reach the service manager: No "));
}

TEST(ServiceNotifierTest, OtherAddressesAreRefused) {
  for (const std::string& address :
       {std::string(), std::string("/"), std::string("@"), std::string("notify"),
        std::string("vsock:2:1234"), absl::StrCat("/", std::string(107, 'a'))}) {
    EXPECT_EQ(CodeOf(ServiceNotifier::Create(address).status()), ErrorCode::kConfiguration)
        << address;
  }
  EXPECT_TRUE(ServiceNotifier::Create(absl::StrCat("/", std::string(106, 'a'))).ok());
}

}  // namespace
}  // namespace trestle
