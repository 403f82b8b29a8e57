// Unix-domain sockets: the paths that a listener claims and releases, and streams over them.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/linux/loopback.h"
#include "tests/support/socket_folder.h"
#include "tests/support/stream_peer.h"
#include "trestle/io/relay.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/linux/tcp_transport.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

class UnixSocketTest : public ::testing::Test {
 protected:
  std::string Path(absl::string_view name = "s") const { return folder_.PathOf(name); }
  Endpoint At(absl::string_view name = "s") const { return Endpoint::Unix(Path(name)); }

  absl::StatusOr<std::unique_ptr<TcpListener>> Listen(const Endpoint& endpoint,
                                                      const TcpListenerOptions& options = {}) {
    return TcpListener::Create(
        *loop_, endpoint,
        [this](std::unique_ptr<Transport> accepted) { accepted_ = std::move(accepted); }, options);
  }

  std::unique_ptr<TcpListener> MustListen(const Endpoint& endpoint,
                                          const TcpListenerOptions& options = {}) {
    auto listener = Listen(endpoint, options);
    EXPECT_TRUE(listener.ok()) << listener.status();
    return listener.ok() ? *std::move(listener) : nullptr;
  }

  // Returns both ends of a new connection; null on failure.
  std::pair<std::unique_ptr<Transport>, std::unique_ptr<Transport>> ConnectTo(
      const Endpoint& endpoint) {
    absl::StatusOr<std::unique_ptr<Transport>> dialed;
    bool done = false;
    accepted_ = nullptr;
    const std::unique_ptr<Dial> dial = dialer_.Connect(endpoint, [&](auto result) {
      dialed = std::move(result);
      done = true;
    });
    EXPECT_TRUE(TurnUntil(*loop_, [&] { return done; }));
    EXPECT_TRUE(dialed.ok()) << dialed.status();
    if (!dialed.ok()) return {};
    EXPECT_TRUE(TurnUntil(*loop_, [&] { return accepted_ != nullptr; }));
    return {*std::move(dialed), std::move(accepted_)};
  }

  absl::Status DialError(const Endpoint& endpoint) {
    absl::Status status;
    const std::unique_ptr<Dial> dial =
        dialer_.Connect(endpoint, [&](auto result) { status = result.status(); });
    EXPECT_TRUE(TurnUntil(*loop_, [&] { return !status.ok(); }));
    return status;
  }

  bool Exists(absl::string_view name = "s") const { return access(Path(name).c_str(), F_OK) == 0; }

  mode_t ModeOf(absl::string_view name = "s") const {
    struct stat file = {};
    EXPECT_EQ(lstat(Path(name).c_str(), &file), 0);
    EXPECT_TRUE(S_ISSOCK(file.st_mode));
    return file.st_mode & 07777;
  }

  // Leaves the file of a socket whose program has ended.
  void LeaveStale(absl::string_view name = "s") {
    const OwnedFd socket = OpenStreamSocket(Endpoint::Family::kUnix);
    const SocketAddress address(At(name));
    ASSERT_EQ(bind(socket.get(), address.get(), address.size), 0);
    ASSERT_EQ(listen(socket.get(), 1), 0);
  }

  const SocketFolder folder_;
  std::unique_ptr<EpollLoop> loop_ = *EpollLoop::Create();
  TcpDialer dialer_{*loop_};
  std::unique_ptr<Transport> accepted_;
};

TEST_F(UnixSocketTest, CarriesBytesInBothDirectionsAndHalfCloses) {
  const auto listener = MustListen(At());
  EXPECT_EQ(listener->local_endpoint(), At());
  EXPECT_THAT(listener->Addresses(), ::testing::ElementsAre(At()));
  auto [near, far] = ConnectTo(At());
  EXPECT_EQ(near->info().peer, At());
  EXPECT_EQ(near->info().local, Endpoint::Unix(""));
  EXPECT_EQ(far->info().local, At());
  EXPECT_EQ(far->info().peer, Endpoint::Unix(""));
  StreamPeer client(*loop_, std::move(near));
  StreamPeer server(*loop_, std::move(far));
  client.Send("question");
  client.End();
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return server.saw_end(); }));
  EXPECT_EQ(server.received(), "question");
  server.Send("answer");
  server.End();
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return client.saw_end(); }));
  EXPECT_EQ(client.received(), "answer");
}

TEST_F(UnixSocketTest, OnlyItsUserMayConnectByDefault) {
  // Wider than the default, and narrower than the mode that the host sets below.
  const mode_t before = umask(0022);
  {
    const auto listener = MustListen(At());
    EXPECT_EQ(ModeOf(), 0600u);
  }
  TcpListenerOptions options;
  options.unix_mode = 0666;
  const auto listener = MustListen(At("shared"), options);
  EXPECT_EQ(ModeOf("shared"), 0666u);
  umask(before);
}

