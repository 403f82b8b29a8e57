// SocketFile: the file of a listening Unix-domain socket. It claims a path without harm to others,
// and removes its own file only. Private to the linux edge.
#ifndef TRESTLE_LIB_LINUX_SOCKET_FILE_H_
#define TRESTLE_LIB_LINUX_SOCKET_FILE_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "trestle/base/endpoint.h"
#include "trestle/linux/tcp_listener.h"

namespace trestle {

class SocketFile final {
 public:
  /// Binds `socket` to the path of `endpoint`, with the permissions `options.unix_mode`, and
  /// listens. kClaim replaces the socket of a program that has ended, but neither one that is
  /// listened on nor another kind of file. kJoin takes the path over from a listener of this user,
  /// without a moment at which clients are refused. Claims of one directory exclude each other.
  static absl::StatusOr<std::unique_ptr<SocketFile>> Listen(int socket, const Endpoint& endpoint,
                                                            const TcpListenerOptions& options);

  ~SocketFile() { Remove(); }
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;

  /// Removes the file, unless another socket has taken the path over.
  void Remove();

 private:
  SocketFile(std::string path, dev_t device, ino_t inode)
      : path_(std::move(path)), device_(device), inode_(inode) {}

  std::string path_;  // Empty once removed.
  dev_t device_;
  ino_t inode_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_LINUX_SOCKET_FILE_H_
