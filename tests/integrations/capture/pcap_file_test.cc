#include "integrations/capture/pcap_file.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "integrations/capture/capture_inspector.h"
#include "tests/linux/loopback.h"
#include "tests/support/pcap_reader.h"
#include "trestle/linux/file.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr size_t kHeaderBytes = 24;
constexpr size_t kOpenBytes = 3 * (16 + 40);
constexpr size_t kMaxBytes = 64 << 20;

class PcapFileTest : public ::testing::Test {
 protected:
  PcapFileTest() : folder_(absl::StrCat(::testing::TempDir(), "/pcapXXXXXX")) {
    EXPECT_NE(mkdtemp(&folder_[0]), nullptr);
    path_ = absl::StrCat(folder_, "/capture.pcap");
  }

  absl::StatusOr<std::unique_ptr<PcapFile>> Create(uint64_t max_bytes = kMaxBytes) {
    PcapFileOptions options;
    options.dangerous_path = path_;
    options.max_bytes = max_bytes;
    options.on_stopped = [this](const absl::Status& why) { stopped_.push_back(why); };
    auto file = PcapFile::Create(std::move(options));
    if (file.ok()) file_ = file->get();
    return file;
  }

  // Creates an inspector as a relay does; the client is 192.0.2.1:`port`.
  std::unique_ptr<CaptureInspector> Capture(PcapFile& file, uint16_t port = 40000) {
    return std::make_unique<CaptureInspector>(
        loop_, file.NewSink(*Endpoint::Parse(absl::StrCat("192.0.2.1:", port)),
                            *Endpoint::Parse("192.0.2.2:443")));
  }

  static void Carry(CaptureInspector& capture, Direction direction, absl::string_view text,
                    bool end = false) {
    EXPECT_EQ(capture.Inspect(direction, AsBytes(text), end).bytes(), text.size());
  }

  // Returns the text written so far. The file must be open.
  std::string Text() const {
    EXPECT_TRUE(file_->Flush(absl::Seconds(30)));
    return ReadFile(path_, kMaxBytes).value_or("can't be read");
  }
  std::vector<PcapStream> Streams() const {
    const auto streams = ReadStreams(Text());
    EXPECT_TRUE(streams.ok()) << streams.status();
    return streams.value_or(std::vector<PcapStream>());
  }

  testing::SimulatedLoop loop_;
  std::string folder_;
  std::string path_;
  PcapFile* file_ = nullptr;  // The last one.
  std::vector<absl::Status> stopped_;
};

TEST_F(PcapFileTest, HoldsTheBytesOfConnections) {
  const auto file = Create();
  ASSERT_TRUE(file.ok()) << file.status();
  auto first = Capture(**file, 1);
  auto second = Capture(**file, 2);
  Carry(*first, Direction::kToBackend, "request", true);
  Carry(*second, Direction::kToClient, "greeting");
  Carry(*first, Direction::kToClient, "answer", true);
  first.reset();
  second.reset();
  const std::vector<PcapStream> streams = Streams();
  ASSERT_THAT(streams, SizeIs(2));
  EXPECT_EQ(streams[0].client.port(), 1);
  EXPECT_EQ(streams[0].to_server, "request");
  EXPECT_EQ(streams[0].to_client, "answer");
  EXPECT_TRUE(streams[0].client_ended && streams[0].server_ended && !streams[0].reset);
  EXPECT_EQ(streams[1].to_client, "greeting");
  EXPECT_TRUE(streams[1].reset);
  const auto packets = ReadPackets(Text());
  EXPECT_EQ(packets->front().time, absl::FromUnixMicros(absl::ToUnixMicros(loop_.Now())));
}

TEST_F(PcapFileTest, AReusedPortGetsOtherSequenceNumbers) {
  const auto file = Create();
  ASSERT_TRUE(file.ok()) << file.status();
  Capture(**file).reset();
  loop_.RunFor(absl::Milliseconds(1));
  Capture(**file).reset();
  const std::vector<PcapStream> streams = Streams();
  ASSERT_THAT(streams, SizeIs(2));
  EXPECT_NE(streams[0].client_sequence, streams[1].client_sequence);
  EXPECT_NE(streams[0].server_sequence, streams[1].server_sequence);
}