TEST_F(UnixSocketTest, TheFileIsRemovedWithTheListener) {
  auto listener = MustListen(At());
  EXPECT_TRUE(Exists());
  listener->Stop();
  EXPECT_FALSE(Exists());
  listener = MustListen(At());
  listener.reset();
  EXPECT_FALSE(Exists());
  EXPECT_THAT(DetailOf(DialError(At())), HasSubstr("No such file or directory"));
}

TEST_F(UnixSocketTest, AStaleFileIsReplaced) {
  LeaveStale();
  EXPECT_EQ(CodeOf(DialError(At())), ErrorCode::kTransport);
  const auto listener = MustListen(At());
  EXPECT_EQ(ModeOf(), 0600u);
  EXPECT_NE(ConnectTo(At()).first, nullptr);
  EXPECT_FALSE(Exists("~")) << "no temporary file remains";
}

TEST_F(UnixSocketTest, AnAddressInUseIsRejectedAndStaysInUse) {
  const auto listener = MustListen(At());
  const absl::Status refused = Listen(At()).status();
  EXPECT_EQ(CodeOf(refused), ErrorCode::kConfiguration);
  EXPECT_THAT(DetailOf(refused), HasSubstr("is in use by another program"));
  loop_->RunTurn(absl::ZeroDuration());
  EXPECT_NE(ConnectTo(At()).first, nullptr);
}

// The address of a listener with a full queue is also in use.
TEST_F(UnixSocketTest, ABusyListenerIsInUse) {
  const OwnedFd busy = OpenStreamSocket(Endpoint::Family::kUnix);
  const SocketAddress address(At());
  ASSERT_EQ(bind(busy.get(), address.get(), address.size), 0);
  ASSERT_EQ(listen(busy.get(), 0), 0);
  const OwnedFd waiting = RawClient(At());
  ASSERT_TRUE(waiting.valid());
  EXPECT_EQ(CodeOf(Listen(At()).status()), ErrorCode::kConfiguration);
  EXPECT_TRUE(Exists());
}

