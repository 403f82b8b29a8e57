#include "trestle/linux/kernel_pipe_pool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <utility>

#include "absl/memory/memory.h"
#include "lib/linux/kernel_pipe.h"

namespace trestle {
namespace {

// A pipe slot holds one fragment of a packet, often at most 1448 bytes. The default of 16 slots
// would make splices short.
constexpr int kSlotBytes = 64 * 4096;

constexpr unsigned kFlags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

// splice(2) has no MSG_NOSIGNAL, and the program controls its SIGPIPE handling.
class WithoutSigpipe {
 public:
  WithoutSigpipe() {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
  }
  ~WithoutSigpipe() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  // Consumes the signal of EPIPE, which went to this thread only.
  void Discard() {
    const timespec no_wait = {};
    while (sigtimedwait(&sigpipe_, nullptr, &no_wait) < 0 && errno == EINTR) {
    }
  }

 private:
  sigset_t sigpipe_;
  sigset_t before_;
};

}  // namespace

std::unique_ptr<KernelPipe> KernelPipe::Create() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return nullptr;
  // If the system refuses, the pipe is smaller but works.
  fcntl(ends[1], F_SETPIPE_SZ, kSlotBytes);
  return absl::WrapUnique(new KernelPipe(OwnedFd(ends[0]), OwnedFd(ends[1])));
}

ssize_t KernelPipe::Fill(int socket, size_t max_bytes) {
  ssize_t bytes;
  do {
    bytes = splice(socket, nullptr, in_.get(), nullptr, max_bytes, kFlags);
  } while (bytes < 0 && errno == EINTR);
  if (bytes > 0) size_ += static_cast<size_t>(bytes);
  return bytes;
}

ssize_t KernelPipe::Drain(int socket) {
  WithoutSigpipe without_sigpipe;
  ssize_t bytes;
  do {
    bytes = splice(out_.get(), nullptr, socket, nullptr, size_, kFlags);
  } while (bytes < 0 && errno == EINTR);
  if (bytes > 0) size_ -= static_cast<size_t>(bytes);
  if (bytes < 0 && errno == EPIPE) {
    without_sigpipe.Discard();
    errno = EPIPE;
  }
  return bytes;
}

KernelPipePool::KernelPipePool() = default;
KernelPipePool::~KernelPipePool() = default;

std::unique_ptr<SpliceBuffer> KernelPipePool::Take() {
  std::unique_ptr<SpliceBuffer> pipe;
  if (!free_.empty()) {
    pipe = std::move(free_.back());
    free_.pop_back();
  } else if (lent_ < kMaxLentPipes) {
    pipe = KernelPipe::Create();
  }
  if (pipe == nullptr) {
    ++failures_;
  } else {
    ++lent_;
  }
  return pipe;
}

void KernelPipePool::Return(std::unique_ptr<SpliceBuffer> pipe) {
  --lent_;
  // Closes a pipe that still holds bytes, which drops them.
  if (pipe->size() == 0 && free_.size() < kMaxFreePipes) free_.push_back(std::move(pipe));
}

}  // namespace trestle
