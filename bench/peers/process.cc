#include "bench/peers/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <system_error>

#include "absl/log/check.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/peers/tls_socket.h"

namespace trestle::bench {
namespace {

constexpr int kStartTries = 100;
constexpr useconds_t kTryMicroseconds = 50'000;

// Returns the parent of a process; 0 if it has ended.
pid_t ParentOf(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream rest(text.substr(name_end + 1));
  std::string state;
  pid_t parent = 0;
  rest >> state >> parent;
  return parent;
}

// Returns `root` and all its descendants.
std::vector<pid_t> FamilyOf(pid_t root) {
  std::multimap<pid_t, pid_t> children;
  DIR* proc = opendir("/proc");
  CHECK(proc != nullptr);
  while (const dirent* entry = readdir(proc)) {
    pid_t pid = 0;
    if (absl::SimpleAtoi(entry->d_name, &pid)) children.emplace(ParentOf(pid), pid);
  }
  closedir(proc);
  std::vector<pid_t> family = {root};
  for (size_t i = 0; i < family.size(); ++i) {
    const auto [begin, end] = children.equal_range(family[i]);
    for (auto child = begin; child != end; ++child) family.push_back(child->second);
  }
  return family;
}

int EntriesIn(const std::string& folder) {
  std::error_code ended;
  const std::filesystem::directory_iterator entries(folder, ended);
  return static_cast<int>(std::distance(begin(entries), end(entries)));
}

void PinTo(int first, int last) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  for (int cpu = first; cpu <= last; ++cpu) CPU_SET(cpu, &cpus);
  sched_setaffinity(0, sizeof(cpus), &cpus);
}

[[noreturn]] void RunProgram(const std::vector<std::string>& arguments, const std::string& log,
                             bool pinned) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_DFL);
  const int cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  PinTo(pinned ? cpus - 1 : 0, cpus - 1);
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  std::vector<char*> words;
  for (const std::string& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  execv(words[0], words.data());
  _exit(127);
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, const std::string& log, bool pinned) {
  pid_ = fork();
  PCHECK(pid_ >= 0);
  if (pid_ == 0) RunProgram(arguments, log, pinned);
}

Process::~Process() {
  if (Ended()) return;
  const std::vector<pid_t> family = FamilyOf(pid_);
  kill(pid_, SIGTERM);
  for (int i = 0; i < 10 && !Ended(); ++i) usleep(kTryMicroseconds);
  // A PID can be reused once its process has ended and was waited for. The check of the parent
  // skips such processes.
  for (pid_t pid : family) {
    if (pid != pid_ && ParentOf(pid) == pid_) kill(pid, SIGKILL);
  }
  if (ended_) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool Process::Ended() {
  if (!ended_) ended_ = waitpid(pid_, nullptr, WNOHANG) == pid_;
  return ended_;
}

bool Process::AwaitPort(uint16_t port) {
  for (int i = 0; i < kStartTries && !Ended(); ++i) {
    const OwnedFd fd = ConnectToLoopback(port);
    pollfd wait = {fd.get(), POLLOUT, 0};
    int error = 0;
    socklen_t error_bytes = sizeof(error);
    if (fd.valid() && poll(&wait, 1, 1000) == 1 &&
        getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &error_bytes) == 0 && error == 0) {
      return true;
    }
    usleep(kTryMicroseconds);
  }
  return false;
}

void Process::Signal(int signal) const { kill(pid_, signal); }

int Process::Descriptors() const { return EntriesIn(absl::StrCat("/proc/", pid_, "/fd")); }

int Process::Threads() const { return EntriesIn(absl::StrCat("/proc/", pid_, "/task")); }

double Process::CpuSeconds() const {
  double seconds = 0;
  for (pid_t pid : FamilyOf(pid_)) {
    clockid_t clock;
    timespec time;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0) continue;
    seconds += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }
  return seconds;
}

double Process::PssKib() const {
  double kib = 0;
  for (pid_t pid : FamilyOf(pid_)) {
    std::ifstream file(absl::StrCat("/proc/", pid, "/smaps_rollup"));
    std::string line;
    while (std::getline(file, line)) {
      if (line.rfind("Pss:", 0) == 0) kib += std::strtod(line.c_str() + 4, nullptr);
    }
  }
  return kib;
}

void PrepareToMeasure() {
  signal(SIGPIPE, SIG_IGN);
  PinTo(0, 0);
  rlimit files = {};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

std::string MakeFolder() {
  const char* base = getenv("TMPDIR");
  std::string folder = absl::StrCat(base == nullptr ? "/tmp" : base, "/trestle_peers_XXXXXX");
  PCHECK(mkdtemp(&folder[0]) != nullptr);
  std::filesystem::permissions(folder, std::filesystem::perms(0755));
  return folder;
}

std::string OutputOf(const std::string& command) {
  std::string output;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return output;
  char part[4096];
  while (const size_t bytes = fread(part, 1, sizeof(part), pipe)) output.append(part, bytes);
  pclose(pipe);
  return output;
}

std::string FindProgram(const std::string& name) {
  const char* path = getenv("PATH");
  const std::string folders =
      absl::StrCat(path == nullptr ? "" : path, ":/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin");
  for (absl::string_view folder : absl::StrSplit(folders, ':', absl::SkipEmpty())) {
    const std::string candidate = absl::StrCat(folder, "/", name);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return std::string();
}

}  // namespace trestle::bench
