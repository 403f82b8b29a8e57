// TlsStreamFixture: a TlsStream client and server over a pair of memory transports, for the tests
// of streams.
#ifndef TRESTLE_TESTS_TLS_TLS_STREAM_FIXTURE_H_
#define TRESTLE_TESTS_TLS_TLS_STREAM_FIXTURE_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/counting_handler.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/tls/tls_stream.h"

namespace trestle::testing {

/// Counts the calls on the transport below.
class CountingTransport final : public Transport {
 public:
  explicit CountingTransport(std::unique_ptr<Transport> inner) : inner_(std::move(inner)) {}

  IoResult Read(MutableByteView out) override {
    ++reads;
    return inner_->Read(out);
  }
  IoResult Write(ByteView data) override {
    ++writes;
    return inner_->Write(data);
  }
  IoResult WriteBeforeEnd(ByteView data) override {
    ++writes;
    ++writes_before_end;
    return inner_->WriteBeforeEnd(data);
  }
  IoResult ShutdownWrite(StreamEnd end) override { return inner_->ShutdownWrite(end); }
  void Abort() override { inner_->Abort(); }
  void SetHandler(TransportHandler* handler) override { inner_->SetHandler(handler); }
  absl::Status status() const override { return inner_->status(); }
  TransportInfo info() const override {
    TransportInfo info = inner_->info();
    return info;
  }

  int reads = 0;
  int writes = 0;
  int writes_before_end = 0;

 private:
  std::unique_ptr<Transport> inner_;
};

/// Two streams over memory; counts the events below and above each.
class TlsStreamFixture : public TlsTest {
 protected:
  // Creates both streams over a pair of memory transports, before the handshake.
  void Connect(const MemoryLink& to_server = {}, const MemoryLink& to_client = {},
               ServerTlsOptions server = {}, ClientTlsTarget target = {"a.test", {}}) {
    auto [client_end, server_end] = NewMemoryPair(loop_, to_server, to_client);
    auto client_inner = std::make_unique<CountingTransport>(std::move(client_end));
    auto server_inner = std::make_unique<CountingTransport>(std::move(server_end));
    client_below_ = client_inner.get();
    server_below_ = server_inner.get();
    client_ = std::make_unique<TlsStream>(MakeClient({}, std::move(target)),
                                          std::move(client_inner), loop_);
    server_ =
        std::make_unique<TlsStream>(MakeServer(std::move(server)), std::move(server_inner), loop_);
  }

  void StartHandshakes() {
    client_->Handshake([this](absl::Status status) { client_done_ = std::move(status); });
    server_->Handshake([this](absl::Status status) { server_done_ = std::move(status); });
  }

  void ConnectAndShakeHands(const MemoryLink& to_server = {}, const MemoryLink& to_client = {},
                            ServerTlsOptions server = {}) {
    Connect(to_server, to_client, std::move(server));
    StartHandshakes();
    loop_.RunUntilIdle();
    ASSERT_TRUE(client_done_.has_value() && server_done_.has_value());
    ASSERT_TRUE(client_done_->ok()) << *client_done_;
    ASSERT_TRUE(server_done_->ok()) << *server_done_;
  }

  IoResult Read(TlsStream& stream, size_t bytes = 64 * 1024) {
    buffer_.resize(bytes);
    return stream.Read(MutableByteView(buffer_.data(), buffer_.size()));
  }

  // Reads the available bytes without waiting.
  std::string ReadReady(TlsStream& stream, size_t bytes = 64 * 1024) {
    std::string text;
    for (IoResult result = Read(stream, bytes); result.state == IoState::kOk;
         result = Read(stream, bytes)) {
      text.append(AsText(ByteView(buffer_.data(), result.bytes)));
    }
    return text;
  }

  CountingTransport* client_below_ = nullptr;
  CountingTransport* server_below_ = nullptr;
  std::unique_ptr<TlsStream> client_;
  std::unique_ptr<TlsStream> server_;
  std::optional<absl::Status> client_done_;
  std::optional<absl::Status> server_done_;
  std::vector<uint8_t> buffer_;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_TLS_TLS_STREAM_FIXTURE_H_
