// OwnedFd: a file descriptor with one owner, closed when the owner is destroyed.
#ifndef TRESTLE_LINUX_OWNED_FD_H_
#define TRESTLE_LINUX_OWNED_FD_H_

#include <unistd.h>

#include <utility>

namespace trestle {

/// A descriptor that is closed on destruction. Movable; -1 for none.
class OwnedFd final {
 public:
  OwnedFd() = default;

  /// Takes ownership of `fd`; -1 is no descriptor.
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    if (this != &other) Reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~OwnedFd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

  /// Closes the descriptor, if any, and takes ownership of `fd`.
  void Reset(int fd = -1) {
    // No retry after EINTR: Linux has closed the descriptor even then.
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

  /// Returns the descriptor and gives up ownership; the caller must close it.
  [[nodiscard]] int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

}  // namespace trestle

#endif  // TRESTLE_LINUX_OWNED_FD_H_