TEST_F(PcapFileTest, OnlyItsOwnerCanReadIt) {
  const mode_t before = umask(0);
  const auto file = Create();
  umask(before);
  ASSERT_TRUE(file.ok()) << file.status();
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST_F(PcapFileTest, NoFileIsOverwrittenAndNoLinkFollowed) {
  const auto first = Create();
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status again = Create().status();
  EXPECT_EQ(CodeOf(again), ErrorCode::kConfiguration);
  EXPECT_EQ(DetailOf(again), absl::StrCat("cannot create ", path_,
                                          ": it exists already, and nothing is overwritten"));
  EXPECT_EQ(Text().size(), kHeaderBytes);

  const std::string target = absl::StrCat(folder_, "/target");
  path_ = absl::StrCat(folder_, "/link");
  ASSERT_EQ(symlink(target.c_str(), path_.c_str()), 0);
  EXPECT_EQ(CodeOf(Create().status()), ErrorCode::kConfiguration);
  EXPECT_NE(access(target.c_str(), F_OK), 0);

  path_ = absl::StrCat(folder_, "/nowhere/capture.pcap");
  EXPECT_THAT(DetailOf(Create().status()), HasSubstr("No such file or directory"));
  path_ = "/dev/full";
  EXPECT_EQ(CodeOf(Create().status()), ErrorCode::kConfiguration);
}

TEST_F(PcapFileTest, StopsAtItsLimitWithWholePackets) {
  EXPECT_THAT(DetailOf(Create(kHeaderBytes - 1).status()), HasSubstr("no room for its header"));
  const auto file = Create(kHeaderBytes + kOpenBytes + 2 * (16 + 40) + 10);
  ASSERT_TRUE(file.ok()) << file.status();
  const auto capture = Capture(**file);
  Carry(*capture, Direction::kToBackend, "ten bytes!");
  EXPECT_THAT(stopped_, SizeIs(0));
  const std::string full = Text();
  Carry(*capture, Direction::kToBackend, "more");
  Carry(*capture, Direction::kToClient, "and more");
  const auto late = Capture(**file, 2);
  ASSERT_THAT(stopped_, SizeIs(1));
  EXPECT_EQ(stopped_[0].code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(stopped_[0].message(), absl::StrCat(path_, " has come to its limit of 314 bytes"));
  EXPECT_EQ(Text(), full);
  EXPECT_EQ(full.size(), 314u);
  EXPECT_EQ(Streams()[0].to_server, "ten bytes!");
}

// Simulates a full disk: the kernel writes as many bytes as fit, then fails.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(signal(SIGXFSZ, SIG_IGN)) {
    EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &before_), 0);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_ = {};
  void (*const handler_)(int);
};

TEST_F(PcapFileTest, AFullDiskEndsTheCaptureOnly) {
  const auto file = Create();
  ASSERT_TRUE(file.ok()) << file.status();
  const auto capture = Capture(**file);
  Carry(*capture, Direction::kToBackend, "before");
  const std::string before = Text();
  {
    const FileSizeLimit full(before.size() + 30);
    Carry(*capture, Direction::kToBackend, std::string(1000, 'x'));
    EXPECT_TRUE((*file)->Flush(absl::Seconds(30)));
  }
  // The capture does not continue after there is space again: a gap would be misleading.
  Carry(*capture, Direction::kToClient, "after");
  ASSERT_THAT(stopped_, SizeIs(1));
  EXPECT_EQ(stopped_[0].message(), absl::StrCat("cannot write ", path_, ": File too large"));
  EXPECT_EQ(Text(), before);
  EXPECT_EQ(Streams()[0].to_server, "before");
}

TEST_F(PcapFileTest, WithoutSpaceForTheHeaderCreationFails) {
  const FileSizeLimit full(10);
  EXPECT_THAT(DetailOf(Create().status()), HasSubstr("File too large"));
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
}

TEST_F(PcapFileTest, NoLoopWaitsForASlowDisk) {
  PcapFileOptions options;
  options.dangerous_path = path_;
  options.max_queued_bytes = 4096;
  options.on_stopped = [this](const absl::Status& why) { stopped_.push_back(why); };
  const auto file = PcapFile::Create(std::move(options));
  ASSERT_TRUE(file.ok()) << file.status();
  const auto capture = Capture(**file);
  // More bytes at once than the queue holds.
  Carry(*capture, Direction::kToBackend, std::string(5000, 'x'));
  Carry(*capture, Direction::kToBackend, "and more");
  ASSERT_THAT(stopped_, SizeIs(1));
  EXPECT_EQ(stopped_[0].code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(stopped_[0].message()), HasSubstr("the disk is too slow"));
  EXPECT_EQ((*file)->lost(), 2u);
}