TEST_F(UnixSocketTest, NoOtherFileIsEverReplaced) {
  for (const PortUse use : {PortUse::kClaim, PortUse::kJoin}) {
    const OwnedFd file(open(Path().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    ASSERT_EQ(write(file.get(), "precious", 8), 8);
    TcpListenerOptions options;
    options.port_use = use;
    const absl::Status refused = Listen(At(), options).status();
    EXPECT_EQ(CodeOf(refused), ErrorCode::kConfiguration);
    EXPECT_THAT(DetailOf(refused), HasSubstr("not a socket"));
    struct stat after = {};
    ASSERT_EQ(lstat(Path().c_str(), &after), 0);
    EXPECT_EQ(after.st_size, 8);
  }
  ASSERT_EQ(symlink("s", Path("link").c_str()), 0);
  EXPECT_EQ(CodeOf(Listen(At("link")).status()), ErrorCode::kConfiguration);
}

TEST_F(UnixSocketTest, ASuccessorTakesOverThePathAndKeepsIt) {
  auto old = MustListen(At());
  auto [first, first_far] = ConnectTo(At());
  EpollLoop& loop = *loop_;
  std::unique_ptr<Transport> at_successor;
  TcpListenerOptions join;
  join.port_use = PortUse::kJoin;
  auto successor = TcpListener::Create(
      loop, At(), [&](std::unique_ptr<Transport> accepted) { at_successor = std::move(accepted); },
      join);
  ASSERT_TRUE(successor.ok()) << successor.status();
  EXPECT_EQ(ModeOf(), 0600u);
  EXPECT_FALSE(Exists("~"));
  old.reset();
  EXPECT_TRUE(Exists()) << "it is the successor's";
  const OwnedFd client = RawClient(At());
  EXPECT_TRUE(TurnUntil(loop, [&] { return at_successor != nullptr; }));
  successor->reset();
  EXPECT_FALSE(Exists());
}

TEST_F(UnixSocketTest, JoiningWithoutAnotherListenerListensAlone) {
  TcpListenerOptions join;
  join.port_use = PortUse::kJoin;
  const auto listener = MustListen(At(), join);
  EXPECT_NE(ConnectTo(At()).first, nullptr);
}

TEST_F(UnixSocketTest, FilesOfAnInterruptedTakeOverAreRemoved) {
  LeaveStale("~");
  const auto first = MustListen(At());
  TcpListenerOptions join;
  join.port_use = PortUse::kJoin;
  const auto second = MustListen(At(), join);
  EXPECT_FALSE(Exists("~"));
}

TEST_F(UnixSocketTest, ClaimsOfADirectoryExcludeEachOther) {
  const OwnedFd directory(open(folder_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(flock(directory.get(), LOCK_EX), 0);
  const absl::Status refused = Listen(At()).status();
  EXPECT_EQ(CodeOf(refused), ErrorCode::kConfiguration);
  EXPECT_THAT(DetailOf(refused), HasSubstr("another program holds the lock"));
  ASSERT_EQ(flock(directory.get(), LOCK_UN), 0);
  EXPECT_TRUE(Listen(At()).ok());
}

TEST_F(UnixSocketTest, AMissingDirectoryIsAConfigurationError) {
  const absl::Status refused = Listen(Endpoint::Unix(Path("no/s"))).status();
  EXPECT_EQ(CodeOf(refused), ErrorCode::kConfiguration);
  EXPECT_THAT(DetailOf(refused), HasSubstr("the directory does not exist"));
}

TEST_F(UnixSocketTest, TheLongestPathWorks) {
  const std::string name(Endpoint::kMaxPathBytes - folder_.path().size() - 1, 'n');
  LeaveStale(name);
  const auto listener = MustListen(At(name));
  EXPECT_NE(ConnectTo(At(name)).first, nullptr);
}

TEST_F(UnixSocketTest, RetiringServesPendingClientsAndRemovesTheFileFirst) {
  TcpListenerOptions options;
  options.retire_time = absl::Milliseconds(10);
  const auto listener = MustListen(At(), options);
  const OwnedFd waiting = RawClient(At());
  ASSERT_TRUE(waiting.valid());
  bool retired = false;
  listener->Retire([&] { retired = true; });
  EXPECT_FALSE(Exists());
  EXPECT_FALSE(RawClient(At()).valid());
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return retired; }));
  EXPECT_NE(accepted_, nullptr);
}

TEST_F(UnixSocketTest, TwoLoopsShareOneSocket) {
  const auto other_loop = *EpollLoop::Create();
  std::unique_ptr<Transport> on_other;
  auto first = MustListen(At());
  const auto second = TcpListener::Share(
      *other_loop, *first,
      [&](std::unique_ptr<Transport> accepted) { on_other = std::move(accepted); });
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ((*second)->local_endpoint(), At());
  const OwnedFd client = RawClient(At());
  EXPECT_TRUE(TurnUntil(*other_loop, [&] { return on_other != nullptr; }));
  Settle(*loop_);
  EXPECT_EQ(accepted_, nullptr);
  const OwnedFd next = RawClient(At());
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return accepted_ != nullptr; }));
}

TEST_F(UnixSocketTest, AnAbstractSocketNeedsNoFile) {
  const std::string name = absl::StrCat("@trestle-test-", getpid());
  const Endpoint endpoint = Endpoint::Unix(name);
  const auto listener = MustListen(endpoint);
  const auto [near, far] = ConnectTo(endpoint);
  ASSERT_NE(far, nullptr);
  EXPECT_EQ(far->info().local.ToString(), absl::StrCat("unix:", name));
  EXPECT_EQ(CodeOf(Listen(endpoint).status()), ErrorCode::kConfiguration);
  EXPECT_EQ(CodeOf(DialError(Endpoint::Unix(name + "-other"))), ErrorCode::kTransport);
}

TEST_F(UnixSocketTest, ADialWaitsForAPlaceInTheQueue) {
  const OwnedFd busy = OpenStreamSocket(Endpoint::Family::kUnix);
  const SocketAddress address(At());
  ASSERT_EQ(bind(busy.get(), address.get(), address.size), 0);
  ASSERT_EQ(listen(busy.get(), 0), 0);
  const OwnedFd first = RawClient(At());
  ASSERT_TRUE(first.valid());
  std::unique_ptr<Transport> connected;
  const auto dial = dialer_.Connect(At(), [&](auto result) {
    ASSERT_TRUE(result.ok()) << result.status();
    connected = *std::move(result);
  });
  Settle(*loop_);
  EXPECT_EQ(connected, nullptr);
  const OwnedFd accepted(accept(busy.get(), nullptr, nullptr));
  EXPECT_TRUE(accepted.valid());
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return connected != nullptr; }));
}

