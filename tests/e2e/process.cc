#include "tests/e2e/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/log/check.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace trestle::e2e {
namespace {

struct Pipe {
  OwnedFd read_end;
  OwnedFd write_end;
};

Pipe NewPipe() {
  int fds[2];
  CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
  return {OwnedFd(fds[0]), OwnedFd(fds[1])};
}

// Runs in the child, where allocation and locks are not allowed.
[[noreturn]] void Become(char* const* argv, int input, int output, int errors) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_DFL);
  dup2(input, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(errors, STDERR_FILENO);
  execv(argv[0], argv);
  _exit(127);
}

// Appends the available bytes to `text`; returns false at the end of the pipe.
bool ReadSome(int fd, std::string& text, absl::Mutex& mutex) {
  std::array<char, 16384> buffer;
  const ssize_t bytes = read(fd, buffer.data(), buffer.size());
  if (bytes < 0) return errno == EINTR || errno == EAGAIN;
  absl::MutexLock lock(&mutex);
  text.append(buffer.data(), static_cast<size_t>(bytes));
  return bytes > 0;
}

}  // namespace

Process::Process(const std::vector<std::string>& argv) {
  signal(SIGPIPE,
         SIG_IGN);  // A program that ends before it has read its input must not end the test.
  Pipe input = NewPipe();
  Pipe output = NewPipe();
  Pipe errors = NewPipe();
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_ = fork();
  CHECK_GE(pid_, 0);
  if (pid_ == 0) {
    Become(arguments.data(), input.read_end.get(), output.write_end.get(), errors.write_end.get());
  }
  input_ = std::move(input.write_end);
  output_pipe_ = std::move(output.read_end);
  errors_pipe_ = std::move(errors.read_end);
  capturer_ = std::thread([this] { Capture(); });
}

Process::~Process() {
  if (running()) {
    kill(pid_, SIGKILL);
    Reap(0);
  }
  capturer_.join();
}

void Process::Capture() {
  pollfd pipes[] = {{output_pipe_.get(), POLLIN, 0}, {errors_pipe_.get(), POLLIN, 0}};
  std::string* const texts[] = {&output_, &errors_};
  int open = 2;
  while (open > 0) {
    if (poll(pipes, 2, -1) < 0) continue;
    for (int i = 0; i < 2; ++i) {
      if (pipes[i].revents == 0 || ReadSome(pipes[i].fd, *texts[i], mutex_)) continue;
      pipes[i].fd = -1;
      --open;
    }
  }
  absl::MutexLock lock(&mutex_);
  output_ended_ = true;
}

void Process::WriteInput(absl::string_view text) {
  while (!text.empty()) {
    const ssize_t bytes = write(input_.get(), text.data(), text.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return;  // The program has ended; its exit status has the result.
    text.remove_prefix(static_cast<size_t>(bytes));
  }
}

void Process::Signal(int signal) {
  if (running()) kill(pid_, signal);
}

std::string Process::output() const {
  absl::MutexLock lock(&mutex_);
  return output_;
}

std::string Process::errors() const {
  absl::MutexLock lock(&mutex_);
  return errors_;
}

bool Process::WaitForOutput(absl::string_view text, absl::Duration limit) {
  return WaitForText(&Process::output_, text, limit);
}

bool Process::WaitForErrors(absl::string_view text, absl::Duration limit) {
  return WaitForText(&Process::errors_, text, limit);
}

bool Process::WaitForText(std::string Process::*where, absl::string_view text,
                          absl::Duration limit) {
  absl::MutexLock lock(&mutex_);
  const auto arrived = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return output_ended_ || absl::StrContains(this->*where, text);
  };
  mutex_.AwaitWithTimeout(absl::Condition(&arrived), limit);
  return absl::StrContains(this->*where, text);
}

void Process::Reap(int wait_flags) {
  int status = 0;
  if (exit_status_.has_value() || waitpid(pid_, &status, wait_flags) != pid_) return;
  exit_status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool Process::running() {
  Reap(WNOHANG);
  return !exit_status_.has_value();
}

std::optional<int> Process::WaitForExit(absl::Duration limit) {
  if (!WaitUntil([this] { return !running(); }, limit)) return std::nullopt;
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&output_ended_), absl::Seconds(5));
  return exit_status_;
}

int Process::open_descriptors() const {
  std::error_code error;
  const std::filesystem::directory_iterator folder(absl::StrCat("/proc/", pid_, "/fd"), error);
  return error ? -1 : static_cast<int>(std::distance(begin(folder), end(folder)));
}

size_t Process::resident_bytes() const {
  size_t total_pages = 0;
  size_t resident_pages = 0;
  std::ifstream(absl::StrCat("/proc/", pid_, "/statm")) >> total_pages >> resident_pages;
  return resident_pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

CommandResult RunCommand(const std::vector<std::string>& argv, absl::Duration limit,
                         absl::string_view input) {
  Process process(argv);
  process.WriteInput(input);
  process.CloseInput();
  const int exit_status = process.WaitForExit(limit).value_or(-1);
  return {exit_status, process.output(), process.errors()};
}

bool WaitUntil(absl::FunctionRef<bool()> condition, absl::Duration limit) {
  const absl::Time deadline = absl::Now() + limit;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return true;
}

std::string FindProgram(const std::string& name) {
  // bazel/tests.bzl sets it.
  if (std::getenv("TRESTLE_TEST_RUNS_PROGRAMS") == nullptr) {
    ADD_FAILURE() << "the test runs \"" << name << "\": give it the tag \"programs\"";
  }
  const char* const path = std::getenv("PATH");
  // Servers are in /usr/sbin, which PATH may lack.
  const std::string folders = absl::StrCat(path == nullptr ? "/usr/bin" : path, ":/usr/sbin");
  for (const absl::string_view folder : absl::StrSplit(folders, ':')) {
    const std::string candidate = absl::StrCat(folder, "/", name);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  ADD_FAILURE() << "the program \"" << name << "\" is not on PATH; tests/programs.txt names its "
                << "Debian package, and ./bazelw test installs it";
  return {};
}

}  // namespace trestle::e2e