TEST_F(PcapFileTest, AfterARotationItContinuesInANewFile) {
  const auto file = Create();
  ASSERT_TRUE(file.ok()) << file.status();
  const auto capture = Capture(**file, 1);
  Carry(*capture, Direction::kToBackend, "before");
  EXPECT_TRUE((*file)->Reopen().ok());
  EXPECT_EQ(Streams()[0].to_server, "before");
  const std::string rotated = absl::StrCat(path_, ".1");
  ASSERT_EQ(rename(path_.c_str(), rotated.c_str()), 0);
  Carry(*capture, Direction::kToBackend, ", still before");
  EXPECT_TRUE((*file)->Reopen().ok());
  const auto after = Capture(**file, 2);
  Carry(*after, Direction::kToBackend, "after");
  EXPECT_EQ(ReadStreams(Text())->front().to_server, "after");
  EXPECT_EQ(ReadStreams(*ReadFile(rotated))->front().to_server, "before, still before");
  EXPECT_THAT(stopped_, SizeIs(0));

  ASSERT_EQ(rename(path_.c_str(), rotated.c_str()), 0);
  ASSERT_EQ(symlink(rotated.c_str(), path_.c_str()), 0);
  EXPECT_EQ(CodeOf((*file)->Reopen()), ErrorCode::kConfiguration);
  Carry(*after, Direction::kToBackend, ", and on");
  EXPECT_EQ(Streams()[0].to_server, "after, and on");
}

TEST_F(PcapFileTest, ARotationRestartsAStoppedCapture) {
  const auto file = Create(kHeaderBytes + kOpenBytes + 2 * (16 + 40) + 10);
  ASSERT_TRUE(file.ok()) << file.status();
  const auto capture = Capture(**file, 1);
  Carry(*capture, Direction::kToBackend, std::string(1000, 'x'));
  ASSERT_THAT(stopped_, SizeIs(1));
  ASSERT_EQ(unlink(path_.c_str()), 0);
  EXPECT_TRUE((*file)->Reopen().ok());
  // The connection with a gap is omitted.
  Carry(*capture, Direction::kToBackend, "x");
  const auto after = Capture(**file, 2);
  Carry(*after, Direction::kToBackend, "y");
  ASSERT_THAT(Streams(), SizeIs(1));
  EXPECT_EQ(Streams()[0].to_server, "y");
}

TEST_F(PcapFileTest, ThreadsWriteWholePackets) {
  constexpr int kThreads = 4;
  constexpr int kConnections = 20;
  const auto file = Create();
  ASSERT_TRUE(file.ok()) << file.status();
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&file = **file, t] {
      testing::SimulatedLoop loop;
      for (int i = 0; i < kConnections; ++i) {
        const auto port = static_cast<uint16_t>(1 + t * kConnections + i);
        CaptureInspector capture(loop,
                                 file.NewSink(*Endpoint::Parse(absl::StrCat("192.0.2.1:", port)),
                                              *Endpoint::Parse("192.0.2.2:443")));
        for (int round = 0; round < 10; ++round) {
          Carry(capture, Direction::kToBackend, std::string(port, 'q'));
          Carry(capture, Direction::kToClient, std::string(port * 100, 'a'));
        }
        Carry(capture, Direction::kToClient, "", true);
        Carry(capture, Direction::kToBackend, "", true);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<PcapStream> streams = Streams();
  ASSERT_THAT(streams, SizeIs(kThreads * kConnections));
  for (const PcapStream& stream : streams) {
    EXPECT_EQ(stream.to_server, std::string(stream.client.port() * 10, 'q'));
    EXPECT_EQ(stream.to_client, std::string(stream.client.port() * 1000, 'a'));
    EXPECT_TRUE(stream.client_ended && stream.server_ended);
  }
  EXPECT_THAT(stopped_, SizeIs(0));
}

}  // namespace
}  // namespace trestle