TEST_F(UnixSocketTest, ADialThatWaitsKeepsItsLimitAndMayBeCancelled) {
  const OwnedFd busy = OpenStreamSocket(Endpoint::Family::kUnix);
  const SocketAddress address(At());
  ASSERT_EQ(bind(busy.get(), address.get(), address.size), 0);
  ASSERT_EQ(listen(busy.get(), 0), 0);
  const OwnedFd first = RawClient(At());
  TcpDialer hasty(*loop_, {absl::Milliseconds(30)});
  absl::Status status;
  const auto dial = hasty.Connect(At(), [&](auto result) { status = result.status(); });
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return !status.ok(); }));
  EXPECT_EQ(CodeOf(status), ErrorCode::kTimeout);
  {
    const auto cancelled = dialer_.Connect(At(), [](auto) { FAIL(); });
  }
  Settle(*loop_);
}

// recv(2) stops at passed descriptors although more bytes are there.
TEST_F(UnixSocketTest, BytesAfterPassedDescriptorsArrive) {
  const auto listener = MustListen(At());
  const OwnedFd client = RawClient(At());
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return accepted_ != nullptr; }));
  StreamPeer server(*loop_, std::move(accepted_));
  const OwnedFd passed(open("/dev/null", O_RDONLY | O_CLOEXEC));
  for (const char* text : {"one ", "two ", "three"}) {
    iovec part = {const_cast<char*>(text), strlen(text)};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = passed.get();
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    ASSERT_GT(sendmsg(client.get(), &message, MSG_NOSIGNAL), 0);
  }
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return server.received().size() == 13; }));
  EXPECT_EQ(server.received(), "one two three");
}

TEST_F(UnixSocketTest, AClientsOwnNameIsNotReported) {
  const auto listener = MustListen(At());
  const OwnedFd client = OpenStreamSocket(Endpoint::Family::kUnix);
  SetBlocking(client.get());
  const SocketAddress own(At("evil\x1b[31m"));
  const SocketAddress server(At());
  ASSERT_EQ(bind(client.get(), own.get(), own.size), 0);
  ASSERT_EQ(connect(client.get(), server.get(), server.size), 0);
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return accepted_ != nullptr; }));
  EXPECT_EQ(accepted_->info().peer, Endpoint::Unix(""));
  EXPECT_EQ(PeerEndpoint(client.get()), At());
  EXPECT_THAT(LocalEndpoint(client.get()).ToString(), HasSubstr("evil\\033[31m"));
}

TEST_F(UnixSocketTest, APeerThatClosesWithUnreadBytesTruncatesTheStream) {
  const auto listener = MustListen(At());
  OwnedFd client = RawClient(At());
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return accepted_ != nullptr; }));
  StreamPeer server(*loop_, std::move(accepted_));
  server.Send("nobody reads this");
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return server.unsent_bytes() == 0; }));
  RawSend(client.get(), "last bytes");
  client.Reset();
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return !server.failure().ok(); }));
  EXPECT_EQ(server.received(), "last bytes");
  EXPECT_EQ(CodeOf(server.failure()), ErrorCode::kTruncated);
}

// The system has no RST for these sockets.
TEST_F(UnixSocketTest, AnAbortLosesNoByteAndLooksLikeAnEnd) {
  const auto listener = MustListen(At());
  auto [near, far] = ConnectTo(At());
  StreamPeer client(*loop_, std::move(near));
  StreamPeer server(*loop_, std::move(far));
  const std::string bytes(1 << 20, 'b');
  server.Send(bytes);
  server.End(StreamEnd::kTruncated);
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return client.saw_end() || !client.failure().ok(); }));
  EXPECT_EQ(client.received().size(), bytes.size());
  EXPECT_TRUE(server.finished_sending());
}

// Bulk between two of them uses splice(2), also with a slow reader.
TEST_F(UnixSocketTest, RelaysBulkWithBackPressure) {
  const auto listener = MustListen(At());
  auto [client_near, front] = ConnectTo(At());
  auto [back, backend_far] = ConnectTo(At());
  StreamPeer client(*loop_, std::move(client_near));
  StreamPeer backend(*loop_, std::move(backend_far));
  Relay relay(*loop_, *front, *back, nullptr, {});
  absl::Status outcome = absl::UnknownError("not done");
  relay.Start([&](absl::Status status) { outcome = std::move(status); });
  std::string bytes(8 << 20, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 2654435761u >> 24);
  backend.SetReading(false);
  client.Send(bytes);
  client.End();
  Settle(*loop_);
  EXPECT_GT(client.unsent_bytes(), 0u) << "a backend that doesn't read slows the client down";
  backend.SetReading(true);
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return backend.saw_end(); }));
  EXPECT_TRUE(backend.received() == bytes);
  backend.End();
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return client.saw_end(); }));
  EXPECT_TRUE(outcome.ok()) << outcome;
  EXPECT_GT(relay.bytes_spliced(Leg::kBack), 0u);
}

}  // namespace
}  // namespace trestle
