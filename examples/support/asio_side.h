// AsioSide: the own part of the programs asio_host and asio_native_host: a timer, a server and
// signals on Asio, which know nothing of Trestle's loop.
#ifndef TRESTLE_EXAMPLES_SUPPORT_ASIO_SIDE_H_
#define TRESTLE_EXAMPLES_SUPPORT_ASIO_SIDE_H_

#include <asio.hpp>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "examples/support/hosted_blocks.h"
#include "examples/support/log.h"

namespace trestle::examples {

/// Answers each client with the number of connections and of seconds. SIGHUP reloads the blocks.
class AsioSide {
 public:
  /// Calls `stop` once, for the first SIGTERM or SIGINT.
  AsioSide(asio::io_context& io, HostedBlocks& blocks, absl::AnyInvocable<void()> stop)
      : blocks_(blocks),
        stop_(std::move(stop)),
        acceptor_(io, {asio::ip::address_v4::loopback(), 0}),
        second_(io, std::chrono::seconds(1)),
        signals_(io, SIGTERM, SIGINT, SIGHUP) {
    LogLine(absl::StrCat("status on 127.0.0.1:", acceptor_.local_endpoint().port()));
    CountSeconds();
    Accept();
    WaitForSignal();
  }

 private:
  void CountSeconds() {
    second_.async_wait([this](asio::error_code error) {
      if (error) return;
      ++seconds_;
      second_.expires_at(second_.expiry() + std::chrono::seconds(1));
      CountSeconds();
    });
  }

  void Accept() {
    acceptor_.async_accept([this](asio::error_code error, asio::ip::tcp::socket client) {
      if (error == asio::error::operation_aborted) return;
      if (!error) Answer(std::move(client));
      Accept();
    });
  }

  void Answer(asio::ip::tcp::socket client) {
    auto socket = std::make_shared<asio::ip::tcp::socket>(std::move(client));
    auto text = std::make_shared<std::string>(
        absl::StrCat(blocks_.ended(), " connections, ", seconds_, " seconds\n"));
    asio::async_write(*socket, asio::buffer(*text), [socket, text](asio::error_code, size_t) {});
  }

  void WaitForSignal() {
    signals_.async_wait([this](asio::error_code error, int signal) {
      if (error) return;
      if (signal != SIGHUP) return Stop();
      blocks_.Reload();
      WaitForSignal();
    });
  }

  void Stop() {
    acceptor_.close();
    second_.cancel();
    stop_();
  }

  HostedBlocks& blocks_;
  absl::AnyInvocable<void()> stop_;
  asio::ip::tcp::acceptor acceptor_;
  asio::steady_timer second_;
  asio::signal_set signals_;
  uint64_t seconds_ = 0;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_ASIO_SIDE_H_
